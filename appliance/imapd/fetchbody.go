package imapd

import (
	"io"
	"strconv"

	"letterbox/appliance/imapwire"
	"letterbox/store"
	"letterbox/store/message"
)

// An openMessage is a message whose file is open, with its structure.
type openMessage struct {
	*store.Message
	structure *message.Structure
}

func (c *conn) openMessage(uid store.UID) (*openMessage, error) {
	msg, err := c.view.box.Message(uid)
	if err != nil {
		return nil, err
	}
	s, err := msg.Structure()
	if err != nil {
		msg.Close()
		return nil, err
	}
	return &openMessage{msg, s}, nil
}

// text is a reader of a range of the message as it may stand in a literal:
// NUL is not allowed there (RFC 9051, 4.3; see package message).
func (m *openMessage) text(r message.Range) io.Reader {
	reader := m.Section(r.Offset, r.Len)
	if m.structure.HasNUL {
		return message.NewNULReader(reader)
	}
	return reader
}

// section writes one data item that comes from the message: its name and
// its octets.
func (c *conn) section(m *openMessage, item imapwire.FetchItem) error {
	c.out.begin()
	c.out.buf = append(item.AppendName(c.out.buf), ' ')
	switch item.Kind {
	case imapwire.FetchBinary:
		return c.binary(m, item)
	case imapwire.FetchBinarySize:
		return c.binarySize(m, item)
	case imapwire.FetchRFC822:
		return c.octets(m, message.Range{Len: m.Size()}, item.Partial)
	}
	what, fields := sectionOf(item)
	r, ok := m.structure.Section(item.Section.Part, what)
	switch {
	case !ok:
		c.noPart()
		return nil
	case fields:
		return c.headerFields(m, r, item)
	}
	return c.octets(m, r, item.Partial)
}

// sectionOf translates what stands in brackets; fields: only some fields of
// the header are wanted.
func sectionOf(item imapwire.FetchItem) (what message.Section, fields bool) {
	switch item.Kind {
	case imapwire.FetchRFC822Header:
		return message.SectionHeader, false
	case imapwire.FetchRFC822Text:
		return message.SectionText, false
	}
	switch item.Section.Spec {
	case imapwire.SectionHeader:
		return message.SectionHeader, false
	case imapwire.SectionHeaderFields, imapwire.SectionHeaderFieldsNot:
		return message.SectionHeader, true
	case imapwire.SectionText:
		return message.SectionText, false
	case imapwire.SectionMIME:
		return message.SectionMIME, false
	}
	return message.SectionBody, false
}

// noPart writes what stands for a part that does not exist: an empty literal, as
// in Dovecot, where RFC 9051 leaves room for NIL, which programs do not expect.
func (c *conn) noPart() { c.literalHead(0, false) }

// octets writes a range of the message by offset.
func (c *conn) octets(m *openMessage, r message.Range, p imapwire.Partial) error {
	off, n := window(p, r.Len)
	c.literalHead(n, false)
	return c.out.copyN(m.text(message.Range{Offset: r.Offset + off, Len: n}), n)
}

// window is the part of size octets that a partial names.
func window(p imapwire.Partial, size int64) (off, n int64) {
	if !p.Set {
		return 0, size
	}
	off = min(p.Offset, size)
	return off, min(p.Length, size-off)
}

// literalHead announces n octets; they follow.
func (c *conn) literalHead(n int64, binary bool) {
	c.out.begin()
	c.out.buf = imapwire.AppendLiteralHeader(c.out.buf, n, binary)
}

// headerFields writes the fields of a header that were asked for.
func (c *conn) headerFields(m *openMessage, header message.Range, item imapwire.FetchItem) error {
	not := item.Section.Spec == imapwire.SectionHeaderFieldsNot
	return c.produced(item.Partial, func(w io.Writer) error {
		return message.FilterHeader(w, m.text(header), item.Section.Fields, not)
	})
}

// checkEncodings refuses a FETCH BINARY of a part whose encoding is unknown,
// before anything is written (RFC 9051, 6.4.5; RFC 3516, 4.3).
func (m *openMessage) checkEncodings(items []imapwire.FetchItem) error {
	for _, item := range items {
		if item.Kind != imapwire.FetchBinary && item.Kind != imapwire.FetchBinarySize {
			continue
		}
		if _, enc, ok := m.binaryPart(item); ok && enc == message.EncodingOther {
			return no(codeUnknownCTE, "the encoding of a part is not known here")
		}
	}
	return nil
}

// binaryPart finds what BINARY decodes: the body of a part, or the whole
// message as it is.
func (m *openMessage) binaryPart(item imapwire.FetchItem) (r message.Range, enc message.Encoding, ok bool) {
	path := item.Section.Part
	if len(path) == 0 {
		return message.Range{Len: m.Size()}, message.EncodingBinary, true
	}
	r, ok = m.structure.Section(path, message.SectionBody)
	if !ok {
		return r, 0, false
	}
	part, ok := m.structure.Find(path)
	if !ok {
		return r, 0, false
	}
	p := &m.structure.Parts[part]
	if p.IsMultipart() || p.IsMessage() {
		return r, message.EncodingBinary, true // RFC 2045, 6.4: these are never encoded
	}
	return r, p.Encoding, true
}

// decoded copies the decoded content of a part to w.
func (m *openMessage) decoded(w io.Writer, r message.Range, enc message.Encoding) error {
	box := outputPool.Get().(*[]byte)
	defer outputPool.Put(box)
	_, err := io.CopyBuffer(onlyWriter{w}, onlyReader{message.DecodeTransfer(m.Section(r.Offset, r.Len), enc)}, (*box)[:spillAt])
	return err
}

// onlyWriter and onlyReader keep io.CopyBuffer from taking a shortcut that
// needs a buffer of its own.
type (
	onlyWriter struct{ io.Writer }
	onlyReader struct{ io.Reader }
)

// binary writes BINARY[part]<partial>: the part without its transfer
// encoding (RFC 3516).
func (c *conn) binary(m *openMessage, item imapwire.FetchItem) error {
	r, enc, ok := m.binaryPart(item)
	if !ok {
		c.noPart()
		return nil
	}
	return c.produced(item.Partial, func(w io.Writer) error { return m.decoded(w, r, enc) })
}

// binarySize writes BINARY.SIZE[part]: the exact size, which only decoding
// tells.
func (c *conn) binarySize(m *openMessage, item imapwire.FetchItem) error {
	var size counter
	if r, enc, ok := m.binaryPart(item); ok {
		if err := m.decoded(&size, r, enc); err != nil {
			c.out.buf = append(c.out.buf, '0')
			return err
		}
	}
	c.out.buf = strconv.AppendInt(c.out.buf, int64(size), 10)
	return nil
}

type counter int64

func (n *counter) Write(b []byte) (int, error) {
	*n += counter(len(b))
	return len(b), nil
}
