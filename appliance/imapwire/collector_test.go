package imapwire

import (
	"bufio"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

func TestLiteralTail(t *testing.T) {
	for in, want := range map[string]Literal{
		"a {5}":                   {Size: 5, Len: 3},
		"a {5}\r\n":               {Size: 5, Len: 3},
		"a {5}\n":                 {Size: 5, Len: 3},
		"{0}\r\n":                 {Len: 3},
		"a {007+}\r\n":            {Size: 7, NonSync: true, Len: 6},
		"a (~{12}\r\n":            {Size: 12, Binary: true, Len: 5},
		"~{12+}\r\n":              {Size: 12, NonSync: true, Binary: true, Len: 6},
		"x{9223372036854775807}":  {Size: math.MaxInt64, Len: 21},
		"x{9223372036854775808+}": {Size: math.MaxInt64, NonSync: true, Len: 22},
		"x{99999999999999999999}": {Size: math.MaxInt64, Len: 22},
	} {
		if got, ok := LiteralTail([]byte(in)); !ok || got != want {
			t.Errorf("%q: %+v %v", in, got, ok)
		}
	}
	for _, in := range []string{"", "\r\n", "}", "{}", "{+}", "{5", "5}", "a {5} ", "{5}\r", "{5}\r\n\r\n", "{5}}", "{5++}", "{-5}", "{5 }", "(5}", `"{5}"`} {
		if l, ok := LiteralTail([]byte(in)); ok {
			t.Errorf("%q: %+v", in, l)
		}
	}
}

// collect does what a connection does with a Collector, on what a client has sent: it returns the commands, the messages of
// APPEND in brackets, and of those refused what is known of them.
func collect(t testing.TB, in string, limit int) (commands []string) {
	r := bufio.NewReader(strings.NewReader(in))
	var c Collector
	for {
		c.Reset(limit)
		command, err := collectOne(&c, r)
		if err == io.EOF {
			return commands
		}
		if err != nil {
			t.Fatal(err)
		}
		commands = append(commands, command)
	}
}

func collectOne(c *Collector, r *bufio.Reader) (string, error) {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return "", err
		}
		l, more, err := c.AddLine(line)
		switch {
		case err != nil:
			return refuse(c, r, l, more)
		case !more:
			return string(c.Bytes()), nil
		case c.MessageNext():
			message := make([]byte, l.Size)
			if _, err := io.ReadFull(r, message); err != nil {
				return "", err
			}
			rest, err := r.ReadSlice('\n')
			return string(c.Bytes()) + "[" + string(message) + "]" + string(trimLineEnd(rest)), err
		}
		room, err := c.AddLiteral(l)
		if err != nil {
			return refuse(c, r, l, true)
		}
		if _, err := io.ReadFull(r, room); err != nil {
			return "", err
		}
	}
}

func refuse(c *Collector, r *bufio.Reader, l Literal, more bool) (string, error) {
	tag, name, _, _ := ParseTag(c.Bytes())
	refused := "refused: " + tag + " " + name
	for more && l.NonSync {
		if _, err := io.CopyN(io.Discard, r, l.Size); err != nil {
			return "", err
		}
		line, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		l, more = LiteralTail([]byte(line))
	}
	return refused, nil
}

