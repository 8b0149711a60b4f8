package control

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"

	"letterbox/appliance/config"
)

// Counter knows what people's mailboxes hold.
type Counter interface {
	// Usage tells what somebody's mailboxes hold, all of them: what is not known yet it counts, until ctx ends.
	Usage(ctx context.Context, person string) (Usage, error)
}

// Usage is what mailboxes hold.
type Usage struct {
	Bytes    int64 `json:"bytes"` // of the messages, as they are sent
	Messages int64 `json:"messages"`
}

// Quota is what mailboxes may hold; 0 is no bound.
type Quota struct {
	Bytes    int64 `json:"bytes,omitempty"`
	Messages int64 `json:"messages,omitempty"`
}

// What else than a bound a QuotaChange can be.
const (
	NoQuota      = 0
	DefaultQuota = -1 // that of the household
)

// QuotaChange changes what somebody's mailboxes may hold: a bound, NoQuota or DefaultQuota; nil leaves it.
type QuotaChange struct {
	Bytes    *int64 `json:"bytes,omitempty"`
	Messages *int64 `json:"messages,omitempty"`
}

// SetQuota changes what a person's mailboxes may hold.
func (c *Client) SetQuota(ctx context.Context, person string, change QuotaChange) error {
	return c.aboutPerson(ctx, http.MethodPatch, person, "/quota", change)
}

func (s *server) setQuota(r *http.Request) (any, error) {
	change, err := read[QuotaChange](r)
	if err != nil {
		return nil, err
	}
	return nil, plainQuota(s.updatePerson(r, func(p *config.Person, _ *config.Config) error {
		bytes, err := bound(change.Bytes, int64(p.Quota.Bytes), math.MaxInt64, "bytes")
		if err != nil {
			return err
		}
		messages, err := bound(change.Messages, int64(p.Quota.Messages), math.MaxInt32, "messages")
		if err != nil {
			return err
		}
		p.Quota = config.Quota{Bytes: config.Size(bytes), Messages: int(messages)}
		return nil
	}))
}

// plainQuota says what is wrong with a quota without the names that the configuration has for it.
func plainQuota(err error) error {
	var faults config.Faults
	if !errors.As(err, &faults) {
		return err
	}
	var reasons []string
	for _, f := range faults {
		switch _, key, _ := strings.Cut(f.Field, "."); key {
		case "quota":
			reasons = append(reasons, "the size "+f.Reason)
		case "quota-messages":
			reasons = append(reasons, "the number of messages "+f.Reason)
		default: // something else is wrong with the configuration
			return err
		}
	}
	return &Error{Status: http.StatusUnprocessableEntity, Reason: strings.Join(reasons, "; "), Field: faults[0].Field}
}

// bound returns a bound as the configuration has it, was if it is not changed.
func bound(change *int64, was, most int64, field string) (int64, error) {
	switch {
	case change == nil:
		return was, nil
	case *change == NoQuota:
		return config.Unlimited, nil
	case *change == DefaultQuota:
		return 0, nil
	case *change < 0 || *change > most:
		return 0, &Error{Status: http.StatusUnprocessableEntity, Reason: fmt.Sprintf("%d is out of any range", *change), Field: field}
	}
	return *change, nil
}
