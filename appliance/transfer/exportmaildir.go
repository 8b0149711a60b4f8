package transfer

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"iter"
	"os"

	"letterbox/store/atomicfile"
	"letterbox/store/maildir"
)

// ExportMaildir writes a Maildir++ tree, as any program reads it: files under their names, so with their flags, dovecot-keywords,
// dovecot-uidlist, subscriptions, and letterbox-folder where Dovecot's files have no place for something. No cache comes along. Whatever
// ends the export, calling it again goes on with the first message that is missing. p may be nil.
//
// A folder may get another name where the tree is from a program that names folders as none can be named anew.
func ExportMaildir(ctx context.Context, e Export, p *Progress) (report ExportReport, err error) {
	r, folders, err := e.begin("maildir", p)
	if err != nil {
		return r.report, err
	}
	defer r.progress.end()
	defer func() { report, err = r.report, errors.Join(err, r.to.close()) }()
	tree, err := maildir.CreateRoot(e.Dir, maildir.Options{})
	if err != nil {
		return r.report, err
	}
	defer func() { err = errors.Join(err, tree.Close()) }()
	for _, f := range folders {
		if f.Fault == nil {
			f.Fault = r.maildir(ctx, tree, f)
		}
		if isUnreadable(f.Fault) || errors.Is(f.Fault, fs.ErrNotExist) {
			r.leave(f.Name, "", f.Fault)
		} else if f.Fault != nil {
			return r.report, fmt.Errorf("exporting %s: %w", f.Name, f.Fault)
		}
	}
	if err := r.finishTree(ctx, tree); err != nil {
		return r.report, err
	}
	return r.report, r.to.remove()
}

// remove takes away what an export that is finished leaves no trace of.
func (t *target) remove() error {
	if err := t.root.Remove(exportFile); err != nil {
		return err
	}
	return atomicfile.SyncIn(t.root, ".")
}

// finishTree writes what concerns the whole tree.
func (r *exportRun) finishTree(ctx context.Context, tree *maildir.Root) error {
	names, err := r.Mail.Subscriptions()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := tree.Subscribe(ctx, name, true); err != nil && !errors.Is(err, maildir.ErrBadName) {
			return err
		}
	}
	last, err := r.Mail.LastUIDValidity()
	if err != nil || last == 0 {
		return err
	}
	if have, err := maildir.LastUIDValidity(tree.Path()); err != nil || have >= last {
		return err
	}
	return tree.ContinueUIDValidity(last)
}

