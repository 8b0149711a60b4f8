//go:build bench

package main

import (
	"fmt"
	"path/filepath"
	"testing"

	"letterbox/store/maildir/dovecottest"
)

// contestConnections are how many connections deliver at once, and the part of the bare program's rate that is wanted then.
var contestConnections = []struct {
	n      int
	ofBare float64
}{{1, 0.7}, {8, 0.6}}

// beside says how a contest is held.
func beside(mix []benchLetter) string {
	return fmt.Sprintf(`Each round: %s.
%d rounds after one to warm up, the contestants in turn, on one file system; rates are medians, ratios medians of the rounds' ratios.
Nobody has TLS. Dovecot: its master and Debian's defaults (mail_fsync = optimized), Maildir. The bare program: a goroutine a connection
writes a message into tmp/ and syncs it, a line into one shared list and syncs that, renames the message into cur/ and syncs cur/.`, describeMix(mix), contestRounds)
}

// benchDelivery measures the delivery of mail.
func benchDelivery(t *testing.T) {
	mix := newMix()
	heading("Delivery into INBOX, by SMTP (Dovecot: LMTP)", beside(mix))
	h := newHouse(t)
	h.start(t)
	d := dovecottest.Serve(t, scratch(t))
	b := newBare(t, scratch(t))
	for _, c := range contestConnections {
		r := contest(t, mix, c.n, bySMTP("Letterbox", h.address(25), "EHLO", benchPerson), bySMTP("Dovecot", d.LMTP, "LHLO", benchPerson), b.contestant())
		r.compare("delivery", c.n, c.ofBare)
	}
	h.stop(t)
}

// benchAppend measures APPEND.
func benchAppend(t *testing.T) {
	mix := newMix()
	heading("APPEND to INBOX, by IMAP", beside(mix))
	h := newHouse(t)
	h.start(t)
	d := dovecottest.Serve(t, scratch(t))
	b := newBare(t, filepath.Join(scratch(t), "bare"))
	for _, c := range contestConnections {
		r := contest(t, mix, c.n, byAppend("Letterbox", h.address(143), benchPerson, benchPassword), byAppend("Dovecot", d.IMAP, benchPerson, dovecottest.Password), b.contestant())
		r.compare("APPEND", c.n, c.ofBare)
	}
	h.stop(t)
}
