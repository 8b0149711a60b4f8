//go:build browser

package webui

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"letterbox/appliance/config"
	"letterbox/tls/certs"
)

// chromium is Debian's. Its pictures go to the folder that LETTERBOX_SCREENSHOTS names, if it names one.
const chromium = "/usr/bin/chromium"

// screen is one way of looking at the pages.
type screen struct {
	name          string
	width, height int64
	dark          bool
}

var (
	phone     = screen{"phone", 390, 844, false}
	phoneDark = screen{"phone-dark", 390, 844, true}
	desktop   = screen{"desktop", 1280, 900, false}
	evening   = screen{"desktop-dark", 1280, 900, true}
)

// tab is a browser's tab on a UI of its own, served with real certificates.
type tab struct {
	t      *testing.T
	ctx    context.Context
	screen screen
	house  *house
	ui     *UI
	url    string
	certs  *certs.Manager

	scripts bool // the browser runs scripts
}

// certified is a house whose certificate comes with its configuration.
type certified struct {
	*house
	certs *certs.Manager
}

func (c certified) Update(ctx context.Context, change func(*config.Config) error) error {
	return c.house.Update(ctx, func(next *config.Config) error {
		if err := change(next); err != nil {
			return err
		}
		return c.certs.Apply([]string{string(next.Hostname())}, nil)
	})
}

func (c certified) Certificates() Certificates {
	return Certificates{RootPEM: c.certs.RootPEM(), RootFingerprint: certs.Fingerprint(c.certs.Root()), Served: certs.Fingerprint(c.certs.Serving())}
}

// openTab starts a server and a browser that accepts the certificate of set-up, and no other.
func openTab(t *testing.T, s screen, h *house, scripts bool) *tab {
	t.Helper()
	m, err := certs.Open(certs.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	b := &tab{t: t, screen: s, house: h, certs: m, scripts: scripts, ui: New(Options{Appliance: certified{h, m}, Machine: "nas"})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: b.ui, TLSConfig: m.TLSConfig(), Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	go server.ServeTLS(l, "", "")
	t.Cleanup(func() { server.Close() })
	b.url = "https://" + l.Addr().String()

	spki := sha256.Sum256(m.Serving().RawSubjectPublicKeyInfo)
	allocator, stop := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("disable-back-forward-cache", true), // Back asks us, as most browsers do; from that cache no page would load
		chromedp.Flag("ignore-certificate-errors-spki-list", base64.StdEncoding.EncodeToString(spki[:])),
		chromedp.WindowSize(int(s.width), int(s.height)))...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	b.ctx = ctx
	scheme := "light"
	if s.dark {
		scheme = "dark"
	}
	b.do(chromedp.EmulateViewport(s.width, s.height),
		command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}),
		command(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !scripts}))
	return b
}

// command is an action that gives the browser one order.
func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, c, params)
		return chromedp.Void{}, err
	}
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) open(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.url + path))
}

// press clicks and waits for the page that comes.
func (b *tab) press(selector string) {
	b.t.Helper()
	if _, err := chromedp.RunResponse(b.ctx, chromedp.Click(selector)); err != nil {
		b.t.Fatalf("pressing %s: %v", selector, err)
	}
}

// fill types into fields: pairs of field and text.
func (b *tab) fill(pairs ...string) {
	b.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		b.do(chromedp.Clear("#"+pairs[i]), chromedp.SendKeys("#"+pairs[i], pairs[i+1]))
	}
}

func (b *tab) wantText(selector, text string) {
	b.t.Helper()
	got, err := chromedp.Run(b.ctx, chromedp.Text(selector))
	if err != nil || !strings.Contains(got, text) {
		b.t.Fatalf("%s shows %q (%v), want %q", selector, got, err, text)
	}
}

func (b *tab) wantValue(field, want string) {
	b.t.Helper()
	if got, err := chromedp.Run(b.ctx, chromedp.Value("#"+field)); err != nil || got != want {
		b.t.Errorf("the field %s holds %q (%v), want %q", field, got, err, want)
	}
}

// picture takes a picture of the whole page, and checks that nothing sticks out at its side.
func (b *tab) picture(name string) {
	b.t.Helper()
	wide, err := chromedp.Run(b.ctx, chromedp.Evaluate[int64]("document.documentElement.scrollWidth"))
	if err != nil || wide > b.screen.width {
		b.t.Errorf("%s on %s is %d pixels wide (%v)", name, b.screen.name, wide, err)
	}
	b.wantAccessible(name)
	dir := os.Getenv("LETTERBOX_SCREENSHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, b.screen.name+"-"+name+".png"), png, 0o644)
	}
	if err != nil {
		b.t.Error(err)
	}
}

// wantAccessible asks axe-core, where LETTERBOX_AXE names its file, what is wrong with the page. axe is a script
// itself.
func (b *tab) wantAccessible(name string) {
	b.t.Helper()
	file := os.Getenv("LETTERBOX_AXE")
	if file == "" || !b.scripts {
		return
	}
	axe, err := os.ReadFile(file)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	found, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](string(axe)+`;
		axe.run(document).then(r => r.violations.map(v => v.id + ": " + v.help + " " + v.nodes.map(n => n.html).join(" ")).
			concat(r.passes.length < 10 ? ["axe has looked at nothing"] : []))`, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, v := range found {
		b.t.Errorf("%s on %s: %s", name, b.screen.name, v)
	}
}

