package mailaddr

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParseDomain(t *testing.T) {
	t.Parallel()
	label63 := strings.Repeat("a", 63)
	tests := []struct {
		in   string
		want Domain // empty: an error
	}{
		{"example.org", "example.org"},
		{"EXAMPLE.Org", "example.org"},
		{"nas", "nas"},
		{"localhost", "localhost"},
		{"house.home.arpa", "house.home.arpa"},
		{"my_nas.lan", "my_nas.lan"},
		{"_dmarc.example.org", "_dmarc.example.org"},
		{"r3---sn-4g5.example", "r3---sn-4g5.example"},
		{"123.example", "123.example"},
		{"bücher.example", "xn--bcher-kva.example"},
		{"BÜCHER.example", "xn--bcher-kva.example"},
		{"bu\u0308cher.example", "xn--bcher-kva.example"}, // combining diaeresis
		{"xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"XN--BCHER-KVA.example", "xn--bcher-kva.example"},
		{"straße.example", "xn--strae-oqa.example"}, // non-transitional
		{"例え.テスト", "xn--r8jz45g.xn--zckzah"},
		{"ex\u0430mple.org", "xn--exmple-4nf.org"}, // a Cyrillic letter stays one
		{"[192.0.2.1]", "[192.0.2.1]"},
		{"[IPv6:2001:DB8::1]", "[IPv6:2001:db8::1]"},
		{"[ipv6:2001:db8:0:0:0:0:0:1]", "[IPv6:2001:db8::1]"},
		{label63 + ".example", Domain(label63 + ".example")},

		{"", ""},
		{".", ""},
		{"example.org.", ""},
		{".example.org", ""},
		{"example..org", ""},
		{"-a.example", ""},
		{"a-.example", ""},
		{"exa mple.org", ""},
		{"example.org\r\n", ""},
		{"ex\x00ample.org", ""},
		{"a/b.example", ""},
		{"a\u2044b.example", "xn--ab-c6t.example"}, // a fraction slash is no slash
		{"\uff20.example", ""},                     // full-width @
		{"\u2100.example", ""},                     // maps to a/c
		{"xn--a.example", ""},                      // no such punycode
		{"xn--.example", ""},
		{"\xff.example", ""},
		{"192.0.2.1", ""},
		{"[192.0.2.1", ""},
		{"[192.0.2.256]", ""},
		{"[2001:db8::1]", ""},
		{"[IPv6:192.0.2.1]", ""},
		{"[IPv6:fe80::1%eth0]", ""},
		{"[x400:abc]", ""},
		{"[]", ""},
		{"[IPv6:]", ""},
		{"a" + label63 + ".example", ""},
		{strings.Repeat(label63+".", 4) + "org", ""},
		{strings.Repeat("a.", 5000) + "org", ""},
	}
	for _, test := range tests {
		got, err := ParseDomain(test.in)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("ParseDomain(%q) = %q, %v; want %q", test.in, got, err, test.want)
		}
	}
}

func TestDomainForPeople(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"xn--bcher-kva.example": "bücher.example",
		"example.org":           "example.org",
		"my_nas":                "my_nas",
		"[192.0.2.1]":           "[192.0.2.1]",
	} {
		d, err := ParseDomain(in)
		if err != nil || d.Unicode() != want {
			t.Errorf("%q reads %q, %v", in, d.Unicode(), err)
		}
	}
}

