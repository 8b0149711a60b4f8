package imapwire

import "strings"

// SearchArgs are the arguments of SEARCH and UID SEARCH (RFC 9051, 6.4.4).
type SearchArgs struct {
	Extended bool         // RETURN was given: the answer is ESEARCH
	Return   SearchReturn // with Extended; RETURN () comes out as All
	Key      SearchKey    // strings are UTF-8
}

// SearchReturn are the result options of RFC 9051, 6.4.4 (RFC 4731 and RFC 5182). SAVE alone is possible.
type SearchReturn struct {
	Min, Max, All, Count, Save bool
}

// ParseSearch reads the arguments of SEARCH and UID SEARCH. Besides a *SyntaxError there may be a *BadCharsetError.
// Without CHARSET strings are taken as UTF-8, which US-ASCII is a part of.
func ParseSearch(d *Decoder) (SearchArgs, error) {
	var a SearchArgs
	d.space("a search key")
	if d.acceptWord("RETURN") {
		a.Extended = true
		d.space("a list of return options")
		a.returns(d)
		d.space("a search key")
	}
	if d.acceptWord("CHARSET") {
		d.space("a charset")
		d.charset()
		d.space("a search key")
	}
	p := searchParser{d: d}
	a.Key = p.all(d.more)
	return a, d.end()
}

func (a *SearchArgs) returns(d *Decoder) {
	r := &a.Return
	n := d.options("the SEARCH return options", func(name string) bool {
		switch name {
		case "MIN":
			r.Min = true
		case "MAX":
			r.Max = true
		case "ALL":
			r.All = true
		case "COUNT":
			r.Count = true
		case "SAVE":
			r.Save = true
		default:
			return false
		}
		return true
	})
	// RFC 9051, 6.4.4: an empty list is the same as ALL.
	if n == 0 {
		r.All = true
	}
}

// charset reads a charset, which must be one that is known here (RFC 9051, 6.4.4: US-ASCII and UTF-8 must be).
func (d *Decoder) charset() {
	name := d.astring("the charset")
	switch strings.ToUpper(name) {
	case "UTF-8", "US-ASCII", "UTF8", "ASCII": // the last two are what some scripts write
	default:
		d.failWith(&BadCharsetError{Tag: d.o.Tag, Charset: name})
	}
}
