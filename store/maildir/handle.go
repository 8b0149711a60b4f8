package maildir

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A handle is one of a folder's directories, held open so that a change in it
// is one system call. It may be used by several goroutines.
type handle struct {
	file *os.File
	raw  syscall.RawConn
	id   fileID
}

func openHandle(root *os.Root, dir string) (*handle, error) {
	file, err := root.Open(dir)
	if err != nil {
		return nil, err
	}
	h := &handle{file: file}
	if h.raw, err = file.SyscallConn(); err == nil {
		err = h.do(func(fd int) error {
			var st unix.Stat_t
			err := whole(func() error { return unix.Fstat(fd, &st) })
			h.id = fileID{uint64(st.Dev), uint64(st.Ino)}
			return err
		})
	}
	if err != nil {
		_ = file.Close() // opened for reading: nothing can be lost
		return nil, err
	}
	return h, nil
}

// do calls fn with the directory's descriptor, which stays what it is meanwhile,
// whoever closes the folder. fs.ErrClosed: that has happened.
func (h *handle) do(fn func(fd int) error) error {
	var err error
	if cerr := h.raw.Control(func(fd uintptr) { err = fn(int(fd)) }); cerr != nil {
		return cerr
	}
	return err
}

// handles are those of one folder.
type handles struct {
	mu     sync.Mutex // guards what follows
	closed bool
	open   map[string]*handle
}

// handle returns the directory of that name as it is now: it looks, since another
// program may have put another one in its place.
func (f *Folder) handle(dir string) (*handle, error) {
	id, err := f.lookUp(dir)
	if err != nil {
		return nil, err
	}
	return f.held.get(f.fs, dir, func(h *handle) bool { return h.id == id })
}

// here returns the folder's own directory, which stays what it is.
func (f *Folder) here() (*handle, error) {
	return f.held.get(f.fs, ".", func(*handle) bool { return true })
}

// get returns the directory that was opened before, if it is still good, or opens it.
func (h *handles) get(root *os.Root, dir string, good func(*handle) bool) (*handle, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	had := h.open[dir]
	if had != nil && good(had) {
		return had, nil
	}
	if h.closed {
		return nil, fs.ErrClosed
	}
	fresh, err := openHandle(root, dir)
	if err != nil {
		return nil, err
	}
	if had != nil {
		_ = had.file.Close() // when whoever uses it is done; opened for reading
	}
	if h.open == nil {
		h.open = make(map[string]*handle, 4)
	}
	h.open[dir] = fresh
	return fresh, nil
}

// close closes them all.
func (h *handles) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, d := range h.open {
		_ = d.file.Close() // opened for reading: nothing can be lost
	}
	h.open = nil
}

// A fileID tells a file from every other that there is.
type fileID struct{ device, inode uint64 }

func idOf(info fs.FileInfo) fileID {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}
	}
	return fileID{uint64(st.Dev), uint64(st.Ino)}
}

// lstat looks at a name in the folder, in one system call: deliveries look often.
func (f *Folder) lstat(name string) (st unix.Stat_t, err error) {
	here, err := f.here()
	if err != nil {
		return st, err
	}
	err = here.do(func(fd int) error {
		return whole(func() error { return unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	})
	if err != nil {
		return st, &fs.PathError{Op: "lstat", Path: name, Err: err}
	}
	return st, nil
}

// whole makes a system call again that a signal has interrupted.
func whole(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// lookUp returns which file a name in the folder is, or a symbolic link leads to.
func (f *Folder) lookUp(name string) (fileID, error) {
	st, err := f.lstat(name)
	if err != nil || uint32(st.Mode)&unix.S_IFMT != unix.S_IFLNK {
		return fileID{uint64(st.Dev), uint64(st.Ino)}, err
	}
	info, err := f.fs.Stat(name)
	if err != nil {
		return fileID{}, err
	}
	return idOf(info), nil
}

// lstamp returns the stamp of a name in the folder, of a symbolic link the link's.
func (f *Folder) lstamp(name string) (FileStamp, error) {
	st, err := f.lstat(name)
	return FileStamp{Inode: uint64(st.Ino), Size: st.Size, ModTime: st.Mtim.Nano()}, err
}

// stamp is lstamp of what a symbolic link leads to.
func (f *Folder) stamp(name string) (FileStamp, error) {
	st, err := f.lstat(name)
	if err != nil || uint32(st.Mode)&unix.S_IFMT != unix.S_IFLNK {
		return FileStamp{Inode: uint64(st.Ino), Size: st.Size, ModTime: st.Mtim.Nano()}, err
	}
	info, err := f.fs.Stat(name)
	if err != nil {
		return FileStamp{}, err
	}
	return stampOf(info), nil
}

// createAt makes a file in the directory dir and opens it for writing.
func createAt(dir int, name string) (*os.File, error) {
	for {
		fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err == nil {
			return os.NewFile(uintptr(fd), name), nil
		}
		if !errors.Is(err, unix.EINTR) {
			return nil, &fs.PathError{Op: "create", Path: name, Err: err}
		}
	}
}

// timespec is t for the kernel. On machines whose times have 32 bits it is the
// nearest that they can tell: no message is refused for its date.
func timespec(t time.Time) unix.Timespec {
	ts, err := unix.TimeToTimespec(t)
	if err != nil {
		limit := int64(math.MaxInt32)
		if t.Unix() < 0 {
			limit = math.MinInt32
		}
		ts, _ = unix.TimeToTimespec(time.Unix(limit, 0)) // fits
	}
	return ts
}
