package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"letterbox/store/maildir"
)

// running runs the store until the test ends.
func running(t *testing.T, s *Store) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// until pulls changes at every signal until ok says that they are enough.
func until(t *testing.T, m *Mailbox, wake <-chan struct{}, ok func() bool) {
	t.Helper()
	for !ok() {
		select {
		case <-wake:
		case <-t.Context().Done():
			t.Fatal("never woken")
		}
	}
}

func TestNoticeOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	deliver(t, s, "", text(1))
	m := mailbox(t, s, "INBOX")
	wake := make(chan struct{}, 1)
	defer m.Watch(wake)()
	running(t, s)

	maildir := filepath.Join(dir, "mail", "ann", "Maildir")
	if err := os.WriteFile(filepath.Join(maildir, "new", "1700000000.P1.host"), []byte("Subject: new\n\nx\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	until(t, m, wake, func() bool { return m.Status().Messages == 2 })
	if got := content(t, m, 2); got != "Subject: new\r\n\r\nx\r\n" {
		t.Errorf("message is %q", got)
	}
	if err := os.Rename(filepath.Join(maildir, "new", "1700000000.P1.host"), filepath.Join(maildir, "cur", "1700000000.P1.host:2,FS")); err != nil {
		t.Fatal(err)
	}
	until(t, m, wake, func() bool { return m.Lookup(nil, []UID{2})[0].Flags == Seen|Flagged })
	if err := os.Remove(filepath.Join(maildir, "cur", "1700000000.P1.host:2,FS")); err != nil {
		t.Fatal(err)
	}
	until(t, m, wake, func() bool { return m.Status().Messages == 1 })

	lists := make(chan struct{}, 1)
	a := account(t, s)
	defer a.Watch(lists)()
	if err := os.MkdirAll(filepath.Join(maildir, ".Made elsewhere", "cur"), 0o700); err != nil {
		t.Fatal(err)
	}
	until(t, m, lists, func() bool {
		list, err := a.List()
		return err == nil && strings.Contains(fmt.Sprint(list), "Made elsewhere")
	})
}

// TestManyAtOnce delivers, changes, copies, expunges and reads from many
// goroutines.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t, fastDir(t))
	running(t, s)
	in, arch := mailbox(t, s, "INBOX"), mailbox(t, s, "Archive")
	const workers, rounds = 4, 15
	var wg sync.WaitGroup
	work := func(do func(i int) error) {
		wg.Go(func() {
			for i := range rounds {
				if err := do(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for w := range workers {
		work(func(i int) error {
			msg := s.NewIncoming()
			defer msg.Close()
			fmt.Fprint(msg, text(w*rounds+i))
			return s.Deliver(t.Context(), msg, []Target{{Person: "ann"}, {Person: "ann", Mailbox: "Sent"}})
		})
	}
	work(func(int) error {
		_, _, err := in.StoreFlags(in.UIDs(nil), AddFlags, Seen, 0)
		return err
	})
	work(func(int) error {
		uids := in.UIDs(nil)
		_, err := in.Copy(uids[:min(2, len(uids))], arch)
		return err
	})
	work(func(int) error {
		uids := arch.UIDs(nil)
		_, err := arch.Move(uids[:min(1, len(uids))], in)
		return err
	})
	work(func(i int) error {
		for _, uid := range in.UIDs(nil) {
			if _, err := in.AppendEnvelope(nil, uid); err != nil && !errors.Is(err, ErrExpunged) {
				return err
			}
		}
		_, err := in.Changes(0)
		return err
	})
	work(func(i int) error {
		name := fmt.Sprint("Temporary ", i)
		a := account(t, s)
		if err := a.Create(name, ""); err != nil {
			return err
		}
		m, err := a.Open(name)
		if err != nil {
			return err
		}
		defer m.Close()
		if err := a.Rename(name, name+" renamed"); err != nil {
			return err
		}
		if m.Name() != name+" renamed" {
			return fmt.Errorf("it is called %s", m.Name())
		}
		return a.Delete(name + " renamed")
	})
	wg.Wait()
	seen := map[string]int{}
	for _, m := range []*Mailbox{in, arch, mailbox(t, s, "Sent")} {
		for _, uid := range m.UIDs(nil) {
			seen[content(t, m, uid)]++
		}
	}
	for n := range workers * rounds {
		if seen[text(n)] < 2 {
			t.Errorf("letter %d exists %d times", n, seen[text(n)])
		}
	}
}

func TestLocked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, dir)
	if s, err := Open(dir, Options{}); !errors.Is(err, ErrLocked) {
		t.Errorf("second store: %v, %v", s, err)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	for _, name := range []string{"", "..", "../x", "a/b", "A", "ann\x00", strings.Repeat("x", 100), ".new-x", "-x", "é"} {
		if err := s.CreateAccount(name); !errors.Is(err, ErrBadPerson) {
			t.Errorf("person %q: %v", name, err)
		}
	}
	a := account(t, s)
	for _, name := range []string{"", "/x", "a//b", "x\x01", strings.Repeat("x", 1000)} {
		if err := a.Create(name, ""); !errors.Is(err, ErrBadName) {
			t.Errorf("mailbox %q: %v", name, err)
		}
	}
	if err := a.Create("Lists/go.dev", ""); err != nil {
		t.Error(err)
	}
	if err := a.Create("Lists/go.dev", ""); !errors.Is(err, ErrMailboxExists) {
		t.Error(err)
	}
	if err := a.Delete("Lists"); !errors.Is(err, ErrHasChildren) {
		t.Error(err)
	}
	if _, err := a.Open("Lists"); !errors.Is(err, ErrNoMailbox) {
		t.Error(err)
	}
	if err := a.Create("Mine", `\sent`); err != nil {
		t.Error(err)
	}
	if err := a.Create("Yours", `\Sent`); !errors.Is(err, ErrNoSpecialUse) {
		t.Error(err)
	}
	list, err := a.List()
	if err != nil {
		t.Fatal(err)
	}
	want := `[{INBOX true false true } {Archive true false true \Archive} {Drafts true false true \Drafts} {Junk true false true \Junk} ` +
		`{Lists false true false } {Lists/go.dev true false false } {Mine true false false \Sent} {Sent true false true } {Trash true false true \Trash}]`
	if got := fmt.Sprint(list); got != want {
		t.Errorf("list\n%s\nwant\n%s", got, want)
	}
}

// TestDeletedAndMadeAgain: UIDVALIDITY is another one, and who had the old one
// open is told.
func TestDeletedAndMadeAgain(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	a := account(t, s)
	old := mailbox(t, s, "Junk")
	before := old.Status().UIDValidity
	if err := a.Delete("Junk"); err != nil {
		t.Fatal(err)
	}
	if _, err := old.Changes(0); !errors.Is(err, ErrNoMailbox) {
		t.Errorf("changes of a deleted mailbox: %v", err)
	}
	if err := a.Create("Junk", ""); err != nil {
		t.Fatal(err)
	}
	if now := mailbox(t, s, "Junk").Status().UIDValidity; now <= before {
		t.Errorf("UIDVALIDITY was %d, is %d", before, now)
	}
}

// TestManyKeywords: those past the 26 letters live in letterbox-folder.
func TestManyKeywords(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	s := open(t, dir)
	for n := range 3 {
		deliver(t, s, "", text(n))
	}
	m := mailbox(t, s, "INBOX")
	var names []string
	for i := range MaxKeywords {
		names = append(names, fmt.Sprintf("keyword%02d", i))
	}
	all, err := m.KeywordFlags(names, true)
	if err != nil || flagCount(all) != MaxKeywords {
		t.Fatal(all, err)
	}
	if _, err := m.KeywordFlags([]string{"more"}, true); !errors.Is(err, ErrTooManyKeywords) || !m.KeywordsFull() {
		t.Error(err)
	}
	if _, _, err := m.StoreFlags([]UID{2}, SetFlags, all, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Copy([]UID{2}, mailbox(t, s, "Archive")); err != nil {
		t.Fatal(err)
	}
	s.Close()
	removeCaches(t, dir)
	s = open(t, dir)
	for name, uid := range map[string]UID{"INBOX": 2, "Archive": 1} {
		m := mailbox(t, s, name)
		if got := len(namesOf(m.Lookup(nil, []UID{uid})[0].Flags, m.Keywords())); got != MaxKeywords {
			t.Errorf("the message in %s has %d keywords", name, got)
		}
	}
}

// TestSameBaseName: a second file of the same base name is another message.
func TestSameBaseName(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	s := open(t, dir)
	cur := filepath.Join(dir, "mail", "ann", "Maildir", "cur")
	for file, body := range map[string]string{"1700000000.P1.host:2,": text(1), "1700000000.P1.host:2,S": text(2)} {
		if err := os.WriteFile(filepath.Join(cur, file), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(filepath.Join(cur, "1700000000.P1.host:2,S"), filepath.Join(cur, "1700000000.P1.host:2,F")); err != nil {
		t.Fatal(err)
	}
	m := mailbox(t, s, "INBOX")
	for range 3 {
		if err := m.refresh(); err != nil {
			t.Fatal(err)
		}
	}
	texts := map[string]bool{}
	for _, uid := range m.UIDs(nil) {
		texts[content(t, m, uid)] = true
	}
	if !texts[text(1)] || !texts[text(2)] {
		t.Errorf("messages: %v", texts)
	}
}

// TestForeignLineIsSettledOnce: what another program adds to the list is written once more before it is shown, and not again for each who
// looks.
func TestForeignLineIsSettledOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	settled := 0
	s, err := Open(dir, Options{step: func(name string) error {
		if name == maildir.StepListSettle {
			settled++
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.CreateAccount("ann"); err != nil {
		t.Fatal(err)
	}
	deliver(t, s, "", text(1))
	settled = 0
	inbox := filepath.Join(dir, "mail", "ann", "Maildir")
	if err := os.WriteFile(filepath.Join(inbox, "cur", "1700000000.other:2,"), []byte(text(2)), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := os.OpenFile(filepath.Join(inbox, "dovecot-uidlist"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := list.WriteString("2 :1700000000.other\n"); err != nil {
		t.Fatal(err)
	}
	if err := list.Close(); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		deliver(t, s, "", text(3+n))
	}
	if settled != 1 {
		t.Errorf("it was settled %d times", settled)
	}
	if st := mailbox(t, s, "INBOX").Status(); st.Messages != 5 || st.UIDNext != 6 {
		t.Errorf("INBOX has %+v", st)
	}
}
