package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"letterbox/store/atomicfile"
	"letterbox/store/maildir"
)

// keepDays is for how many days what was expunged is kept, and for as many on which
// mail was written here. The latter are for a clock that jumps: one that goes wrong,
// or right after years, makes nothing older by more than a day. A box that is
// rarely used keeps longer.
const keepDays = 30

// tidyJob is the caretaker's key for an account's housekeeping.
type tidyJob struct{ a *Account }

// askTidy has the caretaker put the account's files in order, once a day. Whoever
// has just written something asks, so that no disk is woken for it. It may be called
// with any lock held.
func (a *Account) askTidy() {
	today := dateOf(a.s.clock.today())
	if was := a.tidied.Swap(&today); was == nil || *was != today {
		a.s.care.ask(job{key: tidyJob{a}, who: a.person, do: a.tidy})
	}
}

// tidy removes what is too old: what was expunged, and what crashes have left; and
// writes lists anew that are mostly of messages that are gone.
func (a *Account) tidy(ctx context.Context) error {
	now := a.s.clock.today()
	// expire first: note strikes days off when the clock is behind.
	errs := []error{a.expire(ctx, now), a.s.calendar.note(dateOf(now)), a.root.ClearStale()}
	names, err := a.folderNames()
	errs = append(errs, err)
	for _, name := range names {
		if ctx.Err() != nil {
			break
		}
		errs = append(errs, a.tidyFolder(name))
	}
	for _, m := range a.loaded() {
		errs = append(errs, m.tidy())
	}
	return diskError(errors.Join(errs...))
}

func (a *Account) folderNames() ([]string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, ErrClosed
	}
	return a.root.Folders()
}

// loaded returns the mailboxes that are open.
func (a *Account) loaded() []*Mailbox {
	a.mu.Lock()
	defer a.mu.Unlock()
	ms := make([]*Mailbox, 0, len(a.open))
	for _, m := range a.open {
		ms = append(ms, m)
	}
	return ms
}

// tidyFolder removes old temporary files.
func (a *Account) tidyFolder(name string) error {
	f, err := a.root.Folder(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // just now
	}
	if err != nil {
		return err
	}
	return errors.Join(f.CleanTmp(a.s.clock.wall()), f.Close())
}

// worn reports whether most lines of dovecot-uidlist are of messages that are gone.
// The caller holds writeMu.
func (m *Mailbox) worn() bool { return m.lines > 2*len(m.x.Records)+1000 }

// tidy does for a mailbox that stays open what closing and opening would.
func (m *Mailbox) tidy() error {
	m.writeMu.Lock()
	defer m.writeMu.Unlock()
	if m.usable() != nil || !m.loaded {
		return nil
	}
	if m.worn() {
		if err := m.sync(true); err != nil {
			return err
		}
	}
	return m.renewIndex()
}

// maxRenewal is how many octets of an index are copied while whoever wants to write
// waits: about as many messages as are read of a folder in a second. What is more waits
// for the mailbox to be closed.
const maxRenewal = 16 << 20

// renewIndex makes the index's files small again, if they are mostly of messages
// that are gone. Readers go on meanwhile. The caller holds writeMu.
func (m *Mailbox) renewIndex() error {
	if worn, live := m.x.Worn(); !worn || live > maxRenewal {
		return nil
	}
	err := m.x.Renew(func(adopt func() error) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		return adopt()
	})
	if err != nil {
		m.a.s.log.Warn("writing the index anew", "person", m.a.person, "mailbox", m.name, "err", err)
	}
	return nil
}

// expire removes what was expunged so long ago that it is not kept any longer.
func (a *Account) expire(ctx context.Context, now time.Time) error {
	days, err := a.bin.Days()
	if err != nil {
		return a.binError(err)
	}
	today, last := dateOf(now), a.s.calendar.last()
	p := purge{s: a.s, person: a.person, want: everything}
	var errs []error // one day that cannot be read keeps no other
	for _, day := range days {
		if ctx.Err() != nil {
			break
		}
		switch {
		case day.Date > dateOf(now.AddDate(0, 0, 1)):
			if today >= last { // a clock was wrong: it counts from today. Else this one may be
				errs = append(errs, a.redate(day, today))
			}
		case day.Date < dateOf(now.AddDate(0, 0, -keepDays)) && a.s.calendar.since(day.Date) >= keepDays:
			errs = append(errs, p.ofDay(ctx, a.bin, day))
		}
	}
	if p.messages > 0 {
		a.s.log.Info("expunged messages are kept no longer", "person", a.person, "messages", p.messages, "octets", p.freed)
	}
	if err := errors.Join(errs...); err != nil {
		return a.binError(err)
	}
	return nil
}

func (a *Account) redate(day maildir.BinDay, date string) error {
	defer a.s.bins.lock(a.person)()
	return a.bin.Redate(day, date)
}

// calendarName is the file that lists the days on which mail was written here, a
// line each, the last ones.
const calendarName = "calendar"

// maxCalendar is how many days are listed.
const maxCalendar = 2 * keepDays

// A calendar knows on which days mail was written here. It may be used by several
// goroutines.
type calendar struct {
	dir string // the data directory

	mu   sync.Mutex // guards what follows
	read bool
	days []string // ascending
}

// load reads the file, once. One that cannot be read has no days: nothing becomes
// older by that. The caller holds mu.
func (c *calendar) load() {
	if c.read {
		return
	}
	c.read = true
	text, err := os.ReadFile(filepath.Join(c.dir, calendarName))
	if err != nil {
		return
	}
	for line := range strings.Lines(string(text)) {
		day := strings.TrimSpace(line)
		if _, err := time.Parse(time.DateOnly, day); err == nil {
			c.days = append(c.days, day)
		}
	}
	slices.Sort(c.days)
	c.days = slices.Compact(c.days)
}

// note writes down a day, which is today, durably. Days that lie in the future then
// were never.
func (c *calendar) note(today string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.load()
	days := slices.DeleteFunc(slices.Clone(c.days), func(day string) bool { return day > today })
	if len(days) > 0 && days[len(days)-1] == today {
		return nil
	}
	days = append(days, today)
	days = days[max(0, len(days)-maxCalendar):]
	if err := atomicfile.WriteFile(filepath.Join(c.dir, calendarName), []byte(strings.Join(days, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	c.days = days
	return nil
}

// last is the last day that was written down, "" if none was.
func (c *calendar) last() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.load()
	if len(c.days) == 0 {
		return ""
	}
	return c.days[len(c.days)-1]
}

// since counts the days that were written down after one.
func (c *calendar) since(day string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.load()
	for _, d := range c.days {
		if d > day {
			n++
		}
	}
	return n
}
