package main

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"

	"letterbox/appliance/imapreader"
	"letterbox/appliance/transfer"
)

// Ports of IMAP: RFC 8314, 3.2 and RFC 9051, 2.1.
const (
	imapsPort = 993
	imapPort  = 143
)

// words is a flag that may be given several times.
type words []string

func (w *words) String() string { return strings.Join(*w, ", ") }

func (w *words) Set(s string) error {
	*w = append(*w, s)
	return nil
}

func importIMAP(ctx context.Context, args []string, c console) error {
	f := newDataFlags("import imap", c)
	server := f.String("server", "", "`host` of the other server, and :PORT if it is not 993; port 143 means STARTTLS")
	ca := f.String("ca", "", "`file` with the certificate of who vouches for the server, if this system does not know them")
	print := f.String("fingerprint", "", "SHA-256 `fingerprint` of the server's certificate: this one is taken, and no other")
	open := f.Bool("unencrypted", false, "send the password and read the mail in the clear; only to a server on this machine")
	var account transfer.IMAPAccount
	f.StringVar(&account.User, "user", "", "`name` to sign in with there, often the address")
	file := f.passwordFile()
	f.Var((*words)(&account.Folders), "folder", "bring this `folder` and what lies below it, and no other; may be given several times")
	f.Var((*words)(&account.Exclude), "exclude", "do not bring this `folder` and what lies below it; may be given several times")
	f.BoolVar(&account.KeepNames, "keep-names", false, "call sent mail, drafts, junk, trash and the archive as there, not as here")
	dryRun := f.dryRun()
	names, err := f.parse(args, "PERSON")
	if err != nil {
		return err
	}
	if *server == "" || account.User == "" {
		return f.wrong("--server and --user say where the mail is")
	}
	if account.Server, err = imapServer(*server, *ca, *print, *open); err != nil {
		return err
	}
	_, disconnect, err := connect(*f.data, c) // before anybody types a password
	if err != nil {
		return err
	}
	if err := disconnect(); err != nil {
		return err
	}
	if account.Password, err = knownPassword(*file, account.User, c); err != nil {
		return err
	}
	progress := progressOn(c)
	account.Say = progress.Say
	src, err := transfer.OpenIMAP(ctx, account)
	if err != nil {
		return err
	}
	return errors.Join(bring(ctx, *f.data, names[0], src, *dryRun, progress, c), src.Close())
}

// imapServer is the server that the flags speak of.
func imapServer(addr, ca, print string, open bool) (s imapreader.Server, err error) {
	s = imapreader.Server{Host: strings.Trim(addr, "[]"), Port: imapsPort}
	if open {
		s.Port, s.Security = imapPort, imapreader.Unencrypted
	}
	if host, port, err := net.SplitHostPort(addr); err == nil {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return s, usageError(fmt.Sprintf("import imap: %q is no port", port))
		}
		s.Host, s.Port = host, int(n)
	}
	if s.Host == "" {
		return s, usageError(fmt.Sprintf("import imap: %q names no server", addr))
	}
	if s.Port == imapPort && !open {
		s.Security = imapreader.STARTTLS
	}
	if print != "" {
		s.Fingerprint = strings.ToLower(strings.ReplaceAll(print, ":", ""))
		if b, err := hex.DecodeString(s.Fingerprint); err != nil || len(b) != 32 {
			return s, usageError("import imap: a SHA-256 fingerprint has 64 hex digits")
		}
	}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return s, err
		}
		if s.Roots = x509.NewCertPool(); !s.Roots.AppendCertsFromPEM(pem) {
			return s, fmt.Errorf("there is no certificate in %s", ca)
		}
	}
	return s, nil
}

// knownPassword returns a password that exists: the first line of file, or what the person at the terminal types.
func knownPassword(file, user string, c console) (string, error) {
	if file != "" {
		return readPassword(file, c)
	}
	terminal := int(c.in.Fd())
	if !term.IsTerminal(terminal) {
		return "", usageError("there is no terminal to ask for the password: use --password-file")
	}
	fmt.Fprintf(c.err, "Password of %s at the other server: ", user)
	b, err := term.ReadPassword(terminal)
	fmt.Fprintln(c.err)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return string(b), nil
}
