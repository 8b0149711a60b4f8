//go:build bench

package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"letterbox/store/maildir/dovecottest"
)

// The sizes that the figures speak of.
const (
	benchFolder  = 10_000 // messages
	benchRounds  = 9      // the median of so many
	benchClients = 50
	benchLarge   = 25 << 20 // octets
	benchPart    = 64 << 10
)

// TestBench runs the built program, uses it over TLS on loopback, and prints what it needs. It fails only when something does not
// work: figures are for people to compare, on a machine that is doing nothing else.
func TestBench(t *testing.T) {
	b := newBench(t)
	fmt.Println("figure                                                     measured      wanted")

	var greetings []time.Duration
	for range benchRounds {
		started := time.Now()
		b.start(t)
		b.dial(t).Close()
		greetings = append(greetings, time.Since(started))
		b.stop(t)
	}
	figure("start to the first IMAP greeting over TLS, median", median(greetings), "at most 300ms")

	b.fill(t, benchFolder)
	b.start(t)
	time.Sleep(5 * time.Second) // the figure is of 5 s after the start
	figure("resident memory 5 s after the start", b.resident(t), "at most 20.0 MB")

	var clients []*imapClient
	for range benchClients {
		c := b.signIn(t)
		c.do(t, "SELECT Drafts")
		c.send(t, "i IDLE\r\n")
		c.until(t, "+ ")
		clients = append(clients, c)
	}
	figure(fmt.Sprintf("resident memory with %d idle TLS connections", benchClients), b.resident(t), "at most 25.0 MB")
	for _, c := range clients {
		c.Close()
	}

	b.resetPeak(t)
	b.deliverLarge(t)
	c := b.signIn(t)
	c.do(t, "SELECT INBOX")
	c.do(t, "UID FETCH * (RFC822.SIZE BODY.PEEK[])")
	for offset := 0; offset < benchLarge; offset += benchPart {
		c.do(t, fmt.Sprintf("UID FETCH * (BODY.PEEK[]<%d.%d>)", offset, benchPart))
	}
	c.Close()
	figure("peak memory: 25 MB delivered, fetched whole, in 64 KiB parts", b.peak(t), "at most 35.0 MB")

	c = b.signIn(t)
	ours := c.measureFolder(t)
	c.Close()
	figure("SELECT of 10,000 messages, opened before, median", ours.open, "at most 1ms")
	figure("UID FETCH 1:* (FLAGS), messages a second, median", fmt.Sprintf("%.0f", benchFolder/ours.flags.Seconds()), "at least 500000")

	b.stop(t)
	theirs := b.dovecot(t).measureFolder(t)
	figure("the same SELECT by Dovecot, without TLS", theirs.open, "")
	figure("  its time to ours", ratio(theirs.open, ours.open), "")
	figure("the same FETCH by Dovecot, without TLS, messages a second", fmt.Sprintf("%.0f", benchFolder/theirs.flags.Seconds()), "")
	figure("  its time to ours", ratio(theirs.flags, ours.flags), "")
}

// folderTimes are the medians of what measureFolder does.
type folderTimes struct{ open, flags time.Duration }

// measureFolder opens the large folder and fetches all flags, again and again.
func (c *imapClient) measureFolder(t *testing.T) folderTimes {
	t.Helper()
	c.do(t, "SELECT Folder") // the first time reads every message
	var selects, flags []time.Duration
	for range benchRounds {
		c.do(t, "UNSELECT")
		selects = append(selects, c.do(t, "SELECT Folder"))
		flags = append(flags, c.do(t, "UID FETCH 1:* (FLAGS)"))
		if c.lines != benchFolder {
			t.Fatalf("UID FETCH 1:* (FLAGS) answered %d lines", c.lines)
		}
	}
	return folderTimes{median(selects), median(flags)}
}

func ratio(theirs, ours time.Duration) string {
	return fmt.Sprintf("%.1f", theirs.Seconds()/ours.Seconds())
}

// figure prints a line of the table.
func figure(name string, measured any, wanted string) {
	fmt.Printf("%-58s %-13v %s\n", name, measured, wanted)
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2].Round(10 * time.Microsecond)
}

// bench is a household for measuring, and the program that serves it while it is started.
type bench struct {
	program, dir string
	offset       int
	server       *server
	logged       chan struct{} // closed when the server's log has ended
}

const (
	benchPerson   = "ann"
	benchDomain   = "bench.home.arpa"
	benchPassword = "correct horse battery"
)

func newBench(t *testing.T) *bench {
	t.Helper()
	program, err := filepath.Abs("../../bin/letterbox")
	if err != nil {
		t.Fatal(err)
	}
	offset, err := freeOffset()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{program: program, dir: filepath.Join(t.TempDir(), "data"), offset: offset}
	cmd := exec.Command(program, "init", "--data", b.dir, "--domain", benchDomain, "--user", benchPerson, "--password-file", "-",
		"--listen", "127.0.0.1", "--port-offset", strconv.Itoa(offset))
	cmd.Stdin = strings.NewReader(benchPassword)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	return b
}

func (b *bench) address(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port+b.offset))
}

