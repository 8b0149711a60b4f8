package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"letterbox/appliance/config"
)

// Importer takes mail in from elsewhere. Its methods may be called at once. Whatever it refuses in a sentence for people is an
// *Error.
type Importer interface {
	// ImportFolder tells what an import into a folder has to know. Of the identities it tells those of messages whose UID is
	// above after, as many as it likes. A folder that is not there has none.
	ImportFolder(ctx context.Context, person, folder string, after uint32) (ImportFolder, error)
	// Import makes the folder where it is missing, and puts the messages that next returns into it, until io.EOF: all or, after
	// an error, none. They are durable when it returns nil. The ID of a message is there once its reader has come to its end.
	// A message that turns out to be withdrawn (next's reader fails with an error for which Withdrawn holds) is left out; any
	// other error of next or its reader ends the batch.
	Import(ctx context.Context, person string, to ImportTarget, next func() (*ImportMessage, io.Reader, error)) error
	// Lack tells what is lacking for so many more messages of so many octets together, counting what is not known yet. Nothing
	// is promised.
	Lack(ctx context.Context, person string, more Usage) (Lack, error)
}

// Lack is what is lacking for messages that are to come; zero: there is room.
type Lack struct {
	Messages int64 `json:"messages,omitempty"` // in the quota
	Bytes    int64 `json:"bytes,omitempty"`    // in the quota
	Disk     int64 `json:"disk,omitempty"`     // octets on the disk
}

// ImportTarget is the folder that a batch of messages goes into.
type ImportTarget struct {
	Folder       string
	Unsubscribed bool // if it is to be made, it is not subscribed
}

// Withdrawn tells whether an error of a reader that Import was given says that the message is to be left out.
func Withdrawn(err error) bool { return errors.Is(err, errWithdrawn) }

// ImportFolder is what an import has to know of a folder.
type ImportFolder struct {
	Name       string   `json:"name"` // as it is called here, or would be
	Exists     bool     `json:"exists"`
	MaxMessage int64    `json:"max_message"`    // octets of the largest message that is taken
	IDs        []string `json:"ids,omitempty"`  // by what an import knows the messages (transfer.ID), 32 hex digits
	Next       uint32   `json:"next,omitempty"` // what to ask for after; 0: these were the last
}

// ImportMessage is a message on its way in, without its octets.
type ImportMessage struct {
	ID    string    `json:"-"` // 32 hex digits; it may be made of the octets, and so comes behind them
	Flags []string  `json:"flags,omitempty"`
	Date  time.Time `json:"date,omitzero"` // INTERNALDATE; zero: now
}

// ImportFolder tells what an import into a folder has to know, identities of messages with UIDs above after among it.
func (c *Client) ImportFolder(ctx context.Context, person, folder string, after uint32) (ImportFolder, error) {
	path, err := personPath(person)
	if err != nil {
		return ImportFolder{}, err
	}
	query := url.Values{"folder": {folder}, "after": {strconv.FormatUint(uint64(after), 10)}}
	return ask[ImportFolder](ctx, c, http.MethodGet, path+"/messages?"+query.Encode(), nil)
}

// Lack tells what is lacking for so many more messages in a person's mailboxes. Nothing is promised.
func (c *Client) Lack(ctx context.Context, person string, more Usage) (Lack, error) {
	path, err := personPath(person)
	if err != nil {
		return Lack{}, err
	}
	query := url.Values{"messages": {strconv.FormatInt(more.Messages, 10)}, "bytes": {strconv.FormatInt(more.Bytes, 10)}}
	return ask[Lack](ctx, c, http.MethodGet, path+"/lack?"+query.Encode(), nil)
}

// Import makes the folder where it is missing, and puts the messages that fill hands to add into it: all or, after an error, none.
// They are durable when it returns nil. add reads octets to their end, and only then m.ID. If they fail, the message is left out, and
// add returns their error: then fill may go on. fill runs in another goroutine, and has ended when Import returns; its error is
// Import's.
func (c *Client) Import(ctx context.Context, person string, to ImportTarget, fill func(add func(m *ImportMessage, octets io.Reader) error) error) error {
	path, err := personPath(person)
	if err != nil {
		return err
	}
	body, in := io.Pipe()
	filled := make(chan error, 1)
	go func() {
		f := newFrameWriter(in)
		err := fill(f.add)
		if err == nil {
			err = f.flush()
		}
		in.CloseWithError(err)
		filled <- err
	}()
	query := url.Values{"folder": {to.Folder}, "unsubscribed": {strconv.FormatBool(to.Unsubscribed)}}
	_, err = send[none](ctx, c, http.MethodPost, path+"/messages?"+query.Encode(), importType, body)
	body.CloseWithError(errAnswered) // the answer may have come early
	wrong := <-filled
	if wrong != nil && (err == nil || !errors.Is(wrong, errAnswered) && !errors.Is(wrong, io.ErrClosedPipe)) {
		return wrong
	}
	return err
}

// errAnswered stops the writing of a request that is answered already.
var errAnswered = errors.New("the request was answered")

func (s *server) importFolder(r *http.Request) (any, error) {
	name, err := s.personNamed(r)
	if err != nil {
		return nil, err
	}
	query := r.URL.Query()
	after, err := strconv.ParseUint(query.Get("after"), 10, 32)
	if err != nil {
		return nil, &Error{Status: http.StatusBadRequest, Reason: fmt.Sprintf("after=%q is no UID", query.Get("after"))}
	}
	return s.appliance.ImportFolder(r.Context(), name, query.Get("folder"), uint32(after))
}

// mostMessages and mostBytes are more than a disk holds.
const (
	mostMessages = 1 << 44
	mostBytes    = 1 << 56
)

func (s *server) lack(r *http.Request) (any, error) {
	name, err := s.personNamed(r)
	if err != nil {
		return nil, err
	}
	var more Usage
	for field, n := range map[string]struct {
		to   *int64
		most int64
	}{"messages": {&more.Messages, mostMessages}, "bytes": {&more.Bytes, mostBytes}} {
		text := r.URL.Query().Get(field)
		if *n.to, err = strconv.ParseInt(text, 10, 64); err != nil || *n.to < 0 || *n.to > n.most {
			return nil, &Error{Status: http.StatusBadRequest, Reason: fmt.Sprintf("%s=%q is no number of %s", field, text, field), Field: field}
		}
	}
	return s.appliance.Lack(r.Context(), name, more)
}

func (s *server) importMessages(r *http.Request) (any, error) {
	name, err := s.personNamed(r)
	if err != nil {
		return nil, err
	}
	if kind := r.Header.Get("Content-Type"); kind != importType {
		return nil, &Error{Status: http.StatusUnsupportedMediaType, Reason: "the body must be " + importType}
	}
	query := r.URL.Query()
	to := ImportTarget{Folder: query.Get("folder"), Unsubscribed: query.Get("unsubscribed") == "true"}
	return nil, s.appliance.Import(r.Context(), name, to, newFrameReader(r.Body).next)
}

// personNamed is the person that the request's path names.
func (s *server) personNamed(r *http.Request) (string, error) {
	name := config.FoldName(r.PathValue("person"))
	if c, _ := s.appliance.Config(); !hasPerson(c, name) {
		return "", nobody(name)
	}
	return name, nil
}
