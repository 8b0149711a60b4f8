package webui

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
)

//go:embed templates static
var files embed.FS

// views are the parsed templates and the files beside them. It is never changed.
type views struct {
	pages map[string]*template.Template
	style asset
	icon  asset
}

// asset is a file whose path changes with its content, so that browsers may keep it for ever.
type asset struct {
	path, kind string
	data       []byte
}

// page is what every template gets.
type page struct {
	Title string // the heading
	Lead  string // the sentence below it; optional
	Style string
	Icon  string

	Way    []waypoint // the pages of the wizard; nil elsewhere
	Faulty bool       // some field has a fault
	Notice string     // a sentence about the whole form; optional
	Fields []field
	Kept   bool // a password is kept already
	Data   any  // what the page has of its own
}

// waypoint is one page of the wizard as seen from another.
type waypoint struct {
	Name string
	Path string // where it leads back to; "" if it leads nowhere
	Here bool
	Done bool
}

// field is one line of a form.
type field struct {
	Name, Label, Hint, Fault, Value string
	Type                            string // of the input; "text" unless told
	Autocomplete                    string
	Mono                            bool // is read letter by letter
	Optional                        bool
	Focus                           bool
}

// parseViews reads what is embedded. It panics on a template that does not parse: no build of ours has one.
func parseViews() views {
	layout := template.Must(template.New("").Funcs(template.FuncMap{"pieces": pieces, "labels": labels}).
		ParseFS(files, "templates/layout.html", "templates/parts.html"))
	v := views{
		pages: map[string]*template.Template{},
		style: readAsset("style.css", "text/css; charset=utf-8"),
		icon:  readAsset("icon.svg", "image/svg+xml"),
	}
	for _, name := range []string{"code", "household", "address", "person", "review", "done", "home", "refusal"} {
		v.pages[name] = template.Must(template.Must(layout.Clone()).ParseFS(files, "templates/"+name+".html"))
	}
	return v
}

func readAsset(name, kind string) asset {
	data, err := fs.ReadFile(files, "static/"+name)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(data)
	ext := path.Ext(name)
	return asset{path: "/static/" + strings.TrimSuffix(name, ext) + "-" + hex.EncodeToString(sum[:6]) + ext, kind: kind, data: data}
}

// static serves the style sheet and the icon.
func (v *views) static(w http.ResponseWriter, r *http.Request) {
	for _, a := range []asset{v.style, v.icon} {
		if r.URL.Path == a.path {
			w.Header().Set("Content-Type", a.kind)
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
			w.Write(a.data)
			return
		}
	}
	http.NotFound(w, r)
}

// focusFault puts the cursor into the first field with a fault, if there is one.
func focusFault(fields []field) {
	i := slices.IndexFunc(fields, func(f field) bool { return f.Fault != "" })
	if i < 0 {
		return
	}
	for j := range fields {
		fields[j].Focus = j == i
	}
}

// labels cuts a name or an address where a line may end: before every dot and every @.
func labels(name string) []string {
	var out []string
	for {
		i := strings.IndexAny(name[min(1, len(name)):], ".@")
		if i < 0 {
			return append(out, name)
		}
		out, name = append(out, name[:i+1]), name[i+1:]
	}
}

// pieces cuts a fingerprint where a line may end: after every fourth pair.
func pieces(fingerprint string) []string {
	var out []string
	const piece = 4 * len("AA:")
	for len(fingerprint) > piece {
		out, fingerprint = append(out, fingerprint[:piece]), fingerprint[piece:]
	}
	return append(out, fingerprint)
}
