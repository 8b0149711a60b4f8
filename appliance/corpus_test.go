package appliance_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"letterbox/appliance/config"
	"letterbox/store/message/corpus"
)

const (
	corpusDir = "../store/message/testdata/corpus"
	mailLoop  = "header-many-received" // refused by SMTP: 554 5.4.6
	// messageGlobal has a message/global, whose structure we tell as RFC 3501 knows it; go-imap reads RFC 9051's form alone.
	messageGlobal = "multipart-message-global"

	shownParts   = 40 // of one message, whose sections are fetched
	twentyLevels = 20 // of parts in parts; deeper ones show nothing new
)

var crlf = []byte("\r\n")

// corpusMessages are mail as bad as real mail gets, and some of it huge.
func corpusMessages(t *testing.T) []corpus.Message {
	t.Helper()
	files, err := corpus.Read(corpusDir)
	if err != nil {
		t.Fatal(err)
	}
	return append(files, corpus.Huge()...)
}

// TestCorpusBySMTP hands every message of the corpus to port 25, and reads back over TLS what arrived, octet for octet.
func TestCorpusBySMTP(t *testing.T) {
	t.Parallel()
	b := start(t)
	messages := corpusMessages(t)
	sent := b.line(t, tls.Client(b.startTLS(t, config.SMTP), b.tls()))
	sent.say("EHLO mx.example.org\r\n")
	sent.until("250 ")

	var want []corpus.Message
	for _, m := range messages {
		sent.say("MAIL FROM:<sender@example.org>\r\nRCPT TO:<ben@" + domain + ">\r\nDATA\r\n")
		sent.until("250 ")
		sent.until("250 ")
		sent.until("354 ")
		sent.say(string(stuffed(m.Data)))
		if m.Name == mailLoop {
			sent.until("554 5.4.6 ")
			continue
		}
		sent.until("250 2.0.0 ")
		text := wireForm(whole(m.Data))
		if bytes.HasPrefix(text, []byte(" ")) { // it must not go on with the field in front of it, which is ours
			text = slices.Concat([]byte("X-Unnamed-Field:\r\n"), text)
		}
		want = append(want, corpus.Message{Name: m.Name, Data: text})
	}

	c := b.imap(t, "ben")
	i := 0
	for got := range fetched(t, c, imap.SeqSet{{Start: 2, Stop: 0}}) { // 1 is the welcome
		header, rest, _ := bytes.Cut(got.body, fmt.Appendf(nil, "for <ben@%s>;\r\n", domain))
		date, text, _ := bytes.Cut(rest, crlf)
		if !bytes.HasPrefix(header, []byte("Return-Path: <sender@example.org>\r\nReceived: from mx.example.org (")) || len(date) > 40 {
			t.Errorf("%s has the trace header %.300q", want[i].Name, got.body)
		}
		checkText(t, want[i], text)
		if got.size != int64(len(got.body)) {
			t.Errorf("%s: RFC822.SIZE is %d, BODY[] has %d octets", want[i].Name, got.size, len(got.body))
		}
		i++
	}
	if i != len(want) {
		t.Errorf("%d messages arrived, want %d", i, len(want))
	}
}

