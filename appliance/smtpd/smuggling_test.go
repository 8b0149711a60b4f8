package smtpd

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// framings are messages with everything that some server somewhere takes for the end of one, or for the start of a line.
// want is the message as it was meant, by RFC 5321, 4.1.1.4 and 4.5.2 to the letter.
var framings = []struct{ name, wire, want string }{
	{"LF dot LF", "a\n.\nb\r\n", "a\n.\nb\r\n"},
	{"LF dot CRLF", "a\n.\r\nb\r\n", "a\n.\r\nb\r\n"},
	{"CR dot CR", "a\r.\rb\r\n", "a\r.\rb\r\n"},
	{"CR dot CRLF", "a\r.\r\nb\r\n", "a\r.\r\nb\r\n"},
	{"CR dot LF", "a\r.\nb\r\n", "a\r.\nb\r\n"},
	{"LF dot CR", "a\n.\rb\r\n", "a\n.\rb\r\n"},
	{"CRLF dot LF", "a\r\n.\nb\r\n", "a\r\n\nb\r\n"},
	{"CRLF dot CR", "a\r\n.\rb\r\n", "a\r\n\rb\r\n"},
	{"CRLF dot CR CR LF", "a\r\n.\r\r\nb\r\n", "a\r\n\r\r\nb\r\n"},
	{"CRLF dot CR dot CRLF", "a\r\n.\r.\r\nb\r\n", "a\r\n\r.\r\nb\r\n"},
	{"stuffed dot CR", "a\r\n..\rb\r\n", "a\r\n.\rb\r\n"},
	{"stuffed dot LF", "a\r\n..\nb\r\n", "a\r\n.\nb\r\n"},
	{"CR CRLF", "a\r\r\n", "a\r\r\n"},
	{"CR CRLF stuffed dot", "a\r\r\n..b\r\n", "a\r\r\n.b\r\n"},
	{"LF CR dot", "a\n\r.\n\rb\r\n", "a\n\r.\n\rb\r\n"},
	{"NUL around a dot", "a\r\n\x00.\r\n.\x00\r\n", "a\r\n\x00.\r\n\x00\r\n"},
	{"first line is CR", "\rb\r\n", "\rb\r\n"},
	{"first line is dot CR", ".\rb\r\n", "\rb\r\n"},
	{"empty lines", "\r\n\r\n\r\n", "\r\n\r\n\r\n"},
	{"many dots", "....\r\n..\r\n", "...\r\n.\r\n"},
	{"smuggled commands", "a\n.\nMAIL FROM:<x@y.example>\r\nRCPT TO:<ben@example.org>\r\nDATA\r\nbad\r\n",
		"a\n.\nMAIL FROM:<x@y.example>\r\nRCPT TO:<ben@example.org>\r\nDATA\r\nbad\r\n"},
	{"long line", strings.Repeat("x", 5000) + "\r\n", strings.Repeat("x", 5000) + "\r\n"},
	{"dot at the edge of the buffer", strings.Repeat("x", readSize-3) + "\r\n..\r\n", strings.Repeat("x", readSize-3) + "\r\n.\r\n"},
}

// TestOnlyCRLFDotCRLFEnds sends every framing in one piece and cut at every place, and finds exactly one message,
// unchanged but for the stuffed dots.
func TestOnlyCRLFDotCRLFEnds(t *testing.T) {
	t.Parallel()
	for _, f := range framings {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			u := start(t, "intake")
			c := dialRaw(t, u.addr)
			wire := f.wire + ".\r\n"
			cuts := []int{len(wire)}
			if len(wire) < 100 {
				for i := 1; i < len(wire); i++ {
					cuts = append(cuts, i)
				}
			}
			for _, cut := range cuts {
				c.begin()
				c.ask("DATA\r\n", "354")
				c.say(wire[:cut])
				c.say(wire[cut:])
				c.hear("250 2.0.0 delivered")
			}
			c.ask("QUIT\r\n", "221")
			checkAll(t, u, len(cuts), f.want)
		})
	}
}

// TestChunksAreOctets sends the same by BDAT, where nothing is special, cut at every place into two chunks.
func TestChunksAreOctets(t *testing.T) {
	t.Parallel()
	for _, f := range framings {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			u := start(t, "intake")
			c := dialRaw(t, u.addr)
			n := 0
			for cut := 0; cut <= len(f.wire) && cut < 100; cut++ {
				c.begin()
				c.ask(fmt.Sprintf("BDAT %d\r\n%s", cut, f.wire[:cut]), "250 2.0.0")
				c.ask(fmt.Sprintf("BDAT %d LAST\r\n%s", len(f.wire)-cut, f.wire[cut:]), "250 2.0.0 delivered")
				n++
			}
			c.ask("QUIT\r\n", "221")
			checkAll(t, u, n, f.wire)
		})
	}
}

func checkAll(t *testing.T, u *underTest, n int, want string) {
	t.Helper()
	all := u.room.deliveries()
	if len(all) != n {
		t.Fatalf("%d messages arrived, not %d", len(all), n)
	}
	for _, d := range all {
		if d.message != want {
			t.Errorf("got  %q\nwant %q", d.message, want)
		}
	}
}

// FuzzDotDecoder compares the decoder with the rule as RFC 5321, 4.5.2 states it, line by line, for any cut.
func FuzzDotDecoder(f *testing.F) {
	for _, m := range framings {
		f.Add([]byte(m.wire+".\r\n"), 3)
	}
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		b = append(b, "\r\n.\r\nQUIT\r\n"...)
		want, rest := unstuff(string(b))
		cut = min(max(cut, 0), len(b))
		var d dotDecoder
		out, used := d.decode(nil, b[:cut])
		if d.state != ended {
			var more int
			out, more = d.decode(out, b[cut:])
			used += more
		}
		if string(out) != want || string(b[used:]) != rest {
			t.Errorf("%q, cut at %d:\ngot  %q and %q\nwant %q and %q", b, cut, out, b[used:], want, rest)
		}
	})
}

// unstuff is the plain reading of RFC 5321, 4.5.2.
func unstuff(s string) (message, rest string) {
	var b strings.Builder
	for {
		line, after, _ := strings.Cut(s, "\r\n")
		if line == "." {
			return b.String(), after
		}
		b.WriteString(strings.TrimPrefix(line, ".") + "\r\n")
		s = after
	}
}

// A rawConn writes octets as they are told.
type rawConn struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dialRaw(t *testing.T, addr string) *rawConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	r := newRaw(t, c)
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	r.hear("220")
	r.ask("HELO client.example\r\n", "250")
	return r
}

func newRaw(t *testing.T, c net.Conn) *rawConn { return &rawConn{t: t, Conn: c, r: bufio.NewReader(c)} }

func (c *rawConn) begin() {
	c.t.Helper()
	c.ask("MAIL FROM:<friend@elsewhere.example>\r\n", "250")
	c.ask("RCPT TO:<ann@example.org>\r\n", "250")
}

func (c *rawConn) say(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatal(err)
	}
}

func (c *rawConn) ask(s, want string) {
	c.t.Helper()
	c.say(s)
	c.hear(want)
}

func (c *rawConn) hear(want string) {
	c.t.Helper()
	line, err := c.r.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, want) {
		c.t.Fatalf("wanted %q, got %q, %v", want, line, err)
	}
}

// closed checks that the server has ended the connection.
func (c *rawConn) closed() {
	c.t.Helper()
	if line, err := c.r.ReadString('\n'); err == nil || line != "" {
		c.t.Fatalf("the connection goes on: %q", line)
	}
}
