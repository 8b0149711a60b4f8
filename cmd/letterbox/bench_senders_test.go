//go:build bench

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// smtpSender sends by SMTP or LMTP on one connection, as a mail server does that pipelines (RFC 2920).
type smtpSender struct {
	conn     net.Conn
	r        *bufio.Reader
	envelope []byte
}

// bySMTP is a contestant who takes mail for person by SMTP, or by LMTP where hello is LHLO.
func bySMTP(name, address, hello, person string) contestant {
	return contestant{name, func(t *testing.T) sender {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		s := &smtpSender{conn: conn, r: bufio.NewReader(conn),
			envelope: fmt.Appendf(nil, "MAIL FROM:<sender@example.org>\r\nRCPT TO:<%s@%s>\r\nDATA\r\n", person, benchDomain)}
		if err := s.expect("220"); err != nil {
			t.Fatal(err)
		}
		if err := s.say([]byte(hello+" client.example.org\r\n"), "250"); err != nil {
			t.Fatal(err)
		}
		return s
	}}
}

func (s *smtpSender) deliver(l benchLetter) error {
	if err := s.say(s.envelope, "250", "250", "354"); err != nil {
		return err
	}
	whole := net.Buffers{l, []byte(".\r\n")}
	if _, err := whole.WriteTo(s.conn); err != nil {
		return err
	}
	return s.expect("250")
}

// say sends text and reads the answers that must follow.
func (s *smtpSender) say(text []byte, codes ...string) error {
	if _, err := s.conn.Write(text); err != nil {
		return err
	}
	for _, code := range codes {
		if err := s.expect(code); err != nil {
			return err
		}
	}
	return nil
}

// expect reads one answer, of several lines perhaps.
func (s *smtpSender) expect(code string) error {
	for {
		line, err := s.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(line, []byte(code)) {
			return fmt.Errorf("the server answers %s", line)
		}
		if len(line) < 4 || line[3] != '-' {
			return nil
		}
	}
}

// appendSender appends by IMAP, with synchronising literals.
type appendSender struct{ *imapClient }

// byAppend is a contestant who takes mail into INBOX by APPEND.
func byAppend(name, address, person, password string) contestant {
	return contestant{name, func(t *testing.T) sender {
		c := signInPlain(t, address, person, password)
		t.Cleanup(func() { c.Close() })
		return appendSender{c}
	}}
}

func (s appendSender) deliver(l benchLetter) error {
	if _, err := fmt.Fprintf(s, "a APPEND INBOX {%d}\r\n", len(l)); err != nil {
		return err
	}
	if err := s.await("+ "); err != nil {
		return err
	}
	whole := net.Buffers{l, []byte("\r\n")}
	if _, err := whole.WriteTo(s.ReadWriteCloser); err != nil {
		return err
	}
	return s.await("a OK")
}

// bare is a program that does nothing but write the files, as safely: a message into tmp/, synced; a line into one list, synced;
// the message renamed into cur/, and that directory synced. Its connections are goroutines that share the list.
type bare struct {
	dir  string
	list *os.File // written at its end
	cur  *os.File
	next atomic.Int64
}

func newBare(t *testing.T, dir string) *bare {
	t.Helper()
	for _, sub := range []string{"tmp", "cur"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	b := &bare{dir: dir}
	var err error
	if b.list, err = os.OpenFile(filepath.Join(dir, "list"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.list.Close() })
	if b.cur, err = os.Open(filepath.Join(dir, "cur")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.cur.Close() })
	return b
}

func (b *bare) contestant() contestant {
	return contestant{"the bare program", func(*testing.T) sender { return b }}
}

func (b *bare) deliver(l benchLetter) error {
	n := b.next.Add(1)
	name := fmt.Sprintf("1795448887.M%dRABCDEFGHIJKLMNOPQ1.bench,S=%d,W=%d", n, len(l), len(l))
	tmp := filepath.Join(b.dir, "tmp", name)
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(l); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(b.list, "%d D1795448887 :%s\n", n, name); err != nil {
		return err
	}
	if err := b.list.Sync(); err != nil {
		return err
	}
	if err := os.Rename(tmp, filepath.Join(b.dir, "cur", name+":2,")); err != nil {
		return err
	}
	return b.cur.Sync()
}
