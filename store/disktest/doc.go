//go:build linux

// Package disktest is a disk for tests: a file system that knows of every
// change whether it has been synced, fails when it is told to, and can lose its
// power at any moment. Only tests import it. It needs root and /dev/fuse.
//
// A Disk holds its files in memory and is mounted by FUSE, so that what uses it
// is the real program with its real system calls. It keeps a history of all
// changes. PowerCut makes of it what may be found on a disk after the power
// went at some moment of that history:
//
//   - What was written to a file, and its times, is there if the file was synced
//     afterwards.
//   - A name is there, or gone, if its directory was synced afterwards. A sync
//     of a file says nothing of its name, nor one of a directory of what is in
//     the files: POSIX promises no more.
//   - Whatever else was changed may be there or not, each for itself. A write may be
//     there in part, or as zeros where a file had grown.
//   - A rename inside a directory is there whole or not at all. After one between
//     directories the file may have both names, never none.
//   - What is in a bad spot cannot be read (SetBadSpot), and all around it can: the
//     system reads ahead in larger pieces, and page by page where that fails.
//   - A change that a sync failed to write is not made safe by a later one: the
//     system takes it for written.
package disktest
