package appliance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"letterbox/appliance/control"
	"letterbox/store"
)

// Deleted lists what a person has deleted and can have back, from behind a place on.
func (a *Appliance) Deleted(ctx context.Context, person string, which control.Which, after string) (control.DeletedList, error) {
	list := control.DeletedList{Messages: []control.Deleted{}}
	account, err := a.store.Account(person)
	if err != nil {
		return list, fmt.Errorf("looking at the mail of %s: %w", person, err)
	}
	last := ""
	for e, err := range account.Expunged(ctx, inStore(which), after) {
		if err != nil {
			return list, fmt.Errorf("listing what %s has deleted: %w", person, err)
		}
		if len(list.Messages) == control.MaxDeleted {
			list.Next = last
			break
		}
		last = e.Place
		list.Messages = append(list.Messages, control.Deleted{ID: e.ID, Folder: e.Mailbox, Deleted: e.Date, Date: e.InternalDate, Octets: e.Size,
			From: shortened(e.From), Subject: shortened(e.Subject)})
	}
	return list, nil
}

// shortened bounds what is told of a header field.
func shortened(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), control.MaxDeletedText)], "")
}

// Undelete brings back what a person has deleted.
func (a *Appliance) Undelete(ctx context.Context, person string, which control.Which) (int, error) {
	account, err := a.store.Account(person)
	if err != nil {
		return 0, fmt.Errorf("looking at the mail of %s: %w", person, err)
	}
	n, err := account.Undelete(ctx, inStore(which))
	if errors.Is(err, store.ErrOverQuota) {
		return n, &control.Error{Status: http.StatusInsufficientStorage, Reason: fmt.Sprintf("the mailbox of %s is full; messages that were brought back: %d", person, n)}
	}
	return n, err
}

// Purge removes what a person has deleted for good.
func (a *Appliance) Purge(ctx context.Context, person string, which control.Which) (control.Purged, error) {
	account, err := a.store.Account(person)
	if err != nil {
		return control.Purged{}, fmt.Errorf("looking at the mail of %s: %w", person, err)
	}
	n, freed, err := account.Purge(ctx, inStore(which))
	return control.Purged{Messages: n, Octets: freed}, err
}

func inStore(w control.Which) store.Which {
	return store.Which{Mailbox: w.Folder, Since: w.Since, Until: w.Until, IDs: w.IDs}
}
