package store

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A closedFolder is one that nobody serves, to be changed by others.
type closedFolder struct {
	t    *testing.T
	dir  string // of the data
	path string // of INBOX
}

// closed makes INBOX of ann with five letters, the third of them a copy of the
// first, and closes the store.
func closed(t *testing.T) (f closedFolder, ids map[UID]string) {
	t.Helper()
	f = closedFolder{t: t, dir: t.TempDir()}
	f.path = filepath.Join(f.dir, "mail", "ann", "Maildir")
	s := open(t, f.dir)
	deliver(t, s, "", text(1))
	deliver(t, s, "", text(2))
	m := mailbox(t, s, "INBOX")
	if _, err := m.Copy([]UID{1}, m); err != nil {
		t.Fatal(err)
	}
	deliver(t, s, "", text(4))
	deliver(t, s, "", text(5))
	ids = identities(t, m)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return f, ids
}

// identities are what must stay of each message: EMAILID, SAVEDATE, text.
func identities(t *testing.T, m *Mailbox) map[UID]string {
	t.Helper()
	ids := map[UID]string{}
	for _, meta := range m.Lookup(nil, m.UIDs(nil)) {
		id, err := m.EmailID(meta.UID)
		if err != nil {
			t.Fatal(err)
		}
		ids[meta.UID] = fmt.Sprint(m.Status().UIDValidity, m.Status().MailboxID, id, meta.SaveDate, letterIn(content(t, m, meta.UID)))
	}
	return ids
}

func letterIn(text string) string {
	_, after, _ := strings.Cut(text, "Subject: ")
	subject, _, _ := strings.Cut(after, "\r\n")
	return subject
}

// edit changes dovecot-uidlist.
func (f closedFolder) edit(change func(lines []string) []string) {
	f.t.Helper()
	path := filepath.Join(f.path, "dovecot-uidlist")
	b, err := os.ReadFile(path)
	if err != nil {
		f.t.Fatal(err)
	}
	lines := change(strings.Split(strings.TrimSuffix(string(b), "\n"), "\n"))
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f closedFolder) clearCaches() {
	f.t.Helper()
	for _, name := range []string{"letterbox.index", "letterbox.data"} {
		if err := os.Remove(filepath.Join(f.path, name)); err != nil {
			f.t.Fatal(err)
		}
	}
}

// look returns the identities that are served now.
func (f closedFolder) look() map[UID]string {
	f.t.Helper()
	s := open(f.t, f.dir)
	m := mailbox(f.t, s, "INBOX")
	ids := identities(f.t, m)
	if err := s.Close(); err != nil {
		f.t.Fatal(err)
	}
	return ids
}

// TestListIsTheTruth: what another program did to the numbers in dovecot-uidlist
// is what we serve, now and when the caches are gone. Nothing but the number of a
// message changes.
func TestListIsTheTruth(t *testing.T) {
	t.Parallel()
	base := func(line string) string { return line[strings.IndexByte(line, ':'):] }
	for _, tt := range []struct {
		name string
		edit func(lines []string) []string
		want map[UID]UID // of those that are numbered anew: what they were
	}{
		{"a line is missing", func(l []string) []string { return append(l[:2], l[3:]...) }, nil},
		{"all lines are missing", func(l []string) []string { return l[:1] }, nil},
		{"a later line holds", func(l []string) []string { return append(l, "9 "+base(l[2])) }, map[UID]UID{9: 2}},
		{"a later line in place of the first", func(l []string) []string { return append(slices.Delete(slices.Clone(l), 3, 4), "9 "+base(l[3])) }, map[UID]UID{9: 3}},
		{"Dovecot numbers anew behind a broken line", func(l []string) []string {
			return append(l[:2], "6 "+base(l[2]), "7 "+base(l[3]), "8 "+base(l[4]), "9 "+base(l[5]))
		}, map[UID]UID{6: 2, 7: 3, 8: 4, 9: 5}},
		{"another MAILBOXID", func(l []string) []string {
			fields := strings.Fields(l[0])
			fields[3] = "G00112233445566778899aabbccddeeff"
			l[0] = strings.Join(fields, " ")
			return l
		}, nil},
		{"a UID that is another message's", func(l []string) []string {
			l[2] = "2 :1700000000.nothing.here"
			return l
		}, nil},
		{"there is no head", func(l []string) []string { return l[1:] }, nil},
		{"there is nothing", func([]string) []string { return nil }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, was := closed(t)
			f.edit(tt.edit)
			want := map[UID]string{}
			for uid, id := range was {
				want[uid] = id
			}
			for uid, before := range tt.want {
				want[uid] = was[before]
				delete(want, before)
			}
			if got := f.look(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("we serve\n%v\nwant\n%v", got, want)
			}
			f.clearCaches()
			if got := f.look(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("without caches we serve\n%v\nwant\n%v", got, want)
			}
		})
	}
}
