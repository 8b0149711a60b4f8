package imapd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/emersion/go-imap/v2"

	"letterbox/appliance/imapwire"
	"letterbox/store"
)

// An answer is what a command is answered with.
type answer struct {
	status string // OK, NO or BAD
	code   string // response code without brackets; "": none
	text   string
}

// An answerError is an answer that a command chose itself.
type answerError struct{ answer }

func (e *answerError) Error() string { return e.status + " " + e.text }

// no refuses a command. code may be "".
func no(code imap.ResponseCode, text string) error {
	return &answerError{answer{"NO", string(code), text}}
}

// bad says that the client is wrong.
func bad(text string) error { return &answerError{answer{"BAD", "", text}} }

// Response codes that go-imap has no name for.
const (
	codeExpungeIssued imap.ResponseCode = "EXPUNGEISSUED" // RFC 9051, 7.1
	codeBadCharset                      = "BADCHARSET (UTF-8 US-ASCII)"
	codeUseAttr       imap.ResponseCode = "USEATTR" // RFC 6154
	codeUnknownCTE                      = imap.ResponseCodeUnknownCTE
)

// storeFaults are the answers to errors of the store that are the
// client's to know. RFC 9051, 7.1 and RFC 5530 have the codes. OVERQUOTA is for
// a mailbox that its owner can make room in: mail programs say so. A disk without
// room is UNAVAILABLE, since it need not be this person's mail that fills it:
// programs show the text and try again.
var storeFaults = []struct {
	err  error
	code imap.ResponseCode
}{
	{store.ErrNoMailbox, imap.ResponseCodeNonExistent},
	{store.ErrMailboxExists, imap.ResponseCodeAlreadyExists},
	{store.ErrBadName, imap.ResponseCodeCannot},
	{store.ErrBadKeyword, imap.ResponseCodeCannot},
	{store.ErrHasChildren, imap.ResponseCodeHasChildren},
	{store.ErrInboxUndeletable, imap.ResponseCodeCannot},
	{store.ErrOverQuota, imap.ResponseCodeOverQuota},
	{store.ErrDiskFull, imap.ResponseCodeUnavailable},
	{store.ErrReadOnlyDisk, imap.ResponseCodeUnavailable},
	{store.ErrTooManyKeywords, imap.ResponseCodeLimit},
	{store.ErrTooManyMailboxes, imap.ResponseCodeLimit},
	{store.ErrSubscriptionLimit, imap.ResponseCodeLimit},
	{store.ErrMailboxOutOfUIDs, imap.ResponseCodeLimit},
	{store.ErrNoSpecialUse, codeUseAttr},
	{store.ErrExpunged, codeExpungeIssued},
	{store.ErrClosed, imap.ResponseCodeUnavailable},
	{store.ErrNoAccount, imap.ResponseCodeUnavailable},
	{context.Canceled, imap.ResponseCodeUnavailable},
	{context.DeadlineExceeded, imap.ResponseCodeUnavailable},
}

// answerTo maps how a command ended to its answer. Faults of ours are logged
// here, once.
func (c *conn) answerTo(r *request, err error) answer {
	var (
		chosen  *answerError
		syntax  *imapwire.SyntaxError
		charset *imapwire.BadCharsetError
	)
	switch {
	case err == nil:
		text := r.text
		if text == "" {
			text = r.name + " completed"
		}
		return answer{"OK", r.code, text}
	case errors.As(err, &chosen):
		return chosen.answer
	case errors.As(err, &syntax):
		return answer{"BAD", "", syntax.Text}
	case errors.As(err, &charset):
		return answer{"NO", codeBadCharset, charset.Error()}
	}
	for _, f := range storeFaults {
		if errors.Is(err, f.err) {
			if f.code == imap.ResponseCodeUnavailable || f.code == imap.ResponseCodeOverQuota {
				c.log.Warn("command refused", "person", c.person, "command", r.name, "err", err)
			}
			return answer{"NO", string(f.code), f.err.Error()}
		}
	}
	return answer{"NO", string(imap.ResponseCodeServerBug),
		fmt.Sprintf("something went wrong here; the log has it under reference %s", c.fault(r, err))}
}

// fault logs a fault of ours and returns the reference that finds it.
func (c *conn) fault(r *request, err error) string {
	ref := rand.Text()[:8]
	c.log.Error("command failed", "person", c.person, "command", r.name, "ref", ref, "err", err)
	return ref
}
