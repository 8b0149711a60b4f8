//go:build bench

package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// importedMessages is how many messages the larger imports bring; the smaller bring a tenth.
var importedMessages = flag.Int("imported", 100_000, "how many messages each import of `TestBench/import` brings")

// The import of large messages.
const (
	importedLarge = 45_000_000 // octets of a message
	importedMuch  = 48         // messages, some 2 GB in all
)

// benchImport measures what imports need of memory, by how much they bring.
func benchImport(t *testing.T) {
	few, many := *importedMessages/10, *importedMessages
	heading("Imports", fmt.Sprintf(`Each kind brings %d small messages (1.2 KB), then %d, into folders of their own, and mbox also %d of %d MB. The import is a process of
its own beside the server. Memory: VmHWM of the import, looked at every %v; of the server VmHWM since then less VmRSS before, of
/proc/PID/status. What is wanted is that ten times as much takes no more than some octets a message.`, few, many, importedMuch, importedLarge/1_000_000, watched))
	old := newHouse(t)
	for _, n := range []int{few, many} {
		fillFolder(t, filepath.Join(old.maildir(benchPerson), fmt.Sprintf(".There%d", n)), n)
	}
	old.start(t)
	h := newHouse(t)
	h.start(t)
	h.quiet(t)
	password := filepath.Join(scratch(t), "password")
	if err := os.WriteFile(password, []byte(benchPassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []struct {
		name string
		args func(n int) []string
	}{
		{"mbox", func(n int) []string {
			return []string{"mbox", "--folder", fmt.Sprintf("Mbox%d", n), benchPerson, writeMbox(t, n, 0)}
		}},
		{"Maildir", func(n int) []string {
			return []string{"maildir", "--folder", fmt.Sprintf("Maildir%d", n), benchPerson, filepath.Join(old.maildir(benchPerson), fmt.Sprintf(".There%d", n))}
		}},
		{"eml", func(n int) []string {
			return []string{"eml", "--folder", fmt.Sprintf("EML%d", n), benchPerson, writeEML(t, n)}
		}},
		{"IMAP", func(n int) []string {
			return []string{"imap", "--server", old.address(143), "--unencrypted", "--user", benchPerson, "--password-file", password, "--folder", fmt.Sprintf("There%d", n), benchPerson}
		}},
	} {
		small := h.imports(t, few, kind.args(few))
		large := h.imports(t, many, kind.args(many))
		large.figures(fmt.Sprintf("%s, %d messages", kind.name, many), small)
		figure("  messages a second", number(float64(many)/large.took.Seconds()))
		if kind.name == "mbox" {
			much := h.imports(t, importedMuch, []string{"mbox", "--folder", "Much", benchPerson, writeMbox(t, importedMuch, importedLarge)})
			much.figures(fmt.Sprintf("mbox, %d messages of %d MB", importedMuch, importedLarge/1_000_000), small)
			figure("  MB a second", number(float64(importedMuch)*importedLarge/1e6/much.took.Seconds()))
		}
	}
	h.stop(t)
	old.stop(t)
}

// An importRun is what an import needed.
type importRun struct {
	client, server int64 // octets of memory
	took           time.Duration
}

// What an import of ten times as many messages may take more, with 100 octets a message: it keeps some of each in the folder at hand,
// and the server has the folder open.
const importGrowth = 8e6

// figures prints what an import needed, beside a smaller one.
func (r importRun) figures(name string, small importRun) {
	more := importGrowth + float64(100**importedMessages)
	figure(name+": peak memory of the import", megabytes(r.client), atMost(megabytes(small.client+int64(more))))
	figure("  the same of a tenth", megabytes(small.client))
	figure("  peak memory of the server above that before", megabytes(r.server), atMost(megabytes(small.server+int64(more))))
	figure("  the same of a tenth", megabytes(small.server))
}

// watched is how often the memory of an import is looked at.
const watched = 20 * time.Millisecond

// imports brings n messages.
func (h *house) imports(t *testing.T, n int, args []string) (r importRun) {
	t.Helper()
	h.quiet(t)
	before := h.resident(t)
	h.resetPeak(t)
	cmd := exec.Command(h.program, append([]string{"import", args[0], "--data", h.dir}, args[1:]...)...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	started := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for err, running := error(nil), true; running; {
		select {
		case err = <-ended:
			if running = false; err != nil || !strings.Contains(strings.ReplaceAll(said.String(), ",", ""), fmt.Sprintf("\n%d messages came into", n)) {
				t.Fatalf("import %v: %v\n%s", args, err, &said)
			}
		case <-time.After(watched):
			r.client = max(r.client, highWater(cmd.Process.Pid))
		}
	}
	r.took = time.Since(started)
	r.server = h.peak(t) - before
	return r
}

// highWater is the most memory that a process has had, 0 if it is gone.
func highWater(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(text), "\nVmHWM:")
	var n int64
	if _, err := fmt.Sscan(after, &n); err != nil {
		return 0 // it ends just now
	}
	return n * 1024
}

// smallLetter is the i-th of small messages.
func smallLetter(i int) string {
	return fmt.Sprintf("From: Sender %d <sender%d@example.org>\nTo: ann@%s\nSubject: Message number %d\nDate: Mon, 02 Nov 2026 18:00:00 +0100\nMessage-ID: <%d@example.org>\n\n%s\n",
		i%100, i%100, benchDomain, i, i, strings.Repeat("Some words of text. ", 1+i%100))
}

// writeMbox writes an mbox file of n messages that are so large; 0: small.
func writeMbox(t *testing.T, n int, octets int64) (path string) {
	t.Helper()
	path = filepath.Join(scratch(t), "mail.mbox")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriterSize(f, 1<<20)
	line := strings.Repeat("x", 76) + "\n"
	for i := range n {
		io.WriteString(out, "From sender@example.org Mon Nov  2 18:00:00 2026\n"+smallLetter(i))
		for left := octets; left > 0; left -= int64(len(line)) + 1 {
			io.WriteString(out, line)
		}
		io.WriteString(out, "\n")
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// writeEML writes a folder of n messages.
func writeEML(t *testing.T, n int) (dir string) {
	t.Helper()
	dir = scratch(t)
	for i := range n {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.eml", i)), []byte(smallLetter(i)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