func TestCollector(t *testing.T) {
	long := strings.Repeat("x", 100)
	for _, c := range []struct {
		name, in string
		want     []string
	}{
		{"lines", "a NOOP\r\nb CAPABILITY\n\r\n", []string{"a NOOP", "b CAPABILITY", ""}},
		{"literals", "a LOGIN {3}\r\nann {4+}\r\nx\r\ny\r\nb NOOP\r\n", []string{"a LOGIN {3}\r\nann {4+}\r\nx\r\ny", "b NOOP"}},
		{"a literal that ends in a line end", "a SELECT {3+}\r\nx\r\n\r\nb NOOP\r\n", []string{"a SELECT {3+}\r\nx\r\n", "b NOOP"}},
		{"a literal that looks like one", "a SELECT {3+}\r\n{5}\r\nb NOOP\r\n", []string{"a SELECT {3+}\r\n{5}", "b NOOP"}},
		{"a literal that begins one", "a LOGIN {2+}\r\n{5}\r\nb NOOP\r\n", []string{"a LOGIN {2+}\r\n{5}", "b NOOP"}},
		{"append", "a APPEND x (\\Seen) {5}\r\nhello\r\nb NOOP\r\n", []string{"a APPEND x (\\Seen) {5}[hello]", "b NOOP"}},
		{"append with a literal name", "a append {1}\r\nx {5}\r\nhello\r\n", []string{"a append {1}\r\nx {5}[hello]"}},
		{"append in UTF-8", "a APPEND x UTF8 (~{5+}\r\nhello)\r\n", []string{"a APPEND x UTF8 (~{5+}[hello])"}},
		{"a message beyond the limit", "a APPEND x {150+}\r\n" + strings.Repeat("m", 150) + "\r\n", []string{"a APPEND x {150+}[" + strings.Repeat("m", 150) + "]"}},
		{"a line beyond the limit", "a NOOP " + long + long + "\r\nb NOOP\r\n", []string{"refused: a NOOP", "b NOOP"}},
		{"a literal beyond the limit", "a SELECT {101}\r\nb NOOP\r\n", []string{"refused: a SELECT", "b NOOP"}},
		{"one that comes anyway", "a SELECT {101+}\r\n" + strings.Repeat("b NOOP\r\n", 12) + "12345 {3+}\r\nabc\r\nb NOOP\r\n",
			[]string{"refused: a SELECT", "b NOOP"}},
		{"a line beyond the limit with a literal", "a LOGIN " + long + " {6+}\r\nx LOG\n\r\nb NOOP\r\n", []string{"refused: a LOGIN", "b NOOP"}},
		{"an absurd literal", "a SELECT {99999999999999999999}\r\nb NOOP\r\n", []string{"refused: a SELECT", "b NOOP"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := collect(t, c.in, 100); strings.Join(got, "|") != strings.Join(c.want, "|") {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestCollectorGivesBackLargeBuffers(t *testing.T) {
	var c Collector
	c.Reset(100000)
	if _, _, err := c.AddLine([]byte("a NOOP " + strings.Repeat("x", 50000) + "\r\n")); err != nil {
		t.Fatal(err)
	}
	c.Reset(100000)
	if cap(c.buf) > keptBuffer {
		t.Errorf("%d octets are kept", cap(c.buf))
	}
	line := []byte("a NOOP\r\n")
	_, _, _ = c.AddLine(line)
	if n := testing.AllocsPerRun(100, func() { c.Reset(1000); _, _, _ = c.AddLine(line) }); n > 0 {
		t.Errorf("%v allocations for a short command", n)
	}
}

func TestZeroCollectorRefuses(t *testing.T) {
	var c Collector
	if _, _, err := c.AddLine([]byte("a NOOP\r\n")); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
}

func TestParseTag(t *testing.T) {
	for _, c := range []struct{ in, tag, name, rest, err string }{
		{in: "a NOOP", tag: "a", name: "NOOP"},
		{in: "a noop\r\n", tag: "a", name: "NOOP", rest: "\r\n"},
		{in: "A.1]  login ann x", tag: "A.1]", name: "LOGIN", rest: " ann x"},
		{in: "a uid fetch 1 FLAGS", tag: "a", name: "UID FETCH", rest: " 1 FLAGS"},
		{in: "a UID  EXPUNGE 1", tag: "a", name: "UID EXPUNGE", rest: " 1"},
		{in: "", err: "a tag, found the end of the line"},
		{in: "\r\n", err: "a tag"},
		{in: " a NOOP", err: "a tag, found a space"},
		{in: "* NOOP", err: "a tag"},
		{in: "+ NOOP", err: "a tag"},
		{in: "a+ NOOP", err: "a tag without a plus sign"},
		{in: "\xff NOOP", err: "a tag"},
		{in: "a", tag: "a", err: "a space and then a command"},
		{in: "a ", tag: "a", err: "expected a command"},
		{in: "a UID", tag: "a", err: "a command after UID"},
		{in: "a LOGIN(x", tag: "a", err: "a space after LOGIN"},
		{in: "a {5}", tag: "a", err: "a command"},
		{in: "a " + strings.Repeat("X", 33), tag: "a", err: "there is no command"},
	} {
		tag, name, rest, err := ParseTag([]byte(c.in))
		if tag != c.tag || name != c.name || string(rest) != c.rest {
			t.Errorf("%q: %q %q %q", c.in, tag, name, rest)
		}
		if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: error %v, want %q", c.in, err, c.err)
		}
		if syntax := (*SyntaxError)(nil); err != nil && (!errors.As(err, &syntax) || syntax.Tag != c.tag) {
			t.Errorf("%q: error %#v", c.in, err)
		}
	}
}
