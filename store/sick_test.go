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
