package maildir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func folders(t testing.TB, r *Root) []string {
	t.Helper()
	list, err := r.Folders()
	must(t, err)
	return list
}

func makeFolders(t testing.TB, r *Root, names ...string) {
	t.Helper()
	for _, name := range names {
		_, err := r.Create(name)
		must(t, err)
	}
}

func TestCreateAndLookup(t *testing.T) {
	t.Parallel()
	r := openTree(t, Options{})
	makeFolders(t, r, "Lists/go.dev", "Caf\u0065\u0301", "inbox/sub", "x")
	if got := folders(t, r); !slices.Equal(got, []string{"INBOX", "Caf\u00e9", "INBOX/sub", "Lists/go.dev", "x"}) {
		t.Errorf("folders: %q", got)
	}
	for _, name := range []string{"INBOX", "inbox", "Lists/go.dev", "Caf\u00e9", "Cafe\u0301", "Inbox/sub"} {
		if _, err := r.Create(name); !errors.Is(err, fs.ErrExist) {
			t.Errorf("making %q again: %v", name, err)
		}
		if canonical, ok, err := r.Lookup(name); !ok || err != nil || canonical != Normalize(name) {
			t.Errorf("looking %q up: %q, %v, %v", name, canonical, ok, err)
		}
	}
	for _, name := range []string{"", "../x", "a\x00", "X", "Lists", "lists/go.dev", strings.Repeat("y", 1000)} {
		if canonical, ok, err := r.Lookup(name); ok || err != nil {
			t.Errorf("looking %q up: %q, %v", name, canonical, err)
		}
		if _, err := r.Folder(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("opening %q: %v", name, err)
		}
	}
	for _, dir := range []string{"cur", "new", "tmp", "maildirfolder"} {
		if _, err := os.Stat(filepath.Join(r.Path(), `.Lists.go\2edev`, dir)); err != nil {
			t.Error(err)
		}
	}
}

// Other programs make folders whose names we would not make.
func TestFoldersOfOthers(t *testing.T) {
	t.Parallel()
	r := openTree(t, Options{})
	for _, dir := range []string{".e&AwE-", ".&AOk-", ".o&Awg-", `.a\7e`, ".b&zz", ".empty", ".INBOX", "..odd", "plain"} {
		must(t, os.MkdirAll(filepath.Join(r.Path(), dir), 0o700))
		if dir != ".empty" {
			must(t, os.Mkdir(filepath.Join(r.Path(), dir, "cur"), 0o700))
		}
	}
	if got := folders(t, r); !slices.Equal(got, []string{"INBOX", "a~", "b&zz", "e\u0301", "o\u0308", "\u00e9"}) {
		t.Errorf("folders: %q", got)
	}
	for name, dir := range map[string]string{"e\u0301": ".e&AwE-", "\u00e9": ".&AOk-", "\u00f6": ".o&Awg-", "a~": `.a\7e`, "b&zz": ".b&zz"} {
		f := openFolder(t, r, name)
		if filepath.Base(f.Path()) != dir {
			t.Errorf("%q lies in %s", name, f.Path())
		}
		place(t, f, "x", 0)
	}
	if _, err := r.Create("\u00f6"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a folder beside one that differs in normalisation: %v", err)
	}
	makeFolders(t, r, "empty")
	place(t, openFolder(t, r, "empty"), "x", 0)
	must(t, os.Symlink(t.TempDir(), filepath.Join(r.Path(), ".out")))
	if name, err := r.Create("out"); err == nil {
		t.Errorf("the folder %q was made outside", name)
	}
}

func TestRemoveFolder(t *testing.T) {
	t.Parallel()
	r := openTree(t, Options{})
	makeFolders(t, r, "a", "a/b")
	place(t, openFolder(t, r, "a"), "x", 0)
	must(t, r.Remove("a"))
	if got := folders(t, r); !slices.Equal(got, []string{"INBOX", "a/b"}) {
		t.Errorf("folders: %q", got)
	}
	if err := r.Remove("a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removing it again: %v", err)
	}
	if err := r.Remove("inbox"); !errors.Is(err, ErrBadName) {
		t.Errorf("removing INBOX: %v", err)
	}
	if got := ls(t, r.Path()); !slices.Equal(got, []string{".a.b", "cur", "new", "tmp"}) {
		t.Errorf("left: %q", got)
	}
}

