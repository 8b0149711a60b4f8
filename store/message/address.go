package message

import (
	"iter"
	"strings"
)

// address is one address of a field, unquoted but not decoded.
type address struct {
	name, route, mailbox, domain string
	group                        bool // a group's start, or its end if mailbox is ""
}

// addresses reads an address list (RFC 5322, 3.4 and 4.4) and makes something
// of whatever is in it.
func addresses(raw string) iter.Seq[address] {
	return func(yield func(address) bool) {
		p := addressParser{s: raw}
		for p.next() {
			if !yield(p.addr) {
				return
			}
		}
	}
}

type addressParser struct {
	s       string
	i       int
	addr    address
	inGroup bool

	text    []byte // the words of the phrase or local part at hand
	last    int    // where the last of them starts, or the last run of them that dots connect
	glue    bool   // text ends in a dot
	spaced  bool   // that run has white space in it: "a . b"
	comment string // the last comment
	noQuote bool   // a quote that is never closed was met: quotes mean nothing
}

// next reads up to the next address, group start or group end into p.addr.
func (p *addressParser) next() bool {
	p.text, p.last, p.glue, p.spaced, p.comment = p.text[:0], 0, false, false, ""
	p.addr = address{}
	for p.i < len(p.s) {
		switch c := p.s[p.i]; c {
		case ' ', '\t', '\r':
			p.i++
		case '(':
			end := commentEnd(p.s, p.i)
			p.comment = strings.TrimSpace(unescape(strings.TrimSuffix(p.s[p.i+1:end], ")")))
			p.i = end
		case ',':
			p.i++
			if p.bare() {
				return true
			}
		case ';':
			if p.bare() {
				return true // the semicolon is read again
			}
			p.i++
			if p.endGroup() {
				return true
			}
		case ':':
			p.i++
			if p.startGroup() {
				return true
			}
		case '<':
			p.angle()
			return true
		case '@':
			p.i++
			p.atDomain()
			return true
		case '>', ')': // lost
			p.i++
		default:
			p.word()
		}
	}
	return p.bare() || p.endGroup()
}

// bare takes words that no address followed: one is a mailbox without a
// domain, as local mail has it, several are a name.
func (p *addressParser) bare() bool {
	if len(p.text) == 0 {
		return false
	}
	if p.last > 0 {
		p.addr.name = string(p.text)
	} else {
		p.addr.mailbox = p.localWord()
		p.addr.name = p.comment
	}
	p.text, p.last = p.text[:0], 0
	return true
}

func (p *addressParser) startGroup() bool {
	if p.inGroup || len(p.text) == 0 {
		return false // groups do not nest
	}
	p.inGroup = true
	p.addr = address{mailbox: p.phrase(), group: true}
	return p.addr.mailbox != ""
}

func (p *addressParser) endGroup() bool {
	if !p.inGroup {
		return false
	}
	p.inGroup = false
	p.addr = address{group: true}
	return true
}

func (p *addressParser) phrase() string { return string(p.text) }

// localWord returns the last word as a local part (RFC 5322, 4.4: obs-local-part).
func (p *addressParser) localWord() string {
	w := string(p.text[p.last:])
	if p.spaced {
		w = strings.ReplaceAll(strings.ReplaceAll(w, " .", "."), ". ", ".")
	}
	return w
}

// word reads an atom, a quoted string or an encoded word.
func (p *addressParser) word() {
	start := p.i
	var w string
	quote := p.s[p.i] == '"'
	if quote {
		if w = p.quoted(); p.noQuote {
			return
		}
	} else {
		p.i += max(1, encodedWordLen(p.s[p.i:]))
		for p.i < len(p.s) && strings.IndexByte(" \t\r()<>@,;:\"", p.s[p.i]) < 0 {
			p.i++
		}
		w = p.s[start:p.i]
	}
	dot := !quote && w[0] == '.'
	if len(p.text) > 0 && strings.IndexByte(" \t\r)", p.s[start-1]) >= 0 {
		p.text = append(p.text, ' ')
		if p.glue || dot {
			p.spaced = true
		} else {
			p.last, p.spaced = len(p.text), false
		}
	}
	p.text = append(p.text, w...)
	p.glue = !quote && w[len(w)-1] == '.'
}

// quoted reads a quoted string. One that is never closed is no string: the
// quote is dropped, and so is every later one.
func (p *addressParser) quoted() string {
	l := lexer{s: p.s, i: p.i}
	if !p.noQuote {
		w := l.quoted()
		if l.closed {
			p.i = l.i
			return w
		}
		p.noQuote = true
	}
	p.i++
	return ""
}

