package config

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"letterbox/appliance/mailaddr"
)

// How much of everything one household may have.
const (
	maxDomains   = 100
	maxPeople    = 200
	maxDevices   = 50 // of one person
	maxAliases   = 1000
	maxAddresses = 32
	maxText      = 100 // runes of a name that people read

	minMessage     = 1 * MB
	maxMessage     = 1 * GiB
	minConnections = 10
	maxConnections = 10000
)

// Validate returns nil or Faults: everything that is wrong, each with the path of its
// field in the file.
func (c Config) Validate() error {
	v := validator{c: c}
	v.root()
	v.domains()
	v.people()
	v.aliases()
	v.listen()
	v.limits()
	if len(v.faults) == 0 {
		return nil
	}
	return v.faults
}

type validator struct {
	c      Config
	faults Faults
}

func (v *validator) fault(field, format string, args ...any) {
	v.faults = append(v.faults, Fault{Field: field, Reason: fmt.Sprintf(format, args...)})
}

// check reports a fault of the field if there is an err.
func (v *validator) check(field string, err error) {
	if err != nil {
		v.fault(field, "%s", err)
	}
}

func (v *validator) root() {
	if v.c.Version != Version {
		v.fault("version", "must be %d", Version)
	}
	if key := v.c.DeviceKey; key != "" && !isKey(key) {
		v.fault("device-key", "must be 64 hexadecimal digits in small letters")
	}
	v.text("household.name", v.c.Household.Name)
	if h := v.c.Household.Hostname; h != "" {
		v.check("household.hostname", checkDomain(h))
	}
}

func (v *validator) domains() {
	if len(v.c.Domains) == 0 {
		v.fault("domain", "there must be at least one, [[domain]]")
	}
	v.atMost("domain", len(v.c.Domains), maxDomains)
	seen := map[mailaddr.Domain]bool{}
	for i, d := range v.c.Domains {
		path := "domain" + index(i)
		v.check(path+".name", checkDomain(d.Name))
		if seen[d.Name] {
			v.fault(path+".name", "%s is there twice", d.Name)
		}
		seen[d.Name] = true
		if d.CatchAll != "" {
			v.person(path+".catch-all", d.CatchAll)
		}
	}
}

func (v *validator) people() {
	if len(v.c.People) == 0 {
		v.fault("person", "there must be at least one, [[person]]")
	}
	v.atMost("person", len(v.c.People), maxPeople)
	names, hashes, kinds := map[string]bool{}, map[Secret]bool{}, map[string]bool{}
	for i, p := range v.c.People {
		path := "person" + index(i)
		v.check(path+".name", CheckPersonName(p.Name))
		if p.Name != "" && names[p.Name] {
			v.fault(path+".name", "%s is there twice", p.Name)
		}
		names[p.Name] = true
		v.text(path+".full-name", p.FullName)
		v.password(path+".password", p.Password, kinds)
		v.quota(path, p.Quota)
		v.devices(path+".device", p.Devices, hashes)
	}
}

// password checks somebody's hash; kinds are those of foreign ones that others have.
func (v *validator) password(path string, hash Secret, kinds map[string]bool) {
	switch {
	case hash == "":
		v.fault(path, "a password is missing")
	case hash == NoPassword:
	case strings.HasPrefix(hash.Reveal(), "{"):
		f, err := ParseForeign(hash)
		if v.check(path, err); err != nil {
			return
		}
		if kinds[f.Kind()] = true; len(kinds) > MaxForeignKinds {
			v.fault(path, "is of another kind again: there may be %d kinds of hashes that other servers made", MaxForeignKinds)
		}
	default:
		_, err := ParseArgon2id(hash)
		v.check(path, err)
	}
}

func (v *validator) devices(path string, devices []Device, hashes map[Secret]bool) {
	v.atMost(path, len(devices), maxDevices)
	if len(devices) > 0 && v.c.DeviceKey == "" && v.faults.For("device-key") == "" {
		v.fault("device-key", "is missing, and without it no device password works")
	}
	names := map[string]bool{}
	for i, d := range devices {
		path := path + index(i)
		name := strings.ToLower(d.Name)
		switch {
		case d.Name == "":
			v.fault(path+".name", "a name is missing")
		case d.Name != strings.TrimSpace(d.Name):
			v.fault(path+".name", "begins or ends with a space")
		case names[name]:
			v.fault(path+".name", "%q is there twice", d.Name)
		default:
			v.text(path+".name", d.Name)
		}
		names[name] = true
		switch {
		case !isKey(d.Hash):
			v.fault(path+".hash", "must be 64 hexadecimal digits in small letters")
		case hashes[d.Hash]:
			v.fault(path+".hash", "belongs to another device as well")
		}
		hashes[d.Hash] = true
		if y := d.Created.Year(); !d.Created.IsZero() && (y < 1 || y > 9999) {
			v.fault(path+".created", "is not a date that can be written")
		}
	}
}

