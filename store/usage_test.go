package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"letterbox/store/index"
	"letterbox/store/maildir"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// recounted is what an account's files say that it holds.
func recounted(t interface{ Fatal(...any) }, dir string) (u Usage) {
	u.Complete = true
	err := filepath.WalkDir(filepath.Join(dir, "mail", "ann", "Maildir"), func(path string, d fs.DirEntry, err error) error {
		if sub := filepath.Base(filepath.Dir(path)); err != nil || d.IsDir() || sub != "cur" && sub != "new" || strings.Contains(path, "letterbox-removed") {
			return err
		}
		b, err := os.ReadFile(path)
		u.Messages++
		u.Bytes += int64(len(strings.ReplaceAll(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n", "\r\n")))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// A household of folders, in which we and other programs make, rename, remove and fill.
type folderModel struct {
	dir   string
	s     *Store
	count int
	quota Quota
}

var folderNames = []string{"INBOX", "Archive", "Archive/2025", "Archive/2025/Spring", "Lists", "Lists/Go.dev"}

func drawFolder(t *rapid.T) string { return rapid.SampledFrom(folderNames).Draw(t, "folder") }

func (md *folderModel) account(t *rapid.T) *Account {
	a, err := md.s.Account("ann")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// allow ends the test at an error that is none of these.
func allow(t *rapid.T, err error, which ...error) {
	for _, w := range which {
		if errors.Is(err, w) {
			return
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (md *folderModel) letter(t *rapid.T) string {
	md.count++
	return text(md.count) + strings.Repeat("x", rapid.IntRange(0, 5000).Draw(t, "size")) + "\r\n"
}

func (md *folderModel) Deliver(t *rapid.T) {
	in := md.s.NewIncoming()
	defer in.Close()
	letter := md.letter(t)
	if _, err := in.Write([]byte(letter)); err != nil {
		t.Fatal(err)
	}
	u := md.account(t).Usage()
	fits := md.quota.allows(index.Totals{Messages: u.Messages + 1, Size: u.Bytes + int64(len(letter))})
	err := md.s.Deliver(context.Background(), in, []Target{{Person: "ann", Mailbox: drawFolder(t)}})
	if over := errors.Is(err, ErrOverQuota); err != nil && !over || over == fits && u.Complete {
		t.Fatalf("%d octets, having %+v of %+v: %v", len(letter), u, md.quota, err)
	}
}

// SetQuota gives another quota, which may be less than what there is.
func (md *folderModel) SetQuota(t *rapid.T) {
	md.quota = Quota{Bytes: rapid.Int64Range(0, 30000).Draw(t, "bytes"), Messages: rapid.Int64Range(0, 20).Draw(t, "messages")}
	md.s.SetQuotas(map[string]Quota{"ann": md.quota})
}

func (md *folderModel) Create(t *rapid.T) {
	allow(t, md.account(t).Create(drawFolder(t), ""), ErrMailboxExists)
}

func (md *folderModel) Delete(t *rapid.T) {
	allow(t, md.account(t).Delete(drawFolder(t)), ErrNoMailbox, ErrHasChildren, ErrInboxUndeletable)
}

func (md *folderModel) Rename(t *rapid.T) {
	allow(t, md.account(t).Rename(drawFolder(t), drawFolder(t)), ErrNoMailbox, ErrMailboxExists, ErrBadName)
}

// with opens a folder that is there, and keeps it open for a while if that is drawn.
func (md *folderModel) with(t *rapid.T, do func(m *Mailbox)) {
	m, err := md.account(t).Open(drawFolder(t))
	if errors.Is(err, ErrNoMailbox) {
		t.Skip("there is no such folder") // rapid draws another action
	}
	if err != nil {
		t.Fatal(err)
	}
	do(m)
	m.Close()
	if rapid.Bool().Draw(t, "close") {
		if _, err := m.a.forget(m); err != nil {
			t.Fatal(err)
		}
	}
}

func (md *folderModel) Expunge(t *rapid.T) {
	md.with(t, func(m *Mailbox) {
		uids := m.UIDs(nil)
		if err := m.Expunge(uids[:rapid.IntRange(0, len(uids)).Draw(t, "n")]); err != nil {
			t.Fatal(err)
		}
	})
}

// Undelete brings back what was expunged, which did not count and counts again.
func (md *folderModel) Undelete(t *rapid.T) {
	_, err := md.account(t).Undelete(context.Background(), Which{Mailbox: rapid.SampledFrom(append(folderNames, "")).Draw(t, "mailbox")})
	allow(t, err, ErrOverQuota)
}

func (md *folderModel) Flag(t *rapid.T) {
	md.with(t, func(m *Mailbox) {
		if _, _, err := m.StoreFlags(m.UIDs(nil), SetFlags, Flagged, 0); err != nil {
			t.Fatal(err)
		}
	})
}

func (md *folderModel) Copy(t *rapid.T) { md.transfer(t, (*Mailbox).Copy, ErrOverQuota) }
func (md *folderModel) Move(t *rapid.T) { md.transfer(t, (*Mailbox).Move) }

func (md *folderModel) transfer(t *rapid.T, op func(*Mailbox, []UID, *Mailbox) ([]CopyUID, error), may ...error) {
	md.with(t, func(m *Mailbox) {
		md.with(t, func(to *Mailbox) {
			_, err := op(m, m.UIDs(nil), to)
			allow(t, err, may...)
		})
	})
}

// Restart closes the store and opens it again; caches may be lost meanwhile.
func (md *folderModel) Restart(t *rapid.T) {
	if err := md.s.Close(); err != nil {
		t.Fatal(err)
	}
	if rapid.Bool().Draw(t, "lose caches") {
		files, err := filepath.Glob(filepath.Join(md.dir, "mail", "ann", "Maildir", "*", "letterbox.index"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
	}
	md.start(t)
}

// Kill goes on with what a killed server leaves.
func (md *folderModel) Kill(t *rapid.T) {
	copied := md.dir + "x"
	if err := os.CopyFS(copied, os.DirFS(md.dir)); err != nil {
		t.Fatal(err)
	}
	if err := md.s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(md.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(copied, md.dir); err != nil {
		t.Fatal(err)
	}
	md.start(t)
}

func (md *folderModel) folder(name string) string {
	dir := filepath.Join(md.dir, "mail", "ann", "Maildir")
	if name == "INBOX" {
		return dir
	}
	return filepath.Join(dir, "."+strings.NewReplacer(".", `\2e`, "/", ".").Replace(name))
}

// OthersDeliver does it while the store is not running, so that nobody notices. Names tell
// sizes or do not, and lines end in LF or in CRLF.
func (md *folderModel) OthersDeliver(t *rapid.T) {
	if err := md.s.Close(); err != nil {
		t.Fatal(err)
	}
	defer md.start(t)
	dir := md.folder(drawFolder(t))
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	letter := md.letter(t)
	name := fmt.Sprintf("17%08d.P1.host", md.count)
	if rapid.Bool().Draw(t, "sizes") {
		lf := strings.ReplaceAll(letter, "\r\n", "\n")
		name = fmt.Sprintf("%s,S=%d,W=%d", name, len(lf), len(letter))
		letter = lf
	}
	if err := os.WriteFile(filepath.Join(dir, "new", name), []byte(letter), 0o600); err != nil {
		t.Fatal(err)
	}
}

// OthersRename renames or removes a folder behind our back; List notices.
func (md *folderModel) OthersRename(t *rapid.T) {
	from := drawFolder(t)
	if from == "INBOX" {
		t.Skip("INBOX stays") // rapid draws another action
	}
	if rapid.Bool().Draw(t, "remove") {
		if err := os.RemoveAll(md.folder(from)); err != nil {
			t.Fatal(err)
		}
	} else if to := drawFolder(t); to != "INBOX" {
		if err := os.Rename(md.folder(from), md.folder(to)); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
	}
	list, err := md.account(t).List()
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range list { // as who keeps them open would notice
		if info.Selectable {
			if _, err := md.account(t).Status(info.Name); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (md *folderModel) start(t *rapid.T) {
	s, err := Open(md.dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CreateAccount("ann"); err != nil {
		t.Fatal(err)
	}
	md.s = s
	s.SetQuotas(map[string]Quota{"ann": md.quota})
}

// Check lets the caretaker do its jobs, and compares.
func (md *folderModel) Check(t *rapid.T) {
	a := md.account(t)
	a.Usage()
	if err := care(md.s); err != nil {
		t.Fatal(err)
	}
	if got, want := a.Usage(), recounted(t, md.dir); got != want {
		t.Fatalf("the account holds %+v, not %+v\n%v", got, want, a.usage.folders)
	}
	if a.usage.arriving != (index.Totals{}) {
		t.Fatalf("nothing is on its way, but room is promised: %+v", a.usage.arriving)
	}
}

// TestUsage: whatever happens to messages and folders, the sum is that of the files.
func TestUsage(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		md := &folderModel{dir: filepath.Join(fastDir(t), "data")}
		md.start(rt)
		defer func() { md.s.Close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"Deliver": md.Deliver, "Create": md.Create, "Delete": md.Delete, "Rename": md.Rename,
			"Expunge": md.Expunge, "Flag": md.Flag, "Copy": md.Copy, "Move": md.Move,
			"Restart": md.Restart, "Kill": md.Kill, "OthersDeliver": md.OthersDeliver, "OthersRename": md.OthersRename,
			"SetQuota": md.SetQuota, "Undelete": md.Undelete,
			"": md.Check,
		})
	})
}

// TestUsageUnread: neither a folder's messages nor its records are read to count it, and a
// folder that cannot be read keeps nobody from the others.
func TestUsageUnread(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	s := open(t, dir)
	for n := range 3 {
		deliver(t, s, "", text(n))
		deliver(t, s, "Archive", text(n))
	}
	a := account(t, s)
	root := filepath.Join(dir, "mail", "ann", "Maildir")
	for _, name := range []string{"INBOX", "Archive"} {
		m := mailbox(t, s, name)
		m.Close()
		for _, sub := range []string{"cur", "new"} { // changed so long ago that the index can be relied on
			if err := os.Chtimes(filepath.Join(m.folder.Path(), sub), time.Time{}, time.Unix(1700000000, 0)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := a.forget(m); err != nil {
			t.Fatal(err)
		}
	}
	want := recounted(t, dir)
	if err := os.RemoveAll(filepath.Join(root, ".Sent", "new")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nowhere", filepath.Join(root, ".Sent", "new")); err != nil {
		t.Fatal(err)
	}
	cur := watchAccesses(t, filepath.Join(root, "cur"), unix.IN_OPEN|unix.IN_ISDIR)
	if u := a.Usage(); u != (Usage{}) {
		t.Errorf("before anybody has counted: %+v", u)
	}
	if got, err := a.CountUsage(t.Context()); err != nil || got != want {
		t.Errorf("counted %+v, %v, not %+v", got, err, want)
	}
	if got := cur.counts(t); len(got) > 0 {
		t.Errorf("what tells the totals was not the index: %v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a.usage.doubt("INBOX")
	if _, err := a.CountUsage(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("counting without the time for it: %v", err)
	}
	if u := a.Usage(); u.Complete || u.Messages != 3 {
		t.Errorf("one folder is not known: %+v", u)
	}
}

// TestCountsByNotice: a running store counts what other programs make and remove.
func TestCountsByNotice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	a := account(t, s)
	lists := make(chan struct{}, 1)
	defer a.Watch(lists)()
	running(t, s)
	counted := make(chan struct{}, 1)
	until := func(want int64) {
		t.Helper()
		for a.Usage() != (Usage{Bytes: want * int64(len(text(1))), Messages: want, Complete: true}) {
			s.care.ask(job{key: t, do: func(context.Context) error { counted <- struct{}{}; return nil }})
			select {
			case <-lists:
			case <-counted:
			case <-t.Context().Done():
				t.Fatal("never counted")
			}
		}
	}
	until(0)
	other := filepath.Join(dir, "elsewhere")
	if _, err := maildir.CreateRoot(other, maildir.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other, "new", "1700000000.P1.host"), []byte(text(1)), 0o600); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, "mail", "ann", "Maildir", ".Moved here")
	if err := os.Rename(other, folder); err != nil {
		t.Fatal(err)
	}
	until(1)
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	until(0)
}
