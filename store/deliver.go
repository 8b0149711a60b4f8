package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"letterbox/store/index"
)

// A Target is one place a message is delivered to.
type Target struct {
	Person  string
	Mailbox string   // "" or one that does not exist: INBOX
	Header  []byte   // put in front of the message; CRLF line ends
	Flags   []string // IMAP names

	// Notice says that the message is the letterbox's own, about the mailbox: it comes in
	// although the quota is used up.
	Notice bool
}

// Deliver puts a message into every target. It is durable for all of them when
// Deliver returns nil; on error it is acknowledged for none, though some may have
// it. Deliveries to different mailboxes do not wait for each other.
//
// Where the quota of one of the targets has room, the message comes to all of them, and
// the quotas of the others are overdrawn by it: whoever sends it again, because one was
// full, would bring it twice to the others, and whoever does not would lose it for that one.
// ErrOverQuota: none of them has room.
func (s *Store) Deliver(ctx context.Context, in *Incoming, to []Target) (err error) {
	now := s.clock.now()
	ds := make([]delivery, 0, len(to))
	rooms := make([]*reservation, len(to))
	defer func() {
		for _, d := range ds {
			err = errors.Join(err, d.close(err != nil))
		}
		for _, room := range rooms {
			room.giveBack() // those of messages that did not come so far
		}
	}()
	if err := s.reserveAll(in, to, rooms); err != nil {
		return err
	}
	// First everything is written, then placed: what can fail by itself, a full
	// disk above all, then fails before anybody has the message.
	for i, t := range to {
		if err := ctx.Err(); err != nil {
			return err
		}
		d, err := s.prepareDelivery(in, t, now)
		if err != nil {
			return fmt.Errorf("delivering to %s: %w", t.Person, err)
		}
		d.a.room = rooms[i]
		ds = append(ds, d)
	}
	for i := range ds {
		if err := s.placeDelivery(ctx, in, to[i], now, &ds[i]); err != nil {
			return fmt.Errorf("delivering to %s: %w", to[i].Person, err)
		}
	}
	return nil
}

// deliveryTries bounds how often a mailbox may go away under a delivery.
const deliveryTries = 3

// placeDelivery places a message. Where the mailbox was deleted or replaced
// meanwhile, it begins again: in INBOX, unless there is one of that name again.
func (s *Store) placeDelivery(ctx context.Context, in *Incoming, t Target, now time.Time, d *delivery) error {
	for try := 1; ; try++ {
		err := d.m.place(ctx, d.a)
		if err == nil || try == deliveryTries || !errors.Is(err, ErrNoMailbox) && !errors.Is(err, ErrClosed) {
			return err
		}
		again, perr := s.prepareDelivery(in, t, now)
		if perr != nil {
			return perr
		}
		again.a.room, d.a.room = d.a.room, nil
		if cerr := d.close(true); cerr != nil {
			s.log.Debug("discarding a message in a mailbox that is gone", "person", t.Person, "err", cerr)
		}
		*d = again
	}
}

// reserveAll reserves room for every copy of a message, in rooms: in the quotas that have
// none all the same, if one of them has.
func (s *Store) reserveAll(in *Incoming, to []Target, rooms []*reservation) error {
	var over error
	fits := false
	for i, t := range to {
		room, err := s.reserveFor(in, t, t.reserve())
		switch {
		case errors.Is(err, ErrOverQuota):
			over = err
		case err != nil:
			return err
		default:
			rooms[i], fits = room, true
		}
	}
	if !fits {
		return over
	}
	for i, t := range to {
		if rooms[i] != nil {
			continue
		}
		room, err := s.reserveFor(in, t, (*Account).reserveAnyway)
		if err != nil {
			return err
		}
		rooms[i] = room
	}
	return nil
}

// reserve is how room is reserved for a target's copy.
func (t Target) reserve() func(*Account, index.Totals) (*reservation, error) {
	if t.Notice {
		return (*Account).reserveAnyway
	}
	return (*Account).reserve
}

// reserveFor reserves room for a copy of a message.
func (s *Store) reserveFor(in *Incoming, t Target, reserve func(*Account, index.Totals) (*reservation, error)) (*reservation, error) {
	a, err := s.Account(t.Person)
	if err != nil {
		return nil, fmt.Errorf("delivering to %s: %w", t.Person, err)
	}
	room, err := reserve(a, index.Totals{Messages: 1, Size: in.size + int64(len(t.Header))})
	if err != nil {
		return nil, fmt.Errorf("delivering to %s: %w", t.Person, err)
	}
	return room, nil
}

type delivery struct {
	m *Mailbox
	a *arrival
}

// prepareDelivery writes a message into the mailbox's tmp/, or into that of INBOX
// where the mailbox goes away meanwhile.
func (s *Store) prepareDelivery(in *Incoming, t Target, now time.Time) (delivery, error) {
	a, err := s.Account(t.Person)
	if err != nil {
		return delivery{}, err
	}
	for try := 1; ; try++ {
		m, err := a.openForDelivery(t.Mailbox)
		if err != nil {
			return delivery{}, err
		}
		w, err := m.receive(in, t.Header, now)
		if err == nil {
			w.names = t.Flags
			return delivery{m, w}, nil
		}
		gone := m.usable() != nil || !m.dir().InPlace()
		m.release()
		if !gone || try == deliveryTries {
			return delivery{}, err
		}
	}
}

func (d delivery) close(discard bool) error {
	var err error
	if discard {
		err = d.a.discard()
	}
	d.m.release()
	return err
}

// openForDelivery opens a mailbox, or INBOX where there is none of that name,
// without looking what others did in it: place does.
func (a *Account) openForDelivery(name string) (*Mailbox, error) {
	if name == "" {
		name = inbox
	}
	m, err := a.OpenTarget(name)
	if err != nil && name != inbox && (errors.Is(err, ErrNoMailbox) || errors.Is(err, ErrBadName)) {
		return a.OpenTarget(inbox)
	}
	return m, err
}