// TestCorpusByIMAP appends every message of the corpus, all in one go, and reads it back. Its parts are where and what
// BODYSTRUCTURE says: MIME header and body stand side by side in the message.
func TestCorpusByIMAP(t *testing.T) {
	t.Parallel()
	b := start(t)
	messages := corpusMessages(t)
	conn, err := tls.Dial("tcp", b.addr(t, config.IMAPS), b.tls())
	if err != nil {
		t.Fatal(err)
	}
	appended := b.line(t, conn)
	appended.until("* OK ")
	appended.say(fmt.Sprintf("in LOGIN ben %q\r\n", password))
	appended.until("in OK ")
	said := make(chan error, 1)
	go func() {
		for i, m := range messages {
			if _, err := fmt.Fprintf(conn, "a%d APPEND Archive ~{%d+}\r\n%s\r\n", i, len(m.Data), m.Data); err != nil {
				said <- err
				return
			}
		}
		said <- nil
	}()
	for i := range messages {
		appended.until(fmt.Sprintf("a%d OK [APPENDUID ", i))
	}
	if err := <-said; err != nil {
		t.Fatal(err)
	}

	c := b.imap(t, "ben")
	if _, err := c.Select("Archive", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	i := 0
	for got := range fetched(t, c, imap.SeqSet{{Start: 1, Stop: 0}}) {
		want := corpus.Message{Name: messages[i].Name, Data: wireForm(messages[i].Data)}
		checkText(t, want, got.body)
		if got.size != int64(len(want.Data)) {
			t.Errorf("%s: RFC822.SIZE is %d, the message has %d octets", want.Name, got.size, len(want.Data))
		}
		i++
	}
	if i != len(messages) {
		t.Errorf("%d messages are there, want %d", i, len(messages))
	}
	for i, m := range messages {
		if m.Name == messageGlobal {
			continue
		}
		checkStructure(t, c, uint32(i+1), m.Name, withoutNUL(wireForm(m.Data)))
	}
}

// stuffed is a message as DATA sends it, with the final dot (RFC 5321, 4.5.2).
func stuffed(data []byte) []byte {
	lines := bytes.SplitAfter(whole(data), crlf)
	for i, l := range lines {
		if bytes.HasPrefix(l, []byte(".")) {
			lines[i] = slices.Concat([]byte("."), l)
		}
	}
	return append(bytes.Join(lines, nil), ".\r\n"...)
}

// whole is a message with its last line ended, as DATA cannot send it otherwise.
func whole(data []byte) []byte {
	if len(data) == 0 || bytes.HasSuffix(data, crlf) {
		return data
	}
	return slices.Concat(data, crlf)
}

// wireForm is a message as IMAP serves it: a bare LF has become CRLF.
func wireForm(data []byte) []byte {
	var b bytes.Buffer
	for i, c := range data {
		if c == '\n' && (i == 0 || data[i-1] != '\r') {
			b.WriteByte('\r')
		}
		b.WriteByte(c)
	}
	return b.Bytes()
}

// withoutNUL is what BODY[] shows: RFC 9051, 4.3 has no NUL in literals.
func withoutNUL(data []byte) []byte { return bytes.ReplaceAll(data, []byte{0}, []byte{0x80}) }

func checkText(t *testing.T, want corpus.Message, got []byte) {
	t.Helper()
	shown := withoutNUL(want.Data)
	if bytes.Equal(got, shown) {
		return
	}
	at := 0
	for at < min(len(got), len(shown)) && got[at] == shown[at] {
		at++
	}
	t.Errorf("%s has %d octets, want %d; they differ from octet %d on: %.80q, want %.80q", want.Name, len(got), len(shown), at, got[at:], shown[at:])
}

// arrived is one message as FETCH tells it.
type arrived struct {
	size int64
	body []byte
}

// fetched reads the messages one after the other. A mailbox must be selected; INBOX is, if none was.
func fetched(t *testing.T, c *imapclient.Client, set imap.NumSet) func(yield func(arrived) bool) {
	t.Helper()
	if c.State() != imap.ConnStateSelected {
		if _, err := c.Select("INBOX", nil).Wait(); err != nil {
			t.Fatal(err)
		}
	}
	section := &imap.FetchItemBodySection{Peek: true}
	cmd := c.Fetch(set, &imap.FetchOptions{RFC822Size: true, BodySection: []*imap.FetchItemBodySection{section}})
	return func(yield func(arrived) bool) {
		for m := cmd.Next(); m != nil; m = cmd.Next() {
			got, err := m.Collect()
			if err != nil {
				t.Fatal(err)
			}
			if !yield(arrived{got.RFC822Size, got.FindBodySection(section)}) {
				break
			}
		}
		if err := cmd.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// checkStructure fetches the sections that BODYSTRUCTURE tells of, and finds them in the message in order.
func checkStructure(t *testing.T, c *imapclient.Client, n uint32, name string, text []byte) {
	t.Helper()
	got, err := c.Fetch(imap.SeqSetNum(n), &imap.FetchOptions{Envelope: true, BodyStructure: &imap.FetchItemBodyStructure{Extended: true}}).Collect()
	if err != nil || len(got) != 1 || got[0].BodyStructure == nil || got[0].Envelope == nil {
		t.Fatalf("%s has no structure that go-imap reads: %v (%v)", name, got, err)
	}
	var (
		parts []part
		items []*imap.FetchItemBodySection
	)
	got[0].BodyStructure.Walk(func(path []int, b imap.BodyStructure) bool {
		single, ok := b.(*imap.BodyStructureSinglePart)
		if ok && len(parts) < shownParts {
			p := part{path: slices.Clone(path), size: int64(single.Size), body: &imap.FetchItemBodySection{Peek: true, Part: slices.Clone(path)}}
			items = append(items, p.body)
			if _, multipart := got[0].BodyStructure.(*imap.BodyStructureMultiPart); multipart {
				p.mime = &imap.FetchItemBodySection{Peek: true, Part: slices.Clone(path), Specifier: imap.PartSpecifierMIME}
				items = append(items, p.mime)
			}
			parts = append(parts, p)
		}
		return len(path) < twentyLevels
	})
	if len(parts) == 0 {
		return // they all lie too deep
	}
	sections, err := c.Fetch(imap.SeqSetNum(n), &imap.FetchOptions{BodySection: items}).Collect()
	if err != nil || len(sections) != 1 {
		t.Fatalf("%s: the sections: %v", name, err)
	}
	rest := text
	for _, p := range parts {
		body := sections[0].FindBodySection(p.body)
		if int64(len(body)) != p.size {
			t.Errorf("%s: BODYSTRUCTURE says %d octets of part %v, BODY[%[3]v] has %d", name, p.size, p.path, len(body))
		}
		whole := body
		if p.mime != nil {
			whole = slices.Concat(sections[0].FindBodySection(p.mime), body)
		}
		at := bytes.Index(rest, whole)
		if at < 0 {
			t.Errorf("%s: part %v, header and body, does not stand in the message behind the part before it: %.200q", name, p.path, whole)
			continue
		}
		if len(p.path) == 1 {
			rest = rest[at+len(whole):]
		}
	}
}

// part is a leaf of a BODYSTRUCTURE, or a message in a message.
type part struct {
	path       []int
	size       int64
	mime, body *imap.FetchItemBodySection // mime: nil where the message has no parts
}

// line speaks a protocol of lines without understanding it.
type line struct {
	t    *testing.T
	conn *tls.Conn
	r    *bufio.Reader
}

func (b *box) line(t *testing.T, conn *tls.Conn) *line {
	t.Helper()
	t.Cleanup(func() { conn.Close() })
	return &line{t, conn, bufio.NewReader(conn)}
}

func (l *line) say(text string) {
	l.t.Helper()
	if _, err := l.conn.Write([]byte(text)); err != nil {
		l.t.Fatal(err)
	}
}

// until reads up to the line that begins with prefix, and returns it. The end of the connection, and a refusal by SMTP or IMAP that
// was not asked for, end the test.
func (l *line) until(prefix string) string {
	l.t.Helper()
	for {
		text, err := l.r.ReadString('\n')
		if err != nil {
			l.t.Fatalf("waiting for %q: %v", prefix, err)
		}
		if strings.HasPrefix(text, prefix) {
			return text
		}
		word, after, _ := strings.Cut(text, " ")
		refused := len(word) == 3 && word[0] >= '4' && word[0] <= '5' || word != "*" && (strings.HasPrefix(after, "NO ") || strings.HasPrefix(after, "BAD "))
		if refused {
			l.t.Fatalf("waiting for %q: the server says %q", prefix, text)
		}
	}
}
