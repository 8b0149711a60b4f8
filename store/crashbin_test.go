package store

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"testing"
)

var errCrash = errors.New("the power is gone")

// A crasher lets the disk change up to a step and not after it.
type crasher struct {
	mu    sync.Mutex // guards what follows
	after int        // steps that still happen; negative: all
	steps []string
}

func (c *crasher) step(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.after >= 0 && len(c.steps) >= c.after {
		return errCrash
	}
	c.steps = append(c.steps, name)
	return nil
}

// binCrash is an operation on a store with a bin: letters 0 to 3 are in INBOX, 10
// and 11 in Archive, 20 was expunged from INBOX, 21 and 22 were in Gone, which was
// deleted.
type binCrash struct {
	name string
	do   func(t *testing.T, s *Store) error
	gone []int // letters that it removes for good, if it is done
	bin  []int // those that are in the bin if it is done
}

var inTheBin = []int{20, 21, 22}

var binCrashes = []binCrash{
	{"expunge", func(t *testing.T, s *Store) error {
		m, err := account(t, s).Open("INBOX")
		if err != nil {
			return err
		}
		uids := m.UIDs(nil)
		return errors.Join(m.Expunge([]UID{uids[0], uids[2]}), m.Close())
	}, nil, append([]int{0, 2}, inTheBin...)},
	{"delete", func(t *testing.T, s *Store) error {
		return account(t, s).Delete("Archive")
	}, nil, append([]int{10, 11}, inTheBin...)},
	{"delete while open", func(t *testing.T, s *Store) error {
		m, err := account(t, s).Open("Archive")
		if err != nil {
			return err
		}
		return errors.Join(account(t, s).Delete("Archive"), m.Close())
	}, nil, append([]int{10, 11}, inTheBin...)},
	{"undelete", func(t *testing.T, s *Store) error {
		_, err := account(t, s).Undelete(t.Context(), Which{})
		return err
	}, nil, nil},
	{"undelete one", func(t *testing.T, s *Store) error {
		for e := range account(t, s).Expunged(t.Context(), Which{Mailbox: "Gone"}, "") {
			_, err := account(t, s).Undelete(t.Context(), Which{IDs: []string{e.ID}})
			return err
		}
		return errors.New("nothing was expunged")
	}, nil, []int{20, 22}},
	{"purge", func(t *testing.T, s *Store) error {
		_, _, err := account(t, s).Purge(t.Context(), Which{})
		return err
	}, inTheBin, nil},
	{"purge a folder", func(t *testing.T, s *Store) error {
		_, _, err := account(t, s).Purge(t.Context(), Which{Mailbox: "INBOX"})
		return err
	}, []int{20}, []int{21, 22}},
	{"shed", func(t *testing.T, s *Store) error {
		_, err := s.shedExpunged(math.MaxInt64)
		return err
	}, inTheBin, nil},
}

// TestCrashBin ends each of them after every step, and opens what is on the disk
// then, with the caches and without: each letter is there once, in a mailbox or in
// the bin, and is the same when it comes back.
func TestCrashBin(t *testing.T) {
	t.Parallel()
	base := fastDir(t)
	ids := fillForCrash(t, base)
	for _, c := range binCrashes {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for after := 0; ; after++ {
				dir := copyTree(t, base)
				crash := &crasher{after: -1}
				s, err := Open(dir, Options{step: func(name string) error { return crash.step(name) }})
				if err != nil {
					t.Fatal(err)
				}
				look(t, s)
				crash.after, crash.steps = after, nil
				err = c.do(t, s)
				if err != nil && !errors.Is(err, errCrash) {
					t.Fatalf("after %d steps %q: %v", after, crash.steps, err)
				}
				when := fmt.Sprintf("after %d steps, the last %q, done %v", after, slices.Concat([]string{"none"}, crash.steps)[len(crash.steps)], err == nil)
				image, bare := copyTree(t, dir), copyTree(t, dir)
				crash.after = 0
				s.Close() // errors: the power is gone
				verifyBin(t, image, c, ids, err == nil, when+", with caches")
				removeCaches(t, bare)
				verifyBin(t, bare, c, ids, err == nil, when+", without caches")
				if err == nil {
					return
				}
			}
		})
	}
}

