package imapd

import (
	"errors"
	"slices"
	"strconv"

	"letterbox/appliance/imapwire"
	"letterbox/store"
)

// search is SEARCH (RFC 9051, 6.4.4; results: RFC 4731, RFC 5182).
func (c *conn) search(r *request) error { return c.searchMessages(r, false) }

// uidSearch is UID SEARCH (RFC 9051, 6.4.9).
func (c *conn) uidSearch(r *request) error { return c.searchMessages(r, true) }

func (c *conn) searchMessages(r *request, byUID bool) error {
	a, err := imapwire.ParseSearch(r.args)
	if err != nil {
		var charset *imapwire.BadCharsetError
		if a.Return.Save && errors.As(err, &charset) {
			c.view.saved = nil // answered with NO, as below
		}
		return err
	}
	p := c.compileSearch(&a.Key)
	if p.modSeq {
		c.enableCondStore()
	}
	res, err := c.runSearch(p, a.Return)
	if err != nil {
		if a.Return.Save && !isLinkError(err) {
			c.view.saved = nil // RFC 5182, 2.1: a search that fails saves nothing
		}
		return err
	}
	if a.Return.Save {
		c.view.saved = res.save(c.view, a.Return)
	}
	if a.Extended || c.enabled&featIMAP4rev2 != 0 {
		if !a.Extended {
			a.Return.All = true
		}
		c.sayESearch(r.tag, res, a.Return, byUID)
		return nil
	}
	c.saySearch(res, byUID)
	return nil
}

// A searchResult is which messages of the view were found: a bit each.
type searchResult struct {
	bits           []uint64
	count          int
	min, max       int          // indexes into the view
	modSeq         bool         // MODSEQ was searched for, and is told
	highest        store.ModSeq // of all found
	minSeq, maxSeq store.ModSeq // of min and max
}

func (s *searchResult) add(i int, m store.ModSeq) {
	if s.count == 0 {
		s.min, s.minSeq = i, m
	}
	s.max, s.maxSeq = i, m
	s.count++
	s.highest = max(s.highest, m)
	s.bits[i/64] |= 1 << (i % 64)
}

func (s *searchResult) has(i int) bool { return s.bits[i/64]&(1<<(i%64)) != 0 }

// all yields the indexes found, ascending.
func (s *searchResult) all(yield func(int) bool) {
	if s.count == 0 {
		return
	}
	for i := s.min; i <= s.max; i++ {
		if s.has(i) && !yield(i) {
			return
		}
	}
}

// runSearch holds every message of the view against the program.
func (c *conn) runSearch(p *program, ret imapwire.SearchReturn) (*searchResult, error) {
	v := c.view
	res := &searchResult{bits: make([]uint64, len(v.uids)/64+1), modSeq: p.modSeq}
	onlyMin := ret.Min && !ret.Max && !ret.All && !ret.Count
	var fault error
	m := &candidate{c: c}
	defer m.release()
	err := batches(p.domain, batchSize, func(lo, hi int) error {
		metas := v.box.Lookup(c.scratch.metas[:0], v.uids[lo:hi])
		c.scratch.metas = metas
		i := lo
		for k := range metas {
			for v.uids[i] != metas[k].UID {
				i++
			}
			m.set(&metas[k], i)
			found, err := p.root.match(m)
			switch {
			case errors.Is(err, store.ErrExpunged): // gone meanwhile
			case errors.Is(err, errEnded):
				return err
			case err != nil && fault == nil:
				fault = &messageError{metas[k].UID, err}
			case found:
				res.add(i, metas[k].ModSeq)
				if onlyMin {
					return errFound
				}
			}
		}
		if c.ending() {
			return errEnded
		}
		return nil
	})
	if err != nil && !errors.Is(err, errFound) {
		return nil, err
	}
	return res, fault
}

// errFound ends a search that needs no further messages.
var errFound = errors.New("found")

