package store

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
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

// noticeDelay is how long notices that do not tell enough wait for others: a file
// is renamed by two of them. After it the folder is read.
const noticeDelay = 50 * time.Millisecond

// maxNotices is how many changed names are looked at one by one; more of them
// are found quicker by reading the directory.
const maxNotices = 64

// A notifier notices what other programs do in open mailboxes and to the list
// of folders.
type notifier struct {
	s       *Store
	changed chan struct{} // wakes run: there may be something to look at

	mu        sync.Mutex // guards what follows
	w         *fsnotify.Watcher
	open      map[string]*Mailbox // by the path of cur/ and of new/
	mailboxes map[*Mailbox]*watched
	roots     map[string]*Account // by the path of the root
	accounts  map[*Account]*watched
	unborn    map[string]*Account // directories that will be folders, by path: there is no cur/ yet
}

// watched is what a notifier knows of something that it watches.
type watched struct {
	path  string
	told  bool      // the system tells of changes
	since time.Time // since when it does
	stamp time.Time // of an account's root that the system does not tell of: its time when it was looked at
}

// maxUnborn bounds the directories that are watched because they may become folders.
const maxUnborn = 64

func newNotifier(s *Store) *notifier {
	return &notifier{s: s, changed: make(chan struct{}, 1), open: map[string]*Mailbox{}, mailboxes: map[*Mailbox]*watched{},
		roots: map[string]*Account{}, accounts: map[*Account]*watched{}, unborn: map[string]*Account{}}
}

func (n *notifier) addMailbox(m *Mailbox) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := &watched{path: m.dir().Path()}
	n.mailboxes[m] = w
	n.watchMailbox(m, w)
	n.poke()
}

func (n *notifier) removeMailbox(m *Mailbox) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := n.mailboxes[m]
	if w == nil {
		return
	}
	delete(n.mailboxes, m)
	for _, sub := range []string{"cur", "new"} {
		if p := filepath.Join(w.path, sub); n.open[p] == m {
			delete(n.open, p)
			n.unwatch(p)
		}
	}
}

// tellsSince returns since when the system tells of every change of a mailbox;
// not ok if it does not.
func (n *notifier) tellsSince(m *Mailbox) (t time.Time, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := n.mailboxes[m]
	if w == nil || !w.told {
		return t, false
	}
	return w.since, true
}

func (n *notifier) addAccount(a *Account) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := &watched{path: a.root.Path()}
	n.accounts[a], n.roots[w.path] = w, a
	n.watchAccount(w)
}

func (n *notifier) removeAccount(a *Account) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := n.accounts[a]
	if w == nil {
		return
	}
	delete(n.accounts, a)
	if n.roots[w.path] == a {
		delete(n.roots, w.path)
		n.unwatch(w.path)
	}
	for path, of := range n.unborn {
		if of == a {
			delete(n.unborn, path)
			n.unwatch(path)
		}
	}
}

// watchMailbox tells the system to watch a mailbox. Where it does not, the mailbox
// is looked at every second. The caller holds mu.
func (n *notifier) watchMailbox(m *Mailbox, w *watched) {
	w.told = true
	for _, sub := range []string{"cur", "new"} {
		p := filepath.Join(w.path, sub)
		n.open[p] = m
		w.told = n.watch(p) && w.told
	}
	w.since = time.Now()
}

// watchAccount does that for the list of folders. The caller holds mu.
func (n *notifier) watchAccount(w *watched) {
	if w.told = n.watch(w.path); !w.told {
		w.stamp = modTime(w.path)
	}
}

func modTime(path string) time.Time {
	fi, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return fi.ModTime()
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
	for m, w := range n.mailboxes {
		n.watchMailbox(m, w)
	}
	for a, w := range n.accounts {
		n.watchAccount(w)
		a.listChanged() // for what was done before
	}
}

func (n *notifier) stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.w = nil
	clear(n.unborn)
	for _, w := range n.mailboxes {
		w.told = false
	}
	for _, w := range n.accounts {
		w.told, w.stamp = false, modTime(w.path)
	}
}

// blind returns the mailboxes of which the system does not tell, and the accounts
// whose list somebody watches without it.
func (n *notifier) blind() (ms []*Mailbox, as []*Account) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for m, w := range n.mailboxes {
		if !w.told {
			ms = append(ms, m)
		}
	}
	for a, w := range n.accounts {
		if !w.told && a.watchers.any() {
			as = append(as, a)
		}
	}
	return ms, as
}

// all returns the mailboxes that are open.
func (n *notifier) all() []*Mailbox {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Keys(n.mailboxes))
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
	s.notifier.lookAt(s.notifier.all(), (*Mailbox).lookByTimes)
	return s.notifier.run(ctx, w)
}

// run takes events, and looks at directory times every second while there are
// open mailboxes of which there are none.
func (n *notifier) run(ctx context.Context, w *fsnotify.Watcher) error {
	events, errs := w.Events, w.Errors
	var tick, late <-chan time.Time
	waiting := map[*Mailbox][]notice{} // those that do not tell enough yet
	for {
		if late == nil && len(waiting) > 0 {
			late = time.After(noticeDelay)
		}
		if ms, as := n.blind(); tick == nil && len(ms)+len(as) > 0 {
			tick = time.After(pollInterval)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick:
			tick = nil
			ms, as := n.blind()
			n.lookAt(ms, (*Mailbox).lookByTimes)
			n.lookAtLists(as)
		case <-late:
			late = nil
			n.lookAt(slices.Collect(maps.Keys(waiting)), (*Mailbox).lookThrough)
			clear(waiting)
		case <-n.changed:
		case ev, ok := <-events:
			if !ok { // the system gave up on us
				events = nil
				n.stop()
				continue
			}
			n.take(events, ev, waiting)
		case err, ok := <-errs:
			if !ok {
				errs = nil
				continue
			}
			n.s.log.Debug("noticing other programs", "err", err)
			n.lookAt(n.all(), (*Mailbox).lookThrough) // some events may be lost
		}
	}
}

