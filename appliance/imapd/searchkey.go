package imapd

import (
	"slices"
	"strings"
	"time"

	"letterbox/appliance/imapwire"
	"letterbox/store"
	"letterbox/store/message"
)

// What a test needs, from cheap to dear.
const (
	needsIndex    = iota // what Lookup tells
	needsEnvelope        // the cached ENVELOPE
	needsHeader          // the header, from the file
	needsText            // the text of the message
)

// A test is a search key made ready to be held against messages.
type test struct {
	needs int
	match func(*candidate) (bool, error)
}

// A program is a search made ready. Its tests are ordered so that dear ones are
// only made for messages that pass the cheap ones.
type program struct {
	root   test
	domain []imapwire.Span // only these messages can match
	modSeq bool            // MODSEQ is among the keys
}

// A searchCompiler makes a program in the view of one moment.
type searchCompiler struct {
	v        *view
	keywords []string
	now      time.Time
	modSeq   bool
}

func (c *conn) compileSearch(k *imapwire.SearchKey) *program {
	s := &searchCompiler{v: c.view, keywords: c.view.box.Keywords(), now: time.Now()}
	p := &program{root: s.compile(k), domain: wholeView(c.view)}
	p.modSeq = s.modSeq
	if d, ok := s.narrow(k); ok {
		p.domain = d
	}
	return p
}

// narrow finds the smallest set that all results must lie in.
func (s *searchCompiler) narrow(k *imapwire.SearchKey) (best []imapwire.Span, ok bool) {
	switch k.Op {
	case imapwire.SearchSeq, imapwire.SearchUID:
		return s.spans(k), true
	case imapwire.SearchAnd:
		for i := range k.Keys {
			if d, narrower := s.narrow(&k.Keys[i]); narrower && (!ok || spanLen(d) < spanLen(best)) {
				best, ok = d, true
			}
		}
	}
	return best, ok
}

func spanLen(spans []imapwire.Span) (n int) {
	for _, s := range spans {
		n += s.Hi - s.Lo
	}
	return n
}

// spans are the messages of a set among the keys. Here, numbers beyond the
// mailbox just match nothing.
func (s *searchCompiler) spans(k *imapwire.SearchKey) []imapwire.Span {
	switch {
	case k.Set.Saved:
		return s.v.savedSpans(nil)
	case k.Op == imapwire.SearchUID:
		return imapwire.UIDSpans(nil, k.Set, s.v.uids)
	}
	return k.Set.SeqSpans(nil, len(s.v.uids))
}

func (s *searchCompiler) compile(k *imapwire.SearchKey) test {
	switch k.Op {
	case imapwire.SearchAnd:
		return and(s.compileAll(k.Keys))
	case imapwire.SearchOr:
		return or(s.compileAll(k.Keys))
	case imapwire.SearchNot:
		t := s.compile(&k.Keys[0])
		return test{t.needs, func(m *candidate) (bool, error) {
			ok, err := t.match(m)
			return !ok && err == nil, err
		}}
	case imapwire.SearchHeader:
		return compileHeader(k.Field, k.Text)
	case imapwire.SearchBody:
		return compileText(message.BodySearch(k.Text))
	case imapwire.SearchText:
		return compileText(message.TextSearch(k.Text))
	case imapwire.SearchSentBefore, imapwire.SearchSentOn, imapwire.SearchSentSince:
		return compileSent(k)
	case imapwire.SearchLarger:
		return compileSize(func(size int64) bool { return size > k.Number })
	case imapwire.SearchSmaller:
		return compileSize(func(size int64) bool { return size < k.Number })
	}
	match := s.compileIndexed(k)
	return test{needsIndex, func(m *candidate) (bool, error) { return match(m), nil }}
}

func (s *searchCompiler) compileAll(keys []imapwire.SearchKey) []test {
	tests := make([]test, len(keys))
	for i := range keys {
		tests[i] = s.compile(&keys[i])
	}
	slices.SortStableFunc(tests, func(a, b test) int { return a.needs - b.needs })
	return tests
}

// dearest is what a test needs that is made of tests in order.
func dearest(tests []test) int {
	if len(tests) == 0 {
		return needsIndex
	}
	return tests[len(tests)-1].needs
}

func and(tests []test) test {
	if len(tests) == 1 {
		return tests[0]
	}
	return test{dearest(tests), func(m *candidate) (bool, error) {
		for i := range tests {
			if ok, err := tests[i].match(m); !ok || err != nil {
				return false, err
			}
		}
		return true, nil
	}}
}

func or(tests []test) test {
	return test{dearest(tests), func(m *candidate) (bool, error) {
		for i := range tests {
			if ok, err := tests[i].match(m); ok || err != nil {
				return ok, err
			}
		}
		return false, nil
	}}
}

