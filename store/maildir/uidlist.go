package maildir

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// dovecot-uidlist, version 3, as Dovecot 2.3 reads and writes it:
//
//	3 V<uidvalidity> N<uidnext> G<mailbox guid> [<letter><value> ...]
//	<uid> [<letter><value> ...] :<base name>
//
// Records ascend by UID. Values hold no space. Dovecot keeps the fields of the
// head and of records that it does not know. The head is written anew only
// when the whole file is: UIDNEXT is above the N and above every record.

const (
	uidListName    = "dovecot-uidlist"
	maxUID         = 1<<32 - 2 // Dovecot keeps 2^32-1 for itself
	maxListLine    = 8 << 10
	ceilingDigits  = 20 // room for any uint64, so that it is raised in place
	fieldValidity  = 'V'
	fieldNext      = 'N'
	fieldGUID      = 'G'
	fieldCeiling   = 'M' // ours
	fieldPhysical  = 'S'
	fieldVirtual   = 'W'
	fieldSaveDate  = 'D' // ours
	maxUnknownText = 1 << 10
)

// GUID is a mailbox's id, which survives its renaming: IMAP's MAILBOXID
// (RFC 8474, 5.1). It stands in the head of the list, in hex.
type GUID [16]byte

// NewGUID makes a random one.
func NewGUID() GUID {
	var g GUID
	// crypto/rand.Read never fails (Go 1.24).
	_, _ = rand.Read(g[:])
	return g
}

// String is the GUID in hex, as in the file.
func (g GUID) String() string { return hex.EncodeToString(g[:]) }

// IsZero reports whether it is missing.
func (g GUID) IsZero() bool { return g == GUID{} }

// ParseGUID reads 32 hex digits.
func ParseGUID(s string) (GUID, error) {
	var g GUID
	if len(s) != 2*len(g) {
		return GUID{}, fmt.Errorf("a mailbox id has %d digits, not %d", 2*len(g), len(s))
	}
	if _, err := hex.Decode(g[:], []byte(s)); err != nil {
		return GUID{}, fmt.Errorf("reading a mailbox id: %w", err)
	}
	return g, nil
}

// UIDHeader is the head of a list.
type UIDHeader struct {
	UIDValidity uint32 // 0: lost, or never given
	// UIDNext is above every UID in the list, damaged lines included.
	UIDNext uint32
	GUID    GUID // zero when missing
	// ModSeqCeiling is above every mod-sequence given out (a field of ours, M);
	// 0 when missing.
	ModSeqCeiling uint64
	Unknown       []string // fields of others, kept
}

// UIDRecord is a message's line.
type UIDRecord struct {
	UID      uint32
	Base     string
	GUID     string // the EMAILID where it is not the base name, else ""
	Physical int64  // size of the file, -1 when missing; the base name's ",S=" serves as well
	Virtual  int64  // size with CRLF, -1 when missing
	SaveDate int64  // seconds since 1970, 0 when missing (a field of ours, D)
	Unknown  []string
}

// parseHeader reads the first line. What can be read of a damaged one is
// returned with a sentence that says what cannot.
func parseHeader(line string) (h UIDHeader, damage string) {
	version, fields, _ := strings.Cut(line, " ")
	switch version {
	case "3":
		return parseHeaderFields(fields)
	case "1": // Dovecot 1.0 and Courier
		validity, next, _ := strings.Cut(fields, " ")
		h.UIDValidity, h.UIDNext = parseUID(validity), parseUID(strings.TrimSpace(next))
	default:
		damage = "its first line is not the head of a list of version 3"
	}
	if damage == "" && (h.UIDValidity == 0 || h.UIDNext == 0) {
		damage = "its head lacks UIDVALIDITY or UIDNEXT"
	}
	return h, damage
}

func parseHeaderFields(fields string) (h UIDHeader, damage string) {
	for field := range strings.FieldsSeq(fields) {
		value := field[1:]
		switch field[0] {
		case fieldValidity:
			h.UIDValidity = parseUID(value)
		case fieldNext:
			h.UIDNext = parseUID(value)
		case fieldGUID:
			g, err := ParseGUID(value)
			if err != nil {
				damage = "its head has a broken mailbox id"
			}
			h.GUID = g
		case fieldCeiling:
			v, err := strconv.ParseUint(value, 10, 64)
			if err != nil {
				damage = "its head has a broken mod-sequence ceiling"
			}
			h.ModSeqCeiling = v
		default:
			if keepable(field, h.Unknown) {
				h.Unknown = append(h.Unknown, field)
			}
		}
	}
	if h.UIDValidity == 0 || h.UIDNext == 0 {
		damage = "its head lacks UIDVALIDITY or UIDNEXT"
	}
	return h, damage
}

// keepable bounds what is kept for others, in text and in count.
func keepable(field string, kept []string) bool {
	return len(field) <= maxUnknownText && len(kept) < 32
}

// parseUID reads a UID, UIDNEXT or UIDVALIDITY; 0 when it is none.
func parseUID(s string) uint32 {
	v, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(v)
}

