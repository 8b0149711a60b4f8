package appliance_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-smtp"

	"letterbox/appliance/config"
	"letterbox/appliance/mailaddr"
)

// filling is a letter of this many octets.
func filling(octets int) string {
	head := "From: sender@example.org\r\nTo: ben@" + domain + "\r\nSubject: filling\r\n\r\n"
	return head + strings.Repeat("A line to fill the mailbox with, one of many.\r\n", 1+octets/40)[:octets-len(head)-2] + "\r\n"
}

// setQuota gives ben a quota.
func (b *box) setQuota(t *testing.T, q config.Quota) {
	t.Helper()
	if err := b.Update(t.Context(), func(c *config.Config) error { c.People[1].Quota = q; return nil }); err != nil {
		t.Fatal(err)
	}
}

// A watch is somebody who waits for mail in INBOX.
type watch struct {
	*imapclient.Client
	exists chan uint32
}

func (b *box) watch(t *testing.T, person string) watch {
	t.Helper()
	w := watch{exists: make(chan uint32, 100)}
	c, err := imapclient.DialTLS(b.addr(t, config.IMAPS), &imapclient.Options{
		TLSConfig: b.tls(),
		UnilateralDataHandler: &imapclient.UnilateralDataHandler{Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages != nil {
				w.exists <- *data.NumMessages
			}
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	w.Client = c
	if err := c.Login(person, password).Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	idle, err := c.Idle()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { idle.Close() })
	return w
}

// until waits until there are n messages.
func (w watch) until(t *testing.T, n uint32) {
	t.Helper()
	for {
		select {
		case have := <-w.exists:
			if have >= n {
				return
			}
		case <-t.Context().Done():
			t.Fatalf("there are never %d messages", n)
		}
	}
}

// warnings returns the warnings that ben has got.
func (b *box) warnings(t *testing.T) (all []string) {
	t.Helper()
	for _, body := range bodies(t, b.imap(t, "ben"), "INBOX") {
		if text := string(body); strings.Contains(text, "Subject: Your mailbox is nearly full") {
			all = append(all, text)
		}
	}
	return all
}

// wantNoLiteral has ben give a command that announces a message, which is refused before it is sent.
func (b *box) wantNoLiteral(t *testing.T, command, want string) {
	t.Helper()
	c, err := tls.Dial("tcp", b.addr(t, config.IMAPS), b.tls())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "a LOGIN ben %q\r\nb %s\r\n", password, command)
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		if answer, ok := strings.CutPrefix(lines.Text(), "b "); ok || strings.HasPrefix(lines.Text(), "+") {
			if answer != want {
				t.Errorf("%s: %q, want %q", command, lines.Text(), want)
			}
			return
		}
	}
	t.Fatal(lines.Err())
}

// TestQuota: a mailbox that fills up warns once, then refuses mail and says so to everybody in their own words, until there is room.
func TestQuota(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.setQuota(t, config.Quota{Bytes: config.MB})
	ben := b.watch(t, "ben")
	for n := range uint32(4) {
		if err := b.post25(t, filling(200_000)); err != nil {
			t.Fatal(err)
		}
		ben.until(t, 2+n) // the welcome is the first
	}
	if got := b.warnings(t); len(got) > 0 {
		t.Errorf("warned too early: %q", got)
	}
	if err := b.post25(t, filling(120_000)); err != nil {
		t.Fatal(err)
	}
	ben.until(t, 7) // the letter and a warning
	got := b.warnings(t)
	if len(got) != 1 || !strings.Contains(got[0], "your mail takes 922 KB of the 1 MB that it may take (92 %)") ||
		!strings.Contains(got[0], "Hello,\r\n\r\nyour mailbox ben@"+domain+" is nearly full") || !strings.Contains(got[0], "Auto-Submitted: auto-generated\r\n") {
		t.Fatalf("warned %d times, with\n%s", len(got), strings.Join(got, "\n"))
	}

	// What does not fit is refused at once where its size is told, and for all at the end where it is not.
	if err := b.post25(t, filling(100_000)); smtpCode(err) != 452 || !strings.Contains(err.Error(), "mailbox is full") {
		t.Errorf("over the quota: %v, want 452", err)
	}
	c, err := smtp.Dial(b.addr(t, config.SMTP))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Mail("sender@example.org", &smtp.MailOptions{Size: 100_000}); err != nil {
		t.Fatal(err)
	}
	var answer *smtp.SMTPError
	if err := c.Rcpt("ben@"+domain, nil); !errors.As(err, &answer) || answer.Code != 452 || answer.EnhancedCode != (smtp.EnhancedCode{4, 2, 2}) {
		t.Errorf("RCPT for ben: %v, want 452 4.2.2", err)
	}
	if err := c.Rcpt("ann@"+domain, nil); err != nil {
		t.Errorf("RCPT for ann: %v", err)
	}
	mail := b.imap(t, "ben")
	wantOver := func(what string, err error) {
		t.Helper()
		var answer *imap.Error
		if !errors.As(err, &answer) || answer.Code != imap.ResponseCodeOverQuota {
			t.Errorf("%s: %v, want NO [OVERQUOTA]", what, err)
		}
	}
	b.wantNoLiteral(t, "APPEND Archive {100000}", "NO [OVERQUOTA] the mailbox is full")
	if _, err := mail.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	_, err = mail.Copy(imap.SeqSetNum(2), "Archive").Wait()
	wantOver("COPY", err)
	if _, err := mail.Move(imap.SeqSetNum(3), "Archive").Wait(); err != nil {
		t.Errorf("MOVE: %v", err)
	}
	if err := b.post25(t, filling(10_000)); err != nil {
		t.Errorf("what fits still: %v", err)
	}

	// A restart forgets nothing, and a larger quota makes room.
	b.stop()
	b = run(t, b.dir)
	if err := b.post25(t, filling(10_000)); err != nil {
		t.Error(err)
	}
	client := b.Client()
	defer client.Close()
	if people, err := client.People(t.Context()); err != nil || people[1].Used.Messages != 9 || people[1].Quota.Bytes != 1_000_000 {
		t.Fatalf("%+v, %v", people, err)
	}
	if err := b.post25(t, filling(100_000)); smtpCode(err) != 452 {
		t.Errorf("after a restart: %v, want 452", err)
	}
	if got := b.warnings(t); len(got) != 1 {
		t.Errorf("warned %d times", len(got))
	}
	b.setQuota(t, config.Quota{Bytes: 2 * config.MB})
	if err := b.post25(t, filling(100_000)); err != nil {
		t.Errorf("with a larger quota: %v", err)
	}
	if got := b.warnings(t); len(got) != 1 {
		t.Errorf("warned %d times", len(got))
	}
}

