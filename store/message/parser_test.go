package message

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"letterbox/store/message/corpus"
)

// messages returns the corpus whole.
func messages(t testing.TB) []corpus.Message {
	t.Helper()
	list, err := corpus.Read("testdata/corpus")
	if err != nil {
		t.Fatal(err)
	}
	return append(list, corpus.Huge()...)
}

func parse(data []byte) *Structure {
	p := NewParser()
	p.Write(data)
	return p.Close()
}

// wireForm is the plain definition of what the offsets count in.
func wireForm(data []byte) []byte {
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n"))
}

func TestCorpusIsLarge(t *testing.T) {
	t.Parallel()
	if n := len(messages(t)); n < 80 {
		t.Errorf("the corpus has %d messages, want 80 at least", n)
	}
}

func TestCorpus(t *testing.T) {
	t.Parallel()
	for _, m := range messages(t) {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			s := parse(m.Data)
			if err := verify(s, m.Data); err != nil {
				t.Error(err)
			}
		})
	}
}

// verify checks a structure against the message it was made of.
func verify(s *Structure, data []byte) error {
	wire := wireForm(data)
	if s.Size != int64(len(wire)) || s.Lines != int64(bytes.Count(wire, []byte{'\n'})) {
		return fmt.Errorf("size %d, lines %d; the wire form has %d and %d", s.Size, s.Lines, len(wire), bytes.Count(wire, []byte{'\n'}))
	}
	if s.CRLF != bytes.Equal(wire, data) || s.HasNUL != bytes.Contains(data, []byte{0}) {
		return fmt.Errorf("CRLF %v, HasNUL %v", s.CRLF, s.HasNUL)
	}
	if err := s.check(); err != nil {
		return fmt.Errorf("the tree: %w", err)
	}
	for i := range s.Parts {
		p := &s.Parts[i]
		if p.Body.Offset != p.Header.End() {
			return fmt.Errorf("part %d: body at %d, header ends at %d", i, p.Body.Offset, p.Header.End())
		}
		if n := bytes.Count(wire[p.Body.Offset:p.Body.End()], []byte{'\n'}); int64(n) != p.Lines {
			return fmt.Errorf("part %d: %d lines, want %d", i, p.Lines, n)
		}
		header := wire[p.Header.Offset:p.Header.End()]
		if i := bytes.Index(header, []byte("\r\n\r\n")); i >= 0 && i != len(header)-4 {
			return fmt.Errorf("the header of part %d goes on after a blank line", i)
		}
	}
	for _, ext := range []bool{false, true} {
		if err := verifyAnswer(s, ext); err != nil {
			return err
		}
	}
	return verifyBinary(s)
}

// verifyAnswer reads BODY or BODYSTRUCTURE back and compares it to the parts.
func verifyAnswer(s *Structure, ext bool) error {
	text := s.AppendBody(nil)
	if ext {
		text = s.AppendBodyStructure(nil)
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return fmt.Errorf("NUL in %q", text)
	}
	r := answerReader{answer: answer{s: string(text)}, s: s, ext: ext}
	r.body(0)
	if err := r.end(); err != nil {
		return fmt.Errorf("ext %v: %w at %d of %.2000q", ext, err, r.i, text)
	}
	if r.parts != len(s.Parts) {
		return fmt.Errorf("ext %v: %d parts in the answer, %d in the structure", ext, r.parts, len(s.Parts))
	}
	return nil
}

// answerReader is RFC 9051's grammar of body, which calls for what the parts say.
type answerReader struct {
	answer
	s     *Structure
	ext   bool
	parts int
}

func (r *answerReader) number(want int64) { r.literally(fmt.Sprint(want)) }

func (r *answerReader) literally(want string) {
	if r.err == nil && strings.HasPrefix(r.answer.s[r.i:], want) {
		r.i += len(want)
	} else if r.err == nil {
		r.err = fmt.Errorf("want %s", want)
	}
}

