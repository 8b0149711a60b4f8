package appliance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"letterbox/appliance/control"
	"letterbox/appliance/transfer"
	"letterbox/store"
	"letterbox/store/maildir"
)

// What one answer and one batch of an import may hold.
const (
	importedAtOnce   = 4096 // identities
	maxImportedBatch = 512  // messages, each an open file until they are in
)

// ImportFolder tells what an import into a folder of person's has to know: which messages it holds. A folder that is not there is not
// made.
func (a *Appliance) ImportFolder(ctx context.Context, person, folder string, after uint32) (control.ImportFolder, error) {
	known := control.ImportFolder{Name: maildir.Normalize(folder), MaxMessage: a.maxMessage()}
	m, err := a.openFolder(person, folder)
	if errors.Is(err, store.ErrNoMailbox) {
		return known, nil
	}
	if err != nil {
		return known, importError(person, folder, err)
	}
	defer m.Close()
	known.Name, known.Exists = m.Name(), true
	uids := m.UIDs(nil)
	first, _ := slices.BinarySearch(uids, store.UID(after)+1)
	if uids = uids[first:]; len(uids) > importedAtOnce {
		uids = uids[:importedAtOnce]
		known.Next = uint32(uids[len(uids)-1])
	}
	for _, uid := range uids {
		if err := ctx.Err(); err != nil {
			return known, err
		}
		id, err := importIDOf(m, uid)
		if errors.Is(err, store.ErrExpunged) {
			continue
		}
		if err != nil {
			return known, importError(person, folder, err)
		}
		known.IDs = append(known.IDs, id)
	}
	return known, nil
}

// importIDOf is by what an import knows a message: its EMAILID, if an import gave it, else what is made of that and the size.
func importIDOf(m *store.Mailbox, uid store.UID) (string, error) {
	id, err := m.EmailID(uid)
	if err != nil || transfer.IsID(id) {
		return id, err
	}
	size, err := m.Size(uid)
	return transfer.KeptID(id, size).String(), err
}

// Lack tells what is lacking for more messages in person's mailboxes.
func (a *Appliance) Lack(ctx context.Context, person string, more control.Usage) (control.Lack, error) {
	account, err := a.store.Account(person)
	if err != nil {
		return control.Lack{}, fmt.Errorf("looking for room for the mail of %s: %w", person, err)
	}
	l, err := account.Lack(ctx, more.Messages, more.Bytes)
	if err != nil {
		return control.Lack{}, fmt.Errorf("looking for room for the mail of %s: %w", person, err)
	}
	return control.Lack{Messages: l.Messages, Bytes: l.Bytes, Disk: l.Disk}, nil
}

// Import makes the folder where it is missing, and puts a batch of messages into it, all or none, durably.
func (a *Appliance) Import(ctx context.Context, person string, to control.ImportTarget, next func() (*control.ImportMessage, io.Reader, error)) (err error) {
	folder := to.Folder
	m, err := a.openFolder(person, folder)
	if errors.Is(err, store.ErrNoMailbox) {
		m, err = a.makeFolder(person, to)
	}
	if err != nil {
		return importError(person, folder, err)
	}
	defer m.Close()
	batch := m.NewBatch()
	defer func() { err = errors.Join(err, batch.Close()) }()
	buf := make([]byte, 32<<10)
	for n := 0; ; n++ {
		head, octets, err := next()
		if err == io.EOF {
			break
		}
		if err == nil && n == maxImportedBatch {
			err = &control.Error{Status: http.StatusRequestEntityTooLarge, Reason: fmt.Sprintf("one batch holds %d messages at most", maxImportedBatch)}
		}
		if err == nil {
			err = a.importOne(ctx, batch, head, octets, buf)
		}
		if err != nil {
			return importError(person, folder, err)
		}
	}
	_, err = batch.Commit(ctx)
	return importError(person, folder, err)
}

// importOne takes one message into the batch by way of buf, unless it is withdrawn.
func (a *Appliance) importOne(ctx context.Context, batch *store.Batch, head *control.ImportMessage, octets io.Reader, buf []byte) error {
	in := a.store.NewIncoming()
	defer in.Close()
	limit := a.maxMessage()
	n, err := io.CopyBuffer(in, io.LimitReader(octets, limit+1), buf)
	if control.Withdrawn(err) {
		return nil
	}
	if err == nil && n > limit {
		err = &control.Error{Status: http.StatusRequestEntityTooLarge, Reason: fmt.Sprintf("a message is larger than %d octets", limit)}
	}
	if err == nil && !transfer.IsID(head.ID) {
		err = &control.Error{Status: http.StatusBadRequest, Reason: fmt.Sprintf("the identity %q is not 32 hex digits", head.ID)}
	}
	if err != nil {
		return err
	}
	return batch.Add(ctx, store.AppendMessage{In: in, Flags: head.Flags, Date: head.Date, ID: head.ID})
}

func (a *Appliance) maxMessage() int64 { return a.state.Load().config.Limits.MessageSize() }

func (a *Appliance) openFolder(person, folder string) (*store.Mailbox, error) {
	account, err := a.store.Account(person)
	if err != nil {
		return nil, err
	}
	return account.Open(folder)
}

// makeFolder makes a folder and opens it. Somebody else may be faster.
func (a *Appliance) makeFolder(person string, to control.ImportTarget) (*store.Mailbox, error) {
	account, err := a.store.Account(person)
	if err != nil {
		return nil, err
	}
	if !to.Unsubscribed {
		if err := account.Subscribe(to.Folder, true); err != nil { // first: nobody does it for a folder that is there
			return nil, err
		}
	}
	if err := account.Create(to.Folder, ""); err != nil && !errors.Is(err, store.ErrMailboxExists) {
		return nil, err
	}
	return account.Open(to.Folder)
}

// importError says for people what is in the way of an import.
func importError(person, folder string, err error) error {
	var known *control.Error
	status, reason := 0, ""
	switch {
	case err == nil, errors.As(err, &known):
		return err
	case errors.Is(err, store.ErrOverQuota):
		status, reason = http.StatusInsufficientStorage, fmt.Sprintf("there is no more room for %s's mail", person)
	case errors.Is(err, store.ErrDiskFull):
		status, reason = http.StatusInsufficientStorage, "the disk is full"
	case errors.Is(err, store.ErrReadOnlyDisk):
		status, reason = http.StatusInsufficientStorage, "the disk can only be read"
	case errors.Is(err, store.ErrBadKeyword):
		status, reason = http.StatusUnprocessableEntity, fmt.Sprintf("a message for %s has a flag that is none", folder)
	case errors.Is(err, store.ErrBadName):
		status, reason = http.StatusUnprocessableEntity, fmt.Sprintf("no folder can be called %q", folder)
	case errors.Is(err, store.ErrTooManyMailboxes), errors.Is(err, store.ErrSubscriptionLimit):
		status, reason = http.StatusUnprocessableEntity, fmt.Sprintf("%s has too many folders for one more, %s", person, folder)
	default:
		return fmt.Errorf("importing into %s of %s: %w", folder, person, err)
	}
	return &control.Error{Status: status, Reason: reason, Field: "folder"}
}
