package maildir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// Temp is a message being written in a folder's tmp/: NewTemp, Write, Finish,
// Place, then SyncCur or SyncNew; Discard at any time before Place. It belongs
// to one goroutine.
type Temp struct {
	f      *Folder
	name   string
	file   *os.File // nil after Finish
	placed bool
}

// NewTemp creates a file in tmp/, readable by its owner only.
func (f *Folder) NewTemp() (*Temp, error) {
	if err := f.step(StepTempCreate); err != nil {
		return nil, fmt.Errorf("creating a message: %w", err)
	}
	t := &Temp{f: f, name: "letterbox-" + rand.Text()}
	file, err := f.fs.OpenFile(t.path(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("creating a message: %w", err)
	}
	t.file = file
	return t, nil
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

// Finish gives the message its INTERNALDATE, syncs and closes it.
func (t *Temp) Finish(date time.Time) error {
	if err := t.finish(date); err != nil {
		return fmt.Errorf("writing a message: %w", err)
	}
	return nil
}

func (t *Temp) finish(date time.Time) error {
	if err := t.f.step(StepTempTime); err != nil {
		return err
	}
	if err := t.f.fs.Chtimes(t.path(), date, date); err != nil {
		return err
	}
	if err := t.f.step(StepTempSync); err != nil {
		return err
	}
	if err := t.file.Sync(); err != nil {
		return err
	}
	file := t.file
	t.file = nil
	return file.Close()
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
	defer d.close()
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