func TestRenameFolders(t *testing.T) {
	t.Parallel()
	r := openTree(t, Options{})
	makeFolders(t, r, "a", "a/b", "a/b/c.d", "ab", "z/y", "z")
	place(t, openFolder(t, r, "a/b"), "x", 0)
	must(t, r.Rename("a", "new/Cafe\u0301"))
	want := []string{"INBOX", "ab", "new/Caf\u00e9", "new/Caf\u00e9/b", "new/Caf\u00e9/b/c.d", "z", "z/y"}
	if got := folders(t, r); !slices.Equal(got, want) {
		t.Errorf("folders: %q", got)
	}
	if got := scan(t, openFolder(t, r, "new/Caf\u00e9/b")); len(got) != 1 {
		t.Errorf("messages: %v", got)
	}
	must(t, r.Rename("new", "top")) // exists by its children only
	must(t, r.Rename("top/Caf\u00e9", "back"))
	for _, tt := range []struct {
		old, new string
		want     error
	}{
		{"missing", "x", fs.ErrNotExist},
		{"z", "ab", fs.ErrExist},
		{"z", "z", fs.ErrExist},
		{"z", "inbox", fs.ErrExist},
		{"back", "ab", fs.ErrExist},
		{"z", "z/in", ErrBadName},
		{"INBOX", "x", ErrBadName},
		{"z", "a//b", ErrBadName},
		{"back", strings.Repeat("n", 250), ErrBadName}, // the children's names would be too long
	} {
		if err := r.Rename(tt.old, tt.new); !errors.Is(err, tt.want) {
			t.Errorf("renaming %q to %q: %v", tt.old, tt.new, err)
		}
	}
	if got := folders(t, r); !slices.Equal(got, []string{"INBOX", "ab", "back", "back/b", "back/b/c.d", "z", "z/y"}) {
		t.Errorf("folders: %q", got)
	}
}

func TestCreateRootTwice(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "Maildir")
	if _, err := OpenRoot(dir, Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opening nothing: %v", err)
	}
	for range 2 {
		r, err := CreateRoot(dir, Options{})
		must(t, err)
		must(t, r.Close())
	}
}

func TestNextUIDValidity(t *testing.T) {
	t.Parallel()
	r := openTree(t, Options{})
	now := time.Unix(1700000000, 0)
	want := uint32(1700000000)
	next := func() {
		t.Helper()
		got, err := r.NextUIDValidity(now)
		must(t, err)
		if got != want {
			t.Errorf("UIDVALIDITY %d, want %d", got, want)
		}
		want++
	}
	next()
	next()
	now = time.Unix(0, 0) // the clock is wrong
	next()
	must(t, os.Remove(filepath.Join(r.Path(), "dovecot-uidvalidity")))
	next()
	for _, name := range ls(t, r.Path()) {
		if strings.HasPrefix(name, "dovecot-uidvalidity.") {
			must(t, os.Remove(filepath.Join(r.Path(), name)))
		}
	}
	next()
	must(t, os.WriteFile(filepath.Join(r.Path(), "dovecot-uidvalidity.ffffffff"), nil, 0o600))
	want = 1 // after the last there is
	next()
}

func TestSubscriptions(t *testing.T) {
	t.Parallel()
	names := []string{"Lists/go.dev", "~home", "x/~y", "Späße/Ünï", "INBOX", "INBOX/sub", `a\b`, "not/there"}
	r := openTree(t, Options{})
	for _, name := range append([]string{"Cafe\u0301", "inbox"}, names...) {
		must(t, r.Subscribe(t.Context(), name, true))
	}
	must(t, r.Subscribe(t.Context(), "Caf\u00e9", true))
	must(t, r.Subscribe(t.Context(), "Cafe\u0301", false))
	must(t, r.Subscribe(t.Context(), "never", false))
	want := append([]string{"INBOX"}, slices.DeleteFunc(slices.Clone(names), func(s string) bool { return s == "INBOX" })...)
	got, err := r.Subscriptions()
	must(t, err)
	if !slices.Equal(got, want) {
		t.Errorf("subscriptions %q, want %q", got, want)
	}
	text, err := os.ReadFile(filepath.Join(r.Path(), "subscriptions"))
	must(t, err)
	const file = "V\t2\n\nINBOX\nLists\tgo\\2edev\n\\7ehome\nx\t\\7ey\nSp&AOQA3w-e\t&ANw-n&AO8-\nINBOX\tsub\na\\5cb\nnot\tthere\n"
	if string(text) != file {
		t.Errorf("the file is %q", text)
	}
	if err := r.Subscribe(t.Context(), "a//b", true); !errors.Is(err, ErrBadName) {
		t.Errorf("a bad name: %v", err)
	}
}

func TestVersion1Subscriptions(t *testing.T) {
	t.Parallel()
	r := openTree(t, Options{})
	path := filepath.Join(r.Path(), "subscriptions")
	must(t, os.WriteFile(path, []byte("Lists.go\\2edev\nbad..line\nSp&AOQA3w-e"), 0o600))
	got, err := r.Subscriptions()
	must(t, err)
	if !slices.Equal(got, []string{"Lists/go.dev", "Späße"}) {
		t.Errorf("subscriptions %q", got)
	}
	must(t, r.Subscribe(t.Context(), "a/b.c", true))
	must(t, r.Subscribe(t.Context(), "Späße", false))
	text, err := os.ReadFile(path)
	must(t, err)
	if string(text) != "Lists.go\\2edev\nbad..line\na.b\\2ec\n" {
		t.Errorf("the file is %q", text)
	}
}

