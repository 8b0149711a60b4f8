package store

import (
	"errors"
	"io"
	"runtime"
	"sync"

	"letterbox/store/index"
	"letterbox/store/message"
)

// textMakers make the search texts of messages, as many at a time as there are
// processors, two at most: more would only wait for each other.
type textMakers struct {
	turn chan struct{}
	p    sync.Pool
}

func newTextMakers() *textMakers {
	return &textMakers{turn: make(chan struct{}, min(runtime.GOMAXPROCS(0), 2))}
}

// make makes the text of a message in wire form. The error is that of wire.
func (t *textMakers) make(wire io.ReaderAt, s *message.Structure) (*index.TextEntry, error) {
	t.turn <- struct{}{}
	defer func() { <-t.turn }()
	maker, ok := t.p.Get().(*index.TextMaker)
	if !ok {
		maker = index.NewTextMaker()
	}
	defer t.p.Put(maker)
	head, err := message.WriteSearchText(maker, wire, s)
	if err != nil && !errors.Is(err, index.ErrTextFull) {
		maker.Reset()
		return nil, err
	}
	return maker.Entry(head), nil
}

// appendText writes the text of a message, if it has one, and returns what the
// data entry says of it. Where that does not succeed the message is without: whoever
// searches it reads it. The caller holds writeMu.
func (m *Mailbox) appendText(r *index.Record, text *index.TextEntry) (place []byte) {
	r.Bits &^= index.HasText
	if text == nil || !m.x.Text().Kept() {
		return nil
	}
	place, err := m.x.Text().Append(r.UID, text)
	if err != nil {
		m.a.s.log.Warn("writing the search text", "person", m.a.person, "mailbox", m.name, "err", err)
		return nil
	}
	r.Bits |= index.HasText
	return place
}

// copyText is appendText for the text of message old in another mailbox, which
// is at a place there.
func (m *Mailbox) copyText(r *index.Record, from *Mailbox, old index.Record, place []byte) []byte {
	r.Bits &^= index.HasText
	if old.Bits&index.HasText == 0 || !m.x.Text().Kept() {
		return nil
	}
	place, err := m.x.Text().AppendFrom(from.x.Text(), place, old.UID, r.UID)
	if err != nil {
		m.a.s.log.Debug("copying the search text", "person", m.a.person, "mailbox", m.name, "err", err)
		return nil
	}
	r.Bits |= index.HasText
	return place
}

// Search looks for something in a message by what the caches hold of its text.
// known is false where they cannot tell, and the message has to be looked through:
// then q.InMessage gives the answer.
func (m *Mailbox) Search(uid UID, q *message.Search) (found, known bool) {
	text, place, ok := m.textOf(uid)
	if !ok {
		return false, false
	}
	found, err := text.Look(place, uint32(uid), q.Parts(), q.InText)
	if errors.Is(err, index.ErrNoData) {
		m.loseText(uid)
	}
	return found, err == nil
}

// textOf returns where the text of a message is.
func (m *Mailbox) textOf(uid UID) (text *index.Text, place []byte, ok bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.x == nil {
		return nil, nil, false
	}
	i, ok := m.x.Find(uint32(uid))
	if !ok || m.x.Records[i].Bits&index.HasText == 0 {
		return nil, nil, false
	}
	r := &m.x.Records[i]
	place, err := m.x.Data().AppendSection(nil, r.Offset(), r.UID, index.TextPlace)
	return m.x.Text(), place, err == nil
}

// loseText notes that the text of a message turned out not to be there, so that
// it is made again behind whoever wants it now.
func (m *Mailbox) loseText(uid UID) {
	m.writeMu.Lock()
	defer m.writeMu.Unlock()
	if !m.loaded {
		return
	}
	r, err := m.record(uid)
	if err != nil || r.Bits&index.HasText == 0 {
		return
	}
	r.Bits &^= index.HasText
	m.mu.Lock()
	m.x.Put(r)
	m.mu.Unlock()
	m.askReadAhead(r.UID - 1)
}
