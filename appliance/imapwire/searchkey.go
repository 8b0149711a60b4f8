package imapwire

import (
	"strings"
	"time"
)

// SearchOp is the kind of a search key.
type SearchOp uint8

// The search keys. The many about flags are told with three: UNSEEN is SearchNot of \Seen, NEW is SearchRecent and
// not \Seen, OLD is SearchNot of SearchRecent.
const (
	SearchAll        SearchOp = iota
	SearchAnd                 // all of Keys, at least two
	SearchOr                  // one of Keys, at least two
	SearchNot                 // not Keys[0]
	SearchFlag                // Text is the flag, canonical, or the keyword
	SearchRecent              // \Recent of RFC 3501
	SearchHeader              // a header field Field (lower case) holds Text, or exists if Text is ""; also FROM, TO, CC, BCC, SUBJECT
	SearchBody                // the body holds Text
	SearchText                // header or body hold Text
	SearchBefore              // the internal date is earlier than the day Date
	SearchOn                  // the internal date is within the day
	SearchSince               // the internal date is within the day or later
	SearchSentBefore          // these three: the same of the Date field, time and zone disregarded
	SearchSentOn
	SearchSentSince
	SearchLarger  // more than Number octets
	SearchSmaller // less than Number octets
	SearchOlder   // RFC 5032: the internal date is Number seconds ago or more
	SearchYounger // RFC 5032: the internal date is Number seconds ago or less
	SearchSeq     // Set is of sequence numbers, or "$"
	SearchUID     // Set is of UIDs, or "$"
	SearchModSeq  // RFC 7162, 3.1.5: the mod-sequence is at least ModSeq
)

// SearchKey is a node of a search program. Which fields have a meaning depends on Op.
type SearchKey struct {
	Op     SearchOp
	Keys   []SearchKey
	Field  string
	Text   string
	Date   time.Time // midnight UTC of the day named; compare the civil date
	Number int64
	Set    NumSet
	ModSeq uint64
}

// searchParser reads a search program and counts its keys.
type searchParser struct {
	d     *Decoder
	keys  int
	depth int
}

// all reads one key and further ones as long as more holds; several are one SearchAnd.
func (p *searchParser) all(more func() bool) SearchKey {
	first := p.key()
	if !more() {
		return first
	}
	keys := []SearchKey{first}
	for ok := true; ok; ok = more() {
		keys = append(keys, p.key())
	}
	return SearchKey{Op: SearchAnd, Keys: keys}
}

// count counts a key.
func (p *searchParser) count() {
	if p.keys++; p.keys > maxSearchKeys {
		p.d.fail("the search has more than %d keys", maxSearchKeys)
	}
}

// key reads one search key.
func (p *searchParser) key() SearchKey {
	d := p.d
	p.count()
	if p.depth++; p.depth > maxSearchDepth {
		d.fail("the search is nested more than %d deep", maxSearchDepth)
	}
	defer func() { p.depth-- }()
	switch c := d.peek(); {
	case d.err != nil:
		return SearchKey{}
	case c == '(':
		return p.parenthesised()
	case c == '*' || c == '$' || isDigit(c):
		return SearchKey{Op: SearchSeq, Set: d.set()}
	}
	name := d.word("a search key")
	if d.err != nil {
		return SearchKey{}
	}
	if k, ok := flagKey(name); ok {
		return k
	}
	if k, ok := p.combined(name); ok {
		return k
	}
	if !hasArgument(name) {
		d.fail("there is no search key %s", name)
	}
	d.space("an argument of " + name)
	return p.withArgument(name)
}

// parenthesised reads "(" keys ")".
func (p *searchParser) parenthesised() SearchKey {
	d := p.d
	d.accept('(')
	d.skipSpaces()
	k := p.all(func() bool { return d.skipSpaces() && d.peek() != ')' && d.err == nil })
	if !d.accept(')') {
		d.expected("a space or a parenthesis that closes the search keys")
	}
	return k
}

// combined reads the keys that are made of others.
func (p *searchParser) combined(name string) (SearchKey, bool) {
	switch name {
	case "NOT":
		p.d.space("a search key after NOT")
		return not(p.key()), true
	case "OR":
		return p.or(), true
	}
	return SearchKey{}, false
}

func not(k SearchKey) SearchKey { return SearchKey{Op: SearchNot, Keys: []SearchKey{k}} }

// or reads what follows OR. The chain that clients write, OR a OR b OR c d, becomes one key with four within.
func (p *searchParser) or() SearchKey {
	k := SearchKey{Op: SearchOr}
	for ok := true; ok; ok = p.d.acceptWord("OR") {
		p.count()
		p.d.space("two search keys after OR")
		k.Keys = append(k.Keys, p.key())
		p.d.space("a second search key after OR")
	}
	k.Keys = append(k.Keys, p.key())
	return k
}

