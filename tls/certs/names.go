package certs

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// homeNames are the DNS trees that belong to no one on the internet: RFC 8375 (home.arpa), RFC 6762 (local),
// RFC 6761 (localhost), and lan, which most home routers use.
var homeNames = []string{"home.arpa", "lan", "local", "localhost"}

// homeNets are the addresses that belong to no one on the internet: RFC 1918 and 4193 (private), RFC 3927 and
// 4291 (link-local), and loopback.
var homeNets = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("::1/128"),
	netip.MustParsePrefix("fc00::/7"),
	netip.MustParsePrefix("fe80::/10"),
}

// maxNames bounds what one leaf covers: certificates of many kilobytes fail in small devices.
const maxNames = 100

// subjects is what a leaf must cover: sorted, without doubles, names in lower-case A-label form.
type subjects struct {
	main  string // the name that people are shown
	names []string
	ips   []netip.Addr
}

// newSubjects checks and tidies what Apply was given. Addresses outside homeNets are left out: they change
// with the provider's mood, and no intermediate of ours may sign for them.
func newSubjects(names []string, ips []netip.Addr) (subjects, error) {
	var s subjects
	for _, n := range names {
		n = strings.ToLower(n)
		if err := checkName(n); err != nil {
			return subjects{}, err
		}
		s.names = append(s.names, n)
	}
	for _, ip := range ips {
		ip = ip.Unmap().WithZone("")
		if atHome(ip) {
			s.ips = append(s.ips, ip)
		}
	}
	if len(s.names) > 0 {
		s.main = s.names[0]
	}
	slices.Sort(s.names)
	s.names = slices.Compact(s.names)
	slices.SortFunc(s.ips, netip.Addr.Compare)
	s.ips = slices.Compact(s.ips)
	if len(s.names) == 0 {
		return subjects{}, fmt.Errorf("a certificate needs at least one name")
	}
	if n := len(s.names) + len(s.ips); n > maxNames {
		return subjects{}, fmt.Errorf("a certificate for %d names and addresses is too large: at most %d", n, maxNames)
	}
	return s, nil
}

// atHome reports whether an address, without zone and not mapped, belongs to no one on the internet.
func atHome(ip netip.Addr) bool {
	return slices.ContainsFunc(homeNets, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// checkName says what is wrong with a name for a certificate: RFC 5280, 4.2.1.6 wants the preferred name syntax
// of RFC 1034, 3.5; the underscore is tolerated, since machines are named with it.
func checkName(name string) error {
	bad := func(why string) error { return fmt.Errorf("%q cannot stand in a certificate: %s", name, why) }
	if len(name) == 0 || len(name) > 253 {
		return bad("a name has 1 to 253 characters")
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return bad("it is an address, not a name")
	}
	for label := range strings.SplitSeq(name, ".") {
		if len(label) == 0 || len(label) > 63 {
			return bad("each part between dots has 1 to 63 characters")
		}
		if label[0] == '-' || label[len(label)-1] == '-' {
			return bad("no part may begin or end with a hyphen")
		}
		for _, c := range []byte(label) {
			if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return bad("only letters, digits, hyphens and dots are allowed")
			}
		}
	}
	return nil
}

// trees returns the DNS trees that an intermediate must permit to sign for names: those of homeNames, and of
// names the topmost ones, in order.
func trees(names []string) []string {
	out := slices.Clone(homeNames)
	byDots := slices.Clone(names)
	slices.SortFunc(byDots, func(a, b string) int {
		if d := strings.Count(a, ".") - strings.Count(b, "."); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	for _, n := range byDots {
		if !within(n, out) {
			out = append(out, n)
		}
	}
	return out
}

// within reports whether name is in one of the trees: RFC 5280, 4.2.1.10, any name made by adding labels to
// the left of the constraint satisfies it.
func within(name string, trees []string) bool {
	return slices.ContainsFunc(trees, func(t string) bool {
		return name == t || strings.HasSuffix(name, "."+t)
	})
}

// permits reports whether the intermediate may sign for every one of the subjects.
func permits(intermediate *x509.Certificate, s subjects) bool {
	return !slices.ContainsFunc(s.names, func(n string) bool {
		return !within(n, intermediate.PermittedDNSDomains)
	}) && !slices.ContainsFunc(s.ips, func(ip netip.Addr) bool {
		return !slices.ContainsFunc(intermediate.PermittedIPRanges, func(n *net.IPNet) bool { return n.Contains(ip.AsSlice()) })
	})
}

// covers reports whether the leaf is for exactly the subjects.
func covers(leaf *x509.Certificate, s subjects) bool {
	return slices.Equal(leaf.DNSNames, s.names) && slices.Equal(addresses(leaf), s.ips)
}

// addresses are those that a leaf is for.
func addresses(leaf *x509.Certificate) []netip.Addr {
	var out []netip.Addr
	for _, b := range leaf.IPAddresses {
		if ip, ok := netip.AddrFromSlice(b); ok {
			out = append(out, ip.Unmap())
		}
	}
	return out
}

// ipNets returns homeNets as crypto/x509 wants them.
func ipNets() []*net.IPNet {
	var out []*net.IPNet
	for _, p := range homeNets {
		out = append(out, &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())})
	}
	return out
}
