package message

import (
	"bytes"
	"strings"
)

// field is a header field that the pass keeps.
type field uint8

const (
	fieldNone field = iota
	fieldDate
	fieldSubject
	fieldFrom
	fieldSender
	fieldReplyTo
	fieldTo
	fieldCc
	fieldBcc
	fieldInReplyTo
	fieldMessageID
	fieldReferences // the last of a message's own fields
	fieldType
	fieldEncoding
	fieldID
	fieldDescription
	fieldMD5
	fieldDisposition
	fieldLanguage
	fieldLocation
	fieldCount
)

// fieldOf returns the field with a name, which is in lower case, and how many
// octets of its value are kept.
func fieldOf(name []byte) (field, int) {
	switch string(name) {
	case "date":
		return fieldDate, 1 << 10
	case "subject":
		return fieldSubject, 8 << 10
	case "from":
		return fieldFrom, 8 << 10
	case "sender":
		return fieldSender, 8 << 10
	case "reply-to":
		return fieldReplyTo, 8 << 10
	case "to":
		return fieldTo, 32 << 10
	case "cc":
		return fieldCc, 32 << 10
	case "bcc":
		return fieldBcc, 32 << 10
	case "in-reply-to":
		return fieldInReplyTo, 8 << 10
	case "message-id":
		return fieldMessageID, 2 << 10
	case "references":
		return fieldReferences, 8 << 10
	case "content-type":
		return fieldType, maxMIMEField
	case "content-transfer-encoding":
		return fieldEncoding, 1 << 10
	case "content-id":
		return fieldID, 2 << 10
	case "content-description":
		return fieldDescription, 2 << 10
	case "content-md5":
		return fieldMD5, 1 << 10
	case "content-disposition":
		return fieldDisposition, maxMIMEField
	case "content-language":
		return fieldLanguage, 1 << 10
	case "content-location":
		return fieldLocation, 4 << 10
	}
	return fieldNone, 0
}

// header keeps what ENVELOPE and BODYSTRUCTURE need of the header at hand. Of
// a field that comes twice the first counts; To, Cc and Bcc add up.
type header struct {
	message bool // the fields of ENVELOPE are wanted
	room    int  // octets that those may still take
	typ     string
	subtype string // the media type if the header names none

	at    field // the field at hand, fieldNone if it is not wanted
	left  int   // octets of it that may still be kept
	cut   bool  // some of it was not kept
	again int   // how many fields came again
	value []byte
	seen  [fieldCount]bool
	texts [fieldCount]string
}

func (h *header) reset(message bool, typ, subtype string) {
	*h = header{message: message, room: maxEnvelopeRaw, typ: typ, subtype: subtype, value: h.value[:0]}
}

// start begins a field with the first octets of its line.
func (h *header) start(line []byte) {
	h.end()
	name, value, ok := bytes.Cut(line, []byte{':'})
	if !ok {
		return // no field: Dovecot goes on with the header as well
	}
	// RFC 5322, 4.5: obsolete syntax has white space before the colon.
	name = bytes.TrimRight(name, " \t\r")
	var lower [32]byte
	if len(name) > len(lower) {
		return
	}
	f, limit := fieldOf(asciiLower(lower[:0], name))
	again := h.seen[f]
	if f == fieldNone || f <= fieldReferences && !h.message {
		return
	}
	if again {
		if h.again++; !repeats(f) || h.again > maxRepeats {
			return
		}
	}
	h.at, h.left, h.cut = f, limit, false
	h.seen[f] = true
	h.value = h.value[:0]
	if again {
		h.room += len(h.texts[f])
		h.left = min(h.left, h.room)
		h.add([]byte(h.texts[f]))
		h.add([]byte{','})
	} else if f <= fieldReferences {
		h.left = min(h.left, h.room)
	}
	h.add(value)
}

// repeats says whether a field that comes again adds to the first one:
// RFC 5322, 4.5.3 for the destination fields.
func repeats(f field) bool { return f == fieldTo || f == fieldCc || f == fieldBcc }

// fold goes on with the field at hand on a new line: the line end and the
// white space after it become one space.
func (h *header) fold(line []byte) {
	if h.at == fieldNone {
		return
	}
	if line = bytes.TrimLeft(line, " \t"); len(line) > 0 {
		h.add([]byte{' '})
		h.add(line)
	}
}

// add takes more of the value of the field at hand.
func (h *header) add(b []byte) {
	if h.at == fieldNone {
		return
	}
	n := min(len(b), h.left)
	h.left -= n
	h.cut = h.cut || n < len(b)
	h.value = append(h.value, b[:n]...)
}

// end ends the field at hand.
func (h *header) end() {
	if h.at == fieldNone {
		return
	}
	replaceNUL(h.value) // RFC 9051, 9: no string holds a NUL
	text := string(bytes.Trim(h.value, " \t\r"))
	if h.cut && fieldFrom <= h.at && h.at <= fieldBcc {
		text = text[:max(0, strings.LastIndexByte(text, ','))] // half an address would be another one
	}
	h.texts[h.at] = text
	if h.at <= fieldReferences {
		h.room -= len(text)
	}
	h.at = fieldNone
}

// text returns the unfolded value of a field, "" if there is none.
func (h *header) text(f field) string { return h.texts[f] }

// asciiLower appends s in lower case, ASCII letters only.
func asciiLower(dst, s []byte) []byte {
	n := len(dst)
	dst = append(dst, s...)
	for i, c := range dst[n:] {
		if c-'A' <= 'Z'-'A' {
			dst[n+i] = c + ('a' - 'A')
		}
	}
	return dst
}

// limitToken cuts a token that is longer than any in use.
func limitToken(s string) string { return strings.Clone(s[:min(len(s), maxToken)]) }
