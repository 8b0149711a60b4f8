package imapd

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"time"
)

// TestSlowClient: a client that asks for much and reads nothing hurts nobody
// else.
func TestSlowClient(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *Options) { o.AppendLimit = 8 << 20 })
	f.deliver("INBOX", []byte("Subject: large\r\n\r\n"+strings.Repeat("0123456789012345678901234567890123456789\r\n", 100000)), time.Time{})
	slow, other := f.dialPipe(t), f.dialPipe(t)
	slow.signIn()
	slow.send("a SELECT INBOX", "b FETCH 1 BODY[]")
	slow.until("a OK")
	other.signIn()
	other.send("a SELECT INBOX")
	other.until("a OK")
	other.send("b STORE 1 +FLAGS (\\Flagged)")
	other.until("b OK")
	f.deliver("INBOX", messageFile(t, "simple.eml"), time.Time{})
	other.send("c STORE 1 +FLAGS (\\Deleted)", "d EXPUNGE")
	other.until("d OK")
	// The slow one still gets all of the message, which is gone from the folder.
	if got := slow.want("* 1 FETCH (FLAGS (\\Seen"); len(got) < 4200000 {
		t.Errorf("%d octets", len(got))
	}
	slow.until("b OK")
	for _, p := range []*pipe{slow, other} {
		p.conn.Close()
	}
	f.shutdown()
}

// TestManyPropagate: what one client does, another learns, from start to end.
func TestManyPropagate(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.fill(300)
	a, b := f.dialPipe(t), f.dialPipe(t)
	for _, p := range []*pipe{a, b} {
		p.signIn()
		p.send("s SELECT INBOX")
		p.until("s OK")
	}
	b.send("i IDLE")
	b.want("+ idling")
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.send("1 STORE 2:299:* +FLAGS.SILENT (\\Seen)")
		a.want("1 BAD") // no such set
		a.send("2 STORE 2:299 +FLAGS.SILENT (\\Deleted)")
		a.want("2 OK")
		a.send("3 EXPUNGE")
		a.until("3 OK")
		a.send("4 APPEND INBOX {1+}", "x")
		a.until("4 OK")
	}()
	flags, expunged := 0, 0
	for {
		line := b.want("* ")
		switch {
		case strings.HasSuffix(line, "FLAGS (\\Deleted))"):
			flags++
		case strings.HasSuffix(line, " EXPUNGE"):
			expunged++
		case strings.HasSuffix(line, " EXISTS"):
			if line != "* 3 EXISTS" || expunged != 298 || flags != 298 {
				t.Errorf("%s after %d changed flags and %d expunged", line, flags, expunged)
			}
			<-done
			b.send("DONE")
			b.want("i OK")
			b.send("f UID FETCH 1:* UID")
			b.want("* 1 FETCH (UID 1)")
			b.want("* 2 FETCH (UID 300)")
			b.want("* 3 FETCH (UID 301)")
			b.want("f OK")
			a.conn.Close()
			b.conn.Close()
			f.shutdown()
			return
		}
	}
}

// TestWireGarbage: whatever comes, the server answers or closes, and lives.
func TestWireGarbage(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.listen()
	for _, garbage := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
		strings.Repeat("\x00", 1000) + "\r\n",
		strings.Repeat("a", 1000) + " " + strings.Repeat("(", 1000) + "\r\n",
		"a LOGIN {1+}\r\n", "a LOGIN {-1}\r\n", "a LOGIN {99999999999999999999+}\r\n", "a AUTHENTICATE PLAIN =\r\n",
	} {
		conn, err := net.Dial("tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(garbage)); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(conn)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				break
			}
			if !strings.HasPrefix(line, "* ") && !strings.Contains(line, " BAD ") && !strings.Contains(line, " NO ") && !strings.HasPrefix(line, "+ ") {
				t.Errorf("%q got %q", garbage, line)
			}
		}
		conn.Close()
	}
	if strings.Contains(f.log.String(), "level=ERROR") {
		t.Errorf("the log has a fault:\n%s", f.log.String())
	}
}
