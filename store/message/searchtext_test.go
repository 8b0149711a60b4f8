package message

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"letterbox/store/message/corpus"
)

// segments is the text that SEARCH looks through, made the simple way: each
// segment whole, then folded.
func segments(t testing.TB, wire []byte, s *Structure) (head, body [][]byte) {
	t.Helper()
	fields := func(part int) (list [][]byte) {
		r := s.Parts[part].Header
		err := ScanHeader(bytes.NewReader(wire[r.Offset:r.End()]), func(name string, value []byte) bool {
			if strings.ContainsFunc(name, func(r rune) bool { return r > 0x7f }) {
				name = " " + name
			}
			list = append(list, appendFolded(nil, []byte(name+": "+DecodeHeaderText(value))))
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	head = fields(0)
	for i := range s.Parts {
		if i > 0 {
			body = append(body, fields(i)...)
		}
		p := &s.Parts[i]
		if p.First != 0 || p.Type != "TEXT" && p.Type != "" {
			continue
		}
		text, err := io.ReadAll(NewTextReader(bytes.NewReader(wire[p.Body.Offset:p.Body.End()]), p.Encoding, p.Charset))
		if err != nil {
			t.Fatal(err)
		}
		body = append(body, appendFolded(nil, text))
	}
	return head, body
}

// TestFieldSearch: names of fields are told apart as ASCII is, without regard to case; their values as all text is (RFC 9051, 6.4.4).
func TestFieldSearch(t *testing.T) {
	t.Parallel()
	wire := wireForm([]byte("Subject : Straße: a: b\nKEYWORDS: one two\nX-Empty:\n\u212aeywords: three\n\u017fubject: four\nX Y: five\n\nKeywords: six\n"))
	for _, c := range []struct {
		name, text string
		want       bool
	}{
		{"SUBJECT", "STRA\u1e9eE", true}, {"subject", "", true}, {"subject", "subject", false}, {"sub", "", false}, {"subject: straße", "a", false}, {"subject:", "a", false},
		{"Keywords", "ONE TWO", true}, {"keywords", "three", false}, {"subject", "four", false}, {"keywords", "six", false}, {"x-empty", "", true}, {"x-empty", "x", false},
		{"x y", "five", true}, {"", "five", false}, {"", "", false}, {"y", "five", false},
	} {
		if found, err := FieldSearch(c.name, c.text).InMessage(bytes.NewReader(wire), parse(wire)); err != nil || found != c.want {
			t.Errorf("%q in the field %q: %v, %v", c.text, c.name, found, err)
		}
		var stored bytes.Buffer
		head, err := WriteSearchText(&stored, bytes.NewReader(wire), parse(wire))
		if err != nil {
			t.Fatal(err)
		}
		if found, err := FieldSearch(c.name, c.text).InText(&stored, head); err != nil || found != c.want {
			t.Errorf("%q in the field %q as stored: %v, %v", c.text, c.name, found, err)
		}
	}
	for _, text := range []string{"keywords: three", "four"} {
		if found, err := TextSearch(text).InMessage(bytes.NewReader(wire), parse(wire)); err != nil || !found {
			t.Errorf("%q in the text: %v, %v", text, found, err)
		}
	}
}

func segmentText(list [][]byte) (b []byte) {
	for _, s := range list {
		b = append(append(b, s...), SegmentEnd)
	}
	return b
}

// verifySearchText holds what is searched, and what is found with needles,
// against the simple way.
func verifySearchText(t testing.TB, data []byte, needles []string) {
	t.Helper()
	wire := wireForm(data)
	s := parse(data)
	head, body := segments(t, wire, s)
	all := slices.Concat(head, body)
	for _, segment := range all {
		if !utf8.Valid(segment) {
			t.Errorf("a segment is no UTF-8: %.100q", segment)
		}
	}
	var got bytes.Buffer
	n, err := WriteSearchText(&got, bytes.NewReader(wire), s)
	if err != nil {
		t.Fatal(err)
	}
	if h := segmentText(head); n != int64(len(h)) || !bytes.Equal(got.Bytes(), append(h, segmentText(body)...)) {
		t.Errorf("the text has %d octets, the header's %d; it should have %d, %d", got.Len(), n, len(segmentText(all)), len(h))
	}
	if len(needles) > 0 {
		verifySearches(t, wire, s, head, body, needles)
	}
}

func verifySearches(t testing.TB, wire []byte, s *Structure, head, body [][]byte, needles []string) {
	t.Helper()
	names := []string{"subject", "to"}
	for _, field := range head {
		name, _, _ := bytes.Cut(field, []byte(": "))
		names = append(names, string(name))
	}
	stored := append(segmentText(head), segmentText(body)...)
	for i, text := range needles {
		needle := NewNeedle(text).folded
		holds := func(s []byte) bool { return bytes.Contains(s, needle) }
		name := names[i%len(names)]
		for _, c := range []struct {
			where  string
			search *Search
			want   bool
		}{
			{"text", TextSearch(text), slices.ContainsFunc(head, holds) || slices.ContainsFunc(body, holds)},
			{"body", BodySearch(text), slices.ContainsFunc(body, holds)},
			{name, FieldSearch(name, text), slices.ContainsFunc(head, func(field []byte) bool {
				value, ok := bytes.CutPrefix(field, appendFolded(nil, []byte(name+": ")))
				return ok && canBeField(name) && holds(value)
			})},
		} {
			if found, err := c.search.InMessage(bytes.NewReader(wire), s); err != nil || found != c.want {
				t.Errorf("%q in the %s of the message: %v, %v", text, c.where, found, err)
			}
			for name, r := range map[string]io.Reader{"at once": bytes.NewReader(stored), "octet by octet": iotest.OneByteReader(bytes.NewReader(stored))} {
				if len(stored) > 100_000 && name != "at once" {
					continue
				}
				if found, err := c.search.InText(r, int64(len(segmentText(head)))); err != nil || found != c.want {
					t.Errorf("%q in the %s as stored, %s: %v, %v", text, c.where, name, found, err)
				}
			}
			for _, part := range c.search.Parts() {
				if c.want && !slices.ContainsFunc(slices.Concat(head, body), func(s []byte) bool { return bytes.Contains(s, part) }) {
					t.Errorf("%q is in the %s and its part %q is nowhere", text, c.where, part)
				}
			}
		}
	}
}

// cuttings are pieces of a message's text, some of them with an octet changed.
func cuttings(t testing.TB, rnd *rand.Rand, data []byte, n int) (needles []string) {
	t.Helper()
	head, body := segments(t, wireForm(data), parse(data))
	all := slices.Concat(head, body)
	for range n {
		if len(all) == 0 {
			break
		}
		s := all[rnd.IntN(len(all))]
		at := rnd.IntN(len(s) + 1)
		b := bytes.Clone(s[at:min(len(s), at+1+rnd.IntN(20))])
		if len(b) > 0 && rnd.IntN(3) == 0 {
			b[rnd.IntN(len(b))] = "etaoinE5 \xc3"[rnd.IntN(10)]
		}
		needles = append(needles, string(b))
	}
	return append(needles, "", strings.Repeat("long ", 20_000))
}

func TestSearchText(t *testing.T) {
	t.Parallel()
	list, err := corpus.Read("testdata/corpus")
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, m := range list {
		needles := cuttings(t, rnd, m.Data, 20)
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			verifySearchText(t, m.Data, needles)
		})
	}
	for _, m := range corpus.Huge() {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			verifySearchText(t, m.Data, []string{"bottom", "nowhere"})
		})
	}
}

