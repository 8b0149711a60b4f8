package appliance_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"letterbox/appliance"
	"letterbox/appliance/config"
	"letterbox/store"
)

// TestOpenReadsTheConfigurationUnderTheLock: whoever waits for nothing but the lock must not have read what the one before was still
// changing. While somebody holds the data, the configuration is not looked at.
func TestOpenReadsTheConfigurationUnderTheLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := open(t, dir)
	if err := os.WriteFile(filepath.Join(dir, config.FileName), []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := appliance.Open(dir, appliance.Options{}); !errors.Is(err, store.ErrLocked) {
		t.Errorf("a second one says %v, not that the first one holds the data", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	var faults config.Faults
	if _, err := appliance.Open(dir, appliance.Options{}); !errors.As(err, &faults) {
		t.Errorf("the file is read as %v", err)
	}
	if err := os.Remove(filepath.Join(dir, config.FileName)); err != nil {
		t.Fatal(err)
	}
	if err := open(t, dir).Close(); err != nil { // what failed has given the data back
		t.Error(err)
	}
}
