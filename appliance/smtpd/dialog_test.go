package smtpd

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestDialogs runs testdata/*.dialog. The lines of a dialog:
//
//	# a comment
//	@ intake | submission | submissions [loopback] [notls]     the server, in the first line
//	C: what the client sends, with CRLF after it
//	C+ the same without CRLF
//	S: what the server answers; "..." stands for anything
//	TLS        the client begins TLS
//	CLOSED     the server closes the connection
//	D: ann ben | text      the next delivery: to whom, and the message, or a part of it or of its header
//	NONE       nothing (more) was delivered
//
// In what the client sends, {x*300} is x 300 times, and \r \n \0 \\ \xNN are octets.
func TestDialogs(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.dialog")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no dialogs", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".dialog"), func(t *testing.T) {
			t.Parallel()
			runDialog(t, file)
		})
	}
}

type dialog struct {
	t      *testing.T
	server *underTest
	conn   net.Conn
	r      *bufio.Reader
	where  string
	taken  int // deliveries looked at
}

func runDialog(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := &dialog{t: t}
	for i, line := range strings.Split(strings.TrimRight(string(text), "\n"), "\n") {
		d.where = fmt.Sprintf("%s:%d", file, i+1)
		d.step(line)
	}
	d.conn.Close()
}

func (d *dialog) step(line string) {
	d.t.Helper()
	switch {
	case line == "", strings.HasPrefix(line, "#"):
	case strings.HasPrefix(line, "@ "):
		d.open(strings.Fields(line[2:]))
	case strings.HasPrefix(line, "C: "), line == "C:":
		d.send(expand(strings.TrimPrefix(line[2:], " ")) + "\r\n")
	case strings.HasPrefix(line, "C+ "):
		d.send(expand(line[3:]))
	case strings.HasPrefix(line, "S: "):
		d.expect(line[3:])
	case line == "TLS":
		_, client := testTLS()
		d.use(tls.Client(d.conn, client))
	case line == "CLOSED":
		if rest, err := d.r.ReadString('\n'); err == nil || rest != "" {
			d.t.Fatalf("%s: the server did not close but said %q", d.where, rest)
		}
	case strings.HasPrefix(line, "D: "):
		d.delivered(line[3:])
	case line == "NONE":
		if all := d.server.room.deliveries(); len(all) != d.taken {
			d.t.Fatalf("%s: there is a delivery more: %q", d.where, all[d.taken:])
		}
	default:
		d.t.Fatalf("%s: what is %q?", d.where, line)
	}
}

func (d *dialog) open(words []string) {
	d.t.Helper()
	d.server = start(d.t, words[0], func(o *Options) {
		o.PlaintextOnLoopback = slices.Contains(words, "loopback")
		if slices.Contains(words, "notls") {
			o.TLS = nil
		}
	})
	c, err := net.Dial("tcp", d.server.addr)
	if err != nil {
		d.t.Fatal(err)
	}
	if words[0] == "submissions" {
		_, client := testTLS()
		c = tls.Client(c, client)
	}
	d.use(c)
}

func (d *dialog) use(c net.Conn) {
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		d.t.Fatal(err)
	}
	d.conn, d.r = c, bufio.NewReader(c)
}

func (d *dialog) send(s string) {
	d.t.Helper()
	if _, err := d.conn.Write([]byte(s)); err != nil {
		d.t.Fatalf("%s: %v", d.where, err)
	}
}

func (d *dialog) expect(want string) {
	d.t.Helper()
	got, err := d.r.ReadString('\n')
	if err != nil {
		d.t.Fatalf("%s: wanted %q: %v", d.where, want, err)
	}
	if line, ok := strings.CutSuffix(got, "\r\n"); !ok || !matches(want, line) {
		d.t.Fatalf("%s:\nwant %s\ngot  %q", d.where, want, got)
	}
}

func (d *dialog) delivered(want string) {
	d.t.Helper()
	all := d.server.room.deliveries()
	if len(all) <= d.taken {
		d.t.Fatalf("%s: nothing was delivered", d.where)
	}
	got := all[d.taken]
	d.taken++
	to, text, _ := strings.Cut(want, "|")
	if !slices.Equal(got.to, strings.Fields(to)) {
		d.t.Errorf("%s: delivered to %q", d.where, got.to)
	}
	if text = expand(strings.TrimSpace(text)); !strings.Contains(got.header+"\n\n"+got.message+"<end>", text) {
		d.t.Errorf("%s: %q is not in\n%s\n%q", d.where, text, got.header, got.message)
	}
}

func matches(pattern, line string) bool {
	quoted := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\.\.\.`, ".*")
	return regexp.MustCompile("^" + quoted + "$").MatchString(line)
}

var (
	repeated = regexp.MustCompile(`\{([^{}]+)\*([0-9]+)\}`)
	escaped  = regexp.MustCompile(`\\(x[0-9a-f]{2}|.)`)
)

// expand resolves escapes and repetitions.
func expand(s string) string {
	s = escaped.ReplaceAllStringFunc(s, func(e string) string {
		switch e[1] {
		case 'r':
			return "\r"
		case 'n':
			return "\n"
		case 't':
			return "\t"
		case '0':
			return "\x00"
		case 'x':
			n, _ := strconv.ParseUint(e[2:], 16, 8)
			return string([]byte{byte(n)})
		}
		return e[1:]
	})
	return repeated.ReplaceAllStringFunc(s, func(e string) string {
		m := repeated.FindStringSubmatch(e)
		n, _ := strconv.Atoi(m[2])
		return strings.Repeat(m[1], n)
	})
}
