package imapwire

import "strings"

// ListPattern is a pattern of LIST, made ready to be held against many names: "*" stands for anything, "%" for
// anything without the delimiter (RFC 9051, 6.3.9.1), and INBOX is the same in any case. Safe for concurrent use.
//
// Matching follows all ways through the pattern at once, with a bit for each position in it. A name costs as many steps
// as it has octets, each of one operation for 64 octets of the pattern, whatever the wildcards.
type ListPattern struct {
	delim    byte
	literals int // octets of the pattern that are no wildcards
	words    int // of 64 bits, for positions 0 to literals
	row      [256]uint8
	at       []uint64 // words for each row: bit i is set if literal i is an octet of that row; row 0 is for all others
	star     []uint64 // bit i is set if a "*" stands before literal i, or at the end if there is none
	percent  []uint64 // the same for "%"
}

// NewListPattern makes a pattern ready. It takes an eighth of an octet of memory for each octet of the pattern times each
// different one.
func NewListPattern(pattern string, delim byte) *ListPattern {
	p := &ListPattern{delim: delim, literals: countLiterals(pattern)}
	p.words = p.literals/64 + 1
	rows := p.numberRows(pattern)
	bits := make([]uint64, (rows+2)*p.words)
	p.star, p.percent, p.at = bits[:p.words], bits[p.words:2*p.words], bits[2*p.words:]
	i := 0
	for j := range len(pattern) {
		word, bit := i/64, uint64(1)<<(i%64)
		switch c := pattern[j]; c {
		case '*':
			p.star[word] |= bit
		case '%':
			p.percent[word] |= bit
		default:
			p.rowOf(c)[word] |= bit
			i++
		}
	}
	return p
}

// numberRows gives each octet of the pattern a row and returns how many rows there are.
func (p *ListPattern) numberRows(pattern string) int {
	rows := 1
	for j := range len(pattern) {
		if c := pattern[j]; c != '*' && c != '%' && p.row[c] == 0 {
			p.row[c] = uint8(rows) // at most 254
			rows++
		}
	}
	return rows
}

func (p *ListPattern) rowOf(c byte) []uint64 { return p.at[int(p.row[c])*p.words:] }

// Match reports whether the name matches.
func (p *ListPattern) Match(name string) bool {
	if p.literals > len(name) {
		return false
	}
	var few [8]uint64
	state := few[:] // bit i: so far the name matches what stands before literal i
	if p.words > len(few) {
		state = make([]uint64, p.words)
	}
	state = state[:p.words]
	state[0] = 1
	folded := inboxPrefix(name, p.delim)
	for i := range len(name) {
		p.step(state, name[i], i < folded)
	}
	return state[p.literals/64]&(1<<(p.literals%64)) != 0
}

// step goes on by the octet c, in either case if fold is set (and c a letter).
func (p *ListPattern) step(state []uint64, c byte, fold bool) {
	at := p.rowOf(c)
	other := at
	if fold {
		other = p.rowOf(c ^ 0x20)
	}
	for w := p.words - 1; w >= 0; w-- {
		s := state[w]
		stay := p.star[w]
		if c != p.delim {
			stay |= p.percent[w]
		}
		next := s&stay | s&(at[w]|other[w])<<1
		if w > 0 {
			next |= state[w-1] & (at[w-1] | other[w-1]) >> 63
		}
		state[w] = next
	}
}

// inboxPrefix returns how many octets at the beginning of the name are INBOX in any case: 5 or 0.
func inboxPrefix(name string, delim byte) int {
	n := len(inbox)
	if len(name) >= n && strings.EqualFold(name[:n], inbox) && (len(name) == n || name[n] == delim) {
		return n
	}
	return 0
}

func countLiterals(pattern string) int {
	return len(pattern) - strings.Count(pattern, "*") - strings.Count(pattern, "%")
}
