package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// dirs are the directories of a folder that one operation is about: each is
// looked for once. It belongs to one goroutine.
type dirs struct {
	f    *Folder
	used map[string]*handle
}

func (f *Folder) openDirs() *dirs {
	return &dirs{f: f, used: make(map[string]*handle, 3)}
}

// dir returns a directory as it was when the operation first asked for it.
func (d *dirs) dir(name string) (*handle, error) {
	h := d.used[name]
	if h == nil {
		var err error
		if h, err = d.f.handle(name); err != nil {
			return nil, err
		}
		d.used[name] = h
	}
	return h, nil
}

// between calls fn with the descriptors of a directory of src and one of d.
func (d *dirs) between(src *dirs, fromDir, toDir string, fn func(from, to int) error) error {
	from, err := src.dir(fromDir)
	if err != nil {
		return err
	}
	to, err := d.dir(toDir)
	if err != nil {
		return err
	}
	return from.do(func(fromFD int) error {
		return to.do(func(toFD int) error { return fn(fromFD, toFD) })
	})
}

// move renames a file without replacing another one. A last component is never
// followed, so that a symbolic link moves as such.
func (d *dirs) move(step, fromDir, from, toDir, to string) error {
	return d.moveFrom(d, step, fromDir, from, toDir, to)
}

// moveFrom is move with the file in another folder.
func (d *dirs) moveFrom(src *dirs, step, fromDir, from, toDir, to string) error {
	return d.between(src, fromDir, toDir, func(fromFD, toFD int) error {
		if err := d.f.step(step); err != nil {
			return err
		}
		if err := renameNoReplace(fromFD, from, toFD, to); err != nil {
			return &os.LinkError{Op: "rename", Old: fromDir + "/" + from, New: toDir + "/" + to, Err: err}
		}
		return nil
	})
}

// linkFrom gives a file of another folder a second name here.
func (d *dirs) linkFrom(src *dirs, at, to Ref) error {
	return d.between(src, at.dir(), to.dir(), func(fromFD, toFD int) error {
		if err := d.f.step(StepLink); err != nil {
			return err
		}
		if err := unix.Linkat(fromFD, at.File, toFD, to.File, 0); err != nil {
			return &os.LinkError{Op: "link", Old: at.path(), New: to.path(), Err: err}
		}
		return nil
	})
}

// syncUsed syncs each of the directories in want, all of which were used.
func (d *dirs) syncUsed(want map[string]bool) error {
	for dir := range want {
		if err := d.f.syncHandle(dir, d.used[dir]); err != nil {
			return err
		}
	}
	return nil
}

// Renaming is one message file's new name or place in its folder.
type Renaming struct{ From, To Ref }

// Rename changes the names of message files in order, then syncs each
// directory touched once. errs has one entry for each: nil where it was done,
// wrapping fs.ErrNotExist where the file is gone or has another name, or
// fs.ErrExist where the new name is taken; after any other error the rest is
// not tried and has the same error. err is that error, or that of a sync:
// then what errs calls done is so, but may not survive a power cut. A renaming
// to the same name does nothing and is done.
func (f *Folder) Rename(rs []Renaming) (errs []error, err error) {
	errs = make([]error, len(rs))
	d := f.openDirs()
	touched := make(map[string]bool, 2)
	for i, r := range rs {
		if r.From == r.To {
			continue
		}
		if err = errors.Join(r.From.check(), r.To.check()); err == nil {
			err = d.move(StepRename, r.From.dir(), r.From.File, r.To.dir(), r.To.File)
		}
		if errs[i] = err; err == nil {
			touched[r.From.dir()], touched[r.To.dir()] = true, true
			continue
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
			err = nil
			continue
		}
		for j := i + 1; j < len(rs); j++ {
			errs[j] = err
		}
		break
	}
	if err = errors.Join(err, d.syncUsed(touched)); err != nil {
		err = fmt.Errorf("renaming messages in the folder %q: %w", f.name, err)
	}
	return errs, err
}

