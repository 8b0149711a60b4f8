package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"letterbox/tls/certs"
)

// demoEnd is how long a person waits after Ctrl-C.
const demoEnd = 5 * time.Second

// demoLines are what the demo prints, a line each, and what is wanted of each.
var demoLines = []struct{ name, text string }{
	{"page", `^Set-up page: (https://127\.0\.0\.1:\d+/setup\?code=\S+)  \(code ([0-9a-z-]{34})\)$`},
	{"certificate", `^Certificate: SHA-256 ((?:[0-9A-F]{2}:){31}[0-9A-F]{2})$`},
	{"read", `^Read mail:   (imaps://demo:[a-z0-9]{12}@127\.0\.0\.1:\d+/INBOX)$`},
	{"send", `^Send mail:   (smtps://demo:[a-z0-9]{12}@127\.0\.0\.1:\d+)$`},
	{"folder", `^Data folder: (/\S+)$`},
	{"welcome", `^A welcome mail is waiting: curl --insecure '(imaps://\S+;MAILINDEX=1)'$`},
	{"end", `^(Ctrl-C) stops it and deletes the data folder\.$`},
}

// TestDemo does with `letterbox demo` what somebody does who tries it: reads what it prints, mails themselves, and presses Ctrl-C,
// while a mail program is still connected.
func TestDemo(t *testing.T) {
	t.Parallel()
	said, running := startDemo(t)

	trust := &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
		if got := certs.Fingerprint(s.PeerCertificates[0]); got != said["certificate"] {
			return fmt.Errorf("the certificate is %s, printed was %s", got, said["certificate"])
		}
		return nil
	}}
	send, name, password := address(t, said["send"])
	out, err := smtp.DialTLS(send, trust)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := out.Auth(sasl.NewPlainClient("", name, password)); err != nil {
		t.Fatal(err)
	}
	const letter = "From: demo@demo.home.arpa\r\nSubject: To myself\r\n\r\nIt works.\r\n"
	if err := out.SendMail("demo@demo.home.arpa", []string{"demo@demo.home.arpa"}, strings.NewReader(letter)); err != nil {
		t.Fatal(err)
	}
	read, name, password := address(t, said["read"])
	in, err := imapclient.DialTLS(read, &imapclient.Options{TLSConfig: trust})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := in.Login(name, password).Wait(); err != nil {
		t.Fatal(err)
	}
	if inbox, err := in.Select("INBOX", nil).Wait(); err != nil || inbox.NumMessages != 2 {
		t.Errorf("INBOX: %+v (%v), want the welcome and the letter", inbox, err)
	}
	if _, err := os.Stat(said["folder"]); err != nil {
		t.Errorf("the data folder: %v", err)
	}

	pressed := time.Now()
	if err := running.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := running.Wait(); err != nil {
		t.Errorf("the demo's end: %v", err)
	}
	if took := time.Since(pressed); took > demoEnd {
		t.Errorf("the demo ended %v after Ctrl-C", took)
	}
	if _, err := os.Stat(said["folder"]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the data folder is still there (%v)", err)
	}
}

// startDemo starts the program and reads what it says about itself.
func startDemo(t *testing.T) (said map[string]string, running *exec.Cmd) {
	t.Helper()
	program, err := exec.LookPath("letterbox") // put there by testscript.Main
	if err != nil {
		t.Fatal(err)
	}
	offset, err := freeOffset()
	if err != nil {
		t.Fatal(err)
	}
	running = exec.Command(program, "demo", "--port-offset", strconv.Itoa(offset))
	running.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	running.Stderr = t.Output()
	printed, err := running.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if running.ProcessState == nil {
			running.Process.Signal(syscall.SIGKILL)
			running.Wait()
		}
	})
	said = make(map[string]string)
	lines := bufio.NewScanner(printed)
	for _, want := range demoLines {
		if !lines.Scan() {
			t.Fatalf("the demo ended before it told %s: %v", want.name, lines.Err())
		}
		m := regexp.MustCompile(want.text).FindStringSubmatch(lines.Text())
		if m == nil {
			t.Fatalf("the demo says %q, want %s", lines.Text(), want.text)
		}
		said[want.name] = m[1]
	}
	return said, running
}

// address takes a mail URL to pieces.
func address(t *testing.T, text string) (host, name, password string) {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	password, _ = u.User.Password()
	return u.Host, u.User.Username(), password
}
