package appliance

import (
	"context"
	"errors"
	"fmt"

	"letterbox/appliance/accounts"
	"letterbox/appliance/mailaddr"
	"letterbox/appliance/smtpd"
	"letterbox/store"
)

// directory is accounts as smtpd knows it.
type directory struct{ *accounts.Accounts }

// Recipients tells smtpd in its own words why there are none.
func (d directory) Recipients(to mailaddr.Addr) ([]string, error) {
	people, err := d.Accounts.Recipients(to)
	switch {
	case errors.Is(err, accounts.ErrNotOurs):
		return nil, fmt.Errorf("%w: %w", smtpd.ErrNotOurs, err)
	case errors.Is(err, accounts.ErrUnknown):
		return nil, fmt.Errorf("%w: %w", smtpd.ErrUnknown, err)
	}
	return people, err
}

// mailroom is the store as smtpd knows it.
type mailroom struct{ store *store.Store }

// incoming is a store.Incoming as smtpd knows it.
type incoming struct{ *store.Incoming }

// Write adds to the message.
func (in incoming) Write(b []byte) (int, error) {
	n, err := in.Incoming.Write(b)
	return n, notKept(err)
}

// Receive gives smtpd a message to fill.
func (m mailroom) Receive() smtpd.Incoming { return incoming{m.store.NewIncoming()} }

// Room tells whether a person could be given a message of so many octets now.
func (m mailroom) Room(person string, octets int64) error {
	account, err := m.store.Account(person)
	if err != nil {
		return notKept(err)
	}
	return notKept(account.CheckRoom(1, octets))
}

// Deliver puts the message, which Receive gave out, into the mailboxes of to.
func (m mailroom) Deliver(ctx context.Context, in smtpd.Incoming, to []smtpd.Recipient) error {
	received, ok := in.(incoming)
	if !ok {
		return fmt.Errorf("a message of type %T is not from this mailroom", in)
	}
	targets := make([]store.Target, len(to))
	for i, r := range to {
		targets[i] = store.Target{Person: r.Person, Mailbox: r.Mailbox, Header: r.Header}
	}
	return notKept(m.store.Deliver(ctx, received.Incoming, targets))
}

// notKept tells smtpd in its own words why the store does not take a message.
func notKept(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrOverQuota):
		return fmt.Errorf("%w: %w", smtpd.ErrOverQuota, err)
	case errors.Is(err, store.ErrDiskFull):
		return fmt.Errorf("%w: %w", smtpd.ErrFull, err)
	default:
		return fmt.Errorf("%w: %w", smtpd.ErrTemporary, err)
	}
}
