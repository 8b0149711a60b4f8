//go:build interop

package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"letterbox/store/maildir/dovecottest"
)

// TestInteropAtTheSameTime lets doveadm and dovecot-lda deliver, flag and expunge
// in a folder in which we do the same, then asks both what is in it: nothing is
// lost, nothing is double, and they agree on every UID and flag.
func TestInteropAtTheSameTime(t *testing.T) {
	if os.Getuid() == 0 {
		asNobody(t)
		return
	}
	const rounds = 12
	dir := t.TempDir()
	s := open(t, dir)
	running(t, s)
	m := mailbox(t, s, "INBOX")
	d := dovecottest.New(t, filepath.Join(dir, "mail", "ann", "Maildir"))

	var wg sync.WaitGroup
	wg.Go(func() {
		for n := range rounds {
			if _, err := d.TryDoveadm(text(1000+n), "save", "-m", "INBOX"); err != nil {
				t.Error(err)
			}
			for _, args := range [][]string{
				{"flags", "add", `\Flagged $Dove`, "mailbox", "INBOX", "subject", fmt.Sprint("letter ", 1000+n)},
				{"flags", "add", `\Answered`, "mailbox", "INBOX", "subject", "letter 2001"},
				{"expunge", "mailbox", "INBOX", "subject", fmt.Sprint("letter ", 1000+n-1), "not", "flagged"}, // nothing
				{"expunge", "mailbox", "INBOX", "header", "message-id", fmt.Sprintf("<%d@example.org>", 3000+n)},
			} {
				if _, err := d.TryDoveadm("", args...); err != nil {
					t.Error(err)
				}
			}
		}
	})
	wg.Go(func() {
		for n := range rounds * 2 {
			if err := d.LDA(text(5000 + n)); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Go(func() {
		for n := range rounds * 10 {
			err := s.Deliver(context.Background(), incoming(t, s, text(2000+n)), []Target{{Person: "ann"}})
			if err == nil && n%10 == 0 { // for doveadm to expunge
				err = s.Deliver(context.Background(), incoming(t, s, text(3000+n/10)), []Target{{Person: "ann"}})
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
	wg.Go(func() {
		for range rounds * 5 {
			uids := m.UIDs(nil)
			if _, _, err := m.StoreFlags(uids, AddFlags, Seen, 0); err != nil {
				t.Error(err)
			}
			if len(uids) > 0 {
				if err := m.Expunge(subjects(t, m, uids, 2000, 2000+rounds)); err != nil {
					t.Error(err)
				}
			}
		}
	})
	wg.Wait()
	doves := d.Doveadm(t, "", "fetch", "uid hdr.message-id", "mailbox", "INBOX")
	if err := m.refresh(); err != nil {
		t.Fatal(err)
	}
	ours := map[UID]int{}
	for _, uid := range m.UIDs(nil) {
		ours[uid] = letterOf(t, m, uid)
	}
	if theirs := parseFetch(t, doves); !maps.Equal(ours, theirs) {
		t.Errorf("we have    %v\nDovecot has %v", ours, theirs)
	}
	letters := slices.Sorted(maps.Values(ours))
	for n := range rounds {
		if count(letters, 1000+n) != 1 {
			t.Errorf("Dovecot's letter %d is there %d times", n, count(letters, 1000+n))
		}
	}
	for n := range rounds * 2 {
		if count(letters, 5000+n) != 1 {
			t.Errorf("letter %d of dovecot-lda is there %d times", n, count(letters, 5000+n))
		}
	}
	for n := range rounds * 10 {
		if c := count(letters, 2000+n); c > 1 || c == 0 && n%2 == 1 {
			t.Errorf("our letter %d is there %d times", n, c)
		}
	}
	if dove := flagged(t, m); dove != rounds {
		t.Errorf("%d letters have Dovecot's flags", dove)
	}
}

// subjects returns the messages whose letters are even and from first to last-1.
func subjects(t *testing.T, m *Mailbox, uids []UID, first, last int) []UID {
	var found []UID
	for _, uid := range uids {
		env, err := m.AppendEnvelope(nil, uid)
		if errors.Is(err, ErrExpunged) {
			continue
		}
		if err != nil {
			t.Error(err)
			continue
		}
		if n := numberIn(string(env)); n >= first && n < last && n%2 == 0 {
			found = append(found, uid)
		}
	}
	return found
}

var letterNumber = regexp.MustCompile(`<(\d+)@example\.org>`)

func numberIn(s string) int {
	match := letterNumber.FindStringSubmatch(s)
	if match == nil {
		return -1
	}
	n, _ := strconv.Atoi(match[1])
	return n
}

func letterOf(t *testing.T, m *Mailbox, uid UID) int { return numberIn(content(t, m, uid)) }

func count(list []int, n int) (c int) {
	for _, v := range list {
		if v == n {
			c++
		}
	}
	return c
}

// flagged counts the messages that have both of Dovecot's flags.
func flagged(t *testing.T, m *Mailbox) (n int) {
	f, err := m.KeywordFlags([]string{`\Flagged`, "$Dove"}, false)
	if err != nil || flagCount(f) != 2 {
		t.Fatal(f, err)
	}
	for _, meta := range m.Lookup(nil, m.UIDs(nil)) {
		if meta.Flags.Has(f) {
			n++
		}
	}
	return n
}

// parseFetch reads what doveadm fetch prints: blocks of "name: value" lines.
func parseFetch(t *testing.T, out string) map[UID]int {
	t.Helper()
	found := map[UID]int{}
	uid := 0
	for line := range strings.Lines(out) {
		if v, ok := strings.CutPrefix(line, "uid: "); ok {
			var err error
			if uid, err = strconv.Atoi(strings.TrimSpace(v)); err != nil {
				t.Fatal(err)
			}
		}
		if strings.HasPrefix(line, "hdr.message-id: ") {
			found[UID(uid)] = numberIn(line)
		}
	}
	return found
}

// TestInteropBin: what was expunged is nothing to Dovecot, which may be at work
// beside, and what comes back has the identity that Dovecot knew.
func TestInteropBin(t *testing.T) {
	if os.Getuid() == 0 {
		asNobody(t)
		return
	}
	dir := t.TempDir()
	s := open(t, dir)
	running(t, s)
	a := account(t, s)
	d := dovecottest.New(t, filepath.Join(dir, "mail", "ann", "Maildir"))
	d.Doveadm(t, text(2), "save", "-m", "INBOX")
	deliver(t, s, "", text(4))
	if err := a.Create("Gone/by", ""); err != nil {
		t.Fatal(err)
	}
	deliver(t, s, "Gone/by", text(3))
	m := mailbox(t, s, "INBOX")
	if err := m.refresh(); err != nil {
		t.Fatal(err)
	}
	identities := func() string {
		return d.Doveadm(t, "", "fetch", "mailbox hdr.message-id guid", "ALL")
	}
	sorted := func(out string) []string {
		blocks := strings.Split(out, "\f")
		for i := range blocks {
			blocks[i] = strings.TrimSpace(blocks[i])
		}
		slices.Sort(blocks)
		return blocks
	}
	before, mailboxes := sorted(identities()), d.Doveadm(t, "", "mailbox", "list")

	if err := m.Expunge(m.UIDs(nil)); err != nil {
		t.Fatal(err)
	}
	if err := a.Delete("Gone/by"); err != nil {
		t.Fatal(err)
	}
	if got := identities(); got != "" {
		t.Errorf("Dovecot has %q", got)
	}
	if got, want := strings.Fields(d.Doveadm(t, "", "mailbox", "list")), strings.Fields(mailboxes); !slices.Equal(got, slices.DeleteFunc(want, func(name string) bool { return strings.HasPrefix(name, "Gone") })) {
		t.Errorf("Dovecot lists %q", got)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := range 10 {
			if _, err := d.TryDoveadm(text(100+n), "save", "-m", "INBOX"); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Go(func() {
		for range 10 {
			if _, err := a.Undelete(t.Context(), Which{Mailbox: "INBOX"}); err != nil {
				t.Error(err)
			}
			if err := m.Expunge(subjects(t, m, m.UIDs(nil), 2, 10)); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	d.Doveadm(t, "", "expunge", "mailbox", "INBOX", "ALL")
	if n, err := a.Undelete(t.Context(), Which{}); n != 3 || err != nil {
		t.Errorf("%d came back, %v", n, err)
	}
	if after := sorted(identities()); !slices.Equal(after, before) {
		t.Errorf("Dovecot knew\n%q\nand knows\n%q", before, after)
	}
	if got := d.Doveadm(t, "", "mailbox", "list"); got != mailboxes {
		t.Errorf("Dovecot lists %q, not %q", got, mailboxes)
	}
}
