package control

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// A batch of messages on its way, the body of POST .../messages. Each message is a line of JSON, an ImportMessage, and its octets in
// pieces, each with its length in decimal on a line before it:
//
//	{"flags":["\\Seen"],"date":"2026-01-31T12:00:00Z"}
//	1200
//	<1200 octets>= 0123456789abcdef0123456789abcdef
//
// "=" and the message's ID, in place of a length, end the message; "-" withdraws it, because the rest could not be read.

const (
	importType = "application/vnd.letterbox.messages"
	maxHead    = 64 << 10 // octets of a line
	maxPiece   = 32 << 10 // octets of a piece
)

// errWithdrawn says that a message came to its end before it was whole.
var errWithdrawn = errors.New("the message was withdrawn")

// frameWriter writes a batch. It has one user at a time.
type frameWriter struct {
	w     *bufio.Writer
	piece []byte
}

func newFrameWriter(w io.Writer) *frameWriter {
	return &frameWriter{w: bufio.NewWriterSize(w, maxPiece+64), piece: make([]byte, maxPiece)}
}

// add writes a message to its end. If octets fail, the message is withdrawn and the error returned as it is; any other error is the
// writer's, and ends the batch.
func (f *frameWriter) add(m *ImportMessage, octets io.Reader) error {
	head, err := headOf(*m)
	if err != nil {
		return fmt.Errorf("write the head of a message: %w", err)
	}
	f.w.Write(head)
	for {
		n, err := fillFrom(octets, f.piece)
		if n > 0 {
			f.w.WriteString(strconv.Itoa(n) + "\n")
			if _, err := f.w.Write(f.piece[:n]); err != nil {
				return err
			}
		}
		switch err {
		case nil:
		case io.EOF:
			return f.end(m.ID)
		default:
			f.w.WriteString("-\n") // an error stays with f.w
			return err
		}
	}
}

// headOf is the line before a message. Flags for which it has no room stay away: the message counts more than they do.
func headOf(m ImportMessage) ([]byte, error) {
	for {
		var line bytes.Buffer
		e := json.NewEncoder(&line)
		e.SetEscapeHTML(false) // "<" is one octet, not six
		if err := e.Encode(m); err != nil {
			return nil, err
		}
		if line.Len() <= maxHead || len(m.Flags) == 0 {
			return line.Bytes(), nil
		}
		m.Flags = m.Flags[:len(m.Flags)/2]
	}
}

// end ends a message.
func (f *frameWriter) end(id string) error {
	if len(id) >= maxHead-len("= \n") || strings.Contains(id, "\n") {
		return fmt.Errorf("%.40q cannot be the identity of a message", id)
	}
	_, err := f.w.WriteString("= " + id + "\n")
	return err
}

// fillFrom reads until b is full or r has an error, which is r's own: that of a message cut short is no end.
func fillFrom(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var k int
		k, err = r.Read(b[n:])
		n += k
	}
	return n, err
}

func (f *frameWriter) flush() error { return f.w.Flush() }

// frameReader reads a batch. It has one user at a time.
type frameReader struct {
	r    *bufio.Reader
	open *pieces // the message at hand, nil once it is read
}

func newFrameReader(r io.Reader) *frameReader {
	return &frameReader{r: bufio.NewReaderSize(r, maxHead)}
}

// next returns the next message, io.EOF behind the last. Its octets are good until the next call, and its ID is there when they have
// ended; errWithdrawn comes in place of their end if there is none.
func (f *frameReader) next() (m *ImportMessage, octets io.Reader, err error) {
	if f.open != nil { // not read to its end
		if _, err := io.Copy(io.Discard, f.open); err != nil && !errors.Is(err, errWithdrawn) {
			return nil, nil, err
		}
	}
	line, err := f.r.ReadSlice('\n')
	if err == io.EOF && len(line) == 0 {
		return nil, nil, io.EOF
	}
	m = new(ImportMessage)
	if err == nil {
		err = json.Unmarshal(line, m)
	}
	if err != nil {
		return nil, nil, badFrame("the head of a message", err)
	}
	f.open = &pieces{f: f, m: m}
	return m, f.open, nil
}

// pieces are the octets of one message.
type pieces struct {
	f    *frameReader
	m    *ImportMessage
	left int // of the piece at hand
	err  error
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.err == nil && p.left == 0 {
		p.left, p.err = p.f.piece(p.m)
	}
	if p.err != nil {
		if p.err == io.EOF || p.err == errWithdrawn {
			p.f.open = nil
		}
		return 0, p.err
	}
	n, err := p.f.r.Read(b[:min(len(b), p.left)])
	if p.left -= n; err != nil {
		p.err = badFrame("the octets of a message", err)
	}
	return n, p.err
}

// piece reads the line before a piece of m: its length, or that there is none.
func (f *frameReader) piece(m *ImportMessage) (int, error) {
	line, err := f.r.ReadSlice('\n')
	if err != nil {
		return 0, badFrame("the length of a piece", err)
	}
	text := string(line[:len(line)-1])
	if id, ends := strings.CutPrefix(text, "= "); ends {
		m.ID = id
		return 0, io.EOF
	}
	if text == "-" {
		return 0, errWithdrawn
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n > maxPiece || text[0] == '0' {
		return 0, badFrame("the length of a piece", strconv.ErrRange)
	}
	return int(n), nil
}

// badFrame says what of a body cannot be read. A body that ends there ends too early.
func badFrame(what string, err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return &Error{Status: http.StatusBadRequest, Reason: fmt.Sprintf("the messages cannot be read: %s: %v", what, err)}
}
