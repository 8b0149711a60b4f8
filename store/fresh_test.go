package store

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestManyFresh: messages without a UID get theirs in the order of their age,
// however many there are, each one, and what is no message stops nobody.
func TestManyFresh(t *testing.T) {
	t.Parallel()
	const n = maxFresh + 300
	dir := fastDir(t)
	s := open(t, dir)
	cur := filepath.Join(dir, "mail", "ann", "Maildir", ".Archive", "cur")
	for i := range n {
		born := 1700000000 + (i*7919)%n // not in the order of the directory
		if err := os.WriteFile(filepath.Join(cur, fmt.Sprintf("%d.host,S=2,W=2:2,", born)), []byte("\r\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		if err := os.Mkdir(filepath.Join(cur, fmt.Sprint(1600000000+i)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	m := mailbox(t, s, "Archive")
	if got := len(m.UIDs(nil)); got != n {
		t.Fatalf("%d messages, not %d", got, n)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for i := range m.x.Records {
		base, err := m.x.Data().AppendSection(nil, m.x.Records[i].Offset(), m.x.Records[i].UID, 0)
		if want := fmt.Sprintf("%d.host,S=2,W=2", 1700000000+i); err != nil || string(base) != want || m.x.Records[i].UID != uint32(i+1) {
			t.Fatalf("UID %d is %s, not %s (%v)", m.x.Records[i].UID, base, want, err)
		}
	}
}

// TestManyOfNoMessage: a folder full of what is no message can be opened.
func TestManyOfNoMessage(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	s := open(t, dir)
	cur := filepath.Join(dir, "mail", "ann", "Maildir", ".Archive", "cur")
	for i := range maxFresh + 10 {
		if err := os.Mkdir(filepath.Join(cur, fmt.Sprint(1600000000+i)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(mailbox(t, s, "Archive").UIDs(nil)); got != 0 {
		t.Errorf("%d messages", got)
	}
}

func TestHashTable(t *testing.T) {
	t.Parallel()
	hashes := []uint64{5, 5 + 1<<20, 5 + 1<<40, 7, 1 << 63, 0}
	table := newHashTable(len(hashes), func(i int) uint64 { return hashes[i] })
	for i := range hashes {
		table.put(i)
	}
	for i, h := range hashes {
		if at, ok := table.find(h); !ok || at != i {
			t.Errorf("%d is at %d, %v", h, at, ok)
		}
	}
	for _, h := range []uint64{1, 6, 5 + 1<<30} {
		if at, ok := table.find(h); ok {
			t.Errorf("%d is at %d", h, at)
		}
	}
	if _, ok := (&hashTable{}).find(0); ok {
		t.Error("found in nothing")
	}
}
