package imapd

import (
	"strconv"

	"github.com/emersion/go-imap/v2"

	"letterbox/appliance/imapwire"
)

// Capabilities named in every state.
var baseCapabilities = []imap.Cap{
	imap.CapIMAP4rev1, imap.CapIMAP4rev2, imap.CapLiteralPlus, imap.CapSASLIR, imap.CapID, imap.CapEnable,
}

// Capabilities that clients ask for only once they have signed in.
var signedInCapabilities = []imap.Cap{
	imap.CapIdle, imap.CapNamespace, imap.CapUnselect, imap.CapUIDPlus, imap.CapMove, imap.CapChildren,
	imap.CapSpecialUse, imap.CapCreateSpecialUse, imap.CapListExtended, imap.CapListStatus, imap.CapStatusSize,
	imap.CapESearch, imap.CapSearchRes, imap.CapBinary, imap.CapUTF8Accept, imap.CapCondStore, imap.CapWithin,
}

// capability is CAPABILITY (RFC 9051, 6.1.1).
func (c *conn) capability(r *request) error {
	if err := imapwire.ParseNone(r.args); err != nil {
		return err
	}
	c.out.begin()
	c.out.buf = append(c.out.buf, "* "...)
	c.out.buf = c.appendCapabilities(c.out.buf)
	c.out.line()
	return nil
}

func (c *conn) appendCapabilities(b []byte) []byte {
	b = append(b, "CAPABILITY"...)
	for _, name := range baseCapabilities {
		b = append(append(b, ' '), name...)
	}
	if c.state != notAuthenticated {
		for _, name := range signedInCapabilities {
			b = append(append(b, ' '), name...)
		}
		b = append(b, " APPENDLIMIT="...)
		return strconv.AppendInt(b, c.server.o.AppendLimit, 10)
	}
	if c.mayStartTLS() {
		b = append(append(b, ' '), imap.CapStartTLS...)
	}
	if !c.maySignIn() {
		// RFC 9051, 6.2.3: LOGINDISABLED until there is TLS.
		return append(append(b, ' '), imap.CapLoginDisabled...)
	}
	for _, m := range mechanisms() {
		b = append(append(b, " AUTH="...), m.name...)
	}
	return b
}

// mayStartTLS reports whether STARTTLS is on offer.
func (c *conn) mayStartTLS() bool { return !c.secure && c.server.o.TLS != nil }

// maySignIn reports whether a password may be sent now.
func (c *conn) maySignIn() bool {
	return c.secure || c.server.o.PlaintextOnLoopback && c.peer.IsLoopback()
}

// capabilityCode is the response code that spares a client the CAPABILITY
// command.
func (c *conn) capabilityCode() string { return string(c.appendCapabilities(nil)) }
