package store

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"letterbox/store/index"
	"letterbox/store/maildir"
)

// pollInterval is how often directory times are looked at where the system
// does not tell of changes, and only while mailboxes are open.
const pollInterval = time.Second

// maxNotices is how many changed names are looked at one by one; more of them
// are found quicker by reading the directory.
const maxNotices = 64

// A notifier notices what other programs do in open mailboxes and to the list
// of folders.
type notifier struct {
	s       *Store
	changed chan struct{} // wakes the polling loop

	mu       sync.Mutex // guards what follows
	w        *fsnotify.Watcher
	open     map[string]*Mailbox // by the path of cur/ and of new/
	paths    map[*Mailbox]string
	accounts map[string]*Account // by the path of the root
}

func newNotifier(s *Store) *notifier {
	return &notifier{s: s, changed: make(chan struct{}, 1), open: map[string]*Mailbox{}, paths: map[*Mailbox]string{}, accounts: map[string]*Account{}}
}

func (n *notifier) addMailbox(m *Mailbox) {
	path := m.dir().Path()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.paths[m] = path
	for _, sub := range []string{"cur", "new"} {
		n.open[filepath.Join(path, sub)] = m
		n.watch(filepath.Join(path, sub))
	}
	n.poke()
}

func (n *notifier) removeMailbox(m *Mailbox) {
	n.mu.Lock()
	defer n.mu.Unlock()
	path, ok := n.paths[m]
	if !ok {
		return
	}
	delete(n.paths, m)
	for _, sub := range []string{"cur", "new"} {
		if p := filepath.Join(path, sub); n.open[p] == m {
			delete(n.open, p)
			n.unwatch(p)
		}
	}
}

func (n *notifier) addAccount(a *Account) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.accounts[a.root.Path()] = a
	n.watch(a.root.Path())
}

func (n *notifier) removeAccount(a *Account) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.accounts[a.root.Path()] == a {
		delete(n.accounts, a.root.Path())
		n.unwatch(a.root.Path())
	}
}

// watch and unwatch tell the system; the caller holds mu.
func (n *notifier) watch(path string) {
	if n.w == nil {
		return
	}
	if err := n.w.Add(path); err != nil {
		n.s.log.Warn("cannot notice other programs", "dir", path, "err", err)
	}
}

func (n *notifier) unwatch(path string) {
	if n.w == nil {
		return
	}
	if err := n.w.Remove(path); err != nil && !errors.Is(err, fsnotify.ErrNonExistentWatch) {
		n.s.log.Debug("unwatching", "dir", path, "err", err)
	}
}

func (n *notifier) poke() {
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

// start begins watching what is open.
func (n *notifier) start(w *fsnotify.Watcher) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.w = w
	for path := range n.open {
		n.watch(path)
	}
	for path := range n.accounts {
		n.watch(path)
	}
}

func (n *notifier) stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.w = nil
}

// mailboxes returns those that are open.
func (n *notifier) mailboxes() []*Mailbox {
	n.mu.Lock()
	defer n.mu.Unlock()
	ms := make([]*Mailbox, 0, len(n.paths))
	for m := range n.paths {
		ms = append(ms, m)
	}
	return ms
}

// Run notices what other programs do in open mailboxes and wakes their
// watchers, until ctx ends. Without it, that is noticed when a mailbox is opened.
func (s *Store) Run(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		s.log.Warn("the system does not tell of changed files, looking every second instead", "err", err)
		return s.notifier.poll(ctx)
	}
	s.notifier.start(w)
	defer func() {
		s.notifier.stop()
		if err := w.Close(); err != nil {
			s.log.Debug("closing the watcher", "err", err)
		}
	}()
	s.notifier.lookAll()
	for {
		select {
		case <-ctx.Done():
			return nil
		case ev, ok := <-w.Events:
			if !ok {
				return s.notifier.poll(ctx) // the system gave up on us
			}
			s.notifier.take(w, ev)
		case err := <-w.Errors:
			s.log.Debug("noticing other programs", "err", err)
			s.notifier.lookAll() // some events may be lost
		}
	}
}

