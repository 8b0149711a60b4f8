package imapwire

// StoreOp says what STORE does with the flags.
type StoreOp uint8

// The ways of STORE.
const (
	StoreSet    StoreOp = iota // FLAGS: exactly these
	StoreAdd                   // +FLAGS
	StoreRemove                // -FLAGS
)

// StoreArgs are the arguments of STORE and UID STORE (RFC 9051, 6.4.6).
type StoreArgs struct {
	Set               NumSet
	Op                StoreOp
	Silent            bool
	Flags             []string // canonical, without duplicates; may be empty
	HasUnchangedSince bool
	UnchangedSince    uint64 // RFC 7162, 3.1.3; 0 has a meaning of its own: nothing is that old
}

// ParseStore reads the arguments of STORE and UID STORE.
func ParseStore(d *Decoder) (StoreArgs, error) {
	var a StoreArgs
	d.space("a set of messages")
	a.Set = d.set()
	d.space("FLAGS, +FLAGS or -FLAGS")
	if d.peek() == '(' {
		// RFC 4466, 2.5: store-modifiers.
		d.options("the STORE modifiers", func(name string) bool { return a.modifier(d, name) })
		d.space("FLAGS, +FLAGS or -FLAGS")
	}
	a.operation(d)
	d.space("flags")
	if d.peek() == '(' {
		a.Flags = d.flagList()
		return a, d.end()
	}
	for ok := true; ok; ok = d.more() {
		a.Flags = d.flag(a.Flags)
		if len(a.Flags) > maxFlags {
			d.fail("more than %d flags", maxFlags)
		}
	}
	return a, d.end()
}

func (a *StoreArgs) modifier(d *Decoder, name string) bool {
	switch name {
	case "UNCHANGEDSINCE":
		d.space("a mod-sequence")
		a.HasUnchangedSince = true
		a.UnchangedSince = uint64(d.number("the mod-sequence"))
	default:
		return false
	}
	return true
}

func (a *StoreArgs) operation(d *Decoder) {
	switch {
	case d.accept('+'):
		a.Op = StoreAdd
	case d.accept('-'):
		a.Op = StoreRemove
	}
	switch name := d.word("FLAGS"); name {
	case "FLAGS":
	case "FLAGS.SILENT":
		a.Silent = true
	default:
		d.fail("STORE knows FLAGS and FLAGS.SILENT with + or - before it, not %s", name)
	}
}
