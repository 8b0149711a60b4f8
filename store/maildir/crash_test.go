package maildir

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// breaker fails steps: the one numbered at, and if forever all that follow, as
// when the power goes.
type breaker struct {
	at, n   int
	forever bool
	steps   []string
}

var errPower = fmt.Errorf("the power is gone: %w", syscall.EIO)

func (b *breaker) step(name string) error {
	b.n++
	b.steps = append(b.steps, name)
	if b.at > 0 && (b.n == b.at || b.forever && b.n > b.at) {
		return errPower
	}
	return nil
}

// household plays a scenario and remembers what was reported as done.
type household struct {
	t       *testing.T
	r       *Root
	texts   map[string]string // base to text of what was acknowledged
	uids    map[string]uint32 // of messages in INBOX
	unsure  map[string]string // begun, neither acknowledged nor refused for good
	removed map[string]bool   // of texts: removal was begun
	next    uint32            // the highest UIDNEXT shown
}

// deliver writes a message into INBOX and gives it a UID.
func (h *household) deliver(text string) error {
	f, err := h.r.Folder("INBOX")
	if err != nil {
		return err
	}
	defer f.Close()
	temp, err := f.NewTemp()
	if err != nil {
		return err
	}
	defer temp.Discard()
	if _, err := temp.Write([]byte(text)); err != nil {
		return err
	}
	if err := errors.Join(temp.SetDate(time.Unix(1600000000, 0)), temp.Finish()); err != nil {
		return err
	}
	lock, err := f.LockUIDList(h.t.Context())
	if err != nil {
		return err
	}
	base := h.r.NewNamer(time.Unix(1700000000, 0)).Next(Sizes{int64(len(text)), int64(len(text))})
	h.unsure[base] = text
	uid, err := h.list(f, lock, base)
	if err == nil {
		err = errors.Join(temp.Place(Ref{File: base + ":2,"}), f.SyncCur())
	}
	if err = errors.Join(err, lock.Unlock()); err != nil {
		return err
	}
	h.texts[base], h.uids[base] = text, uid
	return nil
}

// list adds base to the list of f, starting or mending the list where needed.
func (h *household) list(f *Folder, lock *UIDListLock, base string) (uint32, error) {
	head, recs := UIDHeader{UIDValidity: 1700000000, UIDNext: 1}, []UIDRecord(nil)
	if u, err := f.ReadUIDList(Mark{}); err == nil {
		for rec, ok := u.Next(); ok; rec, ok = u.Next() {
			recs = append(recs, rec)
		}
		head = u.Header()
		if damage := u.Damage(); len(damage) > 0 {
			h.t.Errorf("the list is damaged: %q", damage)
		}
		u.Close()
	}
	uid := head.UIDNext
	err := appendRecords(lock, []UIDRecord{{UID: uid, Base: base, Physical: -1, Virtual: -1}})
	if errors.Is(err, ErrRewrite) {
		head.UIDNext++
		err = lock.Rewrite(head, records(append(recs, UIDRecord{UID: uid, Base: base, Physical: -1, Virtual: -1})...))
	}
	if err == nil {
		h.next = max(h.next, uid+1)
		err = lock.SetModSeqCeiling(uint64(uid) * 1000)
	}
	return uid, err
}

// play does everything once. Errors end one operation, not the play.
func (h *household) play() {
	for _, text := range []string{"one", "two", "three"} {
		_ = h.deliver(text)
	}
	_ = h.flag()
	for _, name := range []string{"old", "old/child", "old/child/deep", "copies"} {
		_, _ = h.r.Create(name)
	}
	_ = h.copyAll()
	_ = h.r.Rename("old", "new")
	_ = h.removeOne()
	if f, err := h.r.Folder("INBOX"); err == nil {
		_, _, _ = f.AddKeywords(h.t.Context(), []string{"a", "b"})
		_ = f.SetFolderFile(FolderFile{SpecialUse: `\Junk`})
		f.Close()
	}
	_ = h.r.Subscribe(h.t.Context(), "new/child", true)
	_, _ = h.r.NextUIDValidity(time.Unix(1700000000, 0))
	_ = h.r.Remove("new/child/deep")
}

// flag marks everything as seen.
func (h *household) flag() error {
	f, err := h.r.Folder("INBOX")
	if err != nil {
		return err
	}
	defer f.Close()
	var rs []Renaming
	err = f.Scan(func(e Entry) error {
		n := e.Name
		n.Flags |= Seen
		rs = append(rs, Renaming{e.Ref(), Ref{File: n.File()}})
		return nil
	})
	if err != nil {
		return err
	}
	_, err = f.Rename(rs)
	return err
}

