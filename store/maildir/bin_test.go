package maildir

import (
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

func openBin(t testing.TB, r *Root, o Options) *Bin {
	t.Helper()
	b, err := OpenBin(filepath.Dir(r.Path()), o)
	must(t, err)
	t.Cleanup(func() { b.Close() })
	return b
}

// kept tells what the bin holds: "day/folder" to the texts in it, with what is
// known of each.
func kept(t testing.TB, b *Bin) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	days, err := b.Days()
	must(t, err)
	for _, day := range days {
		dirs, err := b.Folders(day)
		must(t, err)
		for _, dir := range dirs {
			k, err := b.Folder(day, dir)
			must(t, err)
			found[day.String()+"/"+k.Name] = tell(t, k)
			must(t, k.Close())
		}
	}
	return found
}

func tell(t testing.TB, k *KeptFolder) (list []string) {
	t.Helper()
	entries, err := k.Page("", 100)
	must(t, err)
	ms, err := k.Messages(entries)
	must(t, err)
	for _, m := range ms {
		file, err := k.Open(m.At)
		must(t, err)
		text, err := io.ReadAll(file)
		must(t, errors.Join(err, file.Close()))
		guid := m.GUID
		if guid == m.Base {
			guid = "base"
		}
		list = append(list, fmt.Sprint(string(text), " ", m.Flags, " ", m.Keywords, " ", guid))
	}
	slices.Sort(list)
	return list
}

func wantKept(t testing.TB, b *Bin, want map[string][]string) {
	t.Helper()
	if got := kept(t, b); !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("the bin holds\n%q\nwant\n%q", got, want)
	}
}

