package imapwire

import (
	"strings"
	"testing"
)

var listMatchTable = []struct {
	pattern, name string
	want          bool
}{
	{"*", "a/b/c", true},
	{"*", "", true},
	{"%", "a", true},
	{"%", "a/b", false},
	{"%/%", "a/b", true},
	{"%/%", "a/b/c", false},
	{"", "", true},
	{"", "a", false},
	{"a", "a", true},
	{"a", "A", false},
	{"a*", "a", true},
	{"a*b", "a/x/b", true},
	{"a%b", "a/b", false},
	{"a%%b", "axyb", true},
	{"a*%*b", "a/b", true},
	{"*a*a*a", "aa", false},
	{"%*", "a/b", true},
	{"*%", "a/b", true},
	{"%/b", "a/b", true},
	{"%b", "a/b", false},
	{"*/", "a/", true},
	{"INBOX", "INBOX", true},
	{"inbox", "INBOX", true},
	{"inbox", "inbox", true},
	{"iNb%", "INBOX", true},
	{"inbox/x", "INBOX/x", true},
	{"inbox/X", "INBOX/x", false},
	{"inbox*", "INBOX/x", true},
	{"inboxes", "INBOXES", false},
	{"%X", "INBOX", true},
	{"%x", "INBOX", true},
	{"%x", "INBOX/X", false},
	{"Entwü%", "Entwürfe", true},
	{"*rfe", "Entwürfe", true},
	{strings.Repeat("a", 63) + "*", strings.Repeat("a", 63), true},
	{strings.Repeat("a", 64) + "*", strings.Repeat("a", 65), true},
	{strings.Repeat("a", 200) + "%c", strings.Repeat("a", 200) + "bc", true},
	{strings.Repeat("a", 200) + "%c", strings.Repeat("a", 200) + "/c", false},
	{strings.Repeat("a", 64), strings.Repeat("a", 63) + "b", false},
	{strings.Repeat("%a", 600), strings.Repeat("xa", 600), true},
	{strings.Repeat("*a", 500) + "b", strings.Repeat("a", 5000), false},
}

func TestMatchList(t *testing.T) {
	for _, c := range listMatchTable {
		if got := MatchList(c.pattern, c.name, '/'); got != c.want {
			t.Errorf("MatchList(%.40q, %.40q) is %v", c.pattern, c.name, got)
		}
	}
	if MatchList("%", "a.b", '.') || !MatchList("%", "a/b", '.') || !MatchList("inbox.x", "INBOX.x", '.') {
		t.Error("another delimiter than / is not respected")
	}
}

// slowMatch is MatchList by trying, for the fuzzer to compare with.
func slowMatch(pattern, name string, delim byte) bool {
	n := inboxPrefix(name, delim)
	return trying(pattern, strings.ToUpper(name[:n])+name[n:], delim, n)
}

func trying(pattern, name string, delim byte, folded int) bool {
	if pattern == "" {
		return name == ""
	}
	if c := pattern[0]; c == '*' || c == '%' {
		if trying(pattern[1:], name, delim, folded) {
			return true
		}
		return name != "" && (c == '*' || name[0] != delim) && trying(pattern, name[1:], delim, folded-1)
	}
	if name == "" {
		return false
	}
	c := pattern[0]
	if folded > 0 && 'a' <= c && c <= 'z' {
		c -= 'a' - 'A'
	}
	return c == name[0] && trying(pattern[1:], name[1:], delim, folded-1)
}

func FuzzMatchList(f *testing.F) {
	for _, c := range listMatchTable {
		f.Add(c.pattern, c.name, byte('/'))
	}
	f.Fuzz(func(t *testing.T, pattern, name string, delim byte) {
		got := MatchList(pattern, name, delim)
		if wildcards := len(pattern) - countLiterals(pattern); wildcards > 4 || len(name) > 100 || delim == '*' || delim == '%' {
			return // the slow way is slow
		}
		if want := slowMatch(pattern, name, delim); got != want {
			t.Fatalf("MatchList(%q, %q, %q) is %v", pattern, name, delim, got)
		}
	})
}

func TestListPatternAllocations(t *testing.T) {
	p := NewListPattern("Lists/%/2024*", '/')
	if n := testing.AllocsPerRun(100, func() { p.Match("Lists/go/2024-01") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
