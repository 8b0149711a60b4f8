//go:build unix

package control

import (
	"errors"
	"io/fs"
	"syscall"
)

// ownerOf returns the user id that a file belongs to.
func ownerOf(info fs.FileInfo) (uint32, error) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, errors.New("this file system does not tell who owns a directory")
	}
	return stat.Uid, nil
}
