package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// KeptFolder is a Maildir in the bin: what was expunged from one folder on one
// day. Its methods may be called by several goroutines.
type KeptFolder struct {
	Day    BinDay
	Dir    string // its directory in that of the day
	Name   string // the folder's, UTF-8 with "/" between the levels
	folder Folder // without a root

	// Of Keep alone.
	letters Keywords
	meant   Keywords // the letters that the messages bring along
	extra   []ExtraKeyword
}

// Folders lists the directories of a day, by name.
func (b *Bin) Folders(day BinDay) ([]string, error) {
	var dirs []string
	err := b.names(day.path(), func(name string) error {
		if folderOf(name) != "" {
			dirs = append(dirs, name)
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("looking what was expunged on %s: %w", day.Date, err)
	}
	slices.Sort(dirs)
	return dirs, nil
}

// folderOf gives the name of the folder for a directory of the bin, "" if there can be none.
func folderOf(dir string) string {
	if dir == Inbox {
		return Inbox
	}
	if name := decodeName("." + dir); !strings.EqualFold(name, Inbox) {
		return name
	}
	return ""
}

// Folder opens a directory that Folders lists. Errors wrap fs.ErrNotExist when
// it is not there, or not a Maildir. Close it.
func (b *Bin) Folder(day BinDay, dir string) (*KeptFolder, error) {
	name := folderOf(dir)
	if name == "" || strings.Contains(dir, "/") {
		return nil, fmt.Errorf("opening %q of %s: %w", dir, day.Date, fs.ErrNotExist)
	}
	path := day.path() + "/" + dir
	info, err := b.fs.Lstat(path + "/cur")
	if err == nil && !info.IsDir() || errors.Is(err, unix.ENOTDIR) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("opening what was expunged from %q: %w", name, err)
	}
	fsys, err := b.fs.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("opening what was expunged from %q: %w", name, err)
	}
	return &KeptFolder{Day: day, Dir: dir, Name: name, folder: Folder{tree: tree{fs: fsys, hook: b.hook}, name: name, dir: dir}}, nil
}

// Close gives the directories back.
func (k *KeptFolder) Close() error { return k.folder.Close() }

