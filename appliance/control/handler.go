package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"letterbox/appliance/config"
)

// maxBody is the largest request body, in octets.
const maxBody = 64 << 10

// Error says why something could not be done. The server writes it as
// {"error": ..., "field": ...}; the client returns it.
type Error struct {
	Status int    `json:"-"`               // HTTP status code
	Reason string `json:"error"`           // a sentence without a capital and without a full stop
	Field  string `json:"field,omitempty"` // what it is about: a field of the request or of the configuration
}

func (e *Error) Error() string { return e.Reason }

// Handler serves /api/v1. It lets everybody do everything: who may connect is decided by
// Listen.
func Handler(a Appliance) http.Handler {
	s := &server{appliance: a}
	mux := http.NewServeMux()
	for pattern, do := range map[string]action{
		"GET /api/v1/status":                     s.status,
		"POST /api/v1/setup-code":                s.setupCode,
		"GET /api/v1/people":                     s.people,
		"POST /api/v1/people":                    s.addPerson,
		"DELETE /api/v1/people/{person}":         s.removePerson,
		"PUT /api/v1/people/{person}/password":   s.setPassword,
		"PATCH /api/v1/people/{person}/quota":    s.setQuota,
		"GET /api/v1/people/{person}/devices":    s.devices,
		"POST /api/v1/people/{person}/devices":   s.addDevice,
		"DELETE /api/v1/people/{person}/devices": s.revokeDevice, // ?name=..., which may be any text
		"GET /api/v1/people/{person}/messages":   s.importFolder, // ?folder=...&after=UID
		"GET /api/v1/people/{person}/lack":       s.lack,         // ?messages=...&bytes=...
		"GET /api/v1/people/{person}/mailboxes":  s.mailboxes,
		"GET /api/v1/people/{person}/deleted":    s.deleted, // ?folder=...&since=...&until=...&after=...
		"POST /api/v1/people/{person}/undelete":  s.undelete,
		"POST /api/v1/people/{person}/purge":     s.purge,
		"POST /api/v1/people/{person}/check":     s.checkMailbox, // ?mailbox=...
	} {
		mux.Handle(pattern, do)
	}
	mux.Handle("POST /api/v1/people/{person}/messages", intake(s.importMessages)) // ?folder=...
	mux.Handle("/", action(func(r *http.Request) (any, error) {
		return nil, &Error{Status: http.StatusNotFound, Reason: fmt.Sprintf("there is nothing at %s %s", r.Method, r.URL.Path)}
	}))
	return mux
}

type server struct{ appliance Appliance }

// An action does what a request asks for and returns the value to answer with.
type action func(r *http.Request) (any, error)

func (do action) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	value, err := do(r)
	answer(w, value, err)
}

// An intake is an action with a body of any length, which it reads as it comes.
type intake action

// maxHeard is how much of a body is read in vain, in octets, for its sender to hear why.
const maxHeard = 256 << 20

func (do intake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	value, err := do(r)
	if err != nil {
		_, _ = io.CopyN(io.Discard, r.Body, maxHeard) // its end, above all
	}
	answer(w, value, err)
}

// answer writes what an action returned.
func answer(w http.ResponseWriter, value any, err error) {
	status := http.StatusOK
	if err != nil {
		e := asError(err)
		value, status = e, e.Status
	}
	header := w.Header()
	header.Set("Cache-Control", "no-store") // some answers hold a code or a password
	header.Set("X-Content-Type-Options", "nosniff")
	if value == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	header.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the peer is gone if this fails
}

// asError finds the status code and the words for whatever went wrong.
func asError(err error) *Error {
	var (
		known  *Error
		faults config.Faults
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &faults) && len(faults) > 0:
		reasons := make([]string, len(faults))
		for i, f := range faults {
			reasons[i] = f.Field + ": " + f.Reason
		}
		return &Error{Status: http.StatusUnprocessableEntity, Reason: strings.Join(reasons, "; "), Field: faults[0].Field}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &Error{Status: http.StatusServiceUnavailable, Reason: "this was given up before it was done"}
	default:
		return &Error{Status: http.StatusInternalServerError, Reason: err.Error()}
	}
}

// read decodes the body of a request, strictly.
func read[T any](r *http.Request) (T, error) {
	var value T
	if kind := r.Header.Get("Content-Type"); kind != "application/json" {
		return value, &Error{Status: http.StatusUnsupportedMediaType, Reason: "the body must be application/json"}
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(&value)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the value")
		}
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return value, &Error{Status: http.StatusRequestEntityTooLarge, Reason: fmt.Sprintf("the body is larger than %d octets", tooLarge.Limit)}
	case err != nil:
		return value, &Error{Status: http.StatusBadRequest, Reason: fmt.Sprintf("the body cannot be read: %v", err)}
	}
	return value, nil
}

// update changes the configuration of a household that has been set up.
func (s *server) update(ctx context.Context, change func(*config.Config) error) error {
	if _, configured := s.appliance.Config(); !configured {
		return &Error{Status: http.StatusConflict, Reason: "the household has not been set up yet"}
	}
	return s.appliance.Update(ctx, change)
}

func (s *server) status(*http.Request) (any, error) { return s.appliance.Status(), nil }

func (s *server) setupCode(r *http.Request) (any, error) { return s.appliance.SetupCode(r.Context()) }
