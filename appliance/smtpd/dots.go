package smtpd

import (
	"bytes"
	"io"
	"sync"
)

// A dotDecoder finds the end of the message after DATA and undoes dot-stuffing (RFC 5321, 4.5.2). Only CRLF begins a line:
// after a bare LF or a bare CR a dot is an ordinary octet. Nothing but the stuffed dots and the final line is taken away.
type dotDecoder struct {
	state dotState
}

type dotState int

const (
	lineStart  dotState = iota // nothing, or CRLF, came before
	inLine                     // any octet
	afterCR                    // CR, which is passed on already
	afterDot                   // a dot at the start of a line, held back
	afterDotCR                 // that and CR, held back
	ended                      // CRLF . CRLF
)

// decode appends to dst what b holds of the message. used is less than len(b) only where the message ends.
func (d *dotDecoder) decode(dst, b []byte) (out []byte, used int) {
	for i := 0; i < len(b); {
		switch d.state {
		case inLine: // the rest of the line at once
			n := bytes.IndexByte(b[i:], '\r')
			if n < 0 {
				return append(dst, b[i:]...), len(b)
			}
			dst = append(dst, b[i:i+n+1]...)
			i += n + 1
			d.state = afterCR
			continue
		case lineStart:
			if b[i] == '.' {
				d.state = afterDot
				i++
				continue
			}
			d.state = inLine
			continue
		case afterCR:
			switch b[i] {
			case '\n':
				d.state = lineStart
			case '\r':
			default:
				d.state = inLine
				continue
			}
			dst = append(dst, b[i])
		case afterDot:
			if b[i] != '\r' {
				d.state = inLine // the dot was stuffing
				continue
			}
			d.state = afterDotCR
		case afterDotCR:
			if b[i] == '\n' {
				d.state = ended
				return dst, i + 1
			}
			dst = append(dst, '\r') // the dot was stuffing; CR is content
			d.state = afterCR
			continue
		}
		i++
	}
	return dst, len(b)
}

// messageBuffers are for messages that are being received, and for as long as that takes.
var messageBuffers = sync.Pool{New: func() any { return new(messageBuffer) }}

// A messageBuffer has what was read, and what of it is the message.
type messageBuffer struct {
	in  [messageWindow]byte
	out [messageWindow + 2]byte // a dot and CR may be held back from the window before
}

const messageWindow = 16 << 10

// copyMessage writes a message to to, up to its end and not an octet further.
func (w *wire) copyMessage(to io.Writer) error {
	b := messageBuffers.Get().(*messageBuffer)
	defer messageBuffers.Put(b)
	var dots dotDecoder
	for dots.state != ended {
		n, err := w.r.Read(b.in[:]) // takes all that r has, being larger
		if n == 0 && err != nil {
			return err
		}
		out, used := dots.decode(b.out[:0], b.in[:n])
		w.source.unread(b.in[used:n])
		if _, err := to.Write(out); err != nil {
			return err
		}
	}
	return nil
}
