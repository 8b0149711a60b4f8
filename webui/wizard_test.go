package webui

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"letterbox/appliance/accounts"
	"letterbox/appliance/config"
	"letterbox/appliance/mailaddr"
)

func TestFirstSetUp(t *testing.T) {
	t.Parallel()
	h := newHouse()
	b := visit(t, Options{Appliance: h})
	b.wantMove(b.get("/"), "/setup")
	b.wantPage(b.get("/setup"), 200, "One-time code")
	revision := b.fill()
	b.wantPage(b.get("/setup/review"), 200, "The Millers", "millers.home.arpa", "nas.local", "Ann Miller", "ann@millers.home.arpa")
	if h.updates != 0 {
		t.Fatal("something was applied before the last click")
	}
	b.wantPage(b.post("/setup/apply", fieldRevision, revision), 200,
		"Your letterbox is ready", "nas.local", "127.0.0.1", "993", "465", "ann@millers.home.arpa", "/root.crt", "AA:BB:CC:DD:", "11:22:33:44:")
	c, configured := h.Config()
	if !configured || c.Household.Name != "The Millers" || c.MainDomain() != "millers.home.arpa" || c.Hostname() != "nas.local" {
		t.Errorf("applied %+v", c)
	}
	if len(c.People) != 1 || c.People[0].Name != "ann" || c.People[0].FullName != "Ann Miller" {
		t.Fatalf("applied people %+v", c.People)
	}
	a := accounts.New(accounts.Options{})
	a.Apply(c)
	if _, err := a.SignIn(t.Context(), "ann", goodPassword, loopback); err != nil {
		t.Errorf("the password does not work: %v", err)
	}
	b.wantPage(b.get("/setup/done"), 200, "Your letterbox is ready")
	b.wantPage(b.get("/"), 200, "Your letterbox is running", "The Millers", "nas.local")
}

func TestAppliedOnce(t *testing.T) {
	t.Parallel()
	h := newHouse()
	b := visit(t, Options{Appliance: h})
	revision := b.fill()
	var both sync.WaitGroup
	for range 3 {
		both.Go(func() {
			b.wantPage(b.post("/setup/apply", fieldRevision, revision), 200, "Your letterbox is ready")
		})
	}
	both.Wait()
	b.wantPage(b.post("/setup/apply", fieldRevision, revision), 200, "Your letterbox is ready") // reload
	b.wantMove(b.get("/setup/household"), "/setup/done")
	b.wantMove(b.post("/setup/household", fieldHousehold, "Others"), "/setup/done")
	if h.updates != 1 {
		t.Errorf("applied %d times", h.updates)
	}
}

func TestAnotherPerson(t *testing.T) {
	t.Parallel()
	h := newHouse()
	b := visit(t, Options{Appliance: h})
	first := b.fill()
	b.post("/setup/apply", fieldRevision, first)
	b.wantMove(b.post("/setup/another"), "/setup/person")
	b.wantPage(b.get("/setup/person"), 200, "Ann Miller", "Who else lives here?")
	b.wantPage(b.post("/setup/person"), 422, faultNoFullName, faultNoPassword)
	b.wantPage(b.post("/setup/person", fieldFullName, "Ann", fieldLogin, "ann", fieldPassword, goodPassword, fieldAgain, goodPassword), 422, faultTaken)
	b.wantMove(b.post("/setup/person", fieldFullName, "Ann Other"), "/setup/review")
	b.wantPage(b.post("/setup/apply", fieldRevision, first), 409, "ann.other") // the old last page, reloaded
	b.wantPage(b.post("/setup/apply", fieldRevision, b.revision(b.get("/setup/review"))), 200, "One more mailbox is ready", "ann.other")
	c, _ := h.Config()
	if len(c.People) != 2 || c.People[1].Name != "ann.other" || h.updates != 2 {
		t.Errorf("%d updates, people %+v", h.updates, c.People)
	}
}

func TestAgainOverAHousehold(t *testing.T) {
	t.Parallel()
	h := millers(t)
	h.c.Domains[0].CatchAll = "ann"
	before, _ := h.Config()
	b := visit(t, Options{Appliance: h})
	b.enter()
	b.wantMove(b.get("/setup"), "/setup/person") // what is there is good
	b.wantPage(b.get("/setup/person"), 200, "To add nobody", `<a href="/setup/household">Household</a>`)
	b.wantPage(b.get("/setup/household"), 200, `value="The Millers"`)
	b.wantMove(b.post("/setup/household", fieldHousehold, "The Smiths"), "/setup/person")
	b.wantPage(b.get("/setup/address"), 200, "millers.home.arpa</b> goes on arriving")
	b.wantMove(b.post("/setup/address", fieldKind, kindOwn, fieldDomain, "Müller.Example"), "/setup/person")
	b.wantMove(b.post("/setup/person"), "/setup/review") // nobody
	a := b.get("/setup/review")
	b.wantPage(a, 200, "müller.example", "instead of millers.home.arpa", "mail.müller.example", "nobody")
	b.wantPage(b.post("/setup/apply", fieldRevision, b.revision(a)), 200, "All set", "The change is in force")
	c, _ := h.Config()
	want := []config.Domain{{Name: "xn--mller-kva.example"}, before.Domains[0]}
	if len(c.Domains) != 2 || c.Domains[0] != want[0] || c.Domains[1] != want[1] || len(c.People) != 1 {
		t.Errorf("applied %+v", c)
	}
}

