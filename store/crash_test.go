package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"letterbox/store/atomicfile"
)

// view is what there is in a mailbox.
type view struct {
	st    Status
	texts map[UID]string
	flags map[UID]string
	ids   map[UID]string
}

// An aftermath is the mailboxes by name; those of others than ann by person:name.
type aftermath struct {
	boxes map[string]view
	cut   bool // the power was cut while a message was being moved: it may be in two places
	sick  bool // the disk has failed since the start: what the next start finishes may be half done
}

// count returns how often a letter is in a mailbox.
func (f aftermath) count(mailbox string, letter int) (n int) {
	for _, txt := range f.boxes[mailbox].texts {
		if txt == text(letter) {
			n++
		}
	}
	return n
}

// flags returns the flags of a letter, in order.
func (f aftermath) flags(mailbox string, letter int) string {
	for uid, txt := range f.boxes[mailbox].texts {
		if txt == text(letter) {
			return f.boxes[mailbox].flags[uid]
		}
	}
	return "no such letter"
}

// once checks that letters exist exactly once in one of the mailboxes.
func (f aftermath) once(letters []int, mailboxes ...string) error {
	for _, l := range letters {
		n := 0
		for _, name := range mailboxes {
			n += f.count(name, l)
		}
		if n != 1 && !(f.cut && n == 2 && len(mailboxes) == 2) {
			return fmt.Errorf("letter %d exists %d times in %v", l, n, mailboxes)
		}
	}
	return nil
}

