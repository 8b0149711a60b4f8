package imapreader

import (
	"bufio"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

// A babbler says head, then again and again what more says for the next number, then tail, if it ever comes to that. It weighs the
// heap on the way.
type babbler struct {
	head, tail string
	more       func(n int) string
	times      int

	n, said int
	text    string
	heap    uint64 // at most
}

func (b *babbler) Read(p []byte) (int, error) {
	for b.text == "" {
		switch {
		case b.n == 0:
			b.text = b.head
		case b.n <= b.times:
			b.text = b.more(b.n)
		case b.n == b.times+1:
			b.text = b.tail
		default:
			return 0, io.EOF
		}
		b.n++
	}
	n := copy(p, b.text)
	b.text = b.text[n:]
	if before := b.said; before>>18 != (before+n)>>18 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		b.heap = max(b.heap, m.HeapAlloc)
	}
	b.said += n
	return n, nil
}

// TestHostile: a server that does not come to an end is told so in a sentence, and takes no memory.
func TestHostile(t *testing.T) { // not parallel: it weighs the heap of all
	same := func(text string) func(int) string { return func(int) string { return text } }
	long := strings.Repeat("x", 8<<10)
	folders := func(c *Conn) error { _, err := c.Folders(); return err }
	const noNamespace = "* CAPABILITY IMAP4rev1\r\na1 OK\r\n"
	messages := func(c *Conn) error { _, err := c.Messages([]uint32{1, 2, 3}); return err }
	for name, c := range map[string]struct {
		head  string
		more  func(int) string
		do    func(*Conn) error
		want  string // "": it goes well, after 100 times of more, and tail
		tail  string
		limit int64 // what an answer may have; 0: 2 MB
		heap  int64 // what it may take; 0: 1 MB
	}{
		"a word":                      {head: "* ", more: same(long), do: messages, want: "a word of more than 65536 octets"},
		"a tag":                       {more: same(long), do: messages, want: "a word of more than 65536 octets"},
		"a line":                      {head: "* X ", more: same(long), do: messages, want: "an answer of more than 2097152 octets"},
		"a status":                    {head: "* OK [X ", more: same(long), do: messages, want: "an answer of more than 2097152 octets"},
		"a line for people":           {head: "* OK ", more: same(long), do: messages, want: "an answer of more than 2097152 octets"},
		"responses":                   {more: same("* OK still here\r\n"), do: messages, want: "an answer of more than 2097152 octets"},
		"unknown responses":           {more: same("* X {3}\r\nabc (\r\n"), do: messages, want: "an answer of more than 2097152 octets"},
		"FETCH responses":             {more: same("* 1 FETCH (UID 2 FLAGS (\\Seen x))\r\n"), do: messages, want: "an answer of more than 2097152 octets"},
		"flags":                       {head: "* 1 FETCH (UID 1 FLAGS (", more: same("some-flag "), do: messages, want: "an answer of more than 2097152 octets"},
		"long flags":                  {head: "* 1 FETCH (UID 1 FLAGS (", more: same(long + " "), do: messages, want: "an answer of more than 2097152 octets"},
		"a list":                      {head: "* 1 FETCH (X (", more: same("a (b) "), do: messages, want: "an answer of more than 2097152 octets"},
		"lists in lists":              {head: "* 1 FETCH (X ", more: same("("), do: messages, want: "lists in lists in lists, more than 100 deep"},
		"items":                       {head: "* 1 FETCH (", more: same("X 1 "), do: messages, want: "an answer of more than 2097152 octets"},
		"a section":                   {head: "* 1 FETCH (BODY[", more: same(long), do: messages, want: "an answer of more than 2097152 octets"},
		"a string":                    {head: "* 1 FETCH (INTERNALDATE \"", more: same(long), do: messages, want: "a text of more than 65536 octets"},
		"a literal for a text":        {head: "* 1 FETCH (INTERNALDATE {65537}\r\n", more: same(long), do: messages, want: "a text of 65537 octets"},
		"a literal for nothing":       {head: "* 1 FETCH (X {1048577}\r\n", more: same(long), do: messages, want: "1048577 octets that nobody has asked for"},
		"a literal of the most":       {head: "* X {9223372036854775807}\r\n", more: same(long), do: messages, want: "9223372036854775807 octets that nobody has asked for"},
		"a literal longer than that":  {head: "* 1 FETCH (X {9223372036854775808}\r\n", more: same(long), do: messages, want: "the length of a literal should stand before"},
		"capabilities":                {head: "* CAPABILITY", more: same(" " + long[:80]), do: folders, want: "an answer of more than 2097152 octets"},
		"a folder's name":             {head: noNamespace + "* LIST () \"/\" ", more: same(long), do: folders, want: "a word of more than 65536 octets"},
		"a folder's attributes":       {head: noNamespace + "* LIST (", more: same("\\Sent "), do: folders, want: "an answer of more than 2097152 octets"},
		"folders":                     {head: noNamespace, more: func(n int) string { return fmt.Sprintf("* LIST () \"/\" %d\r\n", n) }, do: folders, want: "more than 20000 folders", heap: 16 << 20},
		"folders with long names":     {head: noNamespace, more: func(n int) string { return fmt.Sprintf("* LIST () \"/\" %s%d\r\n", long, n) }, do: folders, want: "folders whose names have more than 8388608 octets", limit: 32 << 20, heap: 32 << 20},
		"a folder again and again":    {head: noNamespace, more: same("* LIST (\\Sent \\X-Another-Attribute) \"/\" x\r\n"), do: folders, want: "more than 20000 folders", heap: 16 << 20},
		"namespaces":                  {head: "* CAPABILITY NAMESPACE\r\na1 OK\r\n* NAMESPACE (", more: same("(\"" + long[:1000] + "\" \"/\")"), do: folders, want: "an answer of more than 2097152 octets"},
		"messages in a folder":        {more: func(n int) string { return fmt.Sprintf("* %d FETCH (UID %d)\r\n", n, n) }, do: func(c *Conn) error { _, err := c.uids(50_000); return err }, want: "more than 50000 messages in a folder"},
		"a message again and again":   {more: same("* 1 FETCH (UID 1)\r\n"), do: func(c *Conn) error { _, err := c.UIDs(); return err }, want: "an answer of more than 2097152 octets", heap: 4 << 20},
		"a message that nobody wants": {head: "* 1 FETCH (UID 1 BODY[] {99999999999}\r\n", more: same(long), do: unread, want: "99999999999 octets of a message that is not wanted"},
		"a long message":              {head: "* 1 FETCH (UID 1 BODY[] {10240000}\r\n", more: func(int) string { return strings.Repeat(long, 12) + long[:102400-12*len(long)] }, do: readAll, tail: ")\r\na1 OK\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			b := &babbler{head: c.head, more: c.more, tail: c.tail, times: 1 << 30}
			if c.want == "" {
				b.times = 100
			}
			limit, heap := c.limit, c.heap
			if limit == 0 {
				limit = 2 << 20
			}
			if heap == 0 {
				heap = 1 << 20
			}
			conn := &Conn{conn: said{Reader: b}, caps: make(map[string]bool), stop: func() bool { return true }, meter: newMeter(b, limit)}
			conn.s.r = bufio.NewReaderSize(&conn.meter, 16<<10)
			var before runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			err := c.do(conn)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, not %q", err, c.want)
			}
			if IsExcess(err) != (c.want != "" && !strings.HasPrefix(c.want, "the length of")) {
				t.Errorf("%v: is it an *Excess?", err)
			}
			if grown := int64(b.heap) - int64(before.HeapAlloc); grown > heap {
				t.Errorf("after %d octets of it the heap had grown by %d", b.said, grown)
			}
		})
	}
}

// unread goes past a message.
func unread(c *Conn) error {
	f := c.Fetch([]uint32{1})
	for f.Next() {
	}
	return f.Err()
}

// readAll reads messages.
func readAll(c *Conn) error {
	f := c.Fetch([]uint32{1})
	buf := make([]byte, 4<<10)
	for f.Next() {
		if n, err := io.CopyBuffer(io.Discard, readerOnly{f}, buf); err != nil || n != f.Octets {
			return fmt.Errorf("%d octets: %w", n, err)
		}
	}
	return f.Err()
}

// TestLongCapabilities: what a server can is known to the end of the line.
func TestLongCapabilities(t *testing.T) {
	t.Parallel()
	text := "* CAPABILITY IMAP4rev1 " + strings.Repeat("X-SOMETHING-OF-ITS-OWN ", 100) + "SPECIAL-USE\r\na1 OK\r\n"
	c := &Conn{conn: said{Reader: strings.NewReader(text)}, caps: make(map[string]bool), meter: newMeter(strings.NewReader(text), maxAnswer)}
	c.s.r = bufio.NewReader(&c.meter)
	if can, err := c.can("SPECIAL-USE"); !can || err != nil {
		t.Errorf("%v, %v", can, err)
	}
}
