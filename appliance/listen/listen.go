// Package listen opens the sockets that mail programs and other servers connect to, counts and limits the connections,
// and closes them in order.
//
//   - What cannot be opened is one sentence that names the port and says why (Error); the caller adds the option that
//     changes it.
//   - No more connections than the limits allow are open at a time, in all and from one address (one /64 for IPv6, which
//     is what one household or one attacker has). One too many is told so in the protocol by a hook, and closed. Strangers
//     leave some places to peers nearby.
//   - When the system has no file descriptors left, accepting pauses and goes on; it never spins and never gives up.
//   - A Listener starts no goroutine but those that say goodbye to refused peers; Close waits for them.
package listen

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	firstPause   = 5 * time.Millisecond // after the first failing accept
	longestWait  = time.Second          // between failing accepts
	goodbyeTime  = 5 * time.Second      // a refused peer has to take its goodbye
	refusedPause = time.Minute          // between two lines in the log about refused peers
	maxGoodbyes  = 16                   // at once; further refused peers are closed without a word
)

// Options say how many connections there may be and who hears of trouble. The zero value has no limits.
type Options struct {
	Limits *Limits // how many connections there may be, over all listeners with the same Limits; nil: no limit

	// Refuse says goodbye to a peer that one of the limits keeps out, such as "421 too many connections". The
	// connection has a deadline and is closed afterwards. Several may run at once. May be nil.
	Refuse func(c net.Conn)

	Log *slog.Logger // nil: no log
}

// A Listener is a net.Listener whose connections are counted and limited. All methods may be called at once.
type Listener struct {
	inner   net.Listener
	options Options
	closed  chan struct{} // closed by Close
	close   sync.Once

	goodbyes chan struct{} // a slot for each goodbye under way
	saying   sync.WaitGroup

	mu    sync.Mutex
	conns map[*conn]struct{} // open ones, refused ones among them until they are closed

	refused     int       // peers, since the log told of it
	toldRefused time.Time // zero: never
}

// Open opens one address, as net.Listen names them: ":993" is port 993 of both address families, ":0" is any free port.
// The error is an *Error.
func Open(network, addr string, o Options) (*Listener, error) {
	inner, err := net.Listen(network, addr)
	if err != nil {
		return nil, newError(network, addr, err)
	}
	return wrap(inner, o), nil
}

// Again gives a second Listener on the same socket, which l may then close without a connection being lost in between: for a
// server that takes over from another.
func (l *Listener) Again(o Options) (*Listener, error) {
	socket, ok := l.inner.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, fmt.Errorf("a listener of type %T cannot be taken over", l.inner)
	}
	f, err := socket.File()
	if err != nil {
		return nil, fmt.Errorf("take over the socket %s: %w", l.Addr(), err)
	}
	defer f.Close() // FileListener holds a descriptor of its own
	inner, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("take over the socket %s: %w", l.Addr(), err)
	}
	return wrap(inner, o), nil
}

func wrap(inner net.Listener, o Options) *Listener {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Listener{
		inner:    inner,
		options:  o,
		closed:   make(chan struct{}),
		goodbyes: make(chan struct{}, maxGoodbyes),
		conns:    make(map[*conn]struct{}),
	}
}

// Addr is the address that is really listened on, with the port that ":0" was given.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Accept gives the next connection that the limits allow. After Close the error is net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	var pause time.Duration
	for {
		c, err := l.inner.Accept()
		switch {
		case err == nil:
			pause = 0
			if admitted := l.admit(c); admitted != nil {
				return admitted, nil
			}
		case !isTemporary(err):
			return nil, err
		default:
			if pause == 0 {
				l.options.Log.Warn("connections cannot be accepted for the moment", "addr", l.Addr().String(), "err", err)
			}
			if pause = min(max(2*pause, firstPause), longestWait); !l.wait(pause) {
				return nil, net.ErrClosed
			}
		}
	}
}

// wait lets d pass; it is false when the listener was closed meanwhile.
func (l *Listener) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.closed:
		return false
	}
}

// isTemporary tells whether accepting may succeed later: the peer went away, or the system is short of something.
func isTemporary(err error) bool {
	for _, e := range []error{syscall.ECONNABORTED, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.EPROTO, syscall.EINTR, syscall.EAGAIN} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// admit counts c, or says goodbye to it and gives nil.
func (l *Listener) admit(c net.Conn) net.Conn {
	tracked := &conn{Conn: c, listener: l, from: source(c.RemoteAddr())}
	if l.options.Limits.enter(tracked.from) {
		tracked.counted = true
		if !l.track(tracked) {
			tracked.Close()
			return nil
		}
		return tracked
	}
	l.noteRefused(c.RemoteAddr())
	l.refuse(tracked)
	return nil
}

// noteRefused logs the first refusal, and further ones now and then: a log on a flash card is not filled at the will of strangers.
func (l *Listener) noteRefused(peer net.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused++
	if now := time.Now(); l.toldRefused.IsZero() || now.Sub(l.toldRefused) >= refusedPause {
		l.options.Log.Warn("too many connections", "addr", l.Addr().String(), "refused", l.refused, "peer", peer.String())
		l.refused, l.toldRefused = 0, now
	}
}

// refuse says goodbye beside the accept loop, so that a peer that does not listen holds up nobody.
func (l *Listener) refuse(c *conn) {
	if l.options.Refuse == nil {
		c.Close()
		return
	}
	select {
	case l.goodbyes <- struct{}{}:
	default:
		c.Close()
		return
	}
	if !l.track(c) {
		c.Close()
		<-l.goodbyes
		return
	}
	go func() {
		defer l.saying.Done()
		defer func() { <-l.goodbyes }()
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(goodbyeTime)); err == nil {
			l.options.Refuse(c)
		}
	}()
}

// track remembers an open connection; it is false when the listener is closed already and c is a refused one. For a
// refused connection it announces the goodbye to Close.
func (l *Listener) track(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.closed:
		return false
	default:
	}
	l.conns[c] = struct{}{}
	if !c.counted {
		l.saying.Add(1)
	}
	return true
}

func (l *Listener) forget(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

// Close stops accepting. Connections that are open stay open.
func (l *Listener) Close() error {
	err := net.ErrClosed
	l.close.Do(func() {
		l.mu.Lock()
		close(l.closed)
		l.mu.Unlock()
		err = l.inner.Close()
		for _, c := range l.open(func(c *conn) bool { return !c.counted }) {
			c.Close()
		}
	})
	l.saying.Wait()
	return err
}

// CloseConns closes the connections that are open.
func (l *Listener) CloseConns() {
	for _, c := range l.open(func(*conn) bool { return true }) {
		c.Close()
	}
}

func (l *Listener) open(which func(*conn) bool) []*conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []*conn
	for c := range l.conns {
		if which(c) {
			list = append(list, c)
		}
	}
	return list
}
