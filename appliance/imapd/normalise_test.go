//go:build interop

package imapd

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// normalise makes the answers to one command comparable: without words for
// people, without the order of untagged responses and of what is a set
// (flags, attributes, items), and without numbers that each server makes up
// for itself (UIDVALIDITY, mod-sequences). \Recent is left out, which is
// never set here, and so is what only we tell: MAILBOXID, HIGHESTMODSEQ at
// every SELECT (RFC 7162, 3.1.2.1), the UID in every FETCH response, and
// $Forwarded in FLAGS, since it has a letter of its own in a Maildir.
func normalise(responses []string, tag string) string {
	var lines, expunged []string
	for _, r := range responses {
		r = elapsed.ReplaceAllString(r, "")
		r = oneDigit.ReplaceAllString(r, `DATE "0`)
		switch {
		case strings.HasPrefix(r, tag+" "):
			lines = append(lines, "~ "+status(r[len(tag)+1:])) // sorts last
		case expungeLine.MatchString(r):
			expunged = append(expunged, r[2:])
		default:
			if l := untagged(r); l != "" {
				lines = append(lines, l)
			}
		}
	}
	if len(expunged) > 0 {
		lines = append(lines, "* "+strings.Join(expunged, ", "))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

var (
	elapsed     = regexp.MustCompile(` \([0-9.]+ \+ [^()]* secs\)\.$`)
	expungeLine = regexp.MustCompile(`^\* [0-9]+ EXPUNGE$`)
	codeText    = regexp.MustCompile(`(?s)^(OK|NO|BAD|BYE)(?: \[([^\]]*)\])?.*$`)
	made        = regexp.MustCompile(`(UIDVALIDITY|APPENDUID|COPYUID|HIGHESTMODSEQ|MODSEQ) (?:[0-9]+|\([0-9]+\))`)
	oneDigit    = regexp.MustCompile(`DATE " `) // RFC 9051, 9: date-day-fixed has both forms
	marked      = regexp.MustCompile(` ?\\(Unm|UnM|M)arked`)
	countLine   = regexp.MustCompile(`^\* [0-9]+ (EXISTS|RECENT)$`)
	fieldNames  = regexp.MustCompile(`HEADER\.FIELDS[^\]]*\]`)
	unaskedUID  = regexp.MustCompile(`^(FLAGS \([^)]*\)|MODSEQ "n"|FLAGS \([^)]*\) MODSEQ "n") UID "[0-9]+"$`)
	fetchLine   = regexp.MustCompile(`(?s)^\* ([0-9]+) FETCH (\(.*)$`)
)

// fieldNamesAlike puts the names in HEADER.FIELDS (...) into capitals without
// quotes.
func fieldNamesAlike(s string) string { return strings.ReplaceAll(strings.ToUpper(s), `"`, "") }

// status is OK, NO or BAD with the response code.
func status(s string) string {
	m := codeText.FindStringSubmatch(s)
	if m == nil {
		return s
	}
	code := made.ReplaceAllString(m[2], "$1 n")
	if open := strings.IndexByte(code, '('); open >= 0 && strings.HasPrefix(code, "PERMANENTFLAGS") {
		code = "PERMANENTFLAGS " + set(code[open:])
	}
	switch code {
	case "HIGHESTMODSEQ n":
		code = "" // Dovecot has it with QRESYNC only
	case "BADCHARSET (UTF-8 US-ASCII)":
		code = "BADCHARSET"
	case "CANNOT":
		code = "NONEXISTENT" // a name that cannot be does not exist
	case "CLIENTBUG":
		code = "" // a lecture
	}
	if strings.HasPrefix(code, "MAILBOXID") {
		code = ""
	}
	return strings.TrimSpace(m[1] + " " + code)
}

// untagged is one untagged response; "" if it is not compared.
func untagged(r string) string {
	word, rest, _ := strings.Cut(strings.TrimPrefix(r, "* "), " ")
	switch {
	case strings.HasPrefix(r, "+"):
		return "+"
	case word == "ID" || word == "CAPABILITY":
		return "* " + word
	case !strings.HasPrefix(r, "* "): // the answer to a command before this one
		return word + " " + status(rest)
	case word == "OK" || word == "NO" || word == "BAD" || word == "BYE":
		s := status(r[2:])
		if s == "OK" {
			return ""
		}
		return "* " + strings.Replace(s, "$Forwarded ", "", 1)
	case countLine.MatchString(r):
		if strings.HasSuffix(r, "RECENT") {
			return ""
		}
		return r
	case word == "FLAGS":
		return "* FLAGS " + strings.Replace(set(rest), "$Forwarded ", "", 1)
	case word == "LIST" || word == "LSUB":
		rest = marked.ReplaceAllString(rest, "")
		// Not being there and not being selectable come to the same here.
		rest = strings.ReplaceAll(strings.ReplaceAll(rest, `\NonExistent \Noselect`, `\Noselect`), `\NonExistent`, `\Noselect`)
		return "* " + word + " " + data(rest)
	case word == "ESEARCH":
		head, items, _ := strings.Cut(rest, ")")
		uid := strings.HasPrefix(items, " UID")
		return fmt.Sprintf("* ESEARCH %s) %t %s", head, uid, data("("+strings.TrimPrefix(strings.TrimPrefix(items, " UID"), " ")+")"))
	case word == "STATUS":
		return "* " + word + " " + data(rest)
	}
	if m := fetchLine.FindStringSubmatch(r); m != nil {
		return "* " + m[1] + " FETCH " + data(fieldNames.ReplaceAllStringFunc(m[2], fieldNamesAlike))
	}
	return made.ReplaceAllString(r, "$1 n")
}

// data is what follows the name of a response: items of it in parentheses
// are pairs in no order, or words in no order.
func data(s string) string {
	s = made.ReplaceAllString(s, "$1 n")
	var out []string
	p := &words{s}
	for p.more() {
		w := p.next()
		switch {
		case strings.HasPrefix(w, "(FLAGS") || strings.Contains(w, "MODSEQ n"):
			out = append(out, pairs(w))
		case strings.HasPrefix(w, "("):
			out = append(out, parenthesised(w))
		default:
			out = append(out, unquote(w))
		}
	}
	return strings.Join(out, " ")
}

// parenthesised sorts what stands in parentheses: pairs if the first word is an
// item, else words.
func parenthesised(s string) string {
	first := (&words{s[1:]}).next()
	switch first {
	case "FLAGS", "UID", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODYSTRUCTURE", "BODY", "MODSEQ", "RFC822", "RFC822.HEADER",
		"RFC822.TEXT", "SAVEDATE", "MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "DELETED", "SIZE", "HIGHESTMODSEQ", "MIN", "MAX", "ALL", "COUNT":
		return pairs(s)
	}
	if strings.HasPrefix(first, "BODY[") || strings.HasPrefix(first, "BINARY") {
		return pairs(s)
	}
	return set(s)
}

// pairs sorts "(NAME value NAME value)", without what is not compared.
func pairs(s string) string {
	p := &words{s[1 : len(s)-1]}
	var list []string
	for p.more() {
		name, value := p.next(), ""
		if p.more() {
			value = p.next()
		}
		switch {
		case name == "RECENT":
			continue
		case name == "FLAGS":
			value = set(value)
		default:
			value = unquote(value)
		}
		list = append(list, name+" "+value)
	}
	slices.Sort(list)
	if unaskedUID.MatchString(strings.Join(list, " ")) {
		list = list[:len(list)-1]
	}
	return "(" + strings.Join(list, " ") + ")"
}

// set sorts the words in parentheses, without \Recent.
func set(s string) string {
	p := &words{strings.TrimSuffix(strings.TrimPrefix(s, "("), ")")}
	var list []string
	for p.more() {
		if w := p.next(); !strings.EqualFold(w, `\Recent`) {
			list = append(list, strings.TrimSuffix(strings.TrimPrefix(w, `"`), `"`))
		}
	}
	slices.Sort(list)
	return "(" + strings.Join(list, " ") + ")"
}

// words takes a response apart at blanks: atoms with their brackets, strings,
// lists.
type words struct{ s string }

func (p *words) more() bool {
	p.s = strings.TrimLeft(p.s, " ")
	return p.s != ""
}

var literalStart = regexp.MustCompile(`^~?\{([0-9]+)\}\r\n`)

func (p *words) next() string {
	start := p.s
	depth := 0
	for p.s != "" {
		switch c := p.s[0]; {
		case c == '(' || c == '[':
			depth++
		case c == ')' || c == ']':
			depth = max(0, depth-1)
		case c == '"':
			p.s = p.s[quotedLen(p.s)-1:]
		case c == ' ' && depth == 0:
			return start[:len(start)-len(p.s)]
		default:
			if m := literalStart.FindStringSubmatch(p.s); m != nil {
				var n int
				fmt.Sscan(m[1], &n)
				p.s = p.s[len(m[0])+n-1:]
			}
		}
		p.s = p.s[1:]
	}
	return start
}

// quotedLen is the length of the quoted string that s begins with.
func quotedLen(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

// unquote makes quoted strings, literals and atoms that hold the same the
// same, also within a list.
func unquote(w string) string {
	switch {
	case strings.HasPrefix(w, "("):
		p := &words{w[1 : len(w)-1]}
		var list []string
		for p.more() {
			list = append(list, unquote(p.next()))
		}
		return "(" + strings.Join(list, " ") + ")"
	case strings.HasPrefix(w, `"`):
		return fmt.Sprintf("%q", strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(w[1:len(w)-1]))
	}
	if m := literalStart.FindString(w); m != "" {
		return fmt.Sprintf("%q", w[len(m):])
	}
	if strings.EqualFold(w, inbox) {
		w = inbox
	}
	return fmt.Sprintf("%q", w)
}
