// Package atomicfile replaces a file whole or not at all.
//
// After a call returned nil, the file survives a power cut with its new
// content. Whatever happens before, a reader finds the old content or the new
// one, never a mixture and never an empty file.
package atomicfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile replaces the file at path by data, with the permissions perm
// whatever the umask says. It writes a temporary file in the same directory,
// syncs it, renames it over path and syncs the directory. On an error the old
// file is untouched and the temporary file is removed, unless the error came
// from syncing the directory: then the new file is in place, but may not
// survive a power cut.
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
	return WriteIn(root, name, data, perm)
}

// WriteIn is WriteFile for a name directly inside root.
func WriteIn(root *os.Root, name string, data []byte, perm os.FileMode) error {
	tmp := "." + name + ".tmp-" + rand.Text()
	if len(tmp) > 255 {
		tmp = ".tmp-" + rand.Text()
	}
	if err := writeSynced(root, tmp, data, perm); err != nil {
		return errors.Join(fmt.Errorf("replacing %s: %w", name, err), removeIfThere(root, tmp))
	}
	if err := root.Rename(tmp, name); err != nil {
		return errors.Join(fmt.Errorf("replacing %s: %w", name, err), removeIfThere(root, tmp))
	}
	return SyncIn(root, ".")
}

// writeSynced creates name with data and syncs it.
func writeSynced(root *os.Root, name string, data []byte, perm os.FileMode) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(perm)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// removeIfThere removes what a failed replacement left.
func removeIfThere(root *os.Root, name string) error {
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Remove removes the file at path and syncs its directory, so that it does
// not come back after a power cut. A file that is not there is no error.
func Remove(path string) error {
	if err := os.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return SyncDir(filepath.Dir(path))
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