func keep(t testing.TB, b *Bin, f *Folder, date string, ks ...Keeping) {
	t.Helper()
	done, missing, err := b.Keep(f, date, ks)
	if err != nil || done != len(ks) || len(missing) > 0 {
		t.Fatalf("%d of %d kept, %v missing, %v", done, len(ks), missing, err)
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	r := openTree(t, Options{})
	b := openBin(t, r, Options{})
	wantKept(t, b, map[string][]string{})
	makeFolders(t, r, "Lists/go.dev")
	in, lists := openFolder(t, r, "INBOX"), openFolder(t, r, "Lists/go.dev")
	one, two := place(t, in, "one", Seen|Deleted), place(t, in, "two", 0)
	three := place(t, lists, "three", Flagged)
	keep(t, b, in, "2026-11-28", Keeping{From: Ref{File: one.File()}})
	keep(t, b, in, "2026-11-28", Keeping{From: Ref{File: two.File()}, GUID: "0123abcd", Keywords: []string{"x", "$MDNSent"}})
	keep(t, b, lists, "2026-11-29", Keeping{From: Ref{File: three.File()}})
	if left := len(scan(t, in)) + len(scan(t, lists)); left != 0 {
		t.Errorf("%d messages are left in their folders", left)
	}
	wantKept(t, b, map[string][]string{
		"2026-11-28/INBOX":        {"one 9 [] base", "two 0 [x $MDNSent] 0123abcd"},
		"2026-11-29/Lists/go.dev": {"three 4 [] base"},
	})
	path := filepath.Join(filepath.Dir(r.Path()), "Expunged", "2026-11-28", "INBOX", "cur", one.File())
	if info, err := os.Stat(path); err != nil || !info.ModTime().Equal(time.Unix(1600000000, 0)) {
		t.Errorf("the file is not what it was: %v, %v", info, err)
	}
	for _, sub := range []string{"cur", "new", "tmp"} {
		if _, err := os.Stat(filepath.Join(filepath.Dir(r.Path()), "Expunged", "2026-11-29", `Lists.go\2edev`, sub)); err != nil {
			t.Errorf("it is no Maildir: %v", err)
		}
	}
	done, missing, err := b.Keep(in, "2026-11-28", []Keeping{{From: Ref{File: one.File()}}})
	if done != 1 || len(missing) != 1 || err != nil {
		t.Errorf("what is gone: %d, %v, %v", done, missing, err)
	}
}

// The letters of keywords mean in the bin what they meant, also when the folder
// is made anew on the same day and gives them to others.
func TestKeptKeywords(t *testing.T) {
	t.Parallel()
	r := openTree(t, Options{})
	b := openBin(t, r, Options{})
	expunge := func(text string, keywords ...string) {
		t.Helper()
		f := openFolder(t, r, "Work")
		k, _, err := f.AddKeywords(t.Context(), keywords)
		must(t, err)
		n := place(t, f, text, 0)
		for _, name := range keywords {
			n.Keywords |= 1 << k.Index(name)
		}
		n.Keywords |= 1 << 25 // which means nothing
		must(t, os.Rename(filepath.Join(f.Path(), "cur", Name{Base: n.Base, HasInfo: true}.File()), filepath.Join(f.Path(), "cur", n.File())))
		keep(t, b, f, "2026-11-28", Keeping{From: Ref{File: n.File()}})
	}
	makeFolders(t, r, "Work")
	expunge("one", "red")
	expunge("two", "red", "blue")
	must(t, r.Remove("Work"))
	makeFolders(t, r, "Work")
	expunge("three", "green")
	expunge("four")
	wantKept(t, b, map[string][]string{
		"2026-11-28/Work":   {"one 0 [red] base", "two 0 [red blue] base"},
		"2026-11-28-2/Work": {"four 0 [] base", "three 0 [green] base"},
	})
}

// More keywords without a letter than a mark has bits go elsewhere.
func TestKeptManyKeywords(t *testing.T) {
	t.Parallel()
	r := openTree(t, Options{})
	b := openBin(t, r, Options{})
	f := openFolder(t, r, "INBOX")
	for i := range 70 {
		n := place(t, f, fmt.Sprint("text ", i), 0)
		keep(t, b, f, "2026-11-28", Keeping{From: Ref{File: n.File()}, Keywords: []string{fmt.Sprint("k", i)}})
	}
	var all []string
	for _, texts := range kept(t, b) {
		all = append(all, texts...)
	}
	for i := range 70 {
		if want := fmt.Sprintf("text %d 0 [k%d] base", i, i); !slices.ContainsFunc(all, func(s string) bool { return strings.HasPrefix(s, want[:len(want)-4]) }) {
			t.Errorf("%q is not in the bin", want)
		}
	}
	if len(all) != 70 {
		t.Errorf("%d messages", len(all))
	}
}

func TestKeepFolder(t *testing.T) {
	t.Parallel()
	r := openTree(t, Options{})
	b := openBin(t, r, Options{})
	for i, text := range []string{"one", "two"} {
		makeFolders(t, r, "Work/2026")
		f := openFolder(t, r, "Work/2026")
		k, _, err := f.AddKeywords(t.Context(), []string{"red"})
		must(t, err)
		n := place(t, f, text, 0)
		must(t, os.Rename(filepath.Join(f.Path(), "cur", n.File()), filepath.Join(f.Path(), "new", n.Base))) // as others deliver
		m := place(t, f, text+" again", Seen)
		lock, err := f.LockUIDList(t.Context())
		must(t, err)
		must(t, lock.Rewrite(UIDHeader{UIDValidity: 7, UIDNext: 9, GUID: NewGUID()}, records(UIDRecord{UID: 3, Base: m.Base, GUID: "from", Physical: -1, Virtual: -1})))
		must(t, lock.Unlock())
		must(t, f.SetFolderFile(FolderFile{SpecialUse: `\Junk`, Keywords: []ExtraKeyword{{"late", 7, []UIDRange{{2, 4}}}, {"other", 6, []UIDRange{{1, 9}}}}}))
		must(t, os.WriteFile(filepath.Join(f.Path(), "letterbox.index"), []byte("cache"), 0o600))
		if k.Index("red") != 0 {
			t.Fatal(k)
		}
		keep(t, b, f, "2026-11-28")
		must(t, b.KeepFolder(r, "Work/2026", "2026-11-28"))
		if _, ok, err := r.Lookup("Work/2026"); ok || err != nil {
			t.Errorf("it is still there: %v", err)
		}
		want := map[string][]string{"2026-11-28/Work/2026": {"one 0 [] base", "one again 1 [late] from"}}
		if i == 1 {
			want["2026-11-28-2/Work/2026"] = []string{"two 0 [] base", "two again 1 [late] from"}
		}
		wantKept(t, b, want)
	}
	dir := filepath.Join(filepath.Dir(r.Path()), "Expunged", "2026-11-28", "Work.2026")
	if got := ls(t, dir); !slices.Equal(got, []string{"cur", "dovecot-keywords", "dovecot-uidlist", "letterbox-folder", "new", "tmp"}) {
		t.Errorf("left of the folder: %q", got)
	}
	k, err := b.Folder(BinDay{"2026-11-28", 1}, "Work.2026")
	must(t, err)
	defer k.Close()
	if use, err := k.SpecialUse(); use != `\Junk` || err != nil {
		t.Errorf("special use %q, %v", use, err)
	}

	// A deleted folder takes nothing more in; an empty one is just gone.
	makeFolders(t, r, "Work/2026", "Empty")
	f := openFolder(t, r, "Work/2026")
	n := place(t, f, "three", 0)
	keep(t, b, f, "2026-11-28", Keeping{From: Ref{File: n.File()}})
	must(t, b.KeepFolder(r, "Empty", "2026-11-28"))
	got := kept(t, b)
	if texts := got["2026-11-28-3/Work/2026"]; len(got) != 3 || !slices.Equal(texts, []string{"three 0 [] base"}) {
		t.Errorf("the bin holds %q", got)
	}
	if err := b.KeepFolder(r, "inbox", "2026-11-28"); !errors.Is(err, ErrBadName) {
		t.Errorf("INBOX: %v", err)
	}
	if err := b.KeepFolder(r, "Empty", "2026-11-28"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
}

func TestOutOfTheBin(t *testing.T) {
	t.Parallel()
	r := openTree(t, Options{})
	b := openBin(t, r, Options{})
	f := openFolder(t, r, "INBOX")
	var ks []Keeping
	for i := range 10 {
		ks = append(ks, Keeping{From: Ref{File: place(t, f, fmt.Sprint(i), 0).File()}})
	}
	keep(t, b, f, "2026-11-28", ks[:9]...)
	keep(t, b, f, "2026-11-29", ks[9])
	k, err := b.Folder(BinDay{"2026-11-28", 1}, "INBOX")
	must(t, err)
	defer k.Close()

	var paged []Entry
	for after := ""; ; {
		page, err := k.Page(after, 4)
		must(t, err)
		if len(page) == 0 {
			break
		}
		paged = append(paged, page...)
		after = page[len(page)-1].File
	}
	if len(paged) != 9 || !slices.IsSortedFunc(paged, func(a, b Entry) int { return strings.Compare(a.File, b.File) }) {
		t.Fatalf("in pages: %v", paged)
	}
	must(t, b.Clear(k)) // there is something in it
	moved, durable, err := k.MoveTo(f, []Transfer{{paged[0].Ref(), Ref{File: "1.back:2,"}}, {Ref{File: "gone"}, Ref{File: "0.back:2,"}}, {paged[1].Ref(), Ref{File: "2.back:2,"}}})
	if !slices.Equal(moved, []bool{true, false, true}) || !durable || err != nil || len(scan(t, f)) != 2 {
		t.Errorf("%v moved, %v", moved, err)
	}
	must(t, os.Link(filepath.Join(b.fs.Name(), "Expunged", "2026-11-28", "INBOX", "cur", paged[8].File), filepath.Join(f.Path(), "cur", "3.linked:2,")))
	var refs []Ref
	for i, e := range paged {
		refs = append(refs, e.Ref())
		if room := k.Room(e.Ref()); (room > 0) != (i > 1 && i < 8) {
			t.Errorf("removing message %d makes room for %d octets", i, room)
		}
	}
	must(t, k.Remove(refs))
	must(t, b.Clear(k))
	if got := ls(t, filepath.Join(b.fs.Name(), "Expunged")); !slices.Equal(got, []string{"2026-11-29"}) {
		t.Errorf("left: %q", got)
	}
	must(t, b.Redate(BinDay{"2026-11-29", 1}, "2026-11-30"))
	k, err = b.Folder(BinDay{"2026-11-30", 1}, "INBOX")
	must(t, err)
	defer k.Close()
	last, err := k.Page("", 1)
	must(t, err)
	must(t, errors.Join(k.Remove([]Ref{last[0].Ref()}), b.Clear(k)))
	if got := ls(t, b.fs.Name()); !slices.Equal(got, []string{"Maildir"}) {
		t.Errorf("left: %q", got)
	}
}

// What stands in the way of a bin keeps nobody from removing mail.
func TestBinInTheWay(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(path string) error{
		"a file":             func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"a link":             func(path string) error { return os.Symlink(t.TempDir(), path) },
		"a link inside":      func(path string) error { return os.Symlink("Maildir", path) },
		"a link to nowhere":  func(path string) error { return os.Symlink("nowhere", path) },
		"a link to a folder": func(path string) error { return os.Symlink("..", path) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := openTree(t, Options{})
			must(t, make(filepath.Join(filepath.Dir(r.Path()), "Expunged")))
			b := openBin(t, r, Options{})
			makeFolders(t, r, "Work")
			f := openFolder(t, r, "Work")
			n := place(t, f, "one", 0)
			if done, _, err := b.Keep(f, "2026-11-28", []Keeping{{From: Ref{File: n.File()}}}); done != 0 || !errors.Is(err, ErrNotKept) {
				t.Errorf("kept: %d, %v", done, err)
			}
			if err := b.KeepFolder(r, "Work", "2026-11-28"); !errors.Is(err, ErrNotKept) {
				t.Errorf("kept: %v", err)
			}
			if len(scan(t, f)) != 1 {
				t.Error("it is gone")
			}
		})
	}
}

// A message that finds no room is left where it is, and named.
func TestNoRoomInTheBin(t *testing.T) {
	t.Parallel()
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO} {
		moved := 0
		o := Options{Step: func(step string) error {
			if step == StepKeep {
				if moved++; moved > 2 {
					return errno
				}
			}
			return nil
		}}
		r := openTree(t, o)
		b := openBin(t, r, o)
		f := openFolder(t, r, "INBOX")
		var ks []Keeping
		for i := range 4 {
			ks = append(ks, Keeping{From: Ref{File: place(t, f, fmt.Sprint(i), 0).File()}})
		}
		done, missing, err := b.Keep(f, "2026-11-28", ks)
		if done != 2 || missing != nil || !errors.Is(err, errno) || errors.Is(err, ErrNotKept) != (errno != syscall.EIO) {
			t.Errorf("%v: %d kept, %v, %v", errno, done, missing, err)
		}
		if len(scan(t, f)) != 2 || len(kept(t, b)["2026-11-28/INBOX"]) != 2 {
			t.Errorf("%v: %v and %v", errno, scan(t, f), kept(t, b))
		}
	}
}

