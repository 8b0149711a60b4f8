package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// care does the caretaker's jobs until there are none.
func care(s *Store) (err error) {
	for {
		j, ok := s.care.next()
		if !ok {
			return err
		}
		err = errors.Join(err, j.do(context.Background()))
	}
}

// accesses are what the system tells of who looks at a directory and its files.
type accesses struct{ fd int }

func watchAccesses(t *testing.T, dir string, mask uint32) accesses {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if _, err := unix.InotifyAddWatch(fd, dir, mask); err != nil {
		t.Fatal(err)
	}
	return accesses{fd}
}

// counts returns how often each file was accessed since the last time; "" is the
// directory itself.
func (a accesses) counts(t *testing.T) map[string]int {
	t.Helper()
	found := map[string]int{}
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Read(a.fd, buf)
		if errors.Is(err, unix.EAGAIN) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		for b := buf[:n]; len(b) > 0; {
			ev := (*unix.InotifyEvent)(unsafe.Pointer(&b[0]))
			found[strings.TrimRight(string(b[unix.SizeofInotifyEvent:][:ev.Len]), "\x00")]++
			b = b[unix.SizeofInotifyEvent+int(ev.Len):]
		}
	}
}

// messagesIn leaves the directory out.
func messagesIn(counts map[string]int) map[string]int {
	delete(counts, "")
	return counts
}

