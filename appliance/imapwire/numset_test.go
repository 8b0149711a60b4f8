package imapwire

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var setTable = []parseCase[NumSet]{
	{in: `1`, want: one},
	{in: `4294967295`, want: nums(NumRange{4294967295, 4294967295})},
	{in: `*`, want: nums(NumRange{0, 0})},
	{in: `2,4:7,9,12:*`, want: nums(NumRange{2, 2}, NumRange{4, 7}, NumRange{9, 9}, NumRange{12, 0})},
	{in: `*:4,7:5`, want: nums(NumRange{0, 4}, NumRange{7, 5})},
	{in: `1,2,3,4:6,7`, want: nums(NumRange{1, 7})}, // joined
	{in: `3,2,1`, want: nums(NumRange{3, 3}, NumRange{2, 2}, NumRange{1, 1})},
	{in: `4294967294,4294967295,1`, want: nums(NumRange{4294967294, 4294967295}, NumRange{1, 1})},
	{in: `*,1,2`, want: nums(NumRange{0, 0}, NumRange{1, 2})},
	{in: `001`, want: one},
	{in: `$`, want: NumSet{Saved: true}},
	{in: ``, err: "a message number, * or $, found the end of the line"},
	{in: `0`, err: "0 is not a message number"},
	{in: `1:0`, err: "0 is not a message number"},
	{in: `4294967296`, err: "too large"},
	{in: `99999999999999999999`, err: "too large"},
	{in: `-1`, err: "a message number"},
	{in: `1,`, err: "a message number"},
	{in: `,1`, err: "a message number"},
	{in: `1::2`, err: "a message number"},
	{in: `1:2:3`, err: "the end of the command"},
	{in: `1;2`, err: "the end of the command"},
	{in: `1,$`, err: "a message number"},
	{in: `$,1`, err: "$ must stand alone"},
	{in: `1` + strings.Repeat(",3,1", 10001), err: "more than 20000 ranges"},
}

func parseSet(d *Decoder) (NumSet, error) {
	s := d.set()
	return s, d.end()
}

func TestParseSet(t *testing.T) { testParse(t, parseSet, setTable) }

func mustSet(t testing.TB, s string) NumSet {
	t.Helper()
	set, err := parseSet(NewDecoder([]byte(s), DecoderOptions{}))
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return set
}

func TestSpans(t *testing.T) {
	view := []uint32{10, 11, 20, 30, 4294967295}
	for _, c := range []struct {
		set      string
		seq, uid []Span
	}{
		{"1", []Span{{0, 1}}, nil},
		{"*", []Span{{4, 5}}, []Span{{4, 5}}},
		{"1:*", []Span{{0, 5}}, []Span{{0, 5}}},
		{"*:2", []Span{{1, 5}}, []Span{{0, 5}}},
		{"3:2,5", []Span{{1, 3}, {4, 5}}, nil},
		{"9:*", []Span{{4, 5}}, []Span{{0, 5}}}, // the order of the ends does not matter, and * is 5
		{"4,3,1", []Span{{0, 1}, {2, 4}}, nil},
		{"1:3,2:4,4", []Span{{0, 4}}, nil},
		{"10,20:29,30", nil, []Span{{0, 1}, {2, 4}}},
		{"12:19", nil, nil},
		{"4294967295", nil, []Span{{4, 5}}},
		{"1:4294967295", []Span{{0, 5}}, []Span{{0, 5}}},
		{"$", nil, nil},
	} {
		set := mustSet(t, c.set)
		if got := set.SeqSpans(nil, len(view)); !reflect.DeepEqual(got, c.seq) {
			t.Errorf("%s: sequence numbers %v, want %v", c.set, got, c.seq)
		}
		if got := UIDSpans(nil, set, view); !reflect.DeepEqual(got, c.uid) {
			t.Errorf("%s: UIDs %v, want %v", c.set, got, c.uid)
		}
		if got := append(set.SeqSpans(nil, 0), UIDSpans[uint32](nil, set, nil)...); len(got) > 0 {
			t.Errorf("%s in an empty mailbox: %v", c.set, got)
		}
	}
}

