package imapwire

import "strings"

// CreateArgs are the arguments of CREATE (RFC 9051, 6.3.4). A delimiter at the end of the name is left to the server.
type CreateArgs struct {
	Mailbox    string
	SpecialUse []string // USE (...) of RFC 6154, 3, in the spelling of the RFC: "\Sent"
}

// ParseCreate reads the arguments of CREATE.
func ParseCreate(d *Decoder) (CreateArgs, error) {
	var a CreateArgs
	d.space("a mailbox name")
	a.Mailbox = d.mailbox("the mailbox name")
	if d.more() {
		// RFC 4466, 2.2: create-params.
		d.options("the CREATE parameters", func(name string) bool { return a.parameter(d, name) })
	}
	return a, d.end()
}

func (a *CreateArgs) parameter(d *Decoder, name string) bool {
	switch name {
	case "USE":
		d.space("a list of special uses")
		d.list("the list of special uses", maxFlags, func() {
			a.SpecialUse = append(a.SpecialUse, canonicalSpecialUse(d.flagName()))
		})
	default:
		return false
	}
	return true
}

// canonicalSpecialUse returns a special use in the spelling of RFC 6154, 2 and RFC 8457, and anything else as it is.
func canonicalSpecialUse(use string) string {
	for _, u := range [...]string{`\All`, `\Archive`, `\Drafts`, `\Flagged`, `\Important`, `\Junk`, `\Sent`, `\Trash`} {
		if strings.EqualFold(use, u) {
			return u
		}
	}
	return use
}
