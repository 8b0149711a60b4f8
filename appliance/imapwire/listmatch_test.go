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

func matchList(pattern, name string, delim byte) bool {
	return NewListPattern(pattern, delim).Match(name)
}

func TestListPatternMatch(t *testing.T) {
	for _, c := range listMatchTable {
		if got := matchList(c.pattern, c.name, '/'); got != c.want {
			t.Errorf("matchList(%.40q, %.40q) is %v", c.pattern, c.name, got)
		}
		if got := slowMatch(c.pattern, c.name, '/'); got != c.want {
			t.Errorf("slowMatch(%.40q, %.40q) is %v", c.pattern, c.name, got)
		}
	}
	if matchList("%", "a.b", '.') || !matchList("%", "a/b", '.') || !matchList("inbox.x", "INBOX.x", '.') {
		t.Error("another delimiter than / is not respected")
	}
}

// slowMatch is ListPattern.Match as one would write it down: reached[i] tells whether the name so far matches the first i octets
// of the pattern.
func slowMatch(pattern, name string, delim byte) bool {
	folded := inboxPrefix(name, delim)
	reached := make([]bool, len(pattern)+1)
	reached[0] = true
	wildcards(pattern, reached)
	for j := range len(name) {
		next := make([]bool, len(pattern)+1)
		for i := range len(pattern) {
			switch c := pattern[i]; {
			case c == '*' || c == '%':
				next[i+1] = (reached[i] || reached[i+1]) && (c == '*' || name[j] != delim)
			case c == name[j] || j < folded && strings.EqualFold(string(c), name[j:j+1]):
				next[i+1] = reached[i]
			}
		}
		wildcards(pattern, next)
		reached = next
	}
	return reached[len(pattern)]
}

// wildcards reaches what lies behind a wildcard that stands for nothing.
func wildcards(pattern string, reached []bool) {
	for i := range len(pattern) {
		if pattern[i] == '*' || pattern[i] == '%' {
			reached[i+1] = reached[i+1] || reached[i]
		}
	}
}

func FuzzListPattern(f *testing.F) {
	for _, c := range listMatchTable {
		f.Add(c.pattern, c.name, byte('/'))
	}
	f.Fuzz(func(t *testing.T, pattern, name string, delim byte) {
		got := matchList(pattern, name, delim)
		if len(pattern)*len(name) > 100000 || delim == '*' || delim == '%' {
			return
		}
		if want := slowMatch(pattern, name, delim); got != want {
			t.Fatalf("matchList(%q, %q, %q) is %v", pattern, name, delim, got)
		}
	})
}

func TestListPattern(t *testing.T) {
	p := NewListPattern("Lists/%/2024*", '/')
	if p.Match("Lists/2024") || !p.Match("Lists//2024") {
		t.Error("a short name is matched wrongly")
	}
	if n := testing.AllocsPerRun(100, func() { p.Match("Lists/go/2024-01") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
