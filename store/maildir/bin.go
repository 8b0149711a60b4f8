package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Bin keeps what a person has expunged: the directory Expunged beside the tree,
// where no program takes it for a mailbox. In it is a directory for each day, and
// in that a Maildir for each folder, called as in the tree but without the dot
// in front:
//
//	Expunged/2026-11-28/INBOX/cur/1795448887.M1R...Q1.host,S=1,W=1:2,S
//	Expunged/2026-11-28/Lists.go\2edev/cur/...
//
// Files keep base name, flags, letters and time; see binName for what is added.
// dovecot-keywords there is a copy of the folder's, and letterbox-folder has a
// line for each keyword without a letter. The Maildir of a folder that was
// deleted is the folder itself, with its dovecot-uidlist. Where a Maildir of that
// name cannot take what comes, because it is such a folder or its letters mean
// something else, a further directory of the day does: "2026-11-28-2".
//
// What changes a bin is called by one goroutine at a time in all Bins of a
// person; the rest may be called beside that.
type Bin struct {
	tree    // the directory above
	date    string
	durable map[string]bool // Maildirs of date that are known to be on disk
}

const binDir = "Expunged"

// ErrNotKept is wrapped when a message cannot be put into the bin, for want of
// room most likely, and can only be removed.
var ErrNotKept = errors.New("what was expunged cannot be kept")

// OpenBin opens the bin beside the tree in dir, the directory above both. It
// makes nothing: there need not be one yet.
func OpenBin(dir string, o Options) (*Bin, error) {
	fsys, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the bin: %w", err)
	}
	return &Bin{tree: tree{fs: fsys, hook: o.Step}}, nil
}

// Close gives the directory back.
func (b *Bin) Close() error { return b.fs.Close() }

// BinDay is a directory of the bin.
type BinDay struct {
	Date string // as in 2026-11-28
	Part int    // from 1 on
}

const dateLayout = "2006-01-02"

// String is the name of the directory. Names of one length order by time.
func (d BinDay) String() string {
	if d.Part <= 1 {
		return d.Date
	}
	return d.Date + "-" + strconv.Itoa(d.Part)
}

func (d BinDay) path() string { return binDir + "/" + d.String() }

// Compare orders days, and the parts of one.
func (d BinDay) Compare(e BinDay) int {
	if d.Date != e.Date {
		return strings.Compare(d.Date, e.Date)
	}
	return d.Part - e.Part
}

// ParseBinDay reads the name of a directory.
func ParseBinDay(name string) (d BinDay, ok bool) {
	if len(name) < len(dateLayout) {
		return d, false
	}
	d = BinDay{name[:len(dateLayout)], 1}
	if _, err := time.Parse(dateLayout, d.Date); err != nil {
		return d, false
	}
	if suffix := name[len(dateLayout):]; suffix != "" {
		part, err := strconv.Atoi(strings.TrimPrefix(suffix, "-"))
		if err != nil || part < 2 {
			return d, false
		}
		d.Part = part
	}
	return d, d.String() == name
}

// Days lists the days of which something is kept, oldest first.
func (b *Bin) Days() ([]BinDay, error) {
	var days []BinDay
	info, err := b.fs.Lstat(binDir)
	if err == nil && info.IsDir() { // else it is not ours, whatever it is
		err = b.names(binDir, func(name string) error {
			if d, ok := ParseBinDay(name); ok {
				days = append(days, d)
			}
			return nil
		})
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("looking what was expunged: %w", err)
	}
	slices.SortFunc(days, BinDay.Compare)
	return days, nil
}

// last is the last directory of a date, or the first that can be made.
func (b *Bin) last(date string) (BinDay, error) {
	days, err := b.Days()
	if err != nil {
		return BinDay{}, err
	}
	i, _ := slices.BinarySearchFunc(days, date, func(d BinDay, date string) int {
		if d.Date <= date {
			return -1
		}
		return 1
	})
	if i > 0 && days[i-1].Date == date {
		return days[i-1], nil
	}
	return BinDay{date, 1}, nil
}

