package webui

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"time"

	"letterbox/appliance/config"
)

// Appliance is what the pages show and change. All methods may be called at once from several goroutines.
type Appliance interface {
	// Config returns the configuration in force. While there is none, configured is false and c is what set-up
	// starts from: the defaults, with the ports and addresses that this process was told to use.
	Config() (c config.Config, configured bool)

	// Update changes a copy of the configuration (or of what set-up starts from) with change, then validates,
	// prepares, saves and puts it in force: when it returns nil it is durable and the mail ports serve. On any
	// error, of change too, nothing has changed. Faults of the configuration come as config.Faults in the chain.
	// It is called within a request: it must not wait for the web server's connections to end.
	Update(ctx context.Context, change func(*config.Config) error) error

	// Certificates tells the household's root certificate and what is served now.
	Certificates() Certificates
}

// Certificates are those of the household. Fingerprints are SHA-256, as AA:BB:...
type Certificates struct {
	RootPEM         []byte
	RootFingerprint string
	// Served is the fingerprint of the certificate that the next connection to this page will be shown.
	Served string
}

// Options of New. Appliance is required, the rest has defaults.
type Options struct {
	Appliance Appliance
	// Machine is this machine's host name, from which names are proposed; empty means that it has none.
	Machine string
	Now     func() time.Time // time.Now
	Log     *slog.Logger     // discarded
}

// UI answers requests of browsers over HTTPS. It is an http.Handler; all methods may be called at once.
type UI struct {
	appliance Appliance
	machine   string
	now       func() time.Time
	log       *slog.Logger
	views     views
	code      setupCode
	sessions  sessions
	handler   http.Handler
}

// maxBody bounds what one request may send: a form of ours is far smaller.
const maxBody = 64 << 10

// New returns the pages over o.Appliance.
func New(o Options) *UI {
	u := &UI{appliance: o.Appliance, machine: o.Machine, now: o.Now, log: o.Log, views: parseViews()}
	if u.now == nil {
		u.now = time.Now
	}
	if u.log == nil {
		u.log = slog.New(slog.DiscardHandler)
	}
	u.handler = u.routes()
	return u
}

// ServeHTTP answers one request. It expects to be served over TLS.
func (u *UI) ServeHTTP(w http.ResponseWriter, r *http.Request) { u.handler.ServeHTTP(w, r) }

// NewSetupCode makes the code that the wizard asks for; the one before is void. The path "/setup?code="+code
// fills it in.
func (u *UI) NewSetupCode() (code string, expires time.Time) { return u.code.renew(u.now()) }

// AcceptSetupCode makes the wizard ask for a code that NewSetupCode of another process has made; the one before is void.
func (u *UI) AcceptSetupCode(code string, expires time.Time) { u.code.accept(code, expires) }

// routes puts the guards before the pages.
func (u *UI) routes() http.Handler {
	pages := http.NewServeMux()
	pages.HandleFunc("GET /{$}", u.home)
	pages.HandleFunc("GET /root.crt", u.rootCertificate)
	pages.HandleFunc("GET /static/", u.views.static)
	pages.HandleFunc("GET /setup", u.showCode)
	pages.HandleFunc("POST /setup", u.takeCode)
	for _, s := range steps() {
		pages.HandleFunc("GET "+s.path, u.inSession(s.show))
		if s.take != nil {
			pages.HandleFunc("POST "+s.path, u.inSession(s.take))
		}
	}
	pages.HandleFunc("POST /setup/apply", u.inSession((*UI).apply))
	pages.HandleFunc("GET /setup/apply", u.inSession((*UI).showDone)) // the address bar after the last click
	pages.HandleFunc("GET /setup/done", u.inSession((*UI).showDone))
	pages.HandleFunc("POST /setup/another", u.inSession((*UI).another))

	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.refuse(w, http.StatusForbidden, refusalOrigin)
	}))

	all := http.NewServeMux()
	all.HandleFunc("GET /healthz", healthz)
	all.Handle("/", u.guard(origin.Handler(http.MaxBytesHandler(u.orNothing(pages), maxBody))))
	return withHeaders(all)
}

// orNothing answers what pages has no page for: no such path, or not by this method.
func (u *UI) orNothing(pages *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := pages.Handler(r)
		if pattern != "" {
			pages.ServeHTTP(w, r)
			return
		}
		said := refused{header: http.Header{}}
		h.ServeHTTP(&said, r)
		if said.status != http.StatusMethodNotAllowed {
			u.refuse(w, http.StatusNotFound, refusalNotFound)
			return
		}
		w.Header()["Allow"] = said.header["Allow"] // RFC 9110, 15.5.6
		u.refuse(w, http.StatusMethodNotAllowed, refusalMethod)
	})
}

// refused takes what http.ServeMux says where it has no page, for us to say it in our own words.
type refused struct {
	header http.Header
	status int
}

func (r *refused) Header() http.Header         { return r.header }
func (r *refused) WriteHeader(status int)      { r.status = status }
func (r *refused) Write(b []byte) (int, error) { return len(b), nil }

// healthz answers packages and supervisors that want to know whether the process serves.
func healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte("ok\n"))
}

// withHeaders sets what every answer carries. There is no Strict-Transport-Security: with a household's own
// certificate it would take from people the way past their browser's first warning.
func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		// Not no-referrer: browsers then send "Origin: null" with our own forms.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		// Nothing is left in a browser that others use. What answers a form may be shown once more by Back, which
		// would else show an error of the browser's, and for nothing else (RFC 9111, 4).
		h.Set("Cache-Control", "no-store")
		if r.Method == http.MethodPost {
			h.Set("Cache-Control", "private, no-cache")
		}
		next.ServeHTTP(w, r)
	})
}

// render writes a page, whole or not at all.
func (u *UI) render(w http.ResponseWriter, status int, name string, p page) {
	p.Style, p.Icon = u.views.style.path, u.views.icon.path
	focusFault(p.Fields)
	var b bytes.Buffer
	if err := u.views.pages[name].ExecuteTemplate(&b, "layout", p); err != nil {
		u.log.Error("a page was not rendered", "page", name, "err", err)
		http.Error(w, refusalBroken.Lead, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}

// refuse writes a page that says in a sentence why something is not shown.
func (u *UI) refuse(w http.ResponseWriter, status int, r refusal) {
	u.render(w, status, "refusal", page{Title: r.Title, Lead: r.Lead})
}
