package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"letterbox/store/index"
	"letterbox/store/maildir"
)

// AppendMessage is a message for Append and Batch.Add.
type AppendMessage struct {
	In    *Incoming
	Flags []string  // IMAP names; keywords for which there is no room are left out
	Date  time.Time // INTERNALDATE; zero: now
	ID    string    // EMAILID that it brings along, of A-Z a-z 0-9 _ -; "": it gets one
}

// Append adds messages, all or none, durably, and returns their UIDs, which
// follow each other.
func (m *Mailbox) Append(ctx context.Context, msgs []AppendMessage) (_ []UID, err error) {
	b := m.NewBatch()
	defer func() { err = errors.Join(err, b.Close()) }()
	for _, msg := range msgs {
		if err := b.Add(ctx, msg); err != nil {
			return nil, err
		}
	}
	return b.Commit(ctx)
}

// A Batch is messages that come into one mailbox together, all or none. It has
// one user at a time, and holds a file open for each message.
type Batch struct {
	m  *Mailbox
	as []*arrival
}

// NewBatch returns an empty batch. Close it; the mailbox stays open longer.
func (m *Mailbox) NewBatch() *Batch { return &Batch{m: m} }

// Add writes a message into the mailbox's tmp/, where nobody sees it. msg.In is
// not needed any more when it returns. After an error the batch is as before.
func (b *Batch) Add(ctx context.Context, msg AppendMessage) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if msg.ID != "" && maildir.EmailID(msg.ID) != msg.ID {
		return fmt.Errorf("%q cannot be the identity of a message", msg.ID)
	}
	date := msg.Date
	if date.IsZero() {
		date = b.m.a.s.clock.now()
	}
	room, err := b.m.a.reserve(index.Totals{Messages: 1, Size: msg.In.size})
	if err != nil {
		return err
	}
	a, err := b.m.write(msg.In, nil, date)
	if err != nil {
		room.giveBack()
		return err
	}
	a.names, a.guid, a.room = msg.Flags, msg.ID, room
	b.as = append(b.as, a)
	return nil
}

// Commit puts the messages into the mailbox, all or none, durably, and returns
// their UIDs, which follow each other. The batch is empty then, or good only to
// be closed after an error.
func (b *Batch) Commit(ctx context.Context) ([]UID, error) {
	if len(b.as) == 0 {
		return nil, nil
	}
	for _, a := range b.as {
		// What a crash leaves without its line has lost its identity as well.
		a.together = len(b.as) > 1 || a.guid != ""
		if err := b.m.finish(a); err != nil {
			return nil, err
		}
	}
	if err := b.m.place(ctx, b.as...); err != nil {
		return nil, err
	}
	uids := make([]UID, len(b.as))
	for i, a := range b.as {
		uids[i] = a.uid
	}
	b.as = nil
	return uids, nil
}

// Close gives up what was not committed.
func (b *Batch) Close() error {
	var err error
	for _, a := range b.as {
		err = errors.Join(err, a.discard())
	}
	b.as = nil
	return err
}
