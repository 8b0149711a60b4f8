package imapd

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

var errLineTooLong = errors.New("the line is too long")

// maxDrain is how much of a line that is refused is read and thrown away
// before the connection is given up.
const maxDrain = 16 << 20

var errDrainedEnough = &linkError{errors.New("the refused input does not end")}

// inputSize is the size of the read buffers, which are given back while the
// client says nothing.
const inputSize = 4 << 10

var inputPool = sync.Pool{New: func() any { return new([inputSize]byte) }}

// An input reads what the client sends: lines, and literals of a given size.
// It belongs to the connection's goroutine.
type input struct {
	src    io.Reader
	before func() error // called before each read from src, which may block

	first [64]byte         // where the first octets after a wait arrive
	buf   *[inputSize]byte // nil while nothing is buffered
	r, w  int              // buf[r:w] is not consumed yet

	draining bool // a line was too long; its rest is being thrown away
	drained  int64
	tail     []byte // the end of the line that is being thrown away
}

// tailSize is how much is kept of the end of a line that is thrown away: a
// literal that it announces must be thrown away as well.
const tailSize = 32

// discard forgets what has been received and not been consumed.
func (in *input) discard() {
	in.r, in.w = 0, 0
	in.release()
}

func (in *input) release() {
	if in.buf != nil && in.r == in.w {
		inputPool.Put(in.buf)
		in.buf, in.r, in.w = nil, 0, 0
	}
}

// fill waits for input. There is some when it returns nil.
func (in *input) fill() error {
	if in.r < in.w {
		return nil
	}
	in.release()
	if err := in.before(); err != nil {
		return err
	}
	n, err := in.src.Read(in.first[:])
	if n == 0 {
		return err
	}
	in.buf = inputPool.Get().(*[inputSize]byte)
	in.r, in.w = 0, copy(in.buf[:], in.first[:n])
	return nil
}

// readLine appends the octets of a line to dst, with its CRLF or LF. When
// it returns errWoken, call it again with what it returned. A line of more
// than limit octets is read to its end and then errLineTooLong; tail has its
// last octets then.
func (in *input) readLine(dst []byte, limit int) ([]byte, error) {
	for {
		if err := in.fill(); err != nil {
			return dst, err
		}
		chunk := in.buf[in.r:in.w]
		end := bytes.IndexByte(chunk, '\n') + 1
		if end > 0 {
			chunk = chunk[:end]
		}
		in.r += len(chunk)
		if !in.draining && len(dst)+len(chunk) > limit {
			in.draining, in.drained, in.tail = true, 0, nil
		}
		if !in.draining {
			dst = append(dst, chunk...)
		} else if err := in.throwAway(chunk); err != nil {
			return dst, err
		}
		if end == 0 {
			continue
		}
		if in.draining {
			in.draining = false
			return dst, errLineTooLong
		}
		return dst, nil
	}
}

func (in *input) throwAway(chunk []byte) error {
	if in.drained += int64(len(chunk)); in.drained > maxDrain {
		return errDrainedEnough
	}
	in.tail = append(in.tail, chunk[max(0, len(chunk)-tailSize):]...)
	in.tail = append(in.tail[:0], in.tail[max(0, len(in.tail)-tailSize):]...)
	return nil
}

// Read reads octets of a literal: first what is buffered, then straight from
// the client into p.
func (in *input) Read(p []byte) (int, error) {
	if in.r < in.w {
		n := copy(p, in.buf[in.r:in.w])
		in.r += n
		return n, nil
	}
	in.release()
	if err := in.before(); err != nil {
		return 0, err
	}
	return in.src.Read(p)
}
