//go:build crash || interop

package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// TestCrashKill kills the built server under load, hundreds of times, by SIGKILL at any moment, and looks after each time whether
// everything that was acknowledged is there, once, and as it was sent; and that no UID ever names another message than before.
// Every few rounds the caches go as well. LETTERBOX_CRASH_ROUNDS says how many rounds.
func TestCrashKill(t *testing.T) {
	rounds := 200
	if n, err := strconv.Atoi(os.Getenv("LETTERBOX_CRASH_ROUNDS")); err == nil {
		rounds = n
	}
	k := newKilled(t)
	for round := range rounds {
		k.start(t)
		if k.verify(t, round); t.Failed() {
			return
		}
		k.loadAndKill(t)
		if round%5 == 4 {
			k.harmCaches(t)
		}
	}
	k.start(t)
	k.verify(t, rounds)
	fmt.Printf("%d rounds, %d kills, %v acknowledged, %d messages at the end\n", rounds, rounds, k.acknowledged, len(k.where))
}

const (
	killDomain   = "crash.home.arpa"
	killPassword = "correct horse battery"
)

// killFolders are where letters may be.
var killFolders = []string{"INBOX", "Archive", "Work/2026"}

// A killed is a household whose server is killed again and again, and what its clients know.
type killed struct {
	program, dir string
	offset       int
	server       *server
	drained      sync.WaitGroup

	mu           sync.Mutex        // guards what follows
	next         int               // of the next letter
	where        map[int]string    // the folder of each acknowledged letter; "": it moved, or not, when the server was killed
	maybe        map[int]bool      // letters that nobody acknowledged, and that may have gone or come
	shown        map[string]string // "folder UIDVALIDITY UID" -> letter
	acknowledged map[string]int
}

func newKilled(t *testing.T) *killed {
	t.Helper()
	return newKilledIn(t, filepath.Join(t.TempDir(), "data"))
}

// newKilledIn founds the household in dir.
func newKilledIn(t *testing.T, dir string) *killed {
	t.Helper()
	program, err := filepath.Abs("../../bin/letterbox")
	if err != nil {
		t.Fatal(err)
	}
	offset, err := freeOffset()
	if err != nil {
		t.Fatal(err)
	}
	k := &killed{program: program, dir: dir, offset: offset,
		where: map[int]string{}, maybe: map[int]bool{}, shown: map[string]string{}, acknowledged: map[string]int{}}
	cmd := exec.Command(program, "init", "--data", k.dir, "--domain", killDomain, "--user", "ann", "--password-file", "-",
		"--listen", "127.0.0.1", "--port-offset", strconv.Itoa(offset))
	cmd.Stdin = strings.NewReader(killPassword)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	return k
}

func (k *killed) address(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port+k.offset))
}

func (k *killed) start(t *testing.T) {
	t.Helper()
	var err error
	if k.server, err = startServer(exec.Command(k.program, "serve", "--data", k.dir)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.server.kill)
	log := k.server.log
	k.drained.Go(func() { io.Copy(io.Discard, log) })
}

func (k *killed) signIn() (*imapclient.Client, error) {
	c, err := imapclient.DialTLS(k.address(993), &imapclient.Options{TLSConfig: &tls.Config{InsecureSkipVerify: true}}) // it is ourselves
	if err != nil {
		return nil, err
	}
	return c, c.Login("ann", killPassword).Wait()
}

// letterText is letter n: no two are alike, and some are longer than what is kept in memory.
func letterText(n int) string {
	body := strings.Repeat(fmt.Sprintf("This is letter %d, line by line.\r\n", n), 1+n%40)
	if n%17 == 0 {
		body = strings.Repeat(body, 1+200_000/len(body))
	}
	return fmt.Sprintf("From: ben@example.org\r\nTo: ann@%s\r\nSubject: mark-%d\r\n\r\n%s", killDomain, n, body)
}

// fresh draws a letter that may come or not.
func (k *killed) fresh() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.next++
	k.maybe[k.next] = true
	return k.next
}

// is notes that a letter is in a folder for certain.
func (k *killed) is(what string, n int, folder string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.maybe, n)
	k.where[n] = folder
	k.acknowledged[what]++
}

// loadAndKill lets clients work, and kills the server in the midst of it.
func (k *killed) loadAndKill(t *testing.T) {
	t.Helper()
	var clients sync.WaitGroup
	for range 2 {
		clients.Go(func() { k.deliver() })
	}
	for i := range 2 {
		clients.Go(func() { k.work(i) })
	}
	time.Sleep(time.Duration(50+rand.IntN(600)) * time.Millisecond) // a kill at any moment is what is tested
	k.server.kill()
	clients.Wait()
	k.drained.Wait()
}

// deliver sends letters until the server is gone.
func (k *killed) deliver() {
	c, err := smtp.Dial(k.address(25))
	if err != nil {
		return
	}
	defer c.Close()
	for {
		n := k.fresh()
		err := errors.Join(c.Mail("ben@example.org"), c.Rcpt("ann@"+killDomain))
		if err != nil {
			return
		}
		w, err := c.Data()
		if err != nil {
			return
		}
		if _, err := io.WriteString(w, letterText(n)); err != nil {
			return
		}
		if w.Close() != nil {
			return
		}
		k.is("deliveries", n, "INBOX")
	}
}

