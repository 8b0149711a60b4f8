package store

import "strings"

// A UID numbers a message in its mailbox (RFC 9051, 2.3.1.1). Zero is no UID.
type UID uint32

// A ModSeq is a mod-sequence: it grows with every change of a mailbox
// (RFC 7162, 3.1). Zero is no mod-sequence.
type ModSeq uint64

// Flags is the set of a message's flags. Bits 0 to 5 are the flags every
// mailbox has; bit KeywordBit+i is the mailbox's keyword i.
type Flags uint64

// The flags every mailbox has.
const (
	Seen Flags = 1 << iota
	Answered
	Flagged
	Deleted
	Draft
	Forwarded // the keyword $Forwarded: a keyword's letter, as Dovecot has it, or Maildir's P
)

// KeywordBit is the bit of a mailbox's first keyword.
const KeywordBit = 6

// MaxKeywords is how many keywords one mailbox can hold.
const MaxKeywords = 64 - KeywordBit

// maxKeywordLen bounds the length of a keyword in octets.
const maxKeywordLen = 250

// SystemFlags names the flags that every mailbox has, in the order of their
// bits: the flag of SystemFlags[i] is 1<<i.
var SystemFlags = [KeywordBit]string{`\Seen`, `\Answered`, `\Flagged`, `\Deleted`, `\Draft`, `$Forwarded`}

// SystemFlag returns the flag of an IMAP flag name that every mailbox has,
// compared without regard to case.
func SystemFlag(name string) (Flags, bool) {
	for i, s := range SystemFlags {
		if strings.EqualFold(s, name) {
			return 1 << i, true
		}
	}
	return 0, false
}

// Keyword returns the flag of a mailbox's keyword i.
func Keyword(i int) Flags { return 1 << (KeywordBit + i) }

// Has reports whether all of g is set in f.
func (f Flags) Has(g Flags) bool { return f&g == g }

// Keywords returns the keyword part of f: bit i is keyword i.
func (f Flags) Keywords() uint64 { return uint64(f) >> KeywordBit }

// A FlagOp says what StoreFlags does with the flags it is given.
type FlagOp int

// The operations of StoreFlags.
const (
	SetFlags    FlagOp = iota // replace
	AddFlags                  // add
	RemoveFlags               // remove
)

func (op FlagOp) apply(old, f Flags) Flags {
	switch op {
	case AddFlags:
		return old | f
	case RemoveFlags:
		return old &^ f
	default:
		return f
	}
}
