package webui

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"letterbox/appliance/config"
)

var loopback = netip.MustParseAddr("127.0.0.1")

func TestCode(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^([0-9a-hjkmnp-tv-z]{4}-){6}[0-9a-hjkmnp-tv-z]{4}$`)
	clock := newClock()
	var c setupCode
	if c.try("", clock.now()) != codeVoid {
		t.Error("no code at all is a code")
	}
	first, expires := c.renew(clock.now())
	if !form.MatchString(first) || expires != clock.now().Add(time.Hour) {
		t.Errorf("code %q until %s", first, expires)
	}
	second, _ := c.renew(clock.now())
	steps := []struct {
		does  string
		typed string
		want  verdict
	}{
		{"the code before", first, codeWrong},
		{"half of it", second[:17], codeWrong},
		{"as a phone types it", strings.ToUpper(strings.ReplaceAll(second, "-", " ")) + " ", codeRight},
		{"twice", second, codeVoid},
	}
	for _, s := range steps {
		if got := c.try(s.typed, clock.now()); got != s.want {
			t.Errorf("%s: %d, want %d", s.does, got, s.want)
		}
	}
	if got := plainCode("O0-iIlL–a"); got != "001111a" {
		t.Errorf("letters that look alike: %q", got)
	}
}

func TestCodeIsRefused(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := visit(t, Options{Appliance: newHouse(), Now: clock.now})
	b.wantPage(b.post("/setup", fieldCode, "abcd"), 422, "no longer good") // none was made
	b.wantPage(b.post("/setup", fieldCode, " - "), 422, faultNoCode)

	code, _ := b.ui.NewSetupCode()
	for range codeTries - 1 {
		b.wantPage(b.post("/setup", fieldCode, "abcd-efgh"), 422, faultCodeWrong, `value="abcd-efgh"`)
	}
	b.wantPage(b.post("/setup", fieldCode, "abcd-efgh"), 422, "no longer good") // the tenth
	b.wantPage(b.post("/setup", fieldCode, code), 422, "no longer good")

	code, _ = b.ui.NewSetupCode()
	clock.advance(codeLife)
	b.wantPage(b.post("/setup", fieldCode, code), 422, "no longer good")

	code, _ = b.ui.NewSetupCode()
	b.wantPage(b.get("/setup?code="+url.QueryEscape(code)), 200, `value="`+code+`"`)
	a := b.post("/setup", fieldCode, code)
	b.wantMove(a, "/setup/household")
	cookie := a.header.Get("Set-Cookie")
	for _, attribute := range []string{"__Host-", "HttpOnly", "Secure", "SameSite=Lax", "Path=/"} {
		if !strings.Contains(cookie, attribute) {
			t.Errorf("the cookie lacks %s: %s", attribute, cookie)
		}
	}
	b.wantMove(b.post("/setup", fieldCode, code), "/setup") // a double click

	b.client = b.another() // somebody else with the same code
	b.wantPage(b.post("/setup", fieldCode, code), 422, "no longer good")
	b.wantMove(b.get("/setup/household"), "/setup")
	b.wantMove(b.post("/setup/apply", fieldRevision, "1"), "/setup")
}

// ask sends one request that did not come through a real connection.
func ask(ui http.Handler, edit func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "https://192.168.1.2/setup", nil)
	r.RemoteAddr = "192.168.1.7:5000"
	edit(r)
	w := httptest.NewRecorder()
	ui.ServeHTTP(w, r)
	return w
}

func TestWhoIsServed(t *testing.T) {
	t.Parallel()
	ui := New(Options{Appliance: millers(t), Machine: "nas"})
	for peer, want := range map[string]int{
		"127.0.0.1:1": 200, "[::1]:1": 200, "10.1.2.3:1": 200, "172.31.0.1:1": 200, "192.168.0.1:1": 200, "169.254.3.4:1": 200, "[fe80::1%eth0]:1": 200,
		"[fd12::1]:1": 200, "[::ffff:192.168.0.1]:1": 200,
		"172.32.0.1:1": 403, "8.8.8.8:1": 403, "100.64.0.1:1": 403, "[2001:db8::1]:1": 403, "[::ffff:8.8.8.8]:1": 403, "": 403, "@": 403,
	} {
		if got := ask(ui, func(r *http.Request) { r.RemoteAddr = peer }); got.Code != want {
			t.Errorf("peer %q: %d, want %d", peer, got.Code, want)
		}
		if got := ask(ui, func(r *http.Request) { r.RemoteAddr, r.URL.Path = peer, "/healthz" }); got.Code != 200 || got.Body.String() != "ok\n" {
			t.Errorf("peer %q at /healthz: %d", peer, got.Code)
		}
	}
	for host, want := range map[string]int{
		"192.168.1.2": 200, "192.168.1.2:10443": 200, "[fd00::2]": 200, "[fd00::2]:443": 200, "localhost:10443": 200, "nas": 200, "NAS.local.": 200, "box.home.arpa": 200,
		"millers.home.arpa": 200, "mail.millers.home.arpa": 200, "letterbox.lan": 200,
		"": 421, "evil.example": 421, "nas.local.evil.example": 421, "a b": 421, "evil.example#.local": 421, "nas.fritz.box": 200, "xlocal.example": 421, "192.168.1.2.nip.io": 421,
	} {
		if got := ask(ui, func(r *http.Request) { r.Host = host }); got.Code != want {
			t.Errorf("host %q: %d, want %d", host, got.Code, want)
		}
	}
	for _, name := range []string{"X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"} {
		if got := ask(ui, func(r *http.Request) { r.Header.Set(name, "192.168.1.9") }); got.Code != 403 {
			t.Errorf("with %s: %d", name, got.Code)
		}
	}
	for _, path := range []string{"/", "/setup", "/root.crt"} {
		if got := ask(ui, func(r *http.Request) { r.TLS, r.URL.Path = nil, path }); got.Code != 403 || strings.Contains(got.Body.String(), "BEGIN") {
			t.Errorf("%s without TLS: %d", path, got.Code)
		}
	}
}

func TestFormsOfOthersAreRefused(t *testing.T) {
	t.Parallel()
	h := newHouse()
	b := visit(t, Options{Appliance: h})
	revision := b.fill()
	for _, header := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}} {
		for _, path := range []string{"/setup", "/setup/household", "/setup/address", "/setup/person", "/setup/apply", "/setup/another"} {
			r := b.form(path, fieldRevision, revision)
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Set(header[0], header[1])
			b.wantPage(b.do(r), 403, "another web site")
		}
	}
	if h.updates != 0 {
		t.Error("applied by another site")
	}
}

func TestOddRequests(t *testing.T) {
	t.Parallel()
	b := visit(t, Options{Appliance: newHouse()})
	b.wantPage(b.get("/nothing"), 404, "Nothing here")
	b.wantPage(b.get("/static/style.css"), 404)
	b.wantPage(b.get("/setup/"), 404)
	b.wantMove(b.get("/root.crt"), "/setup")
	big := strings.Repeat("x", maxBody+1)
	b.wantPage(b.post("/setup", fieldCode, big), 413)
	half := ask(b.ui, func(r *http.Request) {
		r.Method, r.Body = "POST", io.NopCloser(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("code=abcd"))))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	})
	if half.Code != 400 || !strings.Contains(half.Body.String(), "did not arrive whole") {
		t.Errorf("half a form: %d\n%s", half.Code, half.Body)
	}
	b.enter()
	b.wantPage(b.post("/setup/household", fieldHousehold, big), 413)
	b.wantMove(b.post("/setup/another"), "/setup/household")
	b.wantMove(b.get("/setup/done"), "/setup/household")
	b.wantMove(b.get("/setup/apply"), "/setup/household")
	b.wantMove(b.post("/setup/apply", fieldRevision, "1"), "/setup/household")
	r := b.form("/setup/household")
	r.Method = "DELETE"
	if a := b.do(r); a.status != 404 && a.status != 405 {
		t.Errorf("DELETE: %d", a.status)
	}
	b.wantPage(b.post("/setup/household", fieldHousehold, `<img src=x onerror="alert(1)">`), 303)
	b.post("/setup/address", fieldKind, kindHome)
	b.post("/setup/person", fieldFullName, `<b>Ann`, fieldPassword, goodPassword, fieldAgain, goodPassword)
	a := b.get("/setup/review")
	b.wantPage(a, 200, "&lt;img src=x", "&lt;b&gt;Ann")
	if strings.Contains(a.body, "<img src=x") {
		t.Error("what was typed is part of the page")
	}
}

func TestHeadersAndWeight(t *testing.T) {
	t.Parallel()
	b := visit(t, Options{Appliance: newHouse()})
	revision := b.fill()
	style := b.get(b.ui.views.style.path)
	icon := b.get(b.ui.views.icon.path)
	if !strings.Contains(style.header.Get("Cache-Control"), "immutable") || style.header.Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("the style sheet comes with %v", style.header)
	}
	pages := map[string]answer{"done": {}}
	for _, path := range []string{"/setup/household", "/setup/address", "/setup/person", "/setup/review"} {
		pages[path] = b.get(path)
	}
	pages["done"] = b.post("/setup/apply", fieldRevision, revision)
	pages["home"] = b.get("/")
	outward := regexp.MustCompile(`(src|href|action)="(https?:)?//`)
	for name, a := range pages {
		b.wantPage(a, 200, "<!doctype html>", `<html lang="en">`, "<h1>")
		if weight := len(a.body) + len(style.body) + len(icon.body); weight > 60<<10 {
			t.Errorf("%s weighs %d bytes", name, weight)
		}
		if outward.MatchString(a.body) || strings.Contains(a.body, "<script") || strings.Contains(a.body, "style=") {
			t.Errorf("%s asks elsewhere, or carries a script or a style", name)
		}
		keep := "no-store"
		if name == "done" { // Back shows it again
			keep = "private, no-cache"
		}
		if got := a.header.Get("Cache-Control"); got != keep {
			t.Errorf("%s may be kept: %s", name, got)
		}
		csp := a.header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "form-action 'self'"} {
			if !strings.Contains(csp, want) || strings.Contains(csp, "unsafe") {
				t.Errorf("%s has the policy %q", name, csp)
			}
		}
		if a.header.Get("Referrer-Policy") != "same-origin" || a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s has the headers %v", name, a.header)
		}
	}
}

