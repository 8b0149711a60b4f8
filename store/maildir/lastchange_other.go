//go:build unix && !linux

package maildir

import (
	"io/fs"
	"time"
)

// lastChange returns when a file was last changed.
func lastChange(info fs.FileInfo) time.Time { return info.ModTime() }
