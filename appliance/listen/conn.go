package listen

import (
	"net"
	"net/netip"
	"sync"
)

// A conn is a connection that gives its place back when it is closed.
type conn struct {
	net.Conn
	listener *Listener
	from     netip.Prefix // invalid when the peer has no IP address
	counted  bool         // holds a place in the limits; a refused one does not
	once     sync.Once
	err      error
}

// Close closes the connection and gives its place back, once.
func (c *conn) Close() error {
	c.once.Do(func() {
		c.err = c.Conn.Close()
		if c.counted {
			c.listener.options.Limits.leave(c.from)
		}
		c.listener.forget(c)
	})
	return c.err
}

// source gives what counts as one place of origin: an IPv4 address or an IPv6 /64.
func source(a net.Addr) netip.Prefix {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