// Whoever adds a person, or gives the household another name, changes nobody's address and no mail program's settings.
func TestNamesStay(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*config.Config){
		"mail at home":         func(*config.Config) {},
		"no host name":         func(c *config.Config) { c.Household.Hostname = "" },
		"domain of their own":  func(c *config.Config) { c.Domains[0].Name, c.Household.Hostname = "example.org", "mail.example.org" },
		"other home domain":    func(c *config.Config) { c.Domains[0].Name, c.Household.Hostname = "demo.home.arpa", "" },
		"household not called": func(c *config.Config) { c.Household.Name = "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := millers(t)
			edit(&h.c)
			before, _ := h.Config()
			b := visit(t, Options{Appliance: h})
			b.enter()
			b.post("/setup/household", fieldHousehold, "The Smiths")
			b.wantMove(b.post("/setup/person", fieldFullName, "Ben", fieldPassword, goodPassword, fieldAgain, goodPassword), "/setup/review")
			a := b.get("/setup/review")
			b.wantPage(a, 200, "Save the changes")
			if strings.Contains(a.body, "instead of") {
				t.Errorf("something is replaced:\n%s", a.body)
			}
			b.wantPage(b.post("/setup/apply", fieldRevision, b.revision(a)), 200, "One more mailbox is ready", "Ben has a mailbox here now")
			after, _ := h.Config()
			if after.MainDomain() != before.MainDomain() || after.Hostname() != before.Hostname() || len(after.Domains) != 1 || len(after.People) != 2 {
				t.Errorf("before %+v\nafter %+v", before, after)
			}
		})
	}
}

func TestFaultsStandBesideTheirFields(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 101)
	for _, c := range []struct {
		name, path string
		form       []string
		field      string
		fault      string
	}{
		{"no household", "/setup/household", []string{fieldHousehold, "  "}, fieldHousehold, faultNoHousehold},
		{"long household", "/setup/household", []string{fieldHousehold, long}, fieldHousehold, "longer than 100 letters"},
		{"household in two lines", "/setup/household", []string{fieldHousehold, "a\nb"}, fieldHousehold, "line break"},
		{"no domain", "/setup/address", []string{fieldKind, kindOwn}, fieldDomain, faultNoDomain},
		{"bad domain", "/setup/address", []string{fieldKind, kindOwn, fieldDomain, "exa mple.org"}, fieldDomain, "cannot stand in a domain name"},
		{"address for a domain", "/setup/address", []string{fieldKind, kindOwn, fieldDomain, "[192.0.2.1]"}, fieldDomain, "IP address"},
		{"one label", "/setup/address", []string{fieldKind, kindOwn, fieldDomain, "millers"}, fieldDomain, faultOneLabel},
		{"bad host name", "/setup/address", []string{fieldKind, kindHome, fieldHostname, "-nas"}, fieldHostname, "hyphen"},
		{"address for a host name", "/setup/address", []string{fieldKind, kindHome, fieldHostname, "192.168.1.2"}, fieldHostname, "IP address"},
		{"no full name", "/setup/person", []string{fieldLogin, "ann", fieldPassword, goodPassword, fieldAgain, goodPassword}, fieldFullName, faultNoFullName},
		{"name in another script", "/setup/person", []string{fieldFullName, "Άννα", fieldPassword, goodPassword, fieldAgain, goodPassword}, fieldLogin, faultNoLogin},
		{"bad sign-in name", "/setup/person", []string{fieldFullName, "Ann", fieldLogin, "ann@home", fieldPassword, goodPassword, fieldAgain, goodPassword}, fieldLogin, "begins with a letter"},
		{"reserved sign-in name", "/setup/person", []string{fieldFullName, "Ann", fieldLogin, "postmaster", fieldPassword, goodPassword, fieldAgain, goodPassword}, fieldLogin, "reserved"},
		{"no password", "/setup/person", []string{fieldFullName, "Ann"}, fieldPassword, faultNoPassword},
		{"short password", "/setup/person", []string{fieldFullName, "Ann", fieldPassword, "short", fieldAgain, "short"}, fieldPassword, "too short"},
		{"other password", "/setup/person", []string{fieldFullName, "Ann", fieldPassword, goodPassword, fieldAgain, "three calm swans"}, fieldAgain, faultPasswordsDiffer},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := visit(t, Options{Appliance: newHouse()})
			b.enter()
			for _, before := range [][]string{{"/setup/household", fieldHousehold, "Us"}, {"/setup/address", fieldKind, kindHome}} {
				if before[0] == c.path {
					break
				}
				b.wantMove(b.post(before[0], before[1:]...), "")
			}
			a := b.post(c.path, c.form...)
			b.wantPage(a, 422, `id="`+c.field+`-fault"`, `aria-invalid="true"`, "<title>Look again: ")
			if !strings.Contains(faultOf(a.body, c.field), htmlText(c.fault)) {
				t.Errorf("beside %s stands %q, want %q", c.field, faultOf(a.body, c.field), c.fault)
			}
			again := b.get(c.path) // a reload keeps what was typed
			for i := 0; i < len(c.form); i += 2 {
				typed := `value="` + htmlText(strings.TrimSpace(c.form[i+1])) + `"`
				isPassword := c.form[i] == fieldPassword || c.form[i] == fieldAgain
				for when, body := range map[string]string{"answered": a.body, "reloaded": again.body} {
					if strings.Contains(body, typed) == isPassword {
						t.Errorf("%s, field %s: is what was typed on the page? %v", when, c.form[i], !isPassword)
					}
				}
			}
		})
	}
}

