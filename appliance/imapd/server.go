package imapd

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"letterbox/store"
)

// LevelTrace is the level at which everything said on a connection is
// logged, passwords redacted.
const LevelTrace = slog.Level(-8)

// DefaultAppendLimit is the largest message that APPEND takes unless
// Options.AppendLimit says otherwise, in octets.
const DefaultAppendLimit = 50 << 20

const (
	// signInTimeout is how long a client may take from connecting to being
	// signed in, TLS handshake included.
	signInTimeout = time.Minute
	// inactivityTimeout is the autologout timer; RFC 9051, 5.4 wants at least
	// 30 minutes.
	inactivityTimeout = 30 * time.Minute
)

// An Authenticator knows who may sign in. It is called from many goroutines.
type Authenticator interface {
	// SignIn returns the person that login and password belong to. Any error
	// is answered as wrong credentials, whatever it says, and its text
	// is logged, so it holds no password. It may take its time to slow down
	// guessing, and returns when ctx ends.
	SignIn(ctx context.Context, login, password string, peer netip.Addr) (person string, err error)
}

// Options are what New needs.
type Options struct {
	Store *store.Store
	Auth  Authenticator
	// TLS is for ServeTLS and STARTTLS. Without it there is no STARTTLS.
	TLS *tls.Config
	Log *slog.Logger // nil: nothing is logged
	// AppendLimit is the largest message taken by APPEND, in octets; 0:
	// DefaultAppendLimit.
	AppendLimit int64
	// PlaintextOnLoopback lets peers on the loopback interface sign in
	// without TLS.
	PlaintextOnLoopback bool
	// Version is what ID tells beside the name; "": nothing.
	Version string
}

// A Server answers IMAP clients. Its methods may be called from any
// goroutine.
type Server struct {
	o        Options
	commands map[string]command
	ctx      context.Context // ends when connections are cut
	cancel   context.CancelFunc
	done     sync.WaitGroup // connections

	mu          sync.Mutex // guards what follows, and conn.person for others
	closing     bool
	listeners   map[net.Listener]struct{}
	conns       map[*conn]struct{}
	disconnects int // calls of Disconnect
}

// New returns a server that serves nothing yet.
func New(o Options) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.AppendLimit <= 0 {
		o.AppendLimit = DefaultAppendLimit
	}
	s := &Server{
		o:         o,
		commands:  commandTable(),
		listeners: make(map[net.Listener]struct{}),
		conns:     make(map[*conn]struct{}),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Serve answers what l accepts, in the clear at first (port 143), until
// Shutdown or until l is closed, and returns nil then. It closes l. Waiting out
// what passes, such as a lack of file descriptors, is for l to do.
func (s *Server) Serve(l net.Listener) error { return s.serve(l, false) }

// ServeTLS answers what l accepts with TLS from the first octet (port 993),
// until Shutdown or until l is closed, and returns nil then. It closes l.
func (s *Server) ServeTLS(l net.Listener) error {
	if s.o.TLS == nil {
		return errors.New("imap over TLS needs a certificate")
	}
	return s.serve(l, true)
}

func (s *Server) serve(l net.Listener, implicitTLS bool) error {
	defer l.Close()
	if !s.addListener(l) {
		return nil
	}
	defer s.removeListener(l)
	for {
		raw, err := l.Accept()
		if errors.Is(err, net.ErrClosed) || err != nil && s.isClosing() {
			return nil
		}
		if err != nil {
			return err
		}
		s.start(raw, implicitTLS)
	}
}

func (s *Server) addListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) removeListener(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// start serves one connection in a goroutine that Shutdown waits for.
func (s *Server) start(raw net.Conn, implicitTLS bool) {
	c := newConn(s, raw)
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		raw.Close()
		return
	}
	s.conns[c] = struct{}{}
	s.done.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.done.Done()
		defer s.forget(c)
		c.serve(implicitTLS)
	}()
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// Shutdown stops accepting, lets the commands under way end, says BYE to
// every client and closes the connections. When ctx ends first, it cuts what
// is left and returns the error of ctx. It waits for every goroutine in
// both cases.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	for l := range s.listeners {
		l.Close()
	}
	for c := range s.conns {
		c.end("the server is shutting down")
	}
	s.mu.Unlock()

	ended := make(chan struct{})
	go func() {
		s.done.Wait()
		close(ended)
	}()
	var err error
	select {
	case <-ended:
	case <-ctx.Done():
		err = ctx.Err()
		s.cancel()
		s.cutAll()
		<-ended
	}
	s.cancel()
	return err
}

func (s *Server) cutAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.link.cut()
	}
}

// Disconnect says BYE to every connection of a person, whose password
// changed or who is here no longer. It does not wait for them.
func (s *Server) Disconnect(person string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disconnects++
	for c := range s.conns {
		if c.person == person && person != "" {
			c.end("please sign in again")
		}
	}
}

// disconnected counts the calls of Disconnect.
func (s *Server) disconnected() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.disconnects
}

// own makes the connection a person's and returns how often Disconnect has been called before.
func (s *Server) own(c *conn, person string) (disconnects int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.person = person
	return s.disconnects
}
