package webui

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// RedirectHandler answers plain HTTP: it sends every browser to the same host over HTTPS, and does nothing else
// but say at /healthz that it serves. httpsPort is asked at each request: the public port of HTTPS.
func RedirectHandler(httpsPort func() int) http.Handler {
	return withHeaders(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			healthz(w, r)
			return
		}
		host := hostOf(r.Host)
		if !plausibleHost(host) {
			http.Error(w, refusalHost.Lead, http.StatusBadRequest)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			// What was sent in the clear is not sent on: the form is to be opened over HTTPS.
			http.Error(w, refusalPlain.Lead, http.StatusForbidden)
			return
		}
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		if p := httpsPort(); p != 443 {
			host = net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(p))
		}
		// Not permanent: ports and names change, and browsers never forget a 301.
		http.Redirect(w, r, "https://"+host+r.URL.RequestURI(), http.StatusTemporaryRedirect)
	}))
}

// plausibleHost reports whether a Host header is a name or an address at all.
func plausibleHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return host != "" && len(host) <= 253 && !strings.ContainsFunc(host, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_')
	})
}
