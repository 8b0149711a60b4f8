package store

import (
	"context"
	"runtime/debug"
	"sync"
	"time"
)

// How long and how much of mailboxes that nobody has open is kept ready: a
// delivery a second into a large mailbox must not read its index each time.
const (
	lingerTime    = 10 * time.Second
	lingerFolders = 8
	lingerRecords = 120_000
)

// An idleList holds the mailboxes that nobody has open, for a short time.
type idleList struct {
	s *Store

	mu      sync.Mutex // guards what follows
	stopped bool
	timer   *time.Timer
	running sync.WaitGroup
	list    []idleMailbox // oldest first
}

type idleMailbox struct {
	m       *Mailbox
	since   time.Time
	records int
}

// add keeps m ready for a while. The caller holds no lock.
func (l *idleList) add(m *Mailbox) {
	records := m.records()
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		return // Store.Close closes it
	}
	l.take(m)
	l.list = append(l.list, idleMailbox{m, time.Now(), records})
	over := l.overflow()
	l.schedule()
	l.mu.Unlock()
	l.close(over)
}

// take removes m from the list, because it is in use again. The caller holds mu.
func (l *idleList) take(m *Mailbox) {
	for i := range l.list {
		if l.list[i].m == m {
			l.list = append(l.list[:i], l.list[i+1:]...)
			return
		}
	}
}

// overflow takes the oldest off the list until it is within its bounds, always
// keeping the newest. The caller holds mu.
func (l *idleList) overflow() (over []*Mailbox) {
	total := 0
	for _, e := range l.list {
		total += e.records
	}
	for len(l.list) > 1 && (len(l.list) > lingerFolders || total > lingerRecords) {
		total -= l.list[0].records
		over = append(over, l.list[0].m)
		l.list = l.list[1:]
	}
	return over
}

// schedule sets the timer for the oldest, unless it runs. The caller holds mu.
func (l *idleList) schedule() {
	if l.timer != nil || len(l.list) == 0 || l.stopped {
		return
	}
	l.running.Add(1)
	l.timer = time.AfterFunc(time.Until(l.list[0].since.Add(lingerTime)), func() {
		defer l.running.Done()
		l.expire()
	})
}

func (l *idleList) expire() {
	l.mu.Lock()
	l.timer = nil
	var over []*Mailbox
	for len(l.list) > 0 && time.Since(l.list[0].since) >= lingerTime {
		over = append(over, l.list[0].m)
		l.list = l.list[1:]
	}
	l.schedule()
	l.mu.Unlock()
	l.close(over)
}

// muchMemory is how many messages closed mailboxes had that make it worth to give
// their memory back to the system at once: 1 MB.
const muchMemory = 20_000

// memoryJob is the caretaker's key for giving memory back.
type memoryJob struct{}

// close closes mailboxes that are still not in use.
func (l *idleList) close(over []*Mailbox) {
	records := 0
	for _, m := range over {
		had := m.records()
		closed, err := m.a.forget(m)
		if closed {
			records += had
		}
		if err != nil {
			l.s.log.Warn("closing a mailbox", "person", m.a.person, "mailbox", m.Name(), "err", err)
		}
	}
	if records > muchMemory {
		// The collector would see to it when the program wants memory again, which on
		// an idle machine may be never, and other programs want it now.
		l.s.care.ask(job{key: memoryJob{}, do: func(context.Context) error {
			debug.FreeOSMemory()
			return nil
		}})
	}
}

// stop ends the list; the mailboxes stay open.
func (l *idleList) stop() {
	l.mu.Lock()
	l.stopped = true
	l.list = nil
	if l.timer != nil && l.timer.Stop() {
		l.running.Done()
	}
	l.mu.Unlock()
	l.running.Wait()
}
