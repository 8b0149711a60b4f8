package imapwire

// ListArgs are the arguments of LIST (RFC 9051, 6.3.9; RFC 5258, 5819, 6154).
type ListArgs struct {
	Extended  bool // selection options, a list of patterns or RETURN were given, even empty ones
	Select    ListSelect
	Reference string
	Patterns  []string // UTF-8, at least one; "" asks for the delimiter if not Extended
	Return    ListReturn
}

// ListSelect are the selection options of RFC 5258 and RFC 6154. RecursiveMatch never comes without Subscribed or
// SpecialUse.
type ListSelect struct {
	Subscribed, Remote, RecursiveMatch, SpecialUse bool
}

// ListReturn are the return options of RFC 5258, 5819 and 6154.
type ListReturn struct {
	Subscribed, Children, SpecialUse bool
	Status                           []StatusItem // of RETURN (STATUS (...)); nil for none
}

// ParseList reads the arguments of LIST.
func ParseList(d *Decoder) (ListArgs, error) {
	var a ListArgs
	d.space("a reference name")
	if d.peek() == '(' {
		a.Extended = true
		a.selection(d)
		d.space("a reference name")
	}
	a.Reference = d.listPattern("the reference name")
	d.space("a mailbox pattern")
	if d.peek() == '(' {
		a.Extended = true
		if d.list("the list of patterns", maxPatterns, func() { a.pattern(d) }) == 0 {
			d.fail("the list of patterns is empty")
		}
	} else {
		a.pattern(d)
	}
	if d.more() {
		a.Extended = true
		a.returns(d)
	}
	return a, d.end()
}

func (a *ListArgs) pattern(d *Decoder) {
	a.Patterns = append(a.Patterns, d.listPattern("the mailbox pattern"))
}

func (a *ListArgs) selection(d *Decoder) {
	s := &a.Select
	d.options("the LIST selection options", func(name string) bool {
		switch name {
		case "SUBSCRIBED":
			s.Subscribed = true
		case "REMOTE":
			s.Remote = true
		case "RECURSIVEMATCH":
			s.RecursiveMatch = true
		case "SPECIAL-USE":
			s.SpecialUse = true
		default:
			return false
		}
		return true
	})
	// RFC 5258, 3: RECURSIVEMATCH with nothing else, or with REMOTE alone, is BAD.
	if s.RecursiveMatch && !s.Subscribed && !s.SpecialUse {
		d.fail("RECURSIVEMATCH needs another selection option beside it")
	}
}

func (a *ListArgs) returns(d *Decoder) {
	if !d.acceptWord("RETURN") {
		d.expected("RETURN or the end of the command")
		return
	}
	d.space("a list of return options")
	r := &a.Return
	d.options("the LIST return options", func(name string) bool {
		switch name {
		case "SUBSCRIBED":
			r.Subscribed = true
		case "CHILDREN":
			r.Children = true
		case "SPECIAL-USE":
			r.SpecialUse = true
		case "STATUS":
			d.space("a list of status items")
			r.Status = d.statusItems()
		default:
			return false
		}
		return true
	})
}
