package message

import (
	"bufio"
	"bytes"
	"io"
	"strings"
)

// maxScanned is how much of a field's value ScanHeader hands over.
const maxScanned = 64 << 10

// FilterHeader writes the fields of a header that are named, or with not set
// all but those, with their lines as they came, and the blank line that ends
// the header if there is one (RFC 9051, 6.4.5: HEADER.FIELDS and
// HEADER.FIELDS.NOT). Names are compared without regard to case. Lines that
// are no field have no name. It reads until the blank line or the end.
//
// The error is that of the reader or the writer.
func FilterHeader(w io.Writer, header io.Reader, fields []string, not bool) error {
	l := newLines(header)
	keep := not // a first line that folds nothing is no field
	for l.next() {
		if l.starts {
			keep = named(fields, l.name()) != not
		}
		if keep || l.blank {
			if _, err := w.Write(l.piece); err != nil {
				return err
			}
		}
		if l.blank {
			return nil
		}
	}
	return l.err
}

func named(fields []string, name []byte) bool {
	if len(name) == 0 {
		return false
	}
	for _, f := range fields {
		if len(f) == len(name) && strings.EqualFold(f, string(name)) {
			return true
		}
	}
	return false
}

// ScanHeader calls f for each field of a header, in order, with its name as it
// came and its raw value, unfolded and trimmed, until f returns false or the
// header ends. At most 64 KiB of a value are handed over; value is only valid
// during the call. Lines that are no field are passed over.
//
// The error is that of the reader.
func ScanHeader(header io.Reader, f func(name string, value []byte) bool) error {
	return newLines(header).scan(f)
}

// scan is ScanHeader.
func (l *lines) scan(f func(name string, value []byte) bool) error {
	var name string
	var value []byte
	flush := func() bool {
		if name == "" {
			return true
		}
		return f(name, bytes.Trim(value, " \t\r\n"))
	}
	for l.next() && !l.blank {
		piece := l.piece
		if l.starts {
			if !flush() {
				return nil
			}
			name, value = string(l.name()), value[:0]
			piece = piece[bytes.IndexByte(piece, ':')+1:]
		}
		if name == "" {
			continue
		}
		if l.folds {
			piece = bytes.TrimLeft(piece, " \t")
			value = bytes.TrimRight(value, "\r\n")
			if len(value) < maxScanned {
				value = append(value, ' ')
			}
		}
		value = append(value, piece[:min(len(piece), max(0, maxScanned-len(value)))]...)
	}
	if l.err == nil {
		flush()
	}
	return l.err
}

// lines reads a header in pieces of lines, however long those are.
type lines struct {
	r      *bufio.Reader
	piece  []byte // with the line end if it is the last of its line
	starts bool   // piece starts a field, or a line that is none
	folds  bool   // piece starts a line that goes on with a field
	blank  bool   // piece is the line that ends the header
	inLine bool   // the next piece belongs to the same line
	err    error  // of the reader, never io.EOF
}

func newLines(r io.Reader) *lines { return &lines{r: bufio.NewReaderSize(r, lineBuffer)} }

// lineBuffer is how much of a header is read at a time.
const lineBuffer = 4096

func (l *lines) next() bool {
	piece, err := l.r.ReadSlice('\n')
	if err != nil && err != bufio.ErrBufferFull && err != io.EOF {
		l.err = err
		return false
	}
	if len(piece) == 0 {
		return false
	}
	white := piece[0] == ' ' || piece[0] == '\t'
	l.piece = piece
	l.starts = !l.inLine && !white
	l.folds = !l.inLine && white
	l.blank = l.starts && err == nil && len(bytes.Trim(piece, "\r\n")) == 0
	l.inLine = err == bufio.ErrBufferFull
	return true
}

// name returns the name of the field that piece starts, nil if it is none.
func (l *lines) name() []byte {
	name, _, ok := bytes.Cut(l.piece[:min(len(l.piece), linePrefix)], []byte{':'})
	if !ok {
		return nil
	}
	return bytes.TrimRight(name, " \t\r")
}
