package store

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"letterbox/store/index"
	"letterbox/store/maildir"
)

// pollInterval is how often directory times are looked at where the system
// does not tell of changes (inotify is missing or its watches are used up), and
// only while such mailboxes are open.
const pollInterval = time.Second

// maxNotices is how many changed names are looked at one by one; more of them
// are found quicker by reading the directory.
const maxNotices = 64

// A notifier notices what other programs do in open mailboxes and to the list
// of folders.
type notifier struct {
	s       *Store
	changed chan struct{} // wakes run: there may be something to look at

	mu       sync.Mutex // guards what follows
	w        *fsnotify.Watcher
	open     map[string]*Mailbox // by the path of cur/ and of new/
	paths    map[*Mailbox]string
	unseen   map[*Mailbox]bool   // those of paths of which the system does not tell
	accounts map[string]*Account // by the path of the root
}

func newNotifier(s *Store) *notifier {
	return &notifier{s: s, changed: make(chan struct{}, 1), open: map[string]*Mailbox{}, paths: map[*Mailbox]string{}, unseen: map[*Mailbox]bool{}, accounts: map[string]*Account{}}
}

func (n *notifier) addMailbox(m *Mailbox) {
	path := m.dir().Path()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.paths[m] = path
	n.watchMailbox(m, path)
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
	delete(n.unseen, m)
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

// watchMailbox tells the system to watch a mailbox. Where it does not, the mailbox
// is looked at every second. The caller holds mu.
func (n *notifier) watchMailbox(m *Mailbox, path string) {
	for _, sub := range []string{"cur", "new"} {
		p := filepath.Join(path, sub)
		n.open[p] = m
		if !n.watch(p) {
			n.unseen[m] = true
		}
	}
}

// watch and unwatch tell the system; the caller holds mu.
func (n *notifier) watch(path string) bool {
	if n.w == nil {
		return false
	}
	err := n.w.Add(path)
	if err != nil {
		n.s.log.Warn("the system does not tell of changes here", "dir", path, "err", err)
	}
	return err == nil
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
	clear(n.unseen)
	for m, path := range n.paths {
		n.watchMailbox(m, path)
	}
	for path := range n.accounts {
		n.watch(path)
	}
}

func (n *notifier) stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.w = nil
	for m := range n.paths {
		n.unseen[m] = true
	}
}

// blind returns the mailboxes of which the system does not tell.
func (n *notifier) blind() []*Mailbox {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Keys(n.unseen))
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
// watchers, and does the caretaker's jobs, until ctx ends. Without it, changes
// are noticed when a mailbox is opened, and jobs wait.
func (s *Store) Run(ctx context.Context) error {
	var caring sync.WaitGroup
	defer caring.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	caring.Go(func() { s.care.run(ctx) })
	w, err := fsnotify.NewWatcher()
	if err != nil {
		s.log.Warn("the system does not tell of changed files, looking every second instead", "err", err)
		w = &fsnotify.Watcher{} // tells of nothing
	} else {
		s.notifier.start(w)
		defer func() {
			s.notifier.stop()
			if err := w.Close(); err != nil {
				s.log.Debug("closing the watcher", "err", err)
			}
		}()
	}
	s.notifier.lookAt(s.notifier.mailboxes())
	return s.notifier.run(ctx, w)
}

// run takes events, and looks at directory times every second while there are
// open mailboxes of which there are none.
func (n *notifier) run(ctx context.Context, w *fsnotify.Watcher) error {
	events, errs := w.Events, w.Errors
	var tick <-chan time.Time
	for {
		if tick == nil && len(n.blind()) > 0 {
			tick = time.After(pollInterval)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick:
			tick = nil
			n.lookAt(n.blind())
		case <-n.changed:
		case ev, ok := <-events:
			if !ok { // the system gave up on us
				events = nil
				n.stop()
				continue
			}
			n.take(events, ev)
		case err, ok := <-errs:
			if !ok {
				errs = nil
				continue
			}
			n.s.log.Debug("noticing other programs", "err", err)
			n.lookAt(n.mailboxes()) // some events may be lost
		}
	}
}

func (n *notifier) lookAt(ms []*Mailbox) {
	for _, m := range ms {
		n.result(m, m.lookByTimes())
	}
}

func (n *notifier) result(m *Mailbox, err error) {
	if err != nil && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrNoMailbox) {
		n.s.log.Warn("looking what other programs did", "person", m.a.person, "mailbox", m.Name(), "err", err)
	}
}

// maxEvents is how many events are handled together.
const maxEvents = 1024

// take handles an event and those that wait behind it.
func (n *notifier) take(events <-chan fsnotify.Event, ev fsnotify.Event) {
	notices := map[*Mailbox][]notice{}
	lists := map[*Account]bool{}
	n.sort(ev, notices, lists)
	for range maxEvents {
		select {
		case ev, ok := <-events:
			if ok {
				n.sort(ev, notices, lists)
				continue
			}
		default:
		}
		break
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
		if len(notices[m]) <= maxNotices {
			notices[m] = append(notices[m], notice{at, ev.Has(fsnotify.Create)})
		}
	} else if a := n.accounts[dir]; a != nil && strings.HasPrefix(file, ".") {
		lists[a] = true
	}
}

// lookByTimes takes in what other programs did, if the directories' times tell that they did.
func (m *Mailbox) lookByTimes() error {
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