// poll looks at directory times while mailboxes are open.
func (n *notifier) poll(ctx context.Context) error {
	timer := time.NewTimer(pollInterval)
	defer timer.Stop()
	for {
		ms := n.mailboxes()
		for _, m := range ms {
			n.result(m, m.Look())
		}
		var tick <-chan time.Time
		if len(ms) > 0 {
			timer.Reset(pollInterval)
			tick = timer.C
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick:
		case <-n.changed:
		}
	}
}

func (n *notifier) lookAll() {
	for _, m := range n.mailboxes() {
		n.result(m, m.Look())
	}
}

func (n *notifier) result(m *Mailbox, err error) {
	if err != nil && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrNoMailbox) {
		n.s.log.Warn("looking what other programs did", "person", m.a.person, "mailbox", m.Name(), "err", err)
	}
}

// take handles an event and those that wait behind it.
func (n *notifier) take(w *fsnotify.Watcher, ev fsnotify.Event) {
	notices := map[*Mailbox][]notice{}
	lists := map[*Account]bool{}
	for more := true; more; {
		n.sort(ev, notices, lists)
		select {
		case ev = <-w.Events:
		default:
			more = false
		}
	}
	for m, ns := range notices {
		n.result(m, m.look(ns))
	}
	for a := range lists {
		a.watchers.wake()
	}
}

// A notice is a file name that appeared in or went from a mailbox.
type notice struct {
	at      maildir.Ref
	arrived bool
}

// sort finds out whom an event is about.
func (n *notifier) sort(ev fsnotify.Event, notices map[*Mailbox][]notice, lists map[*Account]bool) {
	if !ev.Has(fsnotify.Create) && !ev.Has(fsnotify.Rename) && !ev.Has(fsnotify.Remove) {
		return
	}
	dir, file := filepath.Split(ev.Name)
	dir = filepath.Clean(dir)
	n.mu.Lock()
	defer n.mu.Unlock()
	if m := n.open[dir]; m != nil {
		at := maildir.Ref{InNew: filepath.Base(dir) == "new", File: file}
		notices[m] = append(notices[m], notice{at, ev.Has(fsnotify.Create)})
	} else if a := n.accounts[dir]; a != nil && strings.HasPrefix(file, ".") {
		lists[a] = true
	}
}

// Look takes in what other programs did, if the directories' times tell that they did.
func (m *Mailbox) Look() error {
	m.writeMu.Lock()
	defer m.writeMu.Unlock()
	return m.lookLocked(false)
}

// look takes in what other programs did, unless the notices are all of our own doing.
func (m *Mailbox) look(ns []notice) error {
	m.writeMu.Lock()
	defer m.writeMu.Unlock()
	if len(ns) <= maxNotices && m.x != nil && m.ours(ns) {
		return nil
	}
	return m.lookLocked(true)
}

func (m *Mailbox) lookLocked(force bool) error {
	if err := m.usable(); err != nil || !m.loaded {
		return err
	}
	err := m.sync(force)
	if errors.Is(err, fs.ErrNotExist) {
		return m.abandon(ErrNoMailbox)
	}
	return err
}

// ours reports whether the notices are of what we know already.
func (m *Mailbox) ours(ns []notice) bool {
	wanted := make(map[uint64]int, len(ns)) // hash -> record
	for _, n := range ns {
		wanted[index.Hash(maildir.ParseName(n.at.File).Base)] = -1
	}
	for i := range m.x.Records {
		if _, ok := wanted[m.x.Records[i].Hash]; ok {
			wanted[m.x.Records[i].Hash] = i
		}
	}
	for _, n := range ns {
		base := maildir.ParseName(n.at.File).Base
		i := wanted[index.Hash(base)]
		if i < 0 {
			if n.arrived && m.exists(n.at) {
				return false
			}
			continue
		}
		r := &m.x.Records[i]
		at := maildir.Ref{InNew: r.Bits&index.InNew != 0, File: base}
		switch {
		case r.Bits&index.Odd != 0:
			at.File = m.x.OddName(r.UID)
		case !at.InNew:
			at.File = m.letters.file(base, Flags(r.Flags))
		}
		// What arrived must be where we think it is, or be gone again; what
		// went must not, or have come back.
		if n.arrived != (at == n.at) && n.arrived == m.exists(n.at) {
			return false
		}
	}
	return true
}

func (m *Mailbox) exists(at maildir.Ref) bool {
	_, err := m.folder.Stat(at)
	return err == nil
}
