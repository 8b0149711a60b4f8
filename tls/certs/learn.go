package certs

import (
	"net"
	"net/netip"
	"slices"
	"sync"
)

// maxLearned bounds the addresses that handshakes add to the leaf between two calls of Apply. A box has a few; one
// whose every address is its own (routers can do that) must not have a certificate made for each.
const maxLearned = 8

// learned are addresses of this box at which somebody has asked and which the leaf did not cover: the router has
// given it another one since Apply. Handshakes only note them here, each once; Run makes the certificate.
type learned struct {
	mu      sync.Mutex
	heard   []netip.Addr // since the last Apply
	pending []netip.Addr // those of heard that no leaf covers yet
}

// hear notes an address and reports whether it is new. room is how many the leaf has room for.
func (l *learned) hear(ip netip.Addr, room int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.heard) >= maxLearned || len(l.pending) >= room || slices.Contains(l.heard, ip) {
		return false
	}
	l.heard, l.pending = append(l.heard, ip), append(l.pending, ip)
	return true
}

// waiting returns the addresses that no leaf covers yet.
func (l *learned) waiting() []netip.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.pending)
}

// covered takes back what waiting returned.
func (l *learned) covered(ips []netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = slices.DeleteFunc(l.pending, func(ip netip.Addr) bool { return slices.Contains(ips, ip) })
}

// forget makes room: Apply has just been told every address.
func (l *learned) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard, l.pending = nil, nil
}

// hearAddress looks at where a handshake arrived. An address of the house that the leaf lacks is for Run to add;
// this handshake is answered with what there is.
func (m *Manager) hearAddress(p *presented, c net.Conn) {
	if c == nil {
		return
	}
	local, ok := c.LocalAddr().(interface{ AddrPort() netip.AddrPort })
	if !ok {
		return
	}
	ip := local.AddrPort().Addr().Unmap().WithZone("")
	if slices.Contains(p.ips, ip) || !atHome(ip) || ip.IsLoopback() { // no router gives those out
		return
	}
	if m.learned.hear(ip, maxNames-len(p.ips)-len(p.tls.Leaf.DNSNames)) {
		m.log.Info("this machine has an address that its certificate lacks", "address", ip)
		m.nudge()
	}
}
