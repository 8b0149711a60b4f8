package appliance

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"letterbox/appliance/control"
	"letterbox/store"
)

// Mailboxes lists a person's mailboxes.
func (a *Appliance) Mailboxes(_ context.Context, person string) ([]string, error) {
	account, err := a.store.Account(person)
	if err != nil {
		return nil, fmt.Errorf("looking at the mail of %s: %w", person, err)
	}
	list, err := account.List()
	if err != nil {
		return nil, fmt.Errorf("looking at the mail of %s: %w", person, err)
	}
	names := make([]string, 0, len(list))
	for _, m := range list {
		if m.Selectable {
			names = append(names, m.Name)
		}
	}
	return names, nil
}

// CheckMailbox reads a mailbox whole and compares it with everything that is kept about it; with repair it makes right what can be.
func (a *Appliance) CheckMailbox(ctx context.Context, person, mailbox string, repair bool) (control.CheckReport, error) {
	var r control.CheckReport
	account, err := a.store.Account(person)
	if err != nil {
		return r, fmt.Errorf("checking the mail of %s: %w", person, err)
	}
	check := (*store.Account).Check
	if repair {
		check = (*store.Account).Repair
	}
	done, err := check(account, ctx, mailbox, func(f store.Finding) {
		if f.Fault {
			r.Faults++
			if f.Did != "" {
				r.Mended++
			}
		}
		if len(r.Findings) == control.MaxFindings {
			r.More++
			return
		}
		r.Findings = append(r.Findings, control.Finding{UID: uint32(f.UID), What: f.What, Did: f.Did, Fault: f.Fault})
	})
	r.Messages, r.Octets = done.Messages, done.Octets
	if errors.Is(err, store.ErrNoMailbox) {
		return r, &control.Error{Status: http.StatusNotFound, Reason: fmt.Sprintf("%s has no mailbox called %q", person, mailbox), Field: "mailbox"}
	}
	if err != nil {
		return r, fmt.Errorf("checking %s of %s: %w", mailbox, person, err)
	}
	return r, nil
}