// TestSearchTextSegments: what is looked through, in words.
func TestSearchTextSegments(t *testing.T) {
	t.Parallel()
	const mail = "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nX-Folded: a\r\n b\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\npreamble\r\n" +
		"--x\r\n\r\nA PLAN\r\n" +
		"--x\r\nContent-Type: image/png\r\n\r\npicture\r\n" +
		"--x\r\nContent-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<b>Stra=DFe</b>\r\n" +
		"--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: inside\r\n\r\nDeep\r\n--x--\r\nepilogue\r\n"
	want := "subject: gru\u0308ße|x-folded: a b|content-type: multipart/mixed; boundary=x|!" +
		"a plan|content-type: image/png|content-type: text/html; charset=iso-8859-1|content-transfer-encoding: quoted-printable|<b>straße</b>|" +
		"content-type: message/rfc822|subject: inside|deep|"
	var got bytes.Buffer
	head, err := WriteSearchText(&got, bytes.NewReader([]byte(mail)), parse([]byte(mail)))
	if err != nil {
		t.Fatal(err)
	}
	b := slices.Insert(got.Bytes(), int(head), '!')
	if s := string(bytes.ReplaceAll(b, []byte{SegmentEnd}, []byte("|"))); s != want {
		t.Errorf("\n%q, want\n%q", s, want)
	}
}

