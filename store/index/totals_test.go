package index

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// sum counts the records.
func sum(x *Index) (t Totals) {
	for i := range x.Records {
		t = t.Add(Totals{1, x.Records[i].Size()})
	}
	return t
}

// TestTotals: whatever is done to an index, its totals are those of its records, open, closed and loaded again.
func TestTotals(t *testing.T) {
	t.Parallel()
	dir := root(t)
	rapid.Check(t, func(t *rapid.T) {
		x, err := New(dir, State{UIDValidity: 7, ModSeq: 1, MailboxID: "id"})
		if err != nil {
			t.Fatal(err)
		}
		closed := false // the file says so
		anySize := rapid.Int64Range(0, 1<<40-1)
		anyUID := func(label string) uint32 { return rapid.Uint32Range(1, max(x.UIDNext, 2)).Draw(t, label) }
		t.Repeat(map[string]func(*rapid.T){
			"PutAll": func(t *rapid.T) {
				recs := make([]Record, rapid.IntRange(0, 4).Draw(t, "n"))
				for i := range recs {
					recs[i].UID = max(x.UIDNext, 1) + uint32(i)
					recs[i].SetSize(anySize.Draw(t, "size"))
				}
				x.PutAll(recs)
			},
			"Put": func(t *rapid.T) {
				rec := Record{UID: anyUID("uid")}
				rec.SetSize(anySize.Draw(t, "size"))
				x.Put(rec)
			},
			"Remove": func(t *rapid.T) {
				uids := make([]uint32, rapid.IntRange(0, 5).Draw(t, "n"))
				for i := range uids {
					uids[i] = anyUID("uid")
				}
				slices.Sort(uids) // some may be there twice
				x.Remove(uids, x.ModSeq+1)
			},
			"SetFlags": func(t *rapid.T) {
				if i, ok := x.Find(anyUID("uid")); ok {
					x.SetFlags(i, 1, x.ModSeq+1)
				}
			},
			"Reopen": func(t *rapid.T) {
				want := sum(x)
				sig := [16]int64{rapid.Int64().Draw(t, "signature")}
				settled := rapid.Bool().Draw(t, "settled")
				if err := x.Close(sig, settled); err != nil {
					t.Fatal(err)
				}
				closed = settled
				if got, ok := ReadTotals(dir, sig); ok != settled || ok && got != want {
					t.Fatalf("closed with %+v, but %+v (%v) can be read", want, got, ok)
				}
				if _, ok := ReadTotals(dir, [16]int64{sig[0] + 1}); ok {
					t.Fatal("the totals of other files are believed")
				}
				if x, err = Load(dir); err != nil {
					t.Fatal(err)
				}
			},
			"Kill": func(t *rapid.T) {
				closed = closed && len(x.pending) == 0
				if err := x.Flush(); err != nil {
					t.Fatal(err)
				}
				if err := x.closeFiles(); err != nil {
					t.Fatal(err)
				}
				if _, ok := ReadTotals(dir, x.Signature); ok != closed {
					t.Fatalf("read after a crash: %v, closed before it: %v", ok, closed)
				}
				if x, err = Load(dir); err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				if want := sum(x); x.Totals != want {
					t.Fatalf("totals are %+v, not %+v", x.Totals, want)
				}
			},
		})
		if err := x.closeFiles(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestReadTotalsOfLarge reads little of a large index, and a last block of any size.
func TestReadTotalsOfLarge(t *testing.T) {
	t.Parallel()
	for _, n := range []int{10, 1000, 5000} {
		r := root(t)
		x := build(t, r, n)
		for i := range n / 2 { // part of the last block
			rec := x.Records[i]
			rec.SetSize(int64(i))
			x.Put(rec)
		}
		want := sum(x)
		if err := x.Close([16]int64{3}, true); err != nil {
			t.Fatal(err)
		}
		if got, ok := ReadTotals(r, [16]int64{3}); !ok || got != want {
			t.Errorf("%d messages: %+v, %v, not %+v", n, got, ok, want)
		}
	}
}

// TestDamagedTotals changes or cuts every part of an index: the totals that can be read are true or there are none.
func TestDamagedTotals(t *testing.T) {
	t.Parallel()
	r := root(t)
	x := build(t, r, 40)
	want := sum(x)
	if err := x.Close([16]int64{3}, true); err != nil {
		t.Fatal(err)
	}
	whole, err := r.ReadFile(Name)
	if err != nil {
		t.Fatal(err)
	}
	for at := range whole {
		for cut, b := range [][]byte{slices.Concat(whole[:at], []byte{whole[at] ^ 0x10}, whole[at+1:]), whole[:at]} {
			if err := r.WriteFile(Name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if got, ok := ReadTotals(r, [16]int64{3}); ok && (got != want || cut == 1) {
				t.Errorf("octet %d of %d is wrong (%d left) and the totals are %+v, not %+v", at, len(whole), len(b), got, want)
			}
		}
	}
	// A torn write behind the last block is cut off, so that the next state is the end again.
	if err := r.WriteFile(Name, slices.Concat(whole, []byte("torn"), make([]byte, 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if x, err = Load(r); err != nil || x.Clean {
		t.Fatalf("loaded with a torn tail: clean %v, %v", x.Clean, err)
	}
	if err := x.Close([16]int64{3}, true); err != nil {
		t.Fatal(err)
	}
	if got, ok := ReadTotals(r, [16]int64{3}); !ok || got != want {
		t.Errorf("after a torn write: %+v, %v", got, ok)
	}
}

func FuzzLastState(f *testing.F) {
	f.Add(appendState(nil, &State{MailboxID: "id", Totals: Totals{3, 4}}, deadOctets{5, 6}))
	f.Add(appendState(appendString([]byte{opKeyword}, "red"), &State{MailboxID: fmt.Sprintf("%0100d", 1)}, deadOctets{5, 6}))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, ok := lastState(b)
		if !ok {
			return
		}
		if again, ok := lastState(appendState(nil, &s, deadOctets{})); !ok || again != s {
			t.Errorf("%+v is read as %+v, %v", s, again, ok)
		}
	})
}