func faultOf(body, field string) string {
	_, after, _ := strings.Cut(body, `id="`+field+`-fault">`)
	text, _, _ := strings.Cut(after, "</p>")
	return text
}

func htmlText(s string) string {
	return strings.NewReplacer(`"`, "&#34;", "'", "&#39;", "&", "&amp;", "<", "&lt;").Replace(s)
}

func TestPasswordIsKeptOverAnotherFault(t *testing.T) {
	t.Parallel()
	b := visit(t, Options{Appliance: newHouse()})
	b.enter()
	b.post("/setup/household", fieldHousehold, "Us")
	b.post("/setup/address", fieldKind, kindHome)
	b.wantPage(b.post("/setup/person", fieldPassword, goodPassword, fieldAgain, goodPassword), 422, faultNoFullName, "The password is kept")
	b.wantMove(b.post("/setup/person", fieldFullName, "Ann"), "/setup/review")
	b.wantPage(b.post("/setup/person", fieldFullName, "Ann", fieldPassword, "a", fieldAgain, "a"), 422)
	b.wantMove(b.get("/setup/review"), "/setup/person") // what was good is no longer
}

func TestBackKeepsWhatWasTyped(t *testing.T) {
	t.Parallel()
	b := visit(t, Options{Appliance: newHouse()})
	b.enter()
	b.wantMove(b.get("/setup/review"), "/setup/household") // nobody jumps ahead
	b.post("/setup/household", fieldHousehold, "Us")
	b.wantMove(b.post("/setup/address", fieldKind, kindOwn, fieldDomain, "half a dom", fieldBack, "1"), "/setup/household")
	b.wantPage(b.get("/setup/household"), 200, `value="Us"`)
	b.wantMove(b.post("/setup/household", fieldHousehold, "Us two"), "/setup/address")
	b.wantPage(b.get("/setup/address"), 200, `value="half a dom"`)
}

func TestStaleReviewIsNotApplied(t *testing.T) {
	t.Parallel()
	h := newHouse()
	b := visit(t, Options{Appliance: h})
	seen := b.fill()
	b.post("/setup/household", fieldHousehold, "Somebody else") // in another tab
	b.wantPage(b.post("/setup/apply", fieldRevision, seen), 409, faultNotShown, "Somebody else")
	if h.updates != 0 {
		t.Error("applied what was not shown")
	}
}

func TestApplyFails(t *testing.T) {
	t.Parallel()
	h := newHouse()
	b := visit(t, Options{Appliance: h})
	revision := b.fill()
	h.fails = fmt.Errorf("opening the ports: %w", errPortTaken)
	b.wantPage(b.post("/setup/apply", fieldRevision, revision), 500, "Opening the ports: port 993 is used by another program", `name="revision"`)
	h.fails = config.Faults{{Field: "person[0].name", Reason: "is there twice"}}
	b.wantPage(b.post("/setup/apply", fieldRevision, revision), 422, "is there twice")
	h.fails = nil
	b.wantPage(b.post("/setup/apply", fieldRevision, revision), 200, "Your letterbox is ready")
}

func TestSessionEnds(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := visit(t, Options{Appliance: newHouse(), Now: clock.now})
	b.enter()
	b.post("/setup/household", fieldHousehold, "Us")
	clock.advance(sessionIdle)
	b.wantPage(b.get("/setup/address"), 200)
	clock.advance(sessionIdle + time.Second)
	b.wantMove(b.get("/setup/address"), "/setup")
	b.wantPage(b.get("/setup"), 200, "Nothing has been changed")
	if a := b.get("/setup"); strings.Contains(a.body, "Nothing has been changed") {
		t.Error("said twice")
	}
}

