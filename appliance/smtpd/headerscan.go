package smtpd

import (
	"bytes"
	"io"
	"strings"
)

// Limits of what is kept of a header.
const (
	maxFieldName = 64       // longer names are none that matter here
	maxAuthors   = 64 << 10 // octets of all fields together that name authors
	maxHops      = 100      // Received fields, RFC 5321, 6.3
)

// A headerScan copies a message to the next writer and notes what its header says, in constant memory. For submission it
// leaves out Bcc. A header ends at the first blank line, whether with CRLF or bare LF.
type headerScan struct {
	next       io.Writer
	dropBcc    bool
	out        []byte // passed on at the end of each Write
	state      headerState
	name       []byte // of the field, or what may become one, held back
	begun      bool   // a line has been seen
	orphan     bool   // the first line is folded, so that it belongs to no field of the message
	drop       bool   // the field is left out
	keep       bool   // the field names authors
	received   int
	has        map[string]bool // names of single fields that were seen: from, date, message-id
	authors    [][]byte        // bodies of the fields that say who wrote or sent the message, folded lines joined
	authorsLen int
	tooLong    bool // those fields are longer than maxAuthors
}

type headerState int

const (
	atLine    headerState = iota // at the start of a line
	inName                       // before the colon
	inField                      // after it, or in a line without one
	blankCR                      // CR at the start of a line, held back
	afterBody                    // nothing more to see
)

func newHeaderScan(next io.Writer, dropBcc bool) *headerScan {
	return &headerScan{next: next, dropBcc: dropBcc, has: make(map[string]bool)}
}

// Write passes b on, but for what is left out or held back until it is understood.
func (h *headerScan) Write(b []byte) (int, error) {
	if h.state == afterBody {
		return h.next.Write(b)
	}
	h.out = h.out[:0]
	for i := 0; i < len(b); {
		switch {
		case h.state == afterBody:
			return len(b), h.endHeader(b[i:]) // on an error the message is lost anyway
		case h.state == inField && !h.keep:
			i += h.restOfLine(b[i:])
		default:
			h.octet(b[i])
			i++
		}
	}
	if h.state == afterBody {
		return len(b), h.endHeader(nil)
	}
	if _, err := h.next.Write(h.out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// endHeader passes on the end of the header and the body that follows.
func (h *headerScan) endHeader(body []byte) error {
	_, err := h.next.Write(h.out)
	h.out, h.name = nil, nil
	if err == nil && len(body) > 0 {
		_, err = h.next.Write(body)
	}
	return err
}

// Close passes on what is held back when a message ends within its header.
func (h *headerScan) Close() error {
	held := h.name
	if h.state == blankCR {
		held = []byte{'\r'}
	}
	if h.state != inName && h.state != blankCR {
		return nil
	}
	h.state = afterBody
	_, err := h.next.Write(held)
	return err
}

// restOfLine takes the rest of a line that nothing is kept of, as far as b holds it.
func (h *headerScan) restOfLine(b []byte) int {
	n := len(b)
	if end := bytes.IndexByte(b, '\n'); end >= 0 {
		n = end + 1
		h.state = atLine
	}
	if !h.drop {
		h.out = append(h.out, b[:n]...)
	}
	return n
}

func (h *headerScan) octet(c byte) {
	switch h.state {
	case atLine:
		h.startLine(c)
	case inName:
		h.nameOctet(c)
	case inField:
		h.fieldOctet(c)
	case blankCR:
		h.out = append(h.out, '\r')
		h.state = inField
		if c == '\n' {
			h.out = append(h.out, c)
			h.state = afterBody
			return
		}
		h.field("")
		h.fieldOctet(c)
	}
}

func (h *headerScan) startLine(c byte) {
	switch c {
	case '\r':
		h.state = blankCR
	case '\n':
		h.out = append(h.out, c)
		h.state = afterBody
	case ' ', '\t': // a folded line belongs to the field before
		h.state = inField
		h.orphan = h.orphan || !h.begun
		h.begun = true
		h.fieldOctet(c)
	default:
		h.state = inName
		h.name = h.name[:0]
		h.nameOctet(c)
	}
}

func (h *headerScan) nameOctet(c byte) {
	if c != ':' && c != '\n' && len(h.name) < maxFieldName {
		h.name = append(h.name, c)
		return
	}
	name := strings.ToLower(strings.TrimRight(string(h.name), " \t"))
	if c != ':' && len(name) == len(h.name) {
		name = "" // no field, or one with a long name; but blanks before the colon may be many
	}
	h.field(name)
	if !h.drop {
		h.out = append(h.out, h.name...)
	}
	h.name = h.name[:0]
	h.state = inField
	if c != ':' {
		h.fieldOctet(c)
	} else if !h.drop {
		h.out = append(h.out, c)
	}
}

// field begins a field; the empty name is a line that is none.
func (h *headerScan) field(name string) {
	h.begun = true
	h.drop = h.dropBcc && (name == "bcc" || name == "resent-bcc") // RFC 5322, 3.6.3
	h.keep = false
	switch name {
	case "received":
		h.received++
	case "from", "sender", "resent-from", "resent-sender": // RFC 5322, 3.6.2 and 3.6.6
		h.has[name] = true
		h.keep = true
		if h.count() { // an empty field costs an octet too, so that their number is bounded
			h.authors = append(h.authors, nil)
		}
	case "date", "message-id":
		h.has[name] = true
	}
}

// fieldOctet takes an octet of a field's body.
func (h *headerScan) fieldOctet(c byte) {
	if !h.drop {
		h.out = append(h.out, c)
	}
	if c == '\n' {
		h.state = atLine
	}
	if !h.keep || !h.count() {
		return
	}
	body := &h.authors[len(h.authors)-1]
	if c == '\n' {
		*body = bytes.TrimSuffix(*body, []byte{'\r'}) // a CR elsewhere stays, and cannot be understood
		return
	}
	*body = append(*body, c)
}

// count counts an octet of what is kept, if there is room for it.
func (h *headerScan) count() bool {
	h.authorsLen++
	if h.authorsLen > maxAuthors {
		h.tooLong, h.keep = true, false
	}
	return !h.tooLong
}