func TestBinDays(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]BinDay{
		"2026-11-28":      {"2026-11-28", 1},
		"2026-11-28-2":    {"2026-11-28", 2},
		"2026-11-28-1000": {"2026-11-28", 1000},
		"2026-11-28-1":    {}, "2026-11-28-02": {}, "2026-11-28-": {}, "2026-11-28--2": {}, "2026-11-28.2": {},
		"2026-11-31": {}, "": {}, "2026-11": {}, ".2026-11-2": {}, "12026-11-28": {},
	} {
		if got, ok := ParseBinDay(name); ok != (want.Part > 0) || ok && (got != want || got.String() != name) {
			t.Errorf("%q is %+v, %v", name, got, ok)
		}
	}
}

// The names of files say of a message what its line said.
func TestBinNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("l", 200)
	for _, c := range []struct {
		base, guid string
		extra      uint64
		file       string // "": it does not fit
	}{
		{"1.a.h,S=1,W=1", "", 0, "1.a.h,S=1,W=1:2,S"},
		{"1.a.h,S=1,W=1", "0.b.h,S=1,W=1", 0, "1.a.h,S=1,W=1,G=0.b.h,S=1,W=1:2,S"},
		{"1.a.h", "", 5, "1.a.h,K=5,G=" + EmailID("1.a.h") + ":2,S"},
		{"1.a.h", "g", 1 << 63, "1.a.h,K=8000000000000000,G=g:2,S"},
		{"1.a,G=x", "", 0, "1.a,G=x,G=" + EmailID("1.a,G=x") + ":2,S"},
		{"1.a,K=1,G=x", "y", 0, "1.a,K=1,G=x,K=0,G=y:2,S"},
		{"1.a,K=1", "y", 0, "1.a,K=1,K=0,G=y:2,S"},
		{"1.a", "x/y", 0, "1.a,G=" + EmailID("x/y") + ":2,S"},
		{"1.a", "x,G=y", 0, "1.a,G=" + EmailID("x,G=y") + ":2,S"},
		{"1." + long, "9." + long, 0, "1." + long + ",G=" + EmailID("9."+long) + ":2,S"},
		{"1.a" + long + long[:50], "x", 0, ""},
	} {
		n := binName{Name{Base: c.base, Flags: Seen, HasInfo: true}, c.guid, c.extra}
		file, ok := n.file()
		if ok != (c.file != "") || ok && file != c.file {
			t.Errorf("%+v became %q, %v", n, file, ok)
			continue
		}
		if !ok {
			if file, ok = n.anew().file(); !ok || !strings.HasPrefix(file, "1.R") {
				t.Errorf("%+v became %q anew", n, file)
			}
		}
		checkBinName(t, n, file)
	}
}