// save returns what "$" stands for from now on. RFC 5182, 2.4: with only MIN
// or MAX asked for, only those.
func (s *searchResult) save(v *view, ret imapwire.SearchReturn) []store.UID {
	if s.count == 0 {
		return nil
	}
	if (ret.Min || ret.Max) && !ret.All && !ret.Count {
		var list []store.UID
		if ret.Min {
			list = append(list, v.uids[s.min])
		}
		if ret.Max && (!ret.Min || s.max != s.min) {
			list = append(list, v.uids[s.max])
		}
		return list
	}
	list := make([]store.UID, 0, s.count)
	for i := range s.all {
		list = append(list, v.uids[i])
	}
	return list
}

// number is what a message is called in the answer.
func (v *view) number(i int, byUID bool) uint32 {
	if byUID {
		return uint32(v.uids[i])
	}
	return uint32(i + 1)
}

// saySearch writes the SEARCH response of RFC 3501.
func (c *conn) saySearch(res *searchResult, byUID bool) {
	c.out.begin()
	c.out.buf = append(c.out.buf, "* SEARCH"...)
	for i := range res.all {
		c.out.buf = strconv.AppendUint(append(c.out.buf, ' '), uint64(c.view.number(i, byUID)), 10)
		c.out.done()
	}
	if res.modSeq && res.count > 0 { // RFC 7162, 3.1.6
		c.out.buf = append(append(append(c.out.buf, " (MODSEQ "...), formatModSeq(res.highest)...), ')')
	}
	c.out.line()
}

// sayESearch writes the ESEARCH response (RFC 9051, 7.3.4).
func (c *conn) sayESearch(tag string, res *searchResult, ret imapwire.SearchReturn, byUID bool) {
	if ret == (imapwire.SearchReturn{Save: true}) {
		return // RFC 5182, 2.1: with SAVE alone there is no answer
	}
	c.out.begin()
	b := imapwire.AppendString(append(c.out.buf, "* ESEARCH (TAG "...), tag, false)
	b = append(b, ')')
	if byUID {
		b = append(b, " UID"...)
	}
	if ret.Min && res.count > 0 {
		b = strconv.AppendUint(append(b, " MIN "...), uint64(c.view.number(res.min, byUID)), 10)
	}
	if ret.Max && res.count > 0 {
		b = strconv.AppendUint(append(b, " MAX "...), uint64(c.view.number(res.max, byUID)), 10)
	}
	if ret.Count {
		b = strconv.AppendInt(append(b, " COUNT "...), int64(res.count), 10)
	}
	if res.modSeq && res.count > 0 {
		b = append(append(b, " MODSEQ "...), formatModSeq(res.modSeqFor(ret))...)
	}
	c.out.buf = b
	if ret.All && res.count > 0 {
		c.out.buf = append(c.out.buf, " ALL "...)
		c.sayRanges(res, byUID)
	}
	c.out.line()
}

// modSeqFor is the mod-sequence that RFC 4731, 3.2 wants beside a result.
func (s *searchResult) modSeqFor(ret imapwire.SearchReturn) store.ModSeq {
	switch {
	case ret.All || ret.Count || !ret.Min && !ret.Max:
		return s.highest
	case ret.Min && ret.Max:
		return max(s.minSeq, s.maxSeq)
	case ret.Min:
		return s.minSeq
	}
	return s.maxSeq
}

// sayRanges writes the numbers found as a set.
func (c *conn) sayRanges(res *searchResult, byUID bool) {
	var first, last uint32
	sep := false
	end := func() {
		if sep {
			c.out.buf = append(c.out.buf, ',')
		}
		sep = true
		c.out.buf = strconv.AppendUint(c.out.buf, uint64(first), 10)
		if last != first {
			c.out.buf = strconv.AppendUint(append(c.out.buf, ':'), uint64(last), 10)
		}
		c.out.done()
	}
	for i := range res.all {
		n := c.view.number(i, byUID)
		switch {
		case first == 0:
			first = n
		case n != last+1:
			end()
			first = n
		}
		last = n
	}
	end()
}

// inSpans reports whether index i lies in one of the ascending spans.
func inSpans(spans []imapwire.Span, i int) bool {
	k, _ := slices.BinarySearchFunc(spans, i, func(s imapwire.Span, i int) int {
		if s.Hi <= i {
			return -1
		}
		return 1
	})
	return k < len(spans) && spans[k].Lo <= i
}
