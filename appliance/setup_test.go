package appliance_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"letterbox/appliance/config"
	"letterbox/appliance/control"
	"letterbox/tls/certs"
)

// browser is a person at the set-up page, who looks at fingerprints.
type browser struct {
	t     *testing.T
	b     *box
	http  http.Client
	url   string // of the web pages
	code  string
	trust string // the fingerprint that the box's console shows; "": whatever is presented
}

// visit opens a browser with a new code from the box.
func (b *box) visit(t *testing.T) *browser {
	t.Helper()
	info, err := b.SetupCode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return b.follow(t, info)
}

// follow opens a browser at the address, and with the code, that info tells.
func (b *box) follow(t *testing.T, info control.SetupInfo) *browser {
	t.Helper()
	page, err := url.Parse(info.URLs[0])
	if err != nil {
		t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &browser{t: t, b: b, url: "https://" + page.Host, code: info.Code, trust: info.Fingerprint}
	transport := &http.Transport{TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, // the person compares the fingerprint instead
		VerifyConnection: func(s tls.ConnectionState) error {
			if got := certs.Fingerprint(s.PeerCertificates[0]); w.trust != "" && got != w.trust {
				return fmt.Errorf("the page is that of %s, the console says %s", got, w.trust)
			}
			return nil
		},
	}}
	t.Cleanup(transport.CloseIdleConnections)
	w.http = http.Client{Jar: jar, Transport: transport}
	if page.Query().Get("code") != info.Code {
		t.Errorf("the page's address %s does not hold the code %s", page, info.Code)
	}
	return w
}

// certificate is what the web pages present, after the look at its fingerprint.
func (w *browser) certificate() *x509.Certificate {
	w.t.Helper()
	r, err := w.http.Get(w.url + "/healthz")
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Body.Close()
	return r.TLS.PeerCertificates[0]
}

// get shows a page, wherever it leads, and returns its status and text.
func (w *browser) get(path string) (int, string) {
	w.t.Helper()
	r, err := w.http.Get(w.url + path)
	return w.read(r, err)
}

// post presses the button of a form: pairs of field and value.
func (w *browser) post(path string, pairs ...string) (int, string) {
	w.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return w.read(w.http.Do(r))
}

func (w *browser) read(r *http.Response, err error) (int, string) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return r.StatusCode, strings.ReplaceAll(string(text), "<wbr>", "")
}

// step presses a button and wants a page that holds text.
func (w *browser) step(text, path string, pairs ...string) {
	w.t.Helper()
	if status, page := w.post(path, pairs...); status != http.StatusOK || !strings.Contains(page, text) {
		w.t.Fatalf("%s led to %d, want %q in\n%s", path, status, text, page)
	}
}

var revisionField = regexp.MustCompile(`name="revision" value="(\d+)"`)

// apply presses the last button.
func (w *browser) apply() (int, string) {
	w.t.Helper()
	_, page := w.get("/setup/review")
	m := revisionField.FindStringSubmatch(page)
	if m == nil {
		w.t.Fatalf("this is not the last page:\n%s", page)
	}
	return w.post("/setup/apply", "revision", m[1])
}

// answers goes through the wizard to its last page, for the Millers, of whom ann is the first.
func (w *browser) answers() {
	w.t.Helper()
	w.step("Whose letterbox", "/setup", "code", w.code)
	w.step("Where does your mail", "/setup/household", "household", "The Millers")
	w.step("first person", "/setup/address", "kind", "own", "domain", domain)
	w.step("Is this right?", "/setup/person", "full-name", "Ann Miller", "password", password, "password-again", password)
}

// root installs the household's root certificate as a device does: from the web page.
func (w *browser) root() *x509.CertPool {
	w.t.Helper()
	status, text := w.get("/root.crt")
	roots := x509.NewCertPool()
	if status != http.StatusOK || !roots.AppendCertsFromPEM([]byte(text)) {
		w.t.Fatalf("/root.crt: %d %s", status, text)
	}
	return roots
}

