package webui

import (
	"crypto/rand"
	"net/http"
	"sync"
	"time"
)

const (
	sessionIdle  = 2 * time.Hour
	sessionLife  = 24 * time.Hour
	maxSessions  = 8
	sessionField = "__Host-letterbox-setup" // the cookie; browsers hold __Host- to Secure, this host and the path /
)

// session is one browser's way through the wizard.
type session struct {
	id    string
	began time.Time
	used  time.Time // guarded by sessions.mu

	mu       sync.Mutex // held while a request of this session is answered: a double click waits for the first
	draft    draft
	rerun    bool // there was a configuration before
	adding   bool // only a further person is asked for
	revision int  // of the draft: counts what was taken, so that an old page is told from a new one
	applied  int  // the revision applied last; 0: none yet
	finished bool // applied, and nothing begun since
}

// sessions are those that a code has opened. The zero value has none.
type sessions struct {
	mu   sync.Mutex
	byID map[string]*session
}

// begin opens a session; the one that was not used for longest makes room.
func (s *sessions) begin(now time.Time) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now)
	if s.byID == nil {
		s.byID = map[string]*session{}
	}
	if len(s.byID) >= maxSessions {
		var oldest *session
		for _, o := range s.byID {
			if oldest == nil || o.used.Before(oldest.used) {
				oldest = o
			}
		}
		delete(s.byID, oldest.id)
	}
	n := &session{id: rand.Text(), began: now, used: now, revision: 1}
	s.byID[n.id] = n
	return n
}

// find returns the session of a request, or nil.
func (s *sessions) find(r *http.Request, now time.Time) *session {
	cookie, err := r.Cookie(sessionField)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now)
	found := s.byID[cookie.Value]
	if found != nil {
		found.used = now
	}
	return found
}

// sweep ends what is too old. The caller holds mu.
func (s *sessions) sweep(now time.Time) {
	for id, o := range s.byID {
		if now.Sub(o.used) > sessionIdle || now.Sub(o.began) > sessionLife {
			delete(s.byID, id)
		}
	}
}

// cookie is what binds a browser to its session.
func (s *session) cookie() *http.Cookie {
	return &http.Cookie{Name: sessionField, Value: s.id, Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode}
}
