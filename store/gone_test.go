package store

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"letterbox/store/maildir"
)

// openHooked opens a store in memory for ann whose steps call the hook that is set.
func openHooked(t *testing.T) (s *Store, dir string, hook *atomic.Pointer[func(string) error]) {
	t.Helper()
	hook = &atomic.Pointer[func(string) error]{}
	dir = fastDir(t)
	s, err := Open(dir, Options{step: func(name string) error {
		if h := hook.Load(); h != nil {
			return (*h)(name)
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		hook.Store(nil)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.CreateAccount("ann"); err != nil {
		t.Fatal(err)
	}
	return s, dir, hook
}

// once returns a hook that does something before the first step of a name.
func once(step string, do func() error) *func(string) error {
	var done atomic.Bool
	h := func(name string) error {
		if name == step && done.CompareAndSwap(false, true) {
			return do()
		}
		return nil
	}
	return &h
}

func messages(t *testing.T, s *Store, name string) int {
	t.Helper()
	st, err := account(t, s).Status(name)
	if err != nil {
		t.Fatal(err)
	}
	return st.Messages
}

// TestDeliveryToMailboxThatGoes deletes the mailbox at every step of a delivery, by
// IMAP and as Dovecot does: the message is in INBOX then, or went with the mailbox
// after it was delivered.
func TestDeliveryToMailboxThatGoes(t *testing.T) {
	t.Parallel()
	for _, step := range []string{maildir.StepTempCreate, maildir.StepTempWrite, maildir.StepTempSync} {
		t.Run("deleted before "+step, func(t *testing.T) {
			t.Parallel()
			s, _, hook := openHooked(t)
			deliver(t, s, "Archive", text(0))
			hook.Store(once(step, func() error { return account(t, s).Delete("Archive") }))
			deliver(t, s, "Archive", text(1))
			if n := messages(t, s, "INBOX"); n != 1 {
				t.Errorf("INBOX has %d messages", n)
			}
		})
	}
	for _, step := range []string{maildir.StepTempSync, maildir.StepLock, maildir.StepPlace, maildir.StepListAppend, maildir.StepListSync, maildir.StepSyncDir} {
		t.Run("trashed before "+step, func(t *testing.T) {
			t.Parallel()
			s, dir, hook := openHooked(t)
			deliver(t, s, "Archive", text(0))
			root := filepath.Join(dir, "mail", "ann", "Maildir")
			hook.Store(once(step, func() error {
				return os.Rename(filepath.Join(root, ".Archive"), filepath.Join(root, "..DOVECOT-TRASHED"))
			}))
			deliver(t, s, "Archive", text(1))
			if n := messages(t, s, "INBOX"); n != 1 {
				t.Errorf("INBOX has %d messages", n)
			}
		})
	}
}

// An APPEND into a mailbox that is deleted meanwhile says so.
func TestAppendToMailboxThatGoes(t *testing.T) {
	t.Parallel()
	for _, step := range []string{maildir.StepTempCreate, maildir.StepTempWrite, maildir.StepTempTime, maildir.StepTempSync} {
		t.Run("deleted before "+step, func(t *testing.T) {
			t.Parallel()
			s, _, hook := openHooked(t)
			m := mailbox(t, s, "Archive")
			hook.Store(once(step, func() error { return account(t, s).Delete("Archive") }))
			in := s.NewIncoming()
			defer in.Close()
			if _, err := io.WriteString(in, text(0)); err != nil {
				t.Fatal(err)
			}
			if _, err := m.Append(t.Context(), []AppendMessage{{In: in}}); !errors.Is(err, ErrNoMailbox) {
				t.Errorf("appended: %v", err)
			}
		})
	}
}

// The same while its files are being removed.
func TestAppendWhileMailboxIsTakenApart(t *testing.T) {
	t.Parallel()
	s, dir, hook := openHooked(t)
	m := mailbox(t, s, "Archive")
	root := filepath.Join(dir, "mail", "ann", "Maildir")
	hook.Store(once(maildir.StepTempCreate, func() error {
		if err := os.Rename(filepath.Join(root, ".Archive"), filepath.Join(root, "..DOVECOT-TRASHED")); err != nil {
			return err
		}
		return os.RemoveAll(filepath.Join(root, "..DOVECOT-TRASHED"))
	}))
	in := s.NewIncoming()
	defer in.Close()
	if _, err := m.Append(t.Context(), []AppendMessage{{In: in}}); !errors.Is(err, ErrNoMailbox) {
		t.Errorf("appended: %v", err)
	}
}

// An account that a crash left half made goes at the next start.
func TestHalfMadeAccountGoes(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	half := filepath.Join(dir, "mail", ".new-ben", "Maildir", "cur")
	if err := os.MkdirAll(half, 0o700); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	if _, err := os.Stat(filepath.Join(dir, "mail", ".new-ben")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is there: %v", err)
	}
	if err := s.CreateAccount("ben"); err != nil {
		t.Fatal(err)
	}
}

// A mailbox whose removal went wrong half-way takes no mail any more.
func TestDeliveryAfterHalfARemoval(t *testing.T) {
	t.Parallel()
	s, _, hook := openHooked(t)
	mailbox(t, s, "Archive") // open while it goes
	broken := errors.New("the card is broken")
	hook.Store(once(maildir.StepSyncDir, func() error { return broken }))
	if err := account(t, s).Delete("Archive"); !errors.Is(err, broken) {
		t.Fatalf("deleted: %v", err)
	}
	deliver(t, s, "Archive", text(1))
	if n := messages(t, s, "INBOX"); n != 1 {
		t.Errorf("INBOX has %d messages", n)
	}
}

// A folder that another program renames while it is open stays one mailbox.
func TestRenamedByOthersWhileOpen(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	s := open(t, dir)
	deliver(t, s, "Archive", text(0))
	m := mailbox(t, s, "Archive")
	root := filepath.Join(dir, "mail", "ann", "Maildir")
	if err := os.Rename(filepath.Join(root, ".Archive"), filepath.Join(root, ".Cellar")); err != nil {
		t.Fatal(err)
	}
	if again := mailbox(t, s, "Cellar"); again != m {
		t.Error("there are two of it")
	}
	deliver(t, s, "Cellar", text(1))
	if n := len(m.UIDs(nil)); n != 2 || m.Name() != "Cellar" {
		t.Errorf("%s has %d messages", m.Name(), n)
	}
	if err := account(t, s).Create("Archive", ""); err != nil {
		t.Fatal(err)
	}
	if n := messages(t, s, "Archive"); n != 0 {
		t.Errorf("the new one has %d messages", n)
	}
}

func TestRemoveAccountInUse(t *testing.T) {
	t.Parallel()
	s := open(t, fastDir(t))
	deliver(t, s, "", text(0))
	m := mailbox(t, s, "INBOX")
	msg, err := m.Message(1)
	if err != nil {
		t.Fatal(err)
	}
	defer msg.Close()
	if err := s.RemoveAccount("ann"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Message(1); !errors.Is(err, ErrClosed) {
		t.Errorf("reading: %v", err)
	}
	if _, _, err := m.StoreFlags([]UID{1}, AddFlags, Seen, 0); !errors.Is(err, ErrClosed) {
		t.Errorf("changing: %v", err)
	}
	if _, err := msg.ReadAt(make([]byte, 4), 0); err != nil {
		t.Errorf("an open message: %v", err)
	}
	if err := s.RemoveAccount("ann"); !errors.Is(err, ErrNoAccount) {
		t.Errorf("removed twice: %v", err)
	}
	if err := s.CreateAccount("ann"); err != nil {
		t.Fatal(err)
	}
	if n := messages(t, s, "INBOX"); n != 0 {
		t.Errorf("the new INBOX has %d messages", n)
	}
}

// Mailboxes of a person who is removed and added again are others: no UIDVALIDITY is
// used twice, however fast it goes.
func TestUIDValidityOfPersonWhoComesBack(t *testing.T) {
	t.Parallel()
	s := open(t, fastDir(t))
	seen := map[uint32]string{}
	for range 3 {
		for _, name := range []string{"INBOX", "Drafts", "Sent"} {
			st, err := account(t, s).Status(name)
			if err != nil {
				t.Fatal(err)
			}
			if before := seen[st.UIDValidity]; before != "" {
				t.Errorf("%s has the UIDVALIDITY %d of a removed %s", name, st.UIDValidity, before)
			}
			seen[st.UIDValidity] = name
		}
		if err := s.RemoveAccount("ann"); err != nil {
			t.Fatal(err)
		}
		if err := s.CreateAccount("ann"); err != nil {
			t.Fatal(err)
		}
	}
}

// A message whose file another program renames at the moment it is expunged does
// not come back under another UID.
func TestExpungeOfWhatIsJustRenamed(t *testing.T) {
	t.Parallel()
	s, dir, hook := openHooked(t)
	deliver(t, s, "", text(0))
	deliver(t, s, "", text(1))
	m := mailbox(t, s, "INBOX")
	cur := filepath.Join(dir, "mail", "ann", "Maildir", "cur")
	hook.Store(once(maildir.StepKeep, func() error {
		files, err := filepath.Glob(filepath.Join(cur, "*:2,"))
		if err != nil {
			return err
		}
		return os.Rename(files[0], files[0]+"S")
	}))
	if err := m.Expunge([]UID{1, 2}); err != nil {
		t.Fatal(err)
	}
	if err := m.refresh(); err != nil {
		t.Fatal(err)
	}
	if uids := m.UIDs(nil); len(uids) != 0 {
		t.Errorf("%v are left", uids)
	}
	if got := len(binned(t, account(t, s), Which{})); got != 2 {
		t.Errorf("%d messages are kept", got)
	}
}
