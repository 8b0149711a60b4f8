package imapd

import (
	"context"
	"crypto/tls"
	"errors"
	"time"

	"github.com/emersion/go-imap/v2"

	"letterbox/appliance/imapwire"
)

// login is LOGIN (RFC 9051, 6.2.3).
func (c *conn) login(r *request) error {
	if !c.maySignIn() {
		return no(imap.ResponseCodePrivacyRequired, "please start TLS first")
	}
	a, err := imapwire.ParseLogin(r.args)
	if err != nil {
		return err
	}
	return c.signIn(r, "LOGIN", a.User, a.Password)
}

// signIn checks the credentials and enters the authenticated state.
func (c *conn) signIn(r *request, how, login, password string) error {
	ctx, cancel := context.WithDeadline(c.ctx, c.started.Add(signInTimeout))
	defer cancel()
	if err := c.flush(); err != nil { // it may take a while
		return err
	}
	person, err := c.claim(ctx, login, password)
	if err != nil {
		c.log.Info("sign-in refused", "login", login, "how", how, "tls", c.tlsName(), "err", err)
		if c.ctx.Err() != nil {
			return errEnded
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return errIdle
		}
		// RFC 5530: one answer for an unknown person and for a wrong password.
		return no(imap.ResponseCodeAuthenticationFailed, "the name or the password is wrong")
	}
	account, err := c.server.o.Store.Account(person)
	if err != nil {
		return err
	}
	c.account, c.state = account, authenticated
	c.log.Info("signed in", "person", person, "login", login, "how", how, "tls", c.tlsName(), "took", time.Since(c.started))
	r.code, r.text = c.capabilityCode(), "signed in"
	return nil
}

// tlsName is the version of TLS, for the log; empty without.
func (c *conn) tlsName() string {
	if t, ok := c.link.conn.(*tls.Conn); ok {
		return tls.VersionName(t.ConnectionState().Version)
	}
	return ""
}

// claim asks who login and password belong to, and makes the connection theirs. Where somebody's right ended while that was found
// out, Disconnect did not know yet whose connection this is: then it asks again.
func (c *conn) claim(ctx context.Context, login, password string) (person string, err error) {
	for {
		before := c.server.disconnected()
		person, err = c.server.o.Auth.SignIn(ctx, login, password, c.peer)
		if err != nil {
			c.server.own(c, "")
			return "", err
		}
		if c.server.own(c, person) == before {
			return person, nil
		}
	}
}
