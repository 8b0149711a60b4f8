//go:build interop

package transfer

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"letterbox/store/atomicfile"
	"letterbox/store/disktest"
)

// exported are the files of an export, but for those that name its place and for what no program looks at, and the messages with their
// times.
func exported(t *testing.T, dir string) (files, messages map[string]string) {
	t.Helper()
	files = make(map[string]string)
	for path, text := range treeOfFiles(t, dir) {
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			t.Fatal(err)
		}
		if rel != readmeName && rel != confName && !strings.Contains(rel, "letterbox-") && !strings.HasSuffix(rel, ".lock") && !atomicfile.IsTemp(rel) {
			files[rel] = text
		}
	}
	return files, messagesIn(t, filepath.Join(dir, "mail/ann/Maildir"))
}

// forgetLocks makes locks that a power cut has left those of a process that is dead.
func forgetLocks(t *testing.T, dir string) {
	t.Helper()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"mail/ann/Maildir/*.lock", "mail/ann/Maildir/.*/*.lock"} {
		locks, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, lock := range locks {
			if err := os.WriteFile(lock, []byte("4194303:"+host), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestInteropDovecotExportFaults makes the disk fail at every change that an export makes, and lose its power after every one: who asked is
// told in one sentence, and the same command makes the export whole.
func TestInteropDovecotExportFaults(t *testing.T) {
	t.Parallel()
	mount := disktest.New(t)
	e := samplePeople(t, sampleMail(4))
	whole := mount.NewDisk()
	e.Dir = filepath.Join(whole.Path, "out")
	if report, err := e.Run(t.Context(), nil); err != nil || !report.Finished {
		t.Fatalf("%+v, %v", report, err)
	}
	wantFiles, wantMessages := exported(t, e.Dir)
	if from := messagesIn(t, filepath.Join(e.Data, "mail/ann/Maildir")); !maps.Equal(from, wantMessages) || len(from) != 9 {
		t.Fatalf("there are\n%q\nnot\n%q", wantMessages, from)
	}
	wantSame := func(what string, dir string) {
		t.Helper()
		files, messages := exported(t, dir)
		if !maps.Equal(files, wantFiles) || !maps.Equal(messages, wantMessages) {
			t.Errorf("%s there are\n%q\nnot\n%q", what, slices.Sorted(maps.Keys(files)), slices.Sorted(maps.Keys(wantFiles)))
		}
	}
	last := whole.Now()

	for _, sick := range []struct {
		name  string
		errno syscall.Errno
		hits  func(disktest.Op) bool
		stays bool
	}{
		{"full", syscall.ENOSPC, disktest.Op.Grows, true},
		{"full for a moment", syscall.ENOSPC, disktest.Op.Grows, false},
		{"read-only", syscall.EROFS, func(disktest.Op) bool { return true }, true},
		{"bad at a sync", syscall.EIO, func(op disktest.Op) bool { return op == disktest.Sync || op == disktest.SyncDir }, false},
	} {
		faults := 0
		for n := 0; ; n++ {
			d, seen := mount.NewDisk(), 0
			one := e
			one.Dir = filepath.Join(d.Path, "out")
			d.SetFault(func(c disktest.Change) syscall.Errno {
				if !sick.hits(c.Op) {
					return 0
				}
				if seen++; seen-1 == n || seen > n && sick.stays {
					return sick.errno
				}
				return 0
			})
			report, err := one.Run(t.Context(), nil)
			d.SetFault(nil)
			if seen <= n {
				break
			}
			faults++
			// What goes wrong where only leftovers are cleared away concerns nobody, and what cannot be cleared away stays and is told.
			oneSentence := err == nil || sick.errno == syscall.EROFS || !strings.Contains(err.Error(), "\n")
			if err != nil && !errors.Is(err, sick.errno) || !oneSentence || err == nil && !report.Finished {
				t.Errorf("a disk that is %s at change %d: %+v, %q", sick.name, n, report, err)
			}
			if err != nil {
				if _, err := one.Run(t.Context(), nil); err != nil && !strings.Contains(err.Error(), "finished already") {
					t.Fatalf("after the disk was %s at change %d: %v", sick.name, n, err)
				}
			}
			wantSame("after the disk was "+sick.name, one.Dir)
			d.Eject()
		}
		if t.Logf("%s: %d faults", sick.name, faults); faults < 20 {
			t.Errorf("a disk that is %s failed only %d times", sick.name, faults)
		}
	}

	for at := 0; at <= last; at++ {
		for name, fate := range map[string]disktest.Fate{"lost": disktest.Lost, "kept": disktest.Kept} {
			d := mount.Insert(whole.PowerCut(at, func(disktest.Change) disktest.Fate { return fate }))
			one := e
			one.Dir = filepath.Join(d.Path, "out")
			forgetLocks(t, one.Dir)
			if _, err := one.Run(t.Context(), nil); err != nil && !strings.Contains(err.Error(), "finished already") {
				t.Fatalf("power cut after %d changes, what was not synced %s: %v", at, name, err)
			}
			wantSame("after a power cut", one.Dir)
			d.Eject()
		}
	}
}
