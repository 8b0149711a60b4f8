//go:build bench

package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// idleFor is how long the program is watched doing nothing.
var idleFor = flag.Duration("idle", 10*time.Minute, "how long `TestBench/idle` watches the program doing nothing")

// TestBench runs the built program, uses it on loopback, and prints what it needs, part by part: -run TestBench/delivery
// measures one. It fails only when something does not work: figures are for people to compare, on a machine that is doing nothing
// else. Where others do the same in the same run, the ratio is the figure, since it says least of the machine.
func TestBench(t *testing.T) {
	onDisk(t)
	fmt.Printf("\n%s\n", mountScratch(t))
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"program", benchProgram},
		{"folder", benchFolder},
		{"delivery", benchDelivery},
		{"append", benchAppend},
		{"written", benchWritten},
		{"large", benchLarge},
		{"import", benchImport},
		{"idle", benchIdle},
	} {
		t.Run(part.name, part.run)
	}
	t.Run("missed", func(t *testing.T) { fmt.Printf("\n%d figures are not as wanted.\n", missed) })
}

// onDisk ends the test where temporary files are in memory: nothing that is measured there is true of a disk.
func onDisk(t *testing.T) {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(os.TempDir(), &st); err != nil {
		t.Fatal(err)
	}
	if st.Type == unix.TMPFS_MAGIC {
		t.Fatalf("%s is in memory: set TMPDIR to a folder on the disk that is to be measured", os.TempDir())
	}
}

// scratchDir is where everything is written that is measured. It goes at the very end: file systems are slow to make files where many
// have just been removed.
var scratchDir string

// scratchSize is more than a run needs, in octets; what it does not use takes no room.
const scratchSize = 16 << 30

// mountScratch makes scratchDir on a new ext4 as Debian makes it, with a journal, which is what a household's mail lies on, and says so.
// Without a journal ext4 takes long to make files where others have been removed in the last minutes, and charges the blocks of
// directories and inodes to the program.
func mountScratch(t *testing.T) (where string) {
	t.Helper()
	home := t.TempDir()
	image, dir := filepath.Join(home, "image"), filepath.Join(home, "mounted")
	err := os.WriteFile(image, nil, 0o600)
	if err == nil {
		err = os.Truncate(image, scratchSize)
	}
	if err == nil {
		err = os.Mkdir(dir, 0o755)
	}
	if err == nil {
		err = quietly("mkfs.ext4", "-q", "-F", image)
	}
	if err == nil {
		err = quietly("mount", "-o", "loop", image, dir)
	}
	if err != nil {
		scratchDir = t.TempDir()
		return fmt.Sprintf("Files are on the file system of %s, since this machine lets nobody mount ext4 with a journal: %v.", os.TempDir(), err)
	}
	t.Cleanup(func() {
		if err := quietly("umount", dir); err != nil {
			t.Error(err)
		}
	})
	scratchDir = dir
	return "Files are on ext4 with a journal (mkfs.ext4, mount -o loop)."
}

// quietly runs a program that has nothing to say but errors.
func quietly(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// scratch makes a folder there.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(scratchDir, "")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// heading begins a part of the table and says how its figures are measured.
func heading(title, how string) {
	fmt.Printf("\n%s\n%s\n", title, how)
	fmt.Printf("  %-76s %12s  %s\n", "figure", "measured", "wanted")
}

// A quantity is a figure with its unit.
type quantity struct {
	value float64
	text  string
}

func duration(d time.Duration) quantity {
	return quantity{d.Seconds(), d.Round(10 * time.Microsecond).String()}
}

func megabytes(octets int64) quantity {
	return quantity{float64(octets), fmt.Sprintf("%.1f MB", float64(octets)/1e6)}
}

func kilobytes(octets int64) quantity {
	return quantity{float64(octets), fmt.Sprintf("%.1f KiB", float64(octets)/1024)}
}

func number(v float64) quantity { return quantity{v, fmt.Sprintf("%.0f", v)} }

func ratio(v float64) quantity { return quantity{v, fmt.Sprintf("%.2f", v)} }

// A limit is what is wanted of a figure.
type limit func(quantity) (text string, met bool)

func atMost(l quantity) limit {
	return func(q quantity) (string, bool) { return "at most " + l.text, q.value <= l.value }
}

func atLeast(l quantity) limit {
	return func(q quantity) (string, bool) { return "at least " + l.text, q.value >= l.value }
}

// missed counts the figures that are not as wanted.
var missed int

// figure prints a line of the table. Where nothing is wanted it is there to be compared with.
func figure(name string, measured quantity, wanted ...limit) {
	line := fmt.Sprintf("  %-76s %12s", name, measured.text)
	for _, l := range wanted {
		text, met := l(measured)
		if line += "  " + text; !met {
			missed++
			line += "  MISSED"
		}
	}
	fmt.Println(line)
}

func median[T ~int64 | ~float64](list []T) T {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}
