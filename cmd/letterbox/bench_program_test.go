//go:build bench

package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"net/smtp"
	"path/filepath"
	"testing"
	"time"

	"letterbox/store/maildir/dovecottest"
)

// The sizes that the figures of the program and of a folder speak of.
const (
	benchMessages = 10_000 // in a folder
	benchRounds   = 9      // the median of so many
	benchClients  = 50
	benchAttached = 25 << 20 // octets
	benchPart     = 64 << 10
)

// benchProgram measures the start and what the program needs of memory.
func benchProgram(t *testing.T) {
	heading("The program", fmt.Sprintf("Resident memory is VmRSS and VmHWM of /proc/PID/status. Medians of %d.", benchRounds))
	h := newHouse(t)
	var greetings []time.Duration
	for range benchRounds {
		started := time.Now()
		h.start(t)
		h.dialTLS(t).Close()
		greetings = append(greetings, time.Since(started))
		h.stop(t)
	}
	figure("start to the first IMAP greeting over TLS, median", duration(median(greetings)), atMost(duration(300*time.Millisecond)))

	fillFolder(t, filepath.Join(h.maildir(benchPerson), ".Folder"), benchMessages)
	h.start(t)
	time.Sleep(5 * time.Second) // the figure is of 5 s after the start
	figure("resident memory 5 s after the start", megabytes(h.resident(t)), atMost(megabytes(20e6)))

	var clients []*imapClient
	for range benchClients {
		c := h.signInTLS(t)
		c.do(t, "SELECT Drafts")
		c.send(t, "i IDLE\r\n")
		c.until(t, "+ ")
		clients = append(clients, c)
	}
	figure(fmt.Sprintf("resident memory with %d idle TLS connections", benchClients), megabytes(h.resident(t)), atMost(megabytes(25e6)))
	for _, c := range clients {
		c.Close()
	}

	h.resetPeak(t)
	h.deliverLarge(t)
	c := h.signInTLS(t)
	defer c.Close()
	c.do(t, "SELECT INBOX")
	c.do(t, "UID FETCH * (RFC822.SIZE BODY.PEEK[])")
	for offset := 0; offset < benchAttached; offset += benchPart {
		c.do(t, fmt.Sprintf("UID FETCH * (BODY.PEEK[]<%d.%d>)", offset, benchPart))
	}
	figure("peak memory: 25 MB delivered, fetched whole, in 64 KiB parts", megabytes(h.peak(t)), atMost(megabytes(35e6)))
}

// benchFolder measures how fast a folder is opened and its flags are told, beside Dovecot.
func benchFolder(t *testing.T) {
	heading("A folder of 10,000 messages", fmt.Sprintf("Letterbox over TLS on loopback; Dovecot's imap on pipes, without TLS, on the same files afterwards. Medians of %d.", benchRounds))
	h := newHouse(t)
	fillFolder(t, filepath.Join(h.maildir(benchPerson), ".Folder"), benchMessages)
	h.start(t)
	c := h.signInTLS(t)
	ours := c.measureFolder(t)
	c.Close()
	h.stop(t)
	figure("SELECT, opened before, median", duration(ours.open), atMost(duration(time.Millisecond)))
	figure("UID FETCH 1:* (FLAGS), messages a second, median", number(benchMessages/ours.flags.Seconds()), atLeast(number(500_000)))

	d := newIMAPClient(dovecottest.New(t, h.maildir(benchPerson)).IMAP(t))
	d.until(t, "* PREAUTH")
	theirs := d.measureFolder(t)
	figure("the same SELECT by Dovecot", duration(theirs.open))
	figure("  its time to ours", ratio(theirs.open.Seconds()/ours.open.Seconds()))
	figure("the same FETCH by Dovecot, messages a second", number(benchMessages/theirs.flags.Seconds()))
	figure("  its time to ours", ratio(theirs.flags.Seconds()/ours.flags.Seconds()))
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
		if c.lines != benchMessages {
			t.Fatalf("UID FETCH 1:* (FLAGS) answered %d lines", c.lines)
		}
	}
	return folderTimes{median(selects), median(flags)}
}

// deliverLarge sends the 25 MB message by SMTP.
func (h *house) deliverLarge(t *testing.T) {
	t.Helper()
	c, err := smtp.Dial(h.address(25))
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
	for written := 0; written < benchAttached; written += len(line) {
		out.Write(line)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
