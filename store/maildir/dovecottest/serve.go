package dovecottest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// localConfig is what a private instance needs beside a configuration that
// serves IMAP: whom its mail belongs to, where it listens, and that who types a
// wrong password need not wait.
const localConfig = `
base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = /dev/stderr
ssl = no
disable_plaintext_auth = no
auth_failure_delay = 0
mail_uid = %[2]d
mail_gid = %[3]d
service imap-login {
  inet_listener imap {
    address = 127.0.0.1
    port = %[4]d
  }
  inet_listener imaps {
    port = 0
  }
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
`

// ownConfig is what it needs without root's rights.
const ownConfig = `
default_internal_user = %[1]s
default_internal_group = %[2]s
default_login_user = %[1]s
service anvil {
  chroot =
}
service imap-login {
  chroot =
}
`

// sslConfig is where Debian has its certificate, whose key is root's alone.
const sslConfig = "!include_try /etc/dovecot/conf.d/10-ssl.conf\n"

// ServeFile starts a server with the configuration file conf, in a t.TempDir. It
// is used as it is: what a private instance needs stands in local.conf beside it,
// which it has to include at its end. The mail must belong to Owner. The test's
// end stops it, if Stop has not.
func ServeFile(t testing.TB, conf string) *Server {
	t.Helper()
	home := t.TempDir()
	for _, sub := range []string{"run", "state"} {
		if err := os.Mkdir(filepath.Join(home, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	port := freePort(t)
	user, group, uid, gid := owner(t)
	local := fmt.Sprintf(localConfig, home, uid, gid, port)
	if os.Getuid() != 0 {
		local += fmt.Sprintf(ownConfig, user, group)
		conf = withoutSSL(t, conf)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(conf), "local.conf"), []byte(local), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{conf, filepath.Join(home, "run")} {
		if err := passable(path); err != nil {
			t.Fatal(err)
		}
	}
	s := &Server{IMAP: loopback(port), log: newLog(0)}
	s.cmd = exec.Command("/usr/sbin/dovecot", "-F", "-c", conf)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.start(t)
	return s
}

// withoutSSL makes a configuration beside conf that only root's key is not in.
func withoutSSL(t testing.TB, conf string) (path string) {
	t.Helper()
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(filepath.Dir(conf), "without-ssl.conf")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), sslConfig, "")), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Owner is whom mail must belong to for a ServeFile: the test's user, or nobody
// if that is root.
func Owner(t testing.TB) (uid, gid int) {
	t.Helper()
	_, _, uid, gid = owner(t)
	return uid, gid
}
