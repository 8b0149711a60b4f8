// Package atomicfile replaces a file whole or not at all.
//
// After a call returned nil, the file survives a power cut with its new
// content. Whatever happens before, a reader finds the old content or the new
// one, never a mixture and never an empty file.
package atomicfile

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// WriteFile replaces the file at path by data, with the permissions perm
// whatever the umask says. It writes a temporary file in the same directory,
// syncs it, renames it over path and syncs the directory. On an error the old
// file is untouched and the temporary file is removed, unless the error came
// from syncing the directory: then the new file is in place, but may not
// survive a power cut. On success it also removes temporary files of path that
// were last written more than 36 hours ago: a crash has left them, and what is
// in them may be secret.
//
// A file that root writes belongs to the owner of its directory.
//
// Concurrent calls for one path are safe; one of them is the last.
func WriteFile(path string, data []byte, perm os.FileMode) error {
	dir, name := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("replacing %s: %w", path, err)
	}
	defer root.Close()
	if err := WriteIn(root, name, data, perm); err != nil {
		return err
	}
	clearOld(root, name, time.Now())
	return nil
}

// tmpAge is how old a temporary file is when whoever wrote it must have crashed.
const tmpAge = 36 * time.Hour

// clearOld removes what crashes have left of replacements of name. What cannot
// be removed only takes room, and goes next time.
func clearOld(root *os.Root, name string, now time.Time) {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return
	}
	for _, e := range entries {
		if !IsTemp(e.Name()) || !strings.HasPrefix(e.Name(), name+tempInfix) {
			continue
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && now.Sub(info.ModTime()) > tmpAge {
			_ = root.Remove(e.Name())
		}
	}
}

// WriteIn replaces a file as WriteFile does, for a name directly inside root,
// but clears nothing up.
func WriteIn(root *os.Root, name string, data []byte, perm os.FileMode) error {
	return Replace(root, name, perm, nil, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// The steps of Replace, as its hook is told them.
const (
	StepCreate  = "replace: create"
	StepWrite   = "replace: write"
	StepSync    = "replace: sync"
	StepRename  = "replace: rename"
	StepSyncDir = "replace: sync directory"
	StepRemove  = "replace: remove temporary file"
)

// Replace is WriteIn for content of any length: write is called once, with a
// buffered writer. Before each step it calls step, unless that is nil; an
// error from it ends the replacement there, as if the step had failed.
func Replace(root *os.Root, name string, perm os.FileMode, step func(string) error, write func(io.Writer) error) error {
	if step == nil {
		step = func(string) error { return nil }
	}
	tmp := tempName(name)
	err := writeSynced(root, tmp, perm, step, write)
	if err == nil {
		err = step(StepRename)
	}
	if err == nil {
		err = root.Rename(tmp, name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("replacing %s: %w", name, err), removeTemp(root, tmp, step))
	}
	if err := step(StepSyncDir); err != nil {
		return fmt.Errorf("replacing %s: %w", name, err)
	}
	return SyncIn(root, ".")
}

// IsTemp reports whether name is a temporary file of a replacement. One that
// is hours old was left by a crash.
func IsTemp(name string) bool {
	i := strings.LastIndex(name, tempInfix)
	return i >= 0 && len(name)-i == len(tempInfix)+26
}

const tempInfix = ".tmp-"

// tempName is unique and no longer than a directory entry may be.
func tempName(name string) string {
	random := rand.Text()
	if room := 255 - len(tempInfix) - len(random); len(name) > room {
		name = name[:room]
	}
	return name + tempInfix + random
}

// writeSynced creates name, fills it and syncs it.
func writeSynced(root *os.Root, name string, perm os.FileMode, step func(string) error, write func(io.Writer) error) error {
	if err := step(StepCreate); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	err = giveToOwner(root, f)
	if err == nil {
		err = fill(f, perm, step, write)
	}
	return errors.Join(err, f.Close())
}

// giveToOwner gives a file that root makes in somebody's directory to them: the
// server, which runs as somebody else than root, has to read what root has changed.
func giveToOwner(root *os.Root, f *os.File) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := root.Stat(".")
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 {
		return nil
	}
	return f.Chown(int(owner.Uid), int(owner.Gid))
}

func fill(f *os.File, perm os.FileMode, step func(string) error, write func(io.Writer) error) error {
	if err := step(StepWrite); err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 32<<10)
	if err := write(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Chmod(perm); err != nil {
		return err
	}
	if err := step(StepSync); err != nil {
		return err
	}
	return f.Sync()
}

// removeTemp removes what a failed replacement left.
func removeTemp(root *os.Root, name string, step func(string) error) error {
	if err := step(StepRemove); err != nil {
		return err
	}
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// MkdirAll makes the directory at path, durably, and those above it that are missing.
func MkdirAll(path string, perm os.FileMode) error {
	path = filepath.Clean(path)
	err := os.Mkdir(path, perm)
	if errors.Is(err, fs.ErrNotExist) {
		if err := MkdirAll(filepath.Dir(path), perm); err != nil {
			return err
		}
		err = os.Mkdir(path, perm)
	}
	if err == nil {
		return SyncDir(filepath.Dir(path))
	}
	if info, serr := os.Stat(path); serr == nil && info.IsDir() {
		return nil
	}
	return err
}

// SyncDir makes the entries of the directory at path durable.
func SyncDir(path string) error {
	return syncOpened(os.Open(path))
}

// SyncIn is SyncDir for the directory called name inside root.
func SyncIn(root *os.Root, name string) error {
	return syncOpened(root.Open(name))
}

func syncOpened(d *os.File, err error) error {
	if err != nil {
		return fmt.Errorf("syncing a directory: %w", err)
	}
	if err := d.Sync(); err != nil {
		return errors.Join(fmt.Errorf("syncing the directory %s: %w", d.Name(), err), d.Close())
	}
	return d.Close()
}
