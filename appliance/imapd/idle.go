package imapd

import (
	"errors"
	"time"

	"letterbox/appliance/imapwire"
)

// maxDoneLine is the longest line taken while idling.
const maxDoneLine = 1 << 10

// idle is IDLE (RFC 2177; RFC 9051, 6.3.13). The connection's goroutine waits
// for the client; a change of the mailbox interrupts its read (see link),
// it says what is new and waits again.
func (c *conn) idle(r *request) error {
	if err := imapwire.ParseNone(r.args); err != nil {
		return err
	}
	var stop func()
	if c.view != nil {
		stop = c.watch()
		defer stop()
		c.view.box.Relax()
	}
	c.out.line("+ idling")
	line := c.line[:0]
	c.link.deadline = time.Now().Add(inactivityTimeout)
	for {
		if err := c.announce(true); err != nil {
			return err
		}
		var err error
		line, err = c.in.readLine(line, maxDoneLine)
		c.line = line
		switch {
		case err == nil && imapwire.IsDone(line):
			return nil
		case err == nil, errors.Is(err, errLineTooLong):
			return bad("DONE was expected")
		case !errors.Is(err, errWoken):
			return err
		case c.farewell.Load() != nil:
			return errEnded
		}
	}
}

// watch makes every change of the selected mailbox wake the connection, until
// stop is called. stop waits for the goroutine that does it.
func (c *conn) watch() (stop func()) {
	changed := make(chan struct{}, 1)
	unwatch := c.view.box.Watch(changed)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-changed:
				c.link.wake()
			case <-quit:
				return
			}
		}
	}()
	return func() {
		unwatch()
		close(quit)
		<-done // a wake that came too late does no harm: see conn.readLine
	}
}
