package transfer

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"letterbox/store/message"
)

// An mboxReader reads the messages of an mbox file, one after the other, in memory that does not grow with message or line.
//
// A line that begins with "From " and bears a date with month, year and time begins a message, whether or not the line before it is
// empty: some programs write none. So does "From " or "From -" alone, as newer Thunderbirds write it, before a header field. Where a message has a Content-Length after which the file ends, or the next message begins, lines
// of that form within it do not count (mboxcl2). That is believed where every message of the file so far has one that fits, and the next
// has one too: otherwise it came with the message, and a sender could hide mail of others behind it. The empty line before such a line, and one at the end of the file, belongs to the
// file. ">From ", ">>From " and so on at the beginning of a line lose one ">" (mboxrd; mboxo, which quotes no further, loses one that it
// did not put there).
//
// Header fields in which programs note what belongs to the folder, not to the message, are taken out and become the mboxMeta: see
// mboxMeta.field. Those of Thunderbird count only where it puts them, directly behind the From line: elsewhere a sender has. Line ends stay as they are.
type mboxReader struct {
	file  io.ReaderAt
	size  int64 // of file
	sized bool  // every message so far has a Content-Length that fits
	in    *bufio.Reader
	off   int64 // of the next octet in in

	// The message at hand.
	from     []byte // its From line
	begin    int64  // where that begins
	head     int64  // where the header begins
	open     bool   // it is not read to its end
	inHeader bool
	own      bool // all fields so far are those that Thunderbird puts before a message
	drop     bool // the header field at hand is taken out
	field    *[]byte
	inLine   bool   // the next piece does not begin a line
	body     int64  // where the body begins
	length   int64  // Content-Length; Unknown
	until    int64  // lines up to here begin no message
	blank    []byte // an empty line that may belong to the file
	out      []byte // what is to be read next
	meta     mboxMeta

	next   []byte // the From line of the next message
	nextAt int64
	err    error
}

// mboxMeta is what an mbox file notes beside a message.
type mboxMeta struct {
	status, xStatus, keywords     []byte
	mozilla, mozilla2, mozillaKey []byte
	imap                          []byte // of the pseudo message in which folders of UW-IMAP keep their numbers
	contentLength, subject        []byte
}

// mboxBuffer is what is read of a file at once. Lines that are longer come in pieces.
const mboxBuffer = 32 << 10

// maxFromLine is the longest line that begins a message.
const maxFromLine = 1000

// maxMetaField is how much is kept of a header field.
const maxMetaField = 16 << 10

var errNoMbox = errors.New(`it is no mbox file: it does not begin with a line "From ..." that bears a date, or stands before a header`)

func newMboxReader(file io.ReaderAt, size int64) *mboxReader {
	buffer := max(4<<10, min(size, mboxBuffer))
	return &mboxReader{file: file, size: size, sized: true, in: bufio.NewReaderSize(io.NewSectionReader(file, 0, size), int(buffer))}
}

// Next goes to the next message: io.EOF behind the last, errNoMbox where the file does not begin with one.
func (r *mboxReader) Next() error {
	for r.open {
		r.piece()
	}
	if r.err == nil && r.next == nil && r.begin == 0 && r.from == nil {
		r.err = r.findFirst()
	}
	if r.next == nil {
		if r.err == nil {
			r.err = io.EOF
		}
		return r.err
	}
	in := r.in
	sized := r.sized && (r.from == nil || r.fits())
	*r = mboxReader{file: r.file, size: r.size, sized: sized, in: in, off: r.off, from: r.next, begin: r.nextAt, head: r.off, open: true, inHeader: true, own: true, length: Unknown, err: r.err}
	return nil
}

