package dovecottest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Password signs everybody in to a Server.
const Password = "secret"

// Server is Dovecot as Debian ships it, with its master process, serving IMAP
// and LMTP on loopback, without TLS unless it is configured.
type Server struct {
	IMAP, LMTP string // addresses, as net.Dial takes them

	dir  string
	cmd  *exec.Cmd
	log  *log
	once sync.Once // stops it
}

// serverConfig is what a private instance needs that runs without root's
// rights; all that concerns mail is Debian's default.
const serverConfig = `
base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = /dev/stderr
default_internal_user = %[2]s
default_internal_group = %[3]s
default_login_user = %[2]s
protocols = imap lmtp
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
mail_location = maildir:%[4]s/%%n/Maildir
passdb {
  driver = static
  args = password=` + Password + `
}
userdb {
  driver = static
  args = uid=%[5]d gid=%[6]d home=%[4]s/%%n
}
service anvil {
  chroot =
}
service imap-login {
  chroot =
  inet_listener imap {
    address = 127.0.0.1
    port = %[7]d
  }
  inet_listener imaps {
    port = 0
  }
}
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = %[8]d
  }
}
`

// Serve starts a server for the people whose mail lies in dir/PERSON/Maildir,
// which must be in a t.TempDir; who has none yet gets an INBOX. Further lines of
// its configuration may be given. The test's end stops it.
func Serve(t testing.TB, dir string, lines ...string) *Server {
	t.Helper()
	home := t.TempDir()
	for _, sub := range []string{"run", "state"} {
		if err := os.Mkdir(filepath.Join(home, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	imap, lmtp := freePort(t), freePort(t)
	user, group, uid, gid := owner(t)
	config := filepath.Join(home, "dovecot.conf")
	text := fmt.Sprintf(serverConfig, home, user, group, dir, uid, gid, imap, lmtp) + strings.Join(lines, "\n") + "\n"
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	d := &Dovecot{mail: dir, home: home, config: config}
	if err := d.giveAway(); err != nil {
		t.Fatal(err)
	}
	s := &Server{IMAP: loopback(imap), LMTP: loopback(lmtp), dir: dir, log: newLog(keptLines)}
	s.cmd = d.command("/usr/sbin/dovecot", "-F")
	s.start(t)
	return s
}

// start starts the server, and returns once it listens.
func (s *Server) start(t testing.TB) {
	t.Helper()
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go s.log.read(stderr)
	t.Cleanup(func() { s.Stop(t) })
	s.await(t)
}

// Dir is where the people's mail lies.
func (s *Server) Dir() string { return s.dir }

// GiveAway makes mail that the test has put there Dovecot's.
func (s *Server) GiveAway(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	if err := chownAll(s.dir); err != nil {
		t.Fatal(err)
	}
}

// owner names the account that Dovecot runs as.
func owner(t testing.TB) (user, group string, uid, gid int) {
	t.Helper()
	uid, gid = os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = nobody, nobody
	}
	name := func(database string, id int) string {
		out, err := exec.Command("getent", database, fmt.Sprint(id)).Output()
		if err != nil {
			t.Fatalf("the name of %s %d: %v", database, id, err)
		}
		before, _, _ := bytes.Cut(out, []byte(":"))
		return string(before)
	}
	return name("passwd", uid), name("group", gid), uid, gid
}

// await returns once Dovecot listens, which it does before it logs that it is
// starting up.
func (s *Server) await(t testing.TB) {
	t.Helper()
	select {
	case <-s.log.started:
	case <-s.log.ended:
		t.Fatalf("dovecot does not start:\n%s", s.log.String())
	}
}

// Stop ends the server, if it runs, and returns what it has logged.
func (s *Server) Stop(t testing.TB) (log string) {
	t.Helper()
	s.once.Do(func() {
		if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		<-s.log.ended
		if err := s.cmd.Wait(); err != nil {
			t.Errorf("dovecot: %v\n%s", err, s.log.String())
		}
	})
	return s.log.String()
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", fmt.Sprint(port)) }

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// log keeps what Dovecot logs.
type log struct {
	started, ended chan struct{} // closed then
	most           int           // lines that are kept, the last; 0: all

	mu    sync.Mutex // guards what follows
	lines []string
}

// keptLines is how much of the log is kept where every message is a line.
const keptLines = 100

func newLog(most int) *log {
	return &log{most: most, started: make(chan struct{}), ended: make(chan struct{})}
}

func (l *log) read(from io.Reader) {
	defer close(l.ended)
	started := false
	for in := bufio.NewScanner(from); in.Scan(); {
		l.mu.Lock()
		if l.lines = append(l.lines, in.Text()); l.most > 0 && len(l.lines) > l.most {
			l.lines = l.lines[1:]
		}
		l.mu.Unlock()
		if !started && strings.Contains(in.Text(), "starting up") {
			started = true
			close(l.started)
		}
	}
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}
