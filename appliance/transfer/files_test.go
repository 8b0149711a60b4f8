package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tree writes files into a new directory. A name that ends with a slash is a directory, a text that begins with "-> " the target of a
// symbolic link.
func tree(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		var err error
		target, link := strings.CutPrefix(text, "-> ")
		switch {
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o700)
		case link:
			err = os.Symlink(target, path)
		default:
			err = os.WriteFile(path, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// wantFolders checks which texts came into which folder, and what was left out.
func wantFolders(t *testing.T, src Source, want map[string][]string, left ...string) *keeper {
	t.Helper()
	k := newKeeper()
	r, err := Import(t.Context(), src, k, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string][]string)
	for name := range k.folders {
		if texts := k.texts(name); len(texts) > 0 || name != "INBOX" {
			for i := range texts {
				texts[i] = strings.ReplaceAll(texts[i], "\r\n", "\n")
			}
			got[name] = texts
		}
	}
	if !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("there are\n%q\nnot\n%q", got, want)
	}
	var named []string
	for _, l := range r.Left {
		named = append(named, l.String())
	}
	if !slices.Equal(named, left) {
		t.Errorf("left out are\n%q\nnot\n%q", named, left)
	}
	return k
}

func TestMaildirSource(t *testing.T) {
	t.Parallel()
	outside := tree(t, map[string]string{"cur/1.x:2,": "secret"})
	dir := tree(t, map[string]string{
		"cur/2.b:2,FRSTDPab":       "two\n",
		"cur/1.a":                  "one\r\n",
		"new/3.c":                  "three",
		"cur/4.link:2,":            "-> " + outside + "/cur/1.x:2,",
		"dovecot-keywords":         "0 blue\n",
		".Lists.go\\2edev/cur/1.l": "list",
		".Out":                     "-> " + outside,
		"Nested/Deep/cur/1.d:2,S":  "deep",
		"Nested/Deep/.Sub/cur/1.s": "sub",
		"Nested/loop":              "-> ..",
		"letterbox.index":          "cache",
		"tmp/1.t":                  "unfinished",
	})
	src, err := OpenMaildir([]string{dir}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	k := wantFolders(t, src, map[string][]string{
		"INBOX": {"one\n", "two\n", "three"}, "Lists/go.dev": {"list"}, "Nested/Deep": {"deep"}, "Nested/Deep/Sub": {"sub"},
	}, "INBOX, 4.link:2,: reading it: openat cur/4.link:2,: path escapes from parent", ".Out: it is a symbolic link, which is not followed")
	if got := fmt.Sprint(k.folders["INBOX"][1].Flags); got != `[\Seen \Answered \Flagged \Deleted \Draft $Forwarded blue]` {
		t.Errorf("flags %s", got)
	}

	below, err := OpenMaildir([]string{dir}, "Old")
	if err != nil {
		t.Fatal(err)
	}
	defer below.Close()
	folders, err := below.Folders(t.Context())
	var names []string
	for _, f := range folders {
		names = append(names, f.Name)
	}
	if want := []string{"Old", "Old/Lists/go.dev", "Old/.Out", "Old/Nested/Deep", "Old/Nested/Deep/Sub"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("below a folder: %q, %v", names, err)
	}
}

// TestMaildirInUse: messages that a mail program renames, changes and removes while they are imported.
func TestMaildirInUse(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"new/1.a": "renamed", "cur/2.b:2,": "changed", "cur/3.c:2,": "removed", "cur/4.d:2,": "last"})
	src, err := OpenMaildir([]string{dir}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	folders, err := src.Folders(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	k := newKeeper()
	r, err := Import(t.Context(), meddled{src, func() {
		at := func(name string) string { return filepath.Join(dir, name) }
		if err := errors.Join(os.Rename(at("new/1.a"), at("cur/1.a:2,S")), os.WriteFile(at("cur/2.b:2,"), []byte("CHANGED"), 0o600), os.Remove(at("cur/3.c:2,"))); err != nil {
			t.Error(err)
		}
	}}, k, nil)
	if err != nil || len(folders) != 1 {
		t.Fatal(err)
	}
	if got := k.texts("INBOX"); !slices.Equal(got, []string{"renamed", "last"}) {
		t.Errorf("came %q", got)
	}
	if r.LeftOut != 2 || r.Left[0].Why != errChanged.Error() || !strings.Contains(r.Left[1].Why, "does not exist") {
		t.Errorf("left out %v", r.Left)
	}
}

// meddled is a Source with which somebody meddles before messages are fetched.
type meddled struct {
	*Maildir
	meddle func()
}

func (m meddled) Fetch(ctx context.Context, f Folder, msgs []Message, take func(int, io.Reader) error) error {
	m.meddle()
	return m.Maildir.Fetch(ctx, f, msgs, take)
}

func TestEMLSource(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{
		"holiday/2.eml":          "Date: Wed, 3 Jan 1996 01:05:34 +0000\n\ntwo",
		"holiday/10.EML":         "Received: from x by y; Thu, 4 Jan 1996 01:05:34 +0000\nDate: Wed, 3 Jan 1996 01:05:34 +0000\n\nten",
		"holiday/empty.eml":      "",
		"holiday/notes.txt":      "no message",
		"holiday/link.eml":       "-> ../secret",
		"holiday/up":             "-> ..",
		"holiday/sub/a.eml":      "Date: nonsense\n\na",
		"holiday/sub/deep/b.eml": "b",
		"secret":                 "secret",
	})
	if err := syscall.Mkfifo(filepath.Join(dir, "holiday/pipe.eml"), 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(dir, "holiday/sub/a.eml"), old, old); err != nil {
		t.Fatal(err)
	}
	src, err := OpenEML([]string{filepath.Join(dir, "holiday"), filepath.Join(dir, "secret")}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	k := wantFolders(t, src, map[string][]string{
		"INBOX":   {"secret"}, // named on the command line
		"holiday": {"Received: from x by y; Thu, 4 Jan 1996 01:05:34 +0000\nDate: Wed, 3 Jan 1996 01:05:34 +0000\n\nten", "Date: Wed, 3 Jan 1996 01:05:34 +0000\n\ntwo"},
		"sub":     {"Date: nonsense\n\na"}, "sub/deep": {"b"},
	}, "holiday, empty.eml: it is empty", "holiday, link.eml: it is a symbolic link, which is not followed",
		"holiday, pipe.eml: it is neither a file nor a directory", "up: it is a symbolic link, which is not followed")
	for i, want := range []string{"1996-01-04", "1996-01-03"} {
		if got := k.folders["holiday"][i].Date.Format(time.DateOnly); got != want {
			t.Errorf("message %d is of %s, not %s", i, got, want)
		}
	}
	if got := k.folders["sub"][0].Date; !got.Equal(old) {
		t.Errorf("without a date in it, it is of %v", got)
	}
}

func TestMboxSource(t *testing.T) {
	t.Parallel()
	one := from + "Subject: 1\n\none\n"
	pseudo := from + "X-IMAP: 1 2\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n\nx\n\n"
	dir := tree(t, map[string]string{
		"Inbox": pseudo + one, "Inbox.msf": "x", "Empty": "", "Lists.sbd/go": one, "Apple.mbox/mbox": one, "Apple.mbox/table_of_contents.plist": "x",
		"README": "no mbox", "loop": "-> .", ".hidden": "x", "a\tb.mbox": one,
	})
	src, err := OpenMbox([]string{dir}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	text := []string{"Subject: 1\n\none\n"}
	k := wantFolders(t, src, map[string][]string{"INBOX": text, "Empty": nil, "Lists/go": text, "Apple": text, "a_b": text},
		"README: "+errNoMbox.Error(), "loop: it is a symbolic link, which is not followed")
	if got := k.folders["Apple"][0].Date; !got.Equal(time.Date(1996, 1, 3, 1, 5, 34, 0, time.UTC)) {
		t.Errorf("the date is %v", got)
	}
	if _, err := OpenMbox([]string{filepath.Join(dir, "nowhere")}, ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// TestNameOrder: every name once, in order, however few are held in memory.
func TestNameOrder(t *testing.T) {
	t.Parallel()
	files := make(map[string]string)
	for i := range 60 {
		files[fmt.Sprint("f", i)] = ""
	}
	root, err := os.OpenRoot(tree(t, files))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	want := slices.Sorted(maps.Keys(files))
	for _, atOnce := range []int{1, 2, 7, 59, 60, 61, 1000} {
		var got []string
		if err := inNameOrder(root, ".", atOnce, func(name string) error {
			got = append(got, name)
			return nil
		}); err != nil || !slices.Equal(got, want) {
			t.Errorf("%d at once: %q, %v", atOnce, got, err)
		}
	}
}

// TestMboxDates: where a From line bears no date, the header tells it, and else the file.
func TestMboxDates(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"Inbox": "\ufeffFrom \r\nReceived: by x; Tue, 2 Jan 2024 03:04:05 +0000\r\nDate: Mon, 1 Jan 2024 03:04:05 +0000\r\n\r\n1\r\n\r\n" +
		"From \r\nDate: Mon, 1 Jan 2024 03:04:05 +0000\r\n\r\n2\r\n\r\n" + from + "Date: Mon, 1 Jan 2024 03:04:05 +0000\n\n3\n\nFrom -\nSubject: 4\n\nDate: Mon, 1 Jan 2024 03:04:05 +0000\n"})
	mtime := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(dir, "Inbox"), mtime, mtime); err != nil {
		t.Fatal(err)
	}
	src, err := OpenMbox([]string{dir}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	k := newKeeper()
	bringAll(t, src, k)
	var got []string
	for _, m := range k.folders["INBOX"] {
		got = append(got, m.Date.UTC().Format(time.DateTime))
	}
	for _, m := range k.folders["Inbox"] {
		got = append(got, m.Date.UTC().Format(time.DateTime))
	}
	if want := []string{"2024-01-02 03:04:05", "2024-01-01 03:04:05", "1996-01-03 01:05:34", "2025-01-01 00:00:00"}; !slices.Equal(got, want) {
		t.Errorf("the dates are %q, want %q", got, want)
	}
}

// TestThrownAway: what Thunderbird has thrown away is named, and no sender can have a message taken for that.
func TestThrownAway(t *testing.T) {
	t.Parallel()
	src, err := OpenMbox([]string{tree(t, map[string]string{"INBOX": from + "X-Mozilla-Status: 0009\nSubject: 1\n\n\n" + from + "Received: x\nX-Mozilla-Status: 0009\nX-Status: D\n\n"})}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	k := newKeeper()
	r := bringAll(t, src, k)
	if got := k.folders["INBOX"]; len(got) != 1 || len(got[0].Flags) != 0 || r.Folders[0].ThrownAway != 1 {
		t.Errorf("%+v, %+v", got, r)
	}
	if len(r.PassedOver) != 1 || !strings.HasPrefix(r.PassedOver[0].String(), "INBOX, message 1, ") {
		t.Errorf("passed over are %q", r.PassedOver)
	}
}

// TestBesideMboxNamed: a file that is passed over because of its name is named.
func TestBesideMboxNamed(t *testing.T) {
	t.Parallel()
	src, err := OpenMbox([]string{tree(t, map[string]string{"a": from + "\n1\n", "a.msf": "x", "sub/bills.html": from + "\n2\n", "x.json": "{}"})}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	var named []string
	for _, l := range bringAll(t, src, newKeeper()).PassedOver {
		named = append(named, l.Folder)
	}
	if want := []string{"sub/bills.html", "x.json"}; !slices.Equal(named, want) {
		t.Errorf("passed over are %q, want %q", named, want)
	}
}