func (n *notifier) lookAt(ms []*Mailbox, look func(*Mailbox) error) {
	for _, m := range ms {
		n.result(m, look(m))
	}
}

// lookAtLists wakes those who watch lists of folders that have changed, by the
// time of their directory.
func (n *notifier) lookAtLists(as []*Account) {
	for _, a := range as {
		n.mu.Lock()
		w := n.accounts[a]
		now := modTime(a.root.Path())
		changed := w != nil && !now.Equal(w.stamp)
		if changed {
			w.stamp = now
		}
		n.mu.Unlock()
		if changed {
			a.listChanged()
		}
	}
}

func (n *notifier) result(m *Mailbox, err error) {
	if err != nil && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrNoMailbox) {
		n.s.log.Warn("looking what other programs did", "person", m.a.person, "mailbox", m.Name(), "err", err)
	}
}

// maxEvents is how many events are handled together.
const maxEvents = 1024

// take handles an event and those that wait behind it, together with the notices
// that are waiting.
func (n *notifier) take(events <-chan fsnotify.Event, ev fsnotify.Event, waiting map[*Mailbox][]notice) {
	notices := maps.Clone(waiting)
	clear(waiting)
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
		enough, err := m.look(ns)
		if n.result(m, err); !enough {
			waiting[m] = ns
		}
	}
	for a := range lists {
		a.listChanged()
	}
}

// A notice is a file name that appeared in or went from a mailbox.
type notice struct {
	at      maildir.Ref
	arrived bool
	removed bool // it went for good: it got no other name
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
			notices[m] = append(notices[m], notice{at, ev.Has(fsnotify.Create), ev.Has(fsnotify.Remove)})
		}
	}
	if a := n.roots[dir]; a != nil && (file[0] == '.' || file == "subscriptions") {
		lists[a] = true
		if ev.Has(fsnotify.Create) && file[0] == '.' {
			n.awaitBirth(a, ev.Name)
		} else if n.unborn[ev.Name] != nil {
			delete(n.unborn, ev.Name)
			n.unwatch(ev.Name)
		}
	}
	if a := n.unborn[dir]; a != nil && file == "cur" {
		lists[a] = true
		delete(n.unborn, dir)
		n.unwatch(dir)
	}
}

// awaitBirth watches a directory that another program has made, until there is
// what makes a folder of it. The caller holds mu.
func (n *notifier) awaitBirth(a *Account, path string) {
	if len(n.unborn) >= maxUnborn || !n.watch(path) {
		return
	}
	n.unborn[path] = a
	if _, err := os.Stat(filepath.Join(path, "cur")); err == nil {
		delete(n.unborn, path)
		n.unwatch(path)
	}
}

// lookByTimes takes in what other programs did, if the directories' times tell that they did.
func (m *Mailbox) lookByTimes() error {
	m.writeMu.Lock()
	defer m.writeMu.Unlock()
	return m.lookLocked(false)
}

// lookThrough reads the whole folder for what they did.
func (m *Mailbox) lookThrough() error {
	m.writeMu.Lock()
	defer m.writeMu.Unlock()
	return m.lookLocked(true)
}

func (m *Mailbox) lookLocked(force bool) error {
	if err := m.usable(); err != nil || !m.loaded {
		return err
	}
	return m.orAbandon(m.sync(force))
}

// orAbandon gives a mailbox up whose folder is not there any more. The caller
// holds writeMu.
func (m *Mailbox) orAbandon(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return m.abandon(ErrNoMailbox)
	}
	return err
}

// look takes in what other programs did, unless the notices are all of our own
// doing. enough is false where they do not tell what was done.
func (m *Mailbox) look(ns []notice) (enough bool, err error) {
	m.writeMu.Lock()
	defer m.writeMu.Unlock()
	if err := m.usable(); err != nil || !m.loaded {
		return true, err
	}
	switch {
	case len(ns) > maxNotices:
		return true, m.lookLocked(true)
	case m.ours(ns):
		return true, nil
	}
	enough = true
	err = m.withList(context.Background(), func(lock *maildir.UIDListLock) (err error) {
		enough, err = m.syncNotices(lock, ns)
		return err
	})
	return enough, m.orAbandon(err)
}

// ours reports whether the notices are of what we know already.
func (m *Mailbox) ours(ns []notice) bool {
	wanted := m.wanted(ns)
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

// wanted returns the records that notices are about, by the hash of the base
// name; -1: there is none.
func (m *Mailbox) wanted(ns []notice) map[uint64]int {
	wanted := make(map[uint64]int, len(ns))
	for _, n := range ns {
		wanted[index.Hash(maildir.ParseName(n.at.File).Base)] = -1
	}
	missing := len(wanted)
	for i := len(m.x.Records) - 1; i >= 0 && missing > 0; i-- { // new ones, which are last, are asked for most
		if _, ok := wanted[m.x.Records[i].Hash]; ok {
			wanted[m.x.Records[i].Hash] = i
			missing--
		}
	}
	return wanted
}

func (m *Mailbox) exists(at maildir.Ref) bool {
	_, err := m.folder.Stat(at)
	return err == nil
}
