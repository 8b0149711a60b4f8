package store

import (
	"errors"
	"fmt"
	"os"
	"testing"
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