// leadingUID reads the digits at the start of a line. whole reports that a
// space follows, so that no digit is missing.
func leadingUID(line []byte) (uid uint32, whole bool) {
	n := 0
	for n < len(line) && '0' <= line[n] && line[n] <= '9' {
		n++
	}
	uid = parseUID(string(line[:n]))
	return uid, uid != 0 && n < len(line) && line[n] == ' '
}

// parseRecord reads a line, its line end cut off; not ok when it is damaged.
// rec.UID is set whenever it can be read. Lists of version 1 have no colon.
func parseRecord(line []byte, version1 bool) (rec UIDRecord, ok bool) {
	rec = UIDRecord{Physical: -1, Virtual: -1}
	uid, whole := leadingUID(line)
	rec.UID = uid
	if !whole || uid > maxUID {
		return rec, false
	}
	_, rest, _ := bytes.Cut(line, []byte(" "))
	for !version1 {
		rest = bytes.TrimLeft(rest, " ")
		if len(rest) == 0 {
			return rec, false
		}
		if rest[0] == ':' {
			rest = rest[1:]
			break
		}
		end := bytes.IndexByte(rest, ' ')
		if end < 0 {
			return rec, false
		}
		rec.setField(string(rest[:end]))
		rest = rest[end:]
	}
	base, _, _ := bytes.Cut(rest, []byte(":")) // the flags of a name do not belong here
	if len(base) == 0 || base[0] == '.' || bytes.ContainsAny(base, "/\x00") {
		return rec, false
	}
	rec.Base = string(base)
	return rec, true
}

func (rec *UIDRecord) setField(field string) {
	value := field[1:]
	switch field[0] {
	case fieldGUID:
		rec.GUID = value
	case fieldPhysical:
		rec.Physical = parseSize(value)
	case fieldVirtual:
		rec.Virtual = parseSize(value)
	case fieldSaveDate:
		rec.SaveDate = max(0, parseSize(value))
	default:
		// Dovecot allows capital letters only, and drops the rest.
		if 'A' <= field[0] && field[0] <= 'Z' && keepable(field, rec.Unknown) {
			rec.Unknown = append(rec.Unknown, field)
		}
	}
}

// appendHeader writes the first line.
func appendHeader(dst []byte, h UIDHeader) []byte {
	dst = fmt.Appendf(dst, "3 V%d N%d", h.UIDValidity, h.UIDNext)
	if !h.GUID.IsZero() {
		dst = fmt.Appendf(dst, " G%s", h.GUID)
	}
	dst = fmt.Appendf(dst, " M%0*d", ceilingDigits, h.ModSeqCeiling)
	for _, field := range h.Unknown {
		dst = append(append(dst, ' '), field...)
	}
	return append(dst, '\n')
}

// appendRecord writes a line.
func appendRecord(dst []byte, rec UIDRecord) []byte {
	dst = strconv.AppendUint(dst, uint64(rec.UID), 10)
	if rec.GUID != "" {
		dst = append(append(dst, ' ', fieldGUID), rec.GUID...)
	}
	if rec.Physical >= 0 {
		dst = strconv.AppendInt(append(dst, ' ', fieldPhysical), rec.Physical, 10)
	}
	if rec.Virtual >= 0 {
		dst = strconv.AppendInt(append(dst, ' ', fieldVirtual), rec.Virtual, 10)
	}
	if rec.SaveDate > 0 {
		dst = strconv.AppendInt(append(dst, ' ', fieldSaveDate), rec.SaveDate, 10)
	}
	for _, field := range rec.Unknown {
		dst = append(append(dst, ' '), field...)
	}
	return append(append(append(dst, " :"...), rec.Base...), '\n')
}

// check refuses a record whose line would not be read back as it is.
func (rec UIDRecord) check() error {
	ok := rec.UID != 0 && rec.UID <= maxUID && Name{Base: rec.Base}.CanBeListed() && cleanField(rec.GUID) && len(rec.Unknown) <= 32
	for _, field := range rec.Unknown {
		ok = ok && field != "" && 'A' <= field[0] && field[0] <= 'Z' && cleanField(field)
	}
	if !ok {
		return fmt.Errorf("the list of messages cannot hold UID %d with the name %q", rec.UID, rec.Base)
	}
	return nil
}

// cleanField reports whether s can be a field of a line or its value.
func cleanField(s string) bool {
	return len(s) <= maxUnknownText && !strings.ContainsAny(s, " \n\r\x00")
}

func (h UIDHeader) check() error {
	line := string(appendHeader(nil, h))
	back, damage := parseHeader(strings.TrimSuffix(line, "\n"))
	if damage != "" || len(line) > maxListLine || back.GUID != h.GUID || len(back.Unknown) != len(h.Unknown) || strings.IndexByte(line, '\n') != len(line)-1 {
		return fmt.Errorf("the list of messages cannot have the head %q", line)
	}
	return nil
}
