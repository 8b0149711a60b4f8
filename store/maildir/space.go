package maildir

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// Space tells how large the file system of dir is, and how much of it is free for
// us, in octets.
func Space(dir string) (free, size int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, fmt.Errorf("asking how much room there is in %s: %w", dir, err)
	}
	unit := blockSize(&st)
	return octets(uint64(max(st.Bavail, 0)), unit), octets(st.Blocks, unit), nil
}

// octets bounds what a file system says of itself.
func octets(blocks, unit uint64) int64 {
	if unit != 0 && blocks > math.MaxInt64/unit {
		return math.MaxInt64
	}
	return int64(blocks * unit)
}
