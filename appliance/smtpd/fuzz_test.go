package smtpd

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// answers are what a server may say: lines with a code, nothing else.
var answers = regexp.MustCompile(`^([2345][0-9][0-9][ -][^\r\n]*\r\n)*$`)

// FuzzSession says anything to a server. Nothing panics, nothing hangs, every answer is one, and no message stays open.
// The seeds are the client's side of the dialogs.
func FuzzSession(f *testing.F) {
	files, err := filepath.Glob("testdata/*.dialog")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if len(b) < 10_000 {
			f.Add(clientSide(string(b)), strings.Contains(string(b), "@ submission"))
		}
	}
	f.Fuzz(func(t *testing.T, said []byte, submission bool) {
		u := &underTest{room: &room{}, log: &lockedBuffer{}}
		o := testOptions(u.room, u.log)
		o.PlaintextOnLoopback = true
		u.Server = NewIntake(o)
		if submission {
			u.Server = NewSubmission(o)
		}
		l := &pipeListener{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
		client, server := net.Pipe()
		l.conns <- loopbackConn{server}
		ended := make(chan error, 1)
		go func() { ended <- u.Serve(l) }()
		heard := make(chan string, 1)
		go func() {
			b, _ := io.ReadAll(client) // until either side closes
			heard <- string(b)
		}()
		if !strings.Contains(strings.ToUpper(string(said)), "STARTTLS") { // whose handshake may say anything
			_, _ = client.Write(said) // the server may close before the end
		}
		client.Close()
		s := <-heard
		s = s[:strings.LastIndexByte(s, '\n')+1] // the client left in the middle of an answer
		if !answers.MatchString(s) {
			t.Errorf("the server said %q", s)
		}
		if err := u.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if u.room.open != 0 {
			t.Errorf("%d messages were never closed", u.room.open)
		}
		if log := u.log.String(); strings.Contains(log, "smtp session") && !strings.Contains(log, "the mailroom is gone") {
			t.Errorf("something went wrong:\n%s", log)
		}
	})
}

func clientSide(dialog string) []byte {
	var b strings.Builder
	for line := range strings.Lines(dialog) {
		line = strings.TrimSuffix(line, "\n")
		if said, ok := strings.CutPrefix(line, "C: "); ok {
			b.WriteString(expand(said) + "\r\n")
		} else if said, ok := strings.CutPrefix(line, "C+ "); ok {
			b.WriteString(expand(said))
		}
	}
	return []byte(b.String())
}

// A loopbackConn says that its peer is this machine.
type loopbackConn struct{ net.Conn }

func (loopbackConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv6loopback, Port: 1} }
