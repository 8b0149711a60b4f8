package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"letterbox/store/atomicfile"
	"letterbox/store/maildir"
)

// Options are what Open needs beside a directory.
type Options struct {
	Log *slog.Logger     // nil: nothing is logged
	Now func() time.Time // nil: time.Now

	// NearlyFull warns a person whose mail has reached nine tenths of the quota, in bytes or
	// in messages; nil: nobody is warned. It is called while Run runs, by one goroutine,
	// and not again for that person before less than eight tenths are used, also not after
	// a restart. After an error it is called again when the person's mail next grows or shrinks.
	// It may deliver mail (Target.Notice) and returns early when ctx ends.
	NearlyFull func(ctx context.Context, person string, u Usage, q Quota) error

	// step is called before every step that changes the disk; see maildir.Options.
	step func(name string) error
}

// A Store is all mail of a household: one directory, one server. It may be
// used by several goroutines.
type Store struct {
	dir      string
	log      *slog.Logger
	clock    *clock
	step     func(string) error
	lock     *os.File
	spool    *spool
	buffers  bufferPool
	parsers  parserPool
	texts    *textMakers
	ids      atomic.Uint64 // of mailboxes
	idle     idleList
	notifier *notifier
	care     *caretaker
	calendar calendar
	warn     func(ctx context.Context, person string, u Usage, q Quota) error // nil: nobody is warned
	disk     disk
	copies   bool // the file system has no hard links: COPY writes messages again

	making sync.Mutex // held while an account is made or removed
	bins   binLocks

	mu       sync.Mutex // guards what follows
	closed   bool
	accounts map[string]*Account
	quotas   map[string]Quota // by person
}

// Open opens the data directory dir, making what is missing in it. ErrLocked:
// another server has it. A file system that cannot hold mail safely is refused
// with a sentence that says why.
func Open(dir string, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	mail := filepath.Join(dir, "mail")
	if err := atomicfile.MkdirAll(mail, 0o700); err != nil {
		return nil, diskError(fmt.Errorf("making the mail directory: %w", err))
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: mail, log: o.Log, clock: newClock(o.Now), step: o.step, warn: o.NearlyFull, lock: lock, accounts: map[string]*Account{}}
	s.disk.space = func() (free, size int64, err error) { return maildir.Space(s.dir) }
	s.disk.shed, s.disk.spare = s.shed, s.spare
	s.calendar.dir = dir
	s.idle.s = s
	s.notifier = newNotifier(s)
	s.care = newCaretaker(s)
	s.texts = newTextMakers()
	if err := s.prepare(dir); err != nil {
		return nil, errors.Join(err, unlockDir(lock))
	}
	return s, nil
}

func (s *Store) prepare(dir string) error {
	abilities, err := maildir.Probe(s.dir)
	if noRoom(err) { // mail can be read all the same, and removed
		s.log.Warn("nothing can be written to the mail directory", "dir", s.dir, "err", err)
	} else if err != nil {
		return fmt.Errorf("%s cannot hold mail: %w", s.dir, err)
	} else {
		s.copies = !abilities.HardLinks
	}
	for _, note := range abilities.Notes {
		s.log.Info("mail directory", "dir", s.dir, "note", note)
	}
	s.clearBuilding()
	if s.spool, err = openSpool(filepath.Join(dir, "spool")); err != nil {
		return diskError(fmt.Errorf("opening the spool: %w", err))
	}
	if err := atomicfile.SyncDir(dir); err != nil {
		return diskError(err)
	}
	return s.observeTimes()
}

// buildingPrefix begins the names of accounts that are being made. No person's
// name begins with it.
const buildingPrefix = ".new-"

// clearBuilding removes what a crash left half made: accounts, in which nobody has
// ever had mail, and what was tried out. One that cannot be removed only takes room.
func (s *Store) clearBuilding() {
	entries, err := os.ReadDir(s.dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), buildingPrefix) || strings.HasPrefix(e.Name(), maildir.ProbePrefix) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(s.dir, e.Name())))
		}
	}
	if err != nil {
		s.log.Debug("clearing accounts that were never made", "dir", s.dir, "err", err)
	}
}

// lockDir takes the data directory for this process.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, diskError(fmt.Errorf("opening the lock file: %w", err))
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, errors.Join(fmt.Errorf("%w: %s", ErrLocked, dir), f.Close())
	case err != nil:
		return nil, errors.Join(fmt.Errorf("locking %s: %w", f.Name(), err), f.Close())
	}
	return f, nil
}

// unlockDir gives the data directory back, at once: to close the file is not
// enough while a process that was just begun has not closed its own yet.
func unlockDir(lock *os.File) error {
	return errors.Join(syscall.Flock(int(lock.Fd()), syscall.LOCK_UN), lock.Close())
}

// observeTimes tells the clock when mail was last stored: when INBOXes were last
// changed, and the last day on which anything was written.
func (s *Store) observeTimes() error {
	people, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, p := range people {
		for _, d := range []string{"cur", "new", "dovecot-uidlist"} {
			if fi, err := os.Lstat(filepath.Join(s.dir, p.Name(), "Maildir", d)); err == nil {
				s.clock.observe(fi.ModTime())
			}
		}
	}
	if day, err := time.ParseInLocation(time.DateOnly, s.calendar.last(), time.Local); err == nil {
		s.clock.observe(day)
	}
	return nil
}

// Close closes every mailbox and lets go of the directory. What is open is
// ErrClosed from then on.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	accounts := s.accounts
	s.accounts = nil
	s.mu.Unlock()

	s.idle.stop()
	var errs []error
	for _, a := range accounts {
		errs = append(errs, a.close())
	}
	return errors.Join(errors.Join(errs...), s.spool.close(), unlockDir(s.lock))
}

