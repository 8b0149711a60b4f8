package imapwire

// EnableArgs are the arguments of ENABLE (RFC 9051, 6.3.1).
type EnableArgs struct {
	Capabilities []string // upper case, at least one; those not known are to be ignored
}

// ParseEnable reads the arguments of ENABLE.
func ParseEnable(d *Decoder) (EnableArgs, error) {
	var a EnableArgs
	d.space("a capability")
	for ok := true; ok; ok = d.more() {
		a.Capabilities = append(a.Capabilities, upper([]byte(d.atom("a capability"))))
		if len(a.Capabilities) > maxCapabilities {
			d.fail("more than %d capabilities", maxCapabilities)
		}
	}
	return a, d.end()
}
