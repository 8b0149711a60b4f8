package smtpd

import (
	"strings"
	"testing"
)

// TestNobodyWritesAsSomebodyElse tries every spelling of an author who is not the sender.
func TestNobodyWritesAsSomebodyElse(t *testing.T) {
	t.Parallel()
	const (
		yes     = "250 2.0.0"
		notOwn  = "550 5.7.1"
		unclear = "550 5.6.0"
	)
	tests := []struct{ name, header, want string }{
		{"own", "From: Ann <ann@example.org>", yes},
		{"own, with a detail, in capitals", "FROM:<Ann+shop@EXAMPLE.ORG>", yes},
		{"own, quoted", `From: "ann"@example.org`, yes},
		{"none: one is added", "Subject: x", yes},
		{"own, in a group", "From: us: ann@example.org, family@example.org;", yes},
		{"name in a charset that Go does not know", "From: =?windows-1252?Q?J=FCrg?= <ann@example.org>", yes},
		{"name in Chinese", "From: =?gb2312?B?1cXI/Q==?= <ann@example.org>", yes},
		{"name in a charset that nobody knows", "From: =?martian?B?1cXI/Q==?= <ann@example.org>", yes},
		{"name in raw Latin-1", "From: J\xfcrg Ann <ann@example.org>", yes},
		{"name in raw Latin-1, quoted", "From: \"J\xfcrg\" <ann@example.org>", yes},
		{"somebody else", "From: ben@example.org", notOwn},
		{"somebody elsewhere", "From: <president@elsewhere.example>", notOwn},
		{"second in the list", "From: ann@example.org, ben@example.org", notOwn},
		{"in a group", "From: us: ann@example.org, ben@example.org;", notOwn},
		{"empty group", "From: us:;", unclear},
		{"in a comment that ends early", "From: ann@example.org (\\), ben@example.org", unclear},
		{"behind a comment", "From: (ann@example.org) ben@example.org", unclear},
		{"name that is an address", "From: ann@example.org <ben@example.org>", unclear},
		{"quoted name that is an address", `From: "ann@example.org" <ben@example.org>`, notOwn},
		{"source route", "From: <@ann.example:ben@example.org>", unclear},
		{"folded", "From:\r\n\t\r\n ben@example.org", notOwn},
		{"folded with LF", "From:\n ben@example.org", notOwn},
		{"second field", "From: ann@example.org\r\nX: y\r\nfrom: ben@example.org", notOwn},
		{"space before the colon", "From : ben@example.org", notOwn},
		{"much space before the colon", "From" + strings.Repeat(" \t", 100) + ": ben@example.org", unclear},
		{"much space and own address first", "From: ann@example.org\r\nFrom" + strings.Repeat(" ", 61) + ": ben@example.org", unclear},
		{"fullwidth letters", "From: ben@ｅｘａｍｐｌｅ.org", notOwn},
		{"Cyrillic а", "From: \u0430nn@example.org", notOwn},
		{"encoded address", "From: =?utf-8?q?ben=40example.org?=", unclear},
		{"bare CR", "From: ann@example.org\rFrom: ben@example.org", unclear},
		{"NUL", "From: ann@example.org\x00, ben@example.org", unclear},
		{"empty", "From:", unclear},
		{"two ats", "From: ann@example.org@elsewhere.example", unclear},
		{"address literal", "From: ann@[127.0.0.1]", notOwn},
		{"longer than is looked at", "From: ann@example.org" + strings.Repeat(",\r\n ann@example.org", 5000) + ", ben@example.org", unclear},
		{"after much header", "X: " + strings.Repeat("y", 200<<10) + "\r\nFrom: ben@example.org", notOwn},
		{"sender", "From: ann@example.org\r\nSender: ben@example.org", notOwn},
		{"own sender", "From: family@example.org\r\nSender: Ann <ann@example.org>", yes},
		{"resent by somebody else", "Resent-From: ben@example.org\r\nFrom: ann@example.org", notOwn},
		{"resent through somebody else", "Resent-From: ann@example.org\r\nResent-Sender: ben@example.org\r\nFrom: ann@example.org", notOwn},
	}
	u := start(t, "submission", func(o *Options) { o.PlaintextOnLoopback = true })
	c := dialRaw(t, u.addr)
	c.ask(annsPlain, "235")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c.t = t
			c.ask("MAIL FROM:<ann@example.org>\r\n", "250")
			c.ask("RCPT TO:<ben@example.org>\r\n", "250")
			c.ask("DATA\r\n", "354")
			c.ask(test.header+"\r\n\r\ntext\r\n.\r\n", test.want)
		})
	}
}

// TestFirstLineFolded: a line that continues no field must not continue one of ours: neither the From that we add,
// nor the trace.
func TestFirstLineFolded(t *testing.T) {
	t.Parallel()
	const message = "\t, ben@example.org\r\nDate: x\r\nMessage-ID: <y@example.org>\r\n\r\ntext\r\n"
	for _, kind := range []string{"intake", "submission"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			u := start(t, kind, func(o *Options) { o.PlaintextOnLoopback = true })
			c := dialRaw(t, u.addr)
			if kind == "submission" {
				c.ask(annsPlain, "235")
			}
			c.ask("MAIL FROM:<ann@example.org>\r\n", "250")
			c.ask("RCPT TO:<ben@example.org>\r\n", "250")
			c.ask("DATA\r\n", "354")
			c.ask(message+".\r\n", "250 2.0.0")
			d := u.room.only(t)
			if d.message != message {
				t.Errorf("the message became %q", d.message)
			}
			if !strings.HasSuffix(d.header, "\r\nX-Unnamed-Field:\r\n") {
				t.Errorf("our header does not end with a field for the line: %q", d.header)
			}
		})
	}
}

// TestEndlessMessage: a message that is too large is read to its end, but not for ever.
func TestEndlessMessage(t *testing.T) {
	t.Parallel()
	u := start(t, "intake", func(o *Options) { o.MaxSize = 1000 })
	c := dialRaw(t, u.addr)
	c.begin()
	c.ask("DATA\r\n", "354")
	c.ask(strings.Repeat("0123456789abcdef\r\n", 200)+".\r\n", "552 5.3.4")
	c.begin()
	c.ask("DATA\r\n", "354")
	tooMuch := strings.Repeat("0123456789", 1001) // its last octet is the first too many: nothing stays unread
	c.say(tooMuch)
	c.hear("552 5.3.4")
	chunk := dialRaw(t, u.addr)
	chunk.begin()
	chunk.say("BDAT 4000000000\r\n" + tooMuch)
	chunk.hear("552 5.3.4")
}