// encodedWordLen returns the length of the encoded word (RFC 2047) that s
// starts with, or 0. Broken ones hold commas and quotes that must not end it.
func encodedWordLen(s string) int {
	if !strings.HasPrefix(s, "=?") {
		return 0
	}
	s = s[:min(len(s), 256)]
	if i := strings.IndexAny(s, " \t\r"); i >= 0 {
		s = s[:i]
	}
	charset := strings.IndexByte(s[2:], '?')
	if charset < 0 || len(s) < charset+6 || s[charset+4] != '?' {
		return 0
	}
	text := charset + 5
	end := strings.Index(s[text:], "?=")
	if end < 0 {
		return 0
	}
	return text + end + 2
}

// atDomain reads the domain after an @ outside of angle brackets. Only the
// last word before it is the local part; words before that are a name.
func (p *addressParser) atDomain() {
	p.addr.mailbox = p.localWord()
	p.addr.name = strings.TrimSuffix(string(p.text[:p.last]), " ")
	p.addr.domain = p.domain()
	if p.i < len(p.s) && p.s[p.i] == '<' {
		// "ann@example.org <ann@example.org>": what came was the name.
		p.addr.name = strings.TrimSpace(p.addr.name + " " + p.addr.mailbox + "@" + p.addr.domain)
		p.text = append(p.text[:0], p.addr.name...)
		p.angle()
		return
	}
	if i := strings.IndexAny(p.s[p.i:], "@,;\"("); i < 0 || p.s[p.i+i] != '@' || p.s[p.i] == '@' {
		p.untilComma()
	} // else "ann@example.org ben@example.org": the comma was forgotten
	if p.addr.name == "" {
		p.addr.name = p.comment
	}
}

// domain reads the atoms of a domain, white space around its dots and all
// (RFC 5322, 4.4: obs-domain), or a domain literal.
func (p *addressParser) domain() string {
	p.spaces()
	var d []byte
	for p.i < len(p.s) {
		start := p.i
		if p.s[p.i] == '[' {
			for p.i < len(p.s) && p.s[p.i] != ']' && p.s[p.i] != ',' {
				p.i++
			}
		}
		for p.i < len(p.s) && strings.IndexByte(" \t\r()<>,;\"", p.s[p.i]) < 0 {
			p.i++
		}
		d = append(d, p.s[start:p.i]...)
		p.spaces()
		if p.i == start || p.i == len(p.s) || p.s[p.i] != '.' && (len(d) == 0 || d[len(d)-1] != '.') {
			break
		}
	}
	return string(d)
}

func (p *addressParser) spaces() {
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ' ', '\t', '\r':
			p.i++
		case '(':
			end := commentEnd(p.s, p.i)
			p.comment = strings.TrimSpace(unescape(strings.TrimSuffix(p.s[p.i+1:end], ")")))
			p.i = end
		default:
			return
		}
	}
}

// angle reads <@route:local@domain>. It ends at a comma if the bracket is
// never closed.
func (p *addressParser) angle() {
	p.addr.name = p.phrase()
	p.i++
	p.spaces()
	if p.i < len(p.s) && p.s[p.i] == '@' {
		p.sourceRoute()
	}
	p.spaces()
	start, at := p.i, -1
	for p.i < len(p.s) && p.s[p.i] != '>' && p.s[p.i] != ',' {
		switch p.s[p.i] {
		case '"':
			p.quoted()
			continue
		case '@':
			at = p.i
		}
		p.i++
	}
	end := p.i
	if at >= 0 {
		p.addr.domain = strings.Trim(p.s[at+1:end], " \t\r")
		end = at
	}
	p.addr.mailbox = localPart(p.s[start:end])
	if p.i < len(p.s) && p.s[p.i] == '>' {
		p.i++
	}
	p.untilComma()
	if p.addr.name == "" {
		p.addr.name = p.comment
	}
}

// sourceRoute reads the obs-route of RFC 5322, 4.4, which ENVELOPE shows as
// the at-domain-list.
func (p *addressParser) sourceRoute() {
	n := strings.IndexAny(p.s[p.i:], ":<>")
	if n < 0 || p.s[p.i+n] != ':' {
		return
	}
	p.addr.route = strings.TrimSpace(p.s[p.i : p.i+n])
	p.i += n + 1
}

func localPart(s string) string {
	s = strings.Trim(s, " \t\r")
	if len(s) > 1 && s[0] == '"' {
		l := lexer{s: s}
		if q := l.quoted(); l.i == len(s) {
			return q
		}
	}
	return s
}

// untilComma passes over what follows an address, up to and with the comma, or
// up to the semicolon that ends a group.
func (p *addressParser) untilComma() {
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ',':
			p.i++
			return
		case ';':
			if p.inGroup {
				return
			}
			p.i++
			return
		case '(':
			p.spaces()
		case '"':
			p.quoted()
		default:
			p.i++
		}
	}
}