// Remove removes message files, then syncs each directory touched once. A file
// that is gone is no error. After an error a part may be removed.
func (f *Folder) Remove(at []Ref) error {
	_, err := f.RemoveFound(at)
	return err
}

// RemoveFound is Remove that tells which files were gone, or have another name.
func (f *Folder) RemoveFound(at []Ref) (missing []Ref, err error) {
	d := f.openDirs()
	touched := make(map[string]bool, 2)
	for _, ref := range at {
		err = d.unlink(ref)
		if errors.Is(err, fs.ErrNotExist) { // or its directory is gone
			missing, err = append(missing, ref), nil
			continue
		}
		if err != nil {
			break
		}
		touched[ref.dir()] = true
	}
	if err = errors.Join(err, d.syncUsed(touched)); err != nil {
		return missing, fmt.Errorf("removing messages from the folder %q: %w", f.name, err)
	}
	return missing, nil
}

func (d *dirs) unlink(at Ref) error {
	if err := at.check(); err != nil {
		return err
	}
	h, err := d.dir(at.dir())
	if err != nil {
		return err
	}
	return h.do(func(fd int) error {
		if err := d.f.step(StepRemove); err != nil {
			return err
		}
		if err := unix.Unlinkat(fd, at.File, 0); err != nil {
			return &fs.PathError{Op: "unlink", Path: at.path(), Err: err}
		}
		return nil
	})
}

// Transfer is one message's way from a folder into another one.
type Transfer struct{ From, To Ref }

// LinkFrom copies messages from a folder of the same Root: each file gets a
// second name here. Where the file system has no hard links, or no more for
// this file, it is copied with its date and synced. done counts the transfers
// made, in order; nothing is durable before SyncCur. Errors wrap
// fs.ErrNotExist when a message is gone, fs.ErrExist when the name is taken.
func (f *Folder) LinkFrom(src *Folder, ts []Transfer) (done int, err error) {
	to, from := f.openDirs(), src.openDirs()
	for _, t := range ts {
		if err = errors.Join(t.From.check(), t.To.check()); err == nil {
			err = to.linkFrom(from, t.From, t.To)
		}
		if noHardLink(err) {
			err = f.copyFrom(src, t)
		}
		if err != nil {
			return done, fmt.Errorf("copying a message into the folder %q: %w", f.name, err)
		}
		done++
	}
	return done, nil
}

// noHardLink reports whether a link failed for want of hard links: FAT and
// some network file systems have none (EPERM, ENOTSUP), a file can have too
// many (EMLINK), and sub-volumes can lie between (EXDEV).
func noHardLink(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EOPNOTSUPP) ||
		errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EMLINK) || errors.Is(err, unix.EXDEV)
}

// copyFrom copies the bytes of one message.
func (f *Folder) copyFrom(src *Folder, t Transfer) error {
	file, err := src.Open(t.From)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	temp, err := f.NewTemp()
	if err != nil {
		return err
	}
	_, err = temp.ReadFrom(file)
	if err == nil {
		err = temp.SetDate(info.ModTime())
	}
	if err == nil {
		err = temp.Finish()
	}
	if err == nil {
		err = temp.Place(t.To)
	}
	return errors.Join(err, temp.Discard())
}

// MoveFrom moves messages from a folder of the same Root: each is here or
// there at any time. done counts the transfers made, in order; they are
// durable after SyncCur here, then in src. Errors as LinkFrom.
func (f *Folder) MoveFrom(src *Folder, ts []Transfer) (done int, err error) {
	to, from := f.openDirs(), src.openDirs()
	for _, t := range ts {
		if err = errors.Join(t.From.check(), t.To.check()); err == nil {
			err = to.moveFrom(from, StepMove, t.From.dir(), t.From.File, t.To.dir(), t.To.File)
		}
		if err != nil {
			return done, fmt.Errorf("moving a message into the folder %q: %w", f.name, err)
		}
		done++
	}
	return done, nil
}