// Keeping is a message that goes into the bin.
type Keeping struct {
	From     Ref
	GUID     string   // what identifies it where its base name does not, else ""
	Keywords []string // those it has that have no letter
}

// Keep moves messages from a folder into the bin, into the directory of the date
// (2026-11-28): each is in the folder or in the bin at any time, and both
// directories are synced when it returns. missing are those that were gone, or
// have another name. done counts, in order, those that were moved or missing.
// Errors wrap ErrNotKept when the rest cannot be kept, and what was done is on
// disk; after others it may not be.
func (b *Bin) Keep(f *Folder, date string, ks []Keeping) (done int, missing []Ref, err error) {
	if len(ks) == 0 {
		return 0, nil, nil
	}
	to, err := b.collect(f, date, ks)
	if err != nil {
		return 0, nil, notKept(fmt.Errorf("keeping what was expunged from %q: %w", f.name, err))
	}
	defer to.Close()
	done, missing, err = to.take(f, ks)
	if err != nil {
		err = fmt.Errorf("keeping what was expunged from %q: %w", f.name, err)
	}
	return done, missing, err
}

// notKept marks the errors after which nothing is to be hoped for from trying
// again, and much from the room that a removal makes. A broken disk is not
// among them: what was not moved can wait for a better one.
func notKept(err error) error {
	for _, errno := range []unix.Errno{unix.ENOSPC, unix.EDQUOT, unix.EXDEV, unix.ENAMETOOLONG, unix.EMLINK, unix.EACCES, unix.EPERM, unix.ENOTDIR} {
		if errors.Is(err, errno) {
			return fmt.Errorf("%w: %w", ErrNotKept, err)
		}
	}
	return err
}

// collect finds or makes the Maildir for messages of a folder, whose keywords
// mean there what they mean in the folder.
func (b *Bin) collect(f *Folder, date string, ks []Keeping) (*KeptFolder, error) {
	words, err := wordsOf(f, ks)
	if err != nil {
		return nil, err
	}
	day, err := b.last(date)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		k, err := b.makeMaildir(day, binFolder(f.dir))
		if err != nil {
			return nil, err
		}
		ok, err := k.learn(words)
		if ok && err == nil {
			return k, nil
		}
		if err = errors.Join(err, k.Close()); err != nil || try == 2 {
			return nil, cmpError(err, ErrNotKept) // a new one has room for 64 keywords
		}
		day.Part++
	}
}

