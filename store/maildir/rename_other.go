//go:build unix && !linux

package maildir

import (
	"errors"

	"golang.org/x/sys/unix"
)

// renameNoReplace renames; base names are unique, so that only the same
// message could be replaced.
func renameNoReplace(fromDir int, from string, toDir int, to string) error {
	return unix.Renameat(fromDir, from, toDir, to)
}

// Exchange cannot be done here.
func Exchange(string, string) error { return errors.ErrUnsupported }
