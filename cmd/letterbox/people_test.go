package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"letterbox/appliance/config"
)

// TestRootLeavesTheDataToItsOwner: without a server, root changes no household of somebody else. Only root can put that to the test.
func TestRootLeavesTheDataToItsOwner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, config.FileName)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := mayOpen(dir); err != nil {
		t.Errorf("one's own household: %v", err)
	}
	if os.Geteuid() != 0 {
		return
	}
	if err := os.Chown(file, 64123, 64123); err != nil {
		t.Fatal(err)
	}
	if err := mayOpen(dir); err == nil || !strings.Contains(err.Error(), "sudo -u '#64123'") {
		t.Errorf("somebody else's household: %v", err)
	}
}
