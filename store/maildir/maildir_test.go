package maildir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// find looks for the message with a base name by reading the directories.
// Errors wrap fs.ErrNotExist when there is none.
func find(f *Folder, base string) (found Entry, err error) {
	there := false
	err = f.Scan(func(e Entry) error {
		if e.Name.Base == base {
			found, there = e, true
		}
		return nil
	})
	if err == nil && !there {
		err = fs.ErrNotExist
	}
	return found, err
}

// openTree makes a tree in a fresh directory.
func openTree(t testing.TB, o Options) *Root {
	t.Helper()
	r, err := CreateRoot(filepath.Join(t.TempDir(), "Maildir"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func openFolder(t testing.TB, r *Root, name string) *Folder {
	t.Helper()
	f, err := r.Folder(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// place writes a message and returns its base name.
func place(t testing.TB, f *Folder, text string, flags Flags) Name {
	t.Helper()
	size := int64(len(text))
	n := Name{Base: f.root.NewNamer(time.Unix(1700000000, 0)).Next(Sizes{size, size}), Flags: flags, HasInfo: true}
	temp, err := f.NewTemp()
	must(t, err)
	_, err = io.WriteString(temp, text)
	must(t, err)
	must(t, temp.SetDate(time.Unix(1600000000, 0)))
	must(t, temp.Finish())
	must(t, temp.Place(Ref{File: n.File()}))
	must(t, temp.Discard())
	must(t, f.SyncCur())
	return n
}

func scan(t testing.TB, f *Folder) map[string]Entry {
	t.Helper()
	found := map[string]Entry{}
	must(t, f.Scan(func(e Entry) error { found[e.File] = e; return nil }))
	return found
}

func readAll(t testing.TB, f *Folder, at Ref) string {
	t.Helper()
	file, err := f.Open(at)
	must(t, err)
	defer file.Close()
	b, err := io.ReadAll(file)
	must(t, err)
	return string(b)
}

func ls(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestMessages(t *testing.T) {
	t.Parallel()
	f := openFolder(t, openTree(t, Options{}), "INBOX")
	n := place(t, f, "Subject: a\r\n\r\nb\r\n", Seen)

	info, err := f.Stat(Ref{File: n.File()})
	must(t, err)
	if !info.ModTime().Equal(time.Unix(1600000000, 0)) || info.Mode().Perm() != 0o600 {
		t.Errorf("INTERNALDATE %v, mode %v", info.ModTime(), info.Mode())
	}
	if got := readAll(t, f, Ref{File: n.File()}); got != "Subject: a\r\n\r\nb\r\n" {
		t.Errorf("the message is %q", got)
	}

	flagged := n
	flagged.Flags |= Flagged
	errs, err := f.Rename([]Renaming{
		{Ref{File: n.File()}, Ref{File: flagged.File()}},
		{Ref{File: "gone"}, Ref{File: "gone:2,S"}},
		{Ref{File: flagged.File()}, Ref{File: flagged.File()}},
	})
	must(t, err)
	if errs[0] != nil || !errors.Is(errs[1], fs.ErrNotExist) || errs[2] != nil {
		t.Errorf("renaming: %v", errs)
	}
	e, err := find(f, n.Base)
	must(t, err)
	if e.File != n.Base+":2,FS" || e.Name.File() != e.File || e.InNew {
		t.Errorf("found %+v", e)
	}
	if _, err := find(f, "other"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("finding nothing: %v", err)
	}

	must(t, f.Remove([]Ref{e.Ref(), {File: "gone"}}))
	if left := scan(t, f); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if left := ls(t, filepath.Join(f.Path(), "tmp")); len(left) != 0 {
		t.Errorf("left in tmp: %v", left)
	}
}

func TestNothingIsOverwritten(t *testing.T) {
	t.Parallel()
	f := openFolder(t, openTree(t, Options{}), "INBOX")
	a, b := place(t, f, "a", 0), place(t, f, "b", 0)
	errs, err := f.Rename([]Renaming{{Ref{File: a.File()}, Ref{File: b.File()}}})
	must(t, err)
	if !errors.Is(errs[0], fs.ErrExist) {
		t.Errorf("renaming one message over another: %v", errs[0])
	}
	temp, err := f.NewTemp()
	must(t, err)
	if err := temp.Place(Ref{File: "x"}); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("placing before Finish: %v", err)
	}
	must(t, temp.SetDate(time.Unix(1, 0)))
	must(t, temp.Finish())
	if err := temp.Place(Ref{File: b.File()}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("placing over a message: %v", err)
	}
	must(t, temp.Discard())
	if readAll(t, f, Ref{File: a.File()}) != "a" || readAll(t, f, Ref{File: b.File()}) != "b" {
		t.Error("a message has changed")
	}
}

func TestCopyAndMove(t *testing.T) {
	t.Parallel()
	r := openTree(t, Options{})
	_, err := r.Create("To")
	must(t, err)
	inbox, to := openFolder(t, r, "INBOX"), openFolder(t, r, "To")
	a, b := place(t, inbox, "a", Seen), place(t, inbox, "b", 0)
	ref := func(n Name) Ref { return Ref{File: n.File()} }

	done, err := to.LinkFrom(inbox, []Transfer{{ref(a), Ref{File: "copy:2,S"}}, {Ref{File: "gone"}, Ref{File: "x"}}, {ref(b), ref(b)}})
	if done != 1 || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("copying: %d, %v", done, err)
	}
	must(t, r.Rename("To", "Deep/er")) // open folders follow
	done, err = to.MoveFrom(inbox, []Transfer{{ref(a), ref(a)}, {ref(b), Ref{InNew: true, File: b.Base}}})
	must(t, err)
	must(t, errors.Join(to.SyncCur(), to.SyncNew(), inbox.SyncCur()))
	got := scan(t, to)
	if done != 2 || len(got) != 3 || len(scan(t, inbox)) != 0 || !got[b.Base].InNew {
		t.Errorf("after moving %d: %v", done, got)
	}
	if readAll(t, to, Ref{File: "copy:2,S"}) != "a" {
		t.Error("the copy differs")
	}
}

func TestCopyWithoutHardLinks(t *testing.T) {
	t.Parallel()
	r := openTree(t, Options{})
	inbox := openFolder(t, r, "INBOX")
	a := place(t, inbox, "a message", Seen)
	must(t, inbox.copyFrom(inbox, Transfer{Ref{File: a.File()}, Ref{File: "copy"}}))
	info, err := inbox.Stat(Ref{File: "copy"})
	must(t, err)
	if readAll(t, inbox, Ref{File: "copy"}) != "a message" || !info.ModTime().Equal(time.Unix(1600000000, 0)) {
		t.Errorf("the copy differs: %v", info.ModTime())
	}
}

// TestLinkedCur: a cur/ that is a symbolic link within the folder stays open from one use to the next.
func TestLinkedCur(t *testing.T) {
	t.Parallel()
	f := openFolder(t, openTree(t, Options{}), "INBOX")
	must(t, os.Rename(filepath.Join(f.Path(), "cur"), filepath.Join(f.Path(), "elsewhere")))
	must(t, os.Symlink("elsewhere", filepath.Join(f.Path(), "cur")))
	first, err := f.handle(curDir)
	must(t, err)
	again, err := f.handle(curDir)
	must(t, err)
	if first != again {
		t.Error("it was opened anew")
	}
	n := place(t, f, "a message", Seen)
	if got := readAll(t, f, Ref{File: n.File()}); got != "a message" {
		t.Errorf("the message is %q", got)
	}
}

func TestRefsThatLeadElsewhere(t *testing.T) {
	t.Parallel()
	r := openTree(t, Options{})
	f := openFolder(t, r, "INBOX")
	outside := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(outside, []byte("secret"), 0o600))
	must(t, os.Symlink(outside, filepath.Join(f.Path(), "cur", "link:2,")))
	must(t, os.Mkdir(filepath.Join(f.Path(), "cur", "dir:2,"), 0o700))
	for _, name := range []string{"link:2,", "dir:2,", "", ".", "..", "../cur/x", "../../secret", "a/b", "nul\x00"} {
		if file, err := f.Open(Ref{File: name}); err == nil {
			t.Errorf("%q was opened: %s", name, file.Name())
		}
		if errs, err := f.Rename([]Renaming{{Ref{File: "x"}, Ref{File: name}}}); err == nil && errs[0] == nil {
			t.Errorf("renaming to %q went well", name)
		}
	}
	must(t, os.Mkdir(filepath.Join(r.Path(), ".Evil"), 0o700))
	must(t, os.Symlink(filepath.Dir(outside), filepath.Join(r.Path(), ".Evil", "cur")))
	must(t, os.Symlink(filepath.Dir(outside), filepath.Join(r.Path(), ".Out")))
	must(t, os.Mkdir(filepath.Join(filepath.Dir(outside), "cur"), 0o700))
	for _, name := range []string{"Evil", "Out", "../x", ".."} {
		if _, err := r.Folder(name); err == nil {
			t.Errorf("the folder %q was opened", name)
		}
	}
	folders, err := r.Folders()
	must(t, err)
	if !slices.Equal(folders, []string{"INBOX"}) {
		t.Errorf("folders: %q", folders)
	}
}

func TestStampShowsChanges(t *testing.T) {
	t.Parallel()
	f := openFolder(t, openTree(t, Options{}), "INBOX")
	past := time.Unix(1700000000, 0)
	for _, dir := range []string{"cur", "new"} {
		must(t, f.fs.Chtimes(dir, past, past))
	}
	before, err := f.Stamp()
	must(t, err)
	place(t, f, "a", 0)
	after, err := f.Stamp()
	must(t, err)
	if before == after {
		t.Error("a new message does not show")
	}
}

func TestCleanTmp(t *testing.T) {
	t.Parallel()
	f := openFolder(t, openTree(t, Options{}), "INBOX")
	now := time.Now().Add(37 * time.Hour)
	for name, age := range map[string]time.Duration{"old": 1000 * time.Hour, "young": 35 * time.Hour, "future": -time.Hour} {
		path := filepath.Join(f.Path(), "tmp", name)
		must(t, os.WriteFile(path, nil, 0o600))
		must(t, os.Chtimes(path, now.Add(-age), now.Add(-age)))
	}
	const text = "dovecot-uidlist.tmp-ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	must(t, os.WriteFile(filepath.Join(f.Path(), text), nil, 0o600))
	must(t, os.Chtimes(filepath.Join(f.Path(), text), now.Add(-37*time.Hour), now.Add(-37*time.Hour)))
	must(t, f.CleanTmp(time.Now())) // a message that is being written has its own date
	if left := ls(t, filepath.Join(f.Path(), "tmp")); len(left) != 3 {
		t.Errorf("left: %q", left)
	}
	must(t, f.CleanTmp(now))
	if left := ls(t, f.Path()); slices.Contains(left, text) {
		t.Errorf("left: %q", left)
	}
	if left := ls(t, filepath.Join(f.Path(), "tmp")); !slices.Equal(left, []string{"future", "young"}) {
		t.Errorf("left: %q", left)
	}
}

func TestIntents(t *testing.T) {
	t.Parallel()
	r := openTree(t, Options{})
	f := openFolder(t, r, "INBOX")
	keep := place(t, f, "keep", 0)

	namer := r.NewNamer(time.Unix(1700000000, 0))
	intent, err := f.BeginIntent(namer)
	must(t, err)
	from := Ref{File: keep.File()}
	first, second := namer.Next(Sizes{4, 4}), namer.Next(Sizes{4, 4})
	_, err = f.LinkFrom(f, []Transfer{{from, Ref{File: first + ":2,S"}}, {from, Ref{InNew: true, File: second}}})
	must(t, err)

	removed, err := f.Recover()
	must(t, err)
	slices.Sort(removed)
	if !slices.Equal(removed, []string{first, second}) {
		t.Errorf("removed %q", removed)
	}
	if got := scan(t, f); len(got) != 1 || readAll(t, f, from) != "keep" {
		t.Errorf("left: %v", got)
	}
	must(t, f.EndIntent(intent))

	intent, err = f.BeginIntent(namer)
	must(t, err)
	_, err = f.LinkFrom(f, []Transfer{{from, Ref{File: namer.Next(Sizes{4, 4})}}})
	must(t, err)
	must(t, f.EndIntent(intent))
	if removed, err := f.Recover(); err != nil || len(removed) != 0 || len(scan(t, f)) != 2 {
		t.Errorf("an ended operation was taken back: %q, %v", removed, err)
	}

	// A damaged intent removes nothing.
	must(t, os.WriteFile(filepath.Join(f.Path(), strings.Replace(intent.file, intent.file[len(intentPrefix):], strings.Repeat("A", 26), 1)), []byte("\n"), 0o600))
	if removed, err := f.Recover(); err != nil || len(removed) != 0 || len(scan(t, f)) != 2 {
		t.Errorf("a damaged intent removed %q, %v", removed, err)
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, err := Probe(dir)
	must(t, err)
	if !a.HardLinks || len(a.Notes) != 0 || a.Granularity > granularity {
		t.Errorf("%+v", a)
	}
	if left := ls(t, dir); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
	_, err = Probe(filepath.Join(dir, "missing"))
	if !errors.Is(err, ErrUnfit) || strings.Contains(err.Error(), "\n") {
		t.Errorf("a missing directory: %v", err)
	}
}

func TestLockKeepsOthersOut(t *testing.T) {
	t.Parallel()
	f := openFolder(t, openTree(t, Options{}), "INBOX")
	lock, err := f.LockUIDList(t.Context())
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.LockUIDList(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a second lock: %v", err)
	}
	must(t, lock.Touch())
	must(t, lock.Unlock())

	path := filepath.Join(f.Path(), "dovecot-uidlist.lock")
	// Process 1 is alive on every machine.
	must(t, os.WriteFile(path, []byte("1:"+hostname()), 0o600))
	if _, err := f.LockUIDList(ctx); !errors.Is(err, ErrLocked) {
		t.Errorf("with another program's lock: %v", err)
	}
	for why, text := range map[string]string{
		"a dead process":        "99999999:" + hostname(),
		"a process of our name": "self:" + hostname(),
	} {
		text = strings.Replace(text, "self", strconv.Itoa(os.Getpid()), 1)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		lock, err := f.LockUIDList(t.Context())
		if err != nil {
			t.Fatalf("the lock of %s: %v", why, err)
		}
		must(t, lock.Unlock())
	}
	must(t, os.WriteFile(path, []byte("1:elsewhere"), 0o600))
	old := time.Now().Add(-3 * time.Minute)
	must(t, os.Chtimes(path, old, old))
	lock, err = f.LockUIDList(t.Context())
	must(t, err)

	must(t, os.Remove(path))
	must(t, os.WriteFile(path, []byte("1:elsewhere"), 0o600))
	if err := appendRecords(lock, []UIDRecord{{UID: 1, Base: "x"}}); !errors.Is(err, ErrLockLost) {
		t.Errorf("appending after the lock was lost: %v", err)
	}
	if err := lock.Unlock(); !errors.Is(err, ErrLockLost) {
		t.Errorf("unlocking after the lock was lost: %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "1:elsewhere" {
		t.Errorf("the other program's lock: %q, %v", text, err)
	}
}

// A folder's lock is one file as long as the folder is open.
func TestLockFileIsUsedAgain(t *testing.T) {
	t.Parallel()
	r := openTree(t, Options{})
	f, err := r.Folder("INBOX")
	must(t, err)
	tmp := filepath.Join(f.Path(), "tmp")
	spares := func() []string {
		files, err := filepath.Glob(filepath.Join(tmp, "*"))
		must(t, err)
		return files
	}
	was := ""
	for round := range 4 {
		lock, err := f.LockUIDList(t.Context())
		must(t, err)
		text, err := os.ReadFile(filepath.Join(f.Path(), "dovecot-uidlist.lock"))
		must(t, err)
		if want := fmt.Sprintf("%d:%s", os.Getpid(), hostname()); string(text) != want {
			t.Errorf("the lock holds %q, want %q", text, want)
		}
		file := spares()[0]
		held, err := os.Stat(filepath.Join(f.Path(), "dovecot-uidlist.lock"))
		must(t, err)
		if made, err := os.Stat(file); err != nil || !os.SameFile(made, held) || (file == was) != (round%2 == 1) {
			t.Errorf("round %d: the lock is not %s, or that is not %s: %v", round, file, was, err)
		}
		was = file
		must(t, lock.Touch())
		must(t, lock.Unlock())
		if round == 1 { // another program clears tmp/
			must(t, os.Remove(spares()[0]))
		}
	}
	if left := spares(); len(left) != 1 {
		t.Errorf("tmp holds %q", left)
	}
	must(t, f.Close())
	if left := spares(); len(left) != 0 {
		t.Errorf("after the end tmp holds %q", left)
	}
}

// Where there are no hard links, the lock is made each time.
func TestLockWithoutHardLinks(t *testing.T) {
	t.Parallel()
	linking := false
	f := openFolder(t, openTree(t, Options{Step: func(name string) error {
		if name == StepLockPrepare {
			linking = true
		} else if name == StepLock && linking {
			linking = false
			return unix.EPERM
		}
		return nil
	}}), "INBOX")
	for range 2 {
		lock, err := f.LockUIDList(t.Context())
		must(t, err)
		if left, err := os.ReadDir(filepath.Join(f.Path(), "tmp")); err != nil || len(left) != 0 {
			t.Errorf("tmp holds %v, %v", left, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := f.LockUIDList(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("locked twice: %v", err)
		}
		must(t, lock.Unlock())
	}
}

// After a power cut a lock may be there without its text, or with zeros for it. Nobody waits two minutes for it.
func TestNamelessLockIsNobodys(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "\x00\x00\x00\x00\x00\x00", "12"} {
		t.Run(fmt.Sprintf("%q", text), func(t *testing.T) {
			t.Parallel()
			f := openFolder(t, openTree(t, Options{}), "INBOX")
			path := filepath.Join(f.Path(), "dovecot-uidlist.lock")
			must(t, os.WriteFile(path, []byte(text), 0o600))
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := f.LockUIDList(ctx); !errors.Is(err, ErrLocked) {
				t.Errorf("at once: %v", err) // its maker may be about to write
			}
			ctx, cancel = context.WithTimeout(t.Context(), staleList/4)
			defer cancel()
			lock, err := f.LockUIDList(ctx)
			must(t, err)
			must(t, lock.Unlock())
		})
	}
}

// Goroutines take turns without the file system.
func TestLockTurns(t *testing.T) {
	t.Parallel()
	f := openFolder(t, openTree(t, Options{}), "INBOX")
	done := make(chan error)
	holders := make(chan struct{}, 1)
	for range 8 {
		go func() {
			for range 20 {
				lock, err := f.LockUIDList(t.Context())
				if err != nil {
					done <- err
					return
				}
				select {
				case holders <- struct{}{}:
				default:
					err = errors.New("two hold the lock at once")
				}
				<-holders
				if err = errors.Join(err, lock.Unlock()); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := len(f.root.locks.held); n != 0 {
		t.Errorf("%d locks are still known", n)
	}
}
