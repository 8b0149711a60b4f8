package maildir

import (
	"errors"

	"golang.org/x/sys/unix"
)

// renameNoReplace renames without replacing another file. Old kernels and some
// file systems cannot promise that; there it renames as they can: base names
// are unique, so that only the same message could be hit.
func renameNoReplace(fromDir int, from string, toDir int, to string) error {
	err := unix.Renameat2(fromDir, from, toDir, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return unix.Renameat(fromDir, from, toDir, to)
	}
	return err
}
