package maildir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Dovecot's dotlocks: a file "name.lock", created exclusively, that holds
// "pid:host". It is stale when that process is dead, or when neither the lock
// nor the file it guards has changed for a time. It is removed by who made it,
// and only if it still is the same file.
//
// A folder's list is locked for every delivery. So its lock file is not made and
// removed each time, but lies in tmp/ as long as the folder is open and gets the
// lock's name as a second one (spare.go): file systems take long to make a file
// where many have just been removed, and flash wears out.

const (
	staleList          = 2 * time.Minute  // dovecot-uidlist and dovecot-keywords
	staleSubscriptions = 30 * time.Second // subscriptions

	// staleNameless is for a lock that names nobody: whoever takes one says at once who it is, so that this one was left by a power cut,
	// which leaves nothing in it, or zeros.
	staleNameless = 2 * time.Second
)

// ErrLocked is wrapped when another program held a lock until the context
// ended.
var ErrLocked = errors.New("another program is busy in this folder")

// ErrLockLost is wrapped when another program took our lock away, because it
// was held too long.
var ErrLockLost = errors.New("another program has taken over the lock")

// lockTable makes the goroutines of this process wait for one another without
// the file system. Locks are named by the directory's inode, so that a renamed
// folder keeps its own. It is guarded by mu.
type lockTable struct {
	mu       sync.Mutex
	held     map[lockKey]*localLock
	doubtful map[lockKey]bool // files whose last sync has failed
}

// doubt notes whether a file is to be believed.
func (t *lockTable) doubt(key lockKey, on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case !on:
		delete(t.doubtful, key)
	case t.doubtful == nil:
		t.doubtful = map[lockKey]bool{key: true}
	default:
		t.doubtful[key] = true
	}
}

func (t *lockTable) isDoubtful(key lockKey) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.doubtful[key]
}

type lockKey struct {
	dir  uint64
	name string
}

// localLock is one lock that somebody holds or waits for.
type localLock struct {
	turn chan struct{} // holds one value while nobody has the lock
	refs int           // guarded by lockTable.mu
}

// acquire waits for key and returns what gives it back.
func (t *lockTable) acquire(ctx context.Context, key lockKey) (release func(), err error) {
	t.mu.Lock()
	l := t.held[key]
	if l == nil {
		if t.held == nil {
			t.held = map[lockKey]*localLock{}
		}
		l = &localLock{turn: make(chan struct{}, 1)}
		l.turn <- struct{}{}
		t.held[key] = l
	}
	l.refs++
	t.mu.Unlock()

	drop := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if l.refs--; l.refs == 0 {
			delete(t.held, key)
		}
	}
	release = func() { l.turn <- struct{}{}; drop() }
	select {
	case <-l.turn: // a free lock is taken whatever ctx says
		return release, nil
	default:
	}
	select {
	case <-l.turn:
		return release, nil
	case <-ctx.Done():
		drop()
		return nil, context.Cause(ctx)
	}
}

// dotlock is a held lock.
type dotlock struct {
	tree
	locks   *lockTable
	key     lockKey
	name    string    // of the lock file
	spare   *spare    // nil: the lock file is made each time
	made    FileStamp // by it we know whether it is still ours: inodes come again
	release func()
}

// lockFile takes the dotlock of target in t, waiting until ctx ends.
func (r *Root) lockFile(ctx context.Context, t tree, target string, stale time.Duration) (*dotlock, error) {
	return r.lockWith(ctx, t, target, stale, nil)
}

func (r *Root) lockWith(ctx context.Context, t tree, target string, stale time.Duration, s *spare) (*dotlock, error) {
	info, err := t.fs.Stat(".")
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", target, err)
	}
	key := lockKey{inodeOf(info), target}
	release, err := r.locks.acquire(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", target, err)
	}
	l := &dotlock{tree: t, locks: &r.locks, key: key, name: target + ".lock", spare: s, release: release}
	if err := l.take(ctx, target, stale); err != nil {
		release()
		return nil, fmt.Errorf("locking %s: %w", target, err)
	}
	return l, nil
}

// take creates the lock file, waiting with a timer that backs off.
func (l *dotlock) take(ctx context.Context, target string, stale time.Duration) error {
	watch := staleWatch{stale: stale}
	for wait := time.Millisecond; ; wait = min(2*wait, 64*time.Millisecond) {
		err := l.create()
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		if removed, err := l.overrideStale(&watch, target); err != nil {
			return err
		} else if removed {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w: %w", ErrLocked, context.Cause(ctx))
		}
	}
}

