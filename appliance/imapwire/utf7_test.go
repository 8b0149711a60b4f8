package imapwire

import (
	"strings"
	"testing"
	"unicode/utf8"
)

var utf7Table = []struct{ utf8, utf7 string }{
	{"", ""},
	{"INBOX", "INBOX"},
	{"a b\"\\", "a b\"\\"},
	{"&", "&-"},
	{"a&b&&", "a&-b&-&-"},
	{"Entwürfe", "Entw&APw-rfe"},
	{"~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"},
	{"ü&ü", "&APw-&-&APw-"},
	{"☺!", "&Jjo-!"},
	{"😀", "&2D3eAA-"},
	{"a\tb", "a&AAk-b"},
	{"Отправленные", "&BB4EQgQ,BEAEMAQyBDsENQQ9BD0ESwQ1-"},
	{"\u007f", "&AH8-"},
}

var badUTF7 = []string{
	"&", "a&", "&APw", "a&b", "&A-", "&AA-", "&APw=-", "&AP/-", "&APx-", // cut short, wrong alphabet, bits left over
	"&AGE-",       // encodes what represents itself
	"&ACY-",       // the same for &
	"&APw-&APw-",  // one run written as two
	"&2D0-",       // half a surrogate pair
	"&3gDYPQ-",    // a pair the wrong way round
	"&2D0APA-",    // a half with something else
	"&AAA-",       // NUL
	"ü", "a\x00b", // not US-ASCII
	"a\tb",
}

func TestUTF7(t *testing.T) {
	for _, c := range utf7Table {
		if got := encodeUTF7(c.utf8); got != c.utf7 {
			t.Errorf("encodeUTF7(%q) is %q, want %q", c.utf8, got, c.utf7)
		}
		if got, err := parseUTF7(c.utf7); got != c.utf8 || err != nil {
			t.Errorf("parseUTF7(%q) is %q, %v, want %q", c.utf7, got, err, c.utf8)
		}
	}
	for _, s := range badUTF7 {
		if got, err := parseUTF7(s); err == nil {
			t.Errorf("parseUTF7(%q) is %q", s, got)
		}
	}
}

func FuzzUTF7(f *testing.F) {
	for _, c := range utf7Table {
		f.Add(c.utf8)
		f.Add(c.utf7)
	}
	for _, s := range badUTF7 {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if name, err := parseUTF7(s); err == nil {
			if !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
				t.Fatalf("%q decodes to %q", s, name)
			}
			if again := encodeUTF7(name); again != s {
				t.Fatalf("%q decodes to %q, which encodes to %q", s, name, again)
			}
		}
		if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			return
		}
		if back, err := parseUTF7(encodeUTF7(s)); err != nil || back != s {
			t.Fatalf("%q encodes to %q, which decodes to %q, %v", s, encodeUTF7(s), back, err)
		}
	})
}
