package mailaddr

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Limits in octets, RFC 5321, 4.5.3.1 and RFC 1035, 2.3.4.
const (
	maxLocal  = 64
	maxDomain = 255
	maxAddr   = 254 // a path is 256 with its angle brackets
	maxLabel  = 63
)

// A Domain is the part of an address after the @: a name in lower-case A-label form ("xn--bcher-kva.example"),
// or an address literal ("[192.0.2.1]", "[IPv6:2001:db8::1]"). Compare domains with ==.
type Domain string

// ParseDomain reads a domain name, with U-labels or A-labels and in any case, or an address literal. It is forgiving
// where names of a LAN are: single labels ("nas", "localhost") and underscores are names too. A trailing dot, an empty
// label, a bare IP address and anything that is longer than DNS can hold are errors.
func ParseDomain(s string) (Domain, error) {
	d, err := parseDomain(s)
	if err != nil {
		return "", err
	}
	if _, err := netip.ParseAddr(string(d)); err == nil {
		return "", fmt.Errorf("domain %q is an IP address and needs brackets: [%s]", clip(s), d)
	}
	return d, nil
}

// parseDomain is ParseDomain that lets bare IPv4 addresses pass, as some devices write them after the @.
func parseDomain(s string) (Domain, error) {
	switch {
	case s == "":
		return "", errors.New("domain is empty")
	case len(s) > 4*maxDomain: // no U-label form of a name that fits is longer
		return "", errors.New("domain is too long")
	case s[0] == '[':
		return parseLiteral(s)
	}
	name := s
	if !isASCII(s) || hasALabel(s) {
		var err error
		if name, err = toASCII(s); err != nil {
			return "", fmt.Errorf("domain %q is not a valid international name", clip(s))
		}
	}
	name = asciiLower(name)
	if len(name) > maxDomain-2 { // 255 with the length octets of the first label and of the root, RFC 1035, 2.3.4
		return "", fmt.Errorf("domain %q is longer than %d octets", clip(s), maxDomain-2)
	}
	for label := range strings.SplitSeq(name, ".") {
		if err := checkLabel(label); err != nil {
			return "", fmt.Errorf("domain %q: %w", clip(s), err)
		}
	}
	return Domain(name), nil
}

// checkLabel checks one lower-case label: letters, digits, hyphens inside, and underscores.
func checkLabel(label string) error {
	switch {
	case label == "":
		return errors.New("a label is empty")
	case len(label) > maxLabel:
		return fmt.Errorf("a label is longer than %d octets", maxLabel)
	case label[0] == '-' || label[len(label)-1] == '-':
		return errors.New("a label begins or ends with a hyphen")
	}
	for i := range len(label) {
		c := label[i]
		if ('a' > c || c > 'z') && ('0' > c || c > '9') && c != '-' && c != '_' {
			return fmt.Errorf("%q cannot stand in a domain name", string(rune(c)))
		}
	}
	return nil
}

// toASCII maps a name with U-labels to A-labels (UTS 46, non-transitional) and checks the A-labels it holds.
func toASCII(s string) (string, error) {
	p := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false),
		idna.StrictDomainName(false), idna.CheckHyphens(false))
	name, err := p.ToASCII(s)
	if err != nil {
		return "", err
	}
	// What we give back must be its own A-label form, whichever way it was spelled.
	again, err := p.ToASCII(name)
	if err != nil {
		return "", err
	}
	if again != name {
		return "", errors.New("name has no stable form")
	}
	return name, nil
}

// parseLiteral reads an address literal, RFC 5321, 4.1.3. General-address-literals have no use and are refused.
func parseLiteral(s string) (Domain, error) {
	inner, ok := strings.CutSuffix(s[1:], "]")
	if !ok {
		return "", fmt.Errorf("address literal %q has no closing bracket", clip(s))
	}
	if len(inner) > 5 && strings.EqualFold(inner[:5], "IPv6:") {
		ip, err := netip.ParseAddr(inner[5:])
		if err != nil || !ip.Is6() || ip.Zone() != "" {
			return "", fmt.Errorf("address literal %q holds no IPv6 address", clip(s))
		}
		return Domain("[IPv6:" + ip.String() + "]"), nil
	}
	ip, err := netip.ParseAddr(inner)
	if err != nil || !ip.Is4() {
		return "", fmt.Errorf("address literal %q holds no IPv4 address", clip(s))
	}
	return Domain("[" + ip.String() + "]"), nil
}

// Literal tells whether the domain is an address literal, and which address it holds.
func (d Domain) Literal() (netip.Addr, bool) {
	s, ok := strings.CutPrefix(string(d), "[")
	if !ok {
		return netip.Addr{}, false
	}
	s = strings.TrimPrefix(strings.TrimSuffix(s, "]"), "IPv6:")
	ip, err := netip.ParseAddr(s)
	return ip, err == nil
}

// Unicode gives the domain as people read it, with U-labels. Labels that have no such form stay as they are.
func (d Domain) Unicode() string {
	if !hasALabel(string(d)) {
		return string(d)
	}
	u, err := idna.New(idna.BidiRule(), idna.StrictDomainName(false), idna.CheckHyphens(false)).ToUnicode(string(d))
	if err != nil {
		return string(d)
	}
	return u
}

// String gives the domain in A-label form.
func (d Domain) String() string { return string(d) }

func hasALabel(s string) bool {
	for i := 0; i+4 <= len(s); i++ {
		if (i == 0 || s[i-1] == '.') && strings.EqualFold(s[i:i+4], "xn--") {
			return true
		}
	}
	return false
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// clip shortens what somebody else wrote, for an error message.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}
