package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// FileStamp is what changes about a file when its content does. It is zero for
// a file that is not there.
type FileStamp struct {
	Inode   uint64
	Size    int64
	ModTime int64 // nanoseconds since 1970
}

// Stamp is what changes about a folder when somebody adds, renames or removes
// a message, or writes its list, keywords or letterbox-folder. Stamps are comparable: equal
// ones, the older of which was Settled, mean that nothing has changed.
type Stamp struct {
	New, Cur, UIDList, Keywords, FolderFile FileStamp
}

// granularity is the coarsest file time that Probe accepts.
const granularity = 2 * time.Second

// Stamp looks at the folder without reading it.
func (f *Folder) Stamp() (Stamp, error) {
	cur, err := f.stamp(curDir)
	if err != nil {
		return Stamp{}, fmt.Errorf("looking at the folder %q: %w", f.name, err)
	}
	fresh, err := f.stamp(newDir)
	if err != nil {
		return Stamp{}, fmt.Errorf("looking at the folder %q: %w", f.name, err)
	}
	return Stamp{New: fresh, Cur: cur, UIDList: f.stampIfThere(uidListName), Keywords: f.stampIfThere(keywordsName),
		FolderFile: f.stampIfThere(folderFileName)}, nil
}

// stampIfThere is the stamp of a file that may not be there.
func (f *Folder) stampIfThere(name string) FileStamp {
	s, err := f.stamp(name)
	if err != nil {
		return FileStamp{}
	}
	return s
}

func stampOf(info fs.FileInfo) FileStamp {
	return FileStamp{Inode: inodeOf(info), Size: info.Size(), ModTime: info.ModTime().UnixNano()}
}

func statOpen(f *os.File) (FileStamp, error) {
	info, err := f.Stat()
	if err != nil {
		return FileStamp{}, err
	}
	return stampOf(info), nil
}

// statStamp is the stamp of a file that may not be there.
func statStamp(root *os.Root, name string) FileStamp {
	info, err := root.Stat(name)
	if err != nil {
		return FileStamp{}
	}
	return stampOf(info)
}

func inodeOf(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Ino)
	}
	return 0
}

// errNotRegular is why a device, pipe or directory among the messages is not
// opened.
var errNotRegular = errors.New("it is not a regular file")

// openRegular opens a file without ever waiting for a pipe's other end.
func openRegular(root *os.Root, name string, flag int) (*os.File, error) {
	f, err := root.OpenFile(name, flag|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: errNotRegular}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
