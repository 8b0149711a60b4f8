package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"letterbox/store/atomicfile"
)

// Folder is one folder of a tree: the directory with cur, new and tmp. Its
// methods may be called by several goroutines. It stays usable when the folder
// is renamed, by us or by others.
type Folder struct {
	tree
	root *Root
	name string
	dir  string // in the root, when it was opened
	held handles
	lock spare // of dovecot-uidlist
}

const (
	curDir = "cur"
	newDir = "new"
	tmpDir = "tmp"
)

// Folder opens a folder, found as Lookup does. Directories for new and
// temporary messages are made where another program left them out. Errors wrap
// fs.ErrNotExist when the folder is not there.
func (r *Root) Folder(name string) (*Folder, error) {
	dir, canonical, err := r.find(name)
	if err != nil {
		return nil, err
	}
	dirFS, err := r.fs.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the folder %q: %w", canonical, err)
	}
	f := &Folder{tree: tree{fs: dirFS, hook: r.hook}, root: r, name: canonical, dir: dir}
	f.lock.f = f
	for _, sub := range []string{newDir, tmpDir} {
		if err := dirFS.Mkdir(sub, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, errors.Join(fmt.Errorf("opening the folder %q: %w", canonical, err), dirFS.Close())
		}
	}
	return f, nil
}

// Close gives the folder's directories back.
func (f *Folder) Close() error {
	f.lock.close()
	f.held.close()
	return f.fs.Close()
}

// Name is the folder's name when it was opened, as Folders lists it.
func (f *Folder) Name() string { return f.name }

// Path is the folder's absolute path when it was opened, for watching it and
// for messages to people.
func (f *Folder) Path() string { return filepath.Join(f.root.path, f.dir) }

// Same reports whether both are one directory, whatever names they were opened by.
func (f *Folder) Same(other *Folder) bool {
	a, errA := f.fs.Stat(".")
	b, errB := other.fs.Stat(".")
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// InPlace reports whether the folder still lies where it was opened: nobody
// has renamed or removed it. After an error it says that it does not.
func (f *Folder) InPlace() bool {
	here, err := f.here()
	if err != nil {
		return false
	}
	there, err := f.root.fs.Stat(f.dir)
	return err == nil && here.id == idOf(there)
}

// FS is the folder's directory, confined, for caches.
func (f *Folder) FS() *os.Root { return f.fs }

// A Ref says where a message file lies.
type Ref struct {
	InNew bool // in new/, else in cur/
	File  string
}

func (at Ref) dir() string {
	if at.InNew {
		return newDir
	}
	return curDir
}

func (at Ref) path() string { return at.dir() + "/" + at.File }

// check refuses what is no name of a message file.
func (at Ref) check() error {
	if at.File == "" || at.File[0] == '.' || strings.ContainsAny(at.File, "/\x00") {
		return &fs.PathError{Op: "open", Path: at.path(), Err: fs.ErrInvalid}
	}
	return nil
}

// Entry is a message file that Scan found.
type Entry struct {
	File  string // its name as it is on disk
	Name  Name   // the same, taken apart
	InNew bool
}

// Ref is where the message lies.
func (e Entry) Ref() Ref { return Ref{e.InNew, e.File} }

// Scan calls fn for every message file, those in new/ first, in no order. A
// file that is renamed meanwhile, by us or by others, may be seen under both
// names or under neither: Dovecot's rule is to believe that a message is gone
// only when a second Scan with equal Stamps around it misses it too. An error
// from fn ends it and is returned as it is.
func (f *Folder) Scan(fn func(Entry) error) error {
	for _, dir := range []string{newDir, curDir} {
		err := f.names(dir, func(file string) error {
			if file[0] == '.' {
				return nil // Maildir: not a message
			}
			return fn(Entry{File: file, Name: ParseName(file), InNew: dir == newDir})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Open opens a message file for reading. Errors wrap fs.ErrNotExist when it is
// gone or has got another name.
func (f *Folder) Open(at Ref) (*os.File, error) {
	if err := at.check(); err != nil {
		return nil, err
	}
	return openRegular(f.fs, at.path(), os.O_RDONLY)
}

// Stat looks at a message file: its size and, as ModTime, its INTERNALDATE.
func (f *Folder) Stat(at Ref) (fs.FileInfo, error) {
	if err := at.check(); err != nil {
		return nil, err
	}
	return f.fs.Stat(at.path())
}

// SyncCur makes what was placed, linked or moved into cur/, or moved out of
// it, durable.
func (f *Folder) SyncCur() error { return f.syncSub(curDir) }

// SyncNew is SyncCur for new/.
func (f *Folder) SyncNew() error { return f.syncSub(newDir) }

func (f *Folder) syncSub(dir string) error {
	h, err := f.handle(dir)
	if err != nil {
		return fmt.Errorf("syncing the directory %s: %w", dir, err)
	}
	return f.syncHandle(dir, h)
}

func (f *Folder) syncHandle(dir string, h *handle) error {
	if err := f.step(StepSyncDir); err != nil {
		return err
	}
	if err := h.file.Sync(); err != nil {
		return fmt.Errorf("syncing the directory %s: %w", dir, err)
	}
	return nil
}

// tmpAge is how old a temporary file is when whoever wrote it must have
// crashed (the Maildir specification's 36 hours).
const tmpAge = 36 * time.Hour

// CleanTmp removes temporary files, of messages and of the folder's own files,
// that were last changed more than 36 hours before now, but none that are being
// written through this Root. Nothing is synced: what a crash brings back goes next time.
func (f *Folder) CleanTmp(now time.Time) error {
	err := f.names(tmpDir, func(name string) error {
		if f.root != nil && strings.HasPrefix(name, f.tempPrefix()) {
			return nil
		}
		return f.cleanOld(tmpDir+"/"+name, now)
	})
	if err == nil {
		err = f.names(".", func(name string) error {
			if !atomicfile.IsTemp(name) {
				return nil
			}
			return f.cleanOld(name, now)
		})
	}
	if err != nil {
		return fmt.Errorf("clearing temporary files of the folder %q: %w", f.name, err)
	}
	return nil
}

func (f *Folder) cleanOld(name string, now time.Time) error {
	info, err := f.fs.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || now.Sub(lastChange(info)) <= tmpAge {
		return nil
	}
	return f.remove(StepCleanTmp, name)
}