// people are those who have an account.
func people(s *Store) (names []string, err error) {
	entries, err := os.ReadDir(s.dir)
	for _, e := range entries {
		if e.Name()[0] != '.' {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// visit opens every mailbox there is.
func visit(s *Store, do func(m *Mailbox) error) error {
	names, err := people(s)
	if err != nil {
		return err
	}
	for _, person := range names {
		a, err := s.Account(person)
		if err != nil {
			return err
		}
		list, err := a.List()
		if err != nil {
			return err
		}
		for _, info := range list {
			if !info.Selectable {
				continue
			}
			m, err := a.Open(info.Name)
			if err != nil {
				return err
			}
			if err := errors.Join(do(m), m.Close()); err != nil {
				return err
			}
		}
	}
	return nil
}

// nameFor is how an aftermath calls a mailbox.
func nameFor(m *Mailbox) string {
	if m.a.person == "ann" {
		return m.Name()
	}
	return m.a.person + ":" + m.Name()
}

// readWhole reads all of a mailbox, as a program would that has seen nothing before.
func readWhole(t testing.TB, m *Mailbox) view {
	t.Helper()
	st, shown, metas := viewOf(m)
	v := view{st, map[UID]string{}, map[UID]string{}, map[UID]string{}}
	for _, meta := range metas {
		v.texts[meta.UID], v.flags[meta.UID] = content(t, m, meta.UID), shown.msgs[meta.UID].flags
		id, err := m.EmailID(meta.UID)
		if err != nil {
			t.Fatal(err)
		}
		v.ids[meta.UID] = id
	}
	return v
}

// look reads everything.
func look(t testing.TB, s *Store) map[string]view {
	t.Helper()
	f := map[string]view{}
	err := visit(s, func(m *Mailbox) error {
		f[nameFor(m)] = readWhole(t, m)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
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

func copyTree(t testing.TB, from string) string {
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

// A crashCase is an operation on a household's store: ann has letters 0 to 3 in INBOX, 10 and 11 in Archive, 12 in Lists
// and 13 in Lists/go; ben has 30 in INBOX.
type crashCase struct {
	name string
	// before is what another program did to ann's Maildir while the store was closed; nil: nothing, and mail programs have
	// INBOX, Archive and Lists open.
	before func(maildir string) error
	do     func(s *Store) error
	// check says what must hold. done: the operation has answered that it is.
	check func(done bool, f aftermath) error
}

func must(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// with opens a mailbox of ann's for the time of do.
func with(s *Store, name string, do func(m *Mailbox) error) error {
	a, err := s.Account("ann")
	if err != nil {
		return err
	}
	m, err := a.Open(name)
	if err != nil {
		return err
	}
	defer m.Close()
	return do(m)
}

// withAccount calls do with ann's account.
func withAccount(s *Store, do func(a *Account) error) error {
	a, err := s.Account("ann")
	if err != nil {
		return err
	}
	return do(a)
}

func deliverText(s *Store, txt string, to ...Target) error {
	in := s.NewIncoming()
	defer in.Close()
	if _, err := io.WriteString(in, txt); err != nil {
		return err
	}
	return s.Deliver(context.Background(), in, to)
}

func appendLetters(s *Store, mailbox string, flags []string, letters ...int) error {
	return with(s, mailbox, func(m *Mailbox) error {
		var msgs []AppendMessage
		for _, l := range letters {
			in := s.NewIncoming()
			defer in.Close()
			if _, err := io.WriteString(in, text(l)); err != nil {
				return err
			}
			msgs = append(msgs, AppendMessage{In: in, Flags: flags, Date: time.Unix(1_000_000_000+int64(l), 0)})
		}
		_, err := m.Append(context.Background(), msgs)
		return err
	})
}

// importIDs are the identities that letters bring along.
var importIDs = map[int]string{20: "0123456789abcdef0123456789abcdef", 21: "fedcba9876543210fedcba9876543210"}

func importLetters(s *Store, letters ...int) error {
	return with(s, "INBOX", func(m *Mailbox) error {
		b := m.NewBatch()
		defer b.Close()
		for _, l := range letters {
			in := s.NewIncoming()
			defer in.Close()
			if _, err := io.WriteString(in, text(l)); err != nil {
				return err
			}
			if err := b.Add(context.Background(), AppendMessage{In: in, ID: importIDs[l]}); err != nil {
				return err
			}
		}
		_, err := b.Commit(context.Background())
		return err
	})
}

// identified checks that imported letters have the identities they brought along.
func (f aftermath) identified() error {
	for l, id := range importIDs {
		for uid, txt := range f.boxes["INBOX"].texts {
			if got := f.boxes["INBOX"].ids[uid]; txt == text(l) && got != id {
				return fmt.Errorf("letter %d has the identity %s, not %s", l, got, id)
			}
		}
	}
	return nil
}

func setFlags(s *Store, mailbox string, uids []UID, op FlagOp, names ...string) error {
	return with(s, mailbox, func(m *Mailbox) error {
		f, err := m.KeywordFlags(names, true)
		if err != nil {
			return err
		}
		_, _, err = m.StoreFlags(uids, op, f, 0)
		return err
	})
}

func transferTest(s *Store, from, to string, op func(*Mailbox, []UID, *Mailbox) ([]CopyUID, error)) error {
	return with(s, from, func(src *Mailbox) error {
		return with(s, to, func(dst *Mailbox) error {
			_, err := op(src, []UID{1, 2}, dst)
			return err
		})
	})
}

// manyKeywords are more than there are letters.
func manyKeywords() (names []string) {
	for i := range 30 {
		names = append(names, fmt.Sprintf("keyword-%02d", i))
	}
	return names
}

// undelete brings back all that ann has expunged.
func undelete(s *Store) error {
	return withAccount(s, func(a *Account) error {
		_, err := a.Undelete(context.Background(), Which{})
		return err
	})
}

// elsewhere checks that the letters which an operation has nothing to do with are where they were.
func elsewhere(f aftermath, boxes ...string) error {
	home := map[string][]int{"INBOX": {0, 1, 2, 3}, "Archive": {10, 11}, "Lists": {12}, "Lists/go": {13}, "ben:INBOX": {30}}
	var err error
	for box, letters := range home {
		if !slices.Contains(boxes, box) {
			err = errors.Join(err, f.once(letters, box))
		}
	}
	return err
}

var crashCases = []crashCase{
	{name: "deliver", do: func(s *Store) error {
		return deliverText(s, text(20), Target{Person: "ann", Flags: []string{"blue"}}, Target{Person: "ann", Mailbox: "Archive"}, Target{Person: "ben"})
	}, check: func(done bool, f aftermath) error {
		all := f.count("INBOX", 20) == 1 && f.count("Archive", 20) == 1 && f.count("ben:INBOX", 20) == 1 && f.flags("INBOX", 20) == "blue"
		return errors.Join(elsewhere(f), must(!done || all, "the delivered letter is missing"))
	}},
	{name: "deliver a long letter", do: func(s *Store) error {
		return deliverText(s, text(21)+strings.Repeat("Much to be said.\r\n", 10_000), Target{Person: "ann"}, Target{Person: "ann", Mailbox: "Trash"})
	}, check: func(done bool, f aftermath) error {
		n := map[string]int{}
		for _, box := range []string{"INBOX", "Trash"} {
			for _, txt := range f.boxes[box].texts {
				if strings.HasPrefix(txt, text(21)) {
					n[box]++
					if len(txt) != len(text(21))+180_000 {
						return fmt.Errorf("there is %d octets of the letter", len(txt))
					}
				}
			}
		}
		return errors.Join(elsewhere(f), must(!done || n["INBOX"] == 1 && n["Trash"] == 1, "the delivered letter is there %v", n))
	}},
	{name: "append", do: func(s *Store) error {
		return appendLetters(s, "INBOX", []string{"green", `\Draft`}, 20, 21)
	}, check: func(done bool, f aftermath) error {
		return errors.Join(elsewhere(f),
			must(f.count("INBOX", 20) == f.count("INBOX", 21), "one of two appended letters is there"),
			must(!done || f.flags("INBOX", 20) == `\Draft green` && f.count("INBOX", 21) == 1, "the appended letters are missing"))
	}},
	{name: "append to a new mailbox", do: func(s *Store) error {
		if err := withAccount(s, func(a *Account) error { return a.Create("New", "") }); err != nil {
			return err
		}
		return appendLetters(s, "New", nil, 20)
	}, check: func(done bool, f aftermath) error {
		return errors.Join(elsewhere(f), must(!done || f.count("New", 20) == 1, "the appended letter is missing"))
	}},
	{name: "import", do: func(s *Store) error {
		return importLetters(s, 20, 21)
	}, check: func(done bool, f aftermath) error {
		return errors.Join(elsewhere(f), f.identified(),
			must(f.count("INBOX", 20) == f.count("INBOX", 21), "one of two imported letters is there"),
			must(!done || f.count("INBOX", 20) == 1, "the imported letters are missing"))
	}},
	{name: "import one", do: func(s *Store) error {
		return importLetters(s, 20)
	}, check: func(done bool, f aftermath) error {
		return errors.Join(elsewhere(f), f.identified(), must(!done || f.count("INBOX", 20) == 1, "the imported letter is missing"))
	}},
	{name: "flags", do: func(s *Store) error {
		return setFlags(s, "INBOX", []UID{1, 2, 3}, SetFlags, `\Seen`, "red", "blue")
	}, check: func(done bool, f aftermath) error {
		return errors.Join(elsewhere(f), must(!done || f.flags("INBOX", 0) == `\Seen blue red` && f.flags("INBOX", 2) == `\Seen blue red`, "the flags are not set"))
	}},
	{name: "flags there and back", do: func(s *Store) error {
		for range 2 {
			if err := setFlags(s, "INBOX", []UID{2}, AddFlags, `\Seen`); err != nil {
				return err
			}
			if err := setFlags(s, "INBOX", []UID{2}, RemoveFlags, `\Seen`); err != nil {
				return err
			}
		}
		return nil
	}, check: func(done bool, f aftermath) error {
		return errors.Join(elsewhere(f), must(!done || f.flags("INBOX", 1) == "", "the flags are %q", f.flags("INBOX", 1)))
	}},
	{name: "keywords without letters", do: func(s *Store) error {
		return setFlags(s, "INBOX", []UID{1, 3}, AddFlags, manyKeywords()...)
	}, check: func(done bool, f aftermath) error {
		want := strings.Join(append([]string{`\Flagged`}, append(manyKeywords(), "red")...), " ")
		return errors.Join(elsewhere(f), must(!done || f.flags("INBOX", 0) == want, "the flags are %q", f.flags("INBOX", 0)))
	}},
	{name: "mod-sequence ceiling", do: func(s *Store) error {
		return with(s, "INBOX", func(m *Mailbox) error {
			m.mu.Lock()
			m.x.ModSeq = m.x.Ceiling - 1
			m.mu.Unlock()
			for _, op := range []FlagOp{AddFlags, RemoveFlags, AddFlags} {
				if err := setFlags(s, "INBOX", []UID{2}, op, `\Answered`); err != nil {
					return err
				}
			}
			return nil
		})
	}, check: func(done bool, f aftermath) error {
		return errors.Join(elsewhere(f), must(!done || f.flags("INBOX", 1) == `\Answered`, "the flags are %q", f.flags("INBOX", 1)))
	}},
	{name: "copy", do: func(s *Store) error {
		return transferTest(s, "INBOX", "Archive", (*Mailbox).Copy)
	}, check: func(done bool, f aftermath) error {
		n := f.count("Archive", 0) + f.count("Archive", 1)
		return errors.Join(elsewhere(f),
			must(n == 0 || n == 2, "%d of 2 copies are there", n),
			must(!done || n == 2 && f.flags("Archive", 0) == `\Flagged red`, "the copies are missing"))
	}},
	{name: "copy inside", do: func(s *Store) error {
		return transferTest(s, "INBOX", "INBOX", (*Mailbox).Copy)
	}, check: func(done bool, f aftermath) error {
		n := f.count("INBOX", 0) + f.count("INBOX", 1)
		return errors.Join(elsewhere(f, "INBOX"), f.once([]int{2, 3}, "INBOX"),
			must(n == 2 || n == 4, "%d of 2 copies are there", n-2), must(!done || n == 4, "the copies are missing"))
	}},
	{name: "move", do: func(s *Store) error {
		return transferTest(s, "INBOX", "Archive", (*Mailbox).Move)
	}, check: func(done bool, f aftermath) error {
		n := f.count("Archive", 0) + f.count("Archive", 1)
		return errors.Join(elsewhere(f, "INBOX"), f.once([]int{0, 1}, "INBOX", "Archive"), f.once([]int{2, 3}, "INBOX"), f.once([]int{10, 11}, "Archive"),
			must(!done || n == 2 && f.flags("Archive", 0) == `\Flagged red`, "not all moved"))
	}},
	{name: "move inside", do: func(s *Store) error {
		return transferTest(s, "INBOX", "INBOX", (*Mailbox).Move)
	}, check: func(done bool, f aftermath) error { return elsewhere(f) }},
	{name: "expunge", do: func(s *Store) error {
		return with(s, "INBOX", func(m *Mailbox) error { return m.Expunge([]UID{1, 3}) })
	}, check: func(done bool, f aftermath) error {
		return errors.Join(elsewhere(f, "INBOX"), f.once([]int{1, 3}, "INBOX"),
			must(!done || f.count("INBOX", 0)+f.count("INBOX", 2) == 0, "an expunged letter is back"))
	}},
	{name: "expunge and undelete", do: func(s *Store) error {
		err := with(s, "INBOX", func(m *Mailbox) error { return m.Expunge([]UID{1, 3}) })
		return errors.Join(err, undelete(s))
	}, check: func(done bool, f aftermath) error {
		return errors.Join(elsewhere(f, "INBOX"), f.once([]int{1, 3}, "INBOX"), must(!done || f.flags("INBOX", 0) == `\Flagged red` && f.count("INBOX", 2) == 1, "not brought back"),
			must(f.cut || f.count("INBOX", 0) <= 1 && f.count("INBOX", 2) <= 1, "a letter is there twice"))
	}},
	{name: "delete and undelete", do: func(s *Store) error {
		return errors.Join(withAccount(s, func(a *Account) error { return a.Delete("Archive") }), undelete(s))
	}, check: func(done bool, f aftermath) error {
		return errors.Join(elsewhere(f, "Archive"), must(f.count("Archive", 10) <= 1, "a letter is there twice"),
			must(!done || f.count("Archive", 10) == 1 && f.count("Archive", 11) == 1, "not brought back"))
	}},
	{name: "bring a deleted mailbox back", before: func(maildir string) error {
		s, err := Open(filepath.Join(maildir, "..", "..", ".."), Options{})
		if err != nil {
			return err
		}
		return errors.Join(withAccount(s, func(a *Account) error { return a.Delete("Archive") }), s.Close())
	}, do: undelete, check: func(done bool, f aftermath) error {
		return errors.Join(elsewhere(f, "Archive"), must(f.cut || f.count("Archive", 10) <= 1, "a letter is there twice"),
			must(!done || f.count("Archive", 10) == 1 && f.count("Archive", 11) == 1, "not brought back"))
	}},
	{name: "expunge and purge", do: func(s *Store) error {
		err := with(s, "INBOX", func(m *Mailbox) error { return m.Expunge([]UID{1, 3}) })
		return errors.Join(err, withAccount(s, func(a *Account) error {
			_, _, err := a.Purge(context.Background(), Which{})
			return err
		}))
	}, check: func(done bool, f aftermath) error {
		return errors.Join(elsewhere(f, "INBOX"), f.once([]int{1, 3}, "INBOX"), must(!done || f.count("INBOX", 0) == 0, "a purged letter is back"))
	}},
	{name: "append and expunge", do: func(s *Store) error {
		if err := appendLetters(s, "INBOX", nil, 20); err != nil {
			return err
		}
		return with(s, "INBOX", func(m *Mailbox) error {
			uids := m.UIDs(nil)
			return m.Expunge(uids[len(uids)-1:])
		})
	}, check: func(done bool, f aftermath) error {
		return errors.Join(elsewhere(f), must(!done || f.count("INBOX", 20) == 0, "an expunged letter is back"))
	}},
	{name: "rename", do: func(s *Store) error {
		return withAccount(s, func(a *Account) error { return a.Rename("Archive", "Old/Things") })
	}, check: func(done bool, f aftermath) error {
		return errors.Join(elsewhere(f, "Archive"), f.once([]int{10, 11}, "Archive", "Old/Things"), must(!done || f.count("Old/Things", 10) == 1, "not renamed"))
	}},
	{name: "rename with children", do: func(s *Store) error {
		return withAccount(s, func(a *Account) error { return a.Rename("Lists", "Groups") })
	}, check: func(done bool, f aftermath) error {
		n := f.count("Groups", 12) + f.count("Groups/go", 13)
		return errors.Join(elsewhere(f, "Lists", "Lists/go"), f.once([]int{12}, "Lists", "Groups"), f.once([]int{13}, "Lists/go", "Groups/go"),
			must(n == 0 || n == 2 || f.sick, "half of it has been renamed"), must(!done || n == 2, "not renamed"))
	}},
	{name: "rename INBOX", do: func(s *Store) error {
		return withAccount(s, func(a *Account) error { return a.Rename("INBOX", "Old") })
	}, check: func(done bool, f aftermath) error {
		return errors.Join(elsewhere(f, "INBOX"), f.once([]int{0, 1, 2, 3}, "INBOX", "Old"), must(!done || f.count("Old", 0) == 1, "not renamed"))
	}},
	{name: "create", do: func(s *Store) error {
		return withAccount(s, func(a *Account) error {
			return errors.Join(a.Create("Drawers/Top", ""), a.Create("Unwanted", `\Junk`))
		})
	}, check: func(done bool, f aftermath) error {
		_, top := f.boxes["Drawers/Top"]
		_, junk := f.boxes["Unwanted"]
		return errors.Join(elsewhere(f), must(!done || top && junk, "a mailbox is missing"))
	}},
	{name: "delete", do: func(s *Store) error {
		return withAccount(s, func(a *Account) error { return errors.Join(a.Delete("Archive"), a.Delete("Lists")) })
	}, check: func(done bool, f aftermath) error {
		_, archive := f.boxes["Archive"]
		_, lists := f.boxes["Lists"]
		return errors.Join(elsewhere(f, "Archive", "Lists"), must(!done || !archive && !lists, "not deleted"))
	}},
	{name: "delete and create", do: func(s *Store) error {
		err := withAccount(s, func(a *Account) error { return a.Delete("Archive") })
		if err == nil {
			err = withAccount(s, func(a *Account) error { return a.Create("Archive", "") })
		}
		if err == nil {
			err = appendLetters(s, "Archive", nil, 20)
		}
		return err
	}, check: func(done bool, f aftermath) error {
		return errors.Join(elsewhere(f, "Archive"), must(!done || f.count("Archive", 20) == 1 && f.count("Archive", 10) == 0, "the new mailbox has %v", f.boxes["Archive"].texts))
	}},
	{name: "subscribe", do: func(s *Store) error {
		return withAccount(s, func(a *Account) error {
			return errors.Join(a.Subscribe("Lists/go", true), a.Subscribe("Trash", false))
		})
	}, check: func(done bool, f aftermath) error { return elsewhere(f) }},
	{name: "warn", do: func(s *Store) error {
		s.warn = func(context.Context, string, Usage, Quota) error { return nil }
		s.SetQuotas(map[string]Quota{"ann": {Messages: 6}})
		defer s.SetQuotas(nil)
		return withAccount(s, func(a *Account) error {
			if _, err := a.CountUsage(context.Background()); err != nil {
				return err
			}
			return care(s)
		})
	}, check: func(done bool, f aftermath) error { return elsewhere(f) }},
	{name: "rewrite the list", do: func(s *Store) error {
		return with(s, "INBOX", func(m *Mailbox) error {
			m.writeMu.Lock()
			defer m.writeMu.Unlock()
			lock, err := m.lockList(context.Background())
			if err != nil {
				return err
			}
			return diskError(errors.Join(m.compact(lock), lock.Unlock()))
		})
	}, check: func(done bool, f aftermath) error { return elsewhere(f) }},
	{name: "mend the list", before: func(maildir string) error {
		path := filepath.Join(maildir, "dovecot-uidlist")
		list, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		lines := strings.SplitAfter(string(list), "\n")
		lines[2] = "2 damaged\n" + lines[2][:len(lines[2])/2] + "\n"
		return atomicfile.WriteFile(path, []byte(strings.Join(lines, "")), 0o600)
	}, do: func(s *Store) error {
		return appendLetters(s, "INBOX", nil, 20)
	}, check: func(done bool, f aftermath) error {
		return errors.Join(elsewhere(f), must(!done || f.count("INBOX", 20) == 1, "the appended letter is missing"))
	}},
	{name: "take in what others delivered", before: func(maildir string) error {
		return errors.Join(atomicfile.WriteFile(filepath.Join(maildir, "new", "1700000000.P1.other"), []byte(text(40)), 0o600),
			atomicfile.WriteFile(filepath.Join(maildir, "cur", "1700000001.P1.other:2,FS"), []byte(text(41)), 0o600))
	}, do: func(s *Store) error {
		return with(s, "INBOX", func(*Mailbox) error { return nil })
	}, check: func(done bool, f aftermath) error {
		return errors.Join(elsewhere(f), f.once([]int{40, 41}, "INBOX"), must(f.flags("INBOX", 41) == `\Flagged \Seen`, "the flags are %q", f.flags("INBOX", 41)))
	}},
	{name: "take in what others have listed", before: func(maildir string) error { // and not synced
		list, err := os.OpenFile(filepath.Join(maildir, "dovecot-uidlist"), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		_, err = list.WriteString("6 :1700000001.P1.other\n")
		return errors.Join(err, list.Close(), atomicfile.WriteFile(filepath.Join(maildir, "cur", "1700000001.P1.other:2,FS"), []byte(text(41)), 0o600))
	}, do: func(s *Store) error {
		return errors.Join(with(s, "INBOX", func(*Mailbox) error { return nil }), appendLetters(s, "INBOX", nil, 20))
	}, check: func(done bool, f aftermath) error {
		return errors.Join(elsewhere(f), f.once([]int{41}, "INBOX"), must(!done || f.count("INBOX", 20) == 1, "the appended letter is missing"))
	}},
	{name: "tell two files of one name apart", before: func(maildir string) error {
		return errors.Join(atomicfile.WriteFile(filepath.Join(maildir, "cur", "1700000000.P1.other:2,"), []byte(text(40)), 0o600),
			atomicfile.WriteFile(filepath.Join(maildir, "cur", "1700000000.P1.other:2,S"), []byte(text(41)), 0o600))
	}, do: func(s *Store) error {
		again := func(*Mailbox) error { return nil }
		return errors.Join(with(s, "INBOX", again), with(s, "INBOX", again))
	}, check: func(done bool, f aftermath) error {
		return errors.Join(elsewhere(f), must(f.count("INBOX", 40)+f.count("INBOX", 41) >= 1, "both letters are gone"))
	}},
	{name: "create an account", do: func(s *Store) error {
		if err := s.CreateAccount("cara"); err != nil {
			return err
		}
		return deliverText(s, text(20), Target{Person: "cara"})
	}, check: func(done bool, f aftermath) error {
		_, drafts := f.boxes["cara:Drafts"]
		_, there := f.boxes["cara:INBOX"]
		return errors.Join(elsewhere(f), must(there == drafts, "half of an account is there"),
			must(!done || drafts && f.count("cara:INBOX", 20) == 1, "the account is missing"))
	}},
	{name: "remove an account", do: func(s *Store) error {
		err := s.RemoveAccount("ben")
		if err == nil {
			err = s.CreateAccount("ben")
		}
		if err == nil {
			err = deliverText(s, text(31), Target{Person: "ben"})
		}
		return err
	}, check: func(done bool, f aftermath) error {
		return errors.Join(elsewhere(f, "ben:INBOX"), must(!done || f.count("ben:INBOX", 31) == 1 && f.count("ben:INBOX", 30) == 0, "the new account has %v", f.boxes["ben:INBOX"].texts))
	}},
}

// furnish makes the household of the crash cases in dir.
func furnish(t testing.TB, dir string) {
	t.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(s.CreateAccount("ann"), s.CreateAccount("ben"))
	for _, person := range []string{"ann", "ben"} { // fewer folders, more crashes a second
		a, aerr := s.Account(person)
		err = errors.Join(err, aerr)
		for _, name := range []string{"Drafts", "Sent", "Junk"} {
			err = errors.Join(err, a.Delete(name))
		}
	}
	err = errors.Join(err, withAccount(s, func(a *Account) error {
		return errors.Join(a.Create("Lists", ""), a.Create("Lists/go", ""))
	}))
	for n := range 4 {
		err = errors.Join(err, deliverText(s, text(n), Target{Person: "ann"}))
	}
	for letter, box := range map[int]string{12: "Lists", 13: "Lists/go"} {
		err = errors.Join(err, deliverText(s, text(letter), Target{Person: "ann", Mailbox: box}))
	}
	err = errors.Join(err, deliverText(s, text(10), Target{Person: "ann", Mailbox: "Archive"}), deliverText(s, text(11), Target{Person: "ann", Mailbox: "Archive"}),
		deliverText(s, text(30), Target{Person: "ben"}), setFlags(s, "INBOX", []UID{1}, SetFlags, "red", `\Flagged`), s.Close())
	if err != nil {
		t.Fatal(err)
	}
}

// A stage is a household that a case is played in.
type stage struct {
	dir     string
	s       *Store
	clients []*Mailbox // open in mail programs
	seen    *onlookers
	step    func(name string) error
	moment  func() int // now, for seen
}

// open opens the store. Whatever the mail programs are shown, seen knows.
func (g *stage) open() (err error) {
	g.s, err = Open(g.dir, Options{step: func(name string) error {
		g.glance()
		return g.step(name)
	}})
	return err
}

func (g *stage) glance() {
	for _, m := range g.clients {
		g.seen.glance(g.moment(), m)
	}
}

// lookAround shows everything to a mail program.
func (g *stage) lookAround() error {
	return visit(g.s, func(m *Mailbox) error {
		g.seen.glance(g.moment(), m)
		return nil
	})
}

// lookAtSome shows ann's mailboxes to a mail program, but not those that hardly any
// case has to do with: they recover as the others do.
func (g *stage) lookAtSome() error {
	return withAccount(g.s, func(a *Account) error {
		list, err := a.List()
		for _, info := range list {
			if info.Selectable && info.Name != "Trash" && !strings.HasPrefix(info.Name, "Lists") {
				err = errors.Join(err, with(g.s, info.Name, func(m *Mailbox) error {
					g.seen.glance(g.moment(), m)
					return nil
				}))
			}
		}
		return err
	})
}

// prepare plays up to the moment before the operation.
func (g *stage) prepare(c *crashCase) error {
	if err := g.open(); err != nil {
		return err
	}
	if err := errors.Join(g.lookAround(), g.s.Close()); err != nil {
		return err
	}
	if c.before != nil {
		if err := c.before(filepath.Join(g.dir, "mail", "ann", "Maildir")); err != nil {
			return err
		}
		return g.open()
	}
	if err := g.open(); err != nil {
		return err
	}
	return withAccount(g.s, func(a *Account) error {
		for _, name := range []string{"INBOX", "Archive", "Lists"} {
			m, err := a.Open(name)
			if err != nil {
				return err
			}
			g.clients = append(g.clients, m)
		}
		return nil
	})
}

// A frame is what was on a disk before a step, and after the one before.
type frame struct {
	dir    string
	before string   // the step
	at     int      // the last moment it was so
	bare   [32]byte // tells it apart from others without their caches
}

// A film takes a frame before every step, unless nothing has changed since the last one.
type film struct {
	t    testing.TB
	dir  string
	skip func(step string) bool

	mu     sync.Mutex // guards what follows
	frames []frame
	last   [32]byte
	moment int // counts the steps
}

// take takes a frame.
func (f *film) take(step string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.moment++
	if f.skip != nil && f.skip(step) {
		return
	}
	sum, bare := sumTree(f.t, f.dir)
	if n := len(f.frames); n > 0 && sum == f.last {
		f.frames[n-1].before, f.frames[n-1].at = step, f.moment
		return
	}
	f.last = sum
	f.frames = append(f.frames, frame{copyTree(f.t, f.dir), step, f.moment, bare})
}

// now is the moment before that of the next frame.
func (f *film) now() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.moment
}

// sumTree tells trees apart, by names and content of all files, and of all but caches. What is in an account that is being made is left
// out: it goes at the next start, whatever it is.
func sumTree(t testing.TB, dir string) (all, bare [32]byte) {
	t.Helper()
	h, without := sha256.New(), sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := io.Writer(h)
		if !isCache(d.Name()) {
			to = io.MultiWriter(h, without)
		}
		fmt.Fprintf(to, "%q\n", strings.TrimPrefix(path, dir))
		if d.IsDir() && !thorough && strings.HasPrefix(d.Name(), buildingPrefix) {
			return fs.SkipDir
		}
		if d.IsDir() {
			return nil
		}
		b, err := os.ReadFile(path)
		fmt.Fprintf(to, "%d\n", len(b))
		to.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return [32]byte(h.Sum(nil)), [32]byte(without.Sum(nil))
}

// TestCrash takes what is on the disk between every two steps of every operation, as if the program had been killed there, and opens
// it, with the caches as they are and without them; and what is on the disk between the steps of that recovery. What a power cut
// leaves is less: see TestInteropPowerCut.
func TestCrash(t *testing.T) {
	t.Parallel()
	base := fastDir(t)
	furnish(t, base)
	var images atomic.Int64
	var cut sync.Map
	t.Run("cases", func(t *testing.T) {
		for _, c := range crashCases {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				r := crashRun{t: t, c: &c, images: &images, cut: &cut}
				r.play(base)
			})
		}
	})
	t.Logf("%d images", images.Load())
}

// A crashRun is what TestCrash does with one case.
type crashRun struct {
	t      *testing.T
	c      *crashCase
	images *atomic.Int64
	cut    *sync.Map // the steps of recoveries that were cut off, in any case
}

func (r *crashRun) play(base string) {
	f := &film{t: r.t, dir: copyTree(r.t, base), skip: func(string) bool { return true }}
	g := &stage{dir: f.dir, seen: newOnlookers(), moment: f.now, step: func(name string) error { f.take(name); return nil }}
	if err := g.prepare(r.c); err != nil {
		r.t.Fatal(err)
	}
	f.skip = nil
	if err := r.c.do(g.s); err != nil {
		r.t.Fatal(err)
	}
	f.take("the end")
	done := len(f.frames) - 1
	f.skip = func(string) bool { return true }
	if err := g.s.Close(); err != nil {
		r.t.Error(err)
	}
	if done < 1 {
		r.t.Error("no step changes anything")
	}
	var last [32]byte
	for i, fr := range f.frames {
		when := fmt.Sprintf("at moment %d, before %q", fr.at, fr.before)
		steps := r.verify(copyTree(r.t, fr.dir), g.seen, fr.at, i == done, when+", with caches")
		if _, before := r.cut.LoadOrStore(kindOf(steps), true); !before {
			r.interrupt(copyTree(r.t, fr.dir), g.seen, fr.at, i == done, when)
		}
		if fr.bare != last || i == done {
			last = fr.bare
			removeCaches(r.t, fr.dir)
			r.verify(fr.dir, g.seen, fr.at, i == done, when+", without caches")
		}
	}
}

// kindOf tells recoveries apart: by their steps, in order, where it is thorough, else by which steps there are. Of many folders that are
// opened for the first time one is as good as the next.
func kindOf(steps string) string {
	if thorough {
		return steps
	}
	kinds := strings.Split(steps, "\n")
	slices.Sort(kinds)
	return strings.Join(slices.Compact(kinds), "\n")
}

// interrupt recovers from a crash, and crashes between the steps of that.
func (r *crashRun) interrupt(image string, seen *onlookers, at int, done bool, when string) {
	r.t.Helper()
	f := &film{t: r.t, dir: image, skip: func(step string) bool {
		return strings.HasPrefix(step, "lock") || strings.Contains(step, "sync")
	}}
	// What this recovery shows before it is cut off counts as well.
	g := &stage{dir: image, seen: seen.until(at), moment: f.now, step: func(name string) error { f.take(name); return nil }}
	err := g.open()
	if err == nil {
		err = errors.Join(g.lookAtSome(), g.s.Close())
	}
	if err != nil {
		r.t.Errorf("%s: %v", when, err)
		return
	}
	f.take("the end")
	for _, fr := range f.frames {
		r.verify(fr.dir, g.seen, fr.at, done, fmt.Sprintf("%s, and again in the recovery before %q", when, fr.before))
	}
}

func isCache(name string) bool { return strings.HasPrefix(name, "letterbox.") }

func removeCaches(t testing.TB, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && isCache(d.Name()) {
			return os.Remove(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// verify opens a store after a crash and looks for everything that was promised.
// It returns the steps that the recovery took.
func (r *crashRun) verify(dir string, seen *onlookers, at int, done bool, when string) (steps string) {
	r.t.Helper()
	r.images.Add(1)
	steps, errs := verify(r.t, dir, r.c, seen, at, done, false)
	for _, err := range errs {
		r.t.Errorf("%s: %v", when, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		r.t.Error(err)
	}
	return steps
}

// verify opens the store in dir and returns what is wrong with it after a crash at a moment. cut: that was a power cut.
// It returns the steps that the recovery took, too.
func verify(t testing.TB, dir string, c *crashCase, seen *onlookers, at int, done, cut bool) (steps string, errs []error) {
	t.Helper()
	recovered := false
	s, err := Open(dir, Options{step: func(name string) error {
		if !recovered {
			steps += name + "\n"
		}
		return nil
	}})
	if err != nil {
		return steps, []error{err}
	}
	defer s.Close()
	errs = verifyStore(t, s, c, seen, at, done, cut, false, func() { recovered = true })
	if left, err := filepath.Glob(filepath.Join(dir, "spool", "in-*")); err != nil || len(left) > 0 {
		errs = append(errs, fmt.Errorf("the spool holds %v, %v", left, err))
	}
	return steps, errs
}

// verifyStore is verify of an open store; it calls looked when every mailbox has been opened.
func verifyStore(t testing.TB, s *Store, c *crashCase, seen *onlookers, at int, done, cut, sick bool, looked func()) (errs []error) {
	t.Helper()
	contradictions := func(m *Mailbox) {
		if err := seen.contradictions(t, at, m); err != nil {
			errs = append(errs, fmt.Errorf("%s of %s: %w", m.Name(), m.a.person, err))
		}
	}
	found := aftermath{boxes: map[string]view{}, cut: cut && !done, sick: sick}
	err := visit(s, func(m *Mailbox) error {
		contradictions(m)
		found.boxes[nameFor(m)] = readWhole(t, m)
		return nil
	})
	looked()
	if err != nil {
		return append(errs, err)
	}
	if err := c.check(done, found); err != nil {
		errs = append(errs, err)
	}
	// And life goes on.
	for _, box := range []string{"INBOX", "Trash"} {
		if err := deliverText(s, text(99), Target{Person: "ann", Mailbox: box}); err != nil {
			return append(errs, fmt.Errorf("the next delivery: %w", err))
		}
		err := with(s, box, func(m *Mailbox) error {
			contradictions(m)
			for uid, txt := range readWhole(t, m).texts {
				if txt == text(99) && uid >= found.boxes[box].st.UIDNext {
					return nil
				}
			}
			return fmt.Errorf("the next delivery is not there, with a UID from %d on", found.boxes[box].st.UIDNext)
		})
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}
