package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"letterbox/appliance/control"
	"letterbox/appliance/transfer"
)

// check reads all mail and says whether it is as it should be.
func check(ctx context.Context, args []string, c console) error {
	f := newDataFlags("check", c)
	repair := f.Bool("repair", false, "make right what can be made right from the mail itself")
	words, err := f.parse(args, "[PERSON...]")
	if err != nil {
		return err
	}
	client, disconnect, err := connect(*f.data, c)
	if err != nil {
		return err
	}
	sum := &checkSum{console: c, client: client, repair: *repair}
	return errors.Join(sum.people(ctx, words), disconnect())
}

// A checkSum adds up what was found.
type checkSum struct {
	console
	client *control.Client
	repair bool

	mailboxes, messages int
	octets              int64
	faults, mended      int
}

func (s *checkSum) people(ctx context.Context, names []string) error {
	if len(names) == 0 {
		people, err := s.client.People(ctx)
		if err != nil {
			return err
		}
		for _, p := range people {
			names = append(names, p.Name)
		}
	}
	for _, name := range names {
		if err := s.person(ctx, name); err != nil {
			return err
		}
	}
	fmt.Fprintf(s.out, "%d mailboxes with %s (%s) were read.\n", s.mailboxes, transfer.Messages(int64(s.messages)), transfer.Octets(s.octets))
	switch left := s.faults - s.mended; {
	case s.faults == 0:
		return say(s.console, "Everything is as it should be.")
	case left == 0:
		return say(s.console, "All that was wrong was made right: %s.", faults(s.faults))
	case s.mended > 0:
		fmt.Fprintf(s.out, "Made right: %s.\n", faults(s.mended))
	}
	if s.repair {
		return fmt.Errorf("%s left; what cannot be made right from the mail itself must come from a backup", faults(s.faults-s.mended))
	}
	return fmt.Errorf("%s left; 'letterbox check --repair' makes right what can be made right from the mail itself", faults(s.faults-s.mended))
}

func (s *checkSum) person(ctx context.Context, name string) error {
	mailboxes, err := s.client.Mailboxes(ctx, name)
	if err != nil {
		return err
	}
	for _, mailbox := range mailboxes {
		r, err := s.client.CheckMailbox(ctx, name, mailbox, s.repair)
		var known *control.Error
		if errors.As(err, &known) && known.Status == http.StatusNotFound {
			continue // somebody has deleted it just now
		}
		if err != nil {
			return err
		}
		s.mailboxes++
		s.messages += r.Messages
		s.octets += r.Octets
		s.faults += r.Faults
		s.mended += r.Mended
		s.tell(name+" "+mailbox, r)
	}
	return nil
}

// tell prints what was found in one mailbox.
func (s *checkSum) tell(where string, r control.CheckReport) {
	for _, f := range r.Findings {
		line := where
		if f.UID != 0 {
			line += fmt.Sprintf(", message %d", f.UID)
		}
		line += ": " + f.What
		if f.Did != "" {
			line += " - " + f.Did
		}
		fmt.Fprintln(s.out, line)
	}
	if r.More > 0 {
		fmt.Fprintf(s.out, "%s: and %d more\n", where, r.More)
	}
}

func faults(n int) string {
	if n == 1 {
		return "1 fault"
	}
	return fmt.Sprint(n, " faults")
}