func TestRootCertificate(t *testing.T) {
	t.Parallel()
	b := visit(t, Options{Appliance: millers(t)})
	a := b.get("/root.crt")
	b.wantPage(a, 200, "BEGIN CERTIFICATE")
	if a.header.Get("Content-Type") != "application/x-x509-ca-cert" || !strings.Contains(a.header.Get("Content-Disposition"), "letterbox-root.crt") {
		t.Errorf("headers %v", a.header)
	}
}

func TestSettingsShowPublicPorts(t *testing.T) {
	t.Parallel()
	h := millers(t)
	h.c.Listen = config.Listen{PortOffset: 10000, IMAPS: config.Port{Public: 993}, Submission: config.Port{Off: true}, Submissions: config.Port{Off: true}}
	b := visit(t, Options{Appliance: h})
	a := b.get("/")
	b.wantPage(a, 200, "<b>993</b> with SSL/TLS", "<b>10143</b> with STARTTLS", "one person has")
	if strings.Contains(a.body, "Outgoing") || strings.Contains(a.body, "10993") {
		t.Errorf("services that are off, or ports that nobody reaches:\n%s", a.body)
	}
}

func TestAddressUsed(t *testing.T) {
	t.Parallel()
	b := visit(t, Options{Appliance: millers(t)})
	port := b.server.Listener.Addr().(interface{ AddrPort() netip.AddrPort }).AddrPort().Port()
	r, err := http.NewRequest("GET", b.server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "nas.local:" + itoa(int(port))
	b.wantPage(b.do(r), 200, "on this machine itself may type <b>127.0.0.1</b>")
}

func TestRedirect(t *testing.T) {
	t.Parallel()
	port := 443
	handler := New(Options{Appliance: millers(t), Machine: "nas"}).RedirectHandler(func() int { return port })
	for _, c := range []struct {
		method, host, target string
		port, status         int
		location             string
	}{
		{"GET", "nas.local", "/", 443, 307, "https://nas.local/"},
		{"GET", "NAS.local.:80", "/x?a=b&c=%20", 10443, 307, "https://nas.local:10443/x?a=b&c=%20"},
		{"GET", "nas.local", "/setup?code=a-b", 443, 307, "https://nas.local/setup"},
		{"GET", "mail.millers.home.arpa", "/root.crt", 443, 307, "https://mail.millers.home.arpa/root.crt"},
		{"HEAD", "192.168.1.2", "/x", 443, 307, "https://192.168.1.2/x"},
		{"GET", "[fd00::2]:8080", "/", 443, 307, "https://[fd00::2]/"},
		{"GET", "[fd00::2]", "/", 10443, 307, "https://[fd00::2]:10443/"},
		{"GET", "nas.local", "//evil.example/", 443, 307, "https://nas.local//evil.example/"},
		{"GET", "nas.local", "http://nas.local/x", 443, 307, "https://nas.local/x"},
		{"GET", "nas.local", "http:.evil.example", 443, 307, "https://nas.local/"},
		{"GET", "evil.example", "/", 443, 421, ""},
		{"GET", "203.0.113.9", "/", 443, 421, ""},
		{"GET", "[2001:db8::1]", "/", 443, 421, ""},
		{"GET", "nas.local@evil.example", "/", 443, 421, ""},
		{"GET", "evil.example#.local", "/", 443, 421, ""},
		{"GET", "a b", "/", 443, 421, ""},
		{"GET", "", "/", 443, 421, ""},
		{"POST", "nas.local", "/setup", 443, 403, ""},
		{"GET", "evil.example", "/healthz", 443, 200, ""},
	} {
		port = c.port
		target, err := url.ParseRequestURI(c.target)
		if err != nil {
			t.Fatal(err)
		}
		r := &http.Request{Method: c.method, Host: c.host, URL: target, RequestURI: c.target, Header: http.Header{}}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != c.status || w.Header().Get("Location") != c.location {
			t.Errorf("%s %s%s: %d to %q, want %d to %q", c.method, c.host, c.target, w.Code, w.Header().Get("Location"), c.status, c.location)
		}
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	b := visit(t, Options{Appliance: newHouse()})
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"HEAD", "/setup", 200, ""},
		{"PUT", "/setup", 405, "GET, HEAD, POST"},
		{"OPTIONS", "/setup", 405, "GET, HEAD, POST"},
		{"TRACE", "/", 405, "GET, HEAD"},
		{"GET", "/setup/another", 405, "POST"},
		{"DELETE", "/nothing", 404, ""},
	} {
		r := b.form(c.path)
		r.Method = c.method
		if a := b.do(r); a.status != c.status || a.header.Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q", c.method, c.path, a.status, a.header.Get("Allow"))
		}
	}
}

