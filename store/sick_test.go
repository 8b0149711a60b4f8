package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"letterbox/store/maildir"
)

// A mailbox with one bad file in it is a mailbox with one bad file in it.
func TestStrangeFilesAmongMessages(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	s := open(t, dir)
	deliver(t, s, "", text(0))
	root := filepath.Join(dir, "mail", "ann", "Maildir")
	for _, name := range []string{":2,S", "new\nline:2,", strings.Repeat("l", 250) + ":2,"} {
		if err := os.WriteFile(filepath.Join(root, "cur", name), []byte(text(9)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{
		os.Mkdir(filepath.Join(root, "cur", "1700000000.directory:2,"), 0o700),
		os.Mkdir(filepath.Join(root, "new", "1700000000.another"), 0o700),
		os.Symlink("/etc/passwd", filepath.Join(root, "cur", "1700000001.passwd:2,")),
		os.Symlink("/nowhere", filepath.Join(root, "cur", "1700000002.nowhere:2,")),
		syscall.Mkfifo(filepath.Join(root, "cur", "1700000003.pipe:2,"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	m := mailbox(t, s, "INBOX")
	for _, uid := range m.UIDs(nil) {
		if got := content(t, m, uid); got != text(0) && got != text(9) {
			t.Errorf("message %d is %q", uid, got)
		}
	}
	if n := len(m.UIDs(nil)); n != 2 {
		t.Errorf("%d messages", n)
	}
	deliver(t, s, "", text(1))
}

// A name that lies about sizes does not decide what is served.
func TestNamesThatLie(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	s := open(t, dir)
	bare := strings.ReplaceAll(text(1), "\r\n", "\n")
	for i, c := range []struct{ size, wire int }{
		{len(bare), len(bare)}, // as if it held CRLF
		{len(bare), len(bare) + 1},
		{len(bare), 2 * len(bare)},
	} {
		name := fmt.Sprintf("170000000%d.liar,S=%d,W=%d", i, c.size, c.wire)
		if err := os.WriteFile(filepath.Join(dir, "mail", "ann", "Maildir", "new", name), []byte(bare), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m := mailbox(t, s, "INBOX")
	uids := m.UIDs(nil)
	for _, uid := range uids {
		if got := content(t, m, uid); got != text(1) {
			t.Errorf("message %d is %q", uid, got)
		}
		if got := m.Lookup(nil, []UID{uid}); got[0].Size != int64(len(text(1))) {
			t.Errorf("message %d has %d octets", uid, got[0].Size)
		}
	}
	if len(uids) != 3 {
		t.Errorf("%d messages", len(uids))
	}
}

// sickDisk makes steps that begin with one of these words fail with an error of
// the system, but no sync: there is nothing left to be written.
func sickDisk(s *Store, fault *atomic.Int64, steps ...string) {
	step := func(name string) error {
		e := syscall.Errno(fault.Load())
		if e == 0 || strings.HasSuffix(name, "sync") || strings.HasSuffix(name, "sync directory") {
			return nil
		}
		for _, p := range steps {
			if strings.HasPrefix(name, p) {
				return fmt.Errorf("%s: %w", name, e)
			}
		}
		return nil
	}
	s.step = step
}

// Mail stays readable where nothing can be written: with and without the
// caches, after a restart too, and nothing that was shown changes later.
func TestReadingWhereNothingCanBeWritten(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		errno syscall.Errno
		steps []string
	}{
		{"full", syscall.ENOSPC, []string{"replace: create", "uidlist: append", "message: create"}},
		{"nearly broken", syscall.ENOSPC, []string{""}},
		{"read-only", syscall.EROFS, []string{""}},
	} {
		for _, caches := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, caches %v", c.name, caches), func(t *testing.T) {
				t.Parallel()
				readSick(t, c.errno, c.steps, caches)
			})
		}
	}
}

func readSick(t *testing.T, errno syscall.Errno, steps []string, caches bool) {
	dir := fastDir(t)
	s := open(t, dir)
	for n := range 3 {
		deliver(t, s, "", text(n))
	}
	was := mailbox(t, s, "INBOX").Status()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, "mail", "ann", "Maildir")
	if !caches { // nor can there be any
		removeCaches(t, dir)
		for _, name := range []string{"letterbox.index.new", "letterbox.data"} {
			if err := os.Mkdir(filepath.Join(root, name), 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(root, "new", "1700000000.other"), []byte(text(9)), 0o600); err != nil {
		t.Fatal(err)
	}

	var fault atomic.Int64
	s, err := Open(dir, Options{step: func(string) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	sickDisk(s, &fault, steps...)
	fault.Store(int64(errno))
	m := mailbox(t, s, "INBOX")
	for n := range 3 {
		if got := content(t, m, UID(n+1)); got != text(n) {
			t.Errorf("message %d is %q", n+1, got)
		}
		if env, err := m.AppendEnvelope(nil, UID(n+1)); err != nil || !strings.Contains(string(env), fmt.Sprint("letter ", n)) {
			t.Errorf("envelope %s, %v", env, err)
		}
		if _, err := m.AppendBodyStructure(nil, UID(n+1)); err != nil {
			t.Error(err)
		}
	}
	shown := m.Status()
	if shown.Messages != 3 || shown.UIDValidity != was.UIDValidity || shown.MailboxID != was.MailboxID || shown.HighestModSeq < was.HighestModSeq {
		t.Errorf("status %+v, was %+v", shown, was)
	}
	err = s.Deliver(t.Context(), incoming(t, s, text(4)), []Target{{Person: "ann"}})
	if !errors.Is(err, ErrDiskFull) && !errors.Is(err, ErrReadOnlyDisk) {
		t.Errorf("delivered: %v", err)
	}
	m.Close()
	fault.Store(0)
	if err := s.Close(); err != nil {
		t.Error(err)
	}

	s = open(t, dir)
	m = mailbox(t, s, "INBOX")
	if st := m.Status(); st.Messages != 4 || st.UIDNext != 5 || st.HighestModSeq <= shown.HighestModSeq {
		t.Errorf("afterwards %+v, shown was %+v", st, shown)
	}
	if got := content(t, m, 4); got != text(9) {
		t.Errorf("message 4 is %q", got)
	}
}

// A file with bare LFs is read in any order, and backwards not from its beginning
// each time.
func TestReadingBareLFInAnyOrder(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	s := open(t, dir)
	var b strings.Builder
	for n := range 20_000 {
		fmt.Fprintf(&b, "line %d\n%s\r\n\r", n, strings.Repeat("\n", n%3))
	}
	if err := os.WriteFile(filepath.Join(dir, "mail", "ann", "Maildir", "new", "1700000000.lf"), []byte("Subject: x\n\n"+b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	m := mailbox(t, s, "INBOX")
	whole := content(t, m, 1)
	msg, err := m.Message(1)
	if err != nil {
		t.Fatal(err)
	}
	defer msg.Close()
	if msg.Size() != int64(len(whole)) || strings.Count(whole, "\r\n") < 20_000 {
		t.Fatalf("%d octets, read %d", msg.Size(), len(whole))
	}
	const step = 1000
	check := func(off int64) {
		t.Helper()
		buf := make([]byte, step)
		n, err := msg.ReadAt(buf, off)
		if want := whole[off:min(off+step, msg.Size())]; string(buf[:n]) != want || n < step && !errors.Is(err, io.EOF) {
			t.Fatalf("at %d: %d octets, %v", off, n, err)
		}
	}
	for off := (msg.Size() - 1) / step * step; off >= 0; off -= step {
		check(off)
	}
	for i := range int64(500) {
		check(i * 7919 % msg.Size())
	}
	if n, err := msg.ReadAt(make([]byte, 1), msg.Size()); n != 0 || err != io.EOF {
		t.Errorf("behind the end: %d, %v", n, err)
	}
	check(0)
}

// Whoever waits to be placed together with others is never told that it was, when
// nobody placed it.
func TestPlacedTogetherWithWhatFails(t *testing.T) {
	t.Parallel()
	s, dir, hook := openHooked(t)
	deliver(t, s, "Archive", text(1))
	m := mailbox(t, s, "Archive")
	cur := filepath.Join(dir, "mail", "ann", "Maildir", ".Archive", "cur")
	var as []*arrival
	for i := range 2 {
		a, err := m.receive(incoming(t, s, text(10+i)), nil, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		as = append(as, a)
	}
	hook.Store(once(maildir.StepPlace, func() error { return os.Rename(cur, cur+".away") })) // another program takes the folder apart
	m.writeMu.Lock()
	placed := make(chan error, len(as))
	for _, a := range as {
		go func() { placed <- m.place(t.Context(), a) }()
	}
	for queued := 0; queued < len(as); {
		m.queueMu.Lock()
		queued = len(m.queue)
		m.queueMu.Unlock()
	}
	m.writeMu.Unlock()
	for range as {
		if err := <-placed; err == nil {
			t.Error("a message was called placed that is not there")
		}
	}
	if err := os.Rename(cur+".away", cur); err != nil {
		t.Fatal(err)
	}
	deliver(t, s, "Archive", text(2))
}

// A keyword that is none is the fault of who asked for it, not of those whose
// messages are placed at the same time.
func TestBadKeywordIsItsCallersOwn(t *testing.T) {
	t.Parallel()
	s := open(t, fastDir(t))
	m := mailbox(t, s, "INBOX")
	a, err := m.receive(incoming(t, s, text(1)), nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	a.names = []string{"no keyword"}
	if err := m.place(t.Context(), a); !errors.Is(err, ErrBadKeyword) || len(m.queue) > 0 {
		t.Errorf("%v, and %d wait", err, len(m.queue))
	}
	if err := a.discard(); err != nil {
		t.Error(err)
	}
}

// A message with an old date is not taken for a temporary file that nobody wants,
// while it waits to be placed.
func TestTidyLeavesWhatIsBeingWritten(t *testing.T) {
	t.Parallel()
	s := open(t, fastDir(t))
	m := mailbox(t, s, "Archive")
	b := m.NewBatch()
	defer b.Close()
	if err := b.Add(t.Context(), AppendMessage{In: incoming(t, s, text(1)), Date: time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC)}); err != nil {
		t.Fatal(err)
	}
	deliver(t, s, "", text(2)) // asks for housekeeping
	if err := care(s); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Commit(t.Context()); err != nil {
		t.Error(err)
	}
}

// A name that no list can hold as an identity is copied and comes back, with the
// EMAILID it had.
func TestIdentityThatNoListCanHold(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	s := open(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "mail", "ann", "Maildir", ".Archive", "cur", "my mail:2,S"), []byte(text(1)), 0o600); err != nil {
		t.Fatal(err)
	}
	deliver(t, s, "Archive", text(2))
	m, to := mailbox(t, s, "Archive"), mailbox(t, s, "Sent")
	want := map[string]string{}
	for _, uid := range m.UIDs(nil) {
		id, err := m.EmailID(uid)
		if err != nil {
			t.Fatal(err)
		}
		want[content(t, m, uid)] = id
	}
	if _, err := m.Copy(m.UIDs(nil), to); err != nil {
		t.Fatal(err)
	}
	if err := m.Expunge(m.UIDs(nil)); err != nil {
		t.Fatal(err)
	}
	if n, err := account(t, s).Undelete(t.Context(), Which{}); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	for _, box := range []*Mailbox{m, to} {
		for _, uid := range box.UIDs(nil) {
			if id, err := box.EmailID(uid); err != nil || id != want[content(t, box, uid)] {
				t.Errorf("%s %d: EMAILID %s, %v", box.Name(), uid, id, err)
			}
		}
		if n := len(box.UIDs(nil)); n != 2 {
			t.Errorf("%s has %d messages", box.Name(), n)
		}
	}
}

// Lines that were read by a sync that then failed are read again by the next.
func TestSyncThatFailsHalfWay(t *testing.T) {
	t.Parallel()
	s, dir, hook := openHooked(t)
	deliver(t, s, "Archive", text(1))
	m := mailbox(t, s, "Archive")
	folder := filepath.Join(dir, "mail", "ann", "Maildir", ".Archive")
	list, err := os.OpenFile(filepath.Join(folder, "dovecot-uidlist"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = list.WriteString("2 :1700000000.M1P1.host\n")
	for _, err := range []error{
		err, list.Close(),
		os.WriteFile(filepath.Join(folder, "cur", "1700000000.M1P1.host:2,"), []byte(text(7)), 0o600),
		os.WriteFile(filepath.Join(folder, "new", "1700000001.M1P1.host"), []byte(text(8)), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	broken := errors.New("the card is broken")
	hook.Store(once(maildir.StepListAppend, func() error { return broken }))
	if err := m.refresh(); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if err := m.refresh(); err != nil {
		t.Fatal(err)
	}
	if got := content(t, m, 2); got != text(7) {
		t.Errorf("UID 2 is %q", got)
	}
	if uids := m.UIDs(nil); len(uids) != 3 {
		t.Errorf("UIDs %v", uids)
	}
}

// Of more keywords than a mailbox has room for, those for which there is are kept.
func TestMoreKeywordsThanRoom(t *testing.T) {
	t.Parallel()
	s := open(t, fastDir(t))
	m := mailbox(t, s, "INBOX")
	names := []string{`\Flagged`}
	for i := range MaxKeywords + 5 {
		names = append(names, fmt.Sprint("k", i))
	}
	if _, err := m.Append(t.Context(), []AppendMessage{{In: incoming(t, s, text(1)), Flags: names}}); err != nil {
		t.Fatal(err)
	}
	if got := flagsOf(t, m)[1]; len(got) < 50 {
		t.Errorf("it has %d of %d", len(got), len(names))
	}
}

// Names change under the list's lock, for which Dovecot waits before it reads them;
// where no lock can be made they change all the same.
func TestFlagsUnderTheLock(t *testing.T) {
	t.Parallel()
	s, dir, hook := openHooked(t)
	deliver(t, s, "", text(1))
	m := mailbox(t, s, "INBOX")
	locked := false
	hook.Store(once(maildir.StepRename, func() error {
		_, err := os.Stat(filepath.Join(dir, "mail", "ann", "Maildir", "dovecot-uidlist.lock"))
		locked = err == nil
		return nil
	}))
	if _, _, err := m.StoreFlags([]UID{1}, AddFlags, Seen, 0); err != nil || !locked {
		t.Errorf("locked %v, %v", locked, err)
	}
	full := func(step string) error {
		if strings.HasPrefix(step, "lock") {
			return syscall.ENOSPC
		}
		return nil
	}
	hook.Store(&full)
	if changed, _, err := m.StoreFlags([]UID{1}, RemoveFlags, Seen, 0); err != nil || len(changed) != 1 {
		t.Errorf("on a full disk: %v, %v", changed, err)
	}
}

// One person's bin does not wait for another one's.
func TestBinsOfTwoPeople(t *testing.T) {
	t.Parallel()
	s, _, hook := openHooked(t)
	if err := s.CreateAccount("ben"); err != nil {
		t.Fatal(err)
	}
	expunge := func(person string) error {
		a, err := s.Account(person)
		if err != nil {
			return err
		}
		m, err := a.Open("INBOX")
		if err != nil {
			return err
		}
		return errors.Join(m.Expunge(m.UIDs(nil)), m.Close())
	}
	for _, person := range []string{"ann", "ben"} {
		if err := deliverText(s, text(1), Target{Person: person}); err != nil {
			t.Fatal(err)
		}
	}
	hook.Store(once(maildir.StepKeep, func() error {
		done := make(chan error, 1)
		go func() { done <- expunge("ben") }()
		select {
		case err := <-done:
			return err
		case <-time.After(10 * time.Second):
			return errors.New("ben waits for ann")
		}
	}))
	if err := expunge("ann"); err != nil {
		t.Error(err)
	}
}

// Messages that were moved and are perhaps not on disk are not called moved, and
// nothing makes durable that they have gone from where they were.
func TestMoveWhoseSyncFails(t *testing.T) {
	t.Parallel()
	for _, failing := range []int{1, 2} { // the target's sync, the source's
		s, _, hook := openHooked(t)
		deliver(t, s, "", text(1))
		m, to := mailbox(t, s, "INBOX"), mailbox(t, s, "Archive")
		moved, syncs := false, 0
		h := func(name string) error {
			moved = moved || name == maildir.StepMove
			if moved && name == maildir.StepSyncDir {
				if syncs++; syncs >= failing {
					return syscall.EIO
				}
			}
			return nil
		}
		hook.Store(&h)
		pairs, err := m.Move([]UID{1}, to)
		hook.Store(nil)
		if !errors.Is(err, syscall.EIO) || len(pairs) > 0 {
			t.Errorf("moved %v, %v", pairs, err)
		}
		if syncs != failing {
			t.Errorf("%d directories were synced, not %d", syncs, failing)
		}
		if n := len(m.UIDs(nil)) + len(to.UIDs(nil)); n != 1 {
			t.Errorf("there are %d messages", n)
		}
	}
}
