package webui

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"letterbox/appliance/config"
	"letterbox/appliance/mailaddr"
)

// homeTree is where a household without a domain of its own has its addresses: RFC 8375 keeps it free for homes.
const homeTree = "home.arpa"

// proposeDomain makes a mail domain for a household without one: "The Millers" has millers.home.arpa.
func proposeDomain(household string) mailaddr.Domain {
	s := slug(household)
	s = strings.Trim(strings.TrimPrefix(s, "the-"), "-")
	if s == "" {
		s = "our"
	}
	return mailaddr.Domain(strings.TrimRight(s[:min(len(s), 40)], "-") + "." + homeTree)
}

// proposeHostname makes the name under which this box is found: without a domain of one's own the one that the
// machine announces on the LAN (RFC 6762), else mail. and the domain.
func proposeHostname(machine string, own bool, domain mailaddr.Domain) mailaddr.Domain {
	if own {
		return "mail." + domain
	}
	first, _, _ := strings.Cut(machine, ".")
	s := slug(first)
	if _, err := netip.ParseAddr(machine); err == nil || s == "" || s == "localhost" {
		s = "letterbox"
	}
	return mailaddr.Domain(s[:min(len(s), 63)] + ".local")
}

// proposeLogin makes a sign-in name from a full name: "Ann Miller" is ann, or ann.miller when there is an ann.
// It is empty when nothing can be made of it, as from a name in another script.
func proposeLogin(fullName string, c config.Config) string {
	parts := strings.FieldsFunc(slug(fullName), func(r rune) bool { return r == '-' })
	if len(parts) == 0 {
		return ""
	}
	tries := []string{parts[0]}
	if len(parts) > 1 {
		tries = append(tries, parts[0]+"."+parts[len(parts)-1], strings.Join(parts, "."))
	}
	for i := 2; i < 10; i++ {
		tries = append(tries, parts[0]+strconv.Itoa(i))
	}
	i := slices.IndexFunc(tries, func(name string) bool {
		return !taken(name, c) && config.CheckPersonName(name) == nil
	})
	if i < 0 {
		return ""
	}
	return tries[i]
}

// taken reports whether somebody has this name, or an alias is called so.
func taken(name string, c config.Config) bool {
	_, person := c.Person(name)
	return person || slices.ContainsFunc(c.Aliases, func(a config.Alias) bool { return a.Address.Fold().Local() == name })
}

// slug writes text with small letters a to z, digits and hyphens between words. Letters of other scripts are left
// out; Latin ones lose their accents.
func slug(text string) string {
	var b strings.Builder
	gap := false
	for _, r := range strings.ToLower(text) {
		s := latin(r)
		switch {
		case s != "":
			if gap && b.Len() > 0 {
				b.WriteByte('-')
			}
			gap = false
			b.WriteString(s)
		case r != '\'' && r != '’' && !isMark(r):
			gap = true
		}
	}
	return b.String()
}

func isMark(r rune) bool { return r >= 0x300 && r < 0x370 }

// latin returns the plain letters for one small letter; none for what is not Latin.
func latin(r rune) string {
	if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
		return string(r)
	}
	for _, row := range [...]struct{ plain, accented string }{
		{"a", "àáâãāăąǎ"}, {"ae", "äæ"}, {"aa", "å"}, {"c", "çćĉċč"}, {"d", "ďđð"}, {"e", "èéêëēĕėęě"}, {"g", "ĝğġģ"},
		{"h", "ĥħ"}, {"i", "ìíîïĩīĭįı"}, {"j", "ĵ"}, {"k", "ķ"}, {"l", "ĺļľł"}, {"n", "ñńņňŋ"}, {"o", "òóôõōŏő"},
		{"oe", "öøœ"}, {"r", "ŕŗř"}, {"s", "śŝşšș"}, {"ss", "ß"}, {"t", "ţťŧț"}, {"th", "þ"}, {"u", "ùúûũūŭůűų"},
		{"ue", "ü"}, {"w", "ŵ"}, {"y", "ýÿŷ"}, {"z", "źżž"},
	} {
		if strings.ContainsRune(row.accented, r) {
			return row.plain
		}
	}
	return ""
}
