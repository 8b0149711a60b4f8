package appliance

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"time"

	"letterbox/appliance/config"
	"letterbox/appliance/control"
	"letterbox/tls/certs"
	"letterbox/webui"
)

// errNotServing: there is no set-up page to have a code for.
var errNotServing = errors.New("no letterbox is running here; start it with 'letterbox serve' and ask again")

// SetupCode makes a new one-time code for the set-up page, in place of the last, and tells where that page is.
func (a *Appliance) SetupCode(context.Context) (control.SetupInfo, error) {
	if a.started.Load() == nil {
		return control.SetupInfo{}, errNotServing
	}
	code, expires := a.ui.NewSetupCode()
	info := control.SetupInfo{
		Code:            code,
		Expires:         expires,
		Fingerprint:     certs.Fingerprint(a.certs.Serving()),
		RootFingerprint: certs.Fingerprint(a.certs.Root()),
	}
	for _, host := range a.webHosts() {
		page := url.URL{Scheme: "https", Host: host, Path: "/setup", RawQuery: url.Values{"code": {code}}.Encode()}
		info.URLs = append(info.URLs, page.String())
	}
	return info, nil
}

// webHosts are the hosts, with the port where it is not the usual one, under which a browser on the LAN reaches the web pages.
func (a *Appliance) webHosts() []string {
	c, _ := a.Config()
	var hosts []string
	for _, serving := range a.services.status() {
		if serving.Service != string(config.HTTPS) {
			continue
		}
		bound, err := netip.ParseAddrPort(serving.Address)
		if err != nil {
			continue
		}
		port := c.Listen.PublicPort(config.HTTPS)
		if port == 0 {
			port = int(bound.Port())
		}
		if !bound.Addr().IsUnspecified() {
			hosts = append(hosts, webHost(bound.Addr(), port))
			continue
		}
		for _, ip := range a.addresses(c) {
			near := ip.Unmap()
			host := webHost(near, port)
			if (near.IsPrivate() || near == netip.AddrFrom4([4]byte{127, 0, 0, 1})) && !slices.Contains(hosts, host) {
				hosts = append(hosts, host)
			}
		}
	}
	return hosts
}

func webHost(ip netip.Addr, port int) string {
	if port != config.HTTPS.StandardPort() {
		return net.JoinHostPort(ip.String(), strconv.Itoa(port))
	}
	if ip.Is6() {
		return "[" + ip.String() + "]"
	}
	return ip.String()
}

// Certificates tells the set-up page the household's root certificate and what is presented now.
func (a *Appliance) Certificates() webui.Certificates {
	return webui.Certificates{
		RootPEM:         a.certs.RootPEM(),
		RootFingerprint: certs.Fingerprint(a.certs.Root()),
		Served:          certs.Fingerprint(a.certs.Serving()),
	}
}

// Status says how things stand.
func (a *Appliance) Status() control.Status {
	s := a.state.Load()
	var started time.Time
	if at := a.started.Load(); at != nil {
		started = *at
	}
	return control.Status{
		Version:    a.version,
		Configured: s.configured,
		Started:    started,
		Household:  s.config.Household.Name,
		Hostname:   string(s.config.Hostname()),
		People:     len(s.config.People),
		Serving:    a.services.status(),
	}
}
