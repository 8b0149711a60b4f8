package mailaddr

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// An Addr is one mail address. The zero Addr is the null reverse-path, <>. Addr values are comparable, but two spellings
// of one mailbox are equal only after Fold.
type Addr struct {
	local  string // unquoted
	domain Domain
}

// Parse reads a Mailbox of RFC 5321, 4.1.2 as RFC 6531, 3.3 widens it: a local part, quoted where it must be, an @ and
// a domain or an address literal. Display names, comments, angle brackets, source routes and the empty string are errors.
func Parse(s string) (Addr, error) {
	return parse(s, ParseDomain, strict)
}

// ParseSender is Parse for addresses that other people's systems send from, and that we only keep and answer. It also
// takes what RFC 5321 forbids but mail in use has: local parts longer than 64 octets (bounce addresses of mailing
// lists), dots at the ends of a local part or side by side (old mobile carriers), and a bare IPv4 address as the domain
// (printers, cameras).
func ParseSender(s string) (Addr, error) {
	return parse(s, parseDomain, lenient)
}

// Postmaster is the address <postmaster> without a domain, that RFC 5321, 4.5.1 requires every server to accept. It is
// the only Addr besides the zero one whose Domain is empty.
func Postmaster() Addr { return Addr{local: "postmaster"} }

// New makes an address of an unquoted local part and a domain.
func New(local string, d Domain) (Addr, error) {
	a := Addr{local: local, domain: d}
	if d == "" {
		return Addr{}, errors.New("address has no domain")
	}
	if err := a.checkLocal(strict); err != nil {
		return Addr{}, err
	}
	if len(a.String()) > maxAddr {
		return Addr{}, fmt.Errorf("address is longer than %d octets", maxAddr)
	}
	return a, nil
}

// strictness says which local parts are taken.
type strictness int

const (
	strict strictness = iota
	lenient
)

func parse(s string, domain func(string) (Domain, error), how strictness) (Addr, error) {
	switch {
	case s == "":
		return Addr{}, errors.New("address is empty")
	case len(s) > 4*maxAddr: // U-labels may be longer than A-labels, but not by more
		return Addr{}, errors.New("address is too long")
	}
	local, rest, err := scanLocal(s, how)
	if err != nil {
		return Addr{}, fmt.Errorf("address %q: %w", clip(s), err)
	}
	name, ok := strings.CutPrefix(rest, "@")
	if !ok {
		return Addr{}, fmt.Errorf("address %q has no @ after its local part", clip(s))
	}
	d, err := domain(name)
	if err != nil {
		return Addr{}, fmt.Errorf("address %q: %w", clip(s), err)
	}
	a := Addr{local: local, domain: d}
	if err := a.checkLocal(how); err != nil {
		return Addr{}, fmt.Errorf("address %q: %w", clip(s), err)
	}
	if len(a.String()) > maxAddr {
		return Addr{}, fmt.Errorf("address %q is longer than %d octets", clip(s), maxAddr)
	}
	return a, nil
}

// scanLocal takes the local part off the front of s and unquotes it.
func scanLocal(s string, how strictness) (local, rest string, err error) {
	if s[0] == '"' {
		return scanQuoted(s)
	}
	i := 0
	for i < len(s) && (isAtext(s[i]) || s[i] == '.') {
		i++
	}
	local, rest = s[:i], s[i:]
	if how == strict && !isDotString(local) && local != "" {
		return "", "", errors.New("a dot stands at the end of the local part or beside another")
	}
	if local == "" {
		return "", "", errors.New("the local part is empty")
	}
	return local, rest, nil
}

// scanQuoted reads a Quoted-string, RFC 5321, 4.1.2.
func scanQuoted(s string) (local, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], nil
		case c == '\\':
			i++
			if i == len(s) || s[i] < ' ' || s[i] > '~' {
				return "", "", errors.New("a backslash in quotes stands before what cannot be quoted")
			}
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errors.New("a quote is not closed")
}

// checkLocal checks what holds for quoted and plain local parts.
func (a Addr) checkLocal(how strictness) error {
	if how == strict && len(a.local) > maxLocal {
		return fmt.Errorf("the local part is longer than %d octets", maxLocal)
	}
	if !utf8.ValidString(a.local) {
		return errors.New("the local part is not UTF-8")
	}
	for _, r := range a.local {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return errors.New("the local part holds a control character")
		}
	}
	return nil
}

// Local gives the local part without quotes, as it was written.
func (a Addr) Local() string { return a.local }

// Domain gives the domain; it is empty only for the null reverse-path and for Postmaster.
func (a Addr) Domain() Domain { return a.domain }

// IsZero tells whether this is the null reverse-path.
func (a Addr) IsZero() bool { return a == Addr{} }

// IsASCII tells whether the address can be sent without SMTPUTF8 (RFC 6531).
func (a Addr) IsASCII() bool { return isASCII(a.local) }

// String gives the address as SMTP wants it between angle brackets: the local part quoted where it must be, the domain
// in A-label form. The null reverse-path gives the empty string.
func (a Addr) String() string {
	if a.domain == "" {
		return a.local
	}
	return a.quotedLocal() + "@" + string(a.domain)
}

// Unicode gives the address as people read it, with U-labels in its domain.
func (a Addr) Unicode() string {
	if a.domain == "" {
		return a.local
	}
	return a.quotedLocal() + "@" + a.domain.Unicode()
}

func (a Addr) quotedLocal() string {
	if isDotString(a.local) {
		return a.local
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(a.local) {
		if c := a.local[i]; c == '"' || c == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(a.local[i])
	}
	b.WriteByte('"')
	return b.String()
}

// Fold gives the form of the address by which mailboxes are compared: the local part in normal form C and without
// differences of case. A letter outside ASCII never folds into ASCII on account of its case.
func (a Addr) Fold() Addr {
	if isASCII(a.local) {
		return Addr{local: asciiLower(a.local), domain: a.domain}
	}
	return Addr{local: norm.NFC.String(strings.Map(foldRune, norm.NFC.String(a.local))), domain: a.domain}
}

// foldRune gives one rune for all that differ from r only in case (simple case folding).
func foldRune(r rune) rune {
	if r < utf8.RuneSelf {
		return unicode.ToLower(r)
	}
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		if f >= utf8.RuneSelf && f < least {
			least = f
		}
	}
	if lower := unicode.ToLower(least); lower >= utf8.RuneSelf {
		return lower
	}
	return least
}

// Detail splits a plus-address: ann+shop@example.org is ann@example.org with the detail "shop". When there is no
// detail, ok is false and base is the address itself.
func (a Addr) Detail() (base Addr, detail string, ok bool) {
	user, detail, ok := strings.Cut(a.local, "+")
	if !ok || user == "" {
		return a, "", false
	}
	return Addr{local: user, domain: a.domain}, detail, true
}

// isDotString tells whether a local part needs no quotes: Dot-string, RFC 5321, 4.1.2 and RFC 6531, 3.3.
func isDotString(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for i := range len(s) {
		if !isAtext(s[i]) && s[i] != '.' {
			return false
		}
	}
	return true
}

// isAtext tells whether c is an octet of atext, RFC 5322, 3.2.3, or of a UTF-8 character outside ASCII.
func isAtext(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c >= utf8.RuneSelf:
		return true
	}
	return strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}
