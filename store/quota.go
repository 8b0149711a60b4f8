package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"letterbox/store/index"
)

// A Quota bounds what one person's mailboxes hold; zero is no bound. Over it, what is
// there can still be read, flagged, moved and expunged, but nothing is added, except
// our own notices and what is delivered to others as well who have room (Store.Deliver).
type Quota struct {
	Bytes    int64 // of the messages, wire form; RFC 9208 tells them in units of 1024
	Messages int64
}

// allows reports whether so much may be held.
func (q Quota) allows(t index.Totals) bool {
	return (q.Bytes <= 0 || t.Size <= q.Bytes) && (q.Messages <= 0 || t.Messages <= q.Messages)
}

// tell says in words how much of the quota is used.
func (q Quota) tell(t index.Totals) string {
	var parts []string
	if q.Bytes > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d octets", t.Size, q.Bytes))
	}
	if q.Messages > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d messages", t.Messages, q.Messages))
	}
	return strings.Join(parts, ", ")
}

// SetQuotas puts the quotas of all people in force, by name: who is not named has
// none. What people hold is counted in the background; until that is done nobody is
// refused anything for what is not known yet.
func (s *Store) SetQuotas(quotas map[string]Quota) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quotas = maps.Clone(quotas)
	for person, a := range s.accounts {
		a.setQuota(quotas[person])
	}
	for person, q := range quotas {
		if s.accounts[person] == nil && q != (Quota{}) {
			s.care.ask(job{key: quotaJob{person}, who: person, do: func(context.Context) error {
				_, err := s.Account(person) // has itself counted
				if errors.Is(err, ErrNoAccount) {
					return nil // it will when it is made
				}
				return err
			}})
		}
	}
}

// quotaJob is the caretaker's key for counting an account that is not open.
type quotaJob struct{ person string }

// setQuota puts a quota in force. The caller holds s.mu.
func (a *Account) setQuota(q Quota) {
	a.usage.mu.Lock()
	a.usage.quota = q
	a.usage.mu.Unlock()
	if q != (Quota{}) && a.usage.begin() {
		a.askCount()
	}
	a.weigh()
}

// CheckRoom reports whether so many messages of so many octets together could be
// added now: ErrOverQuota or ErrDiskFull if not. Nothing is promised: who is about to
// receive a message asks, so that it need not be sent in vain.
func (a *Account) CheckRoom(messages, octets int64) error {
	t := index.Totals{Messages: messages, Size: octets}
	if err := a.admit(t); err != nil {
		return err
	}
	a.usage.settle(t)
	return a.s.disk.check(onDisk(t))
}

// A Lack is what is lacking for messages that somebody wants to add; zero: there is room.
type Lack struct {
	Messages, Bytes int64 // in the quota
	Disk            int64 // octets on the disk, above the floor
}

// Lack tells what is lacking for so many more messages of so many octets together. It
// counts now what is not known yet, and returns early when ctx ends. Nothing is promised.
func (a *Account) Lack(ctx context.Context, messages, octets int64) (Lack, error) {
	if _, err := a.CountUsage(ctx); err != nil {
		return Lack{}, err
	}
	t := index.Totals{Messages: messages, Size: octets}
	lack := a.usage.lack(t)
	lack.Disk = a.s.disk.short(onDisk(t))
	return lack, nil
}

// lack tells what is lacking in the quota for messages.
func (u *usage) lack(t index.Totals) (l Lack) {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := u.sum.Add(u.arriving).Add(t)
	if u.quota.Bytes > 0 {
		l.Bytes = max(0, all.Size-u.quota.Bytes)
	}
	if u.quota.Messages > 0 {
		l.Messages = max(0, all.Messages-u.quota.Messages)
	}
	return l
}

// A reservation is room for messages that are on their way into a mailbox, in the
// person's quota and on the disk: what is reserved nobody else can take. It has one
// owner at a time.
type reservation struct {
	a     *Account
	t     index.Totals
	bytes int64 // on the disk
}

// reserve reserves room for messages. ErrOverQuota, ErrDiskFull: there is none.
func (a *Account) reserve(t index.Totals) (*reservation, error) {
	if err := a.admit(t); err != nil {
		return nil, err
	}
	return a.reserveDisk(t)
}

// reserveAnyway is reserve for messages that come in whatever the quota says: those of our
// own, and those that somebody else has room for.
func (a *Account) reserveAnyway(t index.Totals) (*reservation, error) {
	a.usage.promise(t)
	return a.reserveDisk(t)
}

// reserveCopy is reserve for messages that are copied: links take nothing of the disk.
func (a *Account) reserveCopy(t index.Totals) (*reservation, error) {
	if a.s.copies {
		return a.reserve(t)
	}
	return a.reserveMove(t)
}

// reserveMove is reserve for messages that come without taking anything of the disk.
func (a *Account) reserveMove(t index.Totals) (*reservation, error) {
	if err := a.admit(t); err != nil {
		return nil, err
	}
	return &reservation{a: a, t: t}, nil
}

// reserveDisk ends a reservation that the quota allows.
func (a *Account) reserveDisk(t index.Totals) (*reservation, error) {
	bytes := onDisk(t)
	if err := a.s.disk.take(bytes); err != nil {
		a.usage.settle(t)
		return nil, err
	}
	return &reservation{a, t, bytes}, nil
}

// block is what file systems count in, in octets, as a rule.
const block = 4096

// onDisk returns about what messages take on the disk: whole blocks, and one for what is
// noted of each.
func onDisk(t index.Totals) int64 { return (t.Size/block + 2*t.Messages) * block }

// admit promises room in the quota, if there is any: usage.settle, or set, takes the
// promise back.
func (a *Account) admit(t index.Totals) error {
	u := &a.usage
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.quota.allows(u.sum.Add(u.arriving).Add(t)) {
		return fmt.Errorf("%w: %s has %s", ErrOverQuota, a.person, u.quota.tell(u.sum))
	}
	u.arriving = u.arriving.Add(t)
	return nil
}

// shrink gives back all of a reservation's part of the quota but t.
func (r *reservation) shrink(t index.Totals) {
	r.a.usage.settle(r.t.Sub(t))
	r.t = t
}

// giveBack ends a reservation whose messages did not arrive. nil and one that has
// ended are no reservation.
func (r *reservation) giveBack() {
	if r != nil {
		r.a.usage.settle(r.end())
	}
}

// end ends the reservation and returns what of the quota it was; the caller settles that.
func (r *reservation) end() index.Totals {
	t := r.t
	r.a.s.disk.giveBack(r.bytes)
	r.t, r.bytes = index.Totals{}, 0
	return t
}

// settle ends the reservations of messages that are in the mailbox's index now: what it
// tells the account next makes them good. The caller holds writeMu.
func (m *Mailbox) settle(r *reservation) {
	if r == nil || r.a != m.a { // a person who was removed and came back is another account
		return
	}
	m.arrived = m.arrived.Add(r.end())
}