func TestLiteral(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"[192.0.2.1]": "192.0.2.1", "[IPv6:2001:db8::1]": "2001:db8::1"} {
		d, err := ParseDomain(in)
		if err != nil {
			t.Fatal(err)
		}
		if ip, ok := d.Literal(); !ok || ip != netip.MustParseAddr(want) {
			t.Errorf("%s: %v, %v", d, ip, ok)
		}
	}
	if _, ok := Domain("example.org").Literal(); ok {
		t.Error("a name is no literal")
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	local64 := strings.Repeat("a", 64)
	tests := []struct {
		in, local string
		domain    Domain // empty: an error
		out       string // empty: as in
	}{
		{"ann@example.org", "ann", "example.org", ""},
		{"Ann.Smith@Example.ORG", "Ann.Smith", "example.org", "Ann.Smith@example.org"},
		{"ann+shop@example.org", "ann+shop", "example.org", ""},
		{"!#$%&'*+-/=?^_`{|}~@example.org", "!#$%&'*+-/=?^_`{|}~", "example.org", ""},
		{`"ann"@example.org`, "ann", "example.org", "ann@example.org"},
		{`"ann smith"@example.org`, "ann smith", "example.org", ""},
		{`"a@b"@example.org`, "a@b", "example.org", ""},
		{`"a\"\\b"@example.org`, `a"\b`, "example.org", ""},
		{`"\a\b"@example.org`, "ab", "example.org", "ab@example.org"},
		{`".."@example.org`, "..", "example.org", ""},
		{`""@example.org`, "", "example.org", ""},
		{"jürg@bücher.example", "jürg", "xn--bcher-kva.example", "jürg@xn--bcher-kva.example"},
		{`"jürg müller"@example.org`, "jürg müller", "example.org", ""},
		{"ann@[192.0.2.1]", "ann", "[192.0.2.1]", ""},
		{"ann@[IPv6:::1]", "ann", "[IPv6:::1]", ""},
		{"root@nas", "root", "nas", ""},
		{"ann%elsewhere.example@example.org", "ann%elsewhere.example", "example.org", ""},
		{local64 + "@example.org", local64, "example.org", ""},

		{"", "", "", ""},
		{"ann", "", "", ""},
		{"@example.org", "", "", ""},
		{"ann@", "", "", ""},
		{"ann@example.org@example.net", "", "", ""},
		{".ann@example.org", "", "", ""},
		{"ann.@example.org", "", "", ""},
		{"an..n@example.org", "", "", ""},
		{"ann smith@example.org", "", "", ""},
		{"ann(comment)@example.org", "", "", ""},
		{"<ann@example.org>", "", "", ""},
		{"Ann <ann@example.org>", "", "", ""},
		{"@one.example:ann@example.org", "", "", ""},
		{`"ann@example.org`, "", "", ""},
		{`"ann\`, "", "", ""},
		{`"ann"x@example.org`, "", "", ""},
		{"ann@example.org\r\nRCPT TO:<x@y.example>", "", "", ""},
		{"ann\r\n@example.org", "", "", ""},
		{"\"ann\r\n\"@example.org", "", "", ""},
		{"\"ann\x00\"@example.org", "", "", ""},
		{"\"ann\\\r\"@example.org", "", "", ""},
		{"ann\u0085@example.org", "", "", ""}, // a control character of Latin-1
		{"ann\u2028@example.org", "", "", ""},
		{"j\xfcrg@example.org", "", "", ""},
		{"a" + local64 + "@example.org", "", "", ""},
		{local64 + "@" + strings.Repeat("abcdefg.", 24) + "org", "", "", ""},
		{strings.Repeat("a", 100000), "", "", ""},
	}
	for _, test := range tests {
		got, err := Parse(test.in)
		if (err == nil) != (test.domain != "") || got.Local() != test.local || got.Domain() != test.domain {
			t.Errorf("Parse(%q) = %q at %q, %v", test.in, got.Local(), got.Domain(), err)
			continue
		}
		if out := test.out; err == nil {
			if out == "" {
				out = test.in
			}
			if got.String() != out {
				t.Errorf("Parse(%q) is written %q", test.in, got)
			}
		}
	}
}

func TestParseSender(t *testing.T) {
	t.Parallel()
	long := "bounce-" + strings.Repeat("v", 100)
	for in, want := range map[string]string{
		"ann@example.org":                    "ann@example.org",
		"scanner@192.168.1.20":               "scanner@192.168.1.20",
		"a..b.@carrier.example":              `"a..b."@carrier.example`,
		".a@carrier.example":                 `".a"@carrier.example`,
		long + "@list.example":               long + "@list.example",
		"ann\n@example.org":                  "",
		"ann":                                "",
		"a b@example.org":                    "",
		"ann@exa mple.org":                   "",
		long + long + long + "@list.example": "",
	} {
		a, err := ParseSender(in)
		if a.String() != want || (err == nil) != (want != "") {
			t.Errorf("ParseSender(%q) = %q, %v; want %q", in, a, err, want)
		}
		if again, err := ParseSender(a.String()); want != "" && (err != nil || again != a) {
			t.Errorf("%q parses to %q, %v", a, again, err)
		}
	}
}

func TestFold(t *testing.T) {
	t.Parallel()
	same := [][2]string{
		{"Ann@example.org", "ann@EXAMPLE.org"},
		{`"Ann"@example.org`, "ann@example.org"},
		{"JÜRG@example.org", "jürg@example.org"},
		{"ju\u0308rg@example.org", "jürg@example.org"},
		{"ΣΟΦΟΣ@example.org", "σοφος@example.org"},
		{"σοφος@example.org", "σοφοσ@example.org"}, // final sigma
		{"ann@bücher.example", "ann@xn--bcher-kva.example"},
	}
	for _, pair := range same {
		if a, b := must(t, pair[0]), must(t, pair[1]); a.Fold() != b.Fold() {
			t.Errorf("%s and %s differ", a, b)
		}
	}
	different := [][2]string{
		{"ann@example.org", "\u0430nn@example.org"},   // Cyrillic
		{"anns@example.org", "ann\u017f@example.org"}, // long s
		{"ann@example.org", "\uff41nn@example.org"},   // full-width
		{"fi@example.org", "\ufb01@example.org"},      // ligature
		{"ann@example.org", "ann@ex\u0430mple.org"},   // Cyrillic
		{"a.nn@example.org", "ann@example.org"},       // dots count
		{"ann@example.org", "ann+shop@example.org"},   // details count
		{"i@example.org", "\u0131@example.org"},       // dotless i
		{"strasse@example.org", "straße@example.org"},
	}
	for _, pair := range different {
		if a, b := must(t, pair[0]), must(t, pair[1]); a.Fold() == b.Fold() {
			t.Errorf("%s and %s are one", a, b)
		}
	}
}

func must(t *testing.T, s string) Addr {
	t.Helper()
	a, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestDetail(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, base, detail string }{
		{"ann+shop@example.org", "ann@example.org", "shop"},
		{"ann+a+b@example.org", "ann@example.org", "a+b"},
		{"ann+@example.org", "ann@example.org", ""},
		{"ann@example.org", "", ""},
		{"+shop@example.org", "", ""},
	}
	for _, test := range tests {
		a := must(t, test.in)
		base, detail, ok := a.Detail()
		if want := test.base; want == "" {
			if ok || base != a {
				t.Errorf("%s has a detail: %s, %q", a, base, detail)
			}
		} else if !ok || base.String() != want || detail != test.detail {
			t.Errorf("%s: %s, %q, %v", a, base, detail, ok)
		}
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	if a, err := New("ann smith", "example.org"); err != nil || a.String() != `"ann smith"@example.org` {
		t.Errorf("%s, %v", a, err)
	}
	for _, local := range []string{"a\nb", "\xff", strings.Repeat("a", 65)} {
		if a, err := New(local, "example.org"); err == nil {
			t.Errorf("New takes %q: %s", local, a)
		}
	}
	if _, err := New("ann", ""); err == nil {
		t.Error("New takes no domain")
	}
}

func TestSpecialAddresses(t *testing.T) {
	t.Parallel()
	var null Addr
	if !null.IsZero() || null.String() != "" || null.Fold() != null {
		t.Errorf("the null reverse-path is %q", null)
	}
	if p := Postmaster(); p.IsZero() || p.String() != "postmaster" || p.Fold() != p {
		t.Errorf("postmaster is %q", p)
	}
	if a := must(t, "jürg@bücher.example"); a.IsASCII() || a.Unicode() != "jürg@bücher.example" {
		t.Errorf("%s, %s, %v", a, a.Unicode(), a.IsASCII())
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"ann@example.org", `"a\"b c"@[IPv6:::1]`, "jürg@bücher.example", "a..b@x", "a@xn--bcher-kva", "a@1.2.3.4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		strictly, err := Parse(s)
		a, lenientErr := ParseSender(s)
		if err == nil && (lenientErr != nil || a != strictly) {
			t.Fatalf("%q: Parse gives %q, ParseSender %q, %v", s, strictly, a, lenientErr)
		}
		if lenientErr != nil {
			return
		}
		checkRoundTrip(t, a)
		checkRoundTrip(t, a.Fold())
		if a.Fold().Fold() != a.Fold() {
			t.Errorf("%q folds to %q and then to %q", a, a.Fold(), a.Fold().Fold())
		}
	})
}

func checkRoundTrip(t *testing.T, a Addr) {
	t.Helper()
	s := a.String()
	if again, err := ParseSender(s); err != nil || again != a {
		t.Errorf("%q parses to %q, %v", s, again, err)
	}
	if strings.ContainsAny(s, "\r\n\x00") {
		t.Errorf("%q holds a control character", s)
	}
}

func FuzzParseDomain(f *testing.F) {
	for _, s := range []string{"example.org", "bücher.example", "xn--bcher-kva", "[192.0.2.1]", "[IPv6:2001:db8::1]", "a_b", "\u3002"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDomain(s)
		if err != nil {
			return
		}
		if again, err := ParseDomain(string(d)); err != nil || again != d {
			t.Errorf("%q is %q, which is %q, %v", s, d, again, err)
		}
		if again, err := ParseDomain(d.Unicode()); err != nil || again != d {
			t.Errorf("%q reads %q, which is %q, %v", d, d.Unicode(), again, err)
		}
	})
}
