package store

import (
	"context"
	"io"
	"log/slog"
	"time"
)

// Options are what Open needs beside a directory.
type Options struct {
	Log *slog.Logger     // nil: nothing is logged
	Now func() time.Time // nil: time.Now
}

// A Store is all mail of a household: one directory, one server.
type Store struct{}

// Open opens the data directory dir, making it where it is missing.
func Open(dir string, o Options) (*Store, error) { panic("face") }

func (s *Store) Run(ctx context.Context) error                                { panic("face") }
func (s *Store) Close() error                                                 { panic("face") }
func (s *Store) CreateAccount(person string) error                            { panic("face") }
func (s *Store) RemoveAccount(person string) error                            { panic("face") }
func (s *Store) Account(person string) (*Account, error)                      { panic("face") }
func (s *Store) NewIncoming() *Incoming                                       { panic("face") }
func (s *Store) Deliver(ctx context.Context, in *Incoming, to []Target) error { panic("face") }

// An Incoming is a message being received.
type Incoming struct{}

func (in *Incoming) Write(b []byte) (int, error) { panic("face") }
func (in *Incoming) Size() int64                 { panic("face") }
func (in *Incoming) Reader() io.Reader           { panic("face") }
func (in *Incoming) Close() error                { panic("face") }

// A Target is one place a message is delivered to.
type Target struct {
	Person  string
	Mailbox string // "" or one that is missing: INBOX
	Header  []byte // put in front of the message; CRLF line ends
	Flags   []string
}

// An Account is one person's mailboxes.
type Account struct{}

// MailboxInfo is a line of the list of mailboxes.
type MailboxInfo struct {
	Name        string // UTF-8, levels separated by "/"
	Selectable  bool   // false: exists only because of its children
	HasChildren bool
	Subscribed  bool
	SpecialUse  string // `\Drafts`, `\Sent`, `\Junk`, `\Trash`, `\Archive`, or ""
}

// Status are the numbers of a mailbox at one moment.
type Status struct {
	UIDValidity   uint32
	UIDNext       UID
	HighestModSeq ModSeq
	Messages      int
	Unseen        int
	Deleted       int
	FirstUnseen   UID // 0: none
	Size          int64
	MailboxID     string // RFC 8474
}

func (a *Account) List() ([]MailboxInfo, error)           { panic("face") }
func (a *Account) Open(name string) (*Mailbox, error)     { panic("face") }
func (a *Account) Status(name string) (Status, error)     { panic("face") }
func (a *Account) Create(name, specialUse string) error   { panic("face") }
func (a *Account) Delete(name string) error               { panic("face") }
func (a *Account) Rename(from, to string) error           { panic("face") }
func (a *Account) Subscribe(name string, on bool) error   { panic("face") }
func (a *Account) Subscriptions() ([]string, error)       { panic("face") }
func (a *Account) Watch(ch chan<- struct{}) (stop func()) { panic("face") }

// A Mailbox is an open mailbox.
type Mailbox struct{}

// Meta is what is known of a message without opening its file.
type Meta struct {
	UID          UID
	Flags        Flags
	ModSeq       ModSeq
	Size         int64 // wire form, octets
	InternalDate int64 // Unix seconds
	SaveDate     int64 // Unix seconds; 0: not known
}

// Changes are what happened to a mailbox since a mod-sequence.
type Changes struct {
	HighestModSeq ModSeq
	Vanished      []UID  // ascending
	Changed       []Meta // ascending UID, new messages among them
}

// CopyUID tells which message a message became.
type CopyUID struct{ Src, Dst UID }

// AppendMessage is a message for Append.
type AppendMessage struct {
	In    *Incoming
	Flags []string  // IMAP names
	Date  time.Time // INTERNALDATE; zero: now
}

func (m *Mailbox) Close() error                                            { panic("face") }
func (m *Mailbox) Name() string                                            { panic("face") }
func (m *Mailbox) Status() Status                                          { panic("face") }
func (m *Mailbox) UIDs(dst []UID) []UID                                    { panic("face") }
func (m *Mailbox) Keywords() []string                                      { panic("face") }
func (m *Mailbox) KeywordsFull() bool                                      { panic("face") }
func (m *Mailbox) KeywordFlags(names []string, create bool) (Flags, error) { panic("face") }
func (m *Mailbox) Lookup(dst []Meta, uids []UID) []Meta                    { panic("face") }
func (m *Mailbox) AppendEnvelope(dst []byte, uid UID) ([]byte, error)      { panic("face") }
func (m *Mailbox) AppendBodyStructure(dst []byte, uid UID) ([]byte, error) { panic("face") }
func (m *Mailbox) AppendBody(dst []byte, uid UID) ([]byte, error)          { panic("face") }
func (m *Mailbox) EmailID(uid UID) (string, error)                         { panic("face") }
func (m *Mailbox) Message(uid UID) (*Message, error)                       { panic("face") }
func (m *Mailbox) Changes(since ModSeq) (Changes, error)                   { panic("face") }
func (m *Mailbox) Watch(ch chan<- struct{}) (stop func())                  { panic("face") }
func (m *Mailbox) StoreFlags(uids []UID, op FlagOp, f Flags, unchangedSince ModSeq) (changed []Meta, modified []UID, err error) {
	panic("face")
}
func (m *Mailbox) Expunge(uids []UID) error                                        { panic("face") }
func (m *Mailbox) Copy(uids []UID, to *Mailbox) ([]CopyUID, error)                 { panic("face") }
func (m *Mailbox) Move(uids []UID, to *Mailbox) ([]CopyUID, error)                 { panic("face") }
func (m *Mailbox) Append(ctx context.Context, msgs []AppendMessage) ([]UID, error) { panic("face") }

// A Message is an open message file.
type Message struct{}

func (m *Message) Close() error                            { panic("face") }
func (m *Message) Size() int64                             { panic("face") }
func (m *Message) ReadAt(b []byte, off int64) (int, error) { panic("face") }
func (m *Message) Section(off, n int64) io.Reader          { panic("face") }