func TestSessionsAreBounded(t *testing.T) {
	t.Parallel()
	clock := newClock()
	var s sessions
	first := s.begin(clock.now())
	for range 3 * maxSessions {
		clock.advance(time.Second)
		s.begin(clock.now())
	}
	if len(s.byID) != maxSessions || s.byID[first.id] != nil {
		t.Errorf("%d sessions are kept", len(s.byID))
	}
}

func TestProposals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ household, domain string }{
		{"The Millers", "millers.home.arpa"}, {"Familie Müller-Groß", "familie-mueller-gross.home.arpa"}, {"O’Brien & Łukasz", "obrien-lukasz.home.arpa"},
		{"Boat \"Aurora\" 2", "boat-aurora-2.home.arpa"}, {"Το σπίτι", "our.home.arpa"}, {"  --  ", "our.home.arpa"}, {"The", "the.home.arpa"},
		{strings.Repeat("long ", 30), strings.TrimSuffix(strings.Repeat("long-", 8), "-") + ".home.arpa"}, {"Zoe\u0301", "zoe.home.arpa"},
	} {
		got := proposeDomain(c.household)
		if string(got) != c.domain {
			t.Errorf("domain for %q: %q, want %q", c.household, got, c.domain)
		}
		if parsed, err := mailaddr.ParseDomain(string(got)); err != nil || parsed != got {
			t.Errorf("domain for %q: %v", c.household, err)
		}
	}
	for _, c := range []struct {
		machine string
		own     bool
		want    mailaddr.Domain
	}{
		{"nas", false, "nas.local"}, {"NAS.fritz.box", false, "nas.local"}, {"", false, "letterbox.local"}, {"localhost", false, "letterbox.local"},
		{"localhost.localdomain", false, "letterbox.local"}, {"10.0.0.1", false, "letterbox.local"}, {"my_pi", false, "my-pi.local"}, {"nas", true, "mail.example.org"},
	} {
		if got := proposeHostname(c.machine, c.own, "example.org"); got != c.want {
			t.Errorf("host name on %q: %q, want %q", c.machine, got, c.want)
		}
	}
	taken := config.Config{People: []config.Person{{Name: "ann"}}}
	for _, c := range []struct{ full, login string }{
		{"Ann Miller", "ann.miller"}, {"Ann", "ann2"}, {"Ben", "ben"}, {"Björn Ø. Åse", "bjoern"}, {"Άννα", ""}, {"Root Beer", "root.beer"}, {"1st Mate", ""}, {"José-María", "jose"},
	} {
		got := proposeLogin(c.full, taken)
		if got != c.login {
			t.Errorf("sign-in name for %q: %q, want %q", c.full, got, c.login)
		}
		if got != "" && config.CheckPersonName(got) != nil {
			t.Errorf("sign-in name for %q: %v", c.full, config.CheckPersonName(got))
		}
	}
}

// The hint tells the rule that there is.
func TestPasswordHint(t *testing.T) {
	t.Parallel()
	if !strings.Contains(hintPassword, "10 characters") || accounts.CheckPassword("ann", "heron-987") == nil || accounts.CheckPassword("ann", "heron-9876") != nil {
		t.Error("the hint says something else than the rule")
	}
}

// Whatever is typed, the pages answer, and what is applied can be saved.
func FuzzWizard(f *testing.F) {
	f.Add("The Millers", kindOwn, "example.org", "nas.local", "Ann Miller", "ann")
	f.Add("", "", "", "", "", "")
	f.Add("<script>", kindOwn, "xn--a.example", "[::1]", "\x00\xff", "con.txt")
	f.Add(strings.Repeat("ü", 200), kindHome, "", strings.Repeat("a.", 120), "A", strings.Repeat("b", 65))
	hash, err := accounts.HashPassword(goodPassword)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, household, kind, domain, hostname, full, login string) {
		h := newHouse()
		d := draft{Password: hash}
		good := len(d.takeHousehold(map[string][]string{fieldHousehold: {household}})) == 0
		good = len(d.takeAddress(map[string][]string{fieldKind: {kind}, fieldDomain: {domain}, fieldHostname: {hostname}}, "nas")) == 0 && good
		good = len(d.takePerson(map[string][]string{fieldFullName: {full}, fieldLogin: {login}}, h.c, false)) == 0 && good
		err := h.Update(t.Context(), func(c *config.Config) error { return d.change(c, "nas", false) })
		if good && err != nil {
			t.Errorf("every page was found good, but: %v", err)
		}
	})
}
