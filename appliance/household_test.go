package appliance_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-smtp"

	"letterbox/appliance"
	"letterbox/appliance/config"
	"letterbox/store"
)

const letter = "From: Ann Miller <ann@miller.home.arpa>\r\n" +
	"To: ben@miller.home.arpa\r\n" +
	"Subject: Supper\r\n" +
	"Date: Mon, 02 Nov 2026 18:00:00 +0100\r\n" +
	"Message-ID: <supper@miller.home.arpa>\r\n" +
	"\r\n" +
	"It is ready.\r\n"

// send submits the letter from one person to another, with their own connection.
func (b *box) send(t *testing.T, from, to, text string) error {
	t.Helper()
	c := b.smtp(t, from)
	return c.SendMail(from+"@"+domain, []string{to}, strings.NewReader(text))
}

// bodies returns every message of the mailbox, oldest first.
func bodies(t *testing.T, c *imapclient.Client, mailbox string) [][]byte {
	t.Helper()
	selected, err := c.Select(mailbox, nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	if selected.NumMessages == 0 {
		return nil
	}
	whole := &imap.FetchItemBodySection{Peek: true}
	messages, err := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for _, m := range messages {
		all = append(all, m.FindBodySection(whole))
	}
	return all
}

// TestFirstMail is what the product is for: two people in a house mail each other, and the mail lies in a Maildir.
func TestFirstMail(t *testing.T) {
	t.Parallel()
	b := start(t)
	if err := b.send(t, "ann", "ben@"+domain, letter); err != nil {
		t.Fatal(err)
	}
	ben := b.imap(t, "ben")
	got := bodies(t, ben, "INBOX")
	if len(got) != 2 { // a welcome and the letter
		t.Fatalf("ben has %d messages, want 2", len(got))
	}
	if !bytes.HasSuffix(got[1], []byte(letter)) {
		t.Errorf("ben got\n%s\nwhich does not end in\n%s", got[1], letter)
	}
	if head := got[1][:len(got[1])-len(letter)]; !bytes.HasPrefix(head, []byte("Return-Path: <ann@miller.home.arpa>\r\n")) || !bytes.Contains(head, []byte("ESMTPSA")) {
		t.Errorf("the trace header is\n%s", head)
	}
	files := 0
	for _, sub := range []string{"new", "cur"} {
		entries, err := os.ReadDir(filepath.Join(b.dir, "mail", "ben", "Maildir", sub))
		if err != nil {
			t.Fatal(err)
		}
		files += len(entries)
	}
	if files != 2 {
		t.Errorf("ben's Maildir holds %d files, want 2", files)
	}

	// And back, seen by a device that waits.
	ann := b.imap(t, "ann")
	if err := b.send(t, "ben", "ann+kitchen@"+domain, strings.NewReplacer("Ann Miller <ann@", "<ben@", "To: ben", "To: ann").Replace(letter)); err != nil {
		t.Fatal(err)
	}
	if got := bodies(t, ann, "INBOX"); len(got) != 2 {
		t.Errorf("ann has %d messages, want 2", len(got))
	}
}

// TestIdleSeesDelivery: a waiting device is told at once.
func TestIdleSeesDelivery(t *testing.T) {
	t.Parallel()
	b := start(t)
	exists := make(chan uint32, 4)
	c, err := imapclient.DialTLS(b.addr(t, config.IMAPS), &imapclient.Options{
		TLSConfig: b.tls(),
		UnilateralDataHandler: &imapclient.UnilateralDataHandler{Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages != nil {
				exists <- *data.NumMessages
			}
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login("ben", password).Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	for len(exists) > 0 {
		<-exists
	}
	idle, err := c.Idle()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.send(t, "ann", "ben@"+domain, letter); err != nil {
		t.Fatal(err)
	}
	if n := <-exists; n != 2 {
		t.Errorf("the waiting device was told of %d messages, want 2", n)
	}
	if err := idle.Close(); err != nil {
		t.Fatal(err)
	}
	if err := idle.Wait(); err != nil {
		t.Fatal(err)
	}
}

// TestNoRelay: mail goes from and to the household, and nowhere else.
func TestNoRelay(t *testing.T) {
	t.Parallel()
	b := start(t)
	code := func(err error) int {
		var answer *smtp.SMTPError
		if errors.As(err, &answer) {
			return answer.Code
		}
		return 0
	}
	if err := b.send(t, "ann", "somebody@example.org", letter); code(err) != 550 {
		t.Errorf("mail for elsewhere: %v, want 550", err)
	}
	if err := b.send(t, "ann", "nobody@"+domain, letter); code(err) != 550 {
		t.Errorf("mail for nobody: %v, want 550", err)
	}
	if err := b.smtp(t, "ben").SendMail("ann@"+domain, []string{"ben@" + domain}, strings.NewReader(letter)); code(err) != 550 && code(err) != 553 {
		t.Errorf("ben sends as ann: %v, want a refusal", err)
	}
	port25, err := smtp.Dial(b.addr(t, config.SMTP))
	if err != nil {
		t.Fatal(err)
	}
	defer port25.Close()
	if err := port25.Mail("somebody@example.org", nil); err != nil {
		t.Fatal(err)
	}
	if err := port25.Rcpt("other@example.com", nil); code(err) != 550 {
		t.Errorf("relaying on port 25: %v, want 550", err)
	}
	if err := port25.Rcpt("ann@"+domain, nil); err != nil {
		t.Errorf("mail for ann from outside: %v", err)
	}
}

// TestRestart: a restart applies the saved configuration, and mail, people and the certificate's root are the same.
func TestRestart(t *testing.T) {
	t.Parallel()
	b := start(t)
	root := b.Certificates().RootFingerprint
	if err := b.send(t, "ann", "ben@"+domain, letter); err != nil {
		t.Fatal(err)
	}
	before, err := b.imap(t, "ben").Select("INBOX", nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	b.stop()
	again := run(t, b.dir)
	after, err := again.imap(t, "ben").Select("INBOX", nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	if before.UIDValidity != after.UIDValidity || before.UIDNext != after.UIDNext || before.NumMessages != after.NumMessages {
		t.Errorf("before the restart %+v, after it %+v", before, after)
	}
	if got := again.Certificates().RootFingerprint; got != root {
		t.Errorf("the household's root changed from %s to %s", root, got)
	}
}

// TestOneServerAtATime: a second server on the same data gets one sentence.
func TestOneServerAtATime(t *testing.T) {
	t.Parallel()
	b := start(t)
	second, err := appliance.Open(b.dir, appliance.Options{})
	if !errors.Is(err, store.ErrLocked) {
		t.Errorf("opening the data a second time: %v, want %v", err, store.ErrLocked)
	}
	if err == nil {
		second.Close()
	}
}

// TestTwoAppliances: nothing is global.
func TestTwoAppliances(t *testing.T) {
	t.Parallel()
	one, two := start(t), start(t)
	if err := one.send(t, "ann", "ben@"+domain, letter); err != nil {
		t.Fatal(err)
	}
	if got := bodies(t, two.imap(t, "ben"), "INBOX"); len(got) != 1 {
		t.Errorf("the other house's ben has %d messages, want his welcome alone", len(got))
	}
}

// TestApplyFailureChangesNothing: a port that cannot be had is one sentence, and everything goes on as it was.
func TestApplyFailureChangesNothing(t *testing.T) {
	t.Parallel()
	b := start(t)
	taken := b.dial(t, config.IMAP).RemoteAddr().String()
	saved, err := os.ReadFile(filepath.Join(b.dir, config.FileName))
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(taken, ":")
	err = b.Update(t.Context(), func(c *config.Config) error {
		c.Household.Name = "Somebody else"
		var n int
		for _, digit := range port {
			n = 10*n + int(digit-'0')
		}
		c.Listen.SMTP.Listen = n
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), port) || !strings.Contains(err.Error(), "listen.smtp.port") {
		t.Errorf("binding a port that is taken: %v, want a sentence with the port and the option", err)
	}
	if c, _ := b.Config(); c.Household.Name != "The Millers" {
		t.Errorf("the household is now %q", c.Household.Name)
	}
	if now, err := os.ReadFile(filepath.Join(b.dir, config.FileName)); err != nil || !bytes.Equal(now, saved) {
		t.Errorf("the saved configuration changed (%v)", err)
	}
	if err := b.send(t, "ann", "ben@"+domain, letter); err != nil {
		t.Errorf("mail after the failure: %v", err)
	}
}

// TestReload: SIGHUP takes over a good file, and a bad one leaves the old in force.
func TestReload(t *testing.T) {
	t.Parallel()
	b := start(t)
	path := filepath.Join(b.dir, config.FileName)
	c, _ := b.Config()
	c.Household.Hostname = "letters." + domain
	if err := config.Save(path, c); err != nil {
		t.Fatal(err)
	}
	before := b.addr(t, config.SMTP)
	if err := b.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := b.addr(t, config.SMTP); after != before {
		t.Errorf("the new server left the socket %s for %s", before, after)
	}
	greeting := make([]byte, 256)
	conn := b.dial(t, config.SMTP)
	n, err := io.ReadAtLeast(conn, greeting, 10)
	if err != nil || !strings.HasPrefix(string(greeting[:n]), "220 letters."+domain) {
		t.Errorf("after the reload port 25 says %q (%v)", greeting[:n], err)
	}
	if err := os.WriteFile(path, []byte("version = 1\nhous = 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var faults config.Faults
	if err := b.Reload(t.Context()); !errors.As(err, &faults) || !slices.ContainsFunc(faults, func(f config.Fault) bool { return f.Line == 2 }) {
		t.Errorf("a bad file: %v, want a fault in line 2", err)
	}
	if err := b.send(t, "ann", "ben@"+domain, letter); err != nil {
		t.Errorf("mail after the bad file: %v", err)
	}
}

// TestRemovedPerson: whoever is removed is signed out, and their mail is set aside.
func TestRemovedPerson(t *testing.T) {
	t.Parallel()
	b := start(t)
	ben := b.imap(t, "ben")
	err := b.Update(t.Context(), func(c *config.Config) error {
		c.People = c.People[:1]
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	<-ben.Closed()
	if err := b.send(t, "ann", "ben@"+domain, letter); err == nil {
		t.Error("ben still gets mail")
	}
	var kept int
	err = filepath.WalkDir(b.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(path, "ben") && (strings.Contains(path, "/new/") || strings.Contains(path, "/cur/")) {
			kept++
		}
		return err
	})
	if err != nil || kept != 1 {
		t.Errorf("%d of ben's messages are kept, want his welcome (%v)", kept, err)
	}
}
