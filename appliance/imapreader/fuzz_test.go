package imapreader

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// said is a connection on which a server says what it wants, whatever it is asked.
type said struct {
	net.Conn // nil: nothing else is done with it
	io.Reader
}

func (s said) Read(b []byte) (int, error)     { return s.Reader.Read(b) }
func (said) Write(b []byte) (int, error)      { return len(b), nil }
func (said) Close() error                     { return nil }
func (said) SetReadDeadline(time.Time) error  { return nil }
func (said) SetWriteDeadline(time.Time) error { return nil }

// FuzzConn: whatever a server says, everything comes to an end, octets are those that it announced, and errors stay.
func FuzzConn(f *testing.F) {
	for _, text := range []string{
		"a1 OK\r\n* LIST (\\Sent) \"/\" {4}\r\nSent\r\na2 OK [CAPABILITY SPECIAL-USE] x\r\na3 OK\r\n* LSUB () NIL x\r\na4 OK\r\n",
		"* CAPABILITY NAMESPACE STATUS=SIZE\r\na1 OK\r\n* NAMESPACE ((\"INBOX.\" \".\" \"X\" (\"a\"))) NIL ((\"#\" NIL))\r\na2 OK\r\n* LIST () \".\" INBOX.a ((\"x\" (y)))\r\na3 OK\r\n",
		"* 3 EXISTS\r\n* OK [UIDVALIDITY 5] x\r\na1 OK [READ-ONLY]\r\n",
		"* 1 FETCH (UID 5 X-Y (a (b) \"c\" {1}\r\nd) FLAGS (\\Seen a) INTERNALDATE \" 1-Jan-2020 10:00:00 +0100\" RFC822.SIZE 4)\r\na1 OK\r\n",
		"* 1 FETCH (UID 5 BODY[] {4}\r\nabcd FLAGS ())\r\n* 2 FETCH (BODY[]<3> \"q\" UID 6)\r\n* 3 FETCH (UID 7 BODY[] NIL)\r\na1 NO [X] y\r\n",
		"* 1 FETCH (UID 5 BODY[] {99999999999}\r\nabcd)\r\n", "* 1 FETCH (UID 1 FLAGS (a b c) X {2000000}\r\n", "* LIST (" + strings.Repeat("a ", 300) + ") NIL x\r\n", "* 1 FETCH (X " + strings.Repeat("(", 200),
		"* BYE\r\n", "+ more\r\n", "* OK [X {5}\r\n", "* X {99999999999}\r\n", "* 1 FETCH (BODY[HEADER] {1}\r\nxUID 1)\r\na1 OK\r\n",
	} {
		f.Add(text, 0)
		f.Add(text, 3)
	}
	f.Fuzz(func(t *testing.T, text string, what int) {
		c := &Conn{conn: said{Reader: strings.NewReader(text)}, caps: make(map[string]bool), stop: func() bool { return true }}
		c.meter = newMeter(strings.NewReader(text), maxAnswer)
		c.s.r = bufio.NewReaderSize(&c.meter, 64)
		var err error
		switch what & 3 {
		case 0:
			var list []Folder
			list, err = c.Folders()
			for _, f := range list {
				if f.Wire == "" || len(f.Levels) == 0 {
					t.Errorf("a folder is %+v", f)
				}
			}
		case 1:
			_, _, err = c.Examine("INBOX")
			if err == nil {
				_, _, err = c.Status("x\xff")
			}
		case 2:
			_, err = c.Messages([]uint32{5, 6, 7})
		case 3:
			fetch := c.Fetch([]uint32{5, 6, 7})
			for n := 0; fetch.Next(); n++ {
				octets, rerr := io.ReadAll(readerOnly{fetch})
				if rerr == nil && int64(len(octets)) != fetch.Octets {
					t.Errorf("%d octets were announced, %d came", fetch.Octets, len(octets))
				}
				if n > len(text) {
					t.Fatal("there is no end")
				}
			}
			err = fetch.Err()
		}
		if err != nil && !IsRefused(err) && c.broken() == nil {
			t.Errorf("after %v the connection is good", err)
		}
	})
}
