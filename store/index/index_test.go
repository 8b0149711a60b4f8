package index

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"unsafe"
)

func TestRecordIsSmall(t *testing.T) {
	t.Parallel()
	if n := unsafe.Sizeof(Record{}); n != recordSize {
		t.Errorf("a record takes %d octets", n)
	}
	r := Record{Flags: 1 << 63, ModSeq: 1 << 62, Hash: 3, UID: 1<<32 - 1, Saved: 5, Bits: CRLF | Odd}
	r.SetSize(1<<40 - 1)
	r.SetDate(-1)
	r.SetOffset(1 << 39)
	b := appendRecord(nil, &r)
	if len(b) != recordSize || decodeRecord(b) != r || r.Size() != 1<<40-1 || r.Date() != -1 || r.Offset() != 1<<39 {
		t.Errorf("%+v came back as %+v", r, decodeRecord(b))
	}
}

func root(t testing.TB) *os.Root {
	t.Helper()
	r, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// build makes an index with n messages, of which some have changed and gone.
func build(t testing.TB, r *os.Root, n int) *Index {
	t.Helper()
	x, err := New(r, State{UIDValidity: 7, ModSeq: 1, MailboxID: "id"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		rec := Record{UID: uint32(i + 1), ModSeq: uint64(i + 2), Hash: Hash(fmt.Sprint("name", i))}
		off, err := x.Data().Append(rec.UID, &Entry{BaseName: fmt.Append(nil, "name", i), Structure: []byte("(env)")})
		if err != nil {
			t.Fatal(err)
		}
		rec.SetOffset(off)
		x.PutAll([]Record{rec})
		if i%100 == 99 {
			if err := x.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	x.AddKeyword("red")
	x.SetFlags(0, 64, uint64(n+2))
	x.SetOdd(2, "odd:name")
	x.Remove([]uint32{3, 4, 6}, uint64(n+3))
	if err := x.Flush(); err != nil {
		t.Fatal(err)
	}
	return x
}

func equal(a, b *Index) bool {
	return slices.Equal(a.Records, b.Records) && slices.Equal(a.Keywords, b.Keywords) && slices.Equal(a.Vanished, b.Vanished) &&
		a.UIDNext == b.UIDNext && a.ModSeq == b.ModSeq && a.MailboxID == b.MailboxID && a.UIDValidity == b.UIDValidity && fmt.Sprint(a.odd) == fmt.Sprint(b.odd)
}

func TestCloseAndLoad(t *testing.T) {
	t.Parallel()
	for _, n := range []int{10, 1000, 5000} {
		r := root(t)
		x := build(t, r, n)
		killed, err := Load(r)
		if err != nil || killed.Clean || !equal(x, killed) {
			t.Fatalf("%d messages, not closed: %v", n, err)
		}
		if err := killed.closeFiles(); err != nil {
			t.Fatal(err)
		}
		if err := x.Close([16]int64{1, 2}, true); err != nil {
			t.Fatal(err)
		}
		closed, err := Load(r)
		if err != nil || !closed.Clean || !closed.Settled || closed.Signature[1] != 2 || !equal(x, closed) {
			t.Fatalf("%d messages, closed: %v", n, err)
		}
		b, err := closed.Data().AppendSection(nil, closed.Records[1].Offset(), closed.Records[1].UID, BaseName)
		if err != nil || string(b) != "name1" {
			t.Errorf("base name %q, %v", b, err)
		}
		if _, err := closed.Data().AppendSection(nil, closed.Records[1].Offset(), 77, BaseName); err != ErrNoData {
			t.Errorf("another message's data: %v", err)
		}
		if err := closed.Close([16]int64{1, 2}, true); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDamage changes or cuts every part of the index: what is loaded is an
// error or a beginning of what was written, and not called clean.
func TestForget(t *testing.T) {
	t.Parallel()
	r := root(t)
	x := build(t, r, 10)
	x.Forget(100)
	x.SetFlags(2, 1, 101)
	if err := x.Flush(); err != nil {
		t.Fatal(err)
	}
	killed, err := Load(r)
	if err != nil || !equal(x, killed) || killed.Floor != 100 || len(killed.Vanished) != 0 || killed.ModSeq != 101 {
		t.Fatalf("%+v, %v", killed, err)
	}
	for i, rec := range killed.Records {
		if want := uint64(100); i != 2 && rec.ModSeq != want {
			t.Errorf("UID %d has mod-sequence %d, want %d", rec.UID, rec.ModSeq, want)
		}
	}
	if err := killed.closeFiles(); err != nil {
		t.Error(err)
	}
	if err := x.Close(x.Signature, true); err != nil {
		t.Error(err)
	}
}

func TestDamage(t *testing.T) {
	t.Parallel()
	r := root(t)
	x := build(t, r, 40)
	if err := x.Close([16]int64{}, true); err != nil {
		t.Fatal(err)
	}
	whole, err := r.ReadFile(Name)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(whole); at += 1 + at/100 {
		for _, b := range [][]byte{whole[:at], slices.Concat(whole[:at], []byte{whole[at] ^ 0x10}, whole[at+1:])} {
			if err := r.WriteFile(Name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			y, err := Load(r)
			if err != nil {
				continue
			}
			if y.Clean {
				t.Errorf("octet %d of %d is wrong (%d left) and the index is called clean", at, len(whole), len(b))
			}
			if err := y.closeFiles(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestDamagedData: what the data file does not hold any more is ErrNoData.
func TestDamagedData(t *testing.T) {
	t.Parallel()
	r := root(t)
	x := build(t, r, 5)
	size := x.Data().Size()
	for at := int64(dataHeaderSize); at < size; at += 3 {
		b, err := r.ReadFile(DataName)
		if err != nil {
			t.Fatal(err)
		}
		b[at] ^= 1
		if err := r.WriteFile(DataName, b, 0o600); err != nil {
			t.Fatal(err)
		}
		x.Data().Relax()
		for i := range x.Records {
			rec := &x.Records[i]
			for s, want := range map[Section]string{BaseName: fmt.Sprint("name", rec.UID-1), Structure: "(env)"} {
				if got, err := x.Data().AppendSection(nil, rec.Offset(), rec.UID, s); err == nil && string(got) != want {
					t.Fatalf("octet %d is wrong and message %d has %q", at, rec.UID, got)
				}
			}
		}
		b[at] ^= 1
		if err := r.WriteFile(DataName, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzLoad(f *testing.F) {
	r := root(f)
	x := build(f, r, 20)
	if err := x.Close([16]int64{}, true); err != nil {
		f.Fatal(err)
	}
	b, err := r.ReadFile(Name)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 { // block after block, past the checksums
			n := min(len(b), 1000)
			y := &Index{odd: map[uint32]string{}}
			if y.apply(b[:n]) == nil && !slices.IsSortedFunc(y.Records, func(a, b Record) int { return int(int64(a.UID) - int64(b.UID)) }) {
				t.Error("records are out of order")
			}
			b = b[n:]
		}
	})
}

// TestShrinks: an index that changes much does not grow for ever.
func TestShrinks(t *testing.T) {
	t.Parallel()
	r := root(t)
	x := build(t, r, 10)
	big := make([]byte, 100<<10)
	for i := range 60 {
		rec := Record{UID: 5, ModSeq: uint64(100 + i)}
		off, err := x.Data().Append(5, &Entry{BaseName: []byte("five"), Structure: big})
		if err != nil {
			t.Fatal(err)
		}
		rec.SetOffset(off)
		x.Put(rec)
	}
	if err := x.Close([16]int64{}, true); err != nil {
		t.Fatal(err)
	}
	y, err := Load(r)
	if err != nil {
		t.Fatal(err)
	}
	if size := y.Data().Size(); size > 200<<10 {
		t.Errorf("the data file has %d octets", size)
	}
	b, err := y.Data().AppendSection(nil, y.Records[2].Offset(), 5, BaseName)
	if err != nil || string(b) != "five" {
		t.Errorf("base name %q, %v", b, err)
	}
	if err := y.Close([16]int64{}, true); err != nil {
		t.Fatal(err)
	}
}
