package control

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Undeleter gives people back what they have deleted. What a mail program has
// deleted for good is kept for some time. Its methods may be called at once.
type Undeleter interface {
	// Deleted lists what is kept, the latest day first, from behind a place on that
	// an earlier list has told; "" is the beginning.
	Deleted(ctx context.Context, person string, which Which, after string) (DeletedList, error)
	// Undelete brings it back into the folders that it was in, durably, and returns
	// how many messages that were, also when there is an error.
	Undelete(ctx context.Context, person string, which Which) (messages int, err error)
	// Purge removes it for good, durably.
	Purge(ctx context.Context, person string, which Which) (Purged, error)
}

// Which chooses among the deleted messages; the zero value chooses all.
type Which struct {
	Folder string   `json:"folder,omitempty"` // where they were; "": anywhere
	Since  string   `json:"since,omitempty"`  // the dates between which they were deleted, both included,
	Until  string   `json:"until,omitempty"`  // as in 2026-11-28; "": any
	IDs    []string `json:"ids,omitempty"`    // Deleted.ID; none: any
}

// Deleted is a message that was deleted and is kept.
type Deleted struct {
	ID      string    `json:"id"`
	Folder  string    `json:"folder"`
	Deleted string    `json:"deleted"` // the date, as in 2026-11-28
	Date    time.Time `json:"date"`    // when it had come
	Octets  int64     `json:"octets"`
	From    string    `json:"from,omitempty"`
	Subject string    `json:"subject,omitempty"`
}

// DeletedList is a part of a list.
type DeletedList struct {
	Messages []Deleted `json:"messages"`
	Next     string    `json:"next,omitempty"` // where the list goes on; "": it ends here
}

// MaxDeleted is how many Messages one DeletedList has at most, and MaxDeletedText how
// many octets of a From or a Subject.
const (
	MaxDeleted     = 200
	MaxDeletedText = 500
)

// Purged says what was removed for good.
type Purged struct {
	Messages int   `json:"messages"`
	Octets   int64 `json:"octets"` // that are free now
}

// undeleted is the answer of POST /api/v1/people/{person}/undelete.
type undeleted struct {
	Messages int `json:"messages"`
}

// Deleted lists what a person has deleted, from behind a place on.
func (c *Client) Deleted(ctx context.Context, person string, which Which, after string) (DeletedList, error) {
	path, err := personPath(person)
	if err != nil {
		return DeletedList{}, err
	}
	query := url.Values{"folder": {which.Folder}, "since": {which.Since}, "until": {which.Until}, "after": {after}}
	return ask[DeletedList](ctx, c, http.MethodGet, path+"/deleted?"+query.Encode(), nil)
}

// Undelete brings back what a person has deleted, and returns how many messages that were.
func (c *Client) Undelete(ctx context.Context, person string, which Which) (int, error) {
	path, err := personPath(person)
	if err != nil {
		return 0, err
	}
	done, err := ask[undeleted](ctx, c, http.MethodPost, path+"/undelete", which)
	return done.Messages, err
}

// Purge removes what a person has deleted for good.
func (c *Client) Purge(ctx context.Context, person string, which Which) (Purged, error) {
	path, err := personPath(person)
	if err != nil {
		return Purged{}, err
	}
	return ask[Purged](ctx, c, http.MethodPost, path+"/purge", which)
}

func (s *server) deleted(r *http.Request) (any, error) {
	name, err := s.personNamed(r)
	if err != nil {
		return nil, err
	}
	query := r.URL.Query()
	which := Which{Folder: query.Get("folder"), Since: query.Get("since"), Until: query.Get("until")}
	if err := which.check(); err != nil {
		return nil, err
	}
	return s.appliance.Deleted(r.Context(), name, which, query.Get("after"))
}

func (s *server) undelete(r *http.Request) (any, error) {
	name, which, err := s.whose(r)
	if err != nil {
		return nil, err
	}
	n, err := s.appliance.Undelete(r.Context(), name, which)
	if err != nil {
		return nil, err
	}
	return undeleted{n}, nil
}

func (s *server) purge(r *http.Request) (any, error) {
	name, which, err := s.whose(r)
	if err != nil {
		return nil, err
	}
	return s.appliance.Purge(r.Context(), name, which)
}

// whose reads who and what a request is about.
func (s *server) whose(r *http.Request) (person string, which Which, err error) {
	if person, err = s.personNamed(r); err != nil {
		return "", Which{}, err
	}
	if which, err = read[Which](r); err != nil {
		return "", Which{}, err
	}
	return person, which, which.check()
}

// check refuses what is no date.
func (w Which) check() error {
	for field, date := range map[string]string{"since": w.Since, "until": w.Until} {
		if _, err := time.Parse(time.DateOnly, date); date != "" && err != nil {
			return &Error{Status: http.StatusUnprocessableEntity, Reason: fmt.Sprintf("%q is no date; write it as in 2026-11-28", date), Field: field}
		}
	}
	return nil
}
