package smtpd

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"letterbox/appliance/mailaddr"
)

// Errors that a Directory and a Mailroom answer with, found by errors.Is.
var (
	ErrNotOurs   = errors.New("the domain is not one of this household") // Recipients
	ErrUnknown   = errors.New("nobody here has this address")            // Recipients
	ErrFull      = errors.New("there is no room for more mail")          // Room, Receive's Incoming and Deliver
	ErrOverQuota = errors.New("the mailbox is full")                     // Room and Deliver
	ErrTemporary = errors.New("this is not possible for the moment")     // all
)

// A Directory knows the people of the household. Its methods may be called at once.
type Directory interface {
	// SignIn checks a password and tells whose it is. It is slow on purpose after failures, and returns early when ctx ends.
	// An error that is ErrTemporary asks the mail program to try again; every other one says that name or password is wrong.
	SignIn(ctx context.Context, login, password string, peer netip.Addr) (person string, err error)
	// Recipients tells who receives mail for an address: never nobody without an error. mailaddr.Postmaster() is asked for
	// without a domain. Errors: ErrNotOurs, ErrUnknown; every other one is temporary.
	Recipients(to mailaddr.Addr) (people []string, err error)
	// MaySendAs tells whether an address is the person's own.
	MaySendAs(person string, from mailaddr.Addr) bool
}

// A Mailroom keeps mail. Its methods may be called at once.
type Mailroom interface {
	// Receive gives a place for one message. This package closes it, whatever became of the message.
	Receive() Incoming
	// Room tells whether a person could be given a message of so many octets now. It promises nothing: Deliver may find
	// that there is no room after all. Errors: ErrOverQuota, ErrFull; every other one is temporary.
	Room(person string, octets int64) error
	// Deliver puts a message into mailboxes. When it returns nil, the message is durable for every recipient; when it
	// returns an error, the sender is told to keep it. Where one of the recipients has room it does not refuse the message for
	// the quota of another. Errors: ErrOverQuota, where none of the recipients has room, ErrFull, ErrTemporary; every other one is
	// ours and logged.
	Deliver(ctx context.Context, in Incoming, to []Recipient) error
}

// An Incoming is a message while it is received. Bytes are written as they came; bare LF becomes CRLF in it. Errors of Write are
// those of Deliver; the system's ENOSPC and EDQUOT are ErrFull too.
type Incoming interface {
	io.Writer
	Close() error // frees what it holds; delivered copies stay
}

// A Recipient is one person's copy of a message.
type Recipient struct {
	Person  string
	Mailbox string // empty: INBOX
	Header  []byte // lines to put in front of the message, CRLF at their ends
}

// Options say for whom a Server works. Hostname, Directory and Mailroom are needed.
type Options struct {
	Hostname  string // in the greeting and in Received
	Directory Directory
	Mailroom  Mailroom
	TLS       *tls.Config // nil: no STARTTLS, and no sign-in but by PlaintextOnLoopback

	MaxSize       int64 // octets of a message; 0: DefaultMaxSize
	MaxRecipients int   // of a message; 0: DefaultMaxRecipients

	// PlaintextOnLoopback lets people sign in without TLS from the loopback addresses.
	PlaintextOnLoopback bool

	Log *slog.Logger     // nil: no log
	Now func() time.Time // nil: time.Now
}

// Limits where Options have none.
const (
	DefaultMaxSize       = 50 << 20
	DefaultMaxRecipients = 100 // RFC 5321, 4.5.3.1.8: at least
)

func (o Options) withDefaults() Options {
	if o.MaxSize <= 0 {
		o.MaxSize = DefaultMaxSize
	}
	if o.MaxRecipients <= 0 {
		o.MaxRecipients = DefaultMaxRecipients
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}
