package smtpd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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

// TestMuchBehindAMessage: whatever a peer sends behind the end of a message without waiting, as much as it likes, comes next: commands,
// and another message. STARTTLS, too, knows of what came behind it.
func TestMuchBehindAMessage(t *testing.T) {
	t.Parallel()
	u := start(t, "intake")
	c := dialRaw(t, u.addr)
	const noops = 10 * messageWindow / 6
	text := strings.Repeat(strings.Repeat("x", 76)+"\r\n", 700)
	behind := "MAIL FROM:<>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\nSecond: message\r\n\r\n" + text + ".\r\n" + strings.Repeat("NOOP\r\n", noops)
	c.begin()
	c.say("DATA\r\n")
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(c, "First: message\r\n\r\n"+text+".\r\n"+behind)
		sent <- err
	}()
	for _, want := range []string{"354", "250 2.0.0 delivered", "250", "250", "354", "250 2.0.0 delivered"} {
		c.hear(want)
	}
	for range noops {
		c.hear("250 2.0.0 OK")
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	c.begin()
	c.say("DATA\r\nThird: message\r\n.\r\nSTARTTLS\r\nNOOP\r\n")
	for _, want := range []string{"354", "250 2.0.0 delivered", "501 5.5.1 nothing may follow STARTTLS"} {
		c.hear(want)
	}
	for i, want := range []string{"First: message\r\n\r\n" + text, "Second: message\r\n\r\n" + text, "Third: message\r\n"} {
		if got := u.room.deliveries()[i].message; got != want {
			t.Errorf("message %d: %d octets, want %d", i, len(got), len(want))
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

// TestManyAtOnce: several connections of one server deliver at the same time.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	const clients, messages = 10, 10
	u := start(t, "intake")
	var sending sync.WaitGroup
	for i := range clients {
		sending.Go(func() {
			c, err := smtp.Dial(u.addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for j := range messages {
				m := fmt.Sprintf("Subject: %d %d\r\n\r\n", i, j)
				if err := c.SendMail("a@b.example", []string{"family@example.org"}, strings.NewReader(m)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	sending.Wait()
	got := make(map[string]bool)
	for _, d := range u.room.deliveries() {
		got[d.message] = true
	}
	if len(got) != clients*messages {
		t.Errorf("%d different messages arrived", len(got))
	}
}

// TestSenderLeaves in the middle of a message: it is not delivered, and its room is given back.
func TestSenderLeaves(t *testing.T) {
	t.Parallel()
	for name, half := range map[string]string{
		"DATA":        "DATA\r\nSubject: half",
		"DATA dot":    "DATA\r\nSubject: half\r\n.",
		"DATA dot CR": "DATA\r\nSubject: half\r\n.\r",
		"BDAT":        "BDAT 10 LAST\r\nhalf",
		"BDAT whole":  "BDAT 4\r\nhalf",
		"no DATA":     "NOOP\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := start(t, "intake")
			c := dialRaw(t, u.addr)
			c.begin()
			c.say(half)
			c.Close()
			if err := u.Shutdown(context.Background()); err != nil { // waits for the session's end
				t.Fatal(err)
			}
			if all := u.room.deliveries(); len(all) != 0 {
				t.Errorf("delivered: %q", all)
			}
		})
	}
}

// TestBadHandshake: neither rubbish instead of TLS nor a peer that leaves does harm.
func TestBadHandshake(t *testing.T) {
	t.Parallel()
	u := start(t, "intake")
	c := dialRaw(t, u.addr)
	c.ask("STARTTLS\r\n", "220")
	c.say("MAIL FROM:<a@b.example>\r\nthis is not TLS, whatever it is\r\n")
	if b, err := io.ReadAll(c); err == nil && bytes.Contains(b, []byte("250")) {
		t.Errorf("the server answered %q", b)
	}
	c = dialRaw(t, u.addr)
	c.ask("STARTTLS\r\n", "220")
	c.Close()
	if err := u.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
}
