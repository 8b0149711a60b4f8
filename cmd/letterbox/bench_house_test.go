//go:build bench

package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// house is a household for measuring, and the program that serves it while it is started.
type house struct {
	program, dir string
	offset       int
	memory       *memoryLimit // of the program; nil: none
	server       *server
	logged       chan struct{} // closed when the server's log has ended
}

const (
	benchPerson   = "ann"
	benchDomain   = "bench.home.arpa"
	benchPassword = "correct horse battery"
)

// newHouse makes a household of one person, who may sign in without TLS.
func newHouse(t *testing.T) *house {
	t.Helper()
	program, err := filepath.Abs("../../bin/letterbox")
	if err != nil {
		t.Fatal(err)
	}
	offset, err := freeOffset()
	if err != nil {
		t.Fatal(err)
	}
	h := &house{program: program, dir: filepath.Join(scratch(t), "data"), offset: offset}
	cmd := exec.Command(program, "init", "--data", h.dir, "--domain", benchDomain, "--user", benchPerson, "--password-file", "-",
		"--listen", "127.0.0.1", "--port-offset", strconv.Itoa(offset))
	cmd.Stdin = strings.NewReader(benchPassword)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	file := filepath.Join(h.dir, "letterbox.toml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("[listen]\n"), []byte("[listen]\nplaintext-loopback = true\n"), 1)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) address(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port+h.offset))
}

// maildir is where a person's mail lies.
func (h *house) maildir(person string) string { return filepath.Join(h.dir, "mail", person, "Maildir") }

// start starts the program; the test's end stops it where stop has not.
func (h *house) start(t *testing.T) {
	t.Helper()
	cmd := exec.Command(h.program, "serve", "--data", h.dir)
	if h.memory != nil {
		h.memory.apply(cmd)
	}
	var err error
	if h.server, err = startServer(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.server.kill)
	h.logged = make(chan struct{})
	go func() {
		defer close(h.logged)
		io.Copy(io.Discard, h.server.log)
	}()
}

func (h *house) stop(t *testing.T) {
	t.Helper()
	h.server.cmd.Process.Signal(syscall.SIGTERM)
	<-h.logged
	if err := h.server.cmd.Wait(); err != nil {
		t.Fatalf("the server's end: %v", err)
	}
}

// addPerson gives the household another person while it runs.
func (h *house) addPerson(t *testing.T, name string) {
	t.Helper()
	cmd := exec.Command(h.program, "user", "add", "--data", h.dir, "--password-file", "-", name)
	cmd.Stdin = strings.NewReader(benchPassword)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("user add: %v\n%s", err, out)
	}
}

// fillFolder writes n messages into a folder as another program would. No server may run.
func fillFolder(t *testing.T, folder string, n int) {
	t.Helper()
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

// proc reads a number of a file of the server's in /proc.
func (h *house) proc(t *testing.T, file, field string) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", h.server.cmd.Process.Pid, file))
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut("\n"+string(text), "\n"+field+":")
	var n int64
	if _, err := fmt.Sscan(after, &n); err != nil || !found {
		t.Fatalf("%s of /proc/PID/%s: %v", field, file, err)
	}
	return n
}

// resident, resetPeak and peak read the server's memory as the kernel counts it, in octets.
func (h *house) resident(t *testing.T) int64 { return h.proc(t, "status", "VmRSS") * 1024 }

func (h *house) peak(t *testing.T) int64 { return h.proc(t, "status", "VmHWM") * 1024 }

func (h *house) resetPeak(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", h.server.cmd.Process.Pid), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}

// unwatched is how long a test waits between two looks at the server.
const unwatched = 100 * time.Millisecond

// quiet waits until the server has computed for less than 5 % of 2 s, and returns how long it has been busy.
func (h *house) quiet(t *testing.T) time.Duration {
	t.Helper()
	const calm = 2 * time.Second
	started := time.Now()
	for began, worked := started, h.processorTime(t); ; {
		time.Sleep(unwatched) // between two looks: what is measured is the passing of time
		now := h.processorTime(t)
		if now-worked > calm/20 {
			began, worked = time.Now(), now
		}
		if time.Since(began) > calm {
			return began.Sub(started)
		}
	}
}

// written is what the server has written to the disk so far, in octets: pages made dirty, less those that were given up before
// they reached it.
func (h *house) written(t *testing.T) int64 {
	t.Helper()
	return h.proc(t, "io", "write_bytes") - h.proc(t, "io", "cancelled_write_bytes")
}

// processorTime is how long the server has computed.
func (h *house) processorTime(t *testing.T) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", h.server.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(after)
	if len(fields) < 13 {
		t.Fatalf("/proc/PID/stat: %s", text)
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 wherever Linux tells
	var sum time.Duration
	for _, f := range fields[11:13] { // utime and stime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(n) * tick
	}
	return sum
}
