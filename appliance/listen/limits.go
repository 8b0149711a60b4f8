package listen

import (
	"net/netip"
	"sync"
)

// Limits count the connections of all listeners that are opened with them. All methods may be called at once; a nil *Limits
// has no limits.
type Limits struct {
	perAddress, total int // 0: none

	mu   sync.Mutex
	open int
	from map[netip.Prefix]int // only sources with a connection; their number is bounded by open
}

// nearShare is the part of all connections that peers from elsewhere leave to those of private, link-local and loopback addresses:
// a few strangers must not take every place that the household has. It is all that such an address is worth here.
const nearShare = 5

// NewLimits allows so many connections from one IPv4 address or one IPv6 /64, and so many in all; 0 is no limit. A fifth of all is
// for peers nearby alone.
func NewLimits(perAddress, total int) *Limits {
	return &Limits{perAddress: perAddress, total: total, from: make(map[netip.Prefix]int)}
}

// enter takes a place, if there is one.
func (l *Limits) enter(from netip.Prefix) bool {
	if l == nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total > 0 && l.open >= l.most(from) {
		return false
	}
	if from.IsValid() {
		if l.perAddress > 0 && l.from[from] >= l.perAddress {
			return false
		}
		l.from[from]++
	}
	l.open++
	return true
}

// most is how many connections may be open before another one from there.
func (l *Limits) most(from netip.Prefix) int {
	if ip := from.Addr(); !from.IsValid() || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() {
		return l.total
	}
	return l.total - l.total/nearShare
}

// leave gives the place back.
func (l *Limits) leave(from netip.Prefix) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if !from.IsValid() {
		return
	}
	if l.from[from]--; l.from[from] == 0 {
		delete(l.from, from)
	}
}
