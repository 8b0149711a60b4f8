//go:build browser

package appliance_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/emersion/go-imap/v2/imapclient"

	"letterbox/appliance/config"
)

// A phone's screen.
const phoneWidth, phoneHeight = 390, 844

// phone is Debian's Chromium, as wide as a phone, whose owner goes past the warning of one certificate: the one whose fingerprint
// stands on the box's console. Pictures go to the folder that LETTERBOX_SCREENSHOTS names, if it names one.
type phone struct {
	t   *testing.T
	ctx context.Context
}

func (b *box) phone(t *testing.T, presented *x509.Certificate) *phone {
	t.Helper()
	spki := sha256.Sum256(presented.RawSubjectPublicKeyInfo)
	allocator, stop := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("/usr/bin/chromium"), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("ignore-certificate-errors-spki-list", base64.StdEncoding.EncodeToString(spki[:])),
		chromedp.WindowSize(phoneWidth, phoneHeight))...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	p := &phone{t, ctx}
	p.do(chromedp.EmulateViewport(phoneWidth, phoneHeight))
	return p
}

func (p *phone) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

// press clicks the button that leads on, and waits for the page that comes.
func (p *phone) press() {
	p.t.Helper()
	if _, err := chromedp.RunResponse(p.ctx, chromedp.Click(".go")); err != nil {
		p.t.Fatal(err)
	}
}

// fill types into fields: pairs of field and text.
func (p *phone) fill(pairs ...string) {
	p.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		p.do(chromedp.Clear("#"+pairs[i]), chromedp.SendKeys("#"+pairs[i], pairs[i+1]))
	}
}

// wantPage checks what is shown, and that it fits the screen.
func (p *phone) wantPage(name string, texts ...string) {
	p.t.Helper()
	shown, err := chromedp.Run(p.ctx, chromedp.Text("body"))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, text := range texts {
		if !strings.Contains(shown, text) {
			p.t.Errorf("%s lacks %q:\n%s", name, text, shown)
		}
	}
	if wide, err := chromedp.Run(p.ctx, chromedp.Evaluate[int64]("document.documentElement.scrollWidth")); err != nil || wide > phoneWidth {
		p.t.Errorf("%s is %d pixels wide (%v)", name, wide, err)
	}
	dir := os.Getenv("LETTERBOX_SCREENSHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "box-"+name+".png"), png, 0o644)
	}
	if err != nil {
		p.t.Error(err)
	}
}

// TestBrowserSetUp sets up a new box from a phone, and reads mail with the account that was made.
func TestBrowserSetUp(t *testing.T) {
	dir, defaults := t.TempDir(), realPorts(t)
	b := serve(t, dir, openFrom(t, dir, defaults))
	w := b.visit(t) // for the address, and the certificate that it checks
	p := b.phone(t, w.certificate())
	p.do(chromedp.Navigate(w.url + "/setup?code=" + w.code))
	p.wantPage("1-code", "One-time code")
	p.press()
	p.wantPage("2-household", "Whose letterbox is this?")
	p.fill("household", "The Millers")
	p.press()
	p.wantPage("3-address", "Where does your mail live?")
	p.do(chromedp.Click("#kind-own"), chromedp.WaitVisible("#domain"))
	p.fill("domain", domain)
	p.press()
	p.wantPage("4-person", "Who is the first person?")
	p.fill("full-name", "Ann Miller", "password", password, "password-again", password)
	p.press()
	p.wantPage("5-review", "Is this right?", "ann@"+domain)
	b.wantUnconfigured(t)
	p.press()
	p.wantPage("6-done", "Your letterbox is ready", "ann@"+domain, "mail."+domain, strconv.Itoa(defaults.Listen.PublicPort(config.IMAPS)), b.Certificates().RootFingerprint)

	// What the last page says is typed into a mail program.
	c, err := imapclient.DialTLS(b.addr(t, config.IMAPS), &imapclient.Options{TLSConfig: b.tls()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login("ann", password).Wait(); err != nil {
		t.Fatal(err)
	}
	if got := bodies(t, c, "INBOX"); len(got) != 1 || !strings.Contains(string(got[0]), "Hello Ann Miller") {
		t.Errorf("ann has %d messages, want her welcome", len(got))
	}

	// Another phone meets the household's certificate.
	again := b.phone(t, b.visit(t).certificate())
	again.do(chromedp.Navigate(w.url + "/"))
	again.wantPage("7-home", "Your letterbox is running", "mail."+domain)
}
