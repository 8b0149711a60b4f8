//go:build interop

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// nobody is an account without rights.
const nobody = 65534

// TestInteropPortsOfRoot starts the program as somebody who may not bind the standard ports, before and after set-up, in a network
// of its own, whose settings are Linux's. It ends with one sentence.
func TestInteropPortsOfRoot(t *testing.T) {
	t.Parallel()
	built, err := exec.LookPath("letterbox") // put there by testscript.Main, for us alone
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(built)
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	if err := os.Chmod(filepath.Dir(home), 0o755); err != nil { // everybody may go through
		t.Fatal(err)
	}
	program := filepath.Join(home, "letterbox")
	if err := os.WriteFile(program, text, 0o755); err != nil {
		t.Fatal(err)
	}
	asNobody := func(stdin string, args ...string) (said string, err error) {
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Dir = home
		cmd.Stdin = strings.NewReader(stdin)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	sentence := regexp.MustCompile(`(?m)^letterbox: (\w+): port (\d+) cannot be opened: only root or a program with CAP_NET_BIND_SERVICE may bind ports below 1024; listen\.(\w+)\.port and listen\.port-offset \(--port-offset\) in letterbox\.toml choose another\n\z`)

	for _, state := range []string{"before set-up", "after set-up"} {
		dir := filepath.Join(t.TempDir(), "data")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		if state == "after set-up" {
			if said, err := asNobody("correct horse battery", "init", "--data", dir, "--domain", "miller.home.arpa", "--user", "ann", "--password-file", "-"); err != nil {
				t.Fatalf("init: %v\n%s", err, said)
			}
		}
		said, err := asNobody("", "serve", "--data", dir)
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != exitFault {
			t.Errorf("%s: %v, want exit code %d", state, err, exitFault)
		}
		if m := sentence.FindStringSubmatch(said); m == nil || m[1] != m[3] || strings.Count(said, "cannot be opened") != 1 {
			t.Errorf("%s the program says\n%s", state, said)
		}
	}
}
