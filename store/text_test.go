package store

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"letterbox/store/index"
	"letterbox/store/message"
	"letterbox/store/message/corpus"
)

// searches are pieces of a message's text, some of them not quite, looked for
// everywhere.
func searches(t testing.TB, rnd *rand.Rand, msg *Message) (list []*message.Search) {
	t.Helper()
	s, err := msg.Structure()
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if _, err := message.WriteSearchText(&text, msg, s); err != nil {
		t.Fatal(err)
	}
	pieces := []string{"", "e", "no such text"}
	for range 12 {
		at := rnd.IntN(text.Len() + 1)
		b := bytes.Clone(text.Bytes()[at:min(text.Len(), at+rnd.IntN(24))])
		if len(b) > 0 && rnd.IntN(2) == 0 {
			b[rnd.IntN(len(b))] = "aei S\xc3"[rnd.IntN(6)]
		}
		pieces = append(pieces, string(b), strings.ToUpper(string(b)))
	}
	for _, p := range pieces {
		list = append(list, message.TextSearch(p), message.BodySearch(p), message.FieldSearch("subject", p), message.FieldSearch("x-nothing", p))
	}
	return list
}

// compareSearches holds what the caches say of every message against what is
// in it, and returns of how many they knew nothing.
func compareSearches(t testing.TB, m *Mailbox, seed uint64) (unknown int) {
	t.Helper()
	for _, uid := range m.UIDs(nil) {
		rnd := rand.New(rand.NewPCG(seed, uint64(uid)))
		msg, err := m.Message(uid)
		if err != nil {
			t.Fatal(err)
		}
		s, err := msg.Structure()
		if err != nil {
			t.Fatal(err)
		}
		all := true
		for i, q := range searches(t, rnd, msg) {
			want, err := q.InMessage(msg, s)
			if err != nil {
				t.Fatal(err)
			}
			found, known := m.Search(uid, q)
			if known && found != want {
				t.Errorf("search %d for %q in message %d: %v", i, q.Parts(), uid, found)
			}
			all = all && known
		}
		if !all {
			unknown++
		}
		msg.Close()
	}
	return unknown
}

