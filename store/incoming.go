package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// memoryLimit is how much of a message is kept in memory while it is received.
const memoryLimit = 64 << 10

// bufferPool holds the buffers of messages being received, 64 KiB each.
type bufferPool struct{ p sync.Pool }

func (b *bufferPool) get() *[]byte {
	if v, ok := b.p.Get().(*[]byte); ok {
		return v
	}
	s := make([]byte, 0, memoryLimit)
	return &s
}

func (b *bufferPool) put(s *[]byte) {
	*s = (*s)[:0]
	b.p.Put(s)
}

// An Incoming is a message being received: up to 64 KiB of it in memory, a
// longer one in a spool file. A bare LF becomes CRLF as it is written; a bare
// CR stays. It has one user at a time.
type Incoming struct {
	s       *Store
	buf     *[]byte // nil: closed
	file    *os.File
	spooled int64 // octets in file
	size    int64
	cr      bool // the last octet written was CR
	err     error
}

// NewIncoming returns an empty message. Close it when it is delivered or given up.
func (s *Store) NewIncoming() *Incoming {
	return &Incoming{s: s, buf: s.buffers.get()}
}

// Write adds to the message. After an error, which is ErrDiskFull when the
// spool is full, every Write and delivery fails with it.
func (in *Incoming) Write(b []byte) (int, error) {
	if in.buf == nil {
		return 0, ErrClosed
	}
	total := len(b)
	for len(b) > 0 && in.err == nil {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			in.add(b)
			in.cr = b[len(b)-1] == '\r'
			break
		}
		bare := i == 0 && !in.cr || i > 0 && b[i-1] != '\r'
		if bare {
			in.add(b[:i])
			in.add(crlf)
		} else {
			in.add(b[:i+1])
		}
		in.cr = false
		b = b[i+1:]
	}
	if in.err != nil {
		return 0, in.err
	}
	return total, nil
}

var crlf = []byte("\r\n")

func (in *Incoming) add(b []byte) {
	in.size += int64(len(b))
	for len(b) > 0 && in.err == nil {
		n := min(len(b), memoryLimit-len(*in.buf))
		*in.buf = append(*in.buf, b[:n]...)
		if b = b[n:]; len(b) > 0 || in.file != nil && len(*in.buf) == memoryLimit {
			in.spill()
		}
	}
}

// spill moves what is in memory to the spool file, from which it is read back.
func (in *Incoming) spill() {
	if in.file == nil {
		f, err := in.s.spool.get()
		if err != nil {
			in.err = diskError(fmt.Errorf("opening a spool file: %w", err))
			return
		}
		in.file = f
	}
	if err := in.s.disk.makeRoom(int64(len(*in.buf))); err != nil {
		in.err = err
		return
	}
	if _, err := in.file.WriteAt(*in.buf, in.spooled); err != nil {
		in.err = diskError(fmt.Errorf("spooling a message: %w", err))
	}
	in.spooled += int64(len(*in.buf))
	*in.buf = (*in.buf)[:0]
}

// Reader reads the message from its beginning. It is valid until the next Write
// or Close; several may be used one after the other or side by side.
func (in *Incoming) Reader() io.Reader {
	if in.buf == nil {
		return errReader{ErrClosed}
	}
	if in.err != nil {
		return errReader{in.err}
	}
	tail := bytes.NewReader(*in.buf)
	if in.file == nil {
		return tail
	}
	return io.MultiReader(io.NewSectionReader(in.file, 0, in.spooled), tail)
}

// readAt reads from anywhere in the message, as io.ReaderAt.
func (in *Incoming) readAt(b []byte, off int64) (n int, err error) {
	if in.buf == nil {
		return 0, ErrClosed
	}
	if in.err != nil {
		return 0, in.err
	}
	if off < in.spooled {
		if n, err = in.file.ReadAt(b[:min(int64(len(b)), in.spooled-off)], off); err != nil {
			return n, err
		}
	}
	if at := off + int64(n) - in.spooled; n < len(b) && at < int64(len(*in.buf)) {
		n += copy(b[n:], (*in.buf)[at:])
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// Close gives back memory and spool file. It may be called twice.
func (in *Incoming) Close() error {
	if in.buf == nil {
		return nil
	}
	in.s.buffers.put(in.buf)
	in.buf = nil
	if in.file == nil {
		return nil
	}
	f := in.file
	in.file = nil
	return in.s.spool.put(f)
}

// A spool is the directory of messages being received. Its files have no names:
// whatever ends the program, nothing is left of what was never acknowledged. Some
// of them are used again, since file systems take long to make and remove files.
type spool struct {
	dir string

	mu   sync.Mutex // guards what follows
	idle []*os.File // empty
	shut bool
}

const (
	spoolPrefix  = "in-"
	maxIdleFiles = 4
)

// openSpool opens the spool, and removes files from between their making and the
// removal of their names.
func openSpool(dir string) (*spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	old, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, f := range old {
		if !strings.HasPrefix(f.Name(), spoolPrefix) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("cleaning the spool: %w", err)
		}
	}
	return &spool{dir: dir}, nil
}

// get returns an empty file.
func (s *spool) get() (*os.File, error) {
	if f := s.take(); f != nil {
		return f, nil
	}
	f, err := os.CreateTemp(s.dir, spoolPrefix)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// take returns an idle file, nil if there is none.
func (s *spool) take() (f *os.File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.idle); n > 0 {
		f, s.idle = s.idle[n-1], s.idle[:n-1]
	}
	return f
}

// put takes a file back.
func (s *spool) put(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return errors.Join(err, f.Close())
	}
	if !s.keep(f) {
		return f.Close()
	}
	return nil
}

// keep makes f an idle file, if there is room for one more.
func (s *spool) keep(f *os.File) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut || len(s.idle) == maxIdleFiles {
		return false
	}
	s.idle = append(s.idle, f)
	return true
}

// close gives the files back. Those of messages that are still being received
// follow them.
func (s *spool) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
	var errs []error
	for _, f := range s.idle {
		errs = append(errs, f.Close())
	}
	s.idle = nil
	return errors.Join(errs...)
}
