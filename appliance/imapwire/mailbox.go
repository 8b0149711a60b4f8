package imapwire

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// inbox is the name that RFC 9051, 5.1 takes in any case.
const inbox = "INBOX"

// mailbox reads a mailbox name as UTF-8, with INBOX in its one spelling.
func (d *Decoder) mailbox(what string) string {
	s := d.astring(what)
	if d.err != nil {
		return ""
	}
	if !d.o.UTF8 {
		name, err := decodeName(s)
		if err != nil {
			d.fail("%s is wrong: %v", what, err)
			return ""
		}
		return canonicalInbox(name)
	}
	if !utf8.ValidString(s) {
		d.fail("%s is not valid UTF-8", what)
		return ""
	}
	return canonicalInbox(s)
}

// canonicalInbox puts INBOX into capitals, alone and as the first level of a name, "/" being the delimiter.
func canonicalInbox(name string) string {
	n := len(inbox)
	if len(name) < n || !strings.EqualFold(name[:n], inbox) {
		return name
	}
	if len(name) == n || name[n] == '/' {
		return inbox + name[n:]
	}
	return name
}

// listPattern reads a mailbox name with wildcards (list-mailbox) or the reference of LIST. It need not be valid
// modified UTF-7 as a whole ("&*" is what somebody types who looks for an ampersand): such a pattern is kept as it
// is and matches what it matches.
func (d *Decoder) listPattern(what string) string {
	s := d.stringOr(what, isListChar)
	if len(s) > maxPattern {
		d.fail("%s is longer than %d octets", what, maxPattern)
		return ""
	}
	if !d.o.UTF8 {
		if name, err := decodeName(s); err == nil {
			return name
		}
	}
	return s
}

// DecodeMailbox is the UTF-8 of a mailbox name as a server writes it: modified UTF-7, or UTF-8 from one that does not keep to it.
func DecodeMailbox(s string) (string, error) { return decodeName(s) }

// decodeName reads a name before UTF-8 is enabled. One with 8-bit characters can only be meant as UTF-8: clients made with
// go-imap (v2.0.0-beta.8, 2026) send that as soon as IMAP4rev2 is offered, and write "&-" for "&" in it all the same.
func decodeName(s string) (string, error) {
	if isASCII(s) {
		return parseUTF7(s)
	}
	if !utf8.ValidString(s) {
		return "", errors.New("it is not valid UTF-8")
	}
	return strings.ReplaceAll(s, "&-", "&"), nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
