package imapd

import (
	"bytes"
	"errors"
	"io"

	"letterbox/appliance/imapwire"
)

// produced writes as a literal the part p of what produce writes. The size of a
// literal goes before it, so that produce runs once to measure and, if
// that was more than fits a buffer, once more to write. It must write the same
// both times.
func (c *conn) produced(p imapwire.Partial, produce func(io.Writer) error) error {
	m := newMeasure()
	defer m.release()
	if err := produce(m); err != nil {
		c.out.buf = append(c.out.buf, "NIL"...)
		return err
	}
	off, n := window(p, m.size)
	c.literalHead(n, m.hasNUL) // RFC 3516: literal8 where there is a NUL
	if m.whole() {
		return c.out.copyN(bytes.NewReader((*m.box)[off:off+n]), n)
	}
	w := &windowWriter{out: &c.out, skip: off, left: n}
	err := produce(w)
	if errors.Is(err, errWindowDone) {
		err = nil
	}
	if w.left > 0 {
		err = errors.Join(err, c.out.copyN(eof{}, w.left)) // keeps the promise of the size
	}
	c.out.done()
	return err
}

// A measure counts what is written to it and keeps the first of it.
type measure struct {
	box    *[]byte // the pool's
	size   int64
	hasNUL bool
}

func newMeasure() *measure { return &measure{box: outputPool.Get().(*[]byte)} }

func (m *measure) release() {
	*m.box = (*m.box)[:0]
	outputPool.Put(m.box)
}

// whole reports whether everything has been kept.
func (m *measure) whole() bool { return m.size == int64(len(*m.box)) }

func (m *measure) Write(b []byte) (int, error) {
	if m.whole() && len(*m.box)+len(b) <= cap(*m.box) {
		*m.box = append(*m.box, b...)
	}
	m.size += int64(len(b))
	m.hasNUL = m.hasNUL || bytes.IndexByte(b, 0) >= 0
	return len(b), nil
}

var errWindowDone = errors.New("no more is wanted")

// A windowWriter hands on left octets after the first skip.
type windowWriter struct {
	out        *output
	skip, left int64
}

func (w *windowWriter) Write(b []byte) (int, error) {
	size := len(b)
	drop := min(w.skip, int64(len(b)))
	w.skip -= drop
	b = b[drop:]
	b = b[:min(w.left, int64(len(b)))]
	w.left -= int64(len(b))
	w.out.begin()
	w.out.buf = append(w.out.buf, b...)
	w.out.done()
	switch {
	case w.out.err != nil:
		return size, w.out.err
	case w.left == 0:
		return size, errWindowDone
	}
	return size, nil
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }
