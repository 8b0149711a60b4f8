package smtpd

import (
	"bytes"
	"errors"
	"strings"

	"github.com/emersion/go-sasl"
)

// mechanisms are those that a password is enough for.
var mechanisms = [...]string{sasl.Plain, sasl.Login}

func isMechanism(name string) bool {
	for _, m := range mechanisms {
		if strings.EqualFold(m, name) {
			return true
		}
	}
	return false
}

// AuthMechanisms tells go-smtp what to offer.
func (s *session) AuthMechanisms() []string {
	if !s.peer.maySignIn() {
		return nil
	}
	return mechanisms[:]
}

// Auth begins an exchange that screen has found in order.
func (s *session) Auth(mechanism string) (sasl.Server, error) {
	if strings.EqualFold(mechanism, sasl.Login) {
		return &loginExchange{session: s}, nil
	}
	return &plainExchange{session: s}, nil
}

// A plainExchange is AUTH PLAIN, RFC 4616.
type plainExchange struct{ session *session }

func (e *plainExchange) Next(response []byte) (challenge []byte, done bool, err error) {
	if response == nil {
		e.session.wire.sasl = true
		return nil, false, nil
	}
	part := bytes.Split(response, []byte{0})
	if len(part) != 3 {
		return nil, false, answer(501, 5, 5, 2, "PLAIN needs an identity, a name and a password")
	}
	as, login, password := string(part[0]), string(part[1]), string(part[2])
	if as != "" && as != login {
		return nil, false, e.session.signInFailed(login, errors.New("asks to act as somebody else"))
	}
	return nil, true, e.session.signIn(login, password)
}

// A loginExchange is AUTH LOGIN, draft-murchison-sasl-login.
type loginExchange struct {
	session *session
	login   string
	named   bool
	asked   bool
}

func (e *loginExchange) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case !e.named && response == nil && !e.asked:
		e.asked = true
		e.session.wire.sasl = true
		return []byte("Username:"), false, nil
	case !e.named:
		e.login, e.named = string(response), true
		e.session.wire.sasl = true
		return []byte("Password:"), false, nil
	}
	return nil, true, e.session.signIn(e.login, string(response))
}

// signIn asks the Directory, which takes its time after failures.
func (s *session) signIn(login, password string) error {
	for {
		disconnects := s.server.disconnects.Load()
		person, err := s.server.options.Directory.SignIn(s.peer.ctx, login, password, s.peer.addr.Addr())
		s.peer.signedIn(person)
		if err != nil {
			return s.signInFailed(login, err)
		}
		if disconnects == s.server.disconnects.Load() {
			s.person = person
			break
		}
		// Somebody's right has ended since the password was checked, and Disconnect did not know yet whose connection this is.
	}
	s.peer.log.Debug("signed in", "person", s.person, "tls", s.peer.tlsName())
	return nil
}

// signInFailed answers and counts. RFC 4954, 6.
func (s *session) signInFailed(login string, err error) error {
	s.peer.log.Info("sign-in refused", "login", login, "tls", s.peer.tlsName(), "err", err)
	if s.peer.ctx.Err() != nil || errors.Is(err, ErrTemporary) {
		return answer(454, 4, 7, 0, "signing in is not possible for the moment")
	}
	if s.peer.badSignIns++; s.peer.badSignIns >= maxBadSignIns {
		s.wire.end()
		return answer(421, 4, 7, 0, s.server.options.Hostname+" too many wrong passwords")
	}
	return answer(535, 5, 7, 8, "name or password is wrong")
}