// A fullWriter takes so many octets.
type fullWriter struct{ room int }

var errFull = errors.New("full")

func (f *fullWriter) Write(b []byte) (int, error) {
	if len(b) > f.room {
		return 0, errFull
	}
	f.room -= len(b)
	return len(b), nil
}

// TestSearchTextStops: an error of the writer or of the message ends it.
func TestSearchTextStops(t *testing.T) {
	t.Parallel()
	wire := []byte(nestedMessage)
	s := parse(wire)
	var whole bytes.Buffer
	head, err := WriteSearchText(&whole, bytes.NewReader(wire), s)
	if err != nil {
		t.Fatal(err)
	}
	for room := range whole.Len() {
		n, err := WriteSearchText(&fullWriter{room}, bytes.NewReader(wire), s)
		if err != errFull || n > head {
			t.Fatalf("room for %d of %d octets: %d of the header, %v", room, whole.Len(), n, err)
		}
	}
	failing := brokenAt{bytes.NewReader(wire), int64(len(wire)) / 2}
	if _, err := WriteSearchText(io.Discard, failing, s); err != errFull {
		t.Errorf("a message that cannot be read: %v", err)
	}
	if _, err := TextSearch("nowhere").InMessage(failing, s); err != errFull {
		t.Errorf("a message that cannot be read: %v", err)
	}
}

// brokenAt fails from an offset on.
type brokenAt struct {
	r   io.ReaderAt
	off int64
}

func (b brokenAt) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > b.off {
		return 0, errFull
	}
	return b.r.ReadAt(p, off)
}

// FuzzSearchText: whatever comes, what is searched is what the parts hold.
func FuzzSearchText(f *testing.F) {
	seed(f, func(data []byte) { f.Add(data, "the") })
	f.Fuzz(func(t *testing.T, data []byte, needle string) { verifySearchText(t, data, []string{needle}) })
}

// TestSearchTextBorders: a needle is found wherever the pieces end in which text
// is read, folded and unpacked.
func TestSearchTextBorders(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	b.WriteString("Subject: borders\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n")
	for i := 0; b.Len() < 80<<10; i++ {
		fmt.Fprintf(&b, "Ünique%05d", i)
	}
	wire := b.Bytes()
	s := parse(wire)
	var stored bytes.Buffer
	head, err := WriteSearchText(&stored, bytes.NewReader(wire), s)
	if err != nil {
		t.Fatal(err)
	}
	for _, piece := range []int{rawPiece, foldedPiece, 64 << 10} {
		for at := piece - 30; at < piece+30; at++ {
			for _, text := range []string{strings.ToValidUTF8(string(wire[at:at+25]), ""), strings.ToValidUTF8(string(stored.Bytes()[at:at+25]), "")} {
				if text = strings.TrimLeft(text, "\u0308"); text == "" {
					continue
				}
				q := BodySearch(text)
				if found, err := q.InMessage(bytes.NewReader(wire), s); !found || err != nil {
					t.Errorf("%q at %d of the message: %v, %v", text, at, found, err)
				}
				if found, err := q.InText(bytes.NewReader(stored.Bytes()), head); !found || err != nil {
					t.Errorf("%q at %d of the text: %v, %v", text, at, found, err)
				}
			}
		}
	}
}

// A readCounter counts what is read of a message.
type readCounter struct {
	r io.ReaderAt
	n int
}

func (c *readCounter) ReadAt(b []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(b, off)
	c.n += n
	return n, err
}

// TestSearchTextReadsTextOnly: what is no text is not read.
func TestSearchTextReadsTextOnly(t *testing.T) {
	t.Parallel()
	wire := attachment(4 << 20)
	c := &readCounter{r: bytes.NewReader(wire)}
	if _, err := WriteSearchText(io.Discard, c, parse(wire)); err != nil {
		t.Fatal(err)
	}
	if c.n > 16<<10 {
		t.Errorf("%d octets were read", c.n)
	}
}
