package maildir

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
)

// folderNames are names and the directories that Dovecot 2.3.19 makes for
// them; interop_test.go asks it again.
var folderNames = []struct{ name, dir string }{
	{"INBOX", "."},
	{"Drafts", ".Drafts"},
	{"Lists/go.dev", `.Lists.go\2edev`},
	{"INBOX/sub", ".INBOX.sub"},
	{"Z/INBOX", ".Z.INBOX"},
	{`a\b`, `.a\5cb`},
	{`\2e`, `.\5c2e`},
	{"~", `.\7e`},
	{"~home", `.\7ehome`},
	{"~a/~b", `.\7ea.\7eb`},
	{"a~b", ".a~b"},
	{"x/~y", `.x.\7ey`},
	{"Späße/Ünï", ".Sp&AOQA3w-e.&ANw-n&AO8-"},
	{"a&b", ".a&-b"},
	{"日本", ".&ZeVnLA-"},
	{"😀", ".&2D3eAA-"},
	{"é", ".&AOk-"},
	{"dot.", `.dot\2e`},
	{".lead", `.\2elead`},
	{"a..b", `.a\2e\2eb`},
	{"cur", ".cur"},
	{"x/tmp", ".x.tmp"},
	{"sp ace", ".sp ace"},
	{"a*b", ".a*b"},
	{"a%b", ".a%b"},
	{`a"b`, `.a"b`},
	{strings.Repeat("l", 254), "." + strings.Repeat("l", 254)},
}

func TestFolderNames(t *testing.T) {
	t.Parallel()
	for _, tt := range folderNames {
		dir, err := escapeName(tt.name)
		if err != nil || dir != tt.dir {
			t.Errorf("escapeName(%q) = %q, %v; want %q", tt.name, dir, err, tt.dir)
		}
		name, err := unescapeName(tt.dir)
		if err != nil || name != tt.name {
			t.Errorf("unescapeName(%q) = %q, %v; want %q", tt.dir, name, err, tt.name)
		}
	}
}

func TestBadFolderNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"", "/", "/a", "a/", "a//b", "..", "a/..", "../a", ".", "a/./b",
		"tab\tx", "nul\x00", "line\n", "del\x7f", "c1\u0085", "ls\u2028", "bad\xff",
		strings.Repeat("m", 255), strings.Repeat("ü", 120), strings.Repeat("x", 1000),
	} {
		if dir, err := escapeName(name); !errors.Is(err, ErrBadName) {
			t.Errorf("escapeName(%q) = %q, %v; want ErrBadName", name, dir, err)
		}
	}
}

func TestForeignDirectories(t *testing.T) {
	t.Parallel()
	for dir, want := range map[string]string{
		`.a\7e`:    "a~",     // escaped though it need not be
		".b&zz":    "b&zz",   // not modified UTF-7: as it is
		".c&AGE-":  "c&AGE-", // "a" in base64
		".x\xff":   "x?",
		`.n\0al`:   `n\0al`, // a line end
		`.s\2fx`:   `s\2fx`, // a separator
		".two..d":  "",
		".end.":    "",
		"..hidden": "",
		".":        "",
		"cur":      "",
		"":         "",
	} {
		if got := decodeName(dir); got != want {
			t.Errorf("decodeName(%q) = %q, want %q", dir, got, want)
		}
		if name, err := unescapeName(dir); err == nil && dir != "." {
			t.Errorf("unescapeName(%q) = %q, want an error", dir, name)
		}
	}
}

func TestNormalize(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"inbox":       "INBOX",
		"Inbox/sub":   "INBOX/sub",
		"inboxes":     "inboxes",
		"x/inbox":     "x/inbox",
		"Cafe\u0301s": "Caf\u00e9s",
	} {
		if got := Normalize(name); got != want {
			t.Errorf("Normalize(%q) = %q, want %q", name, got, want)
		}
	}
}

func FuzzFolderNames(f *testing.F) {
	for _, tt := range folderNames {
		f.Add(tt.name)
	}
	f.Add("a//b")
	f.Fuzz(func(t *testing.T, name string) {
		dir, err := escapeName(name)
		if err != nil {
			return
		}
		if strings.ContainsAny(dir, "/\x00") || len(dir) > maxDirName || dir[0] != '.' || dir == ".." {
			t.Fatalf("escapeName(%q) = %q, which is no directory of a folder", name, dir)
		}
		back, err := unescapeName(dir)
		if want := Normalize(name); err != nil || norm.NFC.String(back) != want {
			t.Fatalf("%q became %q and then %q, %v", name, dir, back, err)
		}
	})
}

func FuzzForeignDirectories(f *testing.F) {
	for _, tt := range folderNames {
		f.Add(tt.dir)
	}
	f.Add(`.a\2`)
	f.Add(".&-&AOk")
	f.Fuzz(func(t *testing.T, dir string) {
		name := decodeName(dir)
		for level := range strings.SplitSeq(name, "/") {
			if level == "" && name != "" {
				t.Fatalf("%q decodes to %q, which has an empty level", dir, name)
			}
		}
		if path, err := unescapeName(dir); err == nil && path != Inbox && path != name {
			t.Fatalf("%q is %q and %q", dir, path, name)
		}
	})
}

// unescapeName is escapeName the other way round. A directory that holds no
// folder name, or one that escapeName would write differently, is an error.
func unescapeName(dir string) (path string, err error) {
	if dir == "." {
		return Inbox, nil
	}
	path = decodeName(dir)
	if path == "" || encodeName(path) != dir {
		return "", fmt.Errorf("%w: %q is not the directory of a folder", ErrBadName, dir)
	}
	return path, nil
}
