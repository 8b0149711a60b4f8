package message

import (
	"bytes"
	"io"
)

// A WireReader serves a stored message in wire form: a bare LF becomes CRLF, all
// else stays as it is. A message whose Structure says CRLF needs none. A copy of
// it goes on by itself from where it was made.
type WireReader struct {
	wire wireReader
	file fileReader
}

// NewWireReader serves the file from its beginning.
func NewWireReader(file io.ReaderAt) WireReader {
	return WireReader{file: fileReader{file: file}}
}

func (w *WireReader) Read(p []byte) (int, error) {
	w.wire.r = &w.file
	return w.wire.Read(p)
}

// fileReader reads a file from an offset on.
type fileReader struct {
	file io.ReaderAt
	off  int64
}

func (f *fileReader) Read(p []byte) (int, error) {
	n, err := f.file.ReadAt(p, f.off)
	f.off += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// NewWireStream serves a stored message in wire form, as WireReader does, as it
// comes.
func NewWireStream(r io.Reader) io.Reader { return &wireReader{r: r} }

type wireReader struct {
	r  io.Reader
	cr bool // the last octet was a CR
	lf bool // a LF is due
}

func (w *wireReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if w.lf {
		p[0], w.lf = '\n', false
		return 1, nil
	}
	if len(p) == 1 {
		n, err := w.r.Read(p)
		if n == 1 && p[0] == '\n' && !w.cr {
			p[0], w.lf = '\r', true
			if err == io.EOF {
				err = nil // not before the LF
			}
			return 1, err
		}
		w.cr = n == 1 && p[0] == '\r' || n == 0 && w.cr
		return n, err
	}
	// Read into the second half: there is room for a CR at every octet.
	half := len(p) / 2
	n, err := w.r.Read(p[half : 2*half])
	return w.expand(p, p[half:half+n]), err
}

// expand copies b, which lies in p far enough behind, to the start of p.
func (w *wireReader) expand(p, b []byte) int {
	n := 0
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			w.cr = b[len(b)-1] == '\r'
			return n + copy(p[n:], b)
		}
		crlf := i > 0 && b[i-1] == '\r' || i == 0 && w.cr
		n += copy(p[n:], b[:i])
		if !crlf {
			p[n] = '\r'
			n++
		}
		p[n] = '\n'
		n++
		w.cr = false
		b = b[i+1:]
	}
	return n
}

// NewNULReader serves 0x80 in place of NUL, for literals: see the package doc.
func NewNULReader(r io.Reader) io.Reader { return nulReader{r} }

type nulReader struct{ r io.Reader }

func (n nulReader) Read(p []byte) (int, error) {
	k, err := n.r.Read(p)
	replaceNUL(p[:k])
	return k, err
}

// replaceNUL puts 0x80 in place of every NUL in b, for those who write a
// literal in pieces of their own.
func replaceNUL(b []byte) {
	for {
		i := bytes.IndexByte(b, 0)
		if i < 0 {
			return
		}
		b[i] = 0x80
		b = b[i+1:]
	}
}