// The colours of the style sheet are readable: WCAG 2.2, 1.4.3, a contrast of 4.5 for text and 3 for the edges of fields.
func TestContrast(t *testing.T) {
	t.Parallel()
	css := string(New(Options{Appliance: newHouse()}).views.style.data)
	light, rest, _ := strings.Cut(css, "@media (prefers-color-scheme: dark)")
	dark, _, _ := strings.Cut(rest, "*, *::before")
	colour := regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6})`)
	for scheme, text := range map[string]string{"light": light, "dark": dark} {
		is := map[string]string{}
		for _, m := range colour.FindAllStringSubmatch(text, -1) {
			is[m[1]] = m[2]
		}
		for _, pair := range []struct {
			front, back string
			least       float64
		}{
			{"ink", "paper", 7}, {"ink", "card", 7}, {"ink", "wash", 7}, {"ink", "fault-wash", 7}, {"soft", "card", 4.5}, {"soft", "paper", 4.5}, {"soft", "wash", 4.5},
			{"accent", "card", 4.5}, {"accent", "wash", 4.5}, {"accent", "paper", 4.5}, {"on-accent", "accent", 4.5}, {"fault", "card", 4.5}, {"field", "card", 3},
		} {
			if got := contrast(t, is[pair.front], is[pair.back]); got < pair.least {
				t.Errorf("%s: %s on %s has a contrast of %.2f, less than %.1f", scheme, pair.front, pair.back, got, pair.least)
			}
		}
	}
}

func TestRenderFailsWhole(t *testing.T) {
	t.Parallel()
	ui := New(Options{Appliance: newHouse()})
	w := httptest.NewRecorder()
	ui.render(w, 200, "review", page{Data: "not what the page wants"})
	if w.Code != 500 || bytes.Contains(w.Body.Bytes(), []byte("<html")) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
