package store

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"letterbox/store/maildir"
)

const inbox = "INBOX"

// An Account is one person's mailboxes. It may be used by several goroutines
// and lasts as long as the Store.
type Account struct {
	s        *Store
	person   string
	root     *maildir.Root
	bin      *maildir.Bin
	tidied   atomic.Pointer[string] // the day of the last housekeeping; nil: none yet
	watchers watchers
	usage    usage

	counting sync.Mutex // held by who counts the folders

	unreadable unreadable

	mu     sync.Mutex // guards the list of mailboxes on disk and what follows
	closed bool
	open   map[string]*Mailbox // by canonical name, also those that linger unused; those without a name any more by one that none can have
}

// Watch wakes ch after every change of the list of mailboxes and of any mailbox
// of this account. The channel needs room for one signal; none is waited for.
func (a *Account) Watch(ch chan<- struct{}) (stop func()) {
	defer a.s.notifier.poke() // where the system does not tell of changes, somebody has to look now
	return a.watchers.add(ch)
}

// Open opens a mailbox; ErrNoMailbox if there is none that can be selected.
// What other programs did to its files is taken in before Open returns. Every
// open mailbox needs one Close.
func (a *Account) Open(name string) (*Mailbox, error) {
	m, err := a.acquire(name)
	if err != nil {
		return nil, err
	}
	if err := m.ready(); err != nil {
		m.release()
		return nil, err
	}
	return m, nil
}

// OpenTarget is Open for who puts messages into a mailbox: what other programs
// did to its files is left to Append, Copy and Move, which take it in, and nobody
// who is changing the mailbox is waited for.
func (a *Account) OpenTarget(name string) (*Mailbox, error) {
	m, err := a.acquire(name)
	if err != nil {
		return nil, err
	}
	if err := m.readyUnseen(); err != nil {
		m.release()
		return nil, err
	}
	return m, nil
}

// acquire finds or makes the Mailbox of a name, not yet ready, and counts a reference.
func (a *Account) acquire(name string) (*Mailbox, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, ErrClosed
	}
	canonical, err := a.find(name)
	if err != nil {
		return nil, err
	}
	m := a.open[canonical]
	if m == nil || !m.dir().InPlace() || m.usable() != nil { // nobody can use that one any more
		folder, err := a.root.Folder(canonical)
		if err != nil {
			return nil, folderError(err, name)
		}
		m = a.adopt(canonical, folder)
	}
	m.refs++
	return m, nil
}

// adopt returns the Mailbox of a folder. Where another program has renamed it
// while it was open, that is the one open under the old name: two Mailboxes on
// one folder would spoil each other's index. The caller holds mu.
func (a *Account) adopt(name string, folder *maildir.Folder) *Mailbox {
	for old, m := range a.open {
		if m.usable() == nil && m.dir().Same(folder) {
			delete(a.open, old)
			m.renamed(name, folder)
			a.usage.doubt(old)
			a.recount()
			a.open[name] = m
			a.watchers.wake()
			return m
		}
	}
	m := &Mailbox{a: a, id: a.s.ids.Add(1), name: name, folder: folder}
	if was := a.open[name]; was != nil {
		was.replaced.Store(true)
		a.usage.doubt(name)
		a.recount()
		a.open[fmt.Sprintf("%s\x00%d", name, was.id)] = was // for who still has it open
	}
	a.open[name] = m
	return m
}

// find returns the name a mailbox has on disk. The caller holds mu.
func (a *Account) find(name string) (string, error) {
	if strings.EqualFold(name, inbox) {
		return inbox, nil
	}
	canonical, ok, err := a.root.Lookup(name)
	if err != nil {
		return "", folderError(err, name)
	}
	if !ok {
		return "", fmt.Errorf("%w: %s", ErrNoMailbox, name)
	}
	return canonical, nil
}

// folderError gives the errors of maildir about folders their place here.
func folderError(err error, name string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, maildir.ErrBadName):
		return fmt.Errorf("%w: %w", ErrBadName, err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s", ErrNoMailbox, name)
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w: %s", ErrMailboxExists, name)
	}
	return diskError(err)
}

// Status returns the numbers of a mailbox.
func (a *Account) Status(name string) (Status, error) {
	m, err := a.Open(name)
	if err != nil {
		return Status{}, err
	}
	st := m.Status()
	if st.UIDValidity == 0 { // deleted just now
		err = m.usable()
	}
	return st, errors.Join(err, m.Close())
}

// forget takes an unused mailbox out of the list and closes it, if nobody has
// opened it meanwhile, and reports whether it did.
func (a *Account) forget(m *Mailbox) (closed bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if m.refs > 0 {
		return false, nil
	}
	maps.DeleteFunc(a.open, func(_ string, o *Mailbox) bool { return o == m })
	return true, m.shut(ErrClosed)
}

// close closes every mailbox; users of one get ErrClosed.
func (a *Account) close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil
	}
	a.closed = true
	a.s.notifier.removeAccount(a)
	var errs []error
	for _, m := range a.open {
		errs = append(errs, m.shut(ErrClosed))
	}
	a.open = nil
	a.watchers.wake()
	return errors.Join(errors.Join(errs...), a.root.Close(), a.bin.Close())
}
