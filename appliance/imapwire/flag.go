package imapwire

import "strings"

// canonicalFlag returns a system flag in the spelling of RFC 9051, 2.3.2 ("\seen" is "\Seen") and anything else,
// keywords included, as it is.
func canonicalFlag(flag string) string {
	for _, f := range [...]string{`\Seen`, `\Answered`, `\Flagged`, `\Deleted`, `\Draft`, `\Recent`} {
		if strings.EqualFold(flag, f) {
			return f
		}
	}
	return flag
}

// flagList reads flags in parentheses.
func (d *Decoder) flagList() []string {
	flags := []string{}
	d.list("the list of flags", maxFlags, func() { flags = d.flag(flags) })
	return flags
}

// flag reads one flag that a client may set and appends it unless it is there already.
func (d *Decoder) flag(flags []string) []string {
	f := d.flagName()
	// RFC 9051, 9: flag is one of five, a keyword, or an extension, of which none is known here. \Recent is not in
	// a client's hands (RFC 3501, 2.3.2).
	if strings.HasPrefix(f, `\`) {
		if f = canonicalFlag(f); !isSystemFlag(f) {
			d.fail("there is no flag %s that a client may set", f)
			return flags
		}
	}
	for _, have := range flags {
		if strings.EqualFold(have, f) {
			return flags
		}
	}
	return append(flags, f)
}

func isSystemFlag(f string) bool {
	switch f {
	case `\Seen`, `\Answered`, `\Flagged`, `\Deleted`, `\Draft`:
		return true
	}
	return false
}

// flagName reads a keyword, or a backslash and an atom.
func (d *Decoder) flagName() string {
	prefix := ""
	if d.accept('\\') {
		prefix = `\`
	}
	f := prefix + d.atom("a flag")
	if len(f) > maxKeyword {
		d.fail("a flag is longer than %d octets", maxKeyword)
		return ""
	}
	return f
}
