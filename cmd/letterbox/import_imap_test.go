package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"letterbox/appliance/config"
	"letterbox/store"
)

// servedHousehold is one in which ann lives with these letters, on loopback ports of its own.
func servedHousehold(t *testing.T, folders map[string][]letter) (dir, imaps string) {
	t.Helper()
	offset, err := freeOffset()
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(memDir(t), "box")
	mustRun(t, "init", "--data", dir, "--domain", "miller.home.arpa", "--user", "ann", "--password-file", passwordFile(t), "--listen", "127.0.0.1", "--port-offset", strconv.Itoa(offset))
	if err := os.RemoveAll(filepath.Join(dir, "mail")); err != nil {
		t.Fatal(err)
	}
	fill(t, dir, folders)
	return dir, net.JoinHostPort("127.0.0.1", strconv.Itoa(config.IMAPS.StandardPort()+offset))
}

func passwordFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(path, []byte("correct horse battery\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// serveHere serves a household in this process until the test ends.
func serveHere(t *testing.T, dir string) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "--data", dir}, console{in: os.Stdin, out: w, err: w})
		w.Close()
	}()
	log := bufio.NewScanner(r)
	ready := false
	for !ready && log.Scan() {
		ready = strings.Contains(log.Text(), "msg=ready")
	}
	drained := make(chan struct{})
	go func() {
		io.Copy(io.Discard, r)
		close(drained)
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("serving: %v", err)
		}
		<-drained
	})
	if !ready {
		t.Fatal("the server did not start")
	}
}

// A cutter stands before a server, and cuts connections after so many octets of the server's.
type cutter struct {
	net.Listener
	to    string
	after func(conn int) int64 // octets until the cut of a connection; below 0: none
	cut   func()               // what else happens then
	wg    sync.WaitGroup
}

func startCutter(t *testing.T, to string, after func(conn int) int64, cut func()) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{Listener: l, to: to, after: after, cut: cut}
	c.wg.Go(func() {
		for n := 0; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.wg.Go(func() { c.pass(conn, after(n)) })
		}
	})
	t.Cleanup(func() { l.Close(); c.wg.Wait() })
	return c
}

func (c *cutter) pass(client net.Conn, octets int64) {
	defer client.Close()
	server, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	defer server.Close()
	c.wg.Go(func() {
		io.Copy(server, client)
		server.(*net.TCPConn).CloseWrite()
	})
	if octets < 0 {
		io.Copy(client, server)
		return
	}
	if n, _ := io.CopyN(client, server, octets); n == octets {
		c.cut()
	}
}

// oldMail is mail of several kinds.
func oldMail() map[string][]letter {
	message := func(n, size int) string {
		return fmt.Sprintf("From: ann@example.org\r\nSubject: %d\r\n\r\n%s", n, strings.Repeat(fmt.Sprintf("line of %d\r\n", n), size/12))
	}
	folders := map[string][]letter{"Späße/Vögel & mehr": nil, "Lists/go.dev": nil, "Sent": {{message(1, 10), `\Seen`, 1e9}}, "Empty": nil}
	flags := []string{"", `\Seen`, `\Answered \Flagged \Seen`, "$Forwarded NonJunk", `\Draft blue`, `\Deleted`}
	for i := range 150 {
		folders["INBOX"] = append(folders["INBOX"], letter{message(i, 100*i), flags[i%len(flags)], int64(1e9 + 3600*i)})
		folders["Lists/go.dev"] = append(folders["Lists/go.dev"], letter{message(i%100, 3000), flags[i%2], int64(86400 * i)}) // a third comes twice
	}
	folders["Späße/Vögel & mehr"] = []letter{{message(7, 3<<20), `\Seen`, 1234567890}, {"", "", 5}, {"no header", "", 6}}
	return folders
}