// work appends, flags, moves and expunges as a mail program until the server is gone. Program i has the letters whose number
// divided by two leaves i for itself.
func (k *killed) work(i int) {
	c, err := k.signIn()
	if err != nil {
		return
	}
	defer c.Close()
	for step := 0; ; step++ {
		n := k.fresh()
		folder := killFolders[step%len(killFolders)]
		text := letterText(n)
		cmd := c.Append(folder, int64(len(text)), nil)
		_, werr := io.WriteString(cmd, text)
		if cerr := cmd.Close(); werr != nil || cerr != nil {
			return
		}
		if _, err := cmd.Wait(); err != nil {
			return
		}
		k.is("appends", n, folder)
		if _, err := c.Select(folder, nil).Wait(); err != nil {
			return
		}
		if !k.moveOne(c, i, folder, killFolders[(step+1)%len(killFolders)]) || !k.expungeOne(c, i, folder) {
			return
		}
	}
}

// own finds a letter of program i's in the selected folder.
func (k *killed) own(c *imapclient.Client, i int, folder string) (uid imap.UID, n int, err error) {
	k.mu.Lock()
	n = 0
	for l, where := range k.where {
		if where == folder && l%2 == i {
			n = l
			break
		}
	}
	k.mu.Unlock()
	if n == 0 {
		return 0, 0, nil
	}
	found, err := c.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: fmt.Sprintf("mark-%d", n)}}}, nil).Wait()
	if err != nil {
		return 0, 0, err
	}
	for _, uid := range found.AllUIDs() { // mark-1 finds mark-12, too
		got, err := c.Fetch(imap.UIDSetNum(uid), &imap.FetchOptions{Envelope: true}).Collect()
		if err != nil {
			return 0, 0, err
		}
		if len(got) == 1 && got[0].Envelope.Subject == fmt.Sprintf("mark-%d", n) {
			return uid, n, nil
		}
	}
	return 0, 0, nil
}

func (k *killed) moveOne(c *imapclient.Client, i int, from, to string) bool {
	uid, n, err := k.own(c, i, from)
	if err != nil || n == 0 {
		return err == nil
	}
	k.set(n, "")
	if _, err := c.Move(imap.UIDSetNum(uid), to).Wait(); err != nil {
		return false
	}
	k.is("moves", n, to)
	return true
}

func (k *killed) expungeOne(c *imapclient.Client, i int, folder string) bool {
	uid, n, err := k.own(c, i, folder)
	if err != nil || n == 0 {
		return err == nil
	}
	deleted := imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}
	if c.Store(imap.UIDSetNum(uid), &deleted, nil).Close() != nil {
		return false
	}
	k.mu.Lock()
	delete(k.where, n)
	k.maybe[n] = true
	k.mu.Unlock()
	if c.UIDExpunge(imap.UIDSetNum(uid)).Close() != nil {
		return false
	}
	k.mu.Lock()
	delete(k.maybe, n)
	k.acknowledged["expunges"]++
	k.mu.Unlock()
	return true
}

func (k *killed) set(n int, folder string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.where[n] = folder
}

// harmCaches removes or damages caches of the server that does not run.
func (k *killed) harmCaches(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(k.dir, "mail"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasPrefix(d.Name(), "letterbox.") {
			return err
		}
		switch rand.IntN(3) {
		case 0:
			return os.Remove(path)
		case 1:
			return os.Truncate(path, int64(rand.IntN(2000)))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

var markOf = regexp.MustCompile(`\r\nSubject: mark-(\d+)\r\n`)

// verify reads everything and holds it against what is known. What was in doubt is known then.
func (k *killed) verify(t *testing.T, round int) {
	t.Helper()
	c, err := k.signIn()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	found := map[int][]string{}
	for _, folder := range killFolders {
		if round == 0 && folder != "INBOX" && folder != "Archive" {
			if err := c.Create(folder, nil).Wait(); err != nil {
				t.Fatal(err)
			}
		}
		selected, err := c.Select(folder, &imap.SelectOptions{ReadOnly: true}).Wait()
		if err != nil {
			t.Fatal(err)
		}
		if selected.NumMessages == 0 {
			continue
		}
		whole := &imap.FetchItemBodySection{Peek: true}
		got, err := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range got {
			text := m.FindBodySection(whole)
			mark := markOf.FindSubmatch(text)
			if mark == nil {
				continue // the welcome
			}
			n, err := strconv.Atoi(string(mark[1]))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(string(text), letterText(n)) { // trace fields stand before it
				t.Errorf("round %d: letter %d is not as it was sent", round, n)
			}
			found[n] = append(found[n], folder)
			key := fmt.Sprint(folder, " ", selected.UIDValidity, " ", m.UID)
			if before, ok := k.shown[key]; ok && before != string(mark[1]) {
				t.Errorf("round %d: %s shows letter %d and showed letter %s", round, key, n, before)
			}
			k.shown[key] = string(mark[1])
		}
	}
	for n, folder := range k.where {
		if at := found[n]; len(at) != 1 || folder != "" && at[0] != folder {
			t.Errorf("round %d: letter %d was acknowledged in %q and is in %q", round, n, folder, at)
		}
	}
	for n, at := range found {
		if _, known := k.where[n]; !known && (!k.maybe[n] || len(at) != 1) {
			t.Errorf("round %d: letter %d is in %q, and nobody has put it there", round, n, at)
		}
	}
	k.where = map[int]string{}
	for _, n := range slices.Collect(maps.Keys(found)) {
		k.where[n] = found[n][0]
	}
	clear(k.maybe)
}
