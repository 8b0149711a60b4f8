//go:build bench

package main

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"letterbox/store/maildir/dovecottest"
)

const (
	largeMessages = 100_000
	largePerson   = "ben"
	largeMemory   = 128 << 20
	openings      = 5
)

// benchLarge measures a folder of 100,000 messages: making its caches, opening it, delivering into it.
func benchLarge(t *testing.T) {
	h := newHouse(t)
	h.start(t)
	h.addPerson(t, largePerson)
	h.stop(t)
	fillFolder(t, h.maildir(largePerson), largeMessages)
	limited := h.limitMemory(t, largeMemory)

	heading("A folder of 100,000 messages without caches", limited+`
Memory: VmHWM since then less VmRSS before, of /proc/PID/status. The program is watched until it is quiet, which is computing for
less than 5 % of 2 s; meanwhile another connection fetches messages, from another folder and from this one.`)
	h.start(t)
	h.rebuild(t)
	c := signInPlain(t, h.address(143), largePerson, benchPassword)
	for i := range otherFolders {
		c.do(t, fmt.Sprintf("CREATE Other%d", i))
	}
	c.Close()
	h.stop(t)

	heading("Opening it with its caches", limited+fmt.Sprintf(`
Medians of %d openings by SELECT, without TLS, each the first after a restart. Files are in the system's memory. Afterwards the folder
is left and the store made to close it, by looking into %d others. Memory: VmRSS and VmHWM of /proc/PID/status.`, openings, otherFolders))
	h.openLarge(t)

	mix := newMix()[:mixLetters/8] // Dovecot takes half a second for each
	heading("Delivery into it, by SMTP (Dovecot: LMTP), 1 connection", limited+"\n"+beside(mix))
	h.start(t)
	h.deliverIntoLarge(t, mix)
	if h.memory != nil {
		figure("most memory that the program and its page cache had, of as much as the limit", megabytes(h.memory.most(t)))
	}
	h.stop(t)
}

// rebuild opens the folder without caches, and reads mail meanwhile.
func (h *house) rebuild(t *testing.T) {
	t.Helper()
	opener := signInPlain(t, h.address(143), largePerson, benchPassword)
	defer opener.Close()
	reader := signInPlain(t, h.address(143), largePerson, benchPassword)
	defer reader.Close()
	if _, err := fmt.Fprintf(reader, "a APPEND Archive {10+}\r\nSubject: x\r\n"); err != nil {
		t.Fatal(err)
	}
	reader.until(t, "a OK")
	reader.do(t, "SELECT Archive")
	h.quiet(t)

	idle := h.resident(t)
	h.resetPeak(t)
	opened := make(chan time.Duration, 1)
	go func() {
		started := time.Now()
		if _, err := fmt.Fprint(opener, "a SELECT INBOX\r\n"); err != nil || opener.await("a OK") != nil {
			close(opened)
			return
		}
		opened <- time.Since(started)
	}()
	elsewhere, took, ok := time.Duration(0), time.Duration(0), true
	for open := false; !open; {
		elsewhere = max(elsewhere, reader.do(t, "FETCH 1 (BODY.PEEK[])"))
		select {
		case took, ok = <-opened:
			open = true
		case <-time.After(unwatched):
		}
	}
	if !ok {
		t.Fatal("SELECT of the large folder went wrong")
	}
	figure("SELECT", duration(took))
	figure("  slowest FETCH of a message in another folder meanwhile", duration(elsewhere))
	here := make(chan time.Duration)
	stop := make(chan struct{})
	go func() {
		slowest := time.Duration(0)
		defer func() { here <- slowest }()
		for i := 1; ; i += 997 {
			select {
			case <-stop:
				return
			case <-time.After(unwatched):
			}
			started := time.Now()
			if _, err := fmt.Fprintf(opener, "a FETCH %d (RFC822.SIZE BODY.PEEK[])\r\n", i%largeMessages+1); err != nil || opener.await("a OK") != nil {
				return
			}
			slowest = max(slowest, time.Since(started))
		}
	}()
	busy := h.quiet(t)
	close(stop)
	figure("the program is quiet after", duration(busy))
	figure("  slowest FETCH of a message in this folder meanwhile", duration(<-here))
	figure("  peak memory above that before", megabytes(h.peak(t)-idle), atMost(megabytes(16e6)))
}

