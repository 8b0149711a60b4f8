package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"letterbox/store/atomicfile"
)

// Abilities are what a file system can do for mail, beyond what it must.
type Abilities struct {
	// HardLinks: COPY needs no second copy of the bytes.
	HardLinks bool
	// Granularity is the step in which files keep their times.
	Granularity time.Duration
	// Notes are sentences for people about what is missing but not needed.
	Notes []string
}

// ErrUnfit is wrapped when a file system cannot hold mail safely. The error is
// one sentence that says why.
var ErrUnfit = errors.New("mail cannot be kept safely in this folder")

// ProbePrefix begins the names of the directories that Probe tries things out in.
// One that was there before was left by a crash.
const ProbePrefix = ".letterbox-probe-"

// Probe tries out, in a directory of its own that it removes again, what a
// file system must do to hold mail safely. dir is where the mail is to lie and
// must exist. An error that wraps ErrUnfit is one plain sentence.
func Probe(dir string) (Abilities, error) {
	a, err := probeIn(dir)
	if err != nil {
		return Abilities{}, fmt.Errorf("%s: %w", dir, err)
	}
	return a, nil
}

func probeIn(dir string) (a Abilities, err error) {
	path, err := os.MkdirTemp(dir, ProbePrefix)
	if err != nil {
		return a, unfit("nothing can be created in it", err)
	}
	defer func() {
		if removeErr := os.RemoveAll(path); removeErr != nil && err == nil {
			err = unfit("what was created in it cannot be removed again", removeErr)
		}
	}()
	root, err := os.OpenRoot(path)
	if err != nil {
		return a, unfit("it cannot be opened", err)
	}
	defer root.Close()
	return probeRoot(root)
}

func probeRoot(root *os.Root) (a Abilities, err error) {
	must := []func(*os.Root) error{
		probeColon, probeLongName, probeCase, probeRename, probeDirSync, probeLock, probeSocket,
	}
	for _, check := range must {
		if err := check(root); err != nil {
			return a, err
		}
	}
	if a.Granularity, err = probeTimes(root); err != nil {
		return a, err
	}
	if a.HardLinks = probeLink(root) == nil; !a.HardLinks {
		a.Notes = append(a.Notes, "This file system has no hard links, so that copying a message takes its size again.")
	}
	return a, nil
}

func unfit(why string, cause error) error {
	if cause == nil {
		return fmt.Errorf("%w: %s", ErrUnfit, why)
	}
	return fmt.Errorf("%w: %s (%w)", ErrUnfit, why, cause)
}

// create makes a file and reports whether it is found under its name.
func create(root *os.Root, name string) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(name)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	names, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	for _, entry := range names {
		if entry.Name() == name {
			return nil
		}
	}
	return fmt.Errorf("the file got another name: %w", fs.ErrNotExist)
}

// probeColon: the flags of a message stand behind a colon in its name.
func probeColon(root *os.Root) error {
	if err := create(root, "1.a,S=1:2,FS"); err != nil {
		return unfit("its file system cannot have a colon in a file name, which FAT and Windows drives do not allow", err)
	}
	return nil
}

func probeLongName(root *os.Root) error {
	if err := create(root, strings.Repeat("n", maxDirName)); err != nil {
		return unfit("its file system cannot have file names of 255 letters", err)
	}
	return nil
}

// probeCase: two folders can differ in case only.
func probeCase(root *os.Root) error {
	if err := create(root, "case"); err != nil {
		return unfit("files cannot be created in it", err)
	}
	if _, err := root.Lstat("CASE"); !errors.Is(err, fs.ErrNotExist) {
		return unfit("its file system takes upper and lower case letters in file names for the same", nil)
	}
	return nil
}

func probeRename(root *os.Root) error {
	const why = "its file system cannot replace a file by another one in one step"
	if err := errors.Join(create(root, "old"), create(root, "new")); err != nil {
		return unfit("files cannot be created in it", err)
	}
	if err := root.Rename("new", "old"); err != nil {
		return unfit(why, err)
	}
	if text, err := root.ReadFile("old"); err != nil || string(text) != "new" {
		return unfit(why, err)
	}
	return nil
}

func probeDirSync(root *os.Root) error {
	if err := atomicfile.SyncIn(root, "."); err != nil {
		return unfit("its file system cannot promise that new files survive a power cut", err)
	}
	return nil
}

// probeLock: one server a tree.
func probeLock(root *os.Root) error {
	const why = "its file system cannot lock files, so that two servers could damage the mail"
	if err := create(root, "lock"); err != nil {
		return unfit("files cannot be created in it", err)
	}
	first, err := root.Open("lock")
	if err != nil {
		return unfit(why, err)
	}
	defer first.Close()
	if err := unix.Flock(int(first.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return unfit(why, err)
	}
	second, err := root.Open("lock")
	if err != nil {
		return unfit(why, err)
	}
	defer second.Close()
	if err := unix.Flock(int(second.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
		return unfit(why, nil)
	}
	return nil
}

// probeSocket: the commands reach the server through a socket among the data.
func probeSocket(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return unfit("it cannot be opened", err)
	}
	defer dir.Close()
	path := shortPath(dir, "socket")
	if len(path) > 100 {
		return nil // sun_path has 108 bytes, and there is no shorter way to it
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return unfit("its file system cannot hold the socket that the commands use", err)
	}
	return l.Close()
}

// shortPath names a file in an open directory briefly where /proc is there.
func shortPath(dir *os.File, name string) string {
	short := fmt.Sprintf("/proc/self/fd/%d", dir.Fd())
	if _, err := os.Stat(short); err != nil {
		return filepath.Join(dir.Name(), name)
	}
	return filepath.Join(short, name)
}

// probeTimes: INTERNALDATE is the file's time.
func probeTimes(root *os.Root) (time.Duration, error) {
	const why = "its file system does not keep the dates of files"
	want := time.Unix(1000000001, 987654321)
	if err := root.Chtimes("old", want, want); err != nil {
		return 0, unfit(why, err)
	}
	info, err := root.Stat("old")
	if err != nil {
		return 0, unfit(why, err)
	}
	lost := want.Sub(info.ModTime()).Abs()
	for _, step := range []time.Duration{time.Nanosecond, time.Microsecond, time.Millisecond, 10 * time.Millisecond, time.Second} {
		if lost < step {
			return step, nil
		}
	}
	if lost < granularity {
		return granularity, nil
	}
	return 0, unfit(why, nil)
}

func probeLink(root *os.Root) error {
	if err := root.Link("old", "linked"); err != nil {
		return err
	}
	a, errA := root.Stat("old")
	b, errB := root.Stat("linked")
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	if !os.SameFile(a, b) {
		return fs.ErrInvalid
	}
	return nil
}
