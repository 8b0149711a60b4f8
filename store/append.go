package store

import (
	"context"
	"errors"
	"time"
)

// AppendMessage is a message for Append.
type AppendMessage struct {
	In    *Incoming
	Flags []string  // IMAP names; keywords for which there is no room are left out
	Date  time.Time // INTERNALDATE; zero: now
}

// Append adds messages, all or none, durably, and returns their UIDs, which
// follow each other.
func (m *Mailbox) Append(ctx context.Context, msgs []AppendMessage) (_ []UID, err error) {
	if len(msgs) == 0 {
		return nil, nil
	}
	as := make([]*arrival, 0, len(msgs))
	defer func() {
		if err != nil {
			for _, a := range as {
				err = errors.Join(err, a.temp.Discard())
			}
		}
	}()
	for _, msg := range msgs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		date := msg.Date
		if date.IsZero() {
			date = m.a.s.clock.now()
		}
		a, err := m.receive(msg.In, nil, date)
		if err != nil {
			return nil, err
		}
		a.names, a.together = msg.Flags, len(msgs) > 1
		as = append(as, a)
	}
	if err := m.place(ctx, as...); err != nil {
		return nil, err
	}
	uids := make([]UID, len(as))
	for i, a := range as {
		uids[i] = a.uid
	}
	return uids, nil
}