func (b *bench) start(t *testing.T) {
	t.Helper()
	var err error
	if b.server, err = startServer(exec.Command(b.program, "serve", "--data", b.dir)); err != nil {
		t.Fatal(err)
	}
	b.logged = make(chan struct{})
	go func() {
		defer close(b.logged)
		io.Copy(io.Discard, b.server.log)
	}()
}

func (b *bench) stop(t *testing.T) {
	t.Helper()
	b.server.cmd.Process.Signal(syscall.SIGTERM)
	<-b.logged
	if err := b.server.cmd.Wait(); err != nil {
		t.Fatalf("the server's end: %v", err)
	}
}

// fill writes a folder of n messages as another program would, into the Maildir of a server that does not run.
func (b *bench) fill(t *testing.T, n int) {
	t.Helper()
	folder := filepath.Join(b.dir, "mail", benchPerson, "Maildir", ".Folder")
	for _, sub := range []string{"tmp", "new", "cur"} {
		if err := os.MkdirAll(filepath.Join(folder, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		flags := []string{"", "S", "FS", "RS"}[random.IntN(4)]
		name := fmt.Sprintf("%d.M%dP1.bench:2,%s", 1700000000+i, i, flags)
		text := fmt.Sprintf("From: Sender %d <sender%d@example.org>\r\nTo: ann@%s\r\nSubject: Message number %d\r\nDate: Mon, 02 Nov 2026 18:00:00 +0100\r\nMessage-ID: <%d@example.org>\r\n\r\n%s\r\n",
			i%100, i%100, benchDomain, i, i, strings.Repeat("Some words of text. ", 1+random.IntN(100)))
		if err := os.WriteFile(filepath.Join(folder, "cur", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// deliverLarge sends the 25 MB message by SMTP.
func (b *bench) deliverLarge(t *testing.T) {
	t.Helper()
	c, err := smtp.Dial(b.address(25))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Mail("sender@example.org"); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt(benchPerson + "@" + benchDomain); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "From: sender@example.org\r\nSubject: Large\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	line := []byte(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("letterbox "), 6)[:57]) + "\r\n")
	for written := 0; written < benchLarge; written += len(line) {
		out.Write(line)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// resident, resetPeak and peak read the server's memory as the kernel counts it.
func (b *bench) resident(t *testing.T) string { return b.status(t, "VmRSS:") }

func (b *bench) peak(t *testing.T) string { return b.status(t, "VmHWM:") }

func (b *bench) resetPeak(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", b.server.cmd.Process.Pid), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) status(t *testing.T, field string) string {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.server.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), field)
	var kilobytes float64
	if _, err := fmt.Sscan(after, &kilobytes); err != nil {
		t.Fatalf("%s in /proc: %v", field, err)
	}
	return fmt.Sprintf("%.1f MB", kilobytes*1024/1e6)
}

// imapClient speaks IMAP without understanding it, so that it measures the server and not itself.
type imapClient struct {
	io.ReadWriteCloser
	r     *bufio.Reader
	lines int // of the last answer, before the tagged one
}

func (b *bench) dial(t *testing.T) *imapClient {
	t.Helper()
	conn, err := tls.Dial("tcp", b.address(993), &tls.Config{InsecureSkipVerify: true}) // it is ourselves whom we measure
	if err != nil {
		t.Fatal(err)
	}
	c := newIMAPClient(conn)
	c.until(t, "* OK")
	return c
}

func newIMAPClient(conn io.ReadWriteCloser) *imapClient {
	return &imapClient{ReadWriteCloser: conn, r: bufio.NewReaderSize(conn, 256<<10)}
}

// dovecot is a client of Debian's Dovecot, which serves the same Maildir while our server does not run.
func (b *bench) dovecot(t *testing.T) *imapClient {
	t.Helper()
	c := newIMAPClient(dovecottest.New(t, filepath.Join(b.dir, "mail", benchPerson, "Maildir")).IMAP(t))
	c.until(t, "* PREAUTH")
	return c
}

func (b *bench) signIn(t *testing.T) *imapClient {
	t.Helper()
	c := b.dial(t)
	c.do(t, fmt.Sprintf("LOGIN %s %q", benchPerson, benchPassword))
	return c
}

func (c *imapClient) send(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// do sends a command and reads to its OK; it returns how long that took.
func (c *imapClient) do(t *testing.T, command string) time.Duration {
	t.Helper()
	started := time.Now()
	c.send(t, "a "+command+"\r\n")
	c.until(t, "a OK")
	return time.Since(started)
}

// until reads lines up to the one that begins with prefix. Any other answer to a command ends the test.
func (c *imapClient) until(t *testing.T, prefix string) {
	t.Helper()
	for c.lines = 0; ; c.lines++ {
		line, err := c.r.ReadSlice('\n')
		for err == bufio.ErrBufferFull {
			line, err = c.r.ReadSlice('\n')
		}
		if err != nil {
			t.Fatal(err)
		}
		if bytes.HasPrefix(line, []byte(prefix)) {
			return
		}
		if bytes.HasPrefix(line, []byte("a NO")) || bytes.HasPrefix(line, []byte("a BAD")) {
			t.Fatalf("the server answers %s", line)
		}
	}
}
