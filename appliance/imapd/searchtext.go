package imapd

import (
	"io"

	"letterbox/store"
	"letterbox/store/message"
)

// A candidate is the message that a search looks at. What its tests need is
// fetched once.
type candidate struct {
	c     *conn
	meta  *store.Meta
	index int // in the view

	env     *message.Envelope
	scratch []byte
	file    *openMessage
}

// set makes m the candidate for another message.
func (m *candidate) set(meta *store.Meta, index int) {
	m.release()
	m.meta, m.index, m.env = meta, index, nil
}

func (m *candidate) release() {
	if m.file != nil {
		m.file.Close()
		m.file = nil
	}
}

func (m *candidate) size() (int64, error) {
	if m.meta.Size < 0 {
		size, err := m.c.view.box.Size(m.meta.UID)
		if err != nil {
			return 0, err
		}
		m.meta.Size = size
	}
	return m.meta.Size, nil
}

func (m *candidate) envelope() (*message.Envelope, error) {
	if m.env != nil {
		return m.env, nil
	}
	var err error
	if m.scratch, err = m.c.view.box.AppendEnvelope(m.scratch[:0], m.meta.UID); err != nil {
		return nil, err
	}
	env, err := message.EnvelopeFields(m.scratch)
	if err != nil {
		return nil, err
	}
	m.env = &env
	return m.env, nil
}

func (m *candidate) open() (*openMessage, error) {
	if m.file == nil {
		// A file is opened for each message: the moment to notice an end.
		if m.c.ending() {
			return nil, errEnded
		}
		var err error
		if m.file, err = m.c.openMessage(m.meta.UID); err != nil {
			return nil, err
		}
	}
	return m.file, nil
}

// holds reports whether a search finds something in the message: by the text that
// the store keeps of it where that can tell, else by reading it.
func (m *candidate) holds(q *message.Search) (bool, error) {
	if m.c.ending() {
		return false, errEnded
	}
	if found, known := m.c.view.box.Search(m.meta.UID, q); known {
		return found, nil
	}
	f, err := m.open()
	if err != nil {
		return false, err
	}
	return q.InMessage(endingReader{m.c, f}, f.structure)
}

// An endingReader reads a message until long commands should give up.
type endingReader struct {
	c *conn
	r io.ReaderAt
}

func (e endingReader) ReadAt(b []byte, off int64) (int, error) {
	if e.c.ending() {
		return 0, errEnded
	}
	return e.r.ReadAt(b, off)
}
