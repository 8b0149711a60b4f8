package webui

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// RedirectHandler answers plain HTTP: it sends a browser that asked for this box to the same page over HTTPS, and
// does nothing else but say at /healthz that it serves. httpsPort is asked at each request: the public port of
// HTTPS.
//
// Whoever asks for a name that is not this box's own is sent nowhere: an answer made from another's Host could be
// kept by a cache between us and given to the wrong person.
func (u *UI) RedirectHandler(httpsPort func() int) http.Handler {
	return withHeaders(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/healthz":
			healthz(w, r)
		case !u.isOurHost(r.Host) || isFarAddress(hostOf(r.Host)):
			http.Error(w, refusalHost.Lead, http.StatusMisdirectedRequest)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			// What was sent in the clear is not sent on: the form is to be opened over HTTPS.
			http.Error(w, refusalPlain.Lead, http.StatusForbidden)
		default:
			// Not permanent: ports and names change, and browsers never forget a 301.
			http.Redirect(w, r, secured(r, httpsPort()), http.StatusTemporaryRedirect)
		}
	}))
}

// isFarAddress reports whether a host is an address that is not of a home network. Nobody is served under one.
func isFarAddress(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && !isHomeAddress(ip)
}

// secured is the address of the page asked for, over HTTPS. A set-up code that went over the wire in the clear is
// left out: whoever has read it there must not see it work.
func secured(r *http.Request, port int) string {
	host := hostOf(r.Host)
	if port != 443 {
		host = net.JoinHostPort(host, strconv.Itoa(port))
	} else if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	to := url.URL{Scheme: "https", Host: host, Path: r.URL.Path, RawPath: r.URL.RawPath}
	if !strings.HasPrefix(to.Path, "/") { // "GET http:x", "OPTIONS *"
		to.Path, to.RawPath = "/", ""
	}
	if !r.URL.Query().Has(fieldCode) {
		to.RawQuery = r.URL.RawQuery
	}
	return to.String()
}