func TestKeywords(t *testing.T) {
	t.Parallel()
	f := openFolder(t, openTree(t, Options{}), "INBOX")
	path := filepath.Join(f.Path(), "dovecot-keywords")
	must(t, os.WriteFile(path, []byte("0 $Fwd\nrubbish\n2 hello\n2 again\n3 HELLO\n26 z\n-1 y\n4 \n5 a b\n"), 0o600))
	k, full, err := f.AddKeywords(t.Context(), []string{"$fwd", "new", "Hello"})
	must(t, err)
	if k != (Keywords{0: "$Fwd", 1: "new", 2: "hello"}) || full != nil {
		t.Errorf("keywords %q, full %q", k, full)
	}
	text, err := os.ReadFile(path)
	must(t, err)
	if string(text) != "0 $Fwd\n1 new\n2 hello\n" {
		t.Errorf("the file is %q", text)
	}
	var many []string
	for c := 'a'; c <= 'z'; c++ {
		many = append(many, "k"+string(c))
	}
	k, full, err = f.AddKeywords(t.Context(), many)
	must(t, err)
	if !slices.Equal(full, []string{"kx", "ky", "kz"}) || k.Index("kw") != 25 {
		t.Errorf("full %q, keywords %q", full, k)
	}
	again, err := f.Keywords()
	must(t, err)
	if again != k {
		t.Errorf("read again: %q", again)
	}
	if _, _, err := f.AddKeywords(t.Context(), []string{"a b"}); err == nil {
		t.Error("a keyword with a space was taken")
	}
}

func TestFolderFile(t *testing.T) {
	t.Parallel()
	f := openFolder(t, openTree(t, Options{}), "INBOX")
	if file, err := f.FolderFile(); err != nil || !file.isZero() {
		t.Errorf("without a file: %+v, %v", file, err)
	}
	path := filepath.Join(f.Path(), "letterbox-folder")
	const text = "letterbox-folder 1\nspecial-use \\Drafts\nkeyword 1795448887 $MDNSent 1:5,9\nkeyword 1795448887 $None\nmetadata /private/comment aGVsbG8=\nkeyword broken\n"
	must(t, os.WriteFile(path, []byte(text), 0o600))
	file, err := f.FolderFile()
	must(t, err)
	if file.SpecialUse != `\Drafts` || len(file.Keywords) != 2 || !slices.Equal(file.Keywords[0].UIDs, []UIDRange{{1, 5}, {9, 9}}) || len(file.Unknown) != 2 {
		t.Errorf("%+v", file)
	}
	must(t, f.SetFolderFile(file))
	if back, err := os.ReadFile(path); err != nil || string(back) != text {
		t.Errorf("the file became %q, %v", back, err)
	}
	for _, bad := range []FolderFile{
		{SpecialUse: "Drafts"}, {SpecialUse: "\\a\nb"}, {Unknown: []string{"a\nb"}}, {Keywords: []ExtraKeyword{{Name: "a b", UIDValidity: 1}}},
		{Keywords: []ExtraKeyword{{Name: "a"}}}, {Keywords: []ExtraKeyword{{Name: "a", UIDValidity: 1, UIDs: []UIDRange{{3, 3}, {2, 2}}}}},
	} {
		if err := f.SetFolderFile(bad); err == nil {
			t.Errorf("%+v was written", bad)
		}
	}
	must(t, f.SetFolderFile(FolderFile{}))
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty file is there: %v", err)
	}
}

func FuzzSmallFiles(f *testing.F) {
	f.Add("V\t2\n\nLists\tgo\\2edev\nINBOX\n")
	f.Add("0 $Fwd\n1 hello\n")
	f.Add("letterbox-folder 1\nspecial-use \\Drafts\nkeyword 17 $MDNSent 1:5,9\nacl x\n")
	f.Fuzz(func(t *testing.T, text string) {
		k := parseKeywords(text)
		var b strings.Builder
		if err := k.write(&b); err != nil || parseKeywords(b.String()) != k {
			t.Fatalf("keywords %q are read back differently: %v", k, err)
		}

		s := parseSubscriptions(text)
		names := s.names()
		b.Reset()
		must(t, s.write(&b))
		if again := parseSubscriptions(b.String()); len(s.lines) > 0 && !slices.Equal(again.names(), names) {
			t.Fatalf("subscriptions %q are read back as %q", names, again.names())
		}

		file := parseFolderFile(text)
		if file.check() != nil {
			t.Fatalf("%+v was read and cannot be written: %v", file, file.check())
		}
		b.Reset()
		must(t, file.write(&b))
		first := b.String()
		b.Reset()
		must(t, parseFolderFile(first).write(&b))
		if b.String() != first {
			t.Fatalf("%q is read back as %q", first, b.String())
		}
	})
}
