package imapwire

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestAppendStrings(t *testing.T) {
	long := strings.Repeat("x", 1001)
	for _, c := range []struct{ in, plain, utf8, astring string }{
		{"", `""`, `""`, `""`},
		{"abc", `"abc"`, `"abc"`, `abc`},
		{"nil", `"nil"`, `"nil"`, `"nil"`},
		{"a]b", `"a]b"`, `"a]b"`, `a]b`},
		{"a b", `"a b"`, `"a b"`, `"a b"`},
		{`a"b\`, `"a\"b\\"`, `"a\"b\\"`, `"a\"b\\"`},
		{"a\tb", "\"a\tb\"", "\"a\tb\"", "\"a\tb\""},
		{"a\r\nb", "{4}\r\na\r\nb", "{4}\r\na\r\nb", "{4}\r\na\r\nb"},
		{"ä", "{2}\r\nä", `"ä"`, "{2}\r\nä"},
		{"\xe4", "{1}\r\n\xe4", "{1}\r\n\xe4", "{1}\r\n\xe4"},
		{"a\x00b", "{2}\r\nab", "{2}\r\nab", "{2}\r\nab"},
		{long, "{1001}\r\n" + long, "{1001}\r\n" + long, long},
	} {
		if got := string(AppendString(nil, c.in, false)); got != c.plain {
			t.Errorf("AppendString(%.20q) is %.40q", c.in, got)
		}
		if got := string(AppendString(nil, []byte(c.in), true)); got != c.utf8 {
			t.Errorf("AppendString(%.20q) with UTF-8 is %.40q", c.in, got)
		}
		if got := string(appendAString(nil, c.in, false)); got != c.astring {
			t.Errorf("appendAString(%.20q) is %.40q", c.in, got)
		}
	}
	if got := string(appendQuoted(nil, "a\r\n\x00\"ä")); got != `"a\"ä"` {
		t.Error(got)
	}
}

func TestAppendMailbox(t *testing.T) {
	for _, c := range []struct{ name, utf7, utf8 string }{
		{"INBOX", "INBOX", "INBOX"},
		{"", `""`, `""`},
		{"NIL", `"NIL"`, `"NIL"`},
		{"Sent Mail", `"Sent Mail"`, `"Sent Mail"`},
		{"a&b", "a&-b", "a&b"},
		{"Entwürfe", "Entw&APw-rfe", `"Entwürfe"`},
		{"Entwürfe 2", `"Entw&APw-rfe 2"`, `"Entwürfe 2"`},
		{`a"b\ü`, `"a\"b\\&APw-"`, `"a\"b\\ü"`},
		{"a%b", `"a%b"`, `"a%b"`},
		{"a\r\nb", "a&AA0ACg-b", "{4}\r\na\r\nb"},
	} {
		if got := string(AppendMailbox(nil, c.name, false)); got != c.utf7 {
			t.Errorf("%q is %q, want %q", c.name, got, c.utf7)
		}
		if got := string(AppendMailbox(nil, c.name, true)); got != c.utf8 {
			t.Errorf("%q with UTF-8 is %q, want %q", c.name, got, c.utf8)
		}
	}
}

func TestAppendNumSet(t *testing.T) {
	for want, in := range map[string][]uint32{
		"": nil, "7": {7}, "1:2": {1, 2}, "1:3,5,7:8": {1, 2, 3, 5, 7, 8}, "3:4,1:2,2": {3, 4, 1, 2, 2},
		"4294967294:4294967295,1": {4294967294, 4294967295, 1},
	} {
		if got := string(AppendNumSet(nil, in)); got != want {
			t.Errorf("%v is %q, want %q", in, got, want)
		}
	}
}

func TestAppendSmallThings(t *testing.T) {
	date := time.Date(1996, 7, 7, 2, 44, 25, 0, time.FixedZone("", -7*3600))
	for _, c := range []struct {
		got  []byte
		want string
	}{
		{AppendFlags(nil, nil), "()"},
		{AppendFlags(nil, []string{`\Seen`, "$Junk"}), `(\Seen $Junk)`},
		{AppendDateTime(nil, date), `" 7-Jul-1996 02:44:25 -0700"`},
		{AppendLiteralHeader(nil, 310, false), "{310}\r\n"},
		{AppendLiteralHeader(nil, 0, true), "~{0}\r\n"},
		{AppendText(nil, "all is well"), "all is well"},
		{AppendText(nil, ""), "-"},
		{AppendText(nil, "[ALERT] a\r\nb\x00 grün \xff"), "(ALERT] a  b  gr?n ?"},
		{[]byte(StatusUIDNext.String()), "UIDNEXT"},
	} {
		if string(c.got) != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

// The Append functions are on the way of every message of a FETCH: none may allocate.
func TestAppendAllocations(t *testing.T) {
	buf := make([]byte, 0, 4096)
	uids := []uint32{1, 2, 3, 7}
	flags := []string{`\Seen`, "$Junk"}
	raw := []byte("Grüße \"x\"")
	date := time.Date(1996, 7, 7, 2, 44, 25, 0, time.UTC)
	item := FetchItem{Kind: FetchSection, Section: Section{Part: []int{1, 2}, Spec: SectionHeaderFields, Fields: []string{"Date", "x y"}},
		Partial: Partial{Set: true, Offset: 7, Length: 8}}
	set := mustSet(t, "9,1:5,*")
	spans := make([]Span, 0, 8)
	for name, f := range map[string]func(){
		"AppendString":        func() { AppendString(buf, raw, true) },
		"AppendString 7-bit":  func() { AppendString(buf, raw, false) },
		"appendAString":       func() { appendAString(buf, raw[:3], false) },
		"AppendMailbox":       func() { AppendMailbox(buf, "Entwürfe/日本語 \"", false) },
		"AppendMailbox UTF-8": func() { AppendMailbox(buf, "Entwürfe", true) },
		"AppendFlags":         func() { AppendFlags(buf, flags) },
		"AppendNumSet":        func() { AppendNumSet(buf, uids) },
		"AppendDateTime":      func() { AppendDateTime(buf, date) },
		"AppendLiteralHeader": func() { AppendLiteralHeader(buf, 123456, true) },
		"AppendText":          func() { AppendText(buf, "all is wöll") },
		"AppendName":          func() { item.AppendName(buf) },
		"UIDSpans":            func() { UIDSpans(spans, set, uids) },
	} {
		if n := testing.AllocsPerRun(100, f); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// FuzzEncode: what is written is read back as it was.
func FuzzEncode(f *testing.F) {
	for _, s := range []string{"", "abc", "NIL", `a"b\`, "a\r\nb", "Entwürfe", "inbox", "\xff", "a\x00b", "a]b", "&", "{5}"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, s string, allow8bit bool) {
		for _, b := range [][]byte{AppendString(nil, s, allow8bit), appendAString(nil, s, allow8bit)} {
			d := NewDecoder(b, DecoderOptions{UTF8: allow8bit})
			if got := d.astring("it"); d.end() != nil || got != strings.ReplaceAll(s, "\x00", "") {
				t.Fatalf("%q is written %q and read %q, %v", s, b, got, d.err)
			}
		}
		if text := AppendText(nil, s); strings.ContainsAny(string(text), "\r\n\x00") || len(text) == 0 || text[0] == '[' {
			t.Fatalf("text %q", text)
		}
		if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			return
		}
		b := AppendMailbox(nil, s, allow8bit)
		d := NewDecoder(b, DecoderOptions{UTF8: allow8bit})
		if got := d.mailbox("it"); d.end() != nil || got != canonicalInbox(s) {
			t.Fatalf("mailbox %q is written %q and read %q, %v", s, b, got, d.err)
		}
	})
}
