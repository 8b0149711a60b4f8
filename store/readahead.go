package store

import (
	"context"
	"errors"
	"sync"

	"letterbox/store/index"
)

// How much of a mailbox is read at a time: others of the caretaker's jobs, and
// whoever wants to write, have their turn in between.
const (
	readAheadMessages = 32
	readAheadOctets   = 8 << 20
)

// readAheadJob is the caretaker's key for reading a mailbox.
type readAheadJob struct{ m *Mailbox }

// askReadAhead has the messages above UID after read of which the caches lack
// something: after a cache was lost, or when other programs have delivered. The
// caller holds writeMu.
func (m *Mailbox) askReadAhead(after uint32) {
	m.ahead = min(m.ahead, after)
	if !m.x.Kept() {
		return // nothing of it would last
	}
	for i, _ := m.x.Find(m.ahead + 1); i < len(m.x.Records); i++ {
		if m.unread(&m.x.Records[i]) {
			m.a.s.care.ask(job{key: readAheadJob{m}, who: m.a.person, do: m.readAhead})
			return
		}
	}
}

// readAhead reads some messages, and asks for its next turn if there are more.
func (m *Mailbox) readAhead(ctx context.Context) error {
	if !m.a.hold(m) {
		return nil // closed: whoever opens it asks again
	}
	defer m.release()
	uids := m.nextUnread()
	if len(uids) == 0 {
		return nil
	}
	id := m.Status().MailboxID
	var found []reading
	for _, uid := range uids {
		if ctx.Err() != nil {
			return nil
		}
		r, err := m.readMessage(uid)
		switch {
		case err == nil && r.cut == nil:
			found = append(found, r)
		case err == nil:
			m.a.unreadable.add(id, uint32(uid))
			m.a.s.log.Warn("a message cannot be read to its end", "person", m.a.person, "mailbox", m.Name(), "err", r.cut)
		case errors.Is(err, ErrExpunged):
		case m.usable() != nil:
			return err
		default: // told to whoever wants to read it, and by check
			m.a.unreadable.add(id, uint32(uid))
			m.a.s.log.Warn("a message cannot be read", "person", m.a.person, "err", err)
		}
	}
	return m.keepAhead(found, uint32(uids[len(uids)-1]))
}

// unread reports whether the caches lack something of a message that they can
// keep. The caller holds writeMu.
func (m *Mailbox) unread(r *index.Record) bool {
	lacks := r.Bits&index.Parsed == 0 || r.Bits&index.HasText == 0 && m.x.Text().Kept()
	return lacks && !m.a.unreadable.has(m.x.MailboxID, r.UID)
}

// maxUnreadable bounds how many messages are remembered as unreadable.
const maxUnreadable = 4096

// unreadable remembers which messages could not be read, until the next start: a
// failing disk is not made to try again each time their mailbox is opened. It may
// be used by several goroutines.
type unreadable struct {
	mu   sync.Mutex // guards list
	list map[unreadableMessage]bool
}

type unreadableMessage struct {
	mailboxID string
	uid       uint32
}

func (u *unreadable) add(mailboxID string, uid uint32) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.list == nil || len(u.list) >= maxUnreadable {
		u.list = map[unreadableMessage]bool{}
	}
	u.list[unreadableMessage{mailboxID, uid}] = true
}

func (u *unreadable) has(mailboxID string, uid uint32) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.list[unreadableMessage{mailboxID, uid}]
}

// nextUnread returns the next messages to read.
func (m *Mailbox) nextUnread() (uids []UID) {
	m.writeMu.Lock()
	defer m.writeMu.Unlock()
	if m.usable() != nil || !m.loaded {
		return nil
	}
	octets := int64(0)
	for i, _ := m.x.Find(m.ahead + 1); i < len(m.x.Records) && len(uids) < readAheadMessages && octets < readAheadOctets; i++ {
		if r := &m.x.Records[i]; m.unread(r) {
			uids = append(uids, UID(r.UID))
			octets += r.Size()
		}
	}
	return uids
}

// keepAhead takes what was read of the messages up to UID last into the index.
func (m *Mailbox) keepAhead(found []reading, last uint32) error {
	m.writeMu.Lock()
	defer m.writeMu.Unlock()
	if err := m.usable(); err != nil || !m.loaded {
		return err
	}
	for _, r := range found {
		if rec, err := m.record(r.uid); err != nil || !m.unread(&rec) {
			continue // gone, or somebody was faster
		}
		if err := m.keepReading(r); err != nil {
			return err
		}
	}
	m.flush()
	if m.ahead < last {
		m.ahead = last
	}
	m.askReadAhead(m.ahead)
	return nil
}

// hold counts a use of an open mailbox; false: it is closed.
func (a *Account) hold(m *Mailbox) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	for _, o := range a.open {
		if o == m {
			m.refs++
			return true
		}
	}
	return false
}