func (r *answerReader) body(part int) {
	p := &r.s.Parts[part]
	r.parts++
	r.byte('(')
	if p.IsMultipart() {
		for c := p.First; c != 0; c = r.s.Parts[c].Next {
			r.body(int(c))
		}
		r.byte(' ')
		r.equalFold(p.Subtype)
		if r.ext {
			r.byte(' ')
			r.params()
			r.extension()
		}
		r.byte(')')
		return
	}
	r.equalFold(p.Type)
	r.byte(' ')
	r.equalFold(p.Subtype)
	r.byte(' ')
	r.params()
	r.byte(' ')
	r.nstring()
	r.byte(' ')
	r.nstring()
	r.byte(' ')
	if enc := parseEncoding(r.string()); enc != p.Encoding && r.err == nil {
		r.err = fmt.Errorf("encoding %v, want %v", enc, p.Encoding)
	}
	r.byte(' ')
	r.number(p.Body.Len)
	if p.IsMessage() {
		r.byte(' ')
		env := answerReader{answer: answer{s: r.s.Parts[p.First].envelope}}
		if _, err := EnvelopeFields([]byte(env.answer.s)); err != nil {
			r.err = err
		}
		r.literally(env.answer.s)
		r.byte(' ')
		r.body(int(p.First))
	}
	if p.IsMessage() || p.Type == "TEXT" {
		r.byte(' ')
		r.number(p.Lines)
	}
	if r.ext {
		r.byte(' ')
		r.nstring()
		r.extension()
	}
	r.byte(')')
}

func (r *answerReader) extension() {
	r.byte(' ')
	r.list(true, func() {
		r.string()
		r.byte(' ')
		r.params()
	})
	r.byte(' ')
	r.list(true, func() { r.string() })
	r.byte(' ')
	r.nstring()
}

func (r *answerReader) equalFold(want string) {
	if got := r.string(); r.err == nil && upper(got) != want {
		r.err = fmt.Errorf("%q, want %q", got, want)
	}
}

func verifyBinary(s *Structure) error {
	back, err := Decode(s.AppendBinary(nil))
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(s, back) {
		return fmt.Errorf("decoded %+v\nwant %+v", back, s)
	}
	return verifyStored(s)
}

// verifyStored checks that what is read from the compact form without decoding
// it is the same.
func verifyStored(s *Structure) error {
	b := s.AppendBinary(nil)
	envelope, err := StoredEnvelope(b)
	if want := s.AppendEnvelope(nil); err != nil || !bytes.Equal(envelope, want) {
		return fmt.Errorf("stored ENVELOPE %q, %v\nwant %q", envelope, err, want)
	}
	body, err := AppendStoredBodyStructure(nil, b)
	if want := s.AppendBodyStructure(nil); err != nil || !bytes.Equal(body, want) {
		return fmt.Errorf("stored BODYSTRUCTURE %q, %v\nwant %q", body, err, want)
	}
	return nil
}

