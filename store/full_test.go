package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestFullDisk fails each step of a delivery for want of room: the sender is
// told, nothing is lost or left over, and the next delivery succeeds.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	var left atomic.Int64
	left.Store(-1)
	dir := fastDir(t)
	s, err := Open(dir, Options{step: func(name string) error {
		if left.Add(-1) == 0 {
			return fmt.Errorf("%s: %w", name, syscall.ENOSPC)
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.CreateAccount("ann"); err != nil {
		t.Fatal(err)
	}
	deliver(t, s, "", text(0))
	m := mailbox(t, s, "INBOX")
	for step := int64(1); ; step++ {
		before := m.UIDs(nil)
		left.Store(step)
		err := s.Deliver(context.Background(), incoming(t, s, text(1)), []Target{{Person: "ann"}})
		tripped := left.Load() <= 0
		left.Store(-1)
		if err != nil && !errors.Is(err, ErrDiskFull) {
			t.Errorf("step %d: %v", step, err)
		}
		if err := m.refresh(); err != nil {
			t.Fatal(err)
		}
		if after := m.UIDs(nil); err != nil && len(after) != len(before) {
			t.Errorf("step %d: refused, but the mailbox has %v after %v", step, after, before)
		} else if err == nil && len(after) != len(before)+1 {
			t.Errorf("step %d: accepted, but the mailbox has %v after %v", step, after, before)
		}
		if tmp := unfinished(t, filepath.Join(dir, "mail", "ann", "Maildir")); len(tmp) > 0 {
			t.Errorf("step %d: tmp holds %v", step, tmp)
		}
		if !tripped {
			break
		}
	}
}