// compileIndexed makes the tests that need nothing but the index.
func (s *searchCompiler) compileIndexed(k *imapwire.SearchKey) func(*candidate) bool {
	day := k.Date.Unix()
	switch k.Op {
	case imapwire.SearchAll:
		return func(*candidate) bool { return true }
	case imapwire.SearchFlag:
		f := s.flag(k.Text)
		return func(m *candidate) bool { return m.meta.Flags&f != 0 }
	case imapwire.SearchRecent: // see describe
		return func(*candidate) bool { return false }
	case imapwire.SearchBefore:
		return func(m *candidate) bool { return m.meta.InternalDate < day }
	case imapwire.SearchOn:
		return func(m *candidate) bool { return m.meta.InternalDate >= day && m.meta.InternalDate < day+86400 }
	case imapwire.SearchSince:
		return func(m *candidate) bool { return m.meta.InternalDate >= day }
	case imapwire.SearchOlder: // RFC 5032, 2
		return func(m *candidate) bool { return m.meta.InternalDate <= s.now.Unix()-k.Number }
	case imapwire.SearchYounger:
		return func(m *candidate) bool { return m.meta.InternalDate >= s.now.Unix()-k.Number }
	case imapwire.SearchModSeq:
		s.modSeq = true
		return func(m *candidate) bool { return uint64(m.meta.ModSeq) >= k.ModSeq }
	case imapwire.SearchSeq, imapwire.SearchUID:
		spans := s.spans(k)
		return func(m *candidate) bool { return inSpans(spans, m.index) }
	}
	return func(*candidate) bool { return false }
}

// flag is the flag of a name; none if no message can have it.
func (s *searchCompiler) flag(name string) store.Flags {
	if f, ok := store.SystemFlag(name); ok {
		return f
	}
	i := slices.IndexFunc(s.keywords, func(k string) bool { return strings.EqualFold(k, name) })
	if i < 0 {
		return 0
	}
	return store.Keyword(i)
}

// compileSize makes a test of the size, which the index nearly always has.
func compileSize(fits func(size int64) bool) test {
	return test{needsIndex, func(m *candidate) (bool, error) {
		size, err := m.size()
		return err == nil && fits(size), err
	}}
}

// compileSent makes the tests of the Date field. RFC 9051, 6.4.4: the day is
// the one that stands there, whatever its time zone.
func compileSent(k *imapwire.SearchKey) test {
	day := k.Date.Unix()
	return test{needsEnvelope, func(m *candidate) (bool, error) {
		env, err := m.envelope()
		if err != nil {
			return false, err
		}
		t, ok := message.Date(env.Date)
		if !ok {
			return false, nil
		}
		year, month, d := t.Date()
		sent := time.Date(year, month, d, 0, 0, 0, 0, time.UTC).Unix()
		switch k.Op {
		case imapwire.SearchSentBefore:
			return sent < day, nil
		case imapwire.SearchSentOn:
			return sent == day, nil
		}
		return sent >= day, nil
	}}
}

// compileHeader makes the test of a header field, from the cached ENVELOPE
// where that has the field.
func compileHeader(field, text string) test {
	if get, ok := envelopeText[field]; ok && text != "" {
		n := message.NewNeedle(text)
		return test{needsEnvelope, func(m *candidate) (bool, error) {
			env, err := m.envelope()
			if err != nil {
				return false, err
			}
			return n.In(get(env)), nil
		}}
	}
	q := message.FieldSearch(field, text)
	return test{needsHeader, func(m *candidate) (bool, error) { return m.holds(q) }}
}

// compileText makes the test of the header and the body, or of the body alone.
func compileText(q *message.Search) test {
	return test{needsText, func(m *candidate) (bool, error) { return m.holds(q) }}
}

// envelopeText gives the decoded text of the fields that ENVELOPE has as they
// came. Sender and Reply-To are not among them: where they are missing,
// ENVELOPE has From instead.
var envelopeText = map[string]func(*message.Envelope) string{
	"from":    func(e *message.Envelope) string { return addressText(e.From) },
	"to":      func(e *message.Envelope) string { return addressText(e.To) },
	"cc":      func(e *message.Envelope) string { return addressText(e.Cc) },
	"bcc":     func(e *message.Envelope) string { return addressText(e.Bcc) },
	"subject": func(e *message.Envelope) string { return message.DecodeHeaderText([]byte(e.Subject)) },
}

// addressText writes addresses as they stand in a header, decoded.
func addressText(list []message.Address) string {
	var b strings.Builder
	for _, a := range list {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		if a.Host == "" { // a group's start or end
			b.WriteString(message.DecodeHeaderText([]byte(a.Mailbox)))
			continue
		}
		if a.Name != "" {
			b.WriteString(message.DecodeHeaderText([]byte(a.Name)))
			b.WriteByte(' ')
		}
		b.WriteString("<" + message.DecodeHeaderText([]byte(a.Mailbox+"@"+a.Host)) + ">")
	}
	return b.String()
}
