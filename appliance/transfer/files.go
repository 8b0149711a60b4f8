package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"
)

// A place is a file or a directory that somebody named on the command line. Below a directory, symbolic links are not followed: whoever
// imports for somebody else, as root say, must not be led to files that are not that person's.
type place struct {
	root *os.Root
	name string // in root; "." for a directory
	base string // what it is called
	dir  bool
}

// openPlaces opens what paths name. Symbolic links in the paths themselves are followed.
func openPlaces(paths []string) (places []place, err error) {
	for _, p := range paths {
		one, err := openPlace(p)
		if err != nil {
			return nil, errors.Join(err, closePlaces(places))
		}
		places = append(places, one)
	}
	return places, nil
}

func openPlace(named string) (place, error) {
	real, err := filepath.Abs(named)
	if err == nil {
		real, err = filepath.EvalSymlinks(real)
	}
	if err != nil {
		return place{}, err
	}
	info, err := os.Stat(real)
	if err != nil {
		return place{}, err
	}
	p := place{name: ".", base: filepath.Base(real), dir: info.IsDir()}
	at := real
	if !p.dir {
		p.name, at = p.base, filepath.Dir(real)
	}
	if !p.dir && !info.Mode().IsRegular() {
		return place{}, fmt.Errorf("%s is neither a file nor a directory", named)
	}
	p.root, err = os.OpenRoot(at)
	return p, err
}

func closePlaces(places []place) error {
	var err error
	for _, p := range places {
		err = errors.Join(err, p.root.Close())
	}
	return err
}

// maxDepth is how deep directories are looked into.
const maxDepth = 50

var (
	errLink    = errors.New("it is a symbolic link, which is not followed")
	errTooDeep = errors.New("it lies too deep in other directories")
	errSpecial = errors.New("it is neither a file nor a directory")
)

// An entry is something in a directory.
type entry struct {
	path string // in the root
	info fs.FileInfo
	err  error // why it cannot be looked at
}

// walk calls fn for everything below a directory of root, a directory before what is in it. An entry with an err is gone no deeper
// into. It returns fn's error as it is.
func walk(ctx context.Context, root *os.Root, dir string, fn func(entry) error) error {
	return walkTo(ctx, root, dir, maxDepth, fn)
}

func walkTo(ctx context.Context, root *os.Root, dir string, depth int, fn func(entry) error) error {
	err := inNameOrder(root, dir, namesAtOnce, func(name string) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := look(root, path.Join(dir, name))
		if e.err == nil && e.info.IsDir() && depth == 0 {
			e.err = errTooDeep
		}
		if err := fn(e); err != nil || e.err != nil || !e.info.IsDir() {
			return err
		}
		return walkTo(ctx, root, e.path, depth-1, fn)
	})
	var unlisted *listError
	if errors.As(err, &unlisted) {
		return fn(entry{path: dir, err: unlisted.err})
	}
	return err
}

// look looks at what lies at a path.
func look(root *os.Root, path string) entry {
	e := entry{path: path}
	if e.info, e.err = root.Lstat(path); e.err != nil {
		return e
	}
	switch mode := e.info.Mode(); {
	case mode&fs.ModeSymlink != 0:
		e.err = errLink
	case !mode.IsRegular() && !mode.IsDir():
		e.err = errSpecial
	}
	return e
}

// listError says that a directory cannot be read.
type listError struct{ err error }

func (l *listError) Error() string { return l.err.Error() }

func (l *listError) Unwrap() error { return l.err }

// namesAtOnce is how many names inNameOrder holds in memory; twice as many for a moment.
const namesAtOnce = 16 << 10

// inNameOrder calls fn for every name in a directory, in order. It reads the directory again for every so many names, so that its memory
// does not grow with it. It returns fn's error as it is, and a *listError where the directory cannot be read.
func inNameOrder(root *os.Root, dir string, atOnce int, fn func(name string) error) error {
	last := ""
	for {
		next, err := firstNames(root, dir, last, atOnce)
		if err != nil {
			return &listError{err}
		}
		for _, name := range next {
			if err := fn(name); err != nil {
				return err
			}
		}
		if len(next) < atOnce {
			return nil
		}
		last = next[len(next)-1]
	}
}

// firstNames finds the first names behind last.
func firstNames(root *os.Root, dir, last string, atOnce int) (list []string, err error) {
	d, err := root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	cut := func() {
		slices.Sort(list)
		list = slices.Compact(list)
		list = list[:min(atOnce, len(list))]
	}
	for {
		names, err := d.Readdirnames(512)
		for _, name := range names {
			if name > last {
				list = append(list, name)
			}
		}
		if len(list) >= 2*atOnce {
			cut()
		}
		if err == io.EOF {
			cut()
			return list, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// openFile opens a file for reading, and tells its size. What is no file, a pipe say, is errSpecial.
func openFile(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errSpecial
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}
