package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"letterbox/store/atomicfile"
)

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
