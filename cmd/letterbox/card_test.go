//go:build crash || interop

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestInteropCard is TestCrashCard for who has no time.
func TestInteropCard(t *testing.T) { testCard(t, 3) }

// TestCrashCard lets the built server work on a flash card, an ext4 file system in a file, and copies the card in the midst of it, again
// and again: what was not synced is not on the copy. Each copy is mounted, which replays its journal, and served; everything that was
// acknowledged when it was taken must be there, once, and as it was sent.
func TestCrashCard(t *testing.T) { testCard(t, 30) }

func testCard(t *testing.T, copies int) {
	original := newCard(t)
	k := newKilledIn(t, filepath.Join(original.mounted, "data"), nil)
	k.cut = true
	k.start(t)
	k.verify(t, 0)
	var clients sync.WaitGroup
	k.work(t, &clients)
	var taken []*killed
	for n := range copies {
		time.Sleep(time.Duration(50+rand.IntN(600)) * time.Millisecond) // a cut at any moment is what is tested
		taken = append(taken, k.copyCard(t, original, n))
	}
	k.kill(t)
	clients.Wait()
	total := 0
	for n, c := range taken {
		again := &card{image: c.dir, mounted: filepath.Join(t.TempDir(), "copy")}
		again.mount(t)
		c.dir = filepath.Join(again.mounted, "data")
		c.start(t)
		c.verify(t, n+1)
		c.kill(t)
		again.unmount(t)
		total += len(c.letters)
	}
	t.Logf("%d copies, %v acknowledged by the end, %d messages on the last copy, %d on all", copies, k.acknowledged, len(taken[copies-1].letters), total)
	if total == 0 {
		t.Error("there was nothing on any copy")
	}
}

// A card is a file system in a file.
type card struct{ image, mounted string }

func newCard(t *testing.T) *card {
	t.Helper()
	c := &card{filepath.Join(t.TempDir(), "card"), filepath.Join(t.TempDir(), "mounted")}
	if err := os.WriteFile(c.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(c.image, 256<<20); err != nil {
		t.Fatal(err)
	}
	tool(t, "mkfs.ext4", "-q", c.image)
	c.mount(t)
	t.Cleanup(func() { c.unmount(t) })
	return c
}

func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (c *card) mount(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll(c.mounted, 0o700); err != nil {
		t.Fatal(err)
	}
	tool(t, "mount", "-o", "loop,data=ordered", c.image, c.mounted)
}

func (c *card) unmount(t *testing.T) {
	t.Helper()
	if err := syscall.Unmount(c.mounted, 0); err != nil {
		t.Errorf("unmounting %s: %v", c.mounted, err)
		syscall.Unmount(c.mounted, syscall.MNT_DETACH)
	}
}

// writes counts what was written to the card.
func (c *card) writes(t *testing.T) string {
	t.Helper()
	device := filepath.Base(tool(t, "findmnt", "-no", "SOURCE", c.mounted))
	stat, err := os.ReadFile(filepath.Join("/sys/block", device, "stat"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(stat))[4:7], " ")
}

// copyCard copies the card as it is at one moment, and what is known then. The server stands still meanwhile; a copy in
// which the kernel wrote to the card is taken again.
func (k *killed) copyCard(t *testing.T, c *card, n int) *killed {
	t.Helper()
	server := k.server.cmd.Process
	if err := server.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer server.Signal(syscall.SIGCONT)
	known := &killed{memory: k.clone(), program: k.program, offset: k.offset, dir: filepath.Join(filepath.Dir(c.image), fmt.Sprint("copy-", n))}
	for {
		before := c.writes(t)
		tool(t, "cp", "--sparse=always", c.image, known.dir)
		if c.writes(t) == before {
			return known
		}
	}
}
