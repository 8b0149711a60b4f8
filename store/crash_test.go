package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var errCrash = errors.New("the power is gone")

// A crasher lets the disk change up to a step and not after it.
type crasher struct {
	after int // steps that still happen; negative: all
	steps []string
}

func (c *crasher) step(name string) error {
	if c.after >= 0 && len(c.steps) >= c.after {
		return errCrash
	}
	c.steps = append(c.steps, name)
	return nil
}

// view is what a client was shown of a mailbox.
type view struct {
	st    Status
	texts map[UID]string
	ids   map[UID]string
}

func look(t *testing.T, s *Store) map[string]view {
	t.Helper()
	views := map[string]view{}
	list, err := account(t, s).List()
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range list {
		if !info.Selectable {
			continue
		}
		m, err := account(t, s).Open(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		v := view{m.Status(), map[UID]string{}, map[UID]string{}}
		for _, uid := range m.UIDs(nil) {
			v.texts[uid] = content(t, m, uid)
			if v.ids[uid], err = m.EmailID(uid); err != nil {
				t.Fatal(err)
			}
		}
		views[info.Name] = v
		m.Close()
	}
	return views
}

// fastDir is a directory in memory where there is one: these tests sync
// thousands of times, and what they ask is not whether the disk does.
func fastDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "letterbox-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func copyTree(t *testing.T, from string) string {
	t.Helper()
	to := fastDir(t)
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		dst := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(dst, 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(dst, b, 0o600); err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		return os.Chtimes(dst, fi.ModTime(), fi.ModTime())
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// crashCase is an operation on a store that has letters 0 to 3 in INBOX, 10 and
// 11 in Archive.
type crashCase struct {
	name string
	do   func(t *testing.T, s *Store) error
	// check says what must hold, given how often each letter exists where.
	check func(done bool, count func(mailbox string, letter int) int) error
	// ids are the identities that letters have brought along, if they are there.
	ids map[int]string
}

func must(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// kept checks that letters exist exactly once in one of the mailboxes.
func kept(count func(string, int) int, letters []int, mailboxes ...string) error {
	for _, l := range letters {
		n := 0
		for _, name := range mailboxes {
			n += count(name, l)
		}
		if n != 1 {
			return fmt.Errorf("letter %d exists %d times in %v", l, n, mailboxes)
		}
	}
	return nil
}

var crashCases = []crashCase{
	{"deliver", func(t *testing.T, s *Store) error {
		return s.Deliver(context.Background(), incoming(t, s, text(20)), []Target{{Person: "ann", Flags: []string{"blue"}}, {Person: "ann", Mailbox: "Archive"}})
	}, func(done bool, count func(string, int) int) error {
		return errors.Join(kept(count, []int{0, 1, 2, 3}, "INBOX"), kept(count, []int{10, 11}, "Archive"),
			must(!done || count("INBOX", 20) == 1 && count("Archive", 20) == 1, "the delivered letter is missing"))
	}, nil},
	{"append", func(t *testing.T, s *Store) error {
		m, err := account(t, s).Open("INBOX")
		if err != nil {
			return err
		}
		defer m.Close()
		_, err = m.Append(context.Background(), []AppendMessage{{In: incoming(t, s, text(20))}, {In: incoming(t, s, text(21)), Flags: []string{"green"}}})
		return err
	}, func(done bool, count func(string, int) int) error {
		return errors.Join(kept(count, []int{0, 1, 2, 3}, "INBOX"),
			must(count("INBOX", 20) == count("INBOX", 21), "one of two appended letters is there"),
			must(!done || count("INBOX", 20) == 1, "the appended letters are missing"))
	}, nil},
	{"import", func(t *testing.T, s *Store) error {
		return importLetters(t, s, 20, 21)
	}, func(done bool, count func(string, int) int) error {
		return errors.Join(kept(count, []int{0, 1, 2, 3}, "INBOX"),
			must(count("INBOX", 20) == count("INBOX", 21), "one of two imported letters is there"),
			must(!done || count("INBOX", 20) == 1, "the imported letters are missing"))
	}, importIDs},
	{"import one", func(t *testing.T, s *Store) error {
		return importLetters(t, s, 20)
	}, func(done bool, count func(string, int) int) error {
		return errors.Join(kept(count, []int{0, 1, 2, 3}, "INBOX"),
			must(!done || count("INBOX", 20) == 1, "the imported letter is missing"))
	}, importIDs},
	{"flags", func(t *testing.T, s *Store) error {
		m, err := account(t, s).Open("INBOX")
		if err != nil {
			return err
		}
		defer m.Close()
		f, err := m.KeywordFlags([]string{`\Seen`, "red", "blue"}, true)
		if err != nil {
			return err
		}
		_, _, err = m.StoreFlags([]UID{1, 2, 3}, SetFlags, f, 0)
		return err
	}, func(done bool, count func(string, int) int) error {
		return kept(count, []int{0, 1, 2, 3}, "INBOX")
	}, nil},
	{"copy", func(t *testing.T, s *Store) error {
		return transferTest(t, s, (*Mailbox).Copy)
	}, func(done bool, count func(string, int) int) error {
		n := count("Archive", 0) + count("Archive", 1)
		return errors.Join(kept(count, []int{0, 1, 2, 3}, "INBOX"), kept(count, []int{10, 11}, "Archive"),
			must(n == 0 || n == 2, "%d of 2 copies are there", n), must(!done || n == 2, "the copies are missing"))
	}, nil},
	{"move", func(t *testing.T, s *Store) error {
		return transferTest(t, s, (*Mailbox).Move)
	}, func(done bool, count func(string, int) int) error {
		n := count("Archive", 0) + count("Archive", 1)
		return errors.Join(kept(count, []int{0, 1}, "INBOX", "Archive"), kept(count, []int{2, 3}, "INBOX"), must(!done || n == 2, "not all moved"))
	}, nil},
	{"expunge", func(t *testing.T, s *Store) error {
		m, err := account(t, s).Open("INBOX")
		if err != nil {
			return err
		}
		defer m.Close()
		return m.Expunge([]UID{1, 3})
	}, func(done bool, count func(string, int) int) error {
		return errors.Join(kept(count, []int{1, 3}, "INBOX"), must(!done || count("INBOX", 0)+count("INBOX", 2) == 0, "an expunged letter is back"))
	}, nil},
	{"rename", func(t *testing.T, s *Store) error {
		return account(t, s).Rename("Archive", "Old/Things")
	}, func(done bool, count func(string, int) int) error {
		return errors.Join(kept(count, []int{10, 11}, "Archive", "Old/Things"), must(!done || count("Old/Things", 10) == 1, "not renamed"))
	}, nil},
	{"rename INBOX", func(t *testing.T, s *Store) error {
		return account(t, s).Rename("INBOX", "Old")
	}, func(done bool, count func(string, int) int) error {
		return errors.Join(kept(count, []int{0, 1, 2, 3}, "INBOX", "Old"), must(!done || count("Old", 0) == 1, "not renamed"))
	}, nil},
	{"delete", func(t *testing.T, s *Store) error {
		return account(t, s).Delete("Archive")
	}, func(done bool, count func(string, int) int) error {
		return errors.Join(kept(count, []int{0, 1, 2, 3}, "INBOX"), must(!done || count("Archive", 10) == 0, "not deleted"))
	}, nil},
	{"warn", func(t *testing.T, s *Store) error {
		s.warn = func(context.Context, string, Usage, Quota) error { return nil }
		s.SetQuotas(map[string]Quota{"ann": {Messages: 6}})
		if _, err := account(t, s).CountUsage(t.Context()); err != nil {
			return err
		}
		return care(s)
	}, func(done bool, count func(string, int) int) error {
		return errors.Join(kept(count, []int{0, 1, 2, 3}, "INBOX"), kept(count, []int{10, 11}, "Archive"))
	}, nil},
	{"rewrite the list", func(t *testing.T, s *Store) error {
		m, err := account(t, s).Open("INBOX")
		if err != nil {
			return err
		}
		defer m.Close()
		m.writeMu.Lock()
		defer m.writeMu.Unlock()
		lock, err := m.lockList(context.Background())
		if err != nil {
			return err
		}
		return errors.Join(m.compact(lock), lock.Unlock())
	}, func(done bool, count func(string, int) int) error {
		return kept(count, []int{0, 1, 2, 3}, "INBOX")
	}, nil},
}

var importIDs = map[int]string{20: "0123456789abcdef0123456789abcdef", 21: "fedcba9876543210fedcba9876543210"}

func importLetters(t *testing.T, s *Store, letters ...int) error {
	m, err := account(t, s).Open("INBOX")
	if err != nil {
		return err
	}
	defer m.Close()
	b := m.NewBatch()
	defer b.Close()
	for _, l := range letters {
		if err := b.Add(t.Context(), AppendMessage{In: incoming(t, s, text(l)), ID: importIDs[l]}); err != nil {
			return err
		}
	}
	_, err = b.Commit(t.Context())
	return err
}

func transferTest(t *testing.T, s *Store, op func(*Mailbox, []UID, *Mailbox) ([]CopyUID, error)) error {
	in, err := account(t, s).Open("INBOX")
	if err != nil {
		return err
	}
	defer in.Close()
	arch, err := account(t, s).Open("Archive")
	if err != nil {
		return err
	}
	defer arch.Close()
	_, err = op(in, []UID{1, 2}, arch)
	return err
}

// TestCrash ends every operation after each of its steps and opens what is on
// the disk then, with the caches as they are and without them.
func TestCrash(t *testing.T) {
	t.Parallel()
	base := fastDir(t)
	s := open(t, base)
	for n := range 4 {
		deliver(t, s, "", text(n))
	}
	deliver(t, s, "Archive", text(10))
	deliver(t, s, "Archive", text(11))
	m := mailbox(t, s, "INBOX")
	f, err := m.KeywordFlags([]string{"red"}, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.StoreFlags([]UID{1}, SetFlags, f|Flagged, 0); err != nil {
		t.Fatal(err)
	}
	before := look(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range crashCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for after := 0; ; after++ {
				if crashAfter(t, base, c, before, after) {
					if after < 2 {
						t.Errorf("only %d steps", after)
					}
					return
				}
			}
		})
	}
}

// crashAfter reports whether the operation needed no more than after steps.
func crashAfter(t *testing.T, base string, c crashCase, before map[string]view, after int) bool {
	dir := copyTree(t, base)
	crash := &crasher{after: -1}
	s, err := Open(dir, Options{step: func(name string) error { return crash.step(name) }})
	if err != nil {
		t.Fatal(err)
	}
	look(t, s) // indexes are loaded, and made anew for the copied tree
	crash.after, crash.steps = after, nil
	err = c.do(t, s)
	if err != nil && !errors.Is(err, errCrash) {
		t.Fatalf("after step %d %q: %v", after, crash.steps, err)
	}
	done := err == nil
	last := fmt.Sprintf("after %d steps, the last %q, done %v", after, slices.Concat([]string{"none"}, crash.steps)[len(crash.steps)], done)
	image := copyTree(t, dir)
	bare := copyTree(t, dir)
	crash.after = 0
	s.Close() // errors: the power is gone

	verify(t, image, c, before, done, last+", with caches")
	removeCaches(t, bare)
	verify(t, bare, c, before, done, last+", without caches")
	return done
}

func removeCaches(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(d.Name(), "letterbox.") {
			return os.Remove(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// verify opens a store after a crash and looks for everything that was promised.
func verify(t *testing.T, dir string, c crashCase, before map[string]view, done bool, when string) {
	t.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	defer s.Close()
	now := look(t, s)
	count := func(mailbox string, letter int) (n int) {
		for _, txt := range now[mailbox].texts {
			if txt == text(letter) {
				n++
			}
		}
		return n
	}
	if err := c.check(done, count); err != nil {
		t.Errorf("%s: %v", when, err)
	}
	for l, id := range c.ids {
		for uid, txt := range now["INBOX"].texts {
			if got := now["INBOX"].ids[uid]; txt == text(l) && got != id {
				t.Errorf("%s: letter %d has the identity %s, not %s", when, l, got, id)
			}
		}
	}
	for name, v := range now {
		was, ok := before[name]
		if !ok || was.st.UIDValidity != v.st.UIDValidity {
			continue
		}
		if v.st.UIDNext < was.st.UIDNext || v.st.HighestModSeq < was.st.HighestModSeq || v.st.MailboxID != was.st.MailboxID {
			t.Errorf("%s: %s went back from %+v to %+v", when, name, was.st, v.st)
		}
		for uid, txt := range v.texts {
			if old, ok := was.texts[uid]; ok && old != txt || !ok && uid < was.st.UIDNext {
				t.Errorf("%s: UID %d of %s shows another message", when, uid, name)
			} else if ok && was.ids[uid] != v.ids[uid] {
				t.Errorf("%s: UID %d of %s has the identity %s, not %s", when, uid, name, v.ids[uid], was.ids[uid])
			}
		}
	}
	deliver(t, s, "", text(99))
	m := mailbox(t, s, "INBOX")
	uids := m.UIDs(nil)
	if last := uids[len(uids)-1]; last < now["INBOX"].st.UIDNext || content(t, m, last) != text(99) {
		t.Errorf("%s: the next delivery has UID %d", when, last)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "spool", "in-*")); err != nil || len(left) > 0 {
		t.Errorf("%s: the spool holds %v, %v", when, left, err)
	}
}
