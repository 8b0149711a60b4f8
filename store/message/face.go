package message

import (
	"errors"
	"io"
	"time"
)

// Encoding is a Content-Transfer-Encoding.
type Encoding uint8

// The encodings of RFC 2045, and any other.
const (
	Encoding7Bit Encoding = iota
	Encoding8Bit
	EncodingBinary
	EncodingQuotedPrintable
	EncodingBase64
	EncodingOther
)

// ErrUnknownEncoding is returned by readers of a body whose
// Content-Transfer-Encoding is not one of RFC 2045.
var ErrUnknownEncoding = errors.New("unknown content transfer encoding")

// Section names what of a part is wanted.
type Section uint8

const (
	SectionBody   Section = iota // BODY[1.2]; of the whole message: BODY[]
	SectionHeader                // BODY[HEADER], BODY[1.2.HEADER]
	SectionText                  // BODY[TEXT], BODY[1.2.TEXT]
	SectionMIME                  // BODY[1.2.MIME]
)

// Section resolves a part number and a section specifier to octets.
func (s *Structure) Section(path []int, what Section) (r Range, ok bool) { return }

type Parser struct{ s Structure }

func NewParser() *Parser                                   { return &Parser{} }
func (p *Parser) Reset()                                   {}
func (p *Parser) Write(b []byte) (int, error)              { return len(b), nil }
func (p *Parser) Close() *Structure                        { return &p.s }
func (s *Structure) AppendEnvelope(dst []byte) []byte      { return dst }
func (s *Structure) AppendBodyStructure(dst []byte) []byte { return dst }
func (s *Structure) AppendBody(dst []byte) []byte          { return dst }
func (s *Structure) AppendBinary(dst []byte) []byte        { return dst }
func Decode(b []byte) (*Structure, error)                  { return nil, io.EOF }

// NewWireReader serves a stored message in wire form: bare LF becomes CRLF.
func NewWireReader(r io.Reader) io.Reader { return r }

// NewNULReader serves 0x80 in place of every NUL.
func NewNULReader(r io.Reader) io.Reader { return r }

// ReplaceNUL does the same in place.
func ReplaceNUL(b []byte) {}

func FilterHeader(w io.Writer, header io.Reader, fields []string, not bool) error { return nil }

// ScanHeader calls f for every field with its name as it came and its unfolded raw value
// (at most 64 KiB of it) until f returns false. The value is valid only during the call.
func ScanHeader(header io.Reader, f func(name string, value []byte) bool) error { return nil }

func DecodeTransfer(r io.Reader, enc Encoding) io.Reader                { return r }
func DecodeHeaderText(raw []byte) string                                { return "" }
func NewTextReader(r io.Reader, enc Encoding, charset string) io.Reader { return r }
func Date(raw string) (time.Time, bool)                                 { return time.Time{}, false }

// Envelope is an ENVELOPE taken apart; raw text, nothing is decoded.
type Envelope struct {
	Date, Subject                      string
	From, Sender, ReplyTo, To, Cc, Bcc []Address
	InReplyTo, MessageID               string
}

// Address is one address of an ENVELOPE. Mailbox and Host are both empty at a
// group's end; only Host is empty at a group's start (Mailbox is the group's name).
type Address struct {
	Name, Route, Mailbox, Host string
	Group                      bool // a group's start or end
}

func EnvelopeFields(env []byte) (Envelope, error) { return Envelope{}, io.EOF }