// standardFolders are what a new account has beside INBOX.
var standardFolders = []string{"Drafts", "Sent", "Junk", "Trash", "Archive"}

// CreateAccount makes a person's mailboxes: INBOX, Drafts, Sent, Junk, Trash
// and Archive, all subscribed. One that exists is left as it is.
func (s *Store) CreateAccount(person string) error {
	if err := checkPerson(person); err != nil {
		return err
	}
	s.making.Lock()
	defer s.making.Unlock()
	dir := s.accountDir(person)
	if _, err := os.Lstat(dir); err == nil {
		return nil
	}
	// Built aside, then renamed: an account is there whole or not at all.
	building := filepath.Join(s.dir, buildingPrefix+person)
	if err := os.RemoveAll(building); err != nil {
		return diskError(err)
	}
	if err := s.buildAccount(filepath.Join(building, "Maildir"), s.removedUIDValidity(person)); err != nil {
		return diskError(errors.Join(fmt.Errorf("making the account of %s: %w", person, err), os.RemoveAll(building)))
	}
	if err := os.Rename(building, filepath.Dir(dir)); err != nil {
		return diskError(errors.Join(err, os.RemoveAll(building)))
	}
	return diskError(atomicfile.SyncDir(s.dir))
}

// removedUIDValidity returns the last UIDVALIDITY of the person's mailboxes that
// were removed, 0 if there are none. A mail program that knew them must not take
// the new ones for the same (RFC 9051, 2.3.1.1).
func (s *Store) removedUIDValidity(person string) (last uint32) {
	aside := filepath.Join(s.dir, removedDir)
	entries, err := os.ReadDir(aside)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), person+"-") { // or those of ann-b for ann: numbers are skipped, no more
			continue
		}
		v, err := maildir.LastUIDValidity(filepath.Join(aside, e.Name(), "Maildir"))
		if err != nil {
			s.log.Warn("looking at removed mail", "person", person, "dir", e.Name(), "err", err)
		}
		last = max(last, v)
	}
	return last
}

// buildAccount makes the folders in dir, whose UIDVALIDITYs lie above after.
func (s *Store) buildAccount(dir string, after uint32) (err error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	root, err := maildir.CreateRoot(dir, s.maildirOptions())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	if after != 0 {
		if err := root.ContinueUIDValidity(after); err != nil {
			return err
		}
	}
	if err := root.Subscribe(context.Background(), inbox, true); err != nil {
		return err
	}
	for _, name := range standardFolders {
		if _, err := root.Create(name); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := root.Subscribe(context.Background(), name, true); err != nil {
			return err
		}
	}
	return atomicfile.SyncDir(filepath.Dir(dir))
}

// removedDir holds the mail of people who were removed.
const removedDir = ".removed"

// RemoveAccount takes a person's mail out of service. Nothing is deleted: it
// lies under mail/.removed from then on. Who has a mailbox of it open gets ErrClosed.
func (s *Store) RemoveAccount(person string) error {
	if err := checkPerson(person); err != nil {
		return err
	}
	s.making.Lock()
	defer s.making.Unlock()
	aside := filepath.Join(s.dir, removedDir)
	if err := atomicfile.MkdirAll(aside, 0o700); err != nil {
		return diskError(err)
	}
	to := filepath.Join(aside, fmt.Sprintf("%s-%d-%s", person, s.clock.now().Unix(), rand.Text()[:8]))
	a, err := s.moveAccount(person, to)
	if err != nil {
		return err
	}
	if a != nil {
		if err := a.close(); err != nil {
			s.log.Warn("closing a removed account", "person", person, "err", err)
		}
	}
	return diskError(errors.Join(atomicfile.SyncDir(aside), atomicfile.SyncDir(s.dir)))
}

// moveAccount moves a person's directory and forgets the account, which may be
// open, in one: nobody opens it in between.
func (s *Store) moveAccount(person, to string) (*Account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	err := os.Rename(filepath.Join(s.dir, person), to)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoAccount, person)
	}
	if err != nil {
		return nil, diskError(err)
	}
	a := s.accounts[person]
	delete(s.accounts, person)
	return a, nil
}

// Account returns a person's mailboxes; ErrNoAccount if there are none.
func (s *Store) Account(person string) (*Account, error) {
	if err := checkPerson(person); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if a := s.accounts[person]; a != nil {
		return a, nil
	}
	dir := s.accountDir(person)
	if fi, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) || err == nil && !fi.IsDir() {
		return nil, fmt.Errorf("%w: %s", ErrNoAccount, person)
	} else if err != nil {
		return nil, err
	}
	root, err := maildir.OpenRoot(dir, s.maildirOptions())
	if err != nil {
		return nil, diskError(fmt.Errorf("opening the mail of %s: %w", person, err))
	}
	bin, err := maildir.OpenBin(filepath.Dir(dir), s.maildirOptions())
	if err != nil {
		return nil, errors.Join(diskError(fmt.Errorf("opening the mail of %s: %w", person, err)), root.Close())
	}
	a := &Account{s: s, person: person, root: root, bin: bin, open: map[string]*Mailbox{}}
	s.accounts[person] = a
	s.notifier.addAccount(a)
	a.setQuota(s.quotas[person])
	return a, nil
}

func (s *Store) accountDir(person string) string { return filepath.Join(s.dir, person, "Maildir") }

func (s *Store) maildirOptions() maildir.Options { return maildir.Options{Step: s.step} }
