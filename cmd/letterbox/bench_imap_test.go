//go:build bench

package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// imapClient speaks IMAP without understanding it, so that it measures the server and not itself.
type imapClient struct {
	io.ReadWriteCloser
	r     *bufio.Reader
	lines int // of the last answer, before the tagged one
}

func newIMAPClient(conn io.ReadWriteCloser) *imapClient {
	return &imapClient{ReadWriteCloser: conn, r: bufio.NewReaderSize(conn, 256<<10)}
}

// dialTLS connects to the program.
func (h *house) dialTLS(t *testing.T) *imapClient {
	t.Helper()
	conn, err := tls.Dial("tcp", h.address(993), &tls.Config{InsecureSkipVerify: true}) // it is ourselves whom we measure
	if err != nil {
		t.Fatal(err)
	}
	c := newIMAPClient(conn)
	c.until(t, "* OK")
	return c
}

// signInTLS connects over TLS, as mail programs do.
func (h *house) signInTLS(t *testing.T) *imapClient {
	t.Helper()
	c := h.dialTLS(t)
	c.do(t, fmt.Sprintf("LOGIN %s %q", benchPerson, benchPassword))
	return c
}

// signInPlain connects without TLS, to be compared with somebody who has none either.
func signInPlain(t *testing.T, address, person, password string) *imapClient {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c := newIMAPClient(conn)
	c.until(t, "* OK")
	c.do(t, fmt.Sprintf("LOGIN %s@%s %q", person, benchDomain, password))
	return c
}

func (c *imapClient) send(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// do sends a command and reads to its OK; it returns how long that took.
func (c *imapClient) do(t *testing.T, command string) time.Duration {
	t.Helper()
	started := time.Now()
	c.send(t, "a "+command+"\r\n")
	c.until(t, "a OK")
	return time.Since(started)
}

// until reads lines up to the one that begins with prefix. Any other answer to a command ends the test.
func (c *imapClient) until(t *testing.T, prefix string) {
	t.Helper()
	if err := c.await(prefix); err != nil {
		t.Fatal(err)
	}
}

// await is until for other goroutines.
func (c *imapClient) await(prefix string) error {
	for c.lines = 0; ; c.lines++ {
		line, err := c.r.ReadSlice('\n')
		for err == bufio.ErrBufferFull {
			line, err = c.r.ReadSlice('\n')
		}
		if err != nil {
			return err
		}
		if bytes.HasPrefix(line, []byte(prefix)) {
			return nil
		}
		if bytes.HasPrefix(line, []byte("a NO")) || bytes.HasPrefix(line, []byte("a BAD")) {
			return fmt.Errorf("the server answers %s", line)
		}
	}
}