// otherFolders are as many as make the store close a folder that nobody has open.
const otherFolders = 10

// openLarge opens the folder in programs that have just been started.
func (h *house) openLarge(t *testing.T) {
	t.Helper()
	var took, fell []time.Duration
	var memory, left []int64
	for range openings {
		h.start(t)
		c := signInPlain(t, h.address(143), largePerson, benchPassword)
		h.lookIntoOthers(t, c)
		h.quiet(t)
		before := h.resident(t)
		h.resetPeak(t)
		took = append(took, c.do(t, "SELECT INBOX"))
		memory = append(memory, h.peak(t)-before)
		c.do(t, "UNSELECT")
		h.lookIntoOthers(t, c)
		fell = append(fell, h.falls(t, before+1e6))
		left = append(left, h.resident(t)-before)
		c.Close()
		h.stop(t)
	}
	figure("SELECT, median", duration(median(took)), atMost(duration(50*time.Millisecond)))
	figure("  peak memory above that before, median", megabytes(median(memory)), atMost(megabytes(8e6)))
	figure("  memory above that before, after the folder was closed, median", megabytes(median(left)), atMost(megabytes(1e6)))
	figure("  which it takes at most", duration(longest(fell)))
}

// lookIntoOthers makes the store close a folder that nobody has open any more: others have been used since.
func (h *house) lookIntoOthers(t *testing.T, c *imapClient) {
	t.Helper()
	for i := range otherFolders {
		c.do(t, fmt.Sprintf("STATUS Other%d (MESSAGES UIDNEXT)", i))
	}
}

func longest(list []time.Duration) (d time.Duration) {
	for _, e := range list {
		d = max(d, e)
	}
	return d
}

// fallsWithin bounds how long falls waits.
const fallsWithin = 30 * time.Second

// falls waits until the program has no more memory than that, and returns how long it took.
func (h *house) falls(t *testing.T, to int64) time.Duration {
	t.Helper()
	started := time.Now()
	for h.resident(t) > to && time.Since(started) < fallsWithin {
		time.Sleep(unwatched) // between two looks: the kernel tells nobody when a program gives memory back
	}
	return time.Since(started)
}

// deliverIntoLarge delivers into the large folder and an empty one in turn, beside Dovecot and the bare program, who do the same.
func (h *house) deliverIntoLarge(t *testing.T, mix []benchLetter) {
	t.Helper()
	d := dovecottest.Serve(t, scratch(t))
	fillFolder(t, filepath.Join(d.Dir(), largePerson, "Maildir"), largeMessages)
	d.GiveAway(t)
	c := signInPlain(t, d.IMAP, largePerson, dovecottest.Password)
	c.do(t, "SELECT INBOX") // makes its index
	c.Close()
	large := newBare(t, scratch(t))
	fillFolder(t, large.dir, largeMessages)
	r := contest(t, mix, 1,
		bySMTP("Letterbox", h.address(25), "EHLO", benchPerson), bySMTP("Letterbox", h.address(25), "EHLO", largePerson),
		bySMTP("Dovecot", d.LMTP, "LHLO", benchPerson), bySMTP("Dovecot", d.LMTP, "LHLO", largePerson),
		newBare(t, scratch(t)).contestant(), large.contestant())
	figure("delivery into 100,000 messages, messages a second", r.rate(1))
	figure("  into an empty folder", r.rate(0))
	figure("  ratio", ratio(r.ratio(1, 0)), atLeast(ratio(0.9)))
	figure("  Dovecot, into 100,000", r.rate(3))
	figure("  Dovecot's ratio", ratio(r.ratio(3, 2)))
	figure("  the bare program, into 100,000", r.rate(5))
	figure("  the bare program's ratio", ratio(r.ratio(5, 4)))
	figure("  ratio to Dovecot, both into 100,000", ratio(r.ratio(1, 3)))
}
