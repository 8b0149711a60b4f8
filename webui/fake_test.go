package webui

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"letterbox/appliance/config"
)

// house is an Appliance that keeps its configuration in memory.
type house struct {
	mu         sync.Mutex
	c          config.Config
	configured bool
	updates    int
	fails      error // what Update answers
}

func (h *house) Config() (config.Config, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.c.Clone(), h.configured
}

func (h *house) Update(_ context.Context, change func(*config.Config) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := h.c.Clone()
	if err := change(&next); err != nil {
		return err
	}
	if h.fails != nil {
		return h.fails
	}
	if err := next.Validate(); err != nil {
		return err
	}
	h.c, h.configured = next, true
	h.updates++
	return nil
}

func (h *house) Certificates() Certificates {
	return Certificates{
		RootPEM:         []byte("-----BEGIN CERTIFICATE-----\n"),
		RootFingerprint: strings.TrimSuffix(strings.Repeat("AA:BB:CC:DD:", 8), ":"),
		Served:          strings.TrimSuffix(strings.Repeat("11:22:33:44:", 8), ":"),
	}
}

// millers is a household that is set up, with ann in it.
func millers(t *testing.T) *house {
	t.Helper()
	h := newHouse()
	d := draft{Household: "The Millers", FullName: "Ann Miller"}
	if f := d.takePassword("ann", goodPassword, goodPassword); f.text != "" {
		t.Fatal(f.text)
	}
	if err := h.Update(t.Context(), func(c *config.Config) error { return d.change(c, "nas", false) }); err != nil {
		t.Fatal(err)
	}
	h.updates = 0
	return h
}

func newHouse() *house { return &house{c: config.Default()} }

const goodPassword = "three calm herons"

// clock is a time that only tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// browser speaks to a UI over TLS and keeps its cookies, as a browser would.
type browser struct {
	t      *testing.T
	ui     *UI
	server *httptest.Server
	client *http.Client
}

// visit starts a server for the UI and opens a browser.
func visit(t *testing.T, o Options) *browser {
	t.Helper()
	if o.Machine == "" {
		o.Machine = "nas"
	}
	b := &browser{t: t, ui: New(o)}
	b.server = httptest.NewTLSServer(b.ui)
	t.Cleanup(b.server.Close)
	b.client = b.another()
	return b
}

// another is a further browser, without cookies.
func (b *browser) another() *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	b.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// answer is what a browser shows.
type answer struct {
	status   int
	location string
	header   http.Header
	body     string
}

func (b *browser) do(r *http.Request) answer {
	b.t.Helper()
	res, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header.Get("Location"), res.Header, string(body)}
}

func (b *browser) get(path string) answer {
	b.t.Helper()
	r, err := http.NewRequest("GET", b.server.URL+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(r)
}

// post sends a form as browsers do: pairs of field and value.
func (b *browser) post(path string, pairs ...string) answer {
	b.t.Helper()
	return b.do(b.form(path, pairs...))
}

func (b *browser) form(path string, pairs ...string) *http.Request {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	r, err := http.NewRequest("POST", b.server.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return r
}

// enter types the code.
func (b *browser) enter() {
	b.t.Helper()
	code, _ := b.ui.NewSetupCode()
	b.wantMove(b.post("/setup", fieldCode, code), "")
}

// fill goes through the wizard up to the review and returns the revision to apply.
func (b *browser) fill() (revision string) {
	b.t.Helper()
	b.enter()
	b.wantMove(b.post("/setup/household", fieldHousehold, "The Millers"), "/setup/address")
	b.wantMove(b.post("/setup/address", fieldKind, kindHome), "/setup/person")
	b.wantMove(b.post("/setup/person", fieldFullName, "Ann Miller", fieldPassword, goodPassword, fieldAgain, goodPassword), "/setup/review")
	return b.revision(b.get("/setup/review"))
}

var revisionIn = regexp.MustCompile(`name="revision" value="(\d+)"`)

func (b *browser) revision(a answer) string {
	b.t.Helper()
	m := revisionIn.FindStringSubmatch(a.body)
	if m == nil {
		b.t.Fatalf("no revision in the page (%d)", a.status)
	}
	return m[1]
}

// wantMove checks that the answer leads on; to "" means anywhere.
func (b *browser) wantMove(a answer, to string) {
	b.t.Helper()
	if a.status != http.StatusSeeOther || to != "" && a.location != to {
		b.t.Fatalf("answer %d to %q, want a move to %q\n%s", a.status, a.location, to, a.body)
	}
}

// wantPage checks an answer's status and what stands in it.
func (b *browser) wantPage(a answer, status int, texts ...string) {
	b.t.Helper()
	if a.status != status {
		b.t.Errorf("status %d, want %d\n%s", a.status, status, a.body)
	}
	shown := strings.ReplaceAll(a.body, "<wbr>", "")
	for _, text := range texts {
		if !strings.Contains(shown, text) {
			b.t.Errorf("the page lacks %q\n%s", text, a.body)
		}
	}
}

var errPortTaken = errors.New("port 993 is used by another program: stop it, or set listen.imaps.port")
