package smtpd

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
)

// A Server speaks SMTP on listeners. All its methods may be called at once.
type Server struct {
	options    Options
	submission bool

	ctx    context.Context // of everything the server does; ended when time to shut down is over
	cancel context.CancelFunc

	mu        sync.Mutex
	closing   bool
	listeners map[net.Listener]struct{}
	peers     map[*peer]struct{}
	running   sync.WaitGroup // one for each peer

	disconnects atomic.Int64 // calls of Disconnect
}

// NewIntake makes a server for port 25: mail from anywhere, for the household.
func NewIntake(o Options) *Server { return newServer(o, false) }

// NewSubmission makes a server for ports 465 and 587: mail from the people of the household, after they have signed in.
func NewSubmission(o Options) *Server { return newServer(o, true) }

func newServer(o Options, submission bool) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	return &Server{
		options:    o.withDefaults(),
		submission: submission,
		ctx:        ctx,
		cancel:     cancel,
		listeners:  make(map[net.Listener]struct{}),
		peers:      make(map[*peer]struct{}),
	}
}

// Serve accepts connections that begin in plaintext and offers STARTTLS, until Shutdown, which makes it return nil, or until
// l fails for good. It closes l.
func (s *Server) Serve(l net.Listener) error { return s.serve(l, nil) }

// ServeTLS is Serve for connections that begin with TLS (port 465, RFC 8314).
func (s *Server) ServeTLS(l net.Listener) error {
	if s.options.TLS == nil {
		l.Close()
		return errors.New("smtp over TLS needs a certificate")
	}
	return s.serve(l, s.options.TLS)
}

func (s *Server) serve(l net.Listener, implicit *tls.Config) error {
	defer l.Close()
	if !s.addListener(l) {
		return nil
	}
	defer s.removeListener(l)
	for {
		c, err := l.Accept()
		if err != nil {
			if s.isClosing() {
				return nil
			}
			return err
		}
		p := newPeer(s, c)
		if !s.add(p) {
			c.Close()
			continue
		}
		go func() {
			defer s.remove(p)
			p.run(implicit)
		}()
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

func (s *Server) add(p *peer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.peers[p] = struct{}{}
	s.running.Add(1)
	return true
}

func (s *Server) remove(p *peer) {
	s.mu.Lock()
	delete(s.peers, p)
	s.mu.Unlock()
	s.running.Done()
}

// Shutdown ends the server: it stops accepting, tells idle peers 421, lets messages that are under way be finished, and when
// ctx ends cuts what is left. It returns when no connection is left; the error is ctx's when something was cut.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	for l := range s.listeners {
		l.Close()
	}
	peers := make([]*peer, 0, len(s.peers))
	for p := range s.peers {
		peers = append(peers, p)
	}
	s.mu.Unlock()
	for _, p := range peers {
		p.drain(errShutdown)
	}

	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		s.cancel()
		for _, p := range peers {
			p.cut()
		}
	})
	s.running.Wait()
	s.cancel()
	if !stop() {
		<-done
		return ctx.Err()
	}
	return nil
}

// Disconnect ends the connections that a person has signed in on, whose password changed or who is here no longer. A message that
// is under way is finished first. It does not wait.
func (s *Server) Disconnect(person string) {
	s.disconnects.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.peers {
		p.signOut(person)
	}
}
