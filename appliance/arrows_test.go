package appliance_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// arrows says which of our packages each of our packages may import outside its tests. A package that is missing here fails the
// test: adding one means drawing its arrows. A name ending in /* stands for every package below it.
var arrows = map[string][]string{
	"cmd/letterbox": {"appliance", "appliance/config", "appliance/control", // the client half of control: the subcommands speak to it
		"appliance/imapreader", // which server mail is to come from
		"appliance/transfer"},  // mail comes and goes where the person may read and write, and through control's client

	"appliance": {"*"}, // the only package that knows all the others

	"appliance/accounts":   {"appliance/config", "appliance/mailaddr"},
	"appliance/config":     {"appliance/mailaddr", "store/atomicfile"},
	"appliance/control":    {"appliance/accounts", "appliance/config"},       // accounts: no password gets further than control
	"appliance/imapd":      {"store", "store/message", "appliance/imapwire"}, // message: part addressing and decoding of what store opens
	"appliance/imapreader": {"appliance/imapwire"},                           // names, sets and dates as IMAP writes them
	"appliance/imapwire":   {},
	"appliance/listen":     {},
	"appliance/mailaddr":   {},
	"appliance/smtpd":      {"appliance/mailaddr"},
	"appliance/transfer":   {"appliance/imapreader", "store/atomicfile", "store/maildir", "store/message"}, // mail at other IMAP servers; what is exported is whole; Maildirs of others, and ours read-only; line ends and dates

	"store":                     {"store/*"},
	"store/atomicfile":          {},
	"store/disktest":            {}, // for tests alone: a disk that loses what was not synced
	"store/index":               {},
	"store/maildir":             {"store/atomicfile"},
	"store/maildir/dovecottest": {}, // for tests alone: Dovecot on a tree of theirs
	"store/message":             {},
	"store/message/corpus":      {}, // for tests alone: broken mail

	"tls/certs": {"store/atomicfile"}, // a key or certificate is replaced whole or not at all

	"webui": {"appliance/config", "appliance/accounts", "appliance/mailaddr"}, // mailaddr: what is typed becomes a domain once
}

// owners says which of our packages may import each third-party library, outside tests. A library that is missing here fails the test.
var owners = map[string][]string{
	"github.com/BurntSushi/toml":     {"appliance/config"},
	"github.com/GehirnInc/crypt":     {"appliance/accounts"},
	"github.com/emersion/go-imap/v2": {"appliance/imapd"},
	"github.com/emersion/go-maildir": {"store/maildir"},
	"github.com/emersion/go-sasl":    {"appliance/smtpd"},
	"github.com/emersion/go-smtp":    {"appliance/smtpd"},
	"github.com/fsnotify/fsnotify":   {"store"},
	"github.com/hanwen/go-fuse/v2":   {"store/disktest"}, // in no binary
	"github.com/klauspost/compress":  {"store/index"},
	"golang.org/x/crypto":            {"appliance/accounts"},
	"golang.org/x/net":               {"appliance/mailaddr"},
	"golang.org/x/sys":               {"store/maildir"},
	"golang.org/x/term":              {"cmd/letterbox"},
	"golang.org/x/text":              {"appliance/accounts", "appliance/mailaddr", "store/maildir", "store/message"},
}

type goPackage struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Module     *struct{ Path string }
}

// TestArrows holds the dependencies that the tree really has against the tables above, both ways.
func TestArrows(t *testing.T) {
	t.Parallel()
	packages := goList(t)
	module := make(map[string]string, len(packages)) // import path -> module
	standard := make(map[string]bool)
	for _, p := range packages {
		standard[p.ImportPath] = p.Standard
		if p.Module != nil {
			module[p.ImportPath] = p.Module.Path
		}
	}
	seen := 0
	used := make(map[[2]string]bool) // who imports what
	for _, p := range packages {
		name, ours := strings.CutPrefix(p.ImportPath, "letterbox/")
		if !ours {
			continue
		}
		seen++
		allowed, known := arrows[name]
		if !known {
			t.Errorf("%s is not in the table of arrows: draw its arrows, with a reason", name)
			continue
		}
		for _, imported := range p.Imports {
			if standard[imported] {
				continue
			}
			if target, ours := strings.CutPrefix(imported, "letterbox/"); ours {
				used[[2]string{name, target}] = true
				if !matches(allowed, target) {
					t.Errorf("%s imports %s, for which there is no arrow", name, target)
				}
				continue
			}
			library := module[imported]
			used[[2]string{name, library}] = true
			if !slices.Contains(owners[library], name) {
				t.Errorf("%s imports %s, which it does not own (owners: %v)", name, library, owners[library])
			}
		}
	}
	if seen < 10 {
		t.Fatalf("go list showed only %d of our packages", seen)
	}
	for from, targets := range arrows {
		for _, to := range targets {
			if !strings.HasSuffix(to, "*") && !used[[2]string{from, to}] {
				t.Errorf("the table has an arrow from %s to %s that nobody needs", from, to)
			}
		}
	}
	for library, names := range owners {
		for _, name := range names {
			if !used[[2]string{name, library}] {
				t.Errorf("%s does not use %s, which the table allows it", name, library)
			}
		}
	}
}

// TestNoArrowUp checks the table itself: a package below another never imports it, and servers never import one another.
func TestNoArrowUp(t *testing.T) {
	t.Parallel()
	servers := []string{"appliance/imapd", "appliance/smtpd", "webui"}
	for from, targets := range arrows {
		for _, to := range targets {
			if strings.HasPrefix(from, to+"/") {
				t.Errorf("%s imports its parent %s", from, to)
			}
			if slices.Contains(servers, from) && slices.Contains(servers, to) {
				t.Errorf("the servers %s and %s know one another", from, to)
			}
		}
	}
}

func matches(allowed []string, target string) bool {
	return slices.ContainsFunc(allowed, func(pattern string) bool {
		prefix, below := strings.CutSuffix(pattern, "*")
		return pattern == target || below && strings.HasPrefix(target, prefix)
	})
}

func goList(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Standard,Imports,Module", "letterbox/...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var packages []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
