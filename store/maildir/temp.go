package maildir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Temp is a message being written in a folder's tmp/: NewTemp, Write, SetDate,
// Finish, Place, then SyncCur or SyncNew; Discard at any time before Place. It
// belongs to one goroutine.
type Temp struct {
	f      *Folder
	dir    *handle // tmp/ as it was then
	name   string
	file   *os.File // nil after Finish
	placed bool
}

// NewTemp creates a file in tmp/, readable by its owner only.
func (f *Folder) NewTemp() (*Temp, error) {
	if err := f.step(StepTempCreate); err != nil {
		return nil, fmt.Errorf("creating a message: %w", err)
	}
	t := &Temp{f: f, name: f.tempPrefix() + rand.Text()}
	if err := t.create(); err != nil {
		return nil, fmt.Errorf("creating a message: %w", err)
	}
	return t, nil
}

// tempPrefix begins the names of messages that are being written now: no earlier
// process has used it.
func (f *Folder) tempPrefix() string {
	if f.root == nil {
		return "letterbox-"
	}
	return "letterbox-" + f.root.session + "-"
}

func (t *Temp) create() (err error) {
	if t.dir, err = t.f.handle(tmpDir); err != nil {
		return err
	}
	return t.dir.do(func(fd int) error {
		t.file, err = createAt(fd, t.name)
		return err
	})
}

func (t *Temp) path() string { return tmpDir + "/" + t.name }

// Write adds to the message.
func (t *Temp) Write(b []byte) (int, error) {
	if err := t.f.step(StepTempWrite); err != nil {
		return 0, err
	}
	return t.file.Write(b)
}

// ReadFrom adds all of r, inside the kernel where r is a file and the file
// system can.
func (t *Temp) ReadFrom(r io.Reader) (int64, error) {
	if err := t.f.step(StepTempWrite); err != nil {
		return 0, err
	}
	return t.file.ReadFrom(r)
}

// SetDate gives the message, which is whole now, its INTERNALDATE, and has the
// kernel begin to write it to the disk.
func (t *Temp) SetDate(date time.Time) error {
	err := t.f.step(StepTempTime)
	if err == nil {
		err = t.setTimes(date)
	}
	if err != nil {
		return fmt.Errorf("writing a message: %w", err)
	}
	startWriteback(t.file)
	return nil
}

func (t *Temp) setTimes(date time.Time) error {
	stamp := timespec(date)
	return t.dir.do(func(fd int) error {
		err := unix.UtimesNanoAt(fd, t.name, []unix.Timespec{stamp, stamp}, unix.AT_SYMLINK_NOFOLLOW)
		if err != nil {
			return &fs.PathError{Op: "set times", Path: t.path(), Err: err}
		}
		return nil
	})
}

// Finish syncs the message and closes it. Of several messages it is cheapest to
// finish all after the last has its date: then the file system needs to write
// its journal but once.
func (t *Temp) Finish() error {
	err := t.f.step(StepTempSync)
	if err == nil {
		err = t.file.Sync()
	}
	if err == nil {
		file := t.file
		t.file = nil
		err = file.Close()
	}
	if err != nil {
		return fmt.Errorf("writing a message: %w", err)
	}
	return nil
}

// Place moves the finished message to its place. It is durable after SyncCur
// or SyncNew. Errors wrap fs.ErrExist when a message of that name is there.
func (t *Temp) Place(to Ref) error {
	if t.file != nil {
		return fmt.Errorf("placing a message that is not finished: %w", fs.ErrInvalid)
	}
	if err := to.check(); err != nil {
		return err
	}
	d := t.f.openDirs()
	d.used[tmpDir] = t.dir
	if err := d.move(StepPlace, tmpDir, t.name, to.dir(), to.File); err != nil {
		return fmt.Errorf("placing a message: %w", err)
	}
	t.placed = true
	return nil
}

// Discard removes the file, and does nothing after Place.
func (t *Temp) Discard() error {
	if t.placed {
		return nil
	}
	t.placed = true
	var err error
	if t.file != nil {
		err = t.file.Close()
		t.file = nil
	}
	return errors.Join(err, t.f.remove(StepTempRemove, t.path()))
}
