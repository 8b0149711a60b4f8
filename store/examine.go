package store

import (
	"errors"
	"io"
	"io/fs"
	"sync"

	"letterbox/store/index"
	"letterbox/store/maildir"
	"letterbox/store/message"
)

// examine makes the record of a file that was found. The file itself is only
// read later, by readAhead or by who wants to know more: also where neither
// its name nor its line in dovecot-uidlist tells its size on the wire. Errors
// wrap fs.ErrNotExist when it is gone, errNoMessage when it is none. One that
// cannot be read is a message all the same, and one that the index has no room for.
func (m *Mailbox) examine(e maildir.Entry, line listed, listed maildir.Sizes, guid string) (index.Record, error) {
	r := index.Record{UID: line.uid, Saved: line.saved, Hash: index.Hash(e.Name.Base)}
	fi, err := m.folder.Stat(e.Ref())
	if errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	if err != nil || !fi.Mode().IsRegular() {
		return r, errNoMessage
	}
	r.SetDate(fi.ModTime().Unix())
	if r.Saved == 0 {
		r.Saved = seconds32(bornAt(e.Name.Base))
	}
	entry := index.Entry{index.BaseName: []byte(e.Name.Base), index.GUID: []byte(guid)}
	sizes := e.Name.Sizes()
	if sizes.Physical < 0 {
		sizes.Physical = listed.Physical
	}
	if sizes.Virtual < 0 {
		sizes.Virtual = listed.Virtual
	}
	believe(&r, fi.Size(), sizes)
	m.appendData(&r, &entry)
	return r, nil
}

// believe notes in r the size on the wire that the name of a file tells, if it
// can be true of the file; else the file's own.
func believe(r *index.Record, size int64, told maildir.Sizes) {
	r.SetSize(size)
	if told.Virtual >= size && told.Virtual <= 2*size && (told.Physical < 0 || told.Physical == size) {
		r.SetSize(told.Virtual)
		r.Bits |= index.Sized
		if told.Virtual == size {
			r.Bits |= index.CRLF
		}
	}
}

// errNoMessage says that a directory entry among the messages is none.
var errNoMessage = errors.New("it is not a message")

// describe notes in r what parsing found.
func describe(r *index.Record, s *message.Structure) {
	r.SetSize(s.Size)
	r.Bits |= index.Sized | index.Parsed
	if r.Bits &^= index.CRLF; s.CRLF {
		r.Bits |= index.CRLF
	}
}

// parseFile reads a message from its beginning. On an error, the structure is
// that of what could be read.
func (s *Store) parseFile(f io.Reader) (*message.Structure, error) {
	buf := s.buffers.get()
	defer s.buffers.put(buf)
	p := s.parsers.get()
	defer s.parsers.put(p)
	_, err := io.CopyBuffer(p, readerOnly{f}, (*buf)[:memoryLimit])
	return p.Close(), err
}

// A parserPool holds parsers that are not at work.
type parserPool struct{ p sync.Pool }

func (pp *parserPool) get() *message.Parser {
	if p, ok := pp.p.Get().(*message.Parser); ok {
		p.Reset()
		return p
	}
	return message.NewParser()
}

func (pp *parserPool) put(p *message.Parser) { pp.p.Put(p) }

// readerOnly hides the methods that would make io.CopyBuffer ignore its buffer.
type readerOnly struct{ io.Reader }
