package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"letterbox/store/maildir"
)

// fill makes a tree with letters as another server would, where Adopt wants it.
func fill(t *testing.T, a *Adoption, letters ...int) {
	t.Helper()
	_, begun := os.Lstat(a.Dir())
	tree, err := maildir.CreateRoot(a.Dir(), maildir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	if begun != nil {
		if err := a.Seed(tree, []string{"INBOX", "Lists/go.dev"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tree.Create("Lists/go.dev"); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	list := "3 V1234567 N100 G00112233445566778899aabbccddeeff\n"
	for _, n := range letters {
		name := fmt.Sprintf("17000000%02d.M1P1.host", n)
		list += fmt.Sprintf("%d :%s\n", 10+n, name)
		if err := os.WriteFile(filepath.Join(a.Dir(), "cur", name+":2,S"), []byte(text(n)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(a.Dir(), "dovecot-uidlist"), []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
}

func inboxOf(t *testing.T, s *Store, person string) string {
	t.Helper()
	a, err := s.Account(person)
	if err != nil {
		t.Fatal(err)
	}
	m, err := a.Open("INBOX")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	st := m.Status()
	return fmt.Sprint(st.UIDValidity, " ", st.MailboxID[:4], " ", m.UIDs(nil), " ", st.UIDNext)
}

func TestAdopt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	a, err := s.Adopt("ben")
	if err != nil {
		t.Fatal(err)
	}
	fill(t, a, 1, 2)
	if err := a.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := inboxOf(t, s, "ben"); got != "1234567 0011 [11 12] 100" {
		t.Errorf("INBOX is %s", got)
	}
	if !s.IsAdopted("ben") || s.IsAdopted("ann") {
		t.Error("who was adopted is not known")
	}

	// More came there, and one went: opened here is not used.
	if a, err = s.Adopt("ben"); err != nil {
		t.Fatal(err)
	}
	fill(t, a, 1, 2, 3)
	if err := os.Remove(filepath.Join(a.Dir(), "cur", "1700000001.M1P1.host:2,S")); err != nil {
		t.Fatal(err)
	}
	if err := a.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := inboxOf(t, s, "ben"); got != "1234567 0011 [12 13] 100" {
		t.Errorf("after the second time INBOX is %s", got)
	}
	deliverOne(t, s, "ben")
	if _, err := s.Adopt("ben"); !errors.Is(err, ErrHasMail) || !strings.Contains(err.Error(), "was used") {
		t.Errorf("after a delivery: %v", err)
	}
	if _, err := s.Adopt("ann"); !errors.Is(err, ErrHasMail) {
		t.Errorf("over mail that was made here: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "mail", ".adopt-*")); err != nil || len(left) > 0 {
		t.Errorf("left are %q, %v", left, err)
	}
}

// TestAdoptFurnishes: who comes from elsewhere has what everybody has, and nothing twice.
func TestAdoptFurnishes(t *testing.T) {
	t.Parallel()
	usual := func(standard string) []string {
		return map[string][]string{"Sent": {"sent", "gesendete objekte"}, "Trash": {"trash", "papierkorb"}, "Drafts": {"drafts"}, "Archive": {"archive"}}[standard]
	}
	dir := t.TempDir()
	s := open(t, dir)
	furnished := func() string {
		t.Helper()
		a, err := s.Adopt("ben")
		if err != nil {
			t.Fatal(err)
		}
		fill(t, a, 1)
		for name, file := range map[string]string{"Papierkorb": "", "Gesendete Objekte": "", "drafts": "letterbox-folder 1\nnews of-later\n", "Junk": "", "Work/Archive": "", "sent": "letterbox-folder 1\nspecial-use \\Archive\n"} {
			at := filepath.Join(a.Dir(), "."+strings.ReplaceAll(name, "/", "."))
			if err := os.MkdirAll(filepath.Join(at, "cur"), 0o700); err != nil {
				t.Fatal(err)
			}
			if file == "" {
				continue
			}
			if err := os.WriteFile(filepath.Join(at, "letterbox-folder"), []byte(file), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // the second time after a crash
			if err := a.Furnish(usual); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
		account, err := s.Account("ben")
		if err != nil {
			t.Fatal(err)
		}
		list, err := account.List()
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, info := range list {
			if !info.Selectable {
				continue
			}
			told = append(told, strings.TrimSpace(info.Name+" "+info.SpecialUse))
			if _, err := account.Status(info.Name); err != nil { // somebody looks
				t.Fatal(err)
			}
		}
		return strings.Join(told, ", ")
	}
	const want = `INBOX, Gesendete Objekte \Sent, Junk \Junk, Lists/go.dev, Papierkorb \Trash, Work/Archive, drafts \Drafts, sent \Archive`
	for range 2 {
		if got := furnished(); got != want {
			t.Errorf("there are %s, want %s", got, want)
		}
	}
	if kept, err := os.ReadFile(filepath.Join(dir, "mail/ben/Maildir/.drafts/letterbox-folder")); err != nil || !strings.Contains(string(kept), "news of-later\n") {
		t.Errorf("what stood in drafts is lost: %q, %v", kept, err)
	}

	// Who had none of them has all, subscribed, and with numbers of their own.
	a, err := s.Adopt("cleo")
	if err != nil {
		t.Fatal(err)
	}
	fill(t, a, 1)
	if err := errors.Join(a.Furnish(usual), a.Finish(t.Context())); err != nil {
		t.Fatal(err)
	}
	account, err := s.Account("cleo")
	if err != nil {
		t.Fatal(err)
	}
	list, err := account.List()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, info := range list {
		if info.SpecialUse == `\`+info.Name && info.Subscribed {
			n++
		}
	}
	if n != len(standardFolders) {
		t.Errorf("the new folders are %+v", list)
	}
}

func deliverOne(t *testing.T, s *Store, person string) {
	t.Helper()
	if err := s.Deliver(t.Context(), incoming(t, s, text(9)), []Target{{Person: person}}); err != nil {
		t.Fatal(err)
	}
}

// TestAdoptOver: what was there lies aside, and is not lost.
func TestAdoptOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	deliver(t, s, "", text(7))
	inboxOf(t, s, "ann")
	a, err := s.AdoptOver("ann")
	if err != nil {
		t.Fatal(err)
	}
	fill(t, a, 1)
	if err := a.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := inboxOf(t, s, "ann"); got != "1234567 0011 [11] 100" {
		t.Errorf("INBOX is %s", got)
	}
	kept, err := filepath.Glob(filepath.Join(dir, "mail", ".removed", "ann-*", "Maildir", "cur", "*"))
	if err != nil || len(kept) != 1 {
		t.Errorf("of the letter that was there is left: %q, %v", kept, err)
	}
}

// TestAdoptAfterACrash stops at each step: afterwards the person has the old mail or
// the new, whole, and the same thing done again ends well.
func TestAdoptAfterACrash(t *testing.T) {
	t.Parallel()
	crash := errors.New("crash")
	for _, over := range []bool{false, true} {
		for _, at := range []string{stepAdopt, stepReplace} {
			t.Run(fmt.Sprint(at, " ", over), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				s := open(t, dir)
				deliver(t, s, "", text(7))
				old := inboxOf(t, s, "ann")
				begin := func(s *Store) *Adoption {
					a, err := s.AdoptOver("ann")
					if err != nil {
						t.Fatal(err)
					}
					fill(t, a, 1)
					return a
				}
				if !over {
					if err := begin(s).Finish(t.Context()); err != nil {
						t.Fatal(err)
					}
					old = inboxOf(t, s, "ann")
					begin = func(s *Store) *Adoption {
						a, err := s.Adopt("ann")
						if err != nil {
							t.Fatal(err)
						}
						fill(t, a, 1, 2)
						return a
					}
				}
				s.step = func(step string) error {
					if step == at {
						return crash
					}
					return nil
				}
				if err := begin(s).Finish(t.Context()); !errors.Is(err, crash) {
					t.Fatal(err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = open(t, dir)
				want := "1234567 0011 [11] 100"
				if !over {
					want = "1234567 0011 [11 12] 100"
				}
				if got := inboxOf(t, s, "ann"); got != want && got != old {
					t.Errorf("INBOX is %s, neither %s nor %s", got, want, old)
				}
				if err := begin(s).Finish(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := inboxOf(t, s, "ann"); got != want {
					t.Errorf("the second time INBOX is %s", got)
				}
				kept, err := filepath.Glob(filepath.Join(dir, "mail", ".removed", "ann-*", "Maildir", "cur", "*,S=*"))
				if err != nil || over && len(kept) == 0 {
					t.Errorf("of the letter that was there is left: %q, %v", kept, err)
				}
			})
		}
	}
}