// TestSearch: the caches say of every message what is in it, and so they do
// when it was copied, moved, or read later than it came.
func TestSearch(t *testing.T) {
	t.Parallel()
	list, err := corpus.Read("message/testdata/corpus")
	if err != nil {
		t.Fatal(err)
	}
	dir := fastDir(t)
	s := open(t, dir)
	m := mailbox(t, s, "INBOX")
	for i, c := range list {
		in := incoming(t, s, string(c.Data))
		if i%2 == 0 {
			err = s.Deliver(context.Background(), in, []Target{{Person: "ann", Header: []byte("X-Header: in front of it\r\n")}})
		} else {
			_, err = m.Append(context.Background(), []AppendMessage{{In: in}})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	uids := m.UIDs(nil)
	if found, known := m.Search(1, message.FieldSearch("X-HEADER", "front")); !found || !known {
		t.Errorf("the header in front: %v, %v", found, known)
	}
	if n := compareSearches(t, m, 1); n > 0 {
		t.Errorf("nothing is known of %d messages that came", n)
	}
	to := mailbox(t, s, "Archive")
	if _, err := m.Copy(uids, to); err != nil {
		t.Fatal(err)
	}
	if n := compareSearches(t, to, 2); n > 0 {
		t.Errorf("nothing is known of %d messages that were copied", n)
	}
	if _, err := to.Move(to.UIDs(nil), m); err != nil {
		t.Fatal(err)
	}
	if n := compareSearches(t, m, 3); n > 0 {
		t.Errorf("nothing is known of %d messages that were moved", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if n := compareSearches(t, mailbox(t, s, "INBOX"), 4); n > 0 {
		t.Errorf("nothing is known of %d messages after a restart", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for i, c := range list { // as another program puts them, LF and all
		file := filepath.Join(dir, "mail", "ann", "Maildir", "cur", fmt.Sprintf("%d.M%dP1.host:2,S", 1700000000+i, i))
		if err := os.WriteFile(file, c.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	removeCaches(t, dir)
	s = open(t, dir)
	if err := care(s); err != nil {
		t.Fatal(err)
	}
	m = mailbox(t, s, "INBOX")
	if err := care(s); err != nil {
		t.Fatal(err)
	}
	if n := compareSearches(t, m, 5); n > 0 || len(m.UIDs(nil)) != 3*len(list) {
		t.Errorf("nothing is known of %d of %d messages that were read later", n, len(m.UIDs(nil)))
	}
}

// TestSearchDamaged: a text file that is lost or damaged gives no wrong answer, and
// what it lacks is made again, reading each message once.
func TestSearchDamaged(t *testing.T) {
	t.Parallel()
	list, err := corpus.Read("message/testdata/corpus")
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(11, 12))
	for name, damage := range map[string]func(b []byte) []byte{
		"lost":     func([]byte) []byte { return nil },
		"cut":      func(b []byte) []byte { return b[:len(b)/2] },
		"no magic": func(b []byte) []byte { b[0] ^= 1; return b },
		"another":  func(b []byte) []byte { b[9] ^= 1; return b },
		"zeros":    func(b []byte) []byte { clear(b[len(b)/3 : len(b)/2]); return b },
		"here and there": func(b []byte) []byte {
			for range 30 {
				b[16+rnd.IntN(len(b)-16)] ^= 1 << rnd.IntN(8)
			}
			return b
		},
		"shifted": func(b []byte) []byte { return slices.Insert(b, 16, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := fastDir(t)
			s := open(t, dir)
			for _, c := range list[:25] {
				deliver(t, s, "", string(c.Data))
			}
			file := filepath.Join(dir, "mail", "ann", "Maildir", index.TextName)
			whole, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			broken := damage(bytes.Clone(whole))
			write := func() {
				t.Helper()
				err := os.WriteFile(file, broken, 0o600)
				if broken == nil {
					err = os.Remove(file)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			m := mailbox(t, s, "INBOX")
			write() // while it is open
			compareSearches(t, m, 6)
			if err := care(s); err != nil {
				t.Fatal(err)
			}
			if n := compareSearches(t, m, 7); n > 0 {
				t.Errorf("open: nothing is known of %d messages in the end", n)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			write() // between openings
			s = open(t, dir)
			m = mailbox(t, s, "INBOX")
			if n := compareSearches(t, m, 8); n == 0 {
				t.Error("all is known without the file")
			}
			if err := care(s); err != nil {
				t.Fatal(err)
			}
			if n := compareSearches(t, m, 9); n > 0 {
				t.Errorf("nothing is known of %d messages in the end", n)
			}
		})
	}
}

// TestSearchLong: of a text that is too long to be kept the caches say what they
// have found, and never that something is not there.
func TestSearchLong(t *testing.T) {
	t.Parallel()
	s := open(t, fastDir(t))
	var b strings.Builder
	b.WriteString("Subject: long\r\n\r\nThe beginning.\r\n")
	for i := range 100_000 {
		fmt.Fprintf(&b, "This is line %d of many.\r\n", i)
	}
	b.WriteString("The end.\r\n")
	deliver(t, s, "", b.String())
	m := mailbox(t, s, "INBOX")
	for text, want := range map[string][2]bool{ // found, known
		"the beginning":    {true, true},
		"line 7 of":        {true, true},
		"the end":          {false, false},
		"nowhere":          {false, false},
		"LINE 99000 OF MA": {false, false},
	} {
		for _, q := range []*message.Search{message.TextSearch(text), message.BodySearch(text)} {
			if found, known := m.Search(1, q); [2]bool{found, known} != want {
				t.Errorf("%q: %v, %v", text, found, known)
			}
		}
	}
	if n := compareSearches(t, m, 10); n != 1 {
		t.Error("all is known")
	}
	if err := care(s); err != nil { // it is not taken for one whose text is lost
		t.Fatal(err)
	}
	if found, known := m.Search(1, message.FieldSearch("Subject", "long")); !found || !known {
		t.Errorf("the subject: %v, %v", found, known)
	}
}

// TestSearchGone: what the caches have of messages and mailboxes that are gone is
// no answer.
func TestSearchGone(t *testing.T) {
	t.Parallel()
	s := open(t, fastDir(t))
	deliver(t, s, "", text(1))
	m := mailbox(t, s, "INBOX")
	q := message.TextSearch("letter")
	if _, known := m.Search(2, q); known {
		t.Error("a message that never was")
	}
	if err := m.Expunge([]UID{1}); err != nil {
		t.Fatal(err)
	}
	if _, known := m.Search(1, q); known {
		t.Error("a message that is gone")
	}
	deliver(t, s, "", text(2))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, known := m.Search(2, q); known {
		t.Error("a mailbox that is closed")
	}
}

// TestArrivingReads: a message that is being received is read from anywhere.
func TestArrivingReads(t *testing.T) {
	t.Parallel()
	s := open(t, fastDir(t))
	rnd := rand.New(rand.NewPCG(13, 14))
	for _, size := range []int{0, 1, 1000, memoryLimit, memoryLimit + 1, 3*memoryLimit + 77} {
		body := make([]byte, size)
		for i := range body {
			body[i] = byte('a' + rnd.IntN(26))
		}
		a := arriving{[]byte("X-Header: in front\r\n"), incoming(t, s, string(body))}
		whole := bytes.NewReader(append(bytes.Clone(a.header), body...))
		for range 100 {
			off, n := int64(rnd.IntN(size+40)), rnd.IntN(size+40)
			got, want := make([]byte, n), make([]byte, n)
			gn, gerr := a.ReadAt(got, off)
			wn, werr := whole.ReadAt(want, off)
			if n == 0 {
				werr = nil // either is allowed
			}
			if gn != wn || gerr != werr || !bytes.Equal(got, want) {
				t.Fatalf("%d octets at %d of %d: %d, %v, not %d, %v", n, off, size, gn, gerr, wn, werr)
			}
		}
	}
}
