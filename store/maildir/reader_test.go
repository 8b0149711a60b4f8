package maildir

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// openReader reads the tree at dir.
func openReader(t testing.TB, dir string) *Reader {
	t.Helper()
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	r, err := OpenReader(root, ".")
	must(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

func readFolder(t testing.TB, r *Reader, name string) *FolderReader {
	t.Helper()
	f, err := r.Folder(name)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// files maps every path below dir to its content and time.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		var text []byte
		if info.Mode().IsRegular() {
			text, err = os.ReadFile(path)
		}
		all[path] = fmt.Sprint(info.Mode(), info.ModTime(), string(text))
		return err
	}))
	return all
}

// TestReader reads a tree of another program's, with all that a crash of ours can have left, and changes nothing.
func TestReader(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, []byte(text), 0o600))
	}
	unfinished := "1700000009.M1R" + strings.Repeat("A", 16) + "Q"
	write("cur/1700000002.b:2,S", "two")
	write("cur/1700000001.a:2,", "one")
	write("cur/"+unfinished+"1.host:2,", "not acknowledged")
	write("letterbox-intent."+strings.Repeat("A", 26), unfinished+"\n")
	write("letterbox-rename", ".Old\t.New\n")
	write("letterbox-removed.x/cur/1", "removed")
	write(".Old/cur/1700000003.c:2,Sa", "three")
	write(".Old/dovecot-keywords", "0 blue\n")
	write(".Old/dovecot-uidlist", "3 V7 N9\n4 :1700000003.c\n")
	write(".Old/letterbox-folder", "letterbox-folder 1\nkeyword 7 $Late 4:5\nkeyword 6 stale 4\n")
	write("subscriptions", "V\t2\n\nOld\n")
	write("dovecot-uidvalidity.00000007", "")
	must(t, os.Symlink("/etc", filepath.Join(dir, ".Out")))
	before := files(t, dir)

	r := openReader(t, dir)
	folders, err := r.Folders()
	if err != nil || fmt.Sprint(folders) != "[INBOX Old]" {
		t.Errorf("folders %q, %v", folders, err)
	}
	if subs, err := r.Subscriptions(); err != nil || fmt.Sprint(subs) != "[Old]" {
		t.Errorf("subscriptions %q, %v", subs, err)
	}
	if last, err := r.LastUIDValidity(); err != nil || last != 7 {
		t.Errorf("last UIDVALIDITY %d, %v", last, err)
	}
	var names []string
	must(t, readFolder(t, r, "inbox").InOrder(func(e Entry) error {
		names = append(names, e.File)
		return nil
	}))
	if fmt.Sprint(names) != "[1700000001.a:2, 1700000002.b:2,S]" {
		t.Errorf("INBOX holds %q", names)
	}
	old := readFolder(t, r, "Old")
	if k, err := old.Keywords(); err != nil || k[0] != "blue" {
		t.Errorf("keywords %q, %v", k, err)
	}
	extra, err := old.ExtraKeywords()
	if want := map[string][]string{"1700000003.c": {"$Late"}}; err != nil || !maps.EqualFunc(extra, want, slices.Equal) {
		t.Errorf("keywords without a letter: %v, %v", extra, err)
	}
	if _, err := r.Folder("New"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
	if after := files(t, dir); !maps.Equal(before, after) {
		t.Errorf("reading changed the tree from\n%v\nto\n%v", before, after)
	}
	if root, err := os.OpenRoot(filepath.Join(dir, "letterbox-removed.x", "cur")); err != nil {
		t.Error(err)
	} else if _, err := OpenReader(root, "."); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no Maildir: %v", err)
	}
}

// TestInOrder: each message once, in order, however few are held in memory, also those that are renamed under it.
func TestInOrder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cur := filepath.Join(dir, "cur")
	must(t, os.Mkdir(cur, 0o700))
	must(t, os.Mkdir(filepath.Join(dir, "new"), 0o700))
	var want []string
	for i := range 50 {
		base := fmt.Sprintf("17000000%02d.x", i)
		want = append(want, base)
		place := filepath.Join(dir, "new", base)
		if i%3 > 0 {
			place = filepath.Join(cur, base+":2,S")
		}
		must(t, os.WriteFile(place, []byte(base), 0o600))
	}
	// A restored backup has put another message beside one.
	must(t, os.WriteFile(filepath.Join(cur, "1700000010.x:2,F"), []byte("another"), 0o600))
	want = slices.Insert(want, 10, want[10])
	f := readFolder(t, openReader(t, dir), "INBOX")
	for _, atOnce := range []int{1, 2, 3, 7, 50, 51, 52, 1000} {
		var got []string
		must(t, f.inOrder(atOnce, func(e Entry) error {
			got = append(got, e.Name.Base)
			if e.InNew && len(got) > 20 { // somebody reads it
				must(t, os.Rename(filepath.Join(dir, "new", e.File), filepath.Join(cur, e.File+":2,")))
			}
			found, err := f.Find(e.Name.Base)
			if err != nil || found.Name.Base != e.Name.Base {
				t.Errorf("%s is found as %+v, %v", e.Name.Base, found, err)
			}
			return nil
		}))
		if !slices.Equal(got, want) {
			t.Errorf("%d at once:\n%q\nnot\n%q", atOnce, got, want)
		}
	}
	if _, err := f.Find("1700000099.x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("one that is not there: %v", err)
	}
}

func TestCompareNumbers(t *testing.T) {
	t.Parallel()
	ordered := []string{"", "1.M2RAQ9.host", "1.M2RAQ10.host", "1.M2RAQ10.host,S=9", "1.M2RAQ10.host,S=10", "1.M2RB", "1.M10RA", "01.x", "001.x", "99999999999999999999999998", "99999999999999999999999999", "a", "a0", "b"}
	for i, a := range ordered {
		for j, b := range ordered {
			if got, want := compareNumbers(a, b), cmp.Compare(i, j); got != want {
				t.Errorf("%q and %q compare as %d", a, b, got)
			}
		}
	}
}

func TestCleanName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Lists/go.dev": "Lists/go.dev",
		"inbox":        "INBOX",
		"a//b/":        "a/b",
		"/":            "_",
		"":             "_",
		"../x/.":       "__/x/_",
		"tab\tx":       "tab_x",
		"bad\xffx":     "bad_x",
	} {
		if got := CleanName(name); got != want {
			t.Errorf("CleanName(%q) = %q, want %q", name, got, want)
		}
	}
	long := strings.Repeat("ü/", 500)
	if a, b := CleanName(long+"a"), CleanName(long+"b"); a == b {
		t.Errorf("two long names are one: %q", a)
	}
}

func FuzzCleanName(f *testing.F) {
	for _, tt := range folderNames {
		f.Add(tt.name)
	}
	for _, name := range []string{"", "/", "a//b", "..", "nul\x00", "ls\u2028", "bad\xff", strings.Repeat("ü", 120), strings.Repeat("/x", 200)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		clean := CleanName(name)
		if _, err := escapeName(clean); err != nil {
			t.Fatalf("%q became %q, which is no name: %v", name, clean, err)
		}
		if again := CleanName(clean); again != clean {
			t.Fatalf("%q became %q, and that %q", name, clean, again)
		}
		if _, err := escapeName(Normalize(name)); err == nil && clean != Normalize(name) {
			t.Fatalf("%q can be a name, but became %q", name, clean)
		}
	})
}
