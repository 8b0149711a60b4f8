package maildir

import (
	"io/fs"
	"syscall"
	"time"
)

// lastChange returns when a file was last changed in any way. Its own time may be
// the date of a message that is being written.
func lastChange(info fs.FileInfo) time.Time {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return info.ModTime()
	}
	if changed := time.Unix(st.Ctim.Unix()); changed.After(info.ModTime()) {
		return changed
	}
	return info.ModTime()
}
