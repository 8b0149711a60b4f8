//go:build interop

package appliance_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"letterbox/appliance/config"
)

// mbsync is a mail program that keeps a copy of a mailbox in files, and what it knows of it in state files.
type mbsync struct {
	local string
	state string // of its configuration: what does not change when the server does
}

func newMbsync(t *testing.T) *mbsync {
	t.Helper()
	local := t.TempDir()
	return &mbsync{local, fmt.Sprintf(`
MaildirStore near
Path %s/
Inbox %[1]s/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
`, local)}
}

// plainStore is how mbsync reaches a server that listens without TLS.
func plainStore(addr, login string) string {
	_, port, _ := strings.Cut(addr, ":")
	return fmt.Sprintf("Host 127.0.0.1\nPort %s\nUser %s\nPass \"%s\"\nSSLType None\nAuthMechs LOGIN\n", port, login, password)
}

// synced is what a run of mbsync did: by what it said to the server, and by the copies that it has afterwards.
type synced struct {
	fetched              int      // commands for the text of a message
	sent                 []string // commands that change something
	added, changed, gone int      // copies: new ones, those with other flags, those that are gone
}

var mbsyncSends = regexp.MustCompile(`(?m)^(?:\(\d+ in progress\) )?>>> \d+ (.*?)\r?$`)

// sync brings both sides together.
func (m *mbsync) sync(t *testing.T, store string) (did synced) {
	t.Helper()
	was := m.copies(t)
	rc := file(t, "mbsyncrc", "IMAPStore far\n%s\n%s", store, m.state)
	said := program(t, "", "mbsync", "-c", rc, "-Dn", "-a")
	commands := mbsyncSends.FindAllStringSubmatch(said, -1)
	if len(commands) < 5 {
		t.Fatalf("mbsync does not tell what it says to the server:\n%s", said)
	}
	for _, c := range commands {
		did.count(t, strings.TrimPrefix(c[1], "UID "))
	}
	is := m.copies(t)
	for name, flags := range is {
		if before, had := was[name]; !had {
			did.added++
		} else if before != flags {
			did.changed++
		}
	}
	for name := range was {
		if _, has := is[name]; !has {
			did.gone++
		}
	}
	return did
}

// count takes in a command of which nothing but what it may be is known to do nothing.
func (did *synced) count(t *testing.T, command string) {
	t.Helper()
	switch verb, rest, _ := strings.Cut(command, " "); verb {
	case "FETCH":
		if strings.Contains(rest, "BODY") {
			did.fetched++
		}
	case "CAPABILITY", "LOGIN", "AUTHENTICATE", "NAMESPACE", "LIST", "SELECT", "EXAMINE", "CLOSE", "NOOP", "LOGOUT":
	default:
		did.sent = append(did.sent, command)
	}
}

// wantNothing checks that neither side was brought anything.
func (did synced) wantNothing(t *testing.T, when string) {
	t.Helper()
	if did.fetched != 0 || len(did.sent) > 0 || did.added+did.changed+did.gone > 0 {
		t.Errorf("%s mbsync did %+v, want nothing", when, did)
	}
}

