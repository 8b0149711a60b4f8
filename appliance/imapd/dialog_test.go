package imapd

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"letterbox/store"
)

// TestDialogs plays testdata/dialogs/*.dialog against a server over a real
// store, one file per command or scenario. A file is a list of lines:
//
//	# comment
//	! message MAILBOX FILE [FLAG...]   put testdata/messages/FILE there, from outside
//	! fill N                           put N small messages into INBOX, from outside
//	! fresh                            connections from here on are not signed in for the dialog
//	! secret                           no password is taken without TLS
//	! tls                              TLS is on offer
//	! handshake                        connection 1 starts TLS
//	! quota N                          ann may have N octets
//	! no room                          nothing is to be written to the disk any more
//	! log TEXT                         TEXT stands in the server's log
//	C: text                            connection 1 sends text and CRLF; C2: is connection 2, and so on
//	C~ "text"                          connection 1 sends text, a Go string, and nothing more
//	C@ FILE                            connection 1 sends testdata/messages/FILE, then CRLF
//	S: text                            connection 1 gets this response; literals are part of it
//	S| text                            ... and this is its next line
//	S~ text                            connection 1 gets this response after any others
//	S!                                 connection 1 is closed by the server
//
// {len FILE} in a line that is sent is the size of a file. In a response,
// "..." stands for anything and <n> for a number; <name=n> keeps the number,
// and <name> is the number kept, in both directions.
func TestDialogs(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/dialogs/*.dialog")
	if err != nil || len(files) < 60 {
		t.Fatalf("there are only %d dialogs (%v)", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".dialog"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			d := &dialog{t: t, file: file, peers: make(map[string]*peer), vars: make(map[string]string)}
			d.play(strings.Split(strings.TrimRight(string(text), "\n"), "\n"))
		})
	}
}

// A dialog is one file being played.
type dialog struct {
	t       *testing.T
	file    string
	line    int // of the file, from 1
	fixture *fixture
	peers   map[string]*peer
	vars    map[string]string
	options []func(*Options)
	fresh   bool
}

// A peer is one connection.
type peer struct {
	conn net.Conn
	r    *bufio.Reader
}

func (d *dialog) fatalf(format string, args ...any) {
	d.t.Helper()
	d.t.Fatalf("%s:%d: %s\nlog:\n%s", d.file, d.line, fmt.Sprintf(format, args...), d.log())
}

func (d *dialog) log() string {
	if d.fixture == nil {
		return ""
	}
	return d.fixture.log.String()
}

var dialogLine = regexp.MustCompile(`^([CS])([0-9]*)([:~@|!])(?: (.*))?$`)

func (d *dialog) play(lines []string) {
	for d.line = 1; d.line <= len(lines); d.line++ {
		text := lines[d.line-1]
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if rest, ok := strings.CutPrefix(text, "! "); ok {
			d.direct(strings.Fields(rest), rest)
			continue
		}
		m := dialogLine.FindStringSubmatch(text)
		if m == nil {
			d.fatalf("this line means nothing: %s", text)
		}
		p := d.peer(m[2])
		if m[1] == "C" {
			d.send(p, m[3], m[4])
			continue
		}
		want, at := m[4], d.line
		for ; d.line < len(lines) && strings.HasPrefix(lines[d.line], "S"+m[2]+"|"); d.line++ {
			want += "\r\n" + strings.TrimPrefix(strings.TrimPrefix(lines[d.line], "S"+m[2]+"|"), " ")
		}
		end := d.line
		d.line = at
		d.expect(p, m[3], want)
		d.line = end
	}
}

// start opens the store and the server once they are needed.
func (d *dialog) start() *fixture {
	if d.fixture == nil {
		d.fixture = newFixture(d.t, func(o *Options) {
			for _, change := range d.options {
				change(o)
			}
		})
		d.fixture.listen()
	}
	return d.fixture
}

func (d *dialog) direct(words []string, text string) {
	switch words[0] {
	case "message":
		d.start().deliver(words[1], messageFile(d.t, words[2]), time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), words[3:]...)
	case "fill":
		n, err := strconv.Atoi(words[1])
		if err != nil {
			d.fatalf("%v", err)
		}
		d.start().fill(n)
	case "fresh":
		d.fresh = true
	case "secret":
		d.options = append(d.options, func(o *Options) { o.PlaintextOnLoopback = false })
	case "tls":
		d.options = append(d.options, func(o *Options) { o.TLS = certificate() })
	case "handshake":
		p := d.peer("")
		t := tls.Client(p.conn, clientTLS())
		if err := t.Handshake(); err != nil {
			d.fatalf("%v", err)
		}
		p.conn, p.r = t, bufio.NewReader(t)
	case "quota":
		n, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil {
			d.fatalf("%v", err)
		}
		d.start().store.SetQuotas(map[string]store.Quota{"ann": {Bytes: n}})
		a, err := d.fixture.store.Account("ann")
		if err == nil {
			_, err = a.CountUsage(d.t.Context())
		}
		if err != nil {
			d.fatalf("%v", err)
		}
	case "no":
		d.start().store.SetFloor(store.Floor{Bytes: 1 << 60})
	case "log":
		if want := strings.TrimPrefix(text, "log "); !strings.Contains(d.log(), want) {
			d.fatalf("the log does not have %q", want)
		}
	default:
		d.fatalf("there is no directive %q", words[0])
	}
}

// peer returns the connection of a number, opening it the first time.
func (d *dialog) peer(number string) *peer {
	if p := d.peers[number]; p != nil {
		return p
	}
	conn, err := net.Dial("tcp", d.start().addr)
	if err != nil {
		d.fatalf("%v", err)
	}
	d.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		d.fatalf("%v", err)
	}
	p := &peer{conn, bufio.NewReader(conn)}
	d.peers[number] = p
	if !d.fresh {
		d.expect(p, ":", "* OK ...")
		d.send(p, ":", "login LOGIN ann secret")
		d.expect(p, ":", "login OK ...")
	}
	return p
}

var fileSize = regexp.MustCompile(`\{len ([^ }+]+)`)

func (d *dialog) send(p *peer, how, text string) {
	var b []byte
	switch how {
	case ":":
		text = fileSize.ReplaceAllStringFunc(text, func(m string) string {
			return "{" + strconv.Itoa(len(messageFile(d.t, fileSize.FindStringSubmatch(m)[1])))
		})
		for name, value := range d.vars {
			text = strings.ReplaceAll(text, "<"+name+">", value)
		}
		b = []byte(text + "\r\n")
	case "~":
		s, err := strconv.Unquote(text)
		if err != nil {
			d.fatalf("%v: %s", err, text)
		}
		b = []byte(s)
	case "@":
		b = append(messageFile(d.t, text), "\r\n"...)
	}
	if _, err := p.conn.Write(b); err != nil {
		d.fatalf("sending: %v", err)
	}
}

func (d *dialog) expect(p *peer, how, want string) {
	if how == "!" {
		if rest, err := io.ReadAll(p.r); err != nil || len(rest) > 0 {
			d.fatalf("the connection was to be closed, but: %q, %v", rest, err)
		}
		return
	}
	pattern, names := d.pattern(want)
	for {
		got, err := readResponse(p.r)
		if err != nil {
			d.fatalf("want %s\ngot  %s, %v", want, got, err)
		}
		if m := pattern.FindStringSubmatch(got); m != nil {
			for i, name := range names {
				d.vars[name] = m[i+1]
			}
			return
		}
		if how != "~" {
			d.fatalf("\nwant %s\ngot  %s", want, got)
		}
	}
}

var wildcard = regexp.MustCompile(`\.\.\.|<([a-z]+)(=n)?>`)

// pattern makes a regular expression of a response that is waited for, and
// says which numbers it keeps.
func (d *dialog) pattern(want string) (*regexp.Regexp, []string) {
	var names []string
	var re strings.Builder
	last := 0
	for _, m := range wildcard.FindAllStringSubmatchIndex(want, -1) {
		re.WriteString(regexp.QuoteMeta(want[last:m[0]]))
		last = m[1]
		switch text := want[m[0]:m[1]]; {
		case text == "...":
			re.WriteString(`.*?`)
		case text == "<n>":
			re.WriteString(`[0-9]+`)
		case strings.HasSuffix(text, "=n>"):
			re.WriteString(`([0-9]+)`)
			names = append(names, want[m[2]:m[3]])
		default:
			re.WriteString(d.vars[want[m[2]:m[3]]])
		}
	}
	re.WriteString(regexp.QuoteMeta(want[last:]))
	return regexp.MustCompile(`(?s)^` + re.String() + `$`), names
}

var literalEnd = regexp.MustCompile(`\{([0-9]+)\}\r\n$`)

// readResponse reads a response with its literals, without the last CRLF.
func readResponse(r *bufio.Reader) (string, error) {
	var b bytes.Buffer
	for {
		line, err := r.ReadString('\n')
		b.WriteString(line)
		if err != nil {
			return b.String(), err
		}
		m := literalEnd.FindStringSubmatch(line)
		if m == nil {
			return strings.TrimSuffix(b.String(), "\r\n"), nil
		}
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			return b.String(), err
		}
		if _, err := io.CopyN(&b, r, n); err != nil {
			return b.String(), err
		}
	}
}