// Each calls fn for every message, in no order. fn may remove or move what it is
// given. An error from fn ends it and is returned as it is.
func (k *KeptFolder) Each(fn func(Entry) error) error {
	for _, dir := range []string{newDir, curDir} {
		err := k.folder.names(dir, func(file string) error {
			if file[0] == '.' {
				return nil
			}
			return fn(Entry{File: file, Name: ParseName(file), InNew: dir == newDir})
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Page returns the next messages after a name in the order of their names, and
// so about in that in which they came: as many as there are, up to limit.
// "" is before all names.
func (k *KeptFolder) Page(after string, limit int) ([]Entry, error) {
	page := make([]Entry, 0, limit)
	err := k.Each(func(e Entry) error {
		if e.File <= after || len(page) == limit && e.File >= page[limit-1].File {
			return nil
		}
		i, _ := slices.BinarySearchFunc(page, e.File, func(e Entry, file string) int { return strings.Compare(e.File, file) })
		if len(page) == limit {
			page = page[:limit-1]
		}
		page = slices.Insert(page, i, e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading what was expunged from %q: %w", k.Name, err)
	}
	return page, nil
}

// Open opens a message for reading.
func (k *KeptFolder) Open(at Ref) (*os.File, error) { return k.folder.Open(at) }

// Stat looks at a message: its size and, as ModTime, its INTERNALDATE.
func (k *KeptFolder) Stat(at Ref) (fs.FileInfo, error) { return k.folder.Stat(at) }

// SpecialUse is the special use that a deleted folder had, "" if none.
func (k *KeptFolder) SpecialUse() (string, error) {
	file, err := k.folder.FolderFile()
	return file.SpecialUse, err
}

// KeptMessage is a message in the bin as it was in its folder.
type KeptMessage struct {
	At       Ref
	Base     string // its base name, for the sizes in it
	GUID     string // what identifies it: its EMAILID is made of that
	Flags    Flags
	Keywords []string
}

// Messages tells what is known of messages that Page has found, in the same order.
func (k *KeptFolder) Messages(entries []Entry) ([]KeptMessage, error) {
	letters, err := k.folder.Keywords()
	if err != nil {
		return nil, err
	}
	file, err := k.folder.FolderFile()
	if err != nil {
		return nil, err
	}
	lines, validity, err := k.lines(entries)
	if err != nil {
		return nil, err
	}
	ms := make([]KeptMessage, len(entries))
	for i, e := range entries {
		n := binName{Name: e.Name}
		if lines == nil {
			n = parseBinName(e.File)
		}
		m := KeptMessage{At: e.Ref(), Base: n.Base, GUID: n.GUID, Flags: n.Flags, Keywords: letters.named(n.Keywords)}
		for line, x := range file.Keywords {
			if lines == nil && line < maxBinExtra && n.Extra&(1<<line) != 0 ||
				lines != nil && x.UIDValidity == validity && x.has(lines[n.Base].UID) && letters.Index(x.Name) < 0 {
				m.Keywords = append(m.Keywords, x.Name)
			}
		}
		if line, ok := lines[n.Base]; ok {
			m.GUID = line.GUID
		}
		if m.GUID == "" {
			m.GUID = n.Base
		}
		ms[i] = m
	}
	return ms, nil
}

// lines finds the lines of messages in the dovecot-uidlist of a deleted folder;
// nil where there is no list.
func (k *KeptFolder) lines(entries []Entry) (lines map[string]UIDRecord, validity uint32, err error) {
	u, err := k.folder.ReadUIDList(Mark{})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer u.Close()
	lines = make(map[string]UIDRecord, len(entries))
	for _, e := range entries {
		lines[e.Name.Base] = UIDRecord{}
	}
	for rec, ok := u.Next(); ok; rec, ok = u.Next() {
		if _, wanted := lines[rec.Base]; wanted {
			lines[rec.Base] = rec
		}
	}
	return lines, u.Header().UIDValidity, u.Err()
}

// named gives the names of letters, those that have one.
func (k *Keywords) named(letters uint32) []string {
	var names []string
	for i, name := range k {
		if letters&(1<<i) != 0 && name != "" {
			names = append(names, name)
		}
	}
	return names
}

// has reports whether the message uid has the keyword.
func (k ExtraKeyword) has(uid uint32) bool {
	_, found := slices.BinarySearchFunc(k.UIDs, uid, func(r UIDRange, uid uint32) int {
		switch {
		case r.Last < uid:
			return -1
		case r.First > uid:
			return 1
		}
		return 0
	})
	return found
}

// MoveTo moves messages out of the bin into cur/ of a folder of the person's: each
// is here or there at any time. moved has one entry for each: false where it is
// not in the bin any more, or err kept it there. durable: those that are moved are
// on disk, whatever the error.
func (k *KeptFolder) MoveTo(f *Folder, ts []Transfer) (moved []bool, durable bool, err error) {
	moved = make([]bool, len(ts))
	to, from := f.openDirs(), k.folder.openDirs()
	touched := make(map[string]bool, 2)
	for i, t := range ts {
		if err = errors.Join(t.From.check(), t.To.check()); err == nil {
			err = to.moveFrom(from, StepMove, t.From.dir(), t.From.File, curDir, t.To.File)
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
			continue
		}
		if err != nil {
			break
		}
		moved[i], touched[t.From.dir()] = true, true
	}
	var syncErr error
	if len(touched) > 0 {
		// There first, as when they were kept.
		if syncErr = to.syncUsed(map[string]bool{curDir: true}); syncErr == nil {
			syncErr = from.syncUsed(touched)
		}
	}
	if err = errors.Join(err, syncErr); err != nil {
		err = fmt.Errorf("moving messages out of the bin into the folder %q: %w", f.name, err)
	}
	return moved, syncErr == nil, err
}

// Remove removes messages for good, durably. Those that are gone are no error.
func (k *KeptFolder) Remove(at []Ref) error { return k.folder.Remove(at) }

// Room is the room on the disk, in octets, that removing a message makes: none
// where a mailbox has the same file.
func (k *KeptFolder) Room(at Ref) int64 {
	info, err := k.folder.Stat(at)
	if err != nil {
		return 0
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return info.Size()
	}
	if st.Nlink > 1 {
		return 0
	}
	return int64(st.Blocks) * 512
}

// Clear removes a Maildir of the bin that has no messages left, and the
// directories above it that have nothing else in them.
func (b *Bin) Clear(k *KeptFolder) error {
	if empty, err := b.isEmpty(k.Day.path() + "/" + k.Dir); err != nil || !empty {
		return err
	}
	if err := b.step(StepClearFolder); err != nil {
		return err
	}
	if err := b.fs.RemoveAll(k.Day.path() + "/" + k.Dir); err != nil {
		return err
	}
	return b.ClearDay(k.Day)
}

// ClearDay removes the directory of a day that has nothing in it, and then the bin
// if that has nothing in it.
func (b *Bin) ClearDay(day BinDay) error {
	if err := b.step(StepClearFolder); err != nil {
		return err
	}
	above := day.path()
	for _, dir := range []string{day.path(), binDir} {
		err := b.fs.Remove(dir)
		if errors.Is(err, fs.ErrExist) { // not empty
			break
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		above = path.Dir(dir)
	}
	return b.sync(above)
}

// Redate gives a day another date, durably: that of a clock that was wrong.
func (b *Bin) Redate(day BinDay, date string) error {
	to, err := b.last(date)
	if err != nil {
		return err
	}
	if _, err := b.fs.Lstat(to.path()); err == nil {
		to.Part++
	}
	err = b.rename(StepPlaceFolder, day.path(), to.path())
	if err == nil {
		err = b.sync(binDir)
	}
	if err != nil {
		return fmt.Errorf("giving what was expunged on %s the date %s: %w", day, to, err)
	}
	return nil
}
