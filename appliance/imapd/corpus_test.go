package imapd

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const corpus = "../../store/message/testdata/corpus"

// TestCorpus appends every message of the corpus, as bad as real mail gets,
// and fetches it back: BODY[] octet for octet (a bare LF has become CRLF, NUL
// is 0x80 in a literal; package message has why), sizes that agree, and
// every part that BODYSTRUCTURE tells of.
func TestCorpus(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(corpus, "*"))
	if err != nil || len(files) < 80 {
		t.Fatalf("the corpus has only %d messages (%v)", len(files), err)
	}
	f := newFixture(t, func(o *Options) { o.AppendLimit = 64 << 20 })
	f.listen()
	conn, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p := &pipe{t, conn, bufio.NewReaderSize(conn, 64<<10)}
	p.want("* OK")
	p.signIn()
	p.send("s SELECT INBOX")
	p.until("s OK")
	for i, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			p.t = t
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p.send(fmt.Sprintf("a APPEND INBOX (\\Seen) ~{%d+}\r\n%s", len(text), text))
			p.until("a OK [APPENDUID ")
			checkMessage(t, p, i+1, wireForm(text))
		})
	}
}

// wireForm is a message as it is served: every line ends in CRLF.
func wireForm(text []byte) []byte {
	var b bytes.Buffer
	for i, c := range text {
		if c == '\n' && (i == 0 || text[i-1] != '\r') {
			b.WriteByte('\r')
		}
		b.WriteByte(c)
	}
	return b.Bytes()
}

var (
	fetchedSize = regexp.MustCompile(`RFC822\.SIZE ([0-9]+)`)
	structure   = regexp.MustCompile(`(?s)BODYSTRUCTURE (.*)\)$`)
)

func checkMessage(t *testing.T, p *pipe, n int, want []byte) {
	p.send(fmt.Sprintf("b FETCH %d (RFC822.SIZE ENVELOPE BODYSTRUCTURE)", n))
	head := p.want("* " + strconv.Itoa(n) + " FETCH (")
	p.want("b OK")
	if m := fetchedSize.FindStringSubmatch(head); m == nil || m[1] != strconv.Itoa(len(want)) {
		t.Errorf("RFC822.SIZE is %v, the message has %d octets", m, len(want))
	}
	shown := bytes.ReplaceAll(want, []byte{0}, []byte{0x80})
	if got := section(t, p, n, "BODY.PEEK[]"); !bytes.Equal(got, shown) {
		t.Errorf("BODY[] has %d octets, %d were appended; they differ from octet %d on", len(got), len(want), difference(got, shown))
	}
	if got := section(t, p, n, "BINARY.PEEK[]"); !bytes.Equal(got, want) {
		t.Errorf("BINARY[] has %d octets, %d were appended; they differ from octet %d on", len(got), len(want), difference(got, want))
	}
	header, body := section(t, p, n, "BODY.PEEK[HEADER]"), section(t, p, n, "BODY.PEEK[TEXT]")
	if !bytes.Equal(append(bytes.Clone(header), body...), shown) {
		t.Errorf("HEADER (%d octets) and TEXT (%d) are not the message (%d)", len(header), len(body), len(want))
	}
	m := structure.FindStringSubmatch(head)
	if m == nil {
		t.Fatalf("no BODYSTRUCTURE: %.200q", head)
	}
	s := &sexp{text: m[1]}
	tree := s.parse(t)
	if s.text != "" {
		t.Fatalf("behind BODYSTRUCTURE: %.200q", s.text)
	}
	checkParts(t, p, n, tree, "", true)
}

// checkParts fetches every part that BODYSTRUCTURE tells of and holds its size
// against it.
func checkParts(t *testing.T, p *pipe, n int, tree any, path string, message bool) {
	list, ok := tree.([]any)
	if !ok || len(list) == 0 {
		t.Fatalf("part %q: this is no body structure: %.200v", path, tree)
	}
	if _, multipart := list[0].([]any); multipart {
		for i, child := range list {
			if _, ok := child.([]any); !ok || !isBody(child) {
				break
			}
			checkParts(t, p, n, child, join(path, i+1), false)
		}
		return
	}
	if message {
		path = join(path, 1)
	}
	size, err := strconv.Atoi(list[6].(string))
	if err != nil {
		t.Fatalf("part %s: size %v", path, list[6])
	}
	if strings.Count(path, ".") > 20 {
		return // the deep ones have shown enough
	}
	if got := section(t, p, n, "BODY.PEEK["+path+"]"); len(got) != size {
		t.Errorf("part %s: BODYSTRUCTURE says %d octets, BODY[%s] has %d", path, size, path, len(got))
	}
	if len(list) > 9 && strings.EqualFold(list[0].(string), "message") {
		if _, ok := list[8].([]any); ok {
			checkParts(t, p, n, list[8], path, true)
		}
	}
}

// isBody tells a body structure from the parameters that follow the parts of
// a multipart; those come after a string.
func isBody(v any) bool { list := v.([]any); return len(list) > 0 }

func join(path string, n int) string {
	if path == "" {
		return strconv.Itoa(n)
	}
	return path + "." + strconv.Itoa(n)
}

// section fetches one section and returns its octets; NIL is nil.
func section(t *testing.T, p *pipe, n int, item string) []byte {
	t.Helper()
	p.send(fmt.Sprintf("c FETCH %d %s", n, item))
	line, err := p.r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	m := literalEnd.FindStringSubmatch(line)
	if m == nil {
		p.want("c OK")
		if !strings.Contains(line, " NIL)") {
			t.Errorf("%s: %q", item, line)
		}
		return nil
	}
	size, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(p.r, b); err != nil {
		t.Fatal(err)
	}
	p.want(")")
	p.want("c OK")
	return b
}

func difference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// A sexp reads a parenthesised list: strings, and lists as []any.
type sexp struct{ text string }

func (s *sexp) parse(t *testing.T) any {
	t.Helper()
	s.text = strings.TrimLeft(s.text, " ")
	switch {
	case strings.HasPrefix(s.text, "("):
		s.text = s.text[1:]
		list := []any{}
		for {
			s.text = strings.TrimLeft(s.text, " ")
			if s.text == "" {
				t.Fatal("a list does not end")
			}
			if s.text[0] == ')' {
				s.text = s.text[1:]
				return list
			}
			list = append(list, s.parse(t))
		}
	case strings.HasPrefix(s.text, `"`):
		var b strings.Builder
		for i := 1; i < len(s.text); i++ {
			switch s.text[i] {
			case '"':
				s.text = s.text[i+1:]
				return b.String()
			case '\\':
				i++
			}
			b.WriteByte(s.text[i])
		}
		t.Fatal("a string does not end")
	case strings.HasPrefix(s.text, "{"):
		size, rest, _ := strings.Cut(s.text[1:], "}\r\n")
		n, err := strconv.Atoi(size)
		if err != nil || n > len(rest) {
			t.Fatalf("a literal of %q octets", size)
		}
		s.text = rest[n:]
		return rest[:n]
	}
	i := strings.IndexAny(s.text, " ()")
	if i <= 0 {
		t.Fatalf("no atom: %.50q", s.text)
	}
	atom := s.text[:i]
	s.text = s.text[i:]
	return atom
}
