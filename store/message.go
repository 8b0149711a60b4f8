package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"sync"

	"letterbox/store/index"
	"letterbox/store/message"
)

// A Message is an open message. It stays readable when the message is expunged.
// Its methods may be used by several goroutines.
type Message struct {
	m    *Mailbox
	uid  UID
	f    *os.File
	size int64
	crlf bool
	info *message.Structure // nil: the index has it

	mu    sync.Mutex // guards what follows: reading a file with bare LFs
	place wirePlace
	marks []wirePlace // ascending, at least markStep apart: reading back begins at one
}

// A wirePlace is a place in a file with bare LFs, by its offset in the wire form.
type wirePlace struct {
	at   int64
	wire message.WireReader
}

// maxMarks bounds the places that are remembered of one message.
const maxMarks = 256

// markStep is how far they lie apart.
func (m *Message) markStep() int64 { return max(64<<10, m.size/maxMarks) }

// Message opens a message; ErrExpunged if it is gone. Close it.
func (m *Mailbox) Message(uid UID) (_ *Message, err error) {
	f, err := m.openFile(uid)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	r, err := m.record(uid)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	// A name can lie about sizes and line ends; what is served is what is there.
	if r.Bits&index.Parsed == 0 || r.Bits&index.CRLF != 0 && fi.Size() != r.Size() {
		s, err := m.parse(uid)
		if err != nil {
			return nil, err
		}
		return &Message{m: m, uid: uid, f: f, size: s.Size, crlf: s.CRLF, info: s}, nil
	}
	return &Message{m: m, uid: uid, f: f, size: r.Size(), crlf: r.Bits&index.CRLF != 0}, nil
}

// Close closes the file.
func (m *Message) Close() error { return m.f.Close() }

// Size returns the message's size in octets, wire form.
func (m *Message) Size() int64 { return m.size }

// Structure returns the message's parts.
func (m *Message) Structure() (*message.Structure, error) {
	if m.info != nil {
		return m.info, nil
	}
	s, err := m.m.structure(m.uid)
	if errors.Is(err, ErrExpunged) {
		return m.parseOpen()
	}
	return s, err
}

// parseOpen takes the open file apart, which has lost its name.
func (m *Message) parseOpen() (*message.Structure, error) {
	p := message.NewParser()
	if _, err := io.Copy(p, io.NewSectionReader(m.f, 0, 1<<62)); err != nil {
		return nil, fmt.Errorf("reading message %d: %w", m.uid, err)
	}
	return p.Close(), nil
}

// ReadAt reads octets of the wire form.
func (m *Message) ReadAt(b []byte, off int64) (int, error) {
	if m.crlf {
		return m.f.ReadAt(b, off)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.seek(off); err != nil {
		return 0, err
	}
	n, err := io.ReadFull(&m.place.wire, b)
	m.advance(int64(n))
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}

// seek goes to an offset of the wire form. The caller holds mu.
func (m *Message) seek(off int64) error {
	i := sort.Search(len(m.marks), func(i int) bool { return m.marks[i].at > off })
	if i > 0 && (off < m.place.at || m.place.at < m.marks[i-1].at) {
		m.place = m.marks[i-1]
	} else if i == 0 && (off < m.place.at || len(m.marks) == 0) {
		m.place = wirePlace{wire: message.NewWireReader(m.f)}
		m.marks = append(m.marks[:0], m.place)
	}
	for m.place.at < off {
		n, err := io.CopyN(io.Discard, &m.place.wire, min(off-m.place.at, m.markStep()))
		m.advance(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// advance notes that n octets were read. The caller holds mu.
func (m *Message) advance(n int64) {
	m.place.at += n
	if last := m.marks[len(m.marks)-1].at; m.place.at >= last+m.markStep() && len(m.marks) <= maxMarks {
		m.marks = append(m.marks, m.place)
	}
}

// Section returns a reader of n octets of the wire form from off on.
func (m *Message) Section(off, n int64) io.Reader { return io.NewSectionReader(m, off, n) }