func (b *box) wantUnconfigured(t *testing.T) {
	t.Helper()
	if _, configured := b.Config(); configured {
		t.Error("the box is configured")
	}
	if _, err := os.Stat(filepath.Join(b.dir, config.FileName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a configuration was saved (%v)", err)
	}
	for _, s := range b.Status().Serving {
		if s.Service != string(config.HTTP) && s.Service != string(config.HTTPS) {
			t.Errorf("%s is served at %s", s.Service, s.Address)
		}
	}
	if entries, err := os.ReadDir(filepath.Join(b.dir, "mail")); err == nil && len(entries) > 0 {
		t.Errorf("there are mailboxes: %v", entries)
	}
}

// realPorts are set-up's defaults but for an offset at which every port is free: pages show such ports to people.
func realPorts(t *testing.T) config.Config {
	t.Helper()
	for range 100 {
		c := config.Default()
		c.Listen.Address = []string{"127.0.0.1"}
		c.Listen.PortOffset = 20000 + rand.IntN(10000)
		free := true
		for _, svc := range config.Services() {
			l, err := net.Listen("tcp", c.Listen.Addresses(svc)[0])
			if free = free && err == nil; err == nil {
				l.Close()
			}
		}
		if free {
			return c
		}
	}
	t.Fatal("no free ports were found")
	return config.Config{}
}

// TestSetUpInTheBrowser is the first hour of a box: pages alone, four answers, and then mail, with a certificate that the devices verify.
func TestSetUpInTheBrowser(t *testing.T) {
	t.Parallel()
	dir, defaults := t.TempDir(), realPorts(t)
	b := serve(t, dir, openFrom(t, dir, defaults))
	b.wantUnconfigured(t)
	w := b.visit(t)
	if status, page := w.get("/"); status != http.StatusOK || !strings.Contains(page, "One-time code") {
		t.Fatalf("the first page: %d\n%s", status, page)
	}
	if status, page := w.get("/root.crt"); strings.Contains(page, "CERTIFICATE") {
		t.Errorf("a root is given out before there is a household: %d\n%s", status, page)
	}
	w.answers()
	b.wantUnconfigured(t)
	status, page := w.apply()
	for _, text := range []string{"Your letterbox is ready", "ann@" + domain, "mail." + domain, strconv.Itoa(defaults.Listen.PublicPort(config.IMAPS)), strconv.Itoa(defaults.Listen.PublicPort(config.Submissions))} {
		if status != http.StatusOK || !strings.Contains(page, text) {
			t.Fatalf("the last answer: %d, want a page with %q\n%s", status, text, page)
		}
	}

	w.trust = b.Certificates().Served // from now on
	trust := &tls.Config{RootCAs: w.root(), ServerName: "mail." + domain}
	out, err := smtp.DialTLS(b.addr(t, config.Submissions), trust)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := out.Auth(sasl.NewPlainClient("", "ann", password)); err != nil {
		t.Fatal(err)
	}
	if err := out.SendMail("ann@"+domain, []string{"ann@" + domain}, strings.NewReader(letter)); err != nil {
		t.Fatal(err)
	}
	in, err := imapclient.DialStartTLS(b.addr(t, config.IMAP), &imapclient.Options{TLSConfig: trust})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := in.Login("ann@"+domain, password).Wait(); err != nil {
		t.Fatal(err)
	}
	if got := bodies(t, in, "INBOX"); len(got) != 2 || !strings.HasSuffix(string(got[1]), letter) {
		t.Errorf("ann has %d messages, want her welcome and the letter", len(got))
	}
	if status, page := w.get("/"); status != http.StatusOK || !strings.Contains(page, "Your letterbox is running") {
		t.Errorf("the home page: %d\n%s", status, page)
	}
}

// TestSetUpWithPortTaken: what cannot be done is said on the page, nothing has changed, and the same button works once the other
// program is gone.
func TestSetUpWithPortTaken(t *testing.T) {
	t.Parallel()
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	port := other.Addr().(*net.TCPAddr).Port
	defaults := newConfig()
	defaults.Listen.IMAPS.Listen = port
	dir := t.TempDir()
	b := serve(t, dir, openFrom(t, dir, defaults))
	w := b.visit(t)
	w.answers()
	status, page := w.apply()
	want := fmt.Sprintf("port %d on 127.0.0.1 is in use by another program; listen.imaps.port", port)
	if status != http.StatusInternalServerError || !strings.Contains(page, want) {
		t.Errorf("the page says %d, want %q\n%s", status, want, page)
	}
	if _, configured := b.Config(); configured {
		t.Error("the box is configured")
	}
	if _, err := os.Stat(filepath.Join(dir, config.FileName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a configuration was saved (%v)", err)
	}
	if got := b.Status().Serving; len(got) != 2 {
		t.Errorf("served are %v, want the web pages alone", got)
	}
	if got := b.Certificates().Served; got != w.trust {
		t.Errorf("the page now presents %s, and the console said %s", got, w.trust)
	}

	other.Close()
	if status, page := w.apply(); status != http.StatusOK || !strings.Contains(page, "Your letterbox is ready") {
		t.Fatalf("the second time: %d\n%s", status, page)
	}
	b.imap(t, "ann")
}

// TestSetUpAgain: a fresh code goes through the pages over a household that is there; it adds somebody, and disturbs nobody.
func TestSetUpAgain(t *testing.T) {
	t.Parallel()
	b := start(t)
	reading := b.imap(t, "ben")
	w := b.visit(t)
	before, _ := b.Config()
	w.step("Who else lives here?", "/setup", "code", w.code)
	w.step("carl@"+domain, "/setup/person", "full-name", "Carl Miller", "password", "seven quiet otters", "password-again", "seven quiet otters")
	if status, page := w.apply(); status != http.StatusOK || !strings.Contains(page, "carl@"+domain) {
		t.Fatalf("the last answer: %d\n%s", status, page)
	}
	c, _ := b.Config()
	names := make([]string, 0, len(c.People))
	for _, p := range c.People {
		names = append(names, p.Name)
	}
	if want := []string{"ann", "ben", "carl"}; !slices.Equal(names, want) {
		t.Errorf("the people are %v, want %v", names, want)
	}
	if c.Household.Name != before.Household.Name || c.Hostname() != before.Hostname() || !slices.Equal(c.Domains, before.Domains) {
		t.Errorf("the household is now %+v %+v, it was %+v %+v", c.Household, c.Domains, before.Household, before.Domains)
	}
	if err := b.send(t, "ann", "carl@"+domain, letter); err != nil {
		t.Errorf("mail for carl: %v", err)
	}
	if err := b.send(t, "ann", "ben@"+domain, letter); err != nil {
		t.Errorf("mail for ben: %v", err)
	}
	if got := bodies(t, reading, "INBOX"); len(got) != 2 {
		t.Errorf("ben, who read on, sees %d messages, want 2", len(got))
	}
	carl, err := imapclient.DialTLS(b.addr(t, config.IMAPS), &imapclient.Options{TLSConfig: b.tls()})
	if err != nil {
		t.Fatal(err)
	}
	defer carl.Close()
	if err := carl.Login("carl", "seven quiet otters").Wait(); err != nil {
		t.Fatal(err)
	}
	if got := bodies(t, carl, "INBOX"); len(got) != 2 {
		t.Errorf("carl has %d messages, want 2", len(got))
	}
}

// TestSetUpCode: a code is good once; the tenth wrong one makes it void, and a new one begins afresh.
func TestSetUpCode(t *testing.T) {
	t.Parallel()
	b := run(t, t.TempDir())
	w := b.visit(t)
	for try := 1; try <= 10; try++ {
		want := "That is not the code"
		if try == 10 {
			want = "no longer good"
		}
		if status, page := w.post("/setup", "code", "abcd-efgh-jkmn-pqrs-tvwx-yz01-2345"); status != http.StatusUnprocessableEntity || !strings.Contains(page, want) {
			t.Fatalf("try %d: %d, want %q\n%s", try, status, want, page)
		}
	}
	if status, page := w.post("/setup", "code", w.code); status != http.StatusUnprocessableEntity || !strings.Contains(page, "no longer good") {
		t.Errorf("the right code after ten tries: %d\n%s", status, page)
	}
	if _, page := w.get("/setup/household"); !strings.Contains(page, "One-time code") {
		t.Errorf("without a code the next page is shown:\n%s", page)
	}
	fresh := b.visit(t)
	fresh.step("Whose letterbox", "/setup", "code", strings.ToUpper(fresh.code))
	thief := b.visit(t)
	if status, page := thief.post("/setup", "code", fresh.code); status != http.StatusUnprocessableEntity {
		t.Errorf("a code is taken a second time: %d\n%s", status, page)
	}
	b.wantUnconfigured(t)
}

// TestCodeBeforeTheStart: a code made while nothing runs is shown at the next start and good then, once.
func TestCodeBeforeTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := open(t, dir)
	made, err := a.SetupCode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	b := run(t, dir)
	shown, err := b.FirstCode(t.Context())
	if err != nil || shown.Code != made.Code || shown.RootFingerprint != made.RootFingerprint {
		t.Fatalf("the start shows %+v (%v), made was %+v", shown, err, made)
	}
	w := b.follow(t, shown)
	w.step("Whose letterbox", "/setup", "code", made.Code)
	b.stop()

	again := run(t, dir)
	if shown, err := again.FirstCode(t.Context()); err != nil || shown.Code == made.Code {
		t.Errorf("the next start shows %+v (%v): the code was used", shown, err)
	}
	if status, page := again.visit(t).post("/setup", "code", made.Code); status != http.StatusUnprocessableEntity {
		t.Errorf("a used code is taken after a restart: %d\n%s", status, page)
	}
}
