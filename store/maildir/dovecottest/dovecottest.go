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
	d := &Dovecot{mail: mail, home: home, config: filepath.Join(home, "dovecot.conf")}
	var mailboxes strings.Builder
	for _, use := range uses {
		fmt.Fprintf(&mailboxes, "  mailbox %s {\n    auto = subscribe\n    special_use = \\%s\n  }\n", use, use)
	}
	text := fmt.Sprintf(`
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
`, home, mail, &mailboxes)
	if err := os.WriteFile(d.config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return d
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
	cmd := d.command("doveadm", args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil || errs.Len() > 0 {
		return out.String(), fmt.Errorf("doveadm %q: %w: %s", args, errors.Join(err, errors.New("it complains")), errs.Bytes())
	}
	return out.String(), nil
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
		for above := filepath.Dir(dir); above != os.TempDir() && above != "/"; above = filepath.Dir(above) {
			info, err := os.Stat(above)
			if err != nil {
				return err
			}
			if err := os.Chmod(above, info.Mode().Perm()|0o711); err != nil {
				return err
			}
		}
		if err := chownAll(dir); err != nil {
			return err
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
