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
	info fs.FileInfo
}

func openHandle(root *os.Root, dir string) (*handle, error) {
	file, err := root.Open(dir)
	if err != nil {
		return nil, err
	}
	h := &handle{file: file}
	if h.info, err = file.Stat(); err == nil {
		h.raw, err = file.SyscallConn()
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
	info, err := f.fs.Stat(dir)
	if err != nil {
		return nil, err
	}
	f.held.mu.Lock()
	defer f.held.mu.Unlock()
	h := f.held.open[dir]
	if h != nil && os.SameFile(h.info, info) {
		return h, nil
	}
	if f.held.closed {
		return nil, fs.ErrClosed
	}
	fresh, err := openHandle(f.fs, dir)
	if err != nil {
		return nil, err
	}
	if h != nil {
		_ = h.file.Close() // when whoever uses it is done; opened for reading
	}
	if f.held.open == nil {
		f.held.open = make(map[string]*handle, 3)
	}
	f.held.open[dir] = fresh
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
