package transfer

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"

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
	if err := r.plant(tree, folders); err != nil {
		return r.report, err
	}
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

// plant fills a new tree with what is known already.
func (r *exportRun) plant(tree *maildir.Root, folders []Folder) error {
	if r.seed == nil || !r.to.isNew {
		return nil
	}
	names := make([]string, len(folders))
	for i, f := range folders {
		names[i] = f.Name
	}
	return r.seed(tree, names)
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
	if err := errors.Join(r.removeGoneFolders(tree), r.subscribe(ctx, tree)); err != nil {
		return err
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

// removeGoneFolders removes folders that an earlier run copied and that went away since, or have another name. Where something could
// not be read, nobody knows which those are.
func (r *exportRun) removeGoneFolders(tree *maildir.Root) error {
	if r.report.LeftOut > 0 {
		return nil
	}
	names, err := tree.Folders()
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == maildir.Inbox || slices.ContainsFunc(r.report.Folders, func(f ExportedFolder) bool { return f.To == name }) {
			continue
		}
		if err := tree.Remove(name); err != nil {
			return err
		}
	}
	return nil
}

// subscribe makes the subscriptions those that there are.
func (r *exportRun) subscribe(ctx context.Context, tree *maildir.Root) error {
	want, err := r.Mail.Subscriptions()
	if err != nil {
		return err
	}
	have, err := tree.Subscriptions()
	if err != nil {
		return err
	}
	for _, name := range have {
		if !slices.ContainsFunc(want, func(w string) bool { return maildir.Normalize(w) == maildir.Normalize(name) }) {
			if err := tree.Subscribe(ctx, name, false); err != nil {
				return err
			}
		}
	}
	for _, name := range want {
		if err := tree.Subscribe(ctx, name, true); err != nil && !errors.Is(err, maildir.ErrBadName) {
			return err
		}
	}
	return nil
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

	renamed []maildir.Entry // messages that an earlier run copied, under other names
	partial bool            // not all messages could be read: what an earlier run copied stays
}

// copied is a message that is written and not yet in its place.
type copied struct {
	temp *maildir.Temp
	at   maildir.Ref
}

func (c *folderCopy) run(ctx context.Context) error {
	c.here, c.there = make(map[uint64]bool), make(map[uint64]bool)
	leftOut := c.report.LeftOut
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
	if err == nil && len(c.renamed) > 0 {
		err = c.rename(ctx)
	}
	if err == nil {
		err = c.place()
	}
	for _, m := range c.batch {
		err = errors.Join(err, m.temp.Discard())
	}
	if err != nil {
		return err
	}
	c.partial = c.report.LeftOut > leftOut
	if err := c.removeGone(); err != nil {
		return err
	}
	return c.lists(ctx)
}

func (c *folderCopy) hash(base string) uint64 { return maphash.String(c.seed, base) }

// message copies a message, unless it is there. Its name may be another one since.
func (c *folderCopy) message(ctx context.Context, e maildir.Entry, file *os.File, info fs.FileInfo) error {
	if !c.there[c.hash(e.Name.Base)] {
		return c.write(ctx, e, file, info)
	}
	if _, err := c.to.Stat(e.Ref()); err == nil {
		c.here[c.hash(e.Name.Base)] = true
		return nil
	}
	if c.renamed = append(c.renamed, e); len(c.renamed) < renamedAtOnce {
		return nil
	}
	return c.rename(ctx)
}

// renamedAtOnce is for how many messages with new names the target is searched together.
const renamedAtOnce = 1024

// write copies a message.
func (c *folderCopy) write(ctx context.Context, e maildir.Entry, file *os.File, info fs.FileInfo) error {
	temp, err := c.to.NewTemp()
	if err != nil {
		return err
	}
	c.batch = append(c.batch, copied{temp, e.Ref()})
	octets, err := c.octets(file)
	if err != nil {
		c.batch = c.batch[:len(c.batch)-1]
		return errors.Join(&Unreadable{err}, temp.Discard())
	}
	reader := &watchedReader{ctx: ctx, r: octets}
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
	c.here[c.hash(e.Name.Base)] = true
	if len(c.batch) < batchMessages {
		return nil
	}
	return c.place()
}

// octets reads a message.
func (c *folderCopy) octets(file *os.File) (io.Reader, error) {
	if c.unpack == nil {
		return file, nil
	}
	unpacked, err := c.unpack(file)
	if unpacked == nil && err == nil {
		return file, nil
	}
	return unpacked, err
}

// rename gives messages that an earlier run copied the names that they have now. Those that are not there, or that are others of the
// same base name, from a restored backup, are copied.
func (c *folderCopy) rename(ctx context.Context) error {
	was := make(map[string]maildir.Ref, len(c.renamed)) // by base name
	for _, e := range c.renamed {
		was[e.Name.Base] = maildir.Ref{}
	}
	err := c.to.Scan(func(o maildir.Entry) error {
		if _, wanted := was[o.Name.Base]; wanted {
			was[o.Name.Base] = o.Ref()
		}
		return nil
	})
	if err != nil {
		return err
	}
	var rs []maildir.Renaming
	for _, e := range c.renamed {
		from := was[e.Name.Base]
		if _, err := c.from.Stat(from); from.File != "" && errors.Is(err, fs.ErrNotExist) {
			rs = append(rs, maildir.Renaming{From: from, To: e.Ref()})
			c.here[c.hash(e.Name.Base)] = true
		} else if err := c.writeAgain(ctx, e); err != nil {
			return err
		}
	}
	c.renamed = c.renamed[:0]
	errs, err := c.to.Rename(rs)
	return errors.Join(err, errors.Join(errs...))
}

// writeAgain copies a message that was passed over. What becomes of it was told.
func (c *folderCopy) writeAgain(ctx context.Context, e maildir.Entry) error {
	_, err := openAndDo(c.from, &e, func(e maildir.Entry, file *os.File, info fs.FileInfo) error { return c.write(ctx, e, file, info) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if isUnreadable(err) {
		c.leave(c.from.Name(), e.File, err)
		return nil
	}
	return err
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
	if len(c.there) == 0 || c.partial {
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
			if (err != nil || c.has(rec.Base)) && !yield(rec, err) {
				return
			}
		}
	}
}

// has reports whether a message is in the target.
func (c *folderCopy) has(base string) bool {
	hash := c.hash(base)
	return c.here[hash] || c.partial && c.there[hash]
}

// keywords copies the meaning of the letters in file names.
func (c *folderCopy) keywords() error {
	k, err := c.from.Keywords()
	if err != nil {
		return &Unreadable{err}
	}
	return c.to.SetKeywords(k)
}
