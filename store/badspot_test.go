//go:build interop

package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"letterbox/store/disktest"
)

// spoil makes reading a file of ann's INBOX fail where it touches octets from one offset up to another.
func spoil(d *disktest.Disk, name string, from, to int64) {
	d.SetBadSpot(func(path string, at, end int64) bool {
		return strings.HasSuffix(path, "/ann/Maildir/"+name) && at < to && from < end
	})
}

// TestInteropBadSpotInAMessage: a message is served up to a bad spot of its file, and behind it where it is asked for; check names it; the
// others and the mailbox know nothing of it.
func TestInteropBadSpotInAMessage(t *testing.T) {
	t.Parallel()
	for _, caches := range []bool{true, false} {
		for _, crlf := range []bool{true, false} {
			t.Run(fmt.Sprintf("caches %v, CRLF %v", caches, crlf), func(t *testing.T) {
				d, dir, _ := uncertain(t)
				long := text(20) + strings.Repeat("Much to be said.\r\n", 10_000)
				file := long
				if !crlf {
					file = strings.ReplaceAll(long, "\r\n", "\n")
				}
				name := "1700000000.M1P1.other:2,"
				if err := os.WriteFile(filepath.Join(dir, "mail", "ann", "Maildir", "cur", name), []byte(file), 0o600); err != nil {
					t.Fatal(err)
				}
				if caches {
					s := openOn(t, dir)
					look(t, s)
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
				} else {
					removeCaches(t, dir)
				}
				spoil(d, "cur/"+name, 100_000, 100_001)
				s := openOn(t, dir)
				err := with(s, "INBOX", func(m *Mailbox) error {
					checkSpoilt(t, m, long, crlf, caches)
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				var said []string
				done, err := account(t, s).Check(t.Context(), "INBOX", func(f Finding) {
					if f.Fault {
						said = append(said, fmt.Sprint(f.UID, ": ", f.What))
					}
				})
				if err != nil || done.Messages != 5 || len(said) != 1 || !strings.HasPrefix(said[0], "5: its file cannot be read past octet 98304") {
					t.Errorf("check read %+v, found %q, %v", done, said, err)
				}
				d.SetBadSpot(nil)
				if got := inboxView(t, s).texts[5]; got != long {
					t.Errorf("on a disk that is well again it has %d octets", len(got))
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// checkSpoilt looks at INBOX, whose message 5 cannot be read everywhere.
func checkSpoilt(t *testing.T, m *Mailbox, long string, crlf, caches bool) {
	t.Helper()
	for uid := UID(1); uid < 5; uid++ {
		if got := content(t, m, uid); got != text(int(uid)-1) {
			t.Errorf("message %d is %.40q", uid, got)
		}
	}
	if env, err := m.AppendEnvelope(nil, 5); err != nil || !strings.Contains(string(env), "letter 20") {
		t.Errorf("envelope %s, %v", env, err)
	}
	msg, err := m.Message(5)
	if err != nil {
		t.Fatal(err)
	}
	defer msg.Close()
	got, err := io.ReadAll(io.NewSectionReader(msg, 0, int64(len(long))))
	if !strings.HasPrefix(long, string(got)) || len(got) < 98_304 || len(got) == len(long) {
		t.Errorf("up to the bad spot there are %d octets", len(got))
	}
	if caches && !errors.Is(err, syscall.EIO) { // without them what can be read is all that is known
		t.Errorf("at the bad spot: %v", err)
	}
	if caches && crlf {
		b := make([]byte, 1000)
		if _, err := msg.ReadAt(b, 110_000); err != nil || string(b) != long[110_000:111_000] {
			t.Errorf("behind the bad spot: %v", err)
		}
	}
}

// TestInteropBadSpots: whatever of a folder's own files cannot be read, before it is opened or while it is, no UID is lost or given again,
// and nothing that was shown changes. Caches are made again, and where a file is not a cache the answer says so.
func TestInteropBadSpots(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file     string
		from, to int64
		cache    bool // it can be made again
	}{
		{"letterbox.index", 0, 1, true},
		{"letterbox.index", 100, 1 << 40, true},
		{"letterbox.data", 0, 1, true},
		{"letterbox.data", 100, 1 << 40, true},
		{"letterbox.text", 0, 1, true},
		{"letterbox.text", 100, 1 << 40, true},
		{"dovecot-uidlist", 0, 1, false},
		{"dovecot-uidlist", 1, 1 << 40, false},
		{"dovecot-keywords", 0, 1 << 40, false},
		{"letterbox-folder", 0, 1 << 40, false},
		{"cur", 0, 1, false},
		{"new", 0, 1, false},
		{"subscriptions", 0, 1 << 40, false},
	} {
		for _, open := range []bool{false, true} {
			for _, bare := range []bool{false, true} {
				if open && bare || bare && c.cache {
					continue
				}
				t.Run(fmt.Sprintf("%s from %d, while open %v, without caches %v", c.file, c.from, open, bare), func(t *testing.T) {
					d, dir, _ := uncertain(t)
					s := openOn(t, dir)
					if err := setFlags(s, "INBOX", []UID{1}, AddFlags, manyKeywords()...); err != nil { // some in letterbox-folder
						t.Fatal(err)
					}
					was := inboxView(t, s)
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					if bare {
						removeCaches(t, dir)
					}
					playBadSpot(t, d, dir, was, open, c.cache, func() { spoil(d, c.file, c.from, c.to) })
				})
			}
		}
	}
}

func playBadSpot(t *testing.T, d *disktest.Disk, dir string, was view, open, cache bool, spoil func()) {
	t.Helper()
	if !open {
		spoil()
	}
	s := openOn(t, dir)
	if open {
		inboxView(t, s)
		spoil()
	}
	seen := newOnlookers()
	deliver := func(n int) error {
		err := deliverText(s, text(n), Target{Person: "ann"})
		if err != nil && !errors.Is(err, syscall.EIO) {
			t.Errorf("delivered: %v", err)
		}
		return err
	}
	look := func(what string) {
		err := with(s, "INBOX", func(m *Mailbox) error {
			is := readWhole(t, m)
			compareViews(t, what, was, is)
			seen.glance(0, m)
			return nil
		})
		if err != nil && (cache || !errors.Is(err, syscall.EIO)) {
			t.Errorf("%s: %v", what, err)
		}
	}
	look("spoilt")
	first := deliver(20)
	if cache && first != nil {
		t.Errorf("delivered: %v", first)
	}
	look("after a delivery")
	err := setFlags(s, "INBOX", []UID{2}, AddFlags, `\Flagged`)
	if cache && err != nil || err != nil && !errors.Is(err, syscall.EIO) {
		t.Errorf("flags: %v", err)
	}
	if err := setFlags(s, "INBOX", []UID{2}, RemoveFlags, `\Flagged`); cache && err != nil {
		t.Errorf("flags: %v", err)
	}
	if _, err := account(t, s).List(); err != nil && (cache || !errors.Is(err, syscall.EIO)) {
		t.Errorf("list: %v", err)
	}
	if err := deliverText(s, text(30), Target{Person: "ann", Mailbox: "Archive"}); err != nil {
		t.Errorf("another mailbox: %v", err)
	}
	d.SetBadSpot(nil)
	second := deliver(21)
	if second != nil {
		t.Errorf("healed: %v", second)
	}
	look("healed")
	for _, again := range []string{"restarted", "restarted without caches"} {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if again != "restarted" {
			removeCaches(t, dir)
		}
		s = openOn(t, dir)
		look(again)
		err := with(s, "INBOX", func(m *Mailbox) error { return seen.contradictions(t, 0, m) })
		if err != nil {
			t.Errorf("%s: %v", again, err)
		}
	}
	n := 0
	for _, txt := range inboxView(t, s).texts {
		if txt == text(20) || txt == text(21) {
			n++
		}
	}
	if n < 1 || first == nil && n != 2 {
		t.Errorf("of the delivered letters there are %d", n)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// compareViews checks that what was in a mailbox is in it.
func compareViews(t *testing.T, what string, was, is view) {
	t.Helper()
	if is.st.UIDValidity != was.st.UIDValidity || is.st.MailboxID != was.st.MailboxID || is.st.UIDNext < was.st.UIDNext || is.st.HighestModSeq < was.st.HighestModSeq {
		t.Errorf("%s: %+v, was %+v", what, is.st, was.st)
	}
	for uid, txt := range was.texts {
		if is.texts[uid] != txt || is.ids[uid] != was.ids[uid] || is.flags[uid] != was.flags[uid] {
			t.Errorf("%s: UID %d was %.30q %s %q, is %.30q %s %q", what, uid, txt, was.ids[uid], was.flags[uid], is.texts[uid], is.ids[uid], is.flags[uid])
		}
	}
}
