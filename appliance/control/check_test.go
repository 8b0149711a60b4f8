package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
)

func (h *household) Mailboxes(_ context.Context, person string) ([]string, error) {
	return []string{"INBOX", person + "/Späße & more"}, nil
}

func (h *household) CheckMailbox(_ context.Context, person, mailbox string, repair bool) (CheckReport, error) {
	if mailbox == "INBOX" {
		return CheckReport{}, &Error{Status: http.StatusNotFound, Reason: "it is gone"}
	}
	return CheckReport{Messages: 3, Findings: []Finding{{UID: 1, What: fmt.Sprint(person, " ", mailbox, " ", repair), Fault: true}}}, nil
}

func TestCheckMailbox(t *testing.T) {
	t.Parallel()
	h := newHousehold(t)
	h.configured = true
	c := InProcess(Handler(h))
	names, err := c.Mailboxes(t.Context(), "Ann")
	if err != nil || fmt.Sprint(names) != "[INBOX ann/Späße & more]" {
		t.Fatal(names, err)
	}
	for _, repair := range []bool{false, true} {
		r, err := c.CheckMailbox(t.Context(), "ann", names[1], repair)
		if err != nil || r.Messages != 3 || len(r.Findings) != 1 || r.Findings[0].What != fmt.Sprint("ann ", names[1], " ", repair) {
			t.Error(r, err)
		}
	}
	var known *Error
	if _, err := c.CheckMailbox(t.Context(), "ann", "INBOX", false); !errors.As(err, &known) || known.Status != http.StatusNotFound {
		t.Error(err)
	}
	if _, err := c.Mailboxes(t.Context(), "nobody"); !errors.As(err, &known) || known.Status != http.StatusNotFound {
		t.Error(err)
	}
}