// TestImportIMAP: what comes from another letterbox is what was there, once, whatever becomes of the connection.
func TestImportIMAP(t *testing.T) {
	t.Parallel()
	there, imaps := servedHousehold(t, oldMail())
	want := letters(holdings(t, there))
	hide(t, there, "Lists/go.dev")
	wantSubscribed := subscriptions(t, there)
	serveHere(t, there)
	template := household(t)
	password := passwordFile(t)
	command := func(here, server string, more ...string) []string {
		return append([]string{"import", "imap", "--data", here, "--server", server, "--ca", filepath.Join(there, "tls", "root.pem"), "--user", "ann", "--password-file", password, "ann"}, more...)
	}
	newBox := func(t *testing.T) string {
		here := filepath.Join(memDir(t), "here")
		box(t, here, template, nil)
		return here
	}
	undisturbed := newBox(t)
	said := mustRun(t, command(undisturbed, imaps)...)
	reference := holdings(t, undisturbed)
	wantSame(t, "undisturbed", letters(reference), want)
	if got := subscriptions(t, undisturbed); !slices.Equal(got, wantSubscribed) {
		t.Errorf("subscribed to %q, not %q\n%s", got, wantSubscribed, said)
	}
	said = mustRun(t, command(undisturbed, imaps)...)
	if again := holdings(t, undisturbed); !maps.EqualFunc(again, reference, slices.Equal) || !strings.Contains(said, "\n0 messages came") {
		t.Errorf("imported once more:\n%s", said)
	}
	same := func(t *testing.T, here, said string) {
		t.Helper()
		got := holdings(t, here)
		wantSame(t, "disturbed", letters(got), want)
		for name, list := range got {
			for i, l := range list {
				if i < len(reference[name]) && l.id != reference[name][i].id {
					t.Errorf("message %d of %s has another identity", i, name)
				}
			}
		}
		if got := subscriptions(t, here); !slices.Equal(got, wantSubscribed) {
			t.Errorf("subscribed to %q", got)
		}
		if t.Failed() {
			t.Log(said)
		}
	}
	for _, octets := range []int64{10_000, 40_000, 100_000, 400_000, 900_000, 1_500_000, 2_000_000, 4_000_000} {
		t.Run(fmt.Sprintf("cut once after %d", octets), func(t *testing.T) {
			t.Parallel()
			here := newBox(t)
			c := startCutter(t, imaps, func(conn int) int64 {
				if conn > 0 {
					return -1
				}
				return octets
			}, func() {})
			same(t, here, mustRun(t, command(here, c.Addr().String())...))
		})
		t.Run(fmt.Sprintf("killed after %d", octets), func(t *testing.T) {
			t.Parallel()
			here := newBox(t)
			ctx, kill := context.WithCancel(t.Context())
			defer kill()
			c := startCutter(t, imaps, func(int) int64 { return octets }, kill)
			said, err := typed(ctx, t, command(here, c.Addr().String())...)
			if err == nil || !strings.Contains(err.Error(), "the same command goes on where it stopped") {
				t.Errorf("it was not stopped: %v\n%s", err, said)
			}
			same(t, here, mustRun(t, command(here, imaps)...))
		})
	}
	t.Run("without room", func(t *testing.T) {
		t.Parallel()
		here := newBox(t)
		before := holdings(t, here)
		mustRun(t, "user", "quota", "--data", here, "ann", "2MB")
		for _, more := range [][]string{nil, {"--dry-run"}} {
			said, err := typed(t.Context(), t, command(here, imaps, more...)...)
			if err == nil || !strings.HasPrefix(err.Error(), "there is no room for 304 messages of ") || !strings.Contains(err.Error(), "the quota is ") {
				t.Errorf("%v\n%s", err, said)
			}
			if got := holdings(t, here); !maps.EqualFunc(got, before, slices.Equal) {
				t.Errorf("something came, into %v", slices.Sorted(maps.Keys(got)))
			}
		}
	})
	t.Run("cut all the time", func(t *testing.T) { // three times in the large message
		t.Parallel()
		here := newBox(t)
		c := startCutter(t, imaps, func(int) int64 { return 1_000_000 }, func() {})
		same(t, here, mustRun(t, command(here, c.Addr().String())...))
	})
}

// hide takes a folder out of those that are shown.
func hide(t *testing.T, dir, folder string) {
	t.Helper()
	withAccount(t, dir, func(a *store.Account) {
		for _, name := range []string{"INBOX", "Sent", "Späße/Vögel & mehr", "Empty"} {
			if err := a.Subscribe(name, true); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Subscribe(folder, false); err != nil {
			t.Fatal(err)
		}
	})
}

func subscriptions(t *testing.T, dir string) (names []string) {
	t.Helper()
	withAccount(t, dir, func(a *store.Account) {
		var err error
		if names, err = a.Subscriptions(); err != nil {
			t.Fatal(err)
		}
	})
	slices.Sort(names)
	return names
}

func withAccount(t *testing.T, dir string, do func(*store.Account)) {
	t.Helper()
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a, err := s.Account("ann")
	if err != nil {
		t.Fatal(err)
	}
	do(a)
}

// TestImportIMAPFlags: what the flags say of the server.
func TestImportIMAPFlags(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{"a.example": "a.example 993 0", "a.example:143": "a.example 143 1", "[::1]:2993": "::1 2993 0", "a.example:0": "", ":993": "", "a.example:x": ""} {
		s, err := imapServer(addr, "", "", false)
		if got := fmt.Sprint(s.Host, " ", s.Port, " ", int(s.Security)); (err != nil) != (want == "") || err == nil && got != want {
			t.Errorf("%s is %s, %v", addr, got, err)
		}
	}
	if s, err := imapServer("localhost", "", "", true); err != nil || s.Port != 143 || s.Security != 2 {
		t.Errorf("in the clear: %+v, %v", s, err)
	}
	if _, err := imapServer("localhost", "/dev/null", "", false); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file without a certificate: %v", err)
	}
}
