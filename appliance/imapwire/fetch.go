package imapwire

// FetchArgs are the arguments of FETCH and UID FETCH (RFC 9051, 6.4.5).
type FetchArgs struct {
	Set             NumSet
	Items           []FetchItem // without duplicates, in the client's order
	HasChangedSince bool
	ChangedSince    uint64 // RFC 7162, 3.1.4.1: only what has a greater mod-sequence; Items holds MODSEQ then
}

// ParseFetch reads the arguments of FETCH and UID FETCH.
func ParseFetch(d *Decoder) (FetchArgs, error) {
	var a FetchArgs
	d.space("a set of messages")
	a.Set = d.set()
	d.space("data items")
	if d.peek() == '(' {
		if d.list("the list of data items", maxFetchItems, func() { a.item(d, false) }) == 0 {
			d.fail("the list of data items is empty")
		}
	} else {
		a.item(d, true)
	}
	if d.more() {
		// RFC 4466, 2.4: fetch-modifiers.
		d.options("the FETCH modifiers", func(name string) bool { return a.modifier(d, name) })
	}
	if a.HasChangedSince {
		// RFC 7162, 3.1.4.1: CHANGEDSINCE implies MODSEQ.
		a.add(FetchItem{Kind: FetchModSeq})
	}
	return a, d.end()
}

func (a *FetchArgs) modifier(d *Decoder, name string) bool {
	switch name {
	case "CHANGEDSINCE":
		d.space("a mod-sequence")
		a.HasChangedSince = true
		// 0, which the grammar of RFC 7162 leaves out, asks for everything.
		a.ChangedSince = uint64(d.number("the mod-sequence"))
	default:
		return false
	}
	return true
}

// item reads one data item, or a macro where it may stand: alone (RFC 9051, 6.4.5).
func (a *FetchArgs) item(d *Decoder, alone bool) {
	name := d.word("a data item")
	if d.err != nil {
		return
	}
	if kinds := fetchMacro(name); kinds != nil {
		if !alone {
			d.fail("%s must stand alone, not in a list of data items", name)
		}
		for _, k := range kinds {
			a.add(FetchItem{Kind: k})
		}
		return
	}
	if i, ok := d.fetchItem(name); ok {
		a.add(i)
	} else {
		d.fail("there is no data item %s", name)
	}
}

func fetchMacro(name string) []FetchKind {
	switch name {
	case "ALL":
		return []FetchKind{FetchFlags, FetchInternalDate, FetchSize, FetchEnvelope}
	case "FAST":
		return []FetchKind{FetchFlags, FetchInternalDate, FetchSize}
	case "FULL":
		return []FetchKind{FetchFlags, FetchInternalDate, FetchSize, FetchEnvelope, FetchBody}
	}
	return nil
}

// add appends the item unless it is there already. The same section with Peek and without is asked for once, without.
func (a *FetchArgs) add(item FetchItem) {
	for i := range a.Items {
		if have := &a.Items[i]; have.sameAnswer(item) {
			have.Peek = have.Peek && item.Peek
			return
		}
	}
	a.Items = append(a.Items, item)
}
