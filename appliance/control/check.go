package control

import (
	"context"
	"net/http"
	"net/url"
)

// Checker looks whether mail is as it should be. Its methods may be called at once.
type Checker interface {
	// Mailboxes lists a person's mailboxes.
	Mailboxes(ctx context.Context, person string) ([]string, error)
	// CheckMailbox reads a mailbox whole and compares it with everything that is kept about it. With repair it makes right
	// what can be made right from the mail itself.
	CheckMailbox(ctx context.Context, person, mailbox string, repair bool) (CheckReport, error)
}

// CheckReport says what was found in one mailbox.
type CheckReport struct {
	Messages int       `json:"messages"` // that were read
	Octets   int64     `json:"octets"`   // of those
	Faults   int       `json:"faults"`
	Mended   int       `json:"mended"` // of the faults
	Findings []Finding `json:"findings,omitempty"`
	More     int       `json:"more,omitempty"` // findings for which there was no room
}

// MaxFindings is how many Findings one CheckReport tells.
const MaxFindings = 1000

// Finding is something that was found.
type Finding struct {
	UID   uint32 `json:"uid,omitempty"` // 0: it is not about one message
	What  string `json:"what"`          // without a capital and a full stop
	Did   string `json:"did,omitempty"` // what was done about it
	Fault bool   `json:"fault"`         // false: it is only worth knowing
}

// Mailboxes lists a person's mailboxes.
func (c *Client) Mailboxes(ctx context.Context, person string) ([]string, error) {
	path, err := personPath(person)
	if err != nil {
		return nil, err
	}
	return ask[[]string](ctx, c, http.MethodGet, path+"/mailboxes", nil)
}

// CheckMailbox checks a mailbox, and with repair makes right what can be. It takes as long as reading all messages takes.
func (c *Client) CheckMailbox(ctx context.Context, person, mailbox string, repair bool) (CheckReport, error) {
	path, err := personPath(person)
	if err != nil {
		return CheckReport{}, err
	}
	return ask[CheckReport](ctx, c, http.MethodPost, path+"/check?"+url.Values{"mailbox": {mailbox}}.Encode(), checkBody{repair})
}

// checkBody is the body of POST /api/v1/people/{person}/check.
type checkBody struct {
	Repair bool `json:"repair"`
}

func (s *server) mailboxes(r *http.Request) (any, error) {
	name, err := s.personNamed(r)
	if err != nil {
		return nil, err
	}
	return s.appliance.Mailboxes(r.Context(), name)
}

func (s *server) checkMailbox(r *http.Request) (any, error) {
	name, err := s.personNamed(r)
	if err != nil {
		return nil, err
	}
	asked, err := read[checkBody](r)
	if err != nil {
		return nil, err
	}
	return s.appliance.CheckMailbox(r.Context(), name, r.URL.Query().Get("mailbox"), asked.Repair)
}
