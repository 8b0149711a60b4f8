//go:build interop

package disktest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"letterbox/store/atomicfile"
)

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// found lists the files of an image and what is in them.
func found(t *testing.T, im *Image) string {
	t.Helper()
	dir := t.TempDir()
	must(t, im.WriteTo(dir))
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all = append(all, strings.TrimPrefix(path, dir+"/")+"="+strings.ReplaceAll(string(text), "\x00", "0"))
		return err
	})
	must(t, err)
	slices.Sort(all)
	return strings.Join(all, " ")
}

func always(f Fate) func(Change) Fate { return func(Change) Fate { return f } }

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// TestInteropPowerCut: what a power cut leaves, step by step.
func TestInteropPowerCut(t *testing.T) {
	t.Parallel()
	d := New(t).NewDisk()
	path := func(name string) string { return filepath.Join(d.Path, name) }
	check := func(what, lost, kept string) {
		t.Helper()
		if got := found(t, d.PowerCut(d.Now(), always(Lost))); got != lost {
			t.Errorf("%s: with nothing but what is safe there is %q, want %q", what, got, lost)
		}
		if got := found(t, d.PowerCut(d.Now(), always(Kept))); got != kept {
			t.Errorf("%s: with everything there is %q, want %q", what, got, kept)
		}
	}
	must(t, os.WriteFile(path("a"), []byte("one"), 0o600))
	check("written", "", "a=one")
	must(t, atomicfile.SyncDir(d.Path))
	check("name synced", "a=", "a=one")
	must(t, syncFile(path("a")))
	check("file synced", "a=one", "a=one")
	must(t, os.Rename(path("a"), path("b")))
	check("renamed", "a=one", "b=one")
	must(t, os.Mkdir(path("sub"), 0o700), os.Rename(path("b"), path("sub/c")))
	check("moved", "a=one", "sub/c=one")
	must(t, atomicfile.SyncDir(d.Path))
	check("the old place synced", "sub/c=one", "sub/c=one")
	must(t, os.Link(path("sub/c"), path("d")), os.Remove(path("sub/c")))
	check("linked", "sub/c=one", "d=one")
	must(t, atomicfile.SyncDir(d.Path))
	check("the link synced", "d=one sub/c=one", "d=one")

	f, err := os.OpenFile(path("d"), os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	_, err = f.WriteString("two!")
	must(t, err, f.Close())
	check("appended", "d=one sub/c=one", "d=onetwo!")
	if got := found(t, d.PowerCut(d.Now(), always(Torn))); got != "d=onetw" {
		t.Errorf("torn, there is %q", got)
	}
	if got := found(t, d.PowerCut(d.Now(), always(Zeroed))); got != "d=one0000" {
		t.Errorf("with zeros, there is %q", got)
	}
	if n := len(d.Unsafe(d.Now())); n != 2 {
		t.Errorf("%d changes are not safe, want the append and the removal", n)
	}
}

// TestInteropPowerCutAgain: the disk of an image has a history of its own.
func TestInteropPowerCutAgain(t *testing.T) {
	t.Parallel()
	m := New(t)
	d := m.NewDisk()
	must(t, atomicfile.WriteFile(filepath.Join(d.Path, "a"), []byte("one"), 0o600))
	was, err := os.Stat(filepath.Join(d.Path, "a"))
	must(t, err)
	again := m.Insert(d.PowerCut(d.Now(), always(Lost)))
	d.Eject()
	is, err := os.Stat(filepath.Join(again.Path, "a"))
	must(t, err)
	if was.Sys().(*syscall.Stat_t).Ino != is.Sys().(*syscall.Stat_t).Ino || !was.ModTime().Equal(is.ModTime()) {
		t.Errorf("the file was %v, is %v", was.Sys(), is.Sys())
	}
	must(t, os.WriteFile(filepath.Join(again.Path, "b"), []byte("two"), 0o600))
	if got := found(t, again.PowerCut(again.Now(), always(Lost))); got != "a=one" {
		t.Errorf("there is %q", got)
	}
	if got := found(t, again.PowerCut(again.Now(), always(Kept))); got != "a=one b=two" {
		t.Errorf("there is %q", got)
	}
}

// TestInteropFaults: a disk fails as it is told to, and what a sync did not write is not safe later.
func TestInteropFaults(t *testing.T) {
	t.Parallel()
	d := New(t).NewDisk()
	path := filepath.Join(d.Path, "a")
	must(t, atomicfile.WriteFile(path, []byte("one"), 0o600))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	defer f.Close()
	_, err = f.WriteString("two")
	must(t, err)
	d.SetFault(func(c Change) syscall.Errno {
		if c.Op == Sync && c.Path == "a" {
			return syscall.EIO
		}
		return 0
	})
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("sync: %v", err)
	}
	d.SetFault(nil)
	must(t, f.Sync())
	if got := found(t, d.PowerCut(d.Now(), always(Lost))); got != "a=one" {
		t.Errorf("after a failed sync and a good one there is %q", got)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "onetwo" {
		t.Errorf("meanwhile programs see %q, %v", got, err)
	}
	d.SetFault(func(c Change) syscall.Errno {
		if c.Op.Grows() {
			return syscall.ENOSPC
		}
		return 0
	})
	if n, err := f.WriteString("four"); n != 2 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk took %d octets, %v", n, err)
	}
	if err := os.Mkdir(filepath.Join(d.Path, "dir"), 0o700); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("mkdir: %v", err)
	}
	must(t, os.Remove(path))
}

// TestInteropBadSpot: what is in a bad spot cannot be read, what is before and behind it can, and a healed disk is a whole one.
func TestInteropBadSpot(t *testing.T) {
	t.Parallel()
	d := New(t).NewDisk()
	path := filepath.Join(d.Path, "a")
	text := []byte(strings.Repeat("0123456789abcdef", 64<<10/16))
	must(t, os.WriteFile(path, text, 0o600), os.WriteFile(filepath.Join(d.Path, "b"), text, 0o600))
	d.SetBadSpot(func(path string, from, to int64) bool { return path == "a" && from < 20_001 && 20_000 < to })
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	const page = 4096
	for at := int64(0); at < int64(len(text)); at += page {
		b := make([]byte, page)
		n, err := f.ReadAt(b, at)
		if bad := at == 20_000/page*page; bad && !errors.Is(err, syscall.EIO) || !bad && (n != page || err != nil) {
			t.Errorf("at %d: %d octets, %v", at, n, err)
		}
	}
	if got, err := os.ReadFile(path); len(got) != 20_000/page*page || !errors.Is(err, syscall.EIO) {
		t.Errorf("up to the spot there are %d octets, %v", len(got), err)
	}
	if got, err := os.ReadFile(filepath.Join(d.Path, "b")); len(got) != len(text) || err != nil {
		t.Errorf("of another file there are %d octets, %v", len(got), err)
	}
	d.SetBadSpot(func(path string, _, _ int64) bool { return path == "" })
	if _, err := os.ReadDir(d.Path); !errors.Is(err, syscall.EIO) {
		t.Errorf("listing the directory: %v", err)
	}
	d.SetBadSpot(nil)
	if got, err := os.ReadFile(path); string(got) != string(text) || err != nil {
		t.Errorf("healed, there are %d octets, %v", len(got), err)
	}
}