// checkBinName reads a name back.
func checkBinName(t *testing.T, n binName, file string) {
	t.Helper()
	back := parseBinName(file)
	id, want := back.GUID, n.GUID
	if id == "" {
		id = back.Base
	}
	if want == "" {
		want = n.Base
	}
	if EmailID(id) != EmailID(want) || back.Extra != n.Extra || back.Flags != n.Flags || back.Keywords != n.Keywords || back.Unknown != n.Unknown || len(file) > maxDirName {
		t.Errorf("%+v became %q, which is %+v", n, file, back)
	}
	if back.Base != n.Base && !strings.Contains(back.Base, ".R") {
		t.Errorf("%+v became %q, with the base name %q", n, file, back.Base)
	}
}

func FuzzBinName(f *testing.F) {
	f.Add("1.a.h,S=1,W=1:2,FSa", "", uint64(0))
	f.Add("1.a,K=1,G=x:2,S", "0.b,G=", uint64(3))
	f.Add("1.a:2,S,x", "é\x00/", uint64(1<<63))
	f.Fuzz(func(t *testing.T, file, guid string, extra uint64) {
		n := binName{ParseName(ParseName(file).File()), guid, extra} // letters in order
		if (Ref{File: file}).check() != nil || n.Base == "" || len(file) > maxDirName {
			return
		}
		out, ok := n.file()
		if !ok {
			if out, ok = n.anew().file(); !ok {
				return
			}
		}
		if err := (Ref{File: out}).check(); err != nil {
			t.Fatal(err)
		}
		checkBinName(t, n, out)
	})
}
