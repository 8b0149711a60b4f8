//go:build !linux

package maildir

import "golang.org/x/sys/unix"

// blockSize is what the file system counts in.
func blockSize(st *unix.Statfs_t) uint64 { return uint64(max(st.Bsize, 1)) }
