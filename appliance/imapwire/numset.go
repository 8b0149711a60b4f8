package imapwire

import (
	"cmp"
	"math"
	"slices"
	"sort"
)

// NumRange is a range of sequence numbers or UIDs, both ends included, in the order the client wrote them: 4:2 is
// 2:4. An end of 0 stands for "*", the greatest number in the mailbox.
type NumRange struct {
	Start, Stop uint32
}

// NumSet is a set of sequence numbers or UIDs: ranges in the client's order, never expanded, or "$", the saved
// search result (RFC 9051, 6.4.4.1).
type NumSet struct {
	Ranges []NumRange
	Saved  bool // "$"; Ranges is empty then
}

// Span is a half-open range of indexes into a view: Lo <= i < Hi.
type Span struct {
	Lo, Hi int
}

// set reads a sequence-set.
func (d *Decoder) set() NumSet {
	if d.accept('$') {
		if d.peek() == ',' {
			d.fail("$ must stand alone, not in a list of numbers")
		}
		return NumSet{Saved: true}
	}
	var s NumSet
	for {
		s.add(d.numRange())
		if d.err != nil {
			return NumSet{}
		}
		if len(s.Ranges) > maxRanges {
			d.fail("the set has more than %d ranges", maxRanges)
			return NumSet{}
		}
		if !d.accept(',') {
			return s
		}
	}
}

// numRange reads n, n:m and the like with "*".
func (d *Decoder) numRange() NumRange {
	start := d.setNumber()
	if !d.accept(':') {
		return NumRange{start, start}
	}
	return NumRange{start, d.setNumber()}
}

// setNumber reads a number from 1 to 4294967295 (nz-number), or "*" as 0.
func (d *Decoder) setNumber() uint32 {
	if d.accept('*') {
		return 0
	}
	if !isDigit(d.peek()) {
		d.expected("a message number, * or $")
		return 0
	}
	n := d.unsigned("a message number", math.MaxUint32)
	if n == 0 {
		d.fail("0 is not a message number")
	}
	return uint32(n)
}

// add appends a range, joining it with the one before where the numbers go on: 1,2,3 costs no more than 1:3.
func (s *NumSet) add(r NumRange) {
	if n := len(s.Ranges); n > 0 {
		before := &s.Ranges[n-1]
		if before.Start != 0 && before.Start <= before.Stop && before.Stop < math.MaxUint32 &&
			r.Start == before.Stop+1 && r.Start <= r.Stop {
			before.Stop = r.Stop
			return
		}
	}
	s.Ranges = append(s.Ranges, r)
}

// Max returns the greatest number in the set and whether "*" occurs in it. A sequence number beyond the mailbox is an
// error of the client's (RFC 9051, 6.4.5 and 9: seq-number), a UID is not.
func (s NumSet) Max() (n uint32, star bool) {
	for _, r := range s.Ranges {
		n = max(n, r.Start, r.Stop)
		star = star || r.Start == 0 || r.Stop == 0
	}
	return n, star
}

// bounds returns the range in ascending order with star in place of "*".
func (r NumRange) bounds(star uint32) (lo, hi uint32) {
	lo, hi = r.Start, r.Stop
	if lo == 0 {
		lo = star
	}
	if hi == 0 {
		hi = star
	}
	return min(lo, hi), max(lo, hi)
}

// SeqSpans appends to dst the spans of indexes (sequence number minus one) that the set selects in a mailbox of so
// many messages: ascending, disjoint, not touching. Numbers beyond the mailbox select nothing. "$" selects nothing:
// only the caller knows the saved result. It costs R log R for R ranges, whatever they span.
func (s NumSet) SeqSpans(dst []Span, messages int) []Span {
	base := len(dst)
	for _, r := range s.Ranges {
		if messages == 0 {
			break
		}
		lo, hi := r.bounds(uint32(messages))
		if int64(lo) <= int64(messages) {
			dst = append(dst, Span{int(lo) - 1, int(min(int64(hi), int64(messages)))})
		}
	}
	return joinSpans(dst, base)
}

// UIDSpans is SeqSpans for a set of UIDs and the session's view of them, which is ascending.
// "*" is the last UID of the view.
func UIDSpans[U ~uint32](dst []Span, s NumSet, view []U) []Span {
	base := len(dst)
	for _, r := range s.Ranges {
		if len(view) == 0 {
			break
		}
		lo, hi := r.bounds(uint32(view[len(view)-1]))
		from := sort.Search(len(view), func(i int) bool { return uint32(view[i]) >= lo })
		to := from + sort.Search(len(view)-from, func(i int) bool { return uint32(view[from+i]) > hi })
		if from < to {
			dst = append(dst, Span{from, to})
		}
	}
	return joinSpans(dst, base)
}

// joinSpans sorts the spans from base on and joins those that overlap or touch.
func joinSpans(spans []Span, base int) []Span {
	added := spans[base:]
	byLo := func(a, b Span) int { return cmp.Compare(a.Lo, b.Lo) }
	if !slices.IsSortedFunc(added, byLo) {
		slices.SortFunc(added, byLo)
	}
	n := base
	for _, s := range added {
		if n > base && s.Lo <= spans[n-1].Hi {
			spans[n-1].Hi = max(spans[n-1].Hi, s.Hi)
			continue
		}
		spans[n] = s
		n++
	}
	return spans[:n]
}