// The structure must not depend on how the message is cut into writes.
func TestWritesOfAnySize(t *testing.T) {
	t.Parallel()
	for _, m := range messages(t) {
		if len(m.Data) > 100_000 {
			continue
		}
		want := parse(m.Data)
		rng := rand.New(rand.NewPCG(1, 2))
		for name, size := range map[string]func() int{
			"1": func() int { return 1 }, "2": func() int { return 2 }, "random": func() int { return 1 + rng.IntN(90) },
		} {
			p := NewParser()
			p.Write([]byte("Content-Type: multipart/mixed; boundary=x\n\n--x\nSubject: left over"))
			p.Reset()
			for rest := m.Data; len(rest) > 0; {
				n := min(size(), len(rest))
				if k, err := p.Write(rest[:n]); k != n || err != nil {
					t.Fatalf("Write = %d, %v", k, err)
				}
				rest = rest[n:]
			}
			if got := p.Close(); !reflect.DeepEqual(got, want) {
				t.Errorf("%s in writes of %s octets:\n%+v\nat once:\n%+v", m.Name, name, got, want)
			}
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for _, m := range corpus.Huge() {
		s := parse(m.Data)
		text, depth := 0, 0
		for i := range s.Parts {
			p := &s.Parts[i]
			text += len(p.fields) + len(p.ext) + len(p.envelope)
			d := 0
			for at := p.Parent; at >= 0; at = s.Parts[at].Parent {
				d++
			}
			depth = max(depth, d)
		}
		if len(s.Parts) > maxParts || depth > maxDepth || text > maxText+maxEnvelope+300*len(s.Parts) {
			t.Errorf("%s: %d parts, depth %d, %d octets of text", m.Name, len(s.Parts), depth, text)
		}
		if n := len(s.AppendEnvelope(nil)); n > 2*maxEnvelope {
			t.Errorf("%s: ENVELOPE of %d octets", m.Name, n)
		}
	}
}

// A list of addresses that is too long ends with a whole address.
func TestLongAddressList(t *testing.T) {
	t.Parallel()
	e, err := EnvelopeFields(parse([]byte("Cc: " + strings.Repeat("ann@example.org, ", 5000) + "\r\n\r\n")).AppendEnvelope(nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Cc) < 1000 {
		t.Errorf("%d addresses", len(e.Cc))
	}
	for _, a := range e.Cc {
		if a.Mailbox != "ann" || a.Host != "example.org" {
			t.Fatalf("%+v", a)
		}
	}
}

// The time of a pass is linear and its memory bounded, whatever comes: these
// would take minutes or gigabytes otherwise.
func TestEndlessHeaders(t *testing.T) {
	t.Parallel()
	for name, unit := range map[string]string{
		"line": "x", "fields": "Subject: s\r\n", "folds": "\r\n x", "quotes": `"`, "open brackets": "<@", "comments": "(",
		"encoded words": "=?a?q?", "repeated": strings.Repeat("x", 30_000) + strings.Repeat("\r\nTo: x", 5_000), "groups": "a:", "commas": ",", "parameters": ";a=b",
	} {
		for _, start := range []string{"To: ", "Content-Type: text/plain;", "X-Other: "} {
			p := NewParser()
			io.WriteString(p, start)
			block := []byte(strings.Repeat(unit, 64<<10/len(unit)))
			blocks := 32 // 2 MB
			if name == "line" || name == "fields" && start == "To: " {
				blocks = 320 // a line of 20 MB; 1.7 million lines
			}
			for range blocks {
				p.Write(block)
			}
			if s := p.Close(); s.Parts[0].Body.Len != 0 || len(s.AppendBinary(nil)) > 2*maxEnvelope {
				t.Errorf("%s, %s: body %d, kept %d", start, name, s.Parts[0].Body.Len, len(s.AppendBinary(nil)))
			}
		}
	}
}

func TestWireReader(t *testing.T) {
	t.Parallel()
	for _, m := range messages(t) {
		want := wireForm(m.Data)
		if len(want) < 50_000 {
			if err := iotest.TestReader(&wireReader{r: bytes.NewReader(m.Data)}, want); err != nil {
				t.Errorf("%s: %v", m.Name, err)
			}
			one, err := io.ReadAll(&wireReader{r: iotest.OneByteReader(bytes.NewReader(m.Data))})
			if err != nil || !bytes.Equal(one, want) {
				t.Errorf("%s in single octets differs: %v", m.Name, err)
			}
		}
		if got, err := io.ReadAll(&wireReader{r: bytes.NewReader(m.Data)}); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: differs: %v", m.Name, err)
		}
		got, err := io.ReadAll(NewNULReader(bytes.NewReader(m.Data)))
		if err != nil || !bytes.Equal(got, bytes.ReplaceAll(m.Data, []byte{0}, []byte{0x80})) {
			t.Errorf("%s without NUL differs: %v", m.Name, err)
		}
	}
}