func (b *tab) code() string {
	code, _ := b.ui.NewSetupCode()
	return code
}

// TestWizardInABrowser goes through the whole set-up with faults, back and reload.
func TestWizardInABrowser(t *testing.T) {
	for _, s := range []screen{phone, phoneDark, desktop, evening} {
		t.Run(s.name, func(t *testing.T) {
			b := openTab(t, s, newHouse(), true)
			b.open("/")
			b.picture("1-code")
			b.fill(fieldCode, "abcd-efgh-1234")
			b.code()
			b.press(".go")
			b.wantText("#code-fault", "That is not the code")
			b.picture("1-code-fault")
			b.open("/setup?code=" + strings.ToUpper(b.code()))
			b.picture("1-code-link")
			b.press(".go")

			b.picture("2-household")
			b.press(".go")
			b.wantText("#household-fault", faultNoHousehold)
			b.picture("2-household-fault")
			b.fill(fieldHousehold, "The Millers")
			b.press(".go")

			b.picture("3-address")
			b.do(chromedp.Click("#kind-own"), chromedp.WaitVisible("#domain"))
			b.fill(fieldDomain, "millers")
			b.press(".go")
			b.wantText("#domain-fault", faultOneLabel)
			b.wantValue(fieldDomain, "millers")
			b.picture("3-address-fault")
			b.press(".back")
			b.wantValue(fieldHousehold, "The Millers")
			b.press(".go")
			b.wantValue(fieldDomain, "millers")
			b.do(chromedp.Reload())
			b.wantValue(fieldDomain, "millers")
			b.do(chromedp.Click("#kind-home"))
			b.press(".go")

			b.fill(fieldFullName, "Ann Miller", fieldPassword, "short", fieldAgain, "short")
			b.picture("4-person")
			b.press(".go")
			b.wantText("#password-fault", "too short")
			b.wantValue(fieldFullName, "Ann Miller")
			b.picture("4-person-fault")
			b.fill(fieldPassword, goodPassword, fieldAgain, goodPassword)
			b.press(".go")

			b.wantText("main", "ann@millers.home.arpa")
			b.picture("5-review")
			b.do(chromedp.NavigateBack())
			b.wantValue(fieldFullName, "Ann Miller")
			b.do(chromedp.NavigateForward(), chromedp.Reload())
			b.wantText("main", "ann@millers.home.arpa")
			if b.house.updates != 0 {
				t.Fatal("applied before the last click")
			}
			b.press(".go")
			b.wantText("h1", "Your letterbox is ready")
			b.wantText("main", certs.Fingerprint(b.certs.Root()))
			b.picture("6-done")
			b.do(chromedp.Click("#root ~ .devices details:nth-child(2) summary"))
			b.picture("6-done-android")

			b.press("form[action='/setup/another'] button")
			b.wantText("main", "Ann Miller")
			b.fill(fieldFullName, "Ben Miller", fieldPassword, goodPassword, fieldAgain, goodPassword)
			b.picture("7-another")
			b.press(".go")
			b.wantText("main", "ben@millers.home.arpa")
			b.picture("7-another-review")
			b.do(chromedp.NavigateBack())
			b.wantValue(fieldFullName, "Ben Miller")
			b.do(chromedp.NavigateForward())
			b.press(".go")
			b.wantText("h1", "One more mailbox")
			b.open("/")
			b.wantText("h1", "Your letterbox is running")
			b.picture("8-home")
			b.do(chromedp.NavigateBack())
			b.wantText("h1", "One more mailbox")
			b.open("/nothing")
			b.picture("9-nothing")
			if b.house.updates != 2 {
				t.Errorf("applied %d times", b.house.updates)
			}
		})
	}
}

// TestWithoutJavaScript goes the same way in a browser that runs no scripts, over a household that is set up.
func TestWithoutJavaScript(t *testing.T) {
	b := openTab(t, phone, millers(t), false)
	b.open("/setup?code=" + b.code())
	b.picture("again-code")
	b.press(".go")
	b.wantText("main", "Here already: Ann Miller")
	b.picture("again-person")
	b.press(".way li:nth-child(2) a")
	b.do(chromedp.Click("#kind-own"))
	b.fill(fieldDomain, "millers.example")
	b.press(".go")
	b.press(".go") // nobody is added
	b.wantText("main", "instead of millers.home.arpa")
	b.picture("again-review")
	b.press(".go")
	b.wantText("main", "The change is in force")
	b.picture("again-done")
}

// TestLastPageArrives: the certificate changes under the browser's feet with the last click. The browser here trusts
// the one before and would refuse a new connection; the last page comes all the same.
func TestLastPageArrives(t *testing.T) {
	b := openTab(t, phone, newHouse(), true)
	before := b.certs.Serving()
	b.open("/setup?code=" + b.code())
	b.press(".go")
	b.fill(fieldHousehold, "Us")
	b.press(".go")
	b.press(".go")
	b.fill(fieldFullName, "Ann", fieldPassword, goodPassword, fieldAgain, goodPassword)
	b.press(".go")
	b.press(".go")
	b.wantText("h1", "Your letterbox is ready")
	if before.Equal(b.certs.Serving()) {
		t.Fatal("the certificate did not change")
	}
	fresh, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	if err := chromedp.Do(fresh, chromedp.Navigate(strings.Replace(b.url, "127.0.0.1", "localhost", 1))); err == nil {
		t.Error("a new connection is not refused: this test proves nothing")
	}
}
