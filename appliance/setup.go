package appliance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"letterbox/appliance/config"
	"letterbox/appliance/control"
	"letterbox/store/atomicfile"
	"letterbox/tls/certs"
	"letterbox/webui"
)

// codeFile is the file in the data directory that keeps a set-up code, made while no server runs, for the next start.
const codeFile = "setup-code"

// SetupCode makes a new one-time code for the set-up page, in place of the last, and tells where that page is. While a is not running,
// the code waits for the next start, whoever starts it.
func (a *Appliance) SetupCode(context.Context) (control.SetupInfo, error) {
	code, expires := a.ui.NewSetupCode()
	if a.started.Load() == nil {
		line := code + " " + expires.UTC().Format(time.RFC3339) + "\n"
		if err := atomicfile.WriteFile(filepath.Join(a.dir, codeFile), []byte(line), 0o600); err != nil {
			return control.SetupInfo{}, fmt.Errorf("keeping the set-up code for the next start: %w", err)
		}
	}
	return a.setupInfo(code, expires), nil
}

// FirstCode is SetupCode for the console of a server that has just started: a code that has waited for the start stays good.
func (a *Appliance) FirstCode(ctx context.Context) (control.SetupInfo, error) {
	if waited := a.waited.Swap(nil); waited != nil {
		return a.setupInfo(waited.code, waited.expires), nil
	}
	return a.SetupCode(ctx)
}

// waitingCode is a set-up code that was made while no server ran.
type waitingCode struct {
	code    string
	expires time.Time
}

// takeCode makes the code that waits for this start the one that the set-up page asks for. Its file goes: a code is good once.
func (a *Appliance) takeCode() error {
	path := filepath.Join(a.dir, codeFile)
	line, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err == nil {
		err = atomicfile.SyncDir(a.dir)
	}
	if err != nil {
		return fmt.Errorf("taking the set-up code that was made before the start: %w", err)
	}
	code, until, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
	expires, err := time.Parse(time.RFC3339, until)
	if err != nil || !a.now().Before(expires) {
		return nil // too old, or not ours
	}
	a.ui.AcceptSetupCode(code, expires)
	a.waited.Store(&waitingCode{code, expires})
	return nil
}

func (a *Appliance) setupInfo(code string, expires time.Time) control.SetupInfo {
	info := control.SetupInfo{Code: code, Expires: expires, RootFingerprint: certs.Fingerprint(a.certs.Root())}
	if a.started.Load() != nil || a.state.Load().configured { // else the next start presents another certificate
		info.Fingerprint = certs.Fingerprint(a.certs.Serving())
	}
	for _, host := range a.webHosts() {
		page := url.URL{Scheme: "https", Host: host, Path: "/setup", RawQuery: url.Values{"code": {code}}.Encode()}
		info.URLs = append(info.URLs, page.String())
	}
	return info
}

// webHosts are the hosts, with the port where it is not the usual one, under which a browser on the LAN reaches the web pages.
func (a *Appliance) webHosts() []string {
	c, _ := a.Config()
	var hosts []string
	for _, address := range a.webAddresses(c.Listen) {
		host, bound, err := net.SplitHostPort(address)
		if err != nil {
			continue
		}
		port := c.Listen.PublicPort(config.HTTPS)
		if port == 0 { // whatever the system has chosen
			if port, err = strconv.Atoi(bound); err != nil {
				continue
			}
		}
		if ip, err := netip.ParseAddr(host); err == nil && !ip.IsUnspecified() {
			hosts = append(hosts, webHost(ip, port))
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

// webAddresses are those at which the web pages are served, or will be.
func (a *Appliance) webAddresses(l config.Listen) []string {
	if a.started.Load() == nil {
		return l.Addresses(config.HTTPS)
	}
	var serving []string
	for _, s := range a.services.status() {
		if s.Service == string(config.HTTPS) {
			serving = append(serving, s.Address)
		}
	}
	return serving
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