// maildir exports a folder.
func (r *exportRun) maildir(ctx context.Context, tree *maildir.Root, f Folder) error {
	r.progress.folder(f.Name)
	from, err := r.Mail.Folder(f.Name)
	if err != nil {
		return &Unreadable{err}
	}
	defer from.Close()
	name := f.Name
	if name != maildir.Inbox {
		if name, err = r.to.name(f.Name, maildir.Normalize, func(n int) string { return folderName(f.Name, n) }); err != nil {
			return err
		}
		if _, err := tree.Create(name); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	to, err := tree.Folder(name)
	if err != nil {
		return err
	}
	defer to.Close()
	told := ExportedFolder{Name: f.Name, To: to.Name()}
	c := &folderCopy{exportRun: r, from: from, to: to, told: &told, seed: maphash.MakeSeed()}
	if err := c.run(ctx); err != nil {
		return err
	}
	r.report.Folders = append(r.report.Folders, told)
	return nil
}

// folderName is the n-th proposal for the name of a folder.
func folderName(name string, n int) string {
	if n > 1 {
		name += fmt.Sprint("-", n)
	}
	return maildir.CleanName(name)
}

// A folderCopy copies a folder. It has one user.
type folderCopy struct {
	*exportRun
	from *maildir.FolderReader
	to   *maildir.Folder
	told *ExportedFolder

	seed  maphash.Seed
	there map[uint64]bool // base names of messages that an earlier run copied: whether they are in from still
	here  map[uint64]bool // base names of messages that are copied
	batch []copied
}

// copied is a message that is written and not yet in its place.
type copied struct {
	temp *maildir.Temp
	at   maildir.Ref
}

func (c *folderCopy) run(ctx context.Context) error {
	c.here, c.there = make(map[uint64]bool), make(map[uint64]bool)
	err := c.to.Scan(func(e maildir.Entry) error {
		c.there[c.hash(e.Name.Base)] = true
		return nil
	})
	if err != nil {
		return err
	}
	err = c.each(ctx, c.from, c.told, func(e maildir.Entry, file *os.File, info fs.FileInfo) error {
		return c.message(ctx, e, file, info)
	})
	if err == nil {
		err = c.place()
	}
	for _, m := range c.batch {
		err = errors.Join(err, m.temp.Discard())
	}
	if err != nil {
		return err
	}
	return errors.Join(c.removeGone(), c.lists(ctx))
}

func (c *folderCopy) hash(base string) uint64 { return maphash.String(c.seed, base) }

// message copies a message, unless it is there. Its name may be another one since.
func (c *folderCopy) message(ctx context.Context, e maildir.Entry, file *os.File, info fs.FileInfo) error {
	h := c.hash(e.Name.Base)
	if c.there[h] {
		err := c.rename(e)
		if err == nil {
			c.here[h] = true
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	temp, err := c.to.NewTemp()
	if err != nil {
		return err
	}
	c.batch = append(c.batch, copied{temp, e.Ref()})
	reader := &watchedReader{ctx: ctx, r: file}
	if _, err := temp.ReadFrom(reader); err != nil {
		c.batch = c.batch[:len(c.batch)-1]
		if reader.err != nil && ctx.Err() == nil {
			err = &Unreadable{err}
		}
		return errors.Join(err, temp.Discard())
	}
	if err := temp.SetDate(info.ModTime()); err != nil {
		return err
	}
	c.here[h] = true
	if len(c.batch) < batchMessages {
		return nil
	}
	return c.place()
}

// rename gives a message that an earlier run copied the name that it has now. fs.ErrNotExist: it is not there.
func (c *folderCopy) rename(e maildir.Entry) error {
	if _, err := c.to.Stat(e.Ref()); err == nil {
		return nil
	}
	var was maildir.Ref
	err := c.to.Scan(func(o maildir.Entry) error {
		if o.Name.Base == e.Name.Base {
			was = o.Ref()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := c.from.Stat(was); was.File == "" || err == nil { // that is another message, of a restored backup
		return fs.ErrNotExist
	}
	errs, err := c.to.Rename([]maildir.Renaming{{From: was, To: e.Ref()}})
	if err != nil {
		return err
	}
	return errs[0]
}

// place puts what is written into its place, durably.
func (c *folderCopy) place() error {
	for _, m := range c.batch {
		if err := m.temp.Finish(); err != nil {
			return err
		}
	}
	for _, m := range c.batch {
		if err := m.temp.Place(m.at); err != nil {
			return err
		}
	}
	c.batch = c.batch[:0]
	return errors.Join(c.to.SyncCur(), c.to.SyncNew())
}

// removeGone removes messages that an earlier run copied and that went away since.
func (c *folderCopy) removeGone() error {
	if len(c.there) == 0 {
		return nil
	}
	var gone []maildir.Ref
	err := c.to.Scan(func(e maildir.Entry) error {
		if !c.here[c.hash(e.Name.Base)] {
			gone = append(gone, e.Ref())
		}
		return nil
	})
	if err != nil || len(gone) == 0 {
		return err
	}
	return c.to.Remove(gone)
}

// lists copies what the folder knows of its messages. It comes last: whatever is named in the lists is there.
func (c *folderCopy) lists(ctx context.Context) error {
	if err := c.keywords(); err != nil {
		return err
	}
	file, err := c.from.FolderFile()
	if err != nil {
		return &Unreadable{err}
	}
	if err := c.to.SetFolderFile(file); err != nil {
		return err
	}
	list, err := c.from.ReadUIDList()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &Unreadable{err}
	}
	defer list.Close()
	head := list.Header()
	if head.UIDValidity == 0 {
		return nil // nobody knows what its numbers mean
	}
	lock, err := c.to.LockUIDList(ctx)
	if err != nil {
		return err
	}
	return errors.Join(lock.Rewrite(head, c.lines(list)), lock.Unlock())
}

// lines yields the lines of messages that are here.
func (c *folderCopy) lines(list *maildir.UIDListReader) iter.Seq2[maildir.UIDRecord, error] {
	return func(yield func(maildir.UIDRecord, error) bool) {
		for rec, err := range list.All() {
			if (err != nil || c.here[c.hash(rec.Base)]) && !yield(rec, err) {
				return
			}
		}
	}
}

// keywords copies the meaning of the letters in file names.
func (c *folderCopy) keywords() error {
	k, err := c.from.Keywords()
	if err != nil {
		return &Unreadable{err}
	}
	return c.to.SetKeywords(k)
}
