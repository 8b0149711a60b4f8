//go:build interop

package appliance_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"letterbox/appliance/config"
)

// rootFile writes the household's root where other programs can read it.
func (b *box) rootFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(path, b.Certificates().RootPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// port is where the service listens on 127.0.0.1.
func (b *box) port(t *testing.T, svc config.Service) string {
	t.Helper()
	_, port, err := net.SplitHostPort(b.addr(t, svc))
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// program runs somebody else's mail program to its end, in a home of its own, and returns what it printed.
func program(t *testing.T, stdin string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "LC_ALL=C.UTF-8", "TERM=xterm")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// file writes a file that only its owner may read, as mail programs want theirs, and returns its path.
func file(t *testing.T, name, format string, args ...any) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, fmt.Appendf(nil, format, args...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// inbox returns what somebody's INBOX holds after the welcome.
func (b *box) inbox(t *testing.T, person string) [][]byte {
	t.Helper()
	return bodies(t, b.imap(t, person), "INBOX")[1:]
}

// wantOne checks that the person got exactly one letter, and that it holds text.
func (b *box) wantOne(t *testing.T, person, text string) {
	t.Helper()
	got := b.inbox(t, person)
	if len(got) != 1 || !bytes.Contains(got[0], []byte(text)) {
		t.Errorf("%s got %d letters, want one with %q:\n%s", person, len(got), text, bytes.Join(got, []byte("\n---\n")))
	}
}

// TestInteropCurl sends by smtps and reads by imaps.
func TestInteropCurl(t *testing.T) {
	t.Parallel()
	b := start(t)
	root, mail := b.rootFile(t), file(t, "letter", "%s", letter)
	program(t, "", "curl", "-sS", "--cacert", root, "--url", "smtps://localhost:"+b.port(t, config.Submissions), "-u", "ann:"+password,
		"--mail-from", "ann@"+domain, "--mail-rcpt", "ben@"+domain, "-T", mail)
	b.wantOne(t, "ben", "It is ready.")
	// STARTTLS on the other two ports.
	program(t, "", "curl", "-sS", "--cacert", root, "--ssl-reqd", "--url", "smtp://localhost:"+b.port(t, config.Submission), "-u", "ben:"+password,
		"--mail-from", "ben@"+domain, "--mail-rcpt", "ann@"+domain, "-T", file(t, "letter", "%s", strings.ReplaceAll(letter, "ann@", "ben@")))
	b.wantOne(t, "ann", "It is ready.")
	url := "localhost:" + b.port(t, config.IMAP) + "/INBOX"
	if got := program(t, "", "curl", "-sS", "--cacert", root, "--ssl-reqd", "-u", "ann:"+password, "imap://"+url+";MAILINDEX=2"); !strings.HasSuffix(got, "It is ready.\r\n") {
		t.Errorf("curl read\n%s", got)
	}
	imaps := "imaps://localhost:" + b.port(t, config.IMAPS) + "/"
	if got := program(t, "", "curl", "-sS", "--cacert", root, "-u", "ann:"+password, imaps); !strings.Contains(got, "Drafts") {
		t.Errorf("curl listed\n%s", got)
	}
	program(t, "", "curl", "-sS", "--cacert", root, "-u", "ann:"+password, "-T", mail, imaps+"Drafts")
	if got := program(t, "", "curl", "-sS", "--cacert", root, "-u", "ann:"+password, imaps+"Drafts?SUBJECT%20Supper"); !strings.Contains(got, "* SEARCH 1") {
		t.Errorf("curl found\n%s", got)
	}
}

// TestInteropSwaks tries every port and mechanism, and what must be refused.
func TestInteropSwaks(t *testing.T) {
	t.Parallel()
	b := start(t)
	swaks := func(svc config.Service, args ...string) (string, error) {
		base := []string{"--server", "localhost", "--port", b.port(t, svc), "--helo", "laptop.lan", "--from", "ann@" + domain, "--to", "ben@" + domain,
			"--header", "From: ann@" + domain, "--timeout", "20"}
		cmd := exec.CommandContext(t.Context(), "swaks", append(base, args...)...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	signedIn := []string{"--auth-user", "ann", "--auth-password", password}
	for _, c := range []struct {
		name string
		svc  config.Service
		args []string
		want string // "" is success
	}{
		{"465 PLAIN", config.Submissions, append([]string{"--tls-on-connect", "--auth", "PLAIN"}, signedIn...), ""},
		{"465 LOGIN", config.Submissions, append([]string{"--tls-on-connect", "--auth", "LOGIN"}, signedIn...), ""},
		{"587 PLAIN", config.Submission, append([]string{"--tls", "--auth", "PLAIN"}, signedIn...), ""},
		{"587 pipelined", config.Submission, append([]string{"--tls", "--auth", "LOGIN", "--pipeline"}, signedIn...), ""},
		{"25 STARTTLS", config.SMTP, []string{"--tls"}, ""},
		{"25 plain", config.SMTP, nil, ""},
		{"587 without TLS", config.Submission, append([]string{"--auth", "PLAIN"}, signedIn...), "auth"},
		{"587 without signing in", config.Submission, []string{"--tls"}, "530"},
		{"465 wrong password", config.Submissions, []string{"--tls-on-connect", "--auth", "PLAIN", "--auth-user", "ann", "--auth-password", "wrong"}, "535"},
		{"465 elsewhere", config.Submissions, append([]string{"--tls-on-connect", "--auth", "PLAIN", "--to", "x@example.org"}, signedIn...), "550"},
		{"25 elsewhere", config.SMTP, []string{"--to", "x@example.org"}, "550"},
		{"25 nobody", config.SMTP, []string{"--to", "nobody@" + domain}, "550"},
	} {
		out, err := swaks(c.svc, c.args...)
		if c.want == "" && err != nil {
			t.Errorf("%s: %v\n%s", c.name, err, out)
		}
		if c.want != "" && (err == nil || !strings.Contains(strings.ToLower(out), c.want)) {
			t.Errorf("%s: %v, want a refusal with %q\n%s", c.name, err, c.want, out)
		}
	}
	if got := b.inbox(t, "ben"); len(got) != 6 {
		t.Errorf("ben got %d letters, want 6", len(got))
	}
}

// TestInteropMsmtp sends with msmtp, by TLS and by STARTTLS.
func TestInteropMsmtp(t *testing.T) {
	t.Parallel()
	b := start(t)
	rc := file(t, "msmtprc", `defaults
auth on
user ann
password %s
host localhost
from ann@%s
tls on
tls_trust_file %s

account submissions
port %s
tls_starttls off

account submission
port %s
tls_starttls on
`, password, domain, b.rootFile(t), b.port(t, config.Submissions), b.port(t, config.Submission))
	for _, account := range []string{"submissions", "submission"} {
		program(t, letter, "msmtp", "-C", rc, "-a", account, "ben@"+domain)
	}
	if got := b.inbox(t, "ben"); len(got) != 2 {
		t.Errorf("ben got %d letters, want 2", len(got))
	}
}

// TestInteropMbsync keeps a Maildir of its own in step with ours, both ways.
func TestInteropMbsync(t *testing.T) {
	t.Parallel()
	b := start(t)
	if err := b.send(t, "ann", "ben@"+domain, letter); err != nil {
		t.Fatal(err)
	}
	c := b.imap(t, "ben")
	if err := c.Create("Family/Täglich", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	local := t.TempDir()
	rc := file(t, "mbsyncrc", `IMAPStore far
Host localhost
Port %s
User ben
Pass "%s"
SSLType IMAPS
CertificateFile %s

MaildirStore near
Path %s/
Inbox %s/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
`, b.port(t, config.IMAPS), password, b.rootFile(t), local, local)
	sync := func() { t.Helper(); program(t, "", "mbsync", "-c", rc, "-a") }
	sync()
	arrived, err := filepath.Glob(filepath.Join(local, "INBOX", "*", "*"))
	if err != nil || len(arrived) != 2 {
		t.Fatalf("mbsync brought %d messages, want 2 (%v)", len(arrived), err)
	}
	for _, folder := range []string{"Sent", "Family/Täglich", "Family/T&AOQ-glich"} {
		if _, err := os.Stat(filepath.Join(local, folder)); err == nil && folder != "Sent" {
			break
		} else if err != nil && folder != "Family/Täglich" {
			t.Errorf("mbsync did not bring the folder %s", folder)
		}
	}
	// Read and flag one here, delete the other, add a third: all of it arrives at the server.
	var kept string
	for _, path := range arrived {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		base := strings.TrimSuffix(filepath.Base(path), ":2,")
		base, _, _ = strings.Cut(base, ":2,")
		flags := ":2,FS"
		if !bytes.Contains(text, []byte("It is ready.")) {
			flags = ":2,ST"
		} else {
			kept = base
		}
		if err := os.Rename(path, filepath.Join(local, "INBOX", "cur", base+flags)); err != nil {
			t.Fatal(err)
		}
	}
	if kept == "" {
		t.Fatal("the letter is not among what mbsync brought")
	}
	if err := os.WriteFile(filepath.Join(local, "INBOX", "cur", "1.new.local:2,D"), []byte(strings.ReplaceAll(letter, "\r\n", "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	sync()
	sync() // and nothing more happens
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	messages, err := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{Flags: true}).Collect()
	if err != nil || len(messages) != 2 {
		t.Fatalf("the server has %d messages, want 2 (%v)", len(messages), err)
	}
	if got := fmt.Sprint(messages[0].Flags); !strings.Contains(got, `\Flagged`) || !strings.Contains(got, `\Seen`) {
		t.Errorf("the letter's flags are %s", got)
	}
	if got := fmt.Sprint(messages[1].Flags); !strings.Contains(got, `\Draft`) {
		t.Errorf("the added message's flags are %s", got)
	}
}

// TestInteropGetmail and TestInteropFetchmail collect mail as an older program does: fetch each message once, and leave it.
func TestInteropGetmail(t *testing.T) {
	t.Parallel()
	b := start(t)
	if err := b.send(t, "ann", "ben@"+domain, letter); err != nil {
		t.Fatal(err)
	}
	dest := t.TempDir()
	rc := file(t, "getmailrc", `[retriever]
type = SimpleIMAPSSLRetriever
server = localhost
port = %s
username = ben
password = %s
ca_certs = %s
mailboxes = ("INBOX",)

[destination]
type = MDA_external
path = /bin/sh
arguments = ("-c", "cat >$(mktemp %s/XXXXXX)")
allow_root_commands = true
unixfrom = false

[options]
delete = false
read_all = false
`, b.port(t, config.IMAPS), password, b.rootFile(t), dest)
	for range 2 { // the second time it knows them all
		program(t, "", "getmail", "--getmaildir", filepath.Dir(rc), "--rcfile", rc)
	}
	got, err := filepath.Glob(filepath.Join(dest, "*"))
	if err != nil || len(got) != 2 {
		t.Errorf("getmail fetched %d messages, want 2 (%v)", len(got), err)
	}
}

func TestInteropFetchmail(t *testing.T) {
	t.Parallel()
	b := start(t)
	if err := b.send(t, "ann", "ben@"+domain, letter); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "mail")
	rc := file(t, "fetchmailrc", `poll localhost service %s protocol IMAP
user "ben" password "%s"
ssl sslcertck sslcertfile "%s"
keep
mda "cat >>%s"
`, b.port(t, config.IMAPS), password, b.rootFile(t), out)
	program(t, "", "fetchmail", "-f", rc, "--pidfile", filepath.Join(t.TempDir(), "pid"), "--idfile", filepath.Join(t.TempDir(), "ids"), "--nosyslog")
	got, err := os.ReadFile(out)
	if err != nil || !bytes.Contains(got, []byte("It is ready.")) || !bytes.Contains(got, []byte("this is your letterbox")) {
		t.Errorf("fetchmail brought (%v)\n%s", err, got)
	}
}

// TestInteropNeomutt works in the full-screen program: writes a letter, whose copy goes to the server, then reads, flags and files one.
func TestInteropNeomutt(t *testing.T) {
	t.Parallel()
	b := start(t)
	editor := file(t, "editor", "#!/bin/sh\necho 'Come at seven.' >>\"$1\"\n")
	if err := os.Chmod(editor, 0o700); err != nil {
		t.Fatal(err)
	}
	rc := file(t, "muttrc", `set ssl_starttls=yes
set certificate_file=%[1]s
set ssl_verify_host=yes
set imap_user=ann
set imap_pass="%[2]s"
set smtp_url="smtps://ann@localhost:%[3]s"
set smtp_pass="%[2]s"
set from="ann@%[4]s"
set realname="Ann Miller"
set folder="imaps://ann@localhost:%[5]s/"
set spoolfile=+INBOX
set record=+Sent
set editor=%[6]s
set charset=utf-8
set abort_unmodified=no
set copy=yes
set header_cache=""
set quit=yes
set confirmappend=no
set confirmcreate=no
set delete=yes
set mark_old=no
set wait_key=no
`, b.rootFile(t), password, b.port(t, config.Submissions), domain, b.port(t, config.IMAPS), editor)
	neomutt := func(keys string) {
		t.Helper()
		program(t, "", "script", "-qec", "neomutt -n -F "+rc+" -e 'push \""+keys+"\"'", "/dev/null")
	}
	neomutt("<mail>ben@" + domain + "<enter>Grüße<enter><send-message><quit>")
	b.wantOne(t, "ben", "Come at seven.")
	if got := bodies(t, b.imap(t, "ann"), "Sent"); len(got) != 1 || !bytes.Contains(got[0], []byte("Come at seven.")) {
		t.Errorf("ann's Sent holds %d messages, want a copy of the letter", len(got))
	}

	// Open the welcome, flag it, and move it to Archive.
	neomutt("<display-message><exit><flag-message><save-message>+Archive<enter><sync-mailbox><quit>")
	archived := b.imap(t, "ann")
	if _, err := archived.Select("Archive", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	messages, err := archived.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{Flags: true}).Collect()
	if err != nil || len(messages) != 1 || !strings.Contains(fmt.Sprint(messages[0].Flags), `\Flagged`) || !strings.Contains(fmt.Sprint(messages[0].Flags), `\Seen`) {
		t.Errorf("Archive holds %v (%v), want the welcome, read and flagged", messages, err)
	}
	if left, err := archived.Select("INBOX", nil).Wait(); err != nil || left.NumMessages != 0 {
		t.Errorf("INBOX still holds messages: %+v (%v)", left, err)
	}
}