// Spans are checked against contains, number by number, on random sets and views.
func TestSpansAgreeWithTheSet(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 1))
		var view []uint32
		for n := uint32(0); len(view) < r.IntN(30); {
			n += 1 + r.Uint32N(5)
			view = append(view, n)
		}
		var set NumSet
		for range 1 + r.IntN(8) {
			set.add(NumRange{r.Uint32N(40), r.Uint32N(40)})
		}
		kept := Span{7, 7} // what stands in dst already is left alone
		spans := UIDSpans([]Span{kept}, set, view)
		if spans[0] != kept {
			t.Fatalf("seed %d: the first span is %v", seed, spans[0])
		}
		var got []uint32
		for _, s := range spans[1:] {
			got = append(got, view[s.Lo:s.Hi]...)
		}
		var want []uint32
		for _, n := range view {
			if contains(set, n, view[len(view)-1]) {
				want = append(want, n)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("seed %d: set %v of %v is %v, want %v", seed, set, view, got, want)
		}
		got, want = nil, nil
		for _, s := range set.SeqSpans(nil, len(view)) {
			for i := s.Lo; i < s.Hi; i++ {
				got = append(got, uint32(i+1))
			}
		}
		for n := uint32(1); n <= uint32(len(view)); n++ {
			if contains(set, n, uint32(len(view))) {
				want = append(want, n)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("seed %d: numbers %v of %d are %v, want %v", seed, set, len(view), got, want)
		}
	}
}

func TestSetMax(t *testing.T) {
	for in, want := range map[string]struct {
		n    uint32
		star bool
	}{"1:3,2": {3, false}, "7:*": {7, true}, "*": {0, true}, "$": {0, false}} {
		if n, star := mustSet(t, in).Max(); n != want.n || star != want.star {
			t.Errorf("%s: Max is %d, %v", in, n, star)
		}
	}
}

func FuzzSet(f *testing.F) {
	for _, c := range setTable {
		f.Add(c.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		set, err := parseSet(NewDecoder([]byte(in), DecoderOptions{}))
		if err != nil {
			return
		}
		again, err := parseSet(NewDecoder([]byte(setText(set)), DecoderOptions{}))
		if err != nil || !reflect.DeepEqual(set, again) {
			t.Fatalf("%q is %v, and then %v, %v", in, set, again, err)
		}
		for _, s := range set.SeqSpans(nil, 1000) {
			if s.Lo < 0 || s.Lo >= s.Hi || s.Hi > 1000 {
				t.Fatalf("%q: span %v", in, s)
			}
		}
	})
}

func BenchmarkUIDSpans(b *testing.B) {
	view := make([]uint32, 10000)
	for i := range view {
		view[i] = uint32(2 * i)
	}
	set := mustSet(b, "1:100,300:400,9000:12000,*")
	var spans []Span
	for b.Loop() {
		spans = UIDSpans(spans[:0], set, view)
	}
}

// contains reports whether the set holds n, where star is the greatest number in the mailbox (0 if it is empty).
func contains(s NumSet, n, star uint32) bool {
	return slices.ContainsFunc(s.Ranges, func(r NumRange) bool {
		lo, hi := r.bounds(star)
		return lo <= n && n <= hi
	})
}

// setText writes the set as a client would.
func setText(s NumSet) string {
	if s.Saved {
		return "$"
	}
	number := func(n uint32) string {
		if n == 0 {
			return "*"
		}
		return strconv.FormatUint(uint64(n), 10)
	}
	var ranges []string
	for _, r := range s.Ranges {
		text := number(r.Start)
		if r.Stop != r.Start {
			text += ":" + number(r.Stop)
		}
		ranges = append(ranges, text)
	}
	return strings.Join(ranges, ",")
}
