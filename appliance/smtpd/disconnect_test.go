package smtpd

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"
)

const annsPlain = "AUTH PLAIN AGFubgBhbm4gc2VjcmV0\r\n" // ann, ann secret

// TestDisconnect ends what a person has signed in on, and nothing else.
func TestDisconnect(t *testing.T) {
	t.Parallel()
	u := start(t, "submission", func(o *Options) { o.PlaintextOnLoopback = true })
	nobody, ann, again := dialRaw(t, u.addr), dialRaw(t, u.addr), dialRaw(t, u.addr)
	ann.ask(annsPlain, "235")
	again.ask(annsPlain, "235")
	u.Disconnect("ben")
	u.Disconnect("")
	ann.ask("NOOP\r\n", "250")
	u.Disconnect("ann")
	for _, c := range []*rawConn{ann, again} {
		c.hear("421 4.7.0 mx.example.org asks you to sign in again")
		c.closed()
	}
	nobody.ask("NOOP\r\n", "250")
}

// TestDisconnectLetsMessagesFinish: who was signed in when the message began gets an answer to it, and to nothing after.
func TestDisconnectLetsMessagesFinish(t *testing.T) {
	t.Parallel()
	u := start(t, "submission", func(o *Options) { o.PlaintextOnLoopback = true })
	c := dialRaw(t, u.addr)
	c.ask(annsPlain, "235")
	c.ask("MAIL FROM:<ann@example.org>\r\n", "250")
	c.ask("RCPT TO:<ben@example.org>\r\n", "250")
	c.ask("DATA\r\n", "354")
	u.Disconnect("ann")
	c.ask("From: ann@example.org\r\n\r\ntext\r\n.\r\nMAIL FROM:<ann@example.org>\r\n", "250 2.0.0 delivered")
	c.hear("421 4.7.0")
	c.closed()
	if got := u.room.deliveries(); len(got) != 1 {
		t.Errorf("%d messages were delivered, want 1", len(got))
	}
}

// A changing house is one whose people get another password while an old one is being checked.
type changing struct {
	house
	checks  atomic.Int32
	changed func()
}

func (h *changing) SignIn(ctx context.Context, login, password string, peer netip.Addr) (string, error) {
	if h.checks.Add(1) > 1 {
		return "", errors.New("wrong password")
	}
	defer h.changed()
	return h.house.SignIn(ctx, login, password, peer)
}

// TestDisconnectDuringSignIn: a password that is void before its owner is known here signs nobody in.
func TestDisconnectDuringSignIn(t *testing.T) {
	t.Parallel()
	h := &changing{}
	u := start(t, "submission", func(o *Options) { o.PlaintextOnLoopback, o.Directory = true, h })
	h.changed = func() { u.Disconnect("ann") }
	c := dialRaw(t, u.addr)
	c.ask(annsPlain, "535")
	c.ask("MAIL FROM:<ann@example.org>\r\n", "530")
}
