package maildir

import (
	"strings"
	"testing"
	"time"
)

func TestParseName(t *testing.T) {
	t.Parallel()
	const base = "1795448895.M578423P22302.vm,S=23,W=26"
	tests := []struct {
		file string
		want Name
		back string // "" for the same
	}{
		{base, Name{Base: base}, ""},
		{base + ":2,", Name{Base: base, HasInfo: true}, ""},
		{base + ":2,DFPRST", Name{Base: base, HasInfo: true, Flags: Draft | Flagged | Passed | Answered | Seen | Deleted}, ""},
		{base + ":2,TSS", Name{Base: base, HasInfo: true, Flags: Seen | Deleted}, base + ":2,ST"},
		{base + ":2,Sabz", Name{Base: base, HasInfo: true, Flags: Seen, Keywords: 1 | 2 | 1<<25}, ""},
		{base + ":2,zXSX", Name{Base: base, HasInfo: true, Flags: Seen, Keywords: 1 << 25, Unknown: "X"}, base + ":2,SXz"},
		{base + ":2,S,more", Name{Base: base, HasInfo: true, Flags: Seen, Unknown: ",more"}, ""},
		{base + ":2,ES,more", Name{Base: base, HasInfo: true, Flags: Seen, Unknown: "E,more"}, ""},
		{base + ":1,x", Name{Base: base, HasInfo: true}, base + ":2,"},
		{base + ":", Name{Base: base, HasInfo: true}, base + ":2,"},
		{"odd", Name{Base: "odd"}, ""},
	}
	for _, tt := range tests {
		got := ParseName(tt.file)
		if got != tt.want {
			t.Errorf("ParseName(%q) = %+v, want %+v", tt.file, got, tt.want)
		}
		back := tt.back
		if back == "" {
			back = tt.file
		}
		if got.File() != back {
			t.Errorf("ParseName(%q).File() = %q, want %q", tt.file, got.File(), back)
		}
	}
}

func TestSizesInNames(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]Sizes{
		"1.a.h,S=23,W=26":              {23, 26},
		"1.a.h,W=26,S=23":              {23, 26},
		"1.a.h,S=23":                   {23, -1},
		"1.a.h":                        {-1, -1},
		"1.a.h,S=-1,W=x":               {-1, -1},
		"1.a.h,S=99999999999999999999": {-1, -1},
		"S=23":                         {-1, -1},
	} {
		if got := (Name{Base: base}).Sizes(); got != want {
			t.Errorf("sizes of %q = %+v, want %+v", base, got, want)
		}
	}
}

func TestNamer(t *testing.T) {
	t.Parallel()
	now := time.Unix(1795448895, 578423000)
	n := newNamer(now, "our/box:1")
	if !isPrefix(n.prefix) {
		t.Errorf("the prefix %q is not taken for one", n.prefix)
	}
	seen := map[string]bool{}
	for range 1000 {
		base := n.Next(Sizes{12, 14})
		if seen[base] {
			t.Fatalf("%q came twice", base)
		}
		seen[base] = true
		if !strings.HasPrefix(base, n.prefix) || ParseName(base) != (Name{Base: base}) || (Name{Base: base}).Sizes() != (Sizes{12, 14}) {
			t.Fatalf("%q is not a good base name", base)
		}
	}
	if a, b := newNamer(now, "h").prefix, newNamer(now, "h").prefix; a == b {
		t.Errorf("two operations at one time share the prefix %q", a)
	}
	if base := newNamer(now, "").Next(Sizes{-1, -1}); !strings.HasSuffix(base, "Q1.localhost") {
		t.Errorf("without sizes and host: %q", base)
	}
}

func TestPrefixesThatAreNone(t *testing.T) {
	t.Parallel()
	good := newNamer(time.Now(), "").prefix
	for _, s := range []string{"", "1", good[:len(good)-1], good + "1", strings.Replace(good, ".M", ".", 1), "x" + good} {
		if isPrefix(s) {
			t.Errorf("%q is taken for the prefix of an operation", s)
		}
	}
}

func FuzzParseName(f *testing.F) {
	f.Add("1.a.h,S=1:2,FSa")
	f.Add("1:2,,")
	f.Add(":::")
	f.Add("1:2,\xffS")
	f.Fuzz(func(t *testing.T, file string) {
		n := ParseName(file)
		n.Sizes()
		once := n.File()
		// Writing a name again changes nothing, and loses no flag.
		again := ParseName(once)
		if again.File() != once || again.Flags != n.Flags || again.Keywords != n.Keywords || again.Base != n.Base {
			t.Fatalf("%q became %q (%+v), then %q (%+v)", file, once, n, again.File(), again)
		}
	})
}