// findFirst looks for the first From line, before which there may be empty lines.
func (r *mboxReader) findFirst() error {
	for {
		at := r.off
		line, err := r.in.ReadSlice('\n')
		r.off += int64(len(line))
		if at == 0 {
			line = bytes.TrimPrefix(line, []byte("\ufeff")) // some programs on Windows put it before any text
		}
		if len(bytes.Trim(line, "\r\n")) > 0 {
			if !r.separates(line, r.off) {
				return errNoMbox
			}
			r.next, r.nextAt = bytes.Clone(line), at
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Read reads the message at hand, without what was taken out of it.
func (r *mboxReader) Read(b []byte) (int, error) {
	for r.open && len(r.out) == 0 {
		r.piece()
	}
	if len(r.out) > 0 {
		n := copy(b, r.out)
		r.out = r.out[n:]
		return n, nil
	}
	if r.err != nil && r.err != io.EOF {
		return 0, r.err
	}
	return 0, io.EOF
}

// Span is where the message lies in the file, its From line included, once it is read.
func (r *mboxReader) Span() (at, length int64) {
	if r.next != nil {
		return r.begin, r.nextAt - r.begin
	}
	return r.begin, r.off - r.begin
}

// Header is the message from its header on, as it stands in the file, once it is read.
func (r *mboxReader) Header() io.Reader {
	at, length := r.Span()
	return io.NewSectionReader(r.file, r.head, at+length-r.head)
}

// piece reads a line, or the next piece of one, into out.
func (r *mboxReader) piece() {
	at := r.off
	line, err := r.in.ReadSlice('\n')
	r.off += int64(len(line))
	if err == bufio.ErrBufferFull {
		err = nil
	}
	begins := !r.inLine
	r.inLine = len(line) > 0 && line[len(line)-1] != '\n'
	if begins && at >= r.until && r.beginsMessage(line, at) {
		r.next, r.nextAt, r.open, r.blank = bytes.Clone(line), at, false, nil
		return
	}
	if len(line) > 0 {
		if r.inHeader {
			line = r.header(line, begins)
		}
		if begins && len(line) > 0 && line[0] == '>' && isFrom(bytes.TrimLeft(line, ">")) {
			line = line[1:]
		}
		r.emit(line, begins)
	}
	if err != nil { // the empty line before the end belongs to the file
		r.err, r.open = err, false
		if err != io.EOF {
			r.err = &Unreadable{err}
		}
	}
}

// emit makes line what is read next. An empty line waits: if a From line follows, it is not the message's.
func (r *mboxReader) emit(line []byte, begins bool) {
	out := append(r.out[:0:0], r.blank...)
	r.blank = nil
	if begins && len(bytes.TrimRight(line, "\r\n")) == 0 && len(line) > 0 && len(line) <= 2 {
		r.blank = bytes.Clone(line)
		line = nil
	}
	if len(out) == 0 {
		r.out = line
		return
	}
	r.out = append(out, line...)
}

// beginsMessage reports whether a line begins the next message.
func (r *mboxReader) beginsMessage(line []byte, at int64) bool {
	if !r.separates(line, r.off) {
		return false
	}
	if end := r.body + r.length; r.sized && r.body > 0 && r.length >= 0 && end > at && r.endsAt(end) && r.sizedFrom(end) {
		r.until = end
		return false
	}
	return true
}

// fits reports whether the message, which is read, has a Content-Length that leads to its end or to the empty line there.
func (r *mboxReader) fits() bool {
	at, length := r.Span()
	rest := at + length - (r.body + r.length)
	return r.body > 0 && r.length >= 0 && rest >= 0 && rest <= 2
}

// sizedFrom reports whether the message that begins at an offset of the file has a Content-Length, or there is none.
func (r *mboxReader) sizedFrom(off int64) bool {
	next := newMboxReader(io.NewSectionReader(r.file, off, r.size-off), r.size-off)
	if err := next.Next(); err != nil {
		return err == io.EOF
	}
	for next.open && next.inHeader {
		next.piece()
	}
	return next.length >= 0
}

// separates reports whether a line, behind which the file goes on at next, is one that stands between messages.
func (r *mboxReader) separates(line []byte, next int64) bool {
	if _, ok := parseFromLine(line); ok {
		return true
	}
	if alone := string(bytes.TrimRight(line, "\r\n")); alone != "From " && alone != "From -" || line[len(line)-1] != '\n' {
		return false
	}
	b, ok := r.at(next, maxFieldName+1)
	return ok && beginsField(b)
}

// at reads up to n octets of the file at an offset.
func (r *mboxReader) at(off, n int64) ([]byte, bool) {
	if off > r.size {
		return nil, false
	}
	b := make([]byte, min(n, r.size-off))
	k, err := r.file.ReadAt(b, off)
	return b, k == len(b) && (err == nil || err == io.EOF)
}

// maxFieldName is the longest name of a header field that tells that a header begins.
const maxFieldName = 127

// beginsField reports whether text begins with the name of a header field and its colon (RFC 5322, 2.2).
func beginsField(text []byte) bool {
	name, _, ok := bytes.Cut(text, []byte{':'})
	return ok && len(name) > 0 && !bytes.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c >= 0x7f })
}

// endsAt reports whether a message can end at an offset of the file.
func (r *mboxReader) endsAt(off int64) bool {
	b, ok := r.at(off, maxFromLine)
	if !ok {
		return false
	}
	size := len(b)
	b = bytes.TrimPrefix(bytes.TrimPrefix(b, []byte("\r")), []byte("\n"))
	if len(b) == 0 {
		return true
	}
	line := b[:bytes.IndexByte(b, '\n')+1]
	if len(line) == 0 { // the file ends in it
		line = b
	}
	return r.separates(line, off+int64(size-len(b)+len(line)))
}

// header takes a piece of the header and returns what stays of it.
func (r *mboxReader) header(line []byte, begins bool) []byte {
	if begins && isBlank(line) {
		r.inHeader, r.body, r.field = false, r.off, nil
		r.length = r.meta.length()
		return line
	}
	if folds := line[0] == ' ' || line[0] == '\t'; begins && !folds {
		r.own = r.own && ofThunderbird(line)
		r.field, r.drop = r.meta.fieldOf(line)
		if !r.own && r.meta.mozillas(r.field) {
			r.field = nil // it came with the message
		}
		if r.field != nil { // of two, the last counts
			_, value, _ := bytes.Cut(line, []byte{':'})
			*r.field = append((*r.field)[:0], value[:min(len(value), maxMetaField)]...)
		}
	} else if r.field != nil {
		*r.field = append(*r.field, line[:min(len(line), maxMetaField-len(*r.field))]...)
	}
	if r.drop {
		return nil
	}
	return line
}

// isFrom reports whether a line begins as one that begins a message.
func isFrom(line []byte) bool { return bytes.HasPrefix(line, []byte("From ")) }

// isBlank reports whether a line ends a header. CR CR LF does too: programs that translate LF to CRLF twice write it.
func isBlank(line []byte) bool { return len(bytes.TrimRight(line, "\r\n")) == 0 }

// ofThunderbird reports whether a line of a header is one of those that Thunderbird puts directly behind the From line.
func ofThunderbird(line []byte) bool {
	for _, name := range []string{"x-mozilla-", "x-account-key:", "x-uidl:"} {
		if len(line) >= len(name) && strings.EqualFold(string(line[:len(name)]), name) {
			return true
		}
	}
	return false
}

// mozillas reports whether what field returned is one of Thunderbird's.
func (m *mboxMeta) mozillas(kept *[]byte) bool {
	return kept == &m.mozilla || kept == &m.mozilla2 || kept == &m.mozillaKey
}

// fieldOf is field for a line of a header.
func (m *mboxMeta) fieldOf(line []byte) (kept *[]byte, drop bool) {
	name, _, ok := bytes.Cut(line, []byte{':'})
	if !ok || len(name) > 40 {
		return nil, false
	}
	return m.field(string(bytes.ToLower(bytes.TrimRight(name, " \t"))))
}

// field tells where the value of a header field, whose name is in lower case, is kept, and whether the field is no part of the
// message.
func (m *mboxMeta) field(name string) (kept *[]byte, drop bool) {
	switch name {
	case "status": // R: read; O: seen in an earlier session
		return &m.status, true
	case "x-status": // A: answered, F: flagged, D: deleted, T: draft
		return &m.xStatus, true
	case "x-keywords":
		return &m.keywords, true
	case "x-mozilla-status": // bits in hex
		return &m.mozilla, true
	case "x-mozilla-status2":
		return &m.mozilla2, true
	case "x-mozilla-keys":
		return &m.mozillaKey, true
	case "x-imap", "x-imapbase": // UIDVALIDITY and last UID of the folder
		return &m.imap, true
	case "x-uid":
		return nil, true
	case "content-length":
		return &m.contentLength, false
	case "subject":
		return &m.subject, false
	}
	return nil, false
}

// length is the Content-Length, Unknown if there is none.
func (m *mboxMeta) length() int64 {
	n, err := strconv.ParseInt(string(bytes.TrimSpace(m.contentLength)), 10, 62)
	if err != nil || n < 0 {
		return Unknown
	}
	return n
}

// pseudo reports whether the message is one that UW-IMAP keeps its numbers in.
func (m *mboxMeta) pseudo() bool {
	return len(m.imap) > 0 && bytes.Contains(m.subject, []byte("FOLDER INTERNAL DATA"))
}

// Bits of X-Mozilla-Status and, above the lower 16, X-Mozilla-Status2.
const (
	mozillaRead      = 0x0001
	mozillaReplied   = 0x0002
	mozillaMarked    = 0x0004
	mozillaExpunged  = 0x0008
	mozillaForwarded = 0x1000
)

// xStatusFlags are the flags whose letters, in the same order, stand in X-Status.
var xStatusFlags = []string{`\Answered`, `\Flagged`, `\Deleted`, `\Draft`}

const xStatusLetters = "AFDT"

// flags are the message's flags, by their IMAP names, and whether Thunderbird has thrown it away. That X-Status calls a message deleted
// is not believed: senders can write that, and programs then remove the message.
func (m *mboxMeta) flags() (flags []string, thrownAway bool) {
	set := func(on bool, name string) {
		if on {
			flags = append(flags, name)
		}
	}
	bits, _ := strconv.ParseUint(string(bytes.TrimSpace(m.mozilla)), 16, 32) // not a number: no flags
	has := func(field []byte, letter byte) bool { return bytes.IndexByte(field, letter) >= 0 }
	set(has(m.status, 'R') || bits&mozillaRead != 0, `\Seen`)
	for i, name := range xStatusFlags {
		if name == `\Deleted` {
			continue
		}
		mozilla := i == 0 && bits&mozillaReplied != 0 || i == 1 && bits&mozillaMarked != 0
		set(has(m.xStatus, xStatusLetters[i]) || mozilla, name)
	}
	set(bits&mozillaForwarded != 0, "$Forwarded")
	flags = append(flags, strings.Fields(string(m.keywords))...)
	flags = append(flags, strings.Fields(string(m.mozillaKey))...)
	return flags, bits&mozillaExpunged != 0
}

// parseFromLine reads the line that begins a message in an mbox file: "From ", a sender, which may hold blanks or be missing, and a date
// in the order of C's ctime, with a zone or without one, which is UTC then (RFC 4155). It is what separates messages, so it
// is strict: weekday, month, day, time and a year of four digits must be there.
func parseFromLine(line []byte) (date time.Time, ok bool) {
	rest, ok := bytes.CutPrefix(line, []byte("From "))
	if !ok || len(line) > maxFromLine {
		return time.Time{}, false
	}
	words := strings.Fields(string(rest))
	for i := range words {
		if i+4 < len(words) && isWeekday(words[i]) {
			if date, ok := parseFromDate(words[i:]); ok {
				return date, true
			}
		}
	}
	return time.Time{}, false
}

func isWeekday(w string) bool {
	return len(w) >= 3 && len(w) <= 4 && strings.Contains(" mon tue wed thu fri sat sun ", " "+strings.ToLower(strings.TrimSuffix(w, ","))+" ")
}

// parseFromDate reads the date of a From line, which words begin with.
func parseFromDate(words []string) (time.Time, bool) {
	var clock, year bool
	end := 0
	for i, w := range words[:min(len(words), 8)] {
		switch {
		case isClock(w):
			clock = true
		case len(w) == 4 && allDigits(w):
			year = true
		case clock && year && (w[0] == '+' || w[0] == '-'): // a zone behind the year
		case clock && year:
			return message.Date(strings.Join(words[:end], " "))
		}
		end = i + 1
	}
	if !clock || !year {
		return time.Time{}, false
	}
	return message.Date(strings.Join(words[:end], " "))
}

func allDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// isClock reports whether a word is hh:mm or hh:mm:ss.
func isClock(w string) bool {
	n := strings.Count(w, ":")
	return (n == 1 || n == 2) && len(w) >= 4 && len(w) <= 8 && strings.Trim(w, "0123456789:") == ""
}