// TestReadAhead: when the caches are lost, a mailbox can be read at once, and
// each message is read once to make them again. Nothing a client knows changes.
func TestReadAhead(t *testing.T) {
	t.Parallel()
	const n = 100
	dir := fastDir(t)
	cur := filepath.Join(dir, "mail", "ann", "Maildir", "cur")
	s := open(t, dir)
	for i := range n { // as programs write them that put no size into the name, and LF
		body := strings.ReplaceAll(text(i), "\r\n", "\n")
		if err := os.WriteFile(filepath.Join(cur, fmt.Sprintf("%d.M%dP1.host:2,S", 1700000000+i, i)), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := look(t, s)["INBOX"]
	size := int64(0)
	for _, txt := range before.texts {
		size += int64(len(txt))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	removeCaches(t, dir)

	opened := watchAccesses(t, cur, unix.IN_OPEN)
	s = open(t, dir)
	m := mailbox(t, s, "INBOX")
	if st := m.Status(); st.Messages != n || st.Size < size || st.UIDValidity != before.st.UIDValidity || st.UIDNext != before.st.UIDNext || st.HighestModSeq < before.st.HighestModSeq {
		t.Errorf("at once: %+v, before: %+v", st, before.st)
	}
	if got := messagesIn(opened.counts(t)); len(got) > 0 {
		t.Errorf("to open the mailbox, messages were read: %v", got)
	}
	for _, uid := range []UID{1, 60} { // somebody does not wait
		if size, err := m.Size(uid); err != nil || size != int64(len(before.texts[uid])) {
			t.Errorf("message %d has %d octets, %v", uid, size, err)
		}
	}
	if err := care(s); err != nil {
		t.Fatal(err)
	}
	got := messagesIn(opened.counts(t))
	for name, times := range got {
		if times != 1 {
			t.Errorf("%s was read %d times", name, times)
		}
	}
	if len(got) != n {
		t.Errorf("%d messages were read", len(got))
	}
	for _, meta := range m.Lookup(nil, m.UIDs(nil)) {
		if meta.Size != int64(len(before.texts[meta.UID])) {
			t.Errorf("message %d has %d octets", meta.UID, meta.Size)
		}
		if _, err := m.AppendEnvelope(nil, meta.UID); err != nil {
			t.Error(err)
		}
	}
	if st := m.Status(); st.Size != size {
		t.Errorf("in the end: %+v, all messages have %d octets", st, size)
	}
	if got := messagesIn(opened.counts(t)); len(got) > 0 {
		t.Errorf("messages were read again: %v", got)
	}
	for uid, want := range before.texts {
		if got := content(t, m, uid); got != want {
			t.Errorf("message %d is %q", uid, got)
		}
	}
}

// A message that cannot be read keeps nobody from the others, and is not tried
// over and over.
func TestReadAheadOfUnreadable(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		asNobody(t)
		return
	}
	dir := fastDir(t)
	cur := filepath.Join(dir, "mail", "ann", "Maildir", "cur")
	s := open(t, dir)
	for i := range 3 {
		if err := os.WriteFile(filepath.Join(cur, fmt.Sprintf("%d.host:2,", 1700000000+i)), []byte(text(i)), os.FileMode([]uint32{0o600, 0, 0o600}[i])); err != nil {
			t.Fatal(err)
		}
	}
	m := mailbox(t, s, "INBOX")
	if err := care(s); err != nil {
		t.Fatal(err)
	}
	var known []UID
	for _, meta := range m.Lookup(nil, m.UIDs(nil)) {
		if meta.Size == int64(len(text(0))) {
			known = append(known, meta.UID)
		}
	}
	if !slices.Equal(known, []UID{1, 3}) {
		t.Errorf("read: %v", known)
	}
	if size, err := m.Size(2); err != nil || size != int64(len(text(1))) {
		t.Errorf("the unreadable message has %d octets, %v", size, err)
	}
}

// TestLoseCachesWhileRunning removes and damages caches of mailboxes that are kept
// ready, and of closed ones: nothing a client knows changes.
func TestLoseCachesWhileRunning(t *testing.T) {
	t.Parallel()
	damage := map[string]func(file string) error{
		"removed": os.Remove,
		"emptied": func(file string) error { return os.Truncate(file, 0) },
		"cut":     func(file string) error { return os.Truncate(file, 100) },
		"spoiled": func(file string) error {
			b, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			for i := 40; i < len(b); i += 50 {
				b[i] ^= 0x55
			}
			return os.WriteFile(file, b, 0o600)
		},
	}
	for how, harm := range damage {
		for _, closed := range []bool{false, true} {
			t.Run(fmt.Sprint(how, ", closed ", closed), func(t *testing.T) {
				t.Parallel()
				dir := fastDir(t)
				s := open(t, dir)
				for n := range 5 {
					deliver(t, s, "", text(n))
				}
				m := mailbox(t, s, "INBOX")
				f, err := m.KeywordFlags([]string{"red"}, true)
				if err != nil {
					t.Fatal(err)
				}
				if _, _, err := m.StoreFlags([]UID{1, 3}, SetFlags, f|Flagged, 0); err != nil {
					t.Fatal(err)
				}
				if err := m.Expunge([]UID{2}); err != nil {
					t.Fatal(err)
				}
				before, flags := look(t, s)["INBOX"], flagsOf(t, m)
				m.Close()
				if closed {
					if _, err := m.a.forget(m); err != nil {
						t.Fatal(err)
					}
				}
				caches, err := filepath.Glob(filepath.Join(dir, "mail", "ann", "Maildir", "letterbox.*"))
				if err != nil || len(caches) < 2 {
					t.Fatal(caches, err)
				}
				for _, file := range caches {
					if err := harm(file); err != nil {
						t.Fatal(err)
					}
				}
				for range 2 { // as it is kept ready, and opened afresh
					m = mailbox(t, s, "INBOX")
					now := look(t, s)["INBOX"]
					if now.st.UIDValidity != before.st.UIDValidity || now.st.UIDNext != before.st.UIDNext || now.st.MailboxID != before.st.MailboxID || now.st.HighestModSeq < before.st.HighestModSeq {
						t.Errorf("now %+v, before %+v", now.st, before.st)
					}
					if fmt.Sprint(now.texts) != fmt.Sprint(before.texts) {
						t.Errorf("now %v, before %v", now.texts, before.texts)
					}
					if got := flagsOf(t, m); fmt.Sprint(got) != fmt.Sprint(flags) {
						t.Errorf("flags are %v, were %v", got, flags)
					}
					m.Close()
					if _, err := m.a.forget(m); err != nil {
						t.Fatal(err)
					}
				}
				deliver(t, s, "", text(9))
				if uids := mailbox(t, s, "INBOX").UIDs(nil); uids[len(uids)-1] != before.st.UIDNext {
					t.Errorf("the next message has UID %d", uids[len(uids)-1])
				}
			})
		}
	}
}

// flagsOf returns the flags of every message, by name.
func flagsOf(t *testing.T, m *Mailbox) map[UID][]string {
	t.Helper()
	all := map[UID][]string{}
	for _, meta := range m.Lookup(nil, m.UIDs(nil)) {
		all[meta.UID] = namesOf(meta.Flags, m.Keywords())
	}
	return all
}

// TestSpoiledDataKeepsIdentity: where the data file has lost what it knew of a
// copied message, its EMAILID comes from the list.
func TestSpoiledDataKeepsIdentity(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	s := open(t, dir)
	deliver(t, s, "", text(1))
	deliver(t, s, "Archive", text(2))
	m, to := mailbox(t, s, "INBOX"), mailbox(t, s, "Archive")
	want, err := m.EmailID(1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Copy([]UID{1}, to); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "mail", "ann", "Maildir", ".Archive", "letterbox.data")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := 32; i < len(b); i += 8 {
		b[i] ^= 0x55
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	to.Relax() // what it has in memory
	if got, err := to.EmailID(2); err != nil || got != want {
		t.Errorf("EMAILID %q, %v, was %q", got, err, want)
	}
	if got := content(t, to, 2); got != text(1) {
		t.Errorf("the message is %q", got)
	}
}