// fillForCrash makes the letters, and returns their EMAILIDs.
func fillForCrash(t *testing.T, dir string) map[int]string {
	t.Helper()
	s := open(t, dir)
	a := account(t, s)
	if err := a.Create("Gone", ""); err != nil {
		t.Fatal(err)
	}
	homes := map[int]string{0: "INBOX", 1: "INBOX", 2: "INBOX", 3: "INBOX", 10: "Archive", 11: "Archive", 20: "INBOX", 21: "Gone", 22: "Gone"}
	for _, l := range slices.Sorted(maps.Keys(homes)) {
		name := homes[l]
		deliver(t, s, "Sent", text(l)) // and on, so that its identity is not its name
		from, to := mailbox(t, s, "Sent"), mailbox(t, s, name)
		if _, err := from.Move(from.UIDs(nil), to); err != nil {
			t.Fatal(err)
		}
		if l == 0 || l == 20 || l == 21 {
			uids := to.UIDs(nil)
			f, err := to.KeywordFlags([]string{"red", `\Seen`}, true)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := to.StoreFlags(uids[len(uids)-1:], SetFlags, f, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	ids := map[int]string{}
	in := mailbox(t, s, "INBOX")
	for name := range look(t, s) {
		m := mailbox(t, s, name)
		for _, uid := range m.UIDs(nil) {
			ids[letterNumberOf(t, content(t, m, uid))] = emailID(t, m, uid)
		}
	}
	// INBOX in the order of its letters, and 20 out of it.
	for l := range 4 {
		moveLetter(t, in, l)
	}
	for _, uid := range in.UIDs(nil) {
		if letterNumberOf(t, content(t, in, uid)) == 20 {
			if err := in.Expunge([]UID{uid}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(a.Delete("Gone"), s.Close()); err != nil {
		t.Fatal(err)
	}
	if len(ids) != 9 {
		t.Fatal(ids)
	}
	return ids
}

// moveLetter gives a letter the next UID.
func moveLetter(t *testing.T, m *Mailbox, l int) {
	t.Helper()
	for _, uid := range m.UIDs(nil) {
		if content(t, m, uid) == text(l) {
			if _, err := m.Move([]UID{uid}, m); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("there is no letter %d", l)
}

func letterNumberOf(t *testing.T, txt string) int {
	t.Helper()
	for l := range 100 {
		if txt == text(l) {
			return l
		}
	}
	t.Fatalf("this is no letter: %q", txt)
	return 0
}

// letters counts letters in mailboxes, and in the bin.
func letters(t *testing.T, s *Store) (there, binned map[int]int) {
	t.Helper()
	there, binned = map[int]int{}, map[int]int{}
	for _, v := range look(t, s) {
		for _, txt := range v.texts {
			there[letterNumberOf(t, txt)]++
		}
	}
	for e, err := range account(t, s).Expunged(t.Context(), Which{}, "") {
		if err != nil {
			t.Fatal(err)
		}
		var l int
		if _, err := fmt.Sscanf(e.Subject, "letter %d", &l); err != nil {
			t.Fatal(err)
		}
		binned[l]++
	}
	return there, binned
}

func verifyBin(t *testing.T, dir string, c binCrash, ids map[int]string, done bool, when string) {
	t.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	defer s.Close()
	there, binned := letters(t, s)
	for l := range ids {
		n, gone := there[l]+binned[l], slices.Contains(c.gone, l)
		if n > 1 || n == 0 && !gone || done && gone && n > 0 || done && (binned[l] == 1) != slices.Contains(c.bin, l) {
			t.Errorf("%s: letter %d is there %d times, in the bin %d times", when, l, there[l], binned[l])
		}
	}
	deliver(t, s, "", text(99)) // nothing is in the way
	if n, err := account(t, s).Undelete(t.Context(), Which{}); n != len(binned) || err != nil {
		t.Errorf("%s: %d letters came back of %d, %v", when, n, len(binned), err)
	}
	for name := range look(t, s) {
		m := mailbox(t, s, name)
		for _, meta := range m.Lookup(nil, m.UIDs(nil)) {
			l := letterNumberOf(t, content(t, m, meta.UID))
			if got := emailID(t, m, meta.UID); l != 99 && got != ids[l] {
				t.Errorf("%s: letter %d has the identity %s, not %s", when, l, got, ids[l])
			}
			if got, want := len(namesOf(meta.Flags, m.Keywords())), map[int]int{0: 2, 20: 2, 21: 2}[l]; got != want {
				t.Errorf("%s: letter %d has %d flags", when, l, got)
			}
			there[l] += 100
		}
	}
	for l := range ids {
		if there[l] > 101 || there[l]+binned[l] != 101 && there[l]+binned[l] != 0 {
			t.Errorf("%s: letter %d came back as %d", when, l, there[l])
		}
	}
}
