package imapd

import (
	"bytes"
	"encoding/base64"

	"github.com/emersion/go-imap/v2"

	"letterbox/appliance/imapwire"
)

// A mechanism is a way to sign in with AUTHENTICATE. run asks ask for what
// the client has to say to a challenge, and signs in.
type mechanism struct {
	name string
	run  func(c *conn, r *request, ask asker) error
}

// An asker sends a challenge and returns the response. The first is answered
// by an initial response, if there was one.
type asker func(challenge string) ([]byte, error)

func mechanisms() []mechanism {
	return []mechanism{
		{"PLAIN", (*conn).saslPlain},
		{"LOGIN", (*conn).saslLogin},
	}
}

// authenticate is AUTHENTICATE (RFC 9051, 6.2.2), with initial responses
// (RFC 4959).
func (c *conn) authenticate(r *request) error {
	if !c.maySignIn() {
		return no(imap.ResponseCodePrivacyRequired, "please start TLS first")
	}
	a, err := imapwire.ParseAuthenticate(r.args)
	if err != nil {
		return err
	}
	for _, m := range mechanisms() {
		if m.name != a.Mechanism {
			continue
		}
		return m.run(c, r, func(challenge string) ([]byte, error) {
			if a.HasInitial {
				a.HasInitial = false
				return a.Initial, nil
			}
			return c.challenge(challenge)
		})
	}
	return no(imap.ResponseCodeCannot, "this way to sign in is not known here")
}

// challenge is one step of a SASL exchange.
func (c *conn) challenge(text string) ([]byte, error) {
	c.out.line("+ ", base64.StdEncoding.EncodeToString([]byte(text)))
	if err := c.readLine(maxCommandBefore); err != nil {
		if isLinkError(err) {
			return nil, err
		}
		return nil, bad("the response is too long")
	}
	response, cancelled, err := imapwire.ParseSASLResponse(bytes.TrimRight(c.line, "\r\n"))
	if cancelled {
		return nil, bad("signing in was cancelled") // RFC 9051, 6.2.2
	}
	return response, err
}

// saslPlain is PLAIN (RFC 4616): authzid NUL authcid NUL password.
func (c *conn) saslPlain(r *request, ask asker) error {
	response, err := ask("")
	if err != nil {
		return err
	}
	fields := bytes.Split(response, []byte{0})
	if len(fields) != 3 {
		return bad("the response is not one of PLAIN")
	}
	as, login, password := string(fields[0]), string(fields[1]), string(fields[2])
	if as != "" && as != login {
		return no(imap.ResponseCodeAuthorizationFailed, "nobody can sign in for somebody else here")
	}
	return c.signIn(r, "PLAIN", login, password)
}

// saslLogin is LOGIN, which some programs know and nothing else
// (draft-murchison-sasl-login).
func (c *conn) saslLogin(r *request, ask asker) error {
	login, err := ask("Username:")
	if err != nil {
		return err
	}
	login = bytes.Clone(login)
	password, err := ask("Password:")
	if err != nil {
		return err
	}
	return c.signIn(r, "SASL LOGIN", string(login), string(password))
}
