//go:build interop

package appliance_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"letterbox/store/maildir/dovecottest"
)

// snapshot is what a client that knows a folder compares: were one of these different, it would download everything again.
type snapshot struct {
	uidValidity uint32
	messages    []string // "UID flags text", flags sorted and in lower case
}

// TestInteropDovecot: Dovecot serves our tree, changes it, and we serve exactly that.
func TestInteropDovecot(t *testing.T) {
	t.Parallel()
	b := start(t)
	ben := b.imap(t, "ben")
	folders := []string{"INBOX", "Sent", "Lists/go.dev", "Täglich/R&D"}
	for _, folder := range folders[2:] {
		if err := ben.Create(folder, nil).Wait(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		if err := b.send(t, "ann", "ben@"+domain, numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
	for i, folder := range folders[1:] {
		for j, flags := range [][]imap.Flag{{imap.FlagSeen}, {imap.FlagFlagged, imap.FlagDraft}, {imap.FlagAnswered, "$Work", "$Later"}, {imap.FlagDeleted}} {
			appendLetter(t, ben, folder, numbered(10*(i+1)+j), flags...)
		}
	}
	if _, err := ben.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	flag(t, ben, 2, "$Work", imap.FlagSeen)
	if _, err := ben.Copy(imap.UIDSetNum(3), "Lists/go.dev").Wait(); err != nil {
		t.Fatal(err)
	}
	ours := make(map[string]snapshot)
	for _, folder := range folders {
		ours[folder] = served(t, ben, folder)
	}
	b.stop()

	// Dovecot has the same folders, UIDs, flags and keywords.
	d := dovecottest.New(t, filepath.Join(b.dir, "mail", "ben", "Maildir"))
	listed := strings.Split(strings.TrimSpace(d.Doveadm(t, "", "mailbox", "list")), "\n")
	for _, folder := range folders {
		if !slices.Contains(listed, folder) {
			t.Errorf("Dovecot does not list %s: %q", folder, listed)
		}
		if theirs := dovecotServes(t, d, folder); !equal(theirs, ours[folder]) {
			t.Errorf("%s: Dovecot serves\n%v\nwe served\n%v", folder, theirs, ours[folder])
		}
	}
	subscribed := d.Doveadm(t, "", "mailbox", "list", "-s")
	for _, folder := range []string{"Drafts", "Sent", "Junk", "Trash", "Archive"} {
		if !strings.Contains(subscribed, folder+"\n") {
			t.Errorf("Dovecot does not see the subscription of %s: %q", folder, subscribed)
		}
	}

	// It changes flags and keywords, expunges, adds, moves, and makes a folder.
	d.Doveadm(t, "", "flags", "add", `\Flagged $Home`, "mailbox", "INBOX", "uid", "2")
	d.Doveadm(t, "", "flags", "remove", `$Work`, "mailbox", "Täglich/R&D", "all")
	d.Doveadm(t, "", "expunge", "mailbox", "Sent", "deleted")
	d.Doveadm(t, strings.ReplaceAll(numbered(90), "\r\n", "\n"), "save", "-m", "Lists/go.dev")
	d.Doveadm(t, "", "mailbox", "create", "Lists/new.one")
	d.Doveadm(t, "", "move", "Lists/new.one", "mailbox", "INBOX", "uid", "3")
	folders = append(folders, "Lists/new.one")
	theirs := make(map[string]snapshot)
	for _, folder := range folders {
		theirs[folder] = dovecotServes(t, d, folder)
	}

	// And we serve exactly that.
	again := run(t, b.dir)
	ben = again.imap(t, "ben")
	for _, folder := range folders {
		if now := served(t, ben, folder); !equal(now, theirs[folder]) {
			t.Errorf("%s: we serve\n%v\nDovecot served\n%v", folder, now, theirs[folder])
		}
	}
	if err := again.send(t, "ann", "ben@"+domain, numbered(99)); err != nil {
		t.Fatal(err)
	}
	if got := served(t, ben, "INBOX"); len(got.messages) != len(theirs["INBOX"].messages)+1 {
		t.Errorf("after one more letter INBOX holds %v", got)
	}
}

// numbered is a letter that can be told from others.
func numbered(i int) string {
	return strings.Replace(letter, "It is ready.", fmt.Sprintf("This is number %d.", i), 1)
}

var number = regexp.MustCompile(`This is number \d+\.|this is your letterbox`)

func appendLetter(t *testing.T, c *imapclient.Client, folder, text string, flags ...imap.Flag) {
	t.Helper()
	cmd := c.Append(folder, int64(len(text)), &imap.AppendOptions{Flags: flags})
	if _, err := cmd.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}

func flag(t *testing.T, c *imapclient.Client, uid imap.UID, flags ...imap.Flag) {
	t.Helper()
	if err := c.Store(imap.UIDSetNum(uid), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: flags}, nil).Close(); err != nil {
		t.Fatal(err)
	}
}

// served is what we serve of a folder.
func served(t *testing.T, c *imapclient.Client, folder string) snapshot {
	t.Helper()
	selected, err := c.Select(folder, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		t.Fatalf("%s: %v", folder, err)
	}
	s := snapshot{uidValidity: selected.UIDValidity}
	if selected.NumMessages == 0 {
		return s
	}
	text := &imap.FetchItemBodySection{Specifier: imap.PartSpecifierText, Peek: true}
	messages, err := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{UID: true, Flags: true, BodySection: []*imap.FetchItemBodySection{text}}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		var flags []string
		for _, f := range m.Flags {
			flags = append(flags, string(f))
		}
		s.add(uint32(m.UID), flags, m.FindBodySection(text))
	}
	return s
}

// dovecotServes is what Dovecot makes of a folder.
func dovecotServes(t *testing.T, d *dovecottest.Dovecot, folder string) snapshot {
	t.Helper()
	var s snapshot
	status := d.Doveadm(t, "", "-f", "flow", "mailbox", "status", "uidvalidity", folder)
	_, value, _ := strings.Cut(status, "uidvalidity=")
	if _, err := fmt.Sscan(value, &s.uidValidity); err != nil {
		t.Fatalf("%s: %q: %v", folder, status, err)
	}
	for _, message := range strings.Split(d.Doveadm(t, "", "-f", "pager", "fetch", "uid flags text", "mailbox", folder), "\f") {
		uid, rest, ok := strings.Cut(strings.TrimPrefix(strings.TrimLeft(message, "\n"), "uid: "), "\n")
		if !ok {
			continue
		}
		flags, text, _ := strings.Cut(strings.TrimPrefix(rest, "flags: "), "\n")
		var n uint32
		if _, err := fmt.Sscan(uid, &n); err != nil {
			t.Fatalf("%s: %q: %v", folder, message, err)
		}
		s.add(n, strings.Fields(flags), []byte(text))
	}
	return s
}

func (s *snapshot) add(uid uint32, flags []string, text []byte) {
	flags = slices.DeleteFunc(flags, func(f string) bool { return strings.EqualFold(f, `\Recent`) })
	slices.Sort(flags)
	s.messages = append(s.messages, strings.ToLower(fmt.Sprintf("%d %v %s", uid, flags, number.Find(text))))
}

func equal(a, b snapshot) bool {
	return a.uidValidity == b.uidValidity && slices.Equal(a.messages, b.messages)
}
