package imapreader

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// certificate is one of the test's own, and its fingerprint.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, fingerprint(leaf)
}

// A script is what a server says: lines, and between them "<" to wait for a line of the client's, "TLS" to begin TLS, "flush" to send
// at once what stands before, "hang up" not to wait until the client does.
type script []string

// play serves one connection.
func (s script) play(conn net.Conn, config *tls.Config) (heard []string) {
	defer func() { conn.Close() }()
	in, out := bufio.NewReader(conn), bufio.NewWriter(conn)
	for _, line := range s {
		switch line {
		case "<":
			out.Flush()
			text, err := in.ReadString('\n')
			if err != nil {
				return heard
			}
			heard = append(heard, strings.TrimRight(text, "\r\n"))
		case "TLS":
			out.Flush()
			secured := tls.Server(conn, config)
			if secured.Handshake() != nil {
				return heard
			}
			conn, in, out = secured, bufio.NewReader(secured), bufio.NewWriter(secured)
		case "flush":
			out.Flush()
		case "hang up":
			out.Flush()
			return heard
		default:
			out.WriteString(line + "\r\n")
		}
	}
	out.Flush()
	_, _ = in.ReadString(0) // until the client hangs up
	return heard
}

// TestSTARTTLS: nothing is said before the connection is secured but STARTTLS, nothing that was heard before is believed, and who goes on
// in the clear is not listened to.
func TestSTARTTLS(t *testing.T) {
	t.Parallel()
	cert, print := certificate(t)
	const inBetween = "goes on in the clear after STARTTLS: somebody may be in between"
	signIn := []string{"<", "* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR", "a2 OK", "<", "a3 OK", "<", "* CAPABILITY IMAP4rev1", "a4 OK"}
	for name, c := range map[string]struct {
		security Security
		script   script
		print    string
		want     string // the error; "": signed in
		heard    string // "": only STARTTLS
	}{
		"one that encrypts": {script: append(script{"* OK ready", "<", "a1 OK go on", "TLS"}, signIn...),
			heard: "a1 STARTTLS, a2 CAPABILITY, a3 AUTHENTICATE PLAIN AGFubgBwdw==, a4 CAPABILITY"},
		"what it said before does not count": {script: append(script{"* OK [CAPABILITY IMAP4rev1 LOGINDISABLED STARTTLS] ready", "<", "* CAPABILITY IMAP4rev1 LOGINDISABLED", "* BYE not I", "a1 OK [CAPABILITY LOGINDISABLED] go on", "TLS"}, signIn...),
			heard: "a1 STARTTLS, a2 CAPABILITY, a3 AUTHENTICATE PLAIN AGFubgBwdw==, a4 CAPABILITY"},
		"one that refuses":                    {script: script{"* OK ready", "<", "a1 NO not here"}, want: `does not encrypt on port`},
		"one that does not know it":           {script: script{"* OK ready", "<", "a1 BAD what?"}, want: `the server says "what?"`},
		"one that hangs up":                   {script: script{"* OK ready", "<", "* BYE no", "hang up"}, want: `does not encrypt on port`},
		"one that wants to go on without":     {script: script{"* PREAUTH welcome"}, want: "wants to go on without encryption", heard: "nothing"},
		"an answer behind it":                 {script: script{"* OK ready", "<", "a1 OK go on", "* CAPABILITY IMAP4rev1 AUTH=PLAIN", "a2 OK", "TLS"}, want: inBetween},
		"an answer behind it, a little later": {script: script{"* OK ready", "<", "a1 OK go on", "flush", "* CAPABILITY IMAP4rev1 AUTH=PLAIN", "a2 OK", "TLS"}, want: inBetween},
		"half a line behind it":               {script: script{"* OK ready", "<", "a1 OK go on\r\n* CAPA", "TLS"}, want: inBetween},
		"another certificate":                 {script: script{"* OK ready", "<", "a1 OK go on", "TLS"}, print: strings.Repeat("0", 64), want: "which is not the one that was given"},
		"TLS and no passwords":                {script: script{"* OK ready", "<", "a1 OK go on", "TLS", "<", "* CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=XOAUTH2", "a2 OK"}, want: ErrNoPassword.Error(), heard: "a1 STARTTLS, a2 CAPABILITY"},
		"no TLS and no passwords":             {security: Unencrypted, script: script{"* OK [CAPABILITY IMAP4rev1 LOGINDISABLED STARTTLS]"}, want: ErrUnencrypted.Error(), heard: "nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			heard := make(chan []string, 1)
			go func() {
				conn, err := l.Accept()
				if err != nil {
					heard <- nil
					return
				}
				heard <- c.script.play(conn, &tls.Config{Certificates: []tls.Certificate{cert}})
			}()
			server := Server{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, Security: STARTTLS, Fingerprint: print}
			if c.security != 0 {
				server.Security = c.security
			}
			if c.print != "" {
				server.Fingerprint = c.print
			}
			conn, err := Dial(t.Context(), server)
			if err == nil {
				err = conn.SignIn("ann", "pw")
				conn.Close()
			}
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, not %q", err, c.want)
			}
			want := c.heard
			if want == "" {
				want = "a1 STARTTLS"
			} else if want == "nothing" {
				want = ""
			}
			if got := strings.Join(<-heard, ", "); got != want {
				t.Errorf("the server heard %q, not %q", got, want)
			}
		})
	}
}