// copies are the messages that it has, by folder and base name, with their flags.
func (m *mbsync) copies(t *testing.T) map[string]string {
	t.Helper()
	copies := make(map[string]string)
	err := filepath.Walk(m.local, func(path string, _ os.FileInfo, err error) error {
		if dir := filepath.Dir(path); err == nil && (filepath.Base(dir) == "cur" || filepath.Base(dir) == "new") {
			name, info, _ := strings.Cut(filepath.Base(path), ":")
			copies[filepath.Join(filepath.Dir(dir), name)] = info
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return copies
}

// knowingClient is a mail program with a memory: what it has downloaded, by folder, UIDVALIDITY and UID.
type knowingClient map[string]remembered

type remembered struct {
	validity uint32
	next     imap.UID
	flags    map[imap.UID]string
	texts    map[imap.UID]string
}

// sync does what such a program does, and tells all that was new to it, a line each.
func (p knowingClient) sync(t *testing.T, c *imapclient.Client) (news []string) {
	t.Helper()
	list, err := c.List("", "*", nil).Collect()
	if err != nil {
		t.Fatal(err)
	}
	there := make(map[string]bool)
	for _, l := range list {
		if slices.ContainsFunc(l.Attrs, func(a imap.MailboxAttr) bool {
			return strings.EqualFold(string(a), `\Noselect`) || strings.EqualFold(string(a), `\NonExistent`)
		}) {
			continue
		}
		there[l.Mailbox] = true
		news = append(news, p.folder(t, c, l.Mailbox)...)
	}
	for name := range p {
		if !there[name] {
			delete(p, name)
			news = append(news, name+" is gone")
		}
	}
	slices.Sort(news)
	return news
}

func (p knowingClient) folder(t *testing.T, c *imapclient.Client, name string) (news []string) {
	t.Helper()
	selected, err := c.Select(name, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	known, ok := p[name]
	if !ok {
		news = append(news, name+" is new")
	}
	if !ok || known.validity != selected.UIDValidity {
		if ok {
			news = append(news, name+" was numbered anew")
		}
		known = remembered{validity: selected.UIDValidity, flags: make(map[imap.UID]string), texts: make(map[imap.UID]string)}
	}
	flags, _ := fetchAll(t, c, selected.NumMessages, false)
	for _, uid := range slices.Sorted(maps.Keys(flags)) {
		was, has := known.flags[uid]
		switch {
		case !has:
			news = append(news, fmt.Sprintf("%s %d was downloaded", name, uid))
			if ok && uid < known.next {
				news = append(news, fmt.Sprintf("%s %d is new and lies below the end", name, uid))
			}
		case was != flags[uid]:
			news = append(news, fmt.Sprintf("%s %d was %s and is %s", name, uid, was, flags[uid]))
		}
	}
	for uid := range known.flags {
		if _, has := flags[uid]; !has {
			news = append(news, fmt.Sprintf("%s %d is gone", name, uid))
		}
	}
	// What it has is still what the server has under that number.
	_, texts := fetchAll(t, c, selected.NumMessages, true)
	for uid, text := range texts {
		if was, has := known.texts[uid]; has && was != text {
			t.Errorf("%s %d is another message now:\n%s\nand was\n%s", name, uid, text, was)
		}
	}
	known.flags, known.texts, known.next = flags, texts, selected.UIDNext
	p[name] = known
	return news
}

// fetchAll brings the flags of the messages of the selected folder, and their texts if those are wanted.
func fetchAll(t *testing.T, c *imapclient.Client, n uint32, text bool) (flags, texts map[imap.UID]string) {
	t.Helper()
	flags, texts = make(map[imap.UID]string), make(map[imap.UID]string)
	if n == 0 {
		return flags, texts
	}
	options, whole := &imap.FetchOptions{UID: true, Flags: true, InternalDate: true}, &imap.FetchItemBodySection{Peek: true}
	if text {
		options.BodySection = []*imap.FetchItemBodySection{whole}
	}
	messages, err := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, options).Collect()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		var names []string
		for _, f := range m.Flags {
			if !strings.EqualFold(string(f), `\Recent`) {
				names = append(names, strings.ToLower(string(f)))
			}
		}
		slices.Sort(names)
		flags[m.UID] = fmt.Sprint(names)
		texts[m.UID] = fmt.Sprintf("%d %s", m.InternalDate.Unix(), m.FindBodySection(whole))
	}
	return flags, texts
}

func subscribed(t *testing.T, c *imapclient.Client) (names []string) {
	t.Helper()
	list, err := c.List("", "*", &imap.ListOptions{SelectSubscribed: true}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range list {
		if l.Mailbox != "INBOX" { // subscribed or not, it is always shown
			names = append(names, l.Mailbox)
		}
	}
	slices.Sort(names)
	return names
}

func plainIMAP(t *testing.T, addr, login, secret string) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialInsecure(addr, nil)
	return signedIn(t, c, err, login, secret)
}

// imapAt signs somebody in at a household of another domain than the tests'.
func (b *box) imapAt(t *testing.T, login, secret string) *imapclient.Client {
	t.Helper()
	trust := b.tls()
	trust.ServerName = "mail.example.org"
	c, err := imapclient.DialTLS(b.addr(t, config.IMAPS), &imapclient.Options{TLSConfig: trust})
	return signedIn(t, c, err, login, secret)
}

// uses are the special uses that a server tells.
func uses(t *testing.T, c *imapclient.Client) (list []string) {
	t.Helper()
	folders, err := c.List("", "*", &imap.ListOptions{ReturnSpecialUse: true}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		for _, a := range f.Attrs {
			if slices.Contains([]imap.MailboxAttr{imap.MailboxAttrDrafts, imap.MailboxAttrSent, imap.MailboxAttrJunk, imap.MailboxAttrTrash, imap.MailboxAttrArchive}, a) {
				list = append(list, f.Mailbox+" "+string(a))
			}
		}
	}
	slices.Sort(list)
	return list
}

// signedIn signs somebody in on a connection that was just dialled.
func signedIn(t *testing.T, c *imapclient.Client, err error, login, secret string) *imapclient.Client {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Login(login, secret).Wait(); err != nil {
		t.Fatalf("%s signs in: %v", login, err)
	}
	return c
}