func cmpError(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// binFolder is what a folder of the tree is called in the bin. No folder but
// the INBOX has that name: see encodeName.
func binFolder(dir string) string {
	if dir == "." {
		return Inbox
	}
	return strings.TrimPrefix(dir, ".")
}

// makeMaildir opens the Maildir of a folder in the bin, making what is missing of
// it, durably.
func (b *Bin) makeMaildir(day BinDay, dir string) (*KeptFolder, error) {
	path := day.path() + "/" + dir
	if b.date != day.Date {
		b.date, b.durable = day.Date, map[string]bool{}
	}
	if b.durable[path] {
		if k, err := b.Folder(day, dir); !errors.Is(err, fs.ErrNotExist) {
			return k, err
		}
	}
	for _, d := range []string{binDir, day.path(), path, path + "/tmp", path + "/new", path + "/cur"} {
		if err := b.mkdir(d); err != nil {
			return nil, err
		}
	}
	for _, d := range []string{path, day.path(), binDir, "."} {
		if err := b.sync(d); err != nil {
			return nil, err
		}
	}
	b.durable[path] = true
	return b.Folder(day, dir)
}

// mkdir makes one directory, unless it is there.
func (b *Bin) mkdir(dir string) error {
	info, err := b.fs.Lstat(dir)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil: // somebody else's file, or a link that could lead anywhere
		return &fs.PathError{Op: "mkdir", Path: dir, Err: unix.ENOTDIR}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := b.step(StepMakeFolder); err != nil {
		return err
	}
	return b.fs.Mkdir(dir, 0o700)
}

// binWords are the keywords that messages on their way into the bin have.
type binWords struct {
	letters Keywords // those of the folder that have letters, if one is used
	extra   []string // those without one
}

func wordsOf(f *Folder, ks []Keeping) (w binWords, err error) {
	used := false
	for _, k := range ks {
		used = used || ParseName(k.From.File).Keywords != 0
		for _, name := range k.Keywords {
			if !slices.Contains(w.extra, name) {
				w.extra = append(w.extra, name)
			}
		}
	}
	if used {
		w.letters, err = f.Keywords()
	}
	return w, err
}

// maxBinExtra is how many keywords without a letter a Maildir in the bin can have.
const maxBinExtra = 64

// learn writes into the Maildir what keywords mean; not ok where one cannot mean that there.
func (k *KeptFolder) learn(w binWords) (ok bool, err error) {
	if _, err := k.folder.fs.Lstat(uidListName); !errors.Is(err, fs.ErrNotExist) {
		return false, err // a folder as it was when it was deleted
	}
	if k.letters, err = k.folder.Keywords(); err != nil {
		return false, err
	}
	file, err := k.folder.FolderFile()
	if err != nil {
		return false, err
	}
	letters := k.letters
	for i, name := range w.letters {
		if name != "" && letters[i] == "" {
			letters[i] = name
		}
		if name != "" && !strings.EqualFold(letters[i], name) {
			return false, nil
		}
	}
	known := len(file.Keywords)
	for _, name := range w.extra {
		if !slices.ContainsFunc(file.Keywords, func(e ExtraKeyword) bool { return e.Name == name }) {
			file.Keywords = append(file.Keywords, ExtraKeyword{Name: name, UIDValidity: 1})
		}
	}
	if len(file.Keywords) > maxBinExtra {
		return false, nil
	}
	if letters != k.letters {
		if err := k.folder.replace(keywordsName, letters.write); err != nil {
			return false, err
		}
	}
	if len(file.Keywords) > known {
		if err := k.folder.SetFolderFile(file); err != nil {
			return false, err
		}
	}
	k.letters, k.extra, k.meant = letters, file.Keywords, w.letters
	return true, nil
}

// take moves messages of f into the Maildir.
func (k *KeptFolder) take(f *Folder, ks []Keeping) (done int, missing []Ref, err error) {
	to, from := k.folder.openDirs(), f.openDirs()
	touched := make(map[string]bool, 2)
	for _, m := range ks {
		if err = k.takeOne(to, from, m); errors.Is(err, fs.ErrNotExist) {
			missing, err = append(missing, m.From), nil
		} else if err == nil {
			touched[m.From.dir()] = true
		}
		if err != nil {
			err = notKept(err)
			break
		}
		done++
	}
	if len(touched) > 0 {
		// There first: a file system that does not do both at once then has it twice, not nowhere.
		syncErr := to.syncUsed(map[string]bool{curDir: true})
		if syncErr == nil {
			syncErr = from.syncUsed(touched)
		}
		if syncErr != nil {
			return done, missing, syncErr // it matters more than what could not be kept
		}
	}
	return done, missing, err
}

func (k *KeptFolder) takeOne(to, from *dirs, m Keeping) error {
	if err := m.From.check(); err != nil {
		return err
	}
	n := binName{Name: ParseName(m.From.File), GUID: m.GUID}
	for i, name := range k.meant {
		if name == "" {
			n.Keywords &^= 1 << i // a letter that means nothing, and here might
		}
	}
	for i := range k.extra {
		if slices.Contains(m.Keywords, k.extra[i].Name) {
			n.Extra |= 1 << i
		}
	}
	file, ok := n.file()
	if !ok {
		if file, ok = n.anew().file(); !ok {
			return &fs.PathError{Op: "rename", Path: m.From.path(), Err: unix.ENAMETOOLONG}
		}
	}
	err := to.moveFrom(from, StepKeep, m.From.dir(), m.From.File, curDir, file)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if from.sameFile(m.From, to, Ref{File: file}) {
		return from.unlink(m.From) // a crash has left it in both places
	}
	if file, ok = n.anew().file(); !ok {
		return err
	}
	return to.moveFrom(from, StepKeep, m.From.dir(), m.From.File, curDir, file)
}

// sameFile reports whether two names are of one file.
func (d *dirs) sameFile(at Ref, other *dirs, there Ref) bool {
	a, errA := d.f.fs.Lstat(at.path())
	b, errB := other.f.fs.Lstat(there.path())
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// KeepFolder takes a folder out of the tree r and puts it into the bin as it is,
// with its messages, durably; one without messages is removed. It is Remove
// otherwise, and errors are as there, or wrap ErrNotKept.
func (b *Bin) KeepFolder(r *Root, name, date string) error {
	dir, canonical, err := r.find(name)
	if err != nil {
		return err
	}
	if canonical == Inbox {
		return badName(canonical, "INBOX is always there")
	}
	empty, err := r.isEmpty(dir)
	if err != nil {
		return fmt.Errorf("keeping the folder %q: %w", canonical, err)
	}
	if empty {
		return r.Remove(name)
	}
	if err := b.keepFolder(r, dir, date); err != nil {
		return notKept(fmt.Errorf("keeping the folder %q: %w", canonical, err))
	}
	return nil
}

func (b *Bin) keepFolder(r *Root, dir, date string) error {
	day, err := b.last(date)
	if err != nil {
		return err
	}
	to := binFolder(dir)
	if _, err := b.fs.Lstat(day.path() + "/" + to); err == nil {
		day.Part++
	}
	for _, d := range []string{binDir, day.path()} {
		if err := b.mkdir(d); err != nil {
			return err
		}
	}
	for _, d := range []string{binDir, "."} {
		if err := b.sync(d); err != nil {
			return err
		}
	}
	if err := b.moveFolder(r, dir, day.path(), to); err != nil {
		return err
	}
	_ = b.trim(day.path() + "/" + to) // what is not needed only takes room
	return nil
}

// moveFolder moves a directory of the tree r into one of the bin, and syncs both.
func (b *Bin) moveFolder(r *Root, dir, toDir, to string) error {
	target, err := b.fs.Open(toDir)
	if err != nil {
		return err
	}
	defer target.Close()
	source, err := r.fs.Open(".")
	if err != nil {
		return err
	}
	defer source.Close()
	if err := b.step(StepKeepFolder); err != nil {
		return err
	}
	if err := renameNoReplace(int(source.Fd()), dir, int(target.Fd()), to); err != nil {
		return &os.LinkError{Op: "rename", Old: dir, New: toDir + "/" + to, Err: err}
	}
	for _, d := range []*os.File{target, source} {
		if err := b.step(StepSyncDir); err != nil {
			return err
		}
		if err := d.Sync(); err != nil {
			return fmt.Errorf("syncing the directory %s: %w", d.Name(), err)
		}
	}
	return nil
}

// trim removes from a folder in the bin what its messages do not need: caches,
// those of other programs too, and unfinished messages.
func (b *Bin) trim(dir string) error {
	var found []string
	err := b.names(dir, func(name string) error {
		if name != curDir && name != newDir && name != uidListName && name != keywordsName && name != folderFileName {
			found = append(found, name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := b.step(StepClearFolder); err != nil {
		return err
	}
	for _, name := range found {
		if err := b.fs.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return b.mkdir(dir + "/tmp")
}

// errFound ends a reading early.
var errFound = errors.New("found")

// isEmpty reports whether the folder in dir has no messages.
func (t tree) isEmpty(dir string) (bool, error) {
	for _, sub := range []string{newDir, curDir} {
		err := t.names(dir+"/"+sub, func(name string) error {
			if name[0] == '.' {
				return nil
			}
			return errFound
		})
		if errors.Is(err, errFound) {
			return false, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	return true, nil
}