func (v *validator) aliases() {
	v.atMost("alias", len(v.c.Aliases), maxAliases)
	seen := map[mailaddr.Addr]bool{}
	for i, a := range v.c.Aliases {
		path := "alias" + index(i)
		folded := a.Address.Fold()
		switch {
		case a.Address.IsZero():
			v.fault(path+".address", "an address is missing")
		case len(v.c.Domains) > 0 && !v.hasDomain(a.Address.Domain()):
			v.fault(path+".address", "%s is not in a domain of this household", a.Address)
		case seen[folded]:
			v.fault(path+".address", "%s is there twice", a.Address)
		case v.hasPerson(folded.Local()):
			v.fault(path+".address", "%s belongs to %s already", a.Address, folded.Local())
		}
		seen[folded] = true
		if len(a.To) == 0 {
			v.fault(path+".to", "it must say whom the mail is for")
		}
		for j, name := range a.To {
			v.person(path+".to"+index(j), name)
			if slices.Contains(a.To[:j], name) {
				v.fault(path+".to"+index(j), "%s is there twice", name)
			}
		}
	}
}

func (v *validator) listen() {
	l := v.c.Listen
	v.atMost("listen.address", len(l.Address), maxAddresses)
	seen := map[netip.Addr]bool{}
	for i, text := range l.Address {
		ip, err := netip.ParseAddr(text)
		if err != nil {
			v.fault("listen.address"+index(i), "%q is not an IP address", text)
			continue
		}
		if seen[ip] {
			v.fault("listen.address"+index(i), "%s is there twice", text)
		}
		seen[ip] = true
	}
	if most := 65535 - IMAPS.StandardPort(); l.PortOffset < 0 || l.PortOffset > most {
		v.fault("listen.port-offset", "must be between 0 and %d", most)
		return
	}
	v.ports(l)
}

func (v *validator) ports(l Listen) {
	used := map[int]Service{}
	for _, s := range Services() {
		p := *l.Port(s)
		if p.Listen != AnyPort && (p.Listen < 0 || p.Listen > 65535) {
			v.fault(s.Option(), "must be between 1 and 65535")
			continue
		}
		if p.Public < 0 || p.Public > 65535 {
			v.fault("listen."+string(s)+".public-port", "must be between 1 and 65535")
		}
		port := l.listenPort(s)
		if port == 0 || !l.On(s) {
			continue
		}
		other, taken := used[port]
		if taken && p.Listen == 0 { // the other one was moved here
			s, other = other, s
		}
		if taken {
			v.fault(s.Option(), "port %d is used by %s already", port, other)
		}
		used[port] = s
	}
}

func (v *validator) limits() {
	l := v.c.Limits
	if l.MaxMessage != 0 && (l.MaxMessage < minMessage || l.MaxMessage > maxMessage) {
		v.fault("limits.max-message", "must be between %s and %s", minMessage, maxMessage)
	}
	v.quota("limits", l.Quota)
	v.freeSpace(l.FreeSpace)
	if n := l.Connections; n != 0 && (n < minConnections || n > maxConnections) {
		v.fault("limits.connections", "must be between %d and %d", minConnections, maxConnections)
		return
	}
	if n := l.ConnectionsPerAddress; n < 0 || n > l.MaxConnections() {
		v.fault("limits.connections-per-address", "must be between 1 and %d, the number of all connections", l.MaxConnections())
	}
}

// person checks that somebody of this name is there.
func (v *validator) person(field, name string) {
	if !v.hasPerson(name) {
		v.fault(field, "there is nobody called %q", name)
	}
}

func (v *validator) hasPerson(name string) bool {
	return slices.ContainsFunc(v.c.People, func(p Person) bool { return p.Name == name })
}

func (v *validator) hasDomain(d mailaddr.Domain) bool {
	return slices.ContainsFunc(v.c.Domains, func(o Domain) bool { return o.Name == d })
}

func (v *validator) atMost(field string, n, most int) {
	if n > most {
		v.fault(field, "there are %d of them, and %d are the most", n, most)
	}
}

// text checks something that people read: one short line.
func (v *validator) text(field, s string) {
	switch {
	case !utf8.ValidString(s):
		v.fault(field, "is not UTF-8 text")
	case utf8.RuneCountInString(s) > maxText:
		v.fault(field, "is longer than %d letters", maxText)
	case strings.ContainsFunc(s, unicode.IsControl):
		v.fault(field, "holds a line break or another control character")
	}
}

// checkDomain checks that d is a name, in the form that mailaddr gives it.
func checkDomain(d mailaddr.Domain) error {
	if _, err := netip.ParseAddr(strings.Trim(string(d), "[]")); err == nil {
		return fmt.Errorf("%s is an IP address, but must be a name", d)
	}
	parsed, err := mailaddr.ParseDomain(string(d))
	if err != nil {
		return err
	}
	if _, literal := parsed.Literal(); literal {
		return fmt.Errorf("%s is an IP address, but must be a name", d)
	}
	if parsed != d {
		return fmt.Errorf("%q must be written %q", string(d), string(parsed))
	}
	return nil
}

// isKey says whether s is 32 octets in lower-case hex.
func isKey(s Secret) bool {
	b, err := hex.DecodeString(s.Reveal())
	return err == nil && len(b) == 32 && hex.EncodeToString(b) == s.Reveal()
}
