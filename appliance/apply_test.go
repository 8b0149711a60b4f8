package appliance_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"

	"letterbox/appliance"
	"letterbox/appliance/config"
	"letterbox/store"
)

// invite adds cleo, and gives the household another host name, so that every part of Apply has something to do.
func invite(c *config.Config) error {
	c.People = append(c.People, config.Person{Name: "cleo", Password: c.People[0].Password})
	c.Household.Hostname = "letters." + domain
	c.Domains = append(c.Domains, config.Domain{Name: "more." + domain})
	return nil
}

// TestApplyFailsAtEachStep: whichever step cannot be done, the old household goes on and its file is what it was; once the
// obstacle is gone, the same change works.
func TestApplyFailsAtEachStep(t *testing.T) {
	t.Parallel()
	obstacles := map[string]func(t *testing.T, b *box) (remove func()){
		"the mailbox": func(t *testing.T, b *box) func() {
			return inTheWay(t, filepath.Join(b.dir, "mail", "cleo"))
		},
		"the certificate": func(t *testing.T, b *box) func() {
			return inTheWay(t, filepath.Join(b.dir, "tls"))
		},
		"the file": func(t *testing.T, b *box) func() {
			return inTheWay(t, filepath.Join(b.dir, config.FileName))
		},
	}
	for step, obstacle := range obstacles {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			b := start(t)
			saved := b.file(t)
			var remove func()
			err := b.Update(t.Context(), func(c *config.Config) error {
				remove = obstacle(t, b)
				return invite(c)
			})
			if err == nil {
				t.Fatal("the change was made all the same")
			}
			t.Log(err)
			remove()
			if c, _ := b.Config(); len(c.People) != 2 || c.Hostname() != "mail."+domain || len(c.Domains) != 1 {
				t.Errorf("in force are %d people, %d domains and the host %s", len(c.People), len(c.Domains), c.Hostname())
			}
			if now := b.file(t); !bytes.Equal(now, saved) {
				t.Errorf("the file has changed:\n%s", now)
			}
			if err := b.send(t, "ann", "ben@"+domain, letter); err != nil {
				t.Errorf("mail after the failure: %v", err)
			}
			if err := b.send(t, "ann", "cleo@"+domain, letter); err == nil {
				t.Error("cleo gets mail")
			}
			if err := b.Update(t.Context(), invite); err != nil {
				t.Fatalf("without the obstacle: %v", err)
			}
			if err := b.send(t, "ann", "cleo@more."+domain, letter); err != nil {
				t.Errorf("mail after the change: %v", err)
			}
		})
	}
}

