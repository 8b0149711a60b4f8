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
	counted  bool         // holds a place in the tally; a refused one does not
	once     sync.Once
	err      error
}

// Close closes the connection and gives its place back, once.
func (c *conn) Close() error {
	c.once.Do(func() {
		c.err = c.Conn.Close()
		if c.counted {
			c.listener.tally.leave(c.from)
		}
		c.listener.forget(c)
	})
	return c.err
}

// NetConn gives the connection underneath, as tls.Conn.NetConn does.
func (c *conn) NetConn() net.Conn { return c.Conn }

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

// A tally counts the connections of listeners opened together.
type tally struct {
	perAddress, total int // limits; 0: none

	mu   sync.Mutex
	open int
	from map[netip.Prefix]int // only sources with a connection; their number is bounded by open
}

func newTally(o Options) *tally {
	return &tally{perAddress: o.PerAddress, total: o.Total, from: make(map[netip.Prefix]int)}
}

// enter takes a place, if there is one.
func (t *tally) enter(from netip.Prefix) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.total > 0 && t.open >= t.total {
		return false
	}
	if from.IsValid() {
		if t.perAddress > 0 && t.from[from] >= t.perAddress {
			return false
		}
		t.from[from]++
	}
	t.open++
	return true
}

func (t *tally) leave(from netip.Prefix) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open--
	if !from.IsValid() {
		return
	}
	if t.from[from]--; t.from[from] == 0 {
		delete(t.from, from)
	}
}
