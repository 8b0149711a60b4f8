package maildir

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"letterbox/store/atomicfile"
)

// The steps that Options.Step is told, besides those of atomicfile.Replace.
// Each is named before it is taken; what stands before it in an operation is
// then done, what follows is not.
const (
	StepMakeFolder  = "folder: make"           // a directory with cur, new and tmp
	StepPlaceFolder = "folder: rename"         // a folder directory gets its name, or another one
	StepClearFolder = "folder: remove files"   // of a folder that is removed already
	StepKeepFolder  = "folder: keep"           // a folder directory moves into the bin
	StepTempCreate  = "message: create"        // the file in tmp/
	StepTempWrite   = "message: write"         // each write
	StepTempTime    = "message: set time"      // INTERNALDATE
	StepTempSync    = "message: sync"          //
	StepTempRemove  = "message: discard"       //
	StepPlace       = "message: place"         // from tmp/ into cur/ or new/
	StepLink        = "message: link"          // COPY
	StepMove        = "message: move"          // between folders, and out of the bin
	StepKeep        = "message: keep"          // into the bin
	StepRename      = "message: rename"        // flags, new/ to cur/
	StepRemove      = "message: remove"        //
	StepSyncDir     = "directory: sync"        //
	StepLockPrepare = "lock: make the file"    // in tmp/, to be linked
	StepLock        = "lock: create"           // any of the dotlocks
	StepUnlock      = "lock: remove"           //
	StepLockDrop    = "lock: remove the file"  // from tmp/
	StepListAppend  = "uidlist: append"        // each write
	StepListSettle  = "uidlist: write again"   // each write
	StepListCeiling = "uidlist: raise ceiling" //
	StepListSync    = "uidlist: sync"          //
	StepUIDValidity = "uidvalidity: rename"    // or create
	StepFileRemove  = "file: remove"           // an intent, letterbox-folder
	StepCleanTmp    = "tmp: remove old file"   //
)

// tree is a directory that changes step by step: the root or a folder.
type tree struct {
	fs   *os.Root
	hook func(string) error // nil in production
}

// step announces the next step.
func (t tree) step(name string) error {
	if t.hook == nil {
		return nil
	}
	return t.hook(name)
}

func (t tree) rename(step, from, to string) error {
	if err := t.step(step); err != nil {
		return err
	}
	return t.fs.Rename(from, to)
}

// remove removes a file; one that is gone is no error.
func (t tree) remove(step, name string) error {
	if err := t.step(step); err != nil {
		return err
	}
	if err := t.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// sync makes the entries of a directory durable.
func (t tree) sync(dir string) error {
	if err := t.step(StepSyncDir); err != nil {
		return err
	}
	return atomicfile.SyncIn(t.fs, dir)
}

// replace writes a file whole or not at all, durably.
func (t tree) replace(name string, write func(io.Writer) error) error {
	return atomicfile.Replace(t.fs, name, 0o600, t.hook, write)
}

// readSmall reads a file that is never large; nil when there is none.
func (t tree) readSmall(name string, limit int64) ([]byte, error) {
	f, err := openRegular(t.fs, name, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

// names calls fn for every entry of a directory, in no order.
func (t tree) names(dir string, fn func(name string) error) error {
	d, err := t.fs.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(512)
		for _, name := range names {
			if err := fn(name); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
