package smtpd

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// TestClient sends through all three ports with somebody else's client.
func TestClient(t *testing.T) {
	t.Parallel()
	_, config := testTLS()
	dial := map[string]func(addr string) (*smtp.Client, error){
		"intake":      func(addr string) (*smtp.Client, error) { return smtp.DialStartTLS(addr, config) },
		"submission":  func(addr string) (*smtp.Client, error) { return smtp.DialStartTLS(addr, config) },
		"submissions": func(addr string) (*smtp.Client, error) { return smtp.DialTLS(addr, config) },
	}
	for kind, open := range dial {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			u := start(t, kind)
			c, err := open(u.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if kind != "intake" {
				if err := c.Auth(sasl.NewPlainClient("", "ann", "ann secret")); err != nil {
					t.Fatal(err)
				}
			}
			message := "From: ann@example.org\r\nSubject: x\r\n\r\n.text\r\n"
			if err := c.SendMail("ann@example.org", []string{"ann@example.org", "ben@example.org"}, strings.NewReader(message)); err != nil {
				t.Fatal(err)
			}
			if err := c.Quit(); err != nil {
				t.Error(err)
			}
			if got := u.room.only(t); got.message != message || len(got.to) != 2 {
				t.Errorf("got %q for %q", got.message, got.to)
			}
		})
	}
}

// TestMessagesArriveWhole sends every message of the corpus by DATA and by BDAT. Their octets arrive as they are: this package
// changes none; what becomes of bare LF is the Mailroom's matter. The one exception is DATA's own: a message without
// CRLF at its end gets one, since the final dot stands on its own line.
func TestMessagesArriveWhole(t *testing.T) {
	t.Parallel()
	u := start(t, "intake", func(o *Options) { o.MaxSize = 64 << 20 })
	c := dialRaw(t, u.addr)
	messages := slices.Clone(oddMessages)
	files, err := filepath.Glob("../../store/message/testdata/corpus/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, h := scan(t, b, len(b)+1); h.received > maxHops {
			c.begin()
			c.ask(fmt.Sprintf("BDAT %d LAST\r\n%s", len(b), b), "554 5.4.6")
			continue
		}
		messages = append(messages, b)
	}
	for i, m := range messages {
		want := m
		if len(m) > 0 && !bytes.HasSuffix(m, []byte("\r\n")) {
			want = append(bytes.Clone(m), "\r\n"...)
		}
		c.begin()
		c.ask("DATA\r\n", "354")
		c.say(string(stuff(want)) + ".\r\n")
		c.hear("250 2.0.0 delivered")
		c.begin()
		c.ask(fmt.Sprintf("BDAT %d LAST\r\n%s", len(m), m), "250 2.0.0 delivered")

		all := u.room.deliveries()
		byData, byChunk := all[2*i].message, all[2*i+1].message
		if byData != string(want) {
			t.Errorf("message %d changed by DATA", i)
		}
		if byChunk != string(m) {
			t.Errorf("message %d changed by BDAT", i)
		}
	}
}

// oddMessages stand beside the corpus.
var oddMessages = [][]byte{
	nil,
	[]byte("."),
	[]byte("no header\r\n"),
	[]byte("Subject: lf\n\nonly\n.\n"),
	[]byte("From x Thu Jan  1 00:00:00 1970\r\nSubject: x\r\n\r\n"),
	[]byte("Subject: \xff\x00\r\r\n\r\n\r.\r\n"),
	bytes.Repeat([]byte(".\r\n"), 5000),
	append([]byte("X-Long: "), bytes.Repeat([]byte("y"), 1<<20)...),
}

// stuff doubles the dots at the start of lines (RFC 5321, 4.5.2).
func stuff(m []byte) []byte {
	if bytes.HasPrefix(m, []byte(".")) {
		m = append([]byte("."), m...)
	}
	return bytes.ReplaceAll(m, []byte("\r\n."), []byte("\r\n.."))
}
