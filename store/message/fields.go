package message

import "fmt"

// Envelope is an ENVELOPE taken apart: raw text, of which nothing is decoded.
// What was NIL is the zero value. Sender and ReplyTo are never without a value
// when From has one.
type Envelope struct {
	Date, Subject        string
	From, Sender         []Address
	ReplyTo, To, Cc, Bcc []Address
	InReplyTo, MessageID string

	// HasDate, HasSubject, HasInReplyTo and HasMessageID tell a field that is
	// empty from one that is not there.
	HasDate, HasSubject, HasInReplyTo, HasMessageID bool
}

// Address is one address structure of an ENVELOPE. Mailbox or Host are ""
// where the message has none.
type Address struct {
	Name, Route   string
	Mailbox, Host string
	Group         bool // starts the group named Mailbox, or ends it if Mailbox is ""
}

// EnvelopeFields takes apart an ENVELOPE that AppendEnvelope made, so that it
// can be searched without the message. What was beyond the limits of the pass,
// such as the addresses after the first 32 KiB of a To field, is not in it.
func EnvelopeFields(env []byte) (Envelope, error) {
	e, err := parseEnvelope(string(env))
	if err != nil {
		return Envelope{}, fmt.Errorf("reading an ENVELOPE: %w", err)
	}
	return e, nil
}

func parseEnvelope(s string) (Envelope, error) {
	var e Envelope
	a := answer{s: s}
	a.byte('(')
	e.Date, e.HasDate = a.nstring()
	a.byte(' ')
	e.Subject, e.HasSubject = a.nstring()
	for _, list := range []*[]Address{&e.From, &e.Sender, &e.ReplyTo, &e.To, &e.Cc, &e.Bcc} {
		a.byte(' ')
		*list = a.addresses()
	}
	a.byte(' ')
	e.InReplyTo, e.HasInReplyTo = a.nstring()
	a.byte(' ')
	e.MessageID, e.HasMessageID = a.nstring()
	a.byte(')')
	return e, a.end()
}

func (a *answer) addresses() []Address {
	var list []Address
	a.list(false, func() {
		a.byte('(')
		var x Address
		x.Name, _ = a.nstring()
		a.byte(' ')
		x.Route, _ = a.nstring()
		a.byte(' ')
		x.Mailbox, _ = a.nstring()
		a.byte(' ')
		var host bool
		x.Host, host = a.nstring()
		a.byte(')')
		x.Group = !host
		if host && x.Mailbox == missingMailbox {
			x.Mailbox = ""
		}
		if x.Host == missingDomain {
			x.Host = ""
		}
		list = append(list, x)
	})
	return list
}
