package maildir

import (
	"os"

	"golang.org/x/sys/unix"
)

// startWriteback lets the kernel begin to write a file to the disk. It promises
// nothing: a kernel or file system that does not want to is as good, but slower.
func startWriteback(file *os.File) {
	_ = unix.SyncFileRange(int(file.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
}