// ask begins a message and returns who of the recipients is accepted, in words.
func ask(t *testing.T, c *smtp.Client, from string, octets int64, to ...string) (answers []string) {
	t.Helper()
	if err := c.Mail(from+"@"+domain, &smtp.MailOptions{Size: octets}); err != nil {
		t.Fatal(err)
	}
	for _, name := range to {
		answers = append(answers, name+" "+said(t, c.Rcpt(name+"@"+domain, nil)))
	}
	return answers
}

// said is an answer of a server, without its words.
func said(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return "yes"
	}
	var answer *smtp.SMTPError
	if !errors.As(err, &answer) {
		t.Fatal(err)
	}
	e := answer.EnhancedCode
	return fmt.Sprintf("%d %d.%d.%d", answer.Code, e[0], e[1], e[2])
}

// hand hands over the message that ask has begun, of about so many octets, which ann has written.
func hand(t *testing.T, c *smtp.Client, octets int) string {
	t.Helper()
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(strings.Replace(filling(octets), "sender@example.org", "ann@"+domain, 1))); err != nil {
		t.Fatal(err)
	}
	return said(t, w.Close())
}

// TestQuotaOfSeveral: who is full is refused by themselves while that is known before the message is sent. A message that was
// accepted comes to everybody once, if one of them has room, and to nobody if none has. From outside and from inside.
func TestQuotaOfSeveral(t *testing.T) {
	t.Parallel()
	for _, svc := range []config.Service{config.SMTP, config.Submissions} {
		t.Run(string(svc), func(t *testing.T) {
			t.Parallel()
			b := start(t)
			b.add(t, "cleo")
			err := b.Update(t.Context(), func(c *config.Config) error {
				for name, to := range map[string][]string{"all": {"ann", "ben", "cleo"}, "two": {"ben", "cleo"}} {
					address, err := mailaddr.Parse(name + "@" + domain)
					if err != nil {
						return err
					}
					c.Aliases = append(c.Aliases, config.Alias{Address: address, To: to})
				}
				for i := range c.People[1:] {
					c.People[1+i].Quota = config.Quota{Bytes: config.MB}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			dial := func() *smtp.Client {
				if svc == config.Submissions {
					return b.smtp(t, "ann")
				}
				c, err := smtp.Dial(b.addr(t, config.SMTP))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				return c
			}
			c := dial()
			want := func(what string, got []string, want ...string) {
				t.Helper()
				if !slices.Equal(got, want) {
					t.Errorf("%s: %q, want %q", what, got, want)
				}
			}
			have := func(what string, ann, ben, cleo int) {
				t.Helper()
				for i, n := range []int{ann, ben, cleo} {
					person := []string{"ann", "ben", "cleo"}[i]
					got := 0
					for _, body := range bodies(t, b.imap(t, person), "INBOX") {
						if strings.Contains(string(body), "Subject: filling") {
							got++
						}
					}
					if got != n {
						t.Errorf("%s: %s has %d messages, want %d", what, person, got, n)
					}
				}
			}

			want("nobody has room for so much", ask(t, c, "ann", 1_200_000, "two", "ben", "ann", "all"), "two 452 4.2.2", "ben 452 4.2.2", "ann yes", "all yes")
			want("delivered", []string{hand(t, c, 1000)}, "yes")
			have("the size was not so", 1, 1, 1)

			want("of unknown size", ask(t, c, "ann", 0, "two", "ben"), "two yes", "ben yes")
			want("too much for both", []string{hand(t, c, 1_200_000)}, "452 4.2.2")
			have("nobody had room", 1, 1, 1)

			want("of unknown size", ask(t, c, "ann", 0, "ann", "ben"), "ann yes", "ben yes")
			want("too much for one", []string{hand(t, c, 1_200_000)}, "yes")
			have("ann had room", 2, 2, 1)

			want("ben is full", ask(t, c, "ann", 0, "ben", "two"), "ben 452 4.2.2", "two yes")
			want("cleo has room", []string{hand(t, c, 1000)}, "yes")
			have("cleo had room", 2, 3, 2)

			want("too much for cleo, as was told", ask(t, c, "ann", 1_100_000, "two", "cleo"), "two 452 4.2.2", "cleo 452 4.2.2")
			if err := c.Reset(); err != nil {
				t.Fatal(err)
			}
			want("with one who has no quota", ask(t, c, "ann", 1_100_000, "two", "all"), "two 452 4.2.2", "all yes")
			want("ann has room", []string{hand(t, c, 1_100_000)}, "yes")
			have("all were told", 3, 4, 3)
			want("all but ann are full", ask(t, c, "ann", 0, "ben", "cleo", "two", "ann", "all"), "ben 452 4.2.2", "cleo 452 4.2.2", "two 452 4.2.2", "ann yes", "all yes")
		})
	}
}