func (l *dotlock) create() error {
	err := l.make()
	if err != nil {
		return err
	}
	if l.made, err = l.stamp(); err != nil {
		return errors.Join(err, l.remove(StepUnlock, l.name))
	}
	return nil
}

// stamp is that of the lock file as it is now.
func (l *dotlock) stamp() (FileStamp, error) {
	if l.spare != nil {
		return l.spare.f.lstamp(l.name)
	}
	info, err := l.fs.Lstat(l.name)
	if err != nil {
		return FileStamp{}, err
	}
	return stampOf(info), nil
}

// make makes the lock file. Errors wrap fs.ErrExist when there is one.
func (l *dotlock) make() error {
	if l.spare != nil {
		if err := l.spare.link(l.name); !errors.Is(err, errNoSpare) {
			return err
		}
	}
	if err := l.step(StepLock); err != nil {
		return err
	}
	f, err := l.fs.OpenFile(l.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := sign(f); err != nil {
		return errors.Join(err, l.remove(StepUnlock, l.name))
	}
	return nil
}

// sign writes into a lock file, which it closes, whose it is.
func sign(f *os.File) error {
	_, err := f.WriteString(strconv.Itoa(os.Getpid()) + ":" + hostname())
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		err = nil // an empty lock is one, too, and on a full disk people must be able to delete mail
	}
	return errors.Join(err, f.Close())
}

// staleWatch remembers, while we wait, how long a lock has looked the same.
type staleWatch struct {
	stale       time.Duration
	lock, file  FileStamp
	unchangedAt time.Time // by the monotonic clock
}

// overrideStale removes the lock file if it is stale.
func (l *dotlock) overrideStale(w *staleWatch, target string) (removed bool, err error) {
	info, err := l.fs.Lstat(l.name)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	owner, named := l.owner()
	if !w.isStale(info, statStamp(l.fs, target), named) && !owner.dead() {
		return false, nil
	}
	// Nobody but a program that also found it stale removes it; that it is
	// still the same file makes it unlikely that a fresh lock is hit.
	again, err := l.fs.Lstat(l.name)
	if err != nil || stampOf(info) != stampOf(again) {
		return errors.Is(err, fs.ErrNotExist), nil
	}
	return true, l.remove(StepUnlock, l.name)
}

// isStale reports whether lock and file have not changed for the time, by
// their own times or by our watching them: the clock may be wrong. named: the lock
// says whose it is.
func (w *staleWatch) isStale(lock fs.FileInfo, file FileStamp, named bool) bool {
	now := time.Now()
	if stamp := stampOf(lock); stamp != w.lock || file != w.file || w.unchangedAt.IsZero() {
		w.lock, w.file, w.unchangedAt = stamp, file, now
	}
	watched := w.stale
	if !named {
		watched = staleNameless
	}
	changed := max(lock.ModTime().UnixNano(), file.ModTime)
	return now.Sub(w.unchangedAt) > watched || now.UnixNano()-changed > int64(w.stale)
}

// lockOwner is the process that a lock names.
type lockOwner struct {
	pid  int
	host string
}

// owner reads whose lock it is. Not named: it says nothing that can be read.
func (l *dotlock) owner() (o lockOwner, named bool) {
	text, err := l.readSmall(l.name, 512)
	if err != nil {
		return o, true
	}
	number, host, ok := strings.Cut(string(text), ":")
	pid, err := strconv.Atoi(number)
	if !ok || err != nil || pid <= 0 {
		return o, false
	}
	return lockOwner{pid, host}, true
}

// dead reports whether the process is one of this machine that is no more. A lock
// that names this process was left by an earlier one with the same number: this
// process holds the turn, and so has no such lock.
func (o lockOwner) dead() bool {
	if o.pid == 0 || o.host != hostname() {
		return false
	}
	return o.pid == os.Getpid() || errors.Is(unix.Kill(o.pid, 0), unix.ESRCH)
}

// check fails with ErrLockLost when the lock is not ours any more.
func (l *dotlock) check() error {
	now, err := l.stamp()
	if err == nil && now == l.made {
		return nil
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return ErrLockLost
	}
	return err
}

// touch tells other programs that we are alive.
func (l *dotlock) touch() error {
	if err := l.check(); err != nil {
		return err
	}
	now := time.Now()
	if err := l.fs.Chtimes(l.name, now, now); err != nil {
		return err
	}
	made, err := l.stamp()
	if err != nil {
		return err
	}
	l.made = made
	return nil
}

// unlock gives the lock back. ErrLockLost when it was not ours any more.
func (l *dotlock) unlock() error {
	defer l.release()
	if err := l.check(); err != nil {
		return err
	}
	return l.remove(StepUnlock, l.name)
}
