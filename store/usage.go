package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"letterbox/store/index"
	"letterbox/store/maildir"
)

// Usage is what a person's mailboxes hold. A message that was copied counts
// twice, one that was expunged does not count.
type Usage struct {
	Bytes    int64 // of the messages, wire form
	Messages int64
	Complete bool // false: at least so much, since not every mailbox has been counted yet
}

// A usage is what one account holds, folder by folder, so that a change in one
// is a change of the sum. What is known of a folder is what its Mailbox said last;
// what another program did to it since counts when it is opened again.
type usage struct {
	mu       sync.Mutex // guards what follows; taken last, for moments
	folders  map[string]index.Totals
	sum      index.Totals // of folders
	counting bool         // somebody has asked: until then folders is nil
	complete bool         // every folder is known
	quota    Quota
	warning  warning
	arriving index.Totals // of messages that have been promised room and are in no folder yet
}

// set notes what a folder holds, and that what arrived of it was promised room.
func (u *usage) set(folder string, t, arrived index.Totals) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.arriving = u.arriving.Sub(arrived)
	if u.counting {
		u.put(folder, t)
	}
}

// promise promises room for messages, whatever the quota says.
func (u *usage) promise(t index.Totals) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.arriving = u.arriving.Add(t)
}

// settle takes a promise back.
func (u *usage) settle(t index.Totals) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.arriving = u.arriving.Sub(t)
}

// put is set for those who hold mu.
func (u *usage) put(folder string, t index.Totals) {
	u.sum = u.sum.Sub(u.folders[folder]).Add(t)
	u.folders[folder] = t
}

// fill notes what was counted of a folder, unless its Mailbox knew better meanwhile.
func (u *usage) fill(folder string, t index.Totals) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, known := u.folders[folder]; !known && u.counting {
		u.put(folder, t)
	}
}

// drop forgets a folder that is no more.
func (u *usage) drop(folder string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sum = u.sum.Sub(u.folders[folder])
	delete(u.folders, folder)
}

// doubt forgets what is known of a folder, for it to be counted anew.
func (u *usage) doubt(folder string) {
	u.drop(folder)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.complete = false
}

// rename gives folders other names, from and all that is below it, once no Mailbox
// has its old name any more. Those whose Mailbox has told its new one are known by it.
func (u *usage) rename(from, to string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	moved := map[string]index.Totals{}
	for name, t := range u.folders {
		if rest, ok := below(name, from); ok {
			moved[to+rest] = t
			u.sum = u.sum.Sub(t)
			delete(u.folders, name)
		}
	}
	for name, t := range moved {
		if _, known := u.folders[name]; !known {
			u.put(name, t)
		}
	}
}

// below returns what follows after parent in the name of a folder that is parent or
// lies below it.
func below(name, parent string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(name, parent)
	return rest, ok && (rest == "" || rest[0] == '/')
}

// begin starts counting; false: it was started before.
func (u *usage) begin() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.counting {
		return false
	}
	u.counting, u.folders = true, map[string]index.Totals{}
	return true
}

// stale reports whether names are other folders than those that are known.
func (u *usage) stale(names []string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.counting || !u.complete {
		return false // they are being counted
	}
	for _, name := range names {
		if _, known := u.folders[name]; !known {
			return true
		}
	}
	return len(names) != len(u.folders)
}

// missing drops the folders that are not in names, and returns those of names that
// are not known. If there are none the sum is complete.
func (u *usage) missing(names []string) (unknown []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	there := make(map[string]bool, len(names))
	for _, name := range names {
		there[name] = true
		if _, known := u.folders[name]; !known {
			unknown = append(unknown, name)
		}
	}
	for name, t := range u.folders {
		if !there[name] {
			u.sum = u.sum.Sub(t)
			delete(u.folders, name)
		}
	}
	u.complete = len(unknown) == 0
	return unknown
}

func (u *usage) get() Usage {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.now()
}

// now is get for those who hold mu.
func (u *usage) now() Usage {
	return Usage{Bytes: u.sum.Size, Messages: u.sum.Messages, Complete: u.complete}
}

// Usage returns what the person's mailboxes hold, as far as it is known. It looks
// at no file: where something is not known yet, Run has it counted.
func (a *Account) Usage() Usage {
	if a.usage.begin() {
		a.askCount()
	}
	return a.usage.get()
}

// CountUsage is Usage that counts now what is not known yet. It returns early when
// ctx ends.
func (a *Account) CountUsage(ctx context.Context) (Usage, error) {
	a.usage.begin()
	if err := a.countAll(ctx); err != nil {
		return Usage{}, err
	}
	return a.usage.get(), nil
}

// countJob is the caretaker's key for counting an account.
type countJob struct{ a *Account }

