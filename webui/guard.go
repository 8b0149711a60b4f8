package webui

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"letterbox/appliance/config"
)

// guard lets through who is near and has asked for this box by a name of its own.
func (u *UI) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.TLS == nil:
			u.refuse(w, http.StatusForbidden, refusalPlain)
		case cameByProxy(r):
			u.refuse(w, http.StatusForbidden, refusalProxy)
		case !isNear(r.RemoteAddr):
			u.log.Warn("somebody from outside the house asked for the web pages", "peer", r.RemoteAddr)
			u.refuse(w, http.StatusForbidden, refusalFar)
		case !u.isOurHost(r.Host):
			u.refuse(w, http.StatusMisdirectedRequest, refusalHost)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// cameByProxy reports whether a proxy stands before us: the peer's address then says nothing about who asks.
func cameByProxy(r *http.Request) bool {
	for _, name := range []string{"Forwarded", "Via", "X-Forwarded-For", "X-Real-Ip"} {
		if r.Header.Get(name) != "" {
			return true
		}
	}
	return false
}

// isNear reports whether a peer is on this machine or on its networks: loopback, private (RFC 1918, RFC 4193) or
// link-local (RFC 3927, RFC 4291).
func isNear(peer string) bool {
	ap, err := netip.ParseAddrPort(peer)
	if err != nil {
		return false
	}
	return isHomeAddress(ap.Addr())
}

func isHomeAddress(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast()
}

// localTrees are names that no stranger on the internet can point at this box: RFC 6761, 6762 (with those of its
// appendix G, which home networks use), 8375, ICANN's internal, and fritz.box, which belongs to a maker of routers.
var localTrees = []string{"local", "localhost", "home.arpa", "internal", "lan", "home", "intranet", "private", "localdomain", "fritz.box"}

// isOurHost reports whether a Host header names this box. Another's name whose DNS answer is our address would
// let that other's page read ours (DNS rebinding).
func (u *UI) isOurHost(hostport string) bool {
	host := hostOf(hostport)
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	if !isName(host) {
		return false
	}
	if !strings.Contains(host, ".") {
		return true // a single label is resolved by the LAN alone
	}
	trees := append([]string{strings.ToLower(u.machine)}, localTrees...)
	if c, configured := u.appliance.Config(); configured {
		trees = append(trees, householdNames(c)...)
	}
	for _, t := range trees {
		if t != "" && (host == t || strings.HasSuffix(host, "."+t)) {
			return true
		}
	}
	return false
}

// isName reports whether a host consists of what names of hosts consist of.
func isName(host string) bool {
	return host != "" && len(host) <= 253 && !strings.ContainsFunc(host, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_')
	})
}

// householdNames are the names that the household says are its own.
func householdNames(c config.Config) []string {
	names := []string{string(c.Hostname())}
	for _, d := range c.Domains {
		names = append(names, string(d.Name))
	}
	return names
}

// hostOf returns the host of a Host header, without port, brackets and a final dot, in small letters.
func hostOf(hostport string) string {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
