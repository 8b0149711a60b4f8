package message

import "testing"

func TestAddresses(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"":                                         "NIL",
		" , ,, ":                                   "NIL",
		"ann@example.org":                          `((NIL NIL "ann" "example.org"))`,
		"<ann@example.org>":                        `((NIL NIL "ann" "example.org"))`,
		"Ann <ann@example.org>":                    `(("Ann" NIL "ann" "example.org"))`,
		`"Archer, Ann" <ann@example.org>`:          `(("Archer, Ann" NIL "ann" "example.org"))`,
		`"An\"n\\" <ann@example.org>`:              `(("An\"n\\" NIL "ann" "example.org"))`,
		"ann@example.org (Ann Archer)":             `(("Ann Archer" NIL "ann" "example.org"))`,
		"ann . archer @ example . org":             `((NIL NIL "ann.archer" "example.org"))`,
		"Dr. Ann <ann@example.org>":                `(("Dr. Ann" NIL "ann" "example.org"))`,
		"root":                                     `((NIL NIL "root" "MISSING_DOMAIN"))`,
		"root (Cron)":                              `(("Cron" NIL "root" "MISSING_DOMAIN"))`,
		"Ann Archer":                               `(("Ann Archer" NIL "MISSING_MAILBOX" "MISSING_DOMAIN"))`,
		"Ann <>":                                   `(("Ann" NIL "MISSING_MAILBOX" "MISSING_DOMAIN"))`,
		"@example.org":                             `((NIL NIL "MISSING_MAILBOX" "example.org"))`,
		"Ann Archer ann@example.org":               `(("Ann Archer" NIL "ann" "example.org"))`,
		"a@example.org b@example.org":              `((NIL NIL "a" "example.org")(NIL NIL "b" "example.org"))`,
		"a@example.org; b@example.org":             `((NIL NIL "a" "example.org")(NIL NIL "b" "example.org"))`,
		"a@example.org <a@example.org>":            `(("a@example.org" NIL "a" "example.org"))`,
		"<@x,@y:ann@example.org>":                  `((NIL "@x,@y" "ann" "example.org"))`,
		"G: a@x, B <b@x>; c@x":                     `((NIL NIL "G" NIL)(NIL NIL "a" "x")("B" NIL "b" "x")(NIL NIL NIL NIL)(NIL NIL "c" "x"))`,
		"undisclosed-recipients:;":                 `((NIL NIL "undisclosed-recipients" NIL)(NIL NIL NIL NIL))`,
		`"Quoted group": a@x`:                      `((NIL NIL "Quoted group" NIL)(NIL NIL "a" "x")(NIL NIL NIL NIL))`,
		"=?utf-8?Q?a,b?= <ann@example.org>":        `(("=?utf-8?Q?a,b?=" NIL "ann" "example.org"))`,
		"\xc3\x84nn <\xc3\xa4@example.org>":        "(({4}\r\n\xc3\x84nn NIL {2}\r\n\xc3\xa4 \"example.org\"))",
		`"Ann <ann@example.org>, b@x`:              `(("Ann" NIL "ann" "example.org")(NIL NIL "b" "x"))`,
		"Ann <ann@example.org, b@x":                `(("Ann" NIL "ann" "example.org")(NIL NIL "b" "x"))`,
		"ann@[IPv6:::1], b@x":                      `((NIL NIL "ann" "[IPv6:::1]")(NIL NIL "b" "x"))`,
		"(only a comment)":                         "NIL",
		"ann@example.org (nested (comment)) , b@x": `(("nested (comment)" NIL "ann" "example.org")(NIL NIL "b" "x"))`,
	} {
		if got := string(appendAddresses(nil, raw, 1000)); got != want {
			t.Errorf("%q:\n%s\nwant\n%s", raw, got, want)
		}
	}
}

func TestAddressesStopAtTheLimit(t *testing.T) {
	t.Parallel()
	got := string(appendAddresses(nil, "G: a@x, b@x, c@x;", 60))
	if want := `((NIL NIL "G" NIL)(NIL NIL "a" "x")(NIL NIL "b" "x")(NIL NIL NIL NIL))`; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if got := string(appendAddresses(nil, "a@x", 5)); got != "NIL" {
		t.Errorf("%s, want NIL", got)
	}
}
