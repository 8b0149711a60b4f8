package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"letterbox/store/maildir"
)

// binLocks are held while something comes into or out of a bin: each person's has one.
type binLocks struct {
	mu sync.Mutex // guards of
	of map[string]*sync.Mutex
}

func (l *binLocks) lock(person string) (unlock func()) {
	l.mu.Lock()
	if l.of == nil {
		l.of = map[string]*sync.Mutex{}
	}
	bin := l.of[person]
	if bin == nil {
		bin = &sync.Mutex{}
		l.of[person] = bin
	}
	l.mu.Unlock()
	bin.Lock()
	return bin.Unlock
}

// keptOn is the date, on the household's calendar, under which what is expunged now
// is kept: none before the last day on which mail was written, whatever the clock
// says, so that it is not old by days that had passed before.
func (s *Store) keptOn() string { return max(dateOf(s.clock.today()), s.calendar.last()) }

// dispose takes messages out of a mailbox: into the person's bin, or, where there
// is no room for what can be done without, for good. missing are those whose
// files had other names. It is durable. The caller holds writeMu.
func (m *Mailbox) dispose(ks []maildir.Keeping) (missing []maildir.Ref, err error) {
	if len(ks) == 0 {
		return nil, nil
	}
	done := 0
	if m.a.s.roomToKeep() {
		done, missing, err = m.a.keep(m.folder, ks)
		if !errors.Is(err, maildir.ErrNotKept) {
			return missing, err
		}
		m.a.s.log.Warn("expunged messages are not kept", "person", m.a.person, "mailbox", m.name, "messages", len(ks)-done, "err", err)
	}
	refs := make([]maildir.Ref, 0, len(ks)-done)
	for _, k := range ks[done:] {
		refs = append(refs, k.From)
	}
	more, err := m.folder.RemoveFound(refs)
	return append(missing, more...), err
}

func (a *Account) keep(f *maildir.Folder, ks []maildir.Keeping) (done int, missing []maildir.Ref, err error) {
	defer a.s.bins.lock(a.person)()
	return a.bin.Keep(f, a.s.keptOn(), ks)
}

// removeFolder takes a folder out of the tree, into the person's bin if there is
// room. The caller holds a.mu and, if the mailbox is open, its writeMu.
func (a *Account) removeFolder(name string) error {
	if a.s.roomToKeep() {
		err := a.keepFolder(name)
		if !errors.Is(err, maildir.ErrNotKept) {
			return err
		}
		a.s.log.Warn("the messages of a deleted mailbox are not kept", "person", a.person, "mailbox", name, "err", err)
	}
	return a.root.Remove(name)
}

func (a *Account) keepFolder(name string) error {
	defer a.s.bins.lock(a.person)()
	return a.bin.KeepFolder(a.root, name, a.s.keptOn())
}

// fullDisk is how many octets are free of a disk that is as good as full, whatever
// its floor is.
const fullDisk = 1 << 20

// roomToKeep reports whether there is room to keep what is expunged. Where space
// runs short, what was expunged before goes first.
func (s *Store) roomToKeep() bool {
	if s.disk.makeRoom(0) != nil {
		return false
	}
	if s.lackingOfFull() <= 0 {
		return true
	}
	s.disk.shedding.Lock()
	defer s.disk.shedding.Unlock()
	if lacking := s.lackingOfFull(); lacking > 0 { // else another has made room meanwhile
		s.shed(lacking)
	}
	return false
}

// lackingOfFull is how many octets are lacking for the disk not to be as good as full.
func (s *Store) lackingOfFull() int64 {
	free, _, err := s.disk.space()
	if err != nil {
		return 0 // it does not tell
	}
	return fullDisk - free
}

// shed is shedExpunged for who can do no more about an error than to have it logged.
func (s *Store) shed(want int64) {
	if _, err := s.shedExpunged(want); err != nil {
		s.log.Warn("removing what was expunged to make room", "err", err)
	}
}

// shedExpunged makes room on the disk: it removes for good what was expunged, of
// all people, the oldest first, until want octets are free or nothing is left.
// freed is what that has given back. Any lock but binLocks, Mailbox.mu and those
// taken last may be held.
func (s *Store) shedExpunged(want int64) (freed int64, err error) {
	days, err := s.binDays()
	p := purge{s: s, want: want}
	errs := []error{err}
	for _, d := range days {
		if p.freed >= want {
			break
		}
		errs = append(errs, p.ofPerson(d.person, d.day))
	}
	if p.messages > 0 {
		s.log.Info("expunged messages were removed to make room", "messages", p.messages, "octets", p.freed)
	}
	return p.freed, diskError(errors.Join(errs...))
}

// spare counts how much room shedding would make, until it is as much as wanted.
func (s *Store) spare(want int64) (room int64) {
	days, err := s.binDays()
	errs := []error{err}
	for _, d := range days {
		if room >= want {
			break
		}
		errs = append(errs, s.withBin(d.person, func(b *maildir.Bin) error {
			got, err := roomOf(b, d.day, want-room)
			room += got
			return err
		}))
	}
	if err := errors.Join(errs...); err != nil {
		s.log.Debug("counting what was expunged", "err", err)
	}
	return room
}

