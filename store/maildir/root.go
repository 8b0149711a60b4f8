package maildir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	gomaildir "github.com/emersion/go-maildir"
	"golang.org/x/text/unicode/norm"

	"letterbox/store/atomicfile"
)

// Options are what a Root needs to know from its owner. The zero value serves.
type Options struct {
	// Step, when set, is called before every step that changes the disk, with
	// the step's name (the Step constants here and in atomicfile). An error
	// from it ends the operation there, as if the step itself had failed; what
	// would tidy up afterwards is announced as well. For failure tests: nil in
	// production, where it costs nothing. It may be called by several
	// goroutines at once.
	Step func(name string) error
	// Host goes into the names of messages; empty means the machine's name.
	Host string
}

// Root is one person's tree. Its methods may be called by several goroutines,
// but one Root at a time must be open on a tree in all processes of ours (the
// store's flock sees to that); other programs may be at work in it.
type Root struct {
	tree
	path  string
	host  string
	locks lockTable

	session string // random: begins the names of what this Root writes into tmp/

	renaming sync.Mutex // one Rename at a time, since there is one letterbox-rename
}

// Names of our own in the root. Directories without a leading dot are no
// folders to any program.
const (
	newFolderPrefix     = "letterbox-new."
	removedFolderPrefix = "letterbox-removed."
)

// CreateRoot makes the tree, durably, with an INBOX, unless it is there, and
// opens it. The directory above must exist.
func CreateRoot(dir string, o Options) (*Root, error) {
	dir = filepath.Clean(dir)
	if _, err := os.Stat(filepath.Join(dir, "cur")); errors.Is(err, fs.ErrNotExist) {
		if err := makeRoot(dir, o); err != nil {
			return nil, fmt.Errorf("making the mail folder %s: %w", dir, err)
		}
	}
	return OpenRoot(dir, o)
}

func makeRoot(dir string, o Options) error {
	if o.Step != nil {
		if err := o.Step(StepMakeFolder); err != nil {
			return err
		}
	}
	if err := gomaildir.Dir(dir).Init(); err != nil {
		return err
	}
	if o.Step != nil {
		if err := o.Step(StepSyncDir); err != nil {
			return err
		}
	}
	if err := atomicfile.SyncDir(dir); err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(dir))
}

// OpenRoot opens a tree, whoever made it, and finishes what an interrupted
// Rename or Remove left undone.
func OpenRoot(dir string, o Options) (*Root, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the mail folder: %w", err)
	}
	dirFS, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("opening the mail folder: %w", err)
	}
	r := &Root{tree: tree{fs: dirFS, hook: o.Step}, path: path, host: o.Host, session: rand.Text()[:8]}
	if r.host == "" {
		r.host = hostname()
	}
	r.renaming.Lock()
	defer r.renaming.Unlock()
	if err := r.finishRename(); err != nil {
		return nil, errors.Join(fmt.Errorf("finishing an interrupted rename in %s: %w", path, err), dirFS.Close())
	}
	// Files of removed folders only take room: that they cannot be removed, on a
	// file system that has turned read-only, is no reason not to read the mail.
	_ = r.clearRemoved()
	return r, nil
}

// Close gives the tree's directory back. Folders stay usable and are closed by
// themselves.
func (r *Root) Close() error { return r.fs.Close() }

// Path is the absolute path of the tree when it was opened, for watching it
// and for messages to people.
func (r *Root) Path() string { return r.path }

// NewNamer starts the names of one operation, with this tree's host name.
func (r *Root) NewNamer(now time.Time) *Namer { return newNamer(now, r.host) }

