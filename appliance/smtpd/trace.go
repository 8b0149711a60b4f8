package smtpd

import (
	"crypto/tls"
	"strings"
	"time"

	"letterbox/appliance/mailaddr"
)

// dateLayout is RFC 5322's date-time, 3.3.
const dateLayout = "Mon, 2 Jan 2006 15:04:05 -0700"

// traceHeader is what RFC 5321, 4.4 wants in front of a delivered message: Return-Path and Received.
func (s *session) traceHeader(t *transaction, now time.Time) []byte {
	var b strings.Builder
	b.WriteString("Return-Path: <" + t.from.String() + ">\r\n")
	b.WriteString("Received: from " + s.origin() + "\r\n")
	b.WriteString("\tby " + s.server.options.Hostname + " with " + s.protocol(t))
	if s.peer.tls != nil {
		b.WriteString("\r\n\ttls " + tls.CipherSuiteName(s.peer.tls.CipherSuite)) // RFC 8314, 7.4
	}
	b.WriteString("\r\n\tid " + t.id)
	if len(t.to) == 1 { // more would show the ones to the others (RFC 5321, 7.2)
		b.WriteString("\r\n\tfor <" + t.to[0].addr.String() + ">")
	}
	b.WriteString(";\r\n\t" + now.Format(dateLayout) + "\r\n")
	return []byte(b.String())
}

// origin is Extended-Domain of RFC 5321, 4.4: the name the peer gave, if it is one, and its address.
func (s *session) origin() string {
	literal := addressLiteral(s.peer)
	name, err := mailaddr.ParseDomain(s.helo)
	if err != nil {
		return literal
	}
	return string(name) + " (" + literal + ")"
}

func addressLiteral(p *peer) string {
	switch a := p.addr.Addr(); {
	case a.Is4():
		return "[" + a.String() + "]"
	case a.Is6():
		return "[IPv6:" + a.WithZone("").String() + "]"
	}
	return "localhost"
}

// protocol is the keyword of RFC 3848, or of RFC 6531, 4.3 for a message that needs SMTPUTF8.
func (s *session) protocol(t *transaction) string {
	if !s.extended {
		return "SMTP"
	}
	name := "ESMTP"
	if t.utf8 {
		name = "UTF8SMTP"
	}
	if s.peer.tls != nil {
		name += "S"
	}
	if s.person != "" {
		name += "A"
	}
	return name
}

// tlsName is the TLS version for the log, empty for plaintext.
func (p *peer) tlsName() string {
	if p.tls == nil {
		return ""
	}
	return tls.VersionName(p.tls.Version)
}

// missingFields are the fields that RFC 6409, 8 lets submission add.
func (s *session) missingFields(t *transaction, h *headerScan, now time.Time) []byte {
	var b strings.Builder
	if !h.has["from"] {
		b.WriteString("From: <" + t.from.String() + ">\r\n")
	}
	if !h.has["date"] { // RFC 6409, 8.2
		b.WriteString("Date: " + now.Format(dateLayout) + "\r\n")
	}
	if !h.has["message-id"] { // RFC 6409, 8.3
		b.WriteString("Message-ID: <" + t.id + "@" + s.server.options.Hostname + ">\r\n")
	}
	return []byte(b.String())
}
