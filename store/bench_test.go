package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// filled opens a store whose mailbox name holds n small messages that another
// program put there.
func filled(t testing.TB, dir, name string, n int) *Store {
	t.Helper()
	s := open(t, dir)
	cur := filepath.Join(dir, "mail", "ann", "Maildir", "."+name, "cur")
	for i := range n {
		body := text(i)
		file := fmt.Sprintf("%s/%d.M%dP1.host,S=%d,W=%d:2,S", cur, 1700000000+i, i, len(body), len(body))
		if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// settled opens the mailbox and reads every envelope, then restarts with
// directories that were left alone for an hour.
func settled(t testing.TB, dir string, s *Store, name string) *Store {
	t.Helper()
	m, err := account(t, s).Open(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, uid := range m.UIDs(nil) {
		if _, err := m.AppendEnvelope(nil, uid); err != nil {
			t.Fatal(err)
		}
	}
	m.Close()
	s.Close()
	old := time.Now().Add(-time.Hour)
	folder := filepath.Join(dir, "mail", "ann", "Maildir")
	if name != "INBOX" {
		folder = filepath.Join(folder, "."+name)
	}
	for _, sub := range []string{"cur", "new"} {
		if err := os.Chtimes(filepath.Join(folder, sub), old, old); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir)
	mailbox(t, s, name)
	s.Close()
	return open(t, dir)
}

func BenchmarkOpenCold(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := fastDir(b)
			s := settled(b, dir, filled(b, dir, "Archive", n), "Archive")
			b.ReportAllocs()
			for b.Loop() {
				m, err := account(b, s).Open("Archive")
				if err != nil {
					b.Fatal(err)
				}
				if got := m.Status().Messages; got != n {
					b.Fatal(got)
				}
				m.Close()
				if _, err := m.a.forget(m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpenAgain(b *testing.B) {
	dir := fastDir(b)
	s := settled(b, dir, filled(b, dir, "Archive", 10_000), "Archive")
	mailbox(b, s, "Archive")
	for b.Loop() {
		m, err := account(b, s).Open("Archive")
		if err != nil {
			b.Fatal(err)
		}
		m.Status()
		m.Close()
	}
}

func BenchmarkScan(b *testing.B) {
	dir := fastDir(b)
	m := mailbox(b, settled(b, dir, filled(b, dir, "Archive", 10_000), "Archive"), "Archive")
	b.ReportAllocs()
	for b.Loop() {
		if err := m.refresh(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	dir := fastDir(b)
	m := mailbox(b, filled(b, dir, "Archive", 10_000), "Archive")
	uids := m.UIDs(nil)
	dst := make([]Meta, 0, 256)
	for b.Loop() {
		for i := 0; i < len(uids); i += 256 {
			dst = m.Lookup(dst[:0], uids[i:min(i+256, len(uids))])
		}
	}
	b.ReportMetric(float64(b.N)*float64(len(uids))/b.Elapsed().Seconds(), "messages/s")
}

func BenchmarkEnvelope(b *testing.B) {
	dir := fastDir(b)
	m := mailbox(b, settled(b, dir, filled(b, dir, "Archive", 10_000), "Archive"), "Archive")
	uids := m.UIDs(nil)
	dst := make([]byte, 0, 64<<10)
	for b.Loop() {
		for _, uid := range uids {
			dst, _ = m.AppendEnvelope(dst[:0], uid)
			dst, _ = m.AppendBodyStructure(dst, uid)
		}
	}
	b.ReportMetric(float64(b.N)*float64(len(uids))/b.Elapsed().Seconds(), "messages/s")
}

func BenchmarkStoreFlags(b *testing.B) {
	m := mailbox(b, filled(b, b.TempDir(), "Archive", 10_000), "Archive")
	uids := m.UIDs(nil)
	for i := 0; b.Loop(); i++ {
		op := AddFlags
		if i%2 == 1 {
			op = RemoveFlags
		}
		if _, _, err := m.StoreFlags(uids, op, Flagged, 0); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*float64(len(uids))/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkExpunge expunges 10,000 messages, into the bin and where there is no room for one.
func BenchmarkExpunge(b *testing.B) {
	for name, free := range map[string]int64{"kept": 1 << 40, "removed": 0} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				s := filled(b, b.TempDir(), "Archive", 10_000)
				s.disk.space = func() (int64, int64, error) { return free, 1 << 40, nil }
				m := mailbox(b, s, "Archive")
				uids := m.UIDs(nil)
				b.StartTimer()
				if err := m.Expunge(uids); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCopy(b *testing.B) {
	s := filled(b, b.TempDir(), "Archive", 1000)
	m, to := mailbox(b, s, "Archive"), mailbox(b, s, "Trash")
	uids := m.UIDs(nil)
	for b.Loop() {
		if _, err := m.Copy(uids, to); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*float64(len(uids))/b.Elapsed().Seconds(), "messages/s")
}

func BenchmarkDeliver(b *testing.B) {
	for _, parallel := range []int{1, 8} {
		b.Run(fmt.Sprint(parallel), func(b *testing.B) {
			s := open(b, b.TempDir())
			body := make([]byte, 8<<10)
			for i := range body {
				body[i] = "lots of text\r\n"[i%14]
			}
			b.SetParallelism(max(1, parallel/2))
			if parallel == 1 {
				for b.Loop() {
					deliverBytes(b, s, body)
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					deliverBytes(b, s, body)
				}
			})
		})
	}
}

func deliverBytes(b *testing.B, s *Store, body []byte) {
	in := s.NewIncoming()
	defer in.Close()
	if _, err := in.Write(body); err != nil {
		b.Error(err)
	}
	if err := s.Deliver(context.Background(), in, []Target{{Person: "ann"}}); err != nil {
		b.Error(err)
	}
}

// TestNoAllocations: FETCH of flags, envelopes and structures costs no
// allocation a message.
func TestNoAllocations(t *testing.T) {
	s := open(t, t.TempDir())
	for n := range 3 {
		deliver(t, s, "", text(n))
	}
	m := mailbox(t, s, "INBOX")
	uids := m.UIDs(nil)
	metas, out := make([]Meta, 0, 8), make([]byte, 0, 4096)
	n := testing.AllocsPerRun(100, func() {
		metas = m.Lookup(metas[:0], uids)
		for _, uid := range uids {
			out, _ = m.AppendEnvelope(out[:0], uid)
			out, _ = m.AppendBodyStructure(out, uid)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkBatch adds messages of 8 KB on a real disk, so many at a time.
func BenchmarkBatch(b *testing.B) {
	body := text(0) + strings.Repeat("A line to fill the letter with.\r\n", 250)
	for _, n := range []int{1, 32, 128} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := open(b, b.TempDir())
			m := mailbox(b, s, "Archive")
			in := incoming(b, s, body)
			for b.Loop() {
				batch := m.NewBatch()
				for i := range n {
					if err := batch.Add(b.Context(), AppendMessage{In: in, ID: fmt.Sprintf("%032x", i)}); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := batch.Commit(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*float64(n)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