// Folders lists the folders that are really there, INBOX first, then by name.
// Names are as other programs made them, so not always NFC.
func (r *Root) Folders() ([]string, error) {
	list := []string{Inbox}
	err := r.folderDirs(func(_, name string) error {
		list = append(list, name)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing the folders: %w", err)
	}
	slices.Sort(list[1:])
	return slices.Compact(list), nil
}

// folderDirs calls fn for every folder below the root.
func (r *Root) folderDirs(fn func(dir, name string) error) error {
	return r.names(".", func(dir string) error {
		name := decodeName(dir)
		if name == "" || strings.EqualFold(name, Inbox) || !r.isFolder(dir) {
			return nil
		}
		return fn(dir, name)
	})
}

// isFolder reports whether dir holds messages. A symbolic link that leads out
// of the tree does not.
func (r *Root) isFolder(dir string) bool {
	info, err := r.fs.Stat(dir + "/cur")
	return err == nil && info.IsDir()
}

// Lookup finds the folder that name means: the one of exactly that name, else
// the one that differs only in Unicode normalisation (or in the case of
// INBOX). canonical is its name as Folders lists it.
func (r *Root) Lookup(name string) (canonical string, ok bool, err error) {
	_, canonical, err = r.find(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	return canonical, err == nil, err
}

// find gives the directory of an existing folder and its name; fs.ErrNotExist
// when there is none.
func (r *Root) find(name string) (dir, canonical string, err error) {
	if strings.EqualFold(name, Inbox) {
		return ".", Inbox, nil
	}
	if dir := encodeName(name); len(dir) <= maxDirName && decodeName(dir) != "" && r.isFolder(dir) {
		return dir, decodeName(dir), nil
	}
	want := Normalize(name)
	err = r.folderDirs(func(d, n string) error {
		// Another program's exact name wins over one that is only equivalent.
		if n == name || dir == "" && Normalize(n) == want {
			dir, canonical = d, n
		}
		return nil
	})
	if err == nil && dir == "" {
		err = fmt.Errorf("the folder %q: %w", name, fs.ErrNotExist)
	}
	return dir, canonical, err
}

// Create makes a folder, durably, and returns the name it got: name in NFC.
// Errors wrap ErrBadName, or fs.ErrExist also when a folder is there that
// differs only in normalisation. Levels above it are not made.
func (r *Root) Create(name string) (canonical string, err error) {
	dir, canonical, err := r.free(name)
	if err != nil {
		return "", err
	}
	build := r.makeFolder
	if _, err := r.fs.Lstat(dir); err == nil {
		build = r.completeFolder
	}
	if err := build(dir); err != nil {
		return "", fmt.Errorf("making the folder %q: %w", canonical, err)
	}
	return canonical, nil
}

// free gives the directory and name for a folder that is to appear.
func (r *Root) free(name string) (dir, canonical string, err error) {
	canonical = Normalize(name)
	if dir, err = escapeName(canonical); err != nil {
		return "", "", err
	}
	if _, there, err := r.find(canonical); err == nil {
		return "", "", fmt.Errorf("the folder %q: %w", there, fs.ErrExist)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", "", err
	}
	return dir, canonical, nil
}

// makeFolder builds a folder under a name that is nobody's folder, then gives
// it its own, so that no program sees half of one.
func (r *Root) makeFolder(dir string) error {
	staged := newFolderPrefix + rand.Text()
	if err := r.step(StepMakeFolder); err != nil {
		return err
	}
	err := r.stageFolder(staged)
	if err == nil {
		err = r.rename(StepPlaceFolder, staged, dir)
	}
	if err != nil {
		if stepErr := r.step(StepClearFolder); stepErr != nil {
			return errors.Join(err, stepErr)
		}
		return errors.Join(err, r.fs.RemoveAll(staged))
	}
	return r.sync(".")
}

// completeFolder makes a folder of a directory in which another program has
// left out, or lost, what makes it one.
func (r *Root) completeFolder(dir string) error {
	if err := r.step(StepMakeFolder); err != nil {
		return err
	}
	for _, sub := range []string{newDir, tmpDir, curDir} { // cur makes it a folder
		if err := r.fs.Mkdir(dir+"/"+sub, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return r.sync(dir)
}

func (r *Root) stageFolder(staged string) error {
	// The name is new and random: nobody has put a link there.
	if err := gomaildir.Dir(filepath.Join(r.path, staged)).Init(); err != nil {
		return err
	}
	// Maildir++: the mark of a folder below the root.
	if err := r.fs.WriteFile(staged+"/maildirfolder", nil, 0o600); err != nil {
		return err
	}
	return r.sync(staged)
}

// Remove removes a folder with its messages, durably, but not the folders
// below it. INBOX cannot be removed (ErrBadName). fs.ErrNotExist when it is
// not there. Files that cannot be removed now go when the tree is opened.
func (r *Root) Remove(name string) error {
	dir, canonical, err := r.find(name)
	if err != nil {
		return err
	}
	if canonical == Inbox {
		return badName(canonical, "INBOX is always there")
	}
	err = r.rename(StepPlaceFolder, dir, removedFolderPrefix+rand.Text())
	if err == nil {
		err = r.sync(".")
	}
	if err != nil {
		return fmt.Errorf("removing the folder %q: %w", canonical, err)
	}
	_ = r.clearRemoved() // the folder is gone, its files only take room
	return nil
}

// ClearStale removes what crashes have left of folders that came or went.
func (r *Root) ClearStale() error {
	if err := r.clearRemoved(); err != nil {
		return fmt.Errorf("clearing what is left of folders: %w", err)
	}
	return nil
}

// clearRemoved removes the files of removed folders, and of folders that a
// crash kept from being made.
func (r *Root) clearRemoved() error {
	var found []string
	err := r.names(".", func(name string) error {
		if strings.HasPrefix(name, removedFolderPrefix) || strings.HasPrefix(name, newFolderPrefix) && r.stale(name) {
			found = append(found, name)
		}
		return nil
	})
	for _, name := range found {
		if err == nil {
			err = r.step(StepClearFolder)
		}
		if err == nil {
			err = r.fs.RemoveAll(name)
		}
	}
	return err
}

// stale reports whether something temporary was made so long ago that whoever
// made it has crashed.
func (r *Root) stale(name string) bool {
	info, err := r.fs.Lstat(name)
	return err == nil && time.Since(info.ModTime()) > tmpAge
}

// sameName reports whether two names differ in normalisation at most.
func sameName(a, b string) bool {
	return a == b || norm.NFC.String(a) == norm.NFC.String(b)
}