// roomOf is the room that removing the messages of a day makes, counted as spare does.
func roomOf(b *maildir.Bin, day maildir.BinDay, want int64) (room int64, err error) {
	dirs, err := b.Folders(day)
	errs := []error{err}
	for _, dir := range dirs {
		k, err := b.Folder(day, dir)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		err = k.Each(func(e maildir.Entry) error {
			if room += k.Room(e.Ref()); room >= want {
				return errEnough
			}
			return nil
		})
		if errors.Is(err, errEnough) {
			return room, k.Close()
		}
		errs = append(errs, err, k.Close())
	}
	return room, errors.Join(errs...)
}

// personDay is a day of a person's bin.
type personDay struct {
	person string
	day    maildir.BinDay
}

// binDays lists the days of all bins that can be read, oldest first.
func (s *Store) binDays() (all []personDay, err error) {
	people, err := os.ReadDir(s.dir)
	errs := []error{err}
	for _, p := range people {
		if checkPerson(p.Name()) != nil || !p.IsDir() {
			continue
		}
		errs = append(errs, s.withBin(p.Name(), func(b *maildir.Bin) error {
			days, err := b.Days()
			for _, d := range days {
				all = append(all, personDay{p.Name(), d})
			}
			return err
		}))
	}
	slices.SortStableFunc(all, func(a, b personDay) int { return a.day.Compare(b.day) })
	return all, errors.Join(errs...)
}

// withBin opens the bin of a person, who need not have signed in yet.
func (s *Store) withBin(person string, do func(*maildir.Bin) error) error {
	b, err := maildir.OpenBin(filepath.Join(s.dir, person), s.maildirOptions())
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed just now
	}
	if err != nil {
		return diskError(err)
	}
	return diskError(errors.Join(do(b), b.Close()))
}

// purgeBatch is how many messages are removed between two syncs.
const purgeBatch = 512

// A purge removes what was expunged for good.
type purge struct {
	s      *Store
	person string          // whose bin it is
	ids    map[string]bool // nil: all
	want   int64           // how many octets are to become free

	freed    int64
	messages int
}

// everything is more octets than there are.
const everything = math.MaxInt64

func (p *purge) ofPerson(person string, day maildir.BinDay) error {
	p.person = person
	return p.s.withBin(person, func(b *maildir.Bin) error { return p.ofDay(context.Background(), b, day) })
}

// ofDay removes the messages of a day, and its directory when it is empty. What
// cannot be removed keeps nothing else.
func (p *purge) ofDay(ctx context.Context, b *maildir.Bin, day maildir.BinDay) error {
	dirs, err := b.Folders(day)
	errs := []error{err}
	for _, dir := range dirs {
		if p.freed >= p.want || ctx.Err() != nil {
			return errors.Join(errs...)
		}
		errs = append(errs, p.folder(ctx, b, day, dir))
	}
	defer p.s.bins.lock(p.person)()
	return errors.Join(append(errs, b.ClearDay(day))...)
}

// errEnough ends a purge early.
var errEnough = errors.New("enough")

// folder removes the messages of one Maildir, durably, and that itself when it is empty.
func (p *purge) folder(ctx context.Context, b *maildir.Bin, day maildir.BinDay, dir string) error {
	k, err := b.Folder(day, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var batch []maildir.Ref
	room := int64(0)
	err = k.Each(func(e maildir.Entry) error {
		if p.ids != nil && !p.ids[expungedID(k, e)] {
			return nil
		}
		batch = append(batch, e.Ref())
		room += k.Room(e.Ref())
		if len(batch) < purgeBatch && p.freed+room < p.want {
			return nil
		}
		if err := p.remove(k, batch, room); err != nil {
			return err
		}
		batch, room = batch[:0], 0
		if p.freed >= p.want {
			return errEnough
		}
		return ctx.Err()
	})
	if err == nil {
		err = p.remove(k, batch, room)
	}
	if err == nil {
		unlock := p.s.bins.lock(p.person)
		err = b.Clear(k)
		unlock()
	}
	if errors.Is(err, errEnough) {
		err = nil
	}
	if err = errors.Join(err, k.Close()); err != nil {
		return fmt.Errorf("removing what was expunged from %s on %s: %w", k.Name, day, err)
	}
	return nil
}

func (p *purge) remove(k *maildir.KeptFolder, batch []maildir.Ref, room int64) error {
	if len(batch) == 0 {
		return nil
	}
	defer p.s.bins.lock(p.person)()
	if err := k.Remove(batch); err != nil {
		return err
	}
	p.freed += room
	p.messages += len(batch)
	return nil
}

// Which chooses among the messages that were expunged and are kept. The zero
// value chooses all of them.
type Which struct {
	Mailbox      string   // where they were; "": anywhere
	Since, Until string   // the dates between which they were expunged, both included, as in 2026-11-28; "": any
	IDs          []string // Expunged.ID; nil: any
}

func (w Which) hasDay(d maildir.BinDay) bool {
	return (w.Since == "" || d.Date >= w.Since) && (w.Until == "" || d.Date <= w.Until)
}

func (w Which) hasMailbox(k *maildir.KeptFolder) bool {
	return w.Mailbox == "" || maildir.Normalize(w.Mailbox) == maildir.Normalize(k.Name)
}

// ids is the set of IDs, nil where all are chosen.
func (w Which) ids() map[string]bool {
	if w.IDs == nil {
		return nil
	}
	set := make(map[string]bool, len(w.IDs))
	for _, id := range w.IDs {
		set[strings.ToLower(id)] = true
	}
	return set
}