// flagKey returns the key of a name that stands for itself, most of them for flags.
func flagKey(name string) (SearchKey, bool) {
	recent := SearchKey{Op: SearchRecent}
	switch name {
	case "ALL":
		return SearchKey{Op: SearchAll}, true
	case "RECENT":
		return recent, true
	case "OLD":
		return not(recent), true
	case "NEW":
		return SearchKey{Op: SearchAnd, Keys: []SearchKey{recent, not(SearchKey{Op: SearchFlag, Text: `\Seen`})}}, true
	}
	name, negated := strings.CutPrefix(name, "UN")
	k := SearchKey{Op: SearchFlag}
	switch name {
	case "ANSWERED", "DELETED", "DRAFT", "FLAGGED", "SEEN":
		k.Text = canonicalFlag(`\` + name)
	default:
		return SearchKey{}, false
	}
	if negated {
		k = not(k)
	}
	return k, true
}

// hasArgument reports whether there is a key of that name that withArgument reads.
func hasArgument(name string) bool {
	switch name {
	case "BCC", "CC", "FROM", "SUBJECT", "TO", "HEADER", "BODY", "TEXT", "KEYWORD", "UNKEYWORD", "UID", "LARGER", "SMALLER",
		"OLDER", "YOUNGER", "MODSEQ", "BEFORE", "ON", "SINCE", "SENTBEFORE", "SENTON", "SENTSINCE":
		return true
	}
	return false
}

// withArgument reads the argument of the key name.
func (p *searchParser) withArgument(name string) SearchKey {
	d := p.d
	switch name {
	case "BCC", "CC", "FROM", "SUBJECT", "TO":
		return SearchKey{Op: SearchHeader, Field: strings.ToLower(name), Text: d.searchText(name)}
	case "HEADER":
		k := SearchKey{Op: SearchHeader, Field: strings.ToLower(d.fieldName())}
		d.space("a string after the header field")
		k.Text = d.searchText(name)
		return k
	case "BODY":
		return SearchKey{Op: SearchBody, Text: d.searchText(name)}
	case "TEXT":
		return SearchKey{Op: SearchText, Text: d.searchText(name)}
	case "KEYWORD":
		return SearchKey{Op: SearchFlag, Text: d.keyword()}
	case "UNKEYWORD":
		return not(SearchKey{Op: SearchFlag, Text: d.keyword()})
	case "UID":
		return SearchKey{Op: SearchUID, Set: d.set()}
	case "LARGER":
		return SearchKey{Op: SearchLarger, Number: d.number("the size after LARGER")}
	case "SMALLER":
		return SearchKey{Op: SearchSmaller, Number: d.number("the size after SMALLER")}
	case "OLDER", "YOUNGER":
		return d.withinKey(name)
	case "MODSEQ":
		return d.modSeqKey()
	}
	return d.dateKey(name)
}

func (d *Decoder) searchText(key string) string { return d.text("the string after " + key) }

// keyword reads a flag-keyword.
func (d *Decoder) keyword() string {
	if d.peek() == '\\' {
		d.fail("a keyword does not begin with a backslash")
		return ""
	}
	return d.flagName()
}

// dateKey reads the date of one of the six keys that have one.
func (d *Decoder) dateKey(name string) SearchKey {
	k := SearchKey{Date: d.searchDate(name)}
	switch name {
	case "BEFORE":
		k.Op = SearchBefore
	case "ON":
		k.Op = SearchOn
	case "SINCE":
		k.Op = SearchSince
	case "SENTBEFORE":
		k.Op = SearchSentBefore
	case "SENTON":
		k.Op = SearchSentOn
	case "SENTSINCE":
		k.Op = SearchSentSince
	}
	return k
}

// withinKey reads the interval of OLDER and YOUNGER (RFC 5032, 4: nz-number).
func (d *Decoder) withinKey(name string) SearchKey {
	k := SearchKey{Op: SearchOlder, Number: d.number("the interval after " + name)}
	if name == "YOUNGER" {
		k.Op = SearchYounger
	}
	if d.err == nil && k.Number == 0 {
		d.fail("the interval after %s must not be 0", name)
	}
	return k
}

// modSeqKey reads the argument of MODSEQ. An entry name and type, about the mod-sequence of one flag, may stand before the
// number; here flags share the message's, which RFC 7162, 3.1.5 allows.
func (d *Decoder) modSeqKey() SearchKey {
	if d.peek() == '"' {
		entry := d.quoted("the entry name after MODSEQ")
		if !strings.HasPrefix(entry, "/flags/") {
			d.fail("the entry name after MODSEQ must begin with /flags/")
		}
		d.space("priv, shared or all")
		switch d.word("priv, shared or all") {
		case "PRIV", "SHARED", "ALL":
		default:
			d.fail("the entry type after MODSEQ is priv, shared or all")
		}
		d.space("a mod-sequence")
	}
	return SearchKey{Op: SearchModSeq, ModSeq: uint64(d.number("the mod-sequence"))}
}