// inTheWay puts something at path that cannot be opened or replaced as a file, and what was there aside, until remove.
func inTheWay(t *testing.T, path string) (remove func()) {
	t.Helper()
	aside := path + ".aside"
	moved := os.Rename(path, aside) == nil
	var err error
	if filepath.Ext(path) == "" {
		err = os.Symlink(path, path) // a loop
	} else {
		err = os.MkdirAll(filepath.Join(path, "in the way"), 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.RemoveAll(path); err != nil {
			t.Error(err)
		}
		if moved {
			if err := os.Rename(aside, path); err != nil {
				t.Error(err)
			}
		}
	}
}

func (b *box) file(t *testing.T) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(b.dir, config.FileName))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestHandWrittenIsNotUndone: what somebody has written into the file and not yet put in force survives a change made elsewhere.
func TestHandWrittenIsNotUndone(t *testing.T) {
	t.Parallel()
	b := start(t)
	path := filepath.Join(b.dir, config.FileName)
	for _, edit := range []struct{ from, to, want string }{
		{"The Millers", "The Smiths", "changed by hand"},
		{"The Smiths\"", "The Smiths", config.FileName + ":"},
	} {
		byHand := bytes.Replace(b.file(t), []byte(edit.from), []byte(edit.to), 1)
		if err := os.WriteFile(path, byHand, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := b.Update(t.Context(), invite); err == nil || !strings.Contains(err.Error(), edit.want) {
			t.Errorf("a change over a file changed by hand: %v", err)
		}
		if now := b.file(t); !bytes.Equal(now, byHand) {
			t.Errorf("the file became\n%s", now)
		}
	}
	byHand := bytes.Replace(b.file(t), []byte("The Smiths"), []byte("The Smiths\""), 1)
	if err := os.WriteFile(path, byHand, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Update(t.Context(), invite); err != nil {
		t.Error(err)
	}
	if !bytes.Contains(b.file(t), []byte("The Smiths")) {
		t.Error("what was written by hand is lost")
	}
}

// TestServicesTradePorts: a service takes over a port that another one of ours leaves in the same change, on one address or on
// all; and gets it back when the change fails later.
func TestServicesTradePorts(t *testing.T) {
	t.Parallel()
	b := start(t)
	port := func(svc config.Service) int {
		_, text, err := net.SplitHostPort(b.addr(t, svc))
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	fix := func(c *config.Config) error {
		c.Listen.SMTP.Listen, c.Listen.IMAP.Listen = port(config.SMTP), port(config.IMAP)
		return nil
	}
	trade := func(c *config.Config) error {
		l := &c.Listen
		l.SMTP.Listen, l.IMAP.Listen = l.IMAP.Listen, l.SMTP.Listen
		return nil
	}
	everywhere := func(c *config.Config) error {
		c.Listen.Address = []string{"0.0.0.0"}
		return trade(c)
	}
	greetings := func(what string) {
		t.Helper()
		for svc, want := range map[config.Service]string{config.SMTP: "220 ", config.IMAP: "* OK "} {
			got := make([]byte, len(want))
			if _, err := io.ReadFull(b.dial(t, svc), got); err != nil || string(got) != want {
				t.Errorf("%s: %s says %q, %v", what, svc, got, err)
			}
		}
	}
	for _, change := range []func(*config.Config) error{fix, trade, everywhere} {
		if err := b.Update(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		greetings("after the change")
		smtp, imap := port(config.SMTP), port(config.IMAP)
		saved := b.file(t)
		taken := b.dial(t, config.HTTPS).RemoteAddr().(*net.TCPAddr).Port
		err := b.Update(t.Context(), func(c *config.Config) error {
			c.Listen.Submission.Listen = taken
			return trade(c)
		})
		if err == nil {
			t.Fatal("two services have one port")
		}
		if port(config.SMTP) != smtp || port(config.IMAP) != imap || !bytes.Equal(saved, b.file(t)) {
			t.Errorf("after a failure: %v", err)
		}
		greetings("after a failure")
	}
}

// receive brings a message for ben from elsewhere.
func (b *box) receive(t *testing.T, text string) error {
	t.Helper()
	c, err := smtp.Dial(b.addr(t, config.SMTP))
	if err != nil {
		return err
	}
	defer c.Close()
	return c.SendMail("friend@elsewhere.example", []string{"ben@" + domain}, strings.NewReader(text))
}

// TestChangesBesideMail: while the configuration changes over and over, and servers take over from one another, every message
// that is acknowledged arrives, and none is refused for good.
func TestChangesBesideMail(t *testing.T) {
	t.Parallel()
	b := start(t)
	const senders, each = 3, 15
	var acknowledged sync.Map
	var sending sync.WaitGroup
	done := make(chan struct{})
	for n := range senders {
		sending.Go(func() {
			for i := range each {
				mark := fmt.Sprintf("mark-%d-%d.", n, i)
				switch err := b.receive(t, "Subject: "+mark+"\r\n\r\n"+mark+"\r\n"); {
				case err == nil:
					acknowledged.Store(mark, true)
				case smtpCode(err)/100 == 5: // 421 is what a server says that goes
					t.Errorf("%s was refused for good: %v", mark, err)
				}
			}
		})
	}
	var changing sync.WaitGroup
	changing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			err := b.Update(t.Context(), func(c *config.Config) error {
				c.Household.Hostname = "" // another name makes every server anew
				if i%2 == 0 {
					return invite(c)
				}
				c.People, c.Domains = c.People[:2], c.Domains[:1]
				return nil
			})
			if err != nil {
				t.Errorf("change %d: %v", i, err)
				return
			}
		}
	})
	changing.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if err := b.Reload(t.Context()); err != nil {
				t.Errorf("reload: %v", err)
				return
			}
		}
	})
	sending.Wait()
	close(done)
	changing.Wait()
	arrived := bytes.Join(bodies(t, b.imap(t, "ben"), "INBOX"), nil)
	n := 0
	acknowledged.Range(func(mark, _ any) bool {
		n++
		if !bytes.Contains(arrived, []byte(mark.(string))) {
			t.Errorf("%s was acknowledged and has not arrived", mark)
		}
		return true
	})
	if n == 0 {
		t.Error("no message was taken")
	}
	t.Logf("%d of %d messages were taken", n, senders*each)
}

// TestRemovedWhileReceiving: mail for somebody who is removed while it comes in is refused or kept, and the program goes on.
func TestRemovedWhileReceiving(t *testing.T) {
	t.Parallel()
	b := start(t)
	c := b.smtp(t, "ann")
	if err := c.Mail("ann@"+domain, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt("ben@"+domain, nil); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Update(t.Context(), func(c *config.Config) error { c.People = c.People[:1]; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("From: ann@" + domain + "\r\n\r\nlate\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err == nil {
		t.Error("mail for somebody who is gone was acknowledged")
	} else {
		t.Log(err)
	}
	if _, err := os.Stat(filepath.Join(b.dir, "mail", "ben")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a mailbox of somebody who is gone: %v", err)
	}
	b.add(t, "ben") // another one of that name begins anew
	if got := bodies(t, b.imap(t, "ben"), "INBOX"); len(got) != 1 {
		t.Errorf("the new ben has %d messages, want his welcome", len(got))
	}
	if _, err := appliance.Open(b.dir, appliance.Options{}); !errors.Is(err, store.ErrLocked) {
		t.Errorf("opening the data twice: %v", err)
	}
}
