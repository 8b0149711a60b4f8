package smtpd

import "testing"

func TestSplitPath(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, path, params string }{
		{"<ann@example.org>", "ann@example.org", ""},
		{" <ann@example.org> SIZE=1", "ann@example.org", " SIZE=1"},
		{"<>", "", ""},
		{"<> BODY=8BITMIME", "", " BODY=8BITMIME"},
		{`<"a> b"@example.org> X`, `"a> b"@example.org`, " X"},
		{`<"a\"> b"@example.org>`, `"a\"> b"@example.org`, ""},
		{"<@one.example,@two.example:ann@example.org>", "ann@example.org", ""},
		{"ann@example.org", "ann@example.org", ""},
		{`"a b"@example.org SIZE=1`, `"a b"@example.org`, " SIZE=1"},
	}
	for _, test := range tests {
		path, params, err := splitPath(test.in)
		if err != nil || path != test.path || params != test.params {
			t.Errorf("%q: %q, %q, %v", test.in, path, params, err)
		}
	}
	for _, in := range []string{"", "<", "<ann@example.org", "<ann@example.org>SIZE=1", `<"ann@example.org>`, "<@one.example>", `<"a\`} {
		if path, params, err := splitPath(in); err == nil {
			t.Errorf("%q: %q, %q", in, path, params)
		}
	}
}

func FuzzSplitPath(f *testing.F) {
	f.Add(`<"a\"> b"@example.org> SIZE=1`)
	f.Add("<@a:b@c>")
	f.Fuzz(func(t *testing.T, s string) {
		if a, _, err := parseReversePath(s); err == nil {
			again, _, err := parseReversePath("<" + a.String() + ">")
			if err != nil || again != a {
				t.Errorf("%q is %q, which is %q, %v", s, a, again, err)
			}
		}
	})
}