// askCount has what is not known of the account's folders counted. It may be
// called with any lock held.
func (a *Account) askCount() {
	a.s.care.ask(job{key: countJob{a}, who: a.person, do: a.countAll})
}

// recount is askCount where somebody wants to know: the list of folders is another
// one, or a folder.
func (a *Account) recount() {
	a.usage.mu.Lock()
	counting := a.usage.counting
	a.usage.mu.Unlock()
	if counting {
		a.askCount()
	}
}

// countAll counts every folder that is not known, until there is none: folders
// may come meanwhile.
func (a *Account) countAll(ctx context.Context) error {
	a.counting.Lock()
	defer a.counting.Unlock()
	tried := map[string]bool{}
	for {
		unknown, err := a.uncounted()
		if err != nil {
			return err
		}
		unknown = slices.DeleteFunc(unknown, func(name string) bool { return tried[name] })
		if len(unknown) == 0 {
			a.weigh()
			return nil
		}
		for _, name := range unknown {
			tried[name] = true
			if err := a.countFolder(ctx, name); err != nil {
				return err
			}
		}
	}
}

// uncounted returns the folders of which nothing is known.
func (a *Account) uncounted() ([]string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, ErrClosed
	}
	names, err := a.root.Folders()
	if err != nil {
		return nil, diskError(err)
	}
	return a.usage.missing(names), nil
}

// countFolder counts a folder. One that cannot be read counts as empty, until
// somebody opens it.
func (a *Account) countFolder(ctx context.Context, name string) error {
	t, err := a.totalsOf(ctx, name)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.s.log.Warn("a folder cannot be counted", "person", a.person, "mailbox", name, "err", err)
	}
	// The folder must be there still when its totals are noted: who removes or
	// renames one holds mu, and finds it among the known ones or takes it from here.
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return ErrClosed
	}
	canonical, ok, err := a.root.Lookup(name)
	if err == nil && ok && canonical == name {
		a.usage.fill(name, t)
	}
	return diskError(err)
}

// totalsOf returns what a folder holds: as its Mailbox knows it, as the index
// says where it is true to the files, or else by the files.
func (a *Account) totalsOf(ctx context.Context, name string) (index.Totals, error) {
	a.mu.Lock()
	m := a.open[name]
	a.mu.Unlock()
	if m != nil {
		if t, ok := m.totals(); ok {
			return t, nil
		}
	}
	f, err := a.root.Folder(name)
	if err != nil {
		return index.Totals{}, err
	}
	t, err := countFiles(ctx, f)
	return t, errors.Join(err, f.Close())
}

// totals returns what an open mailbox holds.
func (m *Mailbox) totals() (t index.Totals, ok bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.x == nil || m.err != nil {
		return t, false
	}
	return m.x.Totals, true
}

// countFiles returns what a closed folder holds. Where no index tells, the names
// of the files do, those that say their size; the others are looked at.
func countFiles(ctx context.Context, f *maildir.Folder) (t index.Totals, err error) {
	sig, _, err := signatureOf(f)
	if err != nil {
		return t, err
	}
	if t, ok := index.ReadTotals(f.FS(), sig); ok {
		return t, nil
	}
	err = f.Scan(func(e maildir.Entry) error {
		if !e.Name.CanBeListed() {
			return ctx.Err()
		}
		size, err := sizeOf(f, e)
		if err == nil {
			t = t.Add(index.Totals{Messages: 1, Size: size})
		}
		return ctx.Err() // what cannot be looked at is no message
	})
	if err != nil {
		return t, fmt.Errorf("counting messages: %w", err)
	}
	return t, nil
}

// sizeOf returns the size of a message as far as its name tells: on the wire, or
// of its file.
func sizeOf(f *maildir.Folder, e maildir.Entry) (int64, error) {
	sizes := e.Name.Sizes()
	switch {
	case sizes.Virtual >= 0:
		return sizes.Virtual, nil
	case sizes.Physical >= 0:
		return sizes.Physical, nil
	}
	fi, err := f.Stat(e.Ref())
	if err != nil {
		return 0, err
	}
	if !fi.Mode().IsRegular() {
		return 0, errNoMessage
	}
	return fi.Size(), nil
}

// count tells the account what the mailbox holds. The caller holds writeMu.
func (m *Mailbox) count() {
	arrived := m.arrived
	m.arrived = index.Totals{}
	if m.x == nil || m.replaced.Load() {
		m.a.usage.settle(arrived)
		return
	}
	m.a.usage.set(m.name, m.x.Totals, arrived)
	m.a.weigh()
}

// listChanged tells those who watch that other programs have changed the list of folders.
func (a *Account) listChanged() {
	a.watchers.wake()
	a.recount()
}
