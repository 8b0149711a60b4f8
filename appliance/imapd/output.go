package imapd

import (
	"io"
	"sync"
)

// spillAt is how much is collected before it is written: what fits one TLS
// record.
const spillAt = 16 << 10

// maxPooled is the largest buffer that is given back to the pool.
const maxPooled = 2*spillAt + 4<<10

var outputPool = sync.Pool{New: func() any {
	b := make([]byte, 0, 2*spillAt)
	return &b
}}

// An output collects what is said to the client. Responses are appended to
// buf with the append functions of imapwire, each followed by a call of done.
// It is written in pieces of 16 KiB or more, and whatever is left before the
// server waits for the client; then the buffer goes back to the pool. It
// belongs to the connection's goroutine.
type output struct {
	dst  io.Writer
	buf  []byte
	box  *[]byte      // the pool's; nil while there is no buffer
	err  error        // the first error of a write; nothing is written after it
	seen func([]byte) // trace, or nil
}

// begin makes sure that there is a buffer. buf may be appended to then.
func (o *output) begin() {
	if o.box == nil {
		o.box = outputPool.Get().(*[]byte)
		o.buf = (*o.box)[:0]
	}
}

// line appends parts and CRLF.
func (o *output) line(parts ...string) {
	o.begin()
	for _, p := range parts {
		o.buf = append(o.buf, p...)
	}
	o.buf = append(o.buf, '\r', '\n')
	o.done()
}

// done ends a response or a part of one: it writes if enough has come together.
func (o *output) done() {
	if len(o.buf) >= spillAt {
		o.write()
	}
}

func (o *output) write() {
	if len(o.buf) > 0 && o.err == nil {
		if o.seen != nil {
			o.seen(o.buf)
		}
		_, o.err = o.dst.Write(o.buf)
	}
	o.buf = o.buf[:0]
}

// flush writes everything and gives the buffer back.
func (o *output) flush() error {
	if o.box == nil {
		return o.err
	}
	o.write()
	if cap(o.buf) <= maxPooled {
		*o.box = o.buf[:0]
		outputPool.Put(o.box)
	}
	o.box, o.buf = nil, nil
	return o.err
}

// copyN appends exactly n octets of r. What r is short of is filled up with
// blanks, since the client has been told n already; then the error is
// io.ErrUnexpectedEOF or what r returned.
func (o *output) copyN(r io.Reader, n int64) error {
	o.begin()
	var fault error
	for n > 0 && o.err == nil {
		room := int64(spillAt - len(o.buf))
		if room <= 0 {
			o.write()
			continue
		}
		start := len(o.buf)
		o.buf = extend(o.buf, int(min(room, n)))
		free := o.buf[start:]
		got, err := 0, error(nil)
		if fault == nil {
			got, err = io.ReadFull(r, free)
		}
		if err != nil {
			fault = err
			if err == io.EOF {
				fault = io.ErrUnexpectedEOF
			}
		}
		for i := range free[got:] {
			free[got+i] = ' '
		}
		n -= int64(len(free))
	}
	o.done()
	return fault
}

// extend makes b n octets longer; what they are is not said.
func extend(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b[:len(b)+n]
	}
	return append(b, make([]byte, n)...)
}
