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

// Receive gives smtpd a message to fill.
func (m mailroom) Receive() smtpd.Incoming { return m.store.NewIncoming() }

// Deliver puts the message, which Receive gave out, into the mailboxes of to.
func (m mailroom) Deliver(ctx context.Context, in smtpd.Incoming, to []smtpd.Recipient) error {
	received, ok := in.(*store.Incoming)
	if !ok {
		return fmt.Errorf("a message of type %T is not from this mailroom", in)
	}
	targets := make([]store.Target, len(to))
	for i, r := range to {
		targets[i] = store.Target{Person: r.Person, Mailbox: r.Mailbox, Header: r.Header}
	}
	err := m.store.Deliver(ctx, received, targets)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrDiskFull), errors.Is(err, store.ErrOverQuota):
		return fmt.Errorf("%w: %w", smtpd.ErrFull, err)
	default:
		return fmt.Errorf("%w: %w", smtpd.ErrTemporary, err)
	}
}