// copyAll copies INBOX into copies, all or nothing.
func (h *household) copyAll() error {
	from, err := h.r.Folder("INBOX")
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := h.r.Folder("copies")
	if err != nil {
		return err
	}
	defer to.Close()
	namer := h.r.NewNamer(time.Unix(1700000000, 0))
	copies := map[string]string{}
	var ts []Transfer
	err = from.Scan(func(e Entry) error {
		base := namer.Next(Sizes{-1, -1})
		ts = append(ts, Transfer{e.Ref(), Ref{File: base + ":2,S"}})
		if text, ok := h.texts[e.Name.Base]; ok {
			copies[base] = text
		} else {
			copies[base] = h.unsure[e.Name.Base]
		}
		return nil
	})
	if err != nil {
		return err
	}
	intent, err := to.BeginIntent(namer)
	if err != nil {
		return err
	}
	if _, err := to.LinkFrom(from, ts); err != nil {
		return err
	}
	if err := to.SyncCur(); err != nil {
		return err
	}
	maps.Copy(h.unsure, copies)
	if err := to.EndIntent(intent); err != nil {
		return err
	}
	maps.Copy(h.texts, copies)
	return nil
}

// removeOne expunges a message of INBOX.
func (h *household) removeOne() error {
	f, err := h.r.Folder("INBOX")
	if err != nil {
		return err
	}
	defer f.Close()
	for base := range h.uids {
		e, err := find(f, base)
		if err != nil {
			return err
		}
		h.removed[base] = true
		return f.Remove([]Ref{e.Ref()})
	}
	return nil
}

// check opens the tree as after a crash and looks for everything.
func (h *household) check(dir string) {
	t := h.t
	r, err := OpenRoot(dir, Options{})
	must(t, err)
	defer r.Close()
	names := folders(t, r)
	found := map[string]string{}
	for _, name := range names {
		f := openFolder(t, r, name)
		_, err := f.Recover()
		must(t, err)
		for _, e := range scan(t, f) {
			if _, twice := found[e.Name.Base]; twice {
				t.Errorf("%s is there twice", e.Name.Base)
			}
			found[e.Name.Base] = readAll(t, f, e.Ref())
		}
	}
	for base, text := range h.texts {
		if got, ok := found[base]; (!ok && !h.removed[base]) || ok && got != text {
			t.Errorf("%s is %q, want %q", base, got, text)
		}
	}
	for base, got := range found {
		if text, ok := h.texts[base]; !ok && h.unsure[base] != got {
			t.Errorf("%s is %q, which nobody sent (%q)", base, got, text)
		}
	}
	if slices.Contains(names, "old") && slices.Contains(names, "new") {
		t.Errorf("half renamed: %q", names)
	}
	h.checkList(openFolder(t, r, "INBOX"))
}

func (h *household) checkList(f *Folder) {
	t := h.t
	if len(h.uids) == 0 {
		return
	}
	u, recs := readList(t, f, Mark{})
	if len(u.Damage()) > 0 || u.Header().UIDNext < h.next {
		t.Errorf("the list is damaged: %q, or goes back: %d after %d", u.Damage(), u.Header().UIDNext, h.next)
	}
	for _, rec := range recs {
		if uid, ok := h.uids[rec.Base]; ok && uid != rec.UID {
			t.Errorf("%s had UID %d and has %d", rec.Base, uid, rec.UID)
		}
		delete(h.uids, rec.Base)
	}
	if len(h.uids) > 0 {
		t.Errorf("without a UID: %v", h.uids)
	}
}

// memoryDir is a directory in memory where there is one: the steps count here,
// and some ten thousand real syncs would take half a minute.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "letterbox-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// playWith plays in a fresh tree with a breaker and returns the steps taken.
func playWith(t *testing.T, b *breaker) []string {
	t.Helper()
	dir := filepath.Join(memoryDir(t), "Maildir")
	r, err := CreateRoot(dir, Options{})
	must(t, err)
	defer r.Close()
	r.hook = b.step
	h := &household{t: t, r: r, texts: map[string]string{}, uids: map[string]uint32{}, unsure: map[string]string{}, removed: map[string]bool{}}
	h.play()
	r.hook = nil
	if !b.forever && b.at > 0 {
		// After a passing fault everything works again, in the same process.
		must(t, h.deliver("after"))
	}
	h.check(dir)
	t.Logf("%d steps", b.n)
	if b.at == 0 && (len(h.texts) != 6 || h.next != 4) {
		t.Errorf("without a fault %d messages and UIDNEXT %d", len(h.texts), h.next)
	}
	return b.steps
}

// Between every two steps the power goes, or one step fails.
func TestFaultsAtEveryStep(t *testing.T) {
	t.Parallel()
	steps := playWith(t, &breaker{})
	for at := range len(steps) {
		for _, forever := range []bool{true, false} {
			name := fmt.Sprintf("%03d %s", at+1, steps[at])
			if forever {
				name += " and all after it"
			}
			t.Run(name, func(t *testing.T) { playWith(t, &breaker{at: at + 1, forever: forever}) })
		}
	}
}
