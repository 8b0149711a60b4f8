// Package dovecottest runs Debian's Dovecot on a Maildir tree of a test's, with
// a configuration of its own: listescape and the separator "/", as Letterbox
// has it. Only tests import it. A test that needs Dovecot fails where it is
// missing.
package dovecottest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Dovecot is a private instance on one tree. It is no server: each command
// works on the files and ends.
type Dovecot struct {
	mail   string // the Maildir++ root
	home   string
	config string
	text   string // of config
}

// nobody is who Dovecot runs as when the test is root's: it refuses to touch
// root's mail.
const nobody = 65534

// New prepares an instance for the Maildir++ tree at mail, which need not exist
// yet. The tree must lie in a t.TempDir. It makes and subscribes the mailboxes
// named uses, each for the special use of its name.
func New(t testing.TB, mail string, uses ...string) *Dovecot {
	t.Helper()
	home := t.TempDir()
	d := &Dovecot{mail: mail, home: home}
	var mailboxes strings.Builder
	for _, use := range uses {
		fmt.Fprintf(&mailboxes, "  mailbox %s {\n    auto = subscribe\n    special_use = \\%s\n  }\n", use, use)
	}
	d.configure(t, fmt.Sprintf(`
base_dir = %s/run
log_path = /dev/stderr
mail_location = maildir:%s
mail_plugins = listescape
first_valid_uid = 1
ssl = no
namespace inbox {
  inbox = yes
  separator = /
%s}
`, home, mail, &mailboxes))
	return d
}

// configure writes the configuration.
func (d *Dovecot) configure(t testing.TB, text string) {
	t.Helper()
	d.text, d.config = text, filepath.Join(t.TempDir(), "dovecot.conf")
	if err := os.WriteFile(d.config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := passable(d.config); err != nil {
		t.Fatal(err)
	}
}

// With is the instance with further lines in its configuration, on the same tree.
func (d *Dovecot) With(t testing.TB, lines ...string) *Dovecot {
	t.Helper()
	other := *d
	other.configure(t, d.text+strings.Join(lines, "\n")+"\n")
	return &other
}

// Doveadm runs doveadm with stdin and returns what it prints; errors end the
// test.
func (d *Dovecot) Doveadm(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	out, err := d.TryDoveadm(stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TryDoveadm is Doveadm for other goroutines and for what may fail.
func (d *Dovecot) TryDoveadm(stdin string, args ...string) (string, error) {
	if err := d.giveAway(); err != nil {
		return "", err
	}
	out, errs, err := run(d.command("doveadm", args...), stdin)
	if err != nil || errs != "" {
		return out, fmt.Errorf("doveadm %q: %w: %s", args, errors.Join(err, errors.New("it complains")), errs)
	}
	return out, nil
}

// Insist is Doveadm for a tree that Dovecot has something to complain about: it
// may say so, and fails the first time, when it repairs what it has found. What
// it complained of is returned.
func (d *Dovecot) Insist(t testing.TB, args ...string) (out, complaints string) {
	t.Helper()
	if err := d.giveAway(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		var errs string
		var err error
		out, errs, err = run(d.command("doveadm", args...), "")
		complaints += errs
		if err == nil {
			return out, complaints
		}
	}
	t.Fatalf("doveadm %q fails again and again: %s", args, complaints)
	return "", ""
}

// LDA delivers a message with dovecot-lda, as an MTA would, into INBOX or where
// args ("-m", "folder") say.
func (d *Dovecot) LDA(message string, args ...string) error {
	if err := d.giveAway(); err != nil {
		return err
	}
	_, errs, err := run(d.command("/usr/lib/dovecot/dovecot-lda", append([]string{"-f", "ben@example.org"}, args...)...), message)
	if err != nil {
		return fmt.Errorf("dovecot-lda %q: %w: %s", args, err, errs)
	}
	return nil
}

// run runs a program with stdin to its end.
func run(cmd *exec.Cmd, stdin string) (out, errs string, err error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err = cmd.Run()
	return stdout.String(), stderr.String(), err
}

// IMAP starts Dovecot's IMAP server for one connection, on which it is signed in
// already. Close it, or the test's end does.
func (d *Dovecot) IMAP(t testing.TB) io.ReadWriteCloser {
	t.Helper()
	if err := d.giveAway(); err != nil {
		t.Fatal(err)
	}
	c := &connection{cmd: d.command("/usr/lib/dovecot/imap")}
	in, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.cmd.Stderr = &c.errs
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.Reader, c.WriteCloser = out, in
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// A connection is an IMAP server on a pair of pipes.
type connection struct {
	io.Reader
	io.WriteCloser
	cmd  *exec.Cmd
	errs bytes.Buffer
	once sync.Once
	err  error
}

// Close hangs up and waits for the server's end.
func (c *connection) Close() error {
	c.once.Do(func() {
		c.WriteCloser.Close()
		io.Copy(io.Discard, c.Reader)
		if err := c.cmd.Wait(); err != nil {
			c.err = fmt.Errorf("dovecot's imap: %w: %s", err, &c.errs)
		}
	})
	return c.err
}

// command is a program of Dovecot's with the instance's configuration.
func (d *Dovecot) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, append([]string{"-c", d.config}, args...)...)
	cmd.Env = append(os.Environ(), "USER=nobody", "HOME="+d.home, "TZ=UTC")
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	return cmd
}

// giveAway makes the tree Dovecot's, and the way to it passable.
func (d *Dovecot) giveAway() error {
	if os.Getuid() != 0 {
		return nil
	}
	for _, dir := range []string{d.home, d.mail} {
		if err := errors.Join(passable(dir), chownAll(dir)); err != nil {
			return err
		}
	}
	return nil
}

// passable lets everybody pass through the directories above path.
func passable(path string) error {
	for above := filepath.Dir(path); above != os.TempDir() && above != "/"; above = filepath.Dir(above) {
		info, err := os.Stat(above)
		if err != nil {
			return err
		}
		if mode := info.Mode().Perm(); mode|0o711 != mode {
			if err := os.Chmod(above, mode|0o711); err != nil {
				return err
			}
		}
	}
	return nil
}

// chownAll gives a tree to Dovecot; what vanishes meanwhile is not missed.
func chownAll(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = os.Lchown(path, nobody, nobody)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}
