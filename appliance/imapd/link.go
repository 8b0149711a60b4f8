package imapd

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
)

var (
	errWoken = errors.New("woken while waiting for the client")
	errIdle  = &linkError{errors.New("the client said nothing for too long")}
)

// A linkError ends the connection, where other errors end a command.
type linkError struct{ err error }

func (e *linkError) Error() string { return e.err.Error() }
func (e *linkError) Unwrap() error { return e.err }

func isLinkError(err error) bool {
	var l *linkError
	return errors.As(err, &l)
}

// writeTimeout is how long one write may take: a client that does not read
// 16 KiB in this time is gone.
const writeTimeout = 5 * time.Minute

// A link is the transport of one connection. Its reads can be interrupted
// from elsewhere by wake, which costs no goroutine: the deadline of the socket
// is moved into the past. Everything but wake and cut belongs to the
// connection's goroutine.
type link struct {
	raw      net.Conn // the socket; never changes
	conn     net.Conn // the socket, or TLS over it
	deadline time.Time
	woken    atomic.Bool
}

func newLink(raw net.Conn) *link { return &link{raw: raw, conn: raw} }

// wake makes the present or the next Read return errWoken, once.
func (l *link) wake() {
	l.woken.Store(true)
	// A socket that is closed already has no deadline to move.
	_ = l.raw.SetReadDeadline(time.Unix(1, 0))
}

// cut closes the socket under whoever uses it.
func (l *link) cut() { _ = l.raw.Close() }

// Read returns errWoken after wake and errIdle when the deadline has passed.
// A timeout loses nothing: what had come of a TLS record is kept.
func (l *link) Read(p []byte) (int, error) {
	for {
		if err := l.raw.SetReadDeadline(l.deadline); err != nil {
			return 0, &linkError{err}
		}
		// wake stores first and moves the deadline after that, so a wake that
		// is not seen here interrupts the read below.
		if l.woken.Swap(false) {
			return 0, errWoken
		}
		n, err := l.conn.Read(p)
		switch {
		case n > 0:
			return n, nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			if err == nil {
				err = io.ErrNoProgress
			}
			return 0, &linkError{err}
		}
		if !l.deadline.IsZero() && !time.Now().Before(l.deadline) {
			return 0, errIdle
		}
	}
}

func (l *link) Write(p []byte) (int, error) {
	if err := l.raw.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, &linkError{err}
	}
	n, err := l.conn.Write(p)
	if err != nil {
		err = &linkError{err}
	}
	return n, err
}
