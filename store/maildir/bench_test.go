package maildir

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A folder of 100,000 messages.
func BenchmarkLargeFolder(b *testing.B) {
	const messages = 100_000
	r := openTree(b, Options{})
	f := openFolder(b, r, "INBOX")
	namer := r.NewNamer(time.Unix(1700000000, 0))
	recs := make([]UIDRecord, messages)
	for i := range recs {
		recs[i] = UIDRecord{UID: uint32(i + 1), Base: namer.Next(Sizes{12345, 12345}), Physical: -1, Virtual: -1, SaveDate: 1700000000}
		must(b, os.WriteFile(filepath.Join(f.Path(), "cur", recs[i].Base+":2,S"), nil, 0o600))
	}
	lock, err := f.LockUIDList(b.Context())
	must(b, err)
	defer lock.Unlock()
	rewrite := func() {
		must(b, lock.Rewrite(UIDHeader{UIDValidity: 1, UIDNext: messages + 1, GUID: NewGUID()}, records(recs...)))
	}
	b.Run("rewrite list", func(b *testing.B) {
		for b.Loop() {
			rewrite()
		}
	})
	b.Run("read list", func(b *testing.B) {
		for b.Loop() {
			if _, recs := readList(b, f, Mark{}); len(recs) != messages {
				b.Fatal(len(recs))
			}
		}
	})
	rewrite()
	u, _ := readList(b, f, Mark{})
	mark := u.Mark()
	b.Run("resume list", func(b *testing.B) {
		for b.Loop() {
			u, err := f.ReadUIDList(mark)
			must(b, err)
			if !u.Resumed() {
				b.Fatal("not resumed")
			}
			must(b, u.Close())
		}
	})
	b.Run("scan", func(b *testing.B) {
		for b.Loop() {
			n := 0
			must(b, f.Scan(func(Entry) error { n++; return nil }))
			if n != messages {
				b.Fatal(n)
			}
		}
	})
	b.Run("append to list", func(b *testing.B) {
		next := uint32(messages + 1)
		for b.Loop() {
			must(b, appendRecords(lock, []UIDRecord{{UID: next, Base: fmt.Sprint(next), Physical: -1, Virtual: -1}}))
			next++
		}
	})
	b.Run("flag 100 messages", func(b *testing.B) {
		from, to := ":2,S", ":2,FS"
		for b.Loop() {
			rs := make([]Renaming, 100)
			for i := range rs {
				rs[i] = Renaming{Ref{File: recs[i].Base + from}, Ref{File: recs[i].Base + to}}
			}
			_, err := f.Rename(rs)
			must(b, err)
			from, to = to, from
		}
	})
}
