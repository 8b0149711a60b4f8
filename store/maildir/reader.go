package maildir

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// A Reader reads a tree of anybody's and changes nothing in it, not even what
// an interrupted change left undone. Programs may be at work in the tree. Its
// methods may be called by several goroutines.
type Reader struct{ r *Root }

// OpenReader opens the tree in the directory called name inside root; "." is
// root itself. Errors wrap fs.ErrNotExist when there is no Maildir there.
// Nothing outside that directory is read, wherever symbolic links may lead.
func OpenReader(root *os.Root, name string) (*Reader, error) {
	dirFS, err := root.OpenRoot(name)
	if err != nil {
		return nil, fmt.Errorf("opening the Maildir: %w", err)
	}
	r := &Root{tree: tree{fs: dirFS}, path: dirFS.Name()}
	if !r.isFolder(".") {
		err := fmt.Errorf("%s is no Maildir: %w", dirFS.Name(), &fs.PathError{Op: "open", Path: curDir, Err: fs.ErrNotExist})
		return nil, errors.Join(err, dirFS.Close())
	}
	return &Reader{r}, nil
}

// Close gives the directory back. Folders stay usable.
func (r *Reader) Close() error { return r.r.Close() }

// Folders lists the folders, as Root.Folders does.
func (r *Reader) Folders() ([]string, error) { return r.r.Folders() }

// Subscriptions are those of Root.Subscriptions.
func (r *Reader) Subscriptions() ([]string, error) { return r.r.Subscriptions() }

// LastUIDValidity is the last UIDVALIDITY given in the tree, 0 if none was.
func (r *Reader) LastUIDValidity() (uint32, error) {
	last, _, err := r.r.lastUIDValidity()
	return last, err
}

// Folder opens a folder, found as Root.Lookup does. Errors wrap fs.ErrNotExist
// when it is not there.
func (r *Reader) Folder(name string) (*FolderReader, error) {
	dir, canonical, err := r.r.find(name)
	if err != nil {
		return nil, err
	}
	dirFS, err := r.r.fs.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the folder %q: %w", canonical, err)
	}
	return &FolderReader{&Folder{tree: tree{fs: dirFS}, root: r.r, name: canonical, dir: dir}}, nil
}

// A FolderReader reads a folder of a Reader. Its methods may be called by
// several goroutines.
type FolderReader struct{ f *Folder }

// Close gives the folder's directory back.
func (f *FolderReader) Close() error { return f.f.Close() }

// Name is the folder's name, as Folders lists it.
func (f *FolderReader) Name() string { return f.f.name }

// Keywords are those of Folder.Keywords.
func (f *FolderReader) Keywords() (Keywords, error) { return f.f.Keywords() }

// FolderFile is that of Folder.FolderFile.
func (f *FolderReader) FolderFile() (FolderFile, error) { return f.f.FolderFile() }

// ReadUIDList opens the list of messages. Errors wrap fs.ErrNotExist when
// there is none.
func (f *FolderReader) ReadUIDList() (*UIDListReader, error) { return f.f.ReadUIDList(Mark{}) }

// Open opens a message file. Errors wrap fs.ErrNotExist when it is gone or has
// got another name: see Find.
func (f *FolderReader) Open(at Ref) (*os.File, error) { return f.f.Open(at) }

// Stat looks at a message file, as Folder.Stat does.
func (f *FolderReader) Stat(at Ref) (fs.FileInfo, error) { return f.f.Stat(at) }

