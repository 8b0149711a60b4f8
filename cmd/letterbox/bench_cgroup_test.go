//go:build bench

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A memoryLimit is a group of the kernel's (cgroup v1) whose processes share so much memory, page cache included.
type memoryLimit struct{ dir string }

// memoryGroups is where the kernel shows the groups.
const memoryGroups = "/sys/fs/cgroup/memory"

// limitMemory makes the program start within a limit from now on, and says so; or why the machine does not let it.
func (h *house) limitMemory(t *testing.T, octets int64) string {
	t.Helper()
	dir, err := os.MkdirTemp(memoryGroups, "letterbox-bench-")
	if err == nil {
		t.Cleanup(func() { os.Remove(dir) }) // after the program's end
		err = os.WriteFile(filepath.Join(dir, "memory.limit_in_bytes"), []byte(strconv.FormatInt(octets, 10)), 0)
	}
	if err != nil {
		return fmt.Sprintf("The program's memory is NOT limited, since this machine does not let the test do that: %v.", err)
	}
	h.memory = &memoryLimit{dir}
	return fmt.Sprintf("The program and its page cache have %d MiB of memory (cgroup v1: memory.limit_in_bytes).", octets>>20)
}

// apply makes cmd's process join the group before it becomes the program.
func (m *memoryLimit) apply(cmd *exec.Cmd) {
	shell := fmt.Sprintf(`echo $$ >%s/cgroup.procs && exec "$@"`, m.dir)
	cmd.Args = append([]string{"sh", "-c", shell, "sh", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
}

// most is the most memory that the group has had.
func (m *memoryLimit) most(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(m.dir, "memory.max_usage_in_bytes"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
