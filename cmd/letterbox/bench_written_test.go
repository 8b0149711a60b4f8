//go:build bench

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"letterbox/store/index"
)

// writtenEach is how many messages or changes of each kind a mean is taken of.
const writtenEach = 20

// benchWritten measures what a delivered message and a changed flag cost of the disk's life.
func benchWritten(t *testing.T) {
	heading("Bytes written to the disk", fmt.Sprintf(`write_bytes less cancelled_write_bytes of /proc/PID/io: pages of 4 KiB that the program made dirty. Means of %d, one after the other;
in every second line everything is written out by sync(2) after each, so that no two share a page.`, writtenEach))
	h := newHouse(t)
	h.start(t)
	smtp := bySMTP("Letterbox", h.address(25), "EHLO", benchPerson).open(t)
	random := rand.New(rand.NewPCG(5, 6))
	deliver := func(size int) {
		if err := smtp.deliver(newLetter(random, size)); err != nil {
			t.Fatal(err)
		}
	}
	deliver(1 << 10) // makes the list and the index
	for _, size := range []int{1 << 10, 8 << 10, 32 << 10, 60 << 10, sizeLarge, 500 << 10, sizeHuge} {
		texts := h.textSize(t)
		written := h.writes(t, func(int) { deliver(size) })
		text := (h.textSize(t) - texts) / writtenEach
		// Above 64 KiB a message may be written twice.
		wanted := int64(size) + 16<<10 + text
		if size > 64<<10 {
			wanted = 2 * int64(size)
		}
		figure(fmt.Sprintf("a message of %d KiB, with %d KiB of search text", size>>10, (text+512)>>10), written, atMost(kilobytes(wanted)))
		figure("  written out after each", h.writesApart(t, func(int) { deliver(size) }))
	}
	c := signInPlain(t, h.address(143), benchPerson, benchPassword)
	defer c.Close()
	c.do(t, "SELECT INBOX")
	figure("a flag", h.writes(t, func(i int) { c.do(t, fmt.Sprintf(`STORE %d +FLAGS.SILENT (\Flagged)`, i+1)) }), atMost(kilobytes(4<<10)))
	figure("  written out after each", h.writesApart(t, func(i int) { c.do(t, fmt.Sprintf(`STORE %d +FLAGS.SILENT (\Answered)`, i+1)) }))
	h.stop(t)
}

// textSize returns how large the search texts of the person's INBOX are, packed, in octets.
func (h *house) textSize(t *testing.T) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(h.maildir(benchPerson), index.TextName))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// writes returns what the program writes, on average, for what do has it do.
func (h *house) writes(t *testing.T, do func(i int)) quantity {
	t.Helper()
	before := h.written(t)
	for i := range writtenEach {
		do(i)
	}
	return kilobytes((h.written(t) - before) / writtenEach)
}

// writesApart is writes with everything written out after each.
func (h *house) writesApart(t *testing.T, do func(i int)) quantity {
	t.Helper()
	return h.writes(t, func(i int) {
		unix.Sync()
		do(i)
	})
}