// Scan calls fn for every message file, as Folder.Scan does, without those of a
// COPY or APPEND that is not done.
func (f *FolderReader) Scan(fn func(Entry) error) error {
	_, prefixes, err := f.f.intents()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the folder %q: %w", f.f.name, err)
	}
	for _, dir := range []string{newDir, curDir} {
		err := f.f.names(dir, func(file string) error {
			if file[0] == '.' || slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(file, p) }) {
				return nil
			}
			return fn(Entry{File: file, Name: ParseName(file), InNew: dir == newDir})
		})
		if errors.Is(err, fs.ErrNotExist) && dir == newDir {
			continue // not every program makes it
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Find looks for the message with a base name, whatever became of the rest of
// its file's name. Errors wrap fs.ErrNotExist when it is gone.
func (f *FolderReader) Find(base string) (Entry, error) {
	for range 2 { // one that is renamed during the first may be missed by it
		var found Entry
		err := f.Scan(func(e Entry) error {
			if e.Name.Base == base {
				found = e
				return errFound
			}
			return nil
		})
		if errors.Is(err, errFound) {
			return found, nil
		}
		if err != nil {
			return Entry{}, err
		}
	}
	return Entry{}, &fs.PathError{Op: "open", Path: base, Err: fs.ErrNotExist}
}

// inOrderAtOnce is how many messages InOrder holds in memory; twice as many for
// a moment.
const inOrderAtOnce = 16 << 10

// InOrder calls fn for every message file in the order of arrival, which the
// names tell. It reads the directories again for every 16,384 messages, so that
// its memory does not grow with the folder. What comes or goes meanwhile may be
// seen or not; a message that is renamed is seen once. An error from fn ends it
// and is returned as it is.
func (f *FolderReader) InOrder(fn func(Entry) error) error { return f.inOrder(inOrderAtOnce, fn) }

func (f *FolderReader) inOrder(atOnce int, fn func(Entry) error) error {
	var last arrival
	for {
		next, err := f.firstArrivals(last, atOnce)
		if err != nil {
			return err
		}
		for _, a := range next {
			if err := fn(Entry{File: a.file, Name: ParseName(a.file), InNew: a.inNew}); err != nil {
				return err
			}
		}
		if len(next) < atOnce {
			return nil
		}
		last = next[len(next)-1]
	}
}

// An arrival is a message file in the order of arrival. The zero value comes
// before all.
type arrival struct {
	time  int64 // that the base name begins with
	file  string
	base  int // octets of file that are the base name
	inNew bool
}

func (a arrival) name() string { return a.file[:a.base] }

func (a arrival) ref() Ref { return Ref{a.inNew, a.file} }

func (a arrival) compare(b arrival) int {
	return cmp.Or(cmp.Compare(a.time, b.time), compareNumbers(a.name(), b.name()), strings.Compare(a.file, b.file))
}

// compareNumbers orders texts with numbers in them by the values of those: Q9 comes before Q10.
func compareNumbers(a, b string) int {
	for a != "" && b != "" {
		x, y := leadingDigits(a), leadingDigits(b)
		if x == 0 || y == 0 {
			if a[0] != b[0] {
				return cmp.Compare(a[0], b[0])
			}
			a, b = a[1:], b[1:]
			continue
		}
		m, n := strings.TrimLeft(a[:x], "0"), strings.TrimLeft(b[:y], "0")
		if c := cmp.Or(cmp.Compare(len(m), len(n)), strings.Compare(m, n), cmp.Compare(x, y)); c != 0 {
			return c
		}
		a, b = a[x:], b[y:]
	}
	return cmp.Compare(len(a), len(b))
}

func leadingDigits(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }

// firstArrivals finds the first messages behind last.
func (f *FolderReader) firstArrivals(last arrival, atOnce int) ([]arrival, error) {
	var list []arrival
	cut := func() {
		slices.SortFunc(list, arrival.compare)
		list = slices.CompactFunc(list, f.oneMessage)
		list = list[:min(atOnce, len(list))]
	}
	err := f.Scan(func(e Entry) error {
		a := arrival{time: leadingTime(e.Name.Base), file: e.File, base: len(e.Name.Base), inNew: e.InNew}
		if last.file != "" && (a.compare(last) <= 0 || f.oneMessage(a, last)) {
			return nil
		}
		if list = append(list, a); len(list) == 2*atOnce {
			cut()
		}
		return nil
	})
	cut()
	return list, err
}

// oneMessage reports whether two files are one message that is renamed while
// the directory is read. Restored backups leave two messages of one base name.
func (f *FolderReader) oneMessage(a, b arrival) bool {
	if a.name() != b.name() {
		return false
	}
	one, errA := f.Stat(a.ref())
	two, errB := f.Stat(b.ref())
	return errA != nil || errB != nil || os.SameFile(one, two)
}

// leadingTime is the time that a base name begins with.
func leadingTime(base string) int64 {
	var n int64
	for i := 0; i < len(base) && i < 18 && '0' <= base[i] && base[i] <= '9'; i++ {
		n = n*10 + int64(base[i]-'0')
	}
	return n
}

// ExtraKeywords are the keywords that have no letter (FolderFile), by the base
// names of the messages that have them; nil when there are none.
func (f *FolderReader) ExtraKeywords() (map[string][]string, error) {
	file, err := f.f.FolderFile()
	if err != nil || len(file.Keywords) == 0 {
		return nil, err
	}
	list, err := f.ReadUIDList()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer list.Close()
	validity := list.Header().UIDValidity
	file.Keywords = slices.DeleteFunc(file.Keywords, func(k ExtraKeyword) bool { return k.UIDValidity != validity })
	extra := make(map[string][]string)
	for rec, err := range list.All() {
		if err != nil {
			return nil, err
		}
		for i := range file.Keywords {
			if file.Keywords[i].has(rec.UID) {
				extra[rec.Base] = append(extra[rec.Base], file.Keywords[i].Name)
			}
		}
	}
	return extra, nil
}
