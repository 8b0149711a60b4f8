package imapd

import (
	"bytes"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

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

// headerHas reports whether a field of that name, in lower case, holds n.
func (m *candidate) headerHas(field string, n *needle) (bool, error) {
	f, err := m.open()
	if err != nil {
		return false, err
	}
	found := false
	r := f.structure.Parts[0].Header
	err = message.ScanHeader(f.Section(r.Offset, r.Len), func(name string, value []byte) bool {
		found = strings.EqualFold(name, field) && n.in(message.DecodeHeaderText(value))
		return !found
	})
	return found, err
}

// textHas reports whether the header or the body holds n.
func (m *candidate) textHas(n *needle) (bool, error) {
	f, err := m.open()
	if err != nil {
		return false, err
	}
	if found, err := f.anyField(0, n); found || err != nil {
		return found, err
	}
	return m.bodyHas(n)
}

// bodyHas reports whether the body holds n: the text parts, decoded, and the
// headers of parts and of messages inside. Text in an unknown encoding is
// searched as it is.
func (m *candidate) bodyHas(n *needle) (bool, error) {
	f, err := m.open()
	if err != nil {
		return false, err
	}
	for i := range f.structure.Parts {
		if i > 0 {
			if found, err := f.anyField(i, n); found || err != nil {
				return found, err
			}
		}
		if p := &f.structure.Parts[i]; p.First == 0 && (p.Type == "TEXT" || p.Type == "") {
			found, err := n.inReader(message.NewTextReader(f.Section(p.Body.Offset, p.Body.Len), p.Encoding, p.Charset))
			if found || err != nil {
				return found, err
			}
		}
		if m.c.ending() {
			return false, errEnded
		}
	}
	return false, nil
}

// anyField reports whether a header field of a part holds n, in its name or
// its value.
func (f *openMessage) anyField(part int, n *needle) (found bool, err error) {
	r := f.structure.Parts[part].Header
	err = message.ScanHeader(f.Section(r.Offset, r.Len), func(name string, value []byte) bool {
		found = n.in(name + ": " + message.DecodeHeaderText(value))
		return !found
	})
	return found, err
}

// A needle is a string that is looked for without regard to case, in
// any script, and however accented letters are composed (RFC 5051).
type needle struct{ folded []byte }

func newNeedle(s string) *needle { return &needle{appendFolded(nil, []byte(s))} }

// in reports whether s holds the needle.
func (n *needle) in(s string) bool {
	box := outputPool.Get().(*[]byte)
	defer outputPool.Put(box)
	if len(s) <= spillAt/2 {
		return bytes.Contains(appendFolded((*box)[:0], []byte(s)), n.folded)
	}
	return bytes.Contains(appendFolded(nil, []byte(s)), n.folded)
}

// inReader reports whether UTF-8 text holds the needle, keeping a bounded
// part of the text.
func (n *needle) inReader(r io.Reader) (bool, error) {
	if len(n.folded) == 0 {
		return true, nil
	}
	rawBox, foldBox := outputPool.Get().(*[]byte), outputPool.Get().(*[]byte)
	defer outputPool.Put(rawBox)
	defer outputPool.Put(foldBox)
	raw := (*rawBox)[:4<<10]
	folded := (*foldBox)[:0]
	rest := 0 // octets of an unfinished rune at the start of raw
	for {
		got, err := r.Read(raw[rest:])
		text := raw[:rest+got]
		whole := len(text)
		if err == nil {
			whole -= unfinished(text)
		}
		folded = appendFolded(folded, text[:whole])
		if bytes.Contains(folded, n.folded) {
			return true, nil
		}
		keep := min(len(folded), len(n.folded)-1)
		folded = append(folded[:0], folded[len(folded)-keep:]...)
		rest = copy(raw, text[whole:])
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// unfinished is how many octets at the end of b begin a rune that is not all
// there.
func unfinished(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if tail := b[len(b)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}

// appendFolded appends UTF-8 text with its differences of case and of
// composition taken away.
func appendFolded(dst, text []byte) []byte {
	for len(text) > 0 {
		if b := text[0]; b < utf8.RuneSelf {
			if 'A' <= b && b <= 'Z' {
				b += 'a' - 'A'
			}
			dst = append(dst, b)
			text = text[1:]
			continue
		}
		p := norm.NFKD.Properties(text)
		r, size := utf8.DecodeRune(text)
		if d := p.Decomposition(); d != nil && size == p.Size() {
			for len(d) > 0 {
				r, n := utf8.DecodeRune(d)
				dst = utf8.AppendRune(dst, foldRune(r))
				d = d[n:]
			}
		} else {
			dst = utf8.AppendRune(dst, foldRune(r))
		}
		text = text[size:]
	}
	return dst
}

func foldRune(r rune) rune { return unicode.ToLower(unicode.ToUpper(r)) }
