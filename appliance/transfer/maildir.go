package transfer

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"time"

	"letterbox/store/maildir"
)

// Maildir is a Source of Maildirs: trees of Maildir++, whose folders lie in ".Lists.go", and directories in which Maildirs lie, each of
// them a folder, and deeper ones its children.
type Maildir struct {
	places []place
	folder string // "": INBOX
	buf    []byte
	trees  []*maildir.Reader
}

// OpenMaildir opens directories. The first folder of each becomes the folder called so, INBOX where that is "", and the others lie below it,
// or beside INBOX. Close it.
func OpenMaildir(paths []string, folder string) (*Maildir, error) {
	places, err := openPlaces(paths)
	if err != nil {
		return nil, err
	}
	for i := range places {
		if !places[i].dir {
			return nil, errors.Join(fmt.Errorf("%s is no directory, so no Maildir", paths[i]), closePlaces(places))
		}
	}
	return &Maildir{places: places, folder: folder, buf: make([]byte, 32<<10)}, nil
}

// Close gives the directories back.
func (s *Maildir) Close() error {
	err := closePlaces(s.places)
	for _, t := range s.trees {
		err = errors.Join(err, t.Close())
	}
	return err
}

// maildirFolder is the Key of a Folder.
type maildirFolder struct {
	tree *maildir.Reader
	name string
}

// maildirMessage is the Key of a Message.
type maildirMessage struct {
	entry maildir.Entry
	id    ID // of its octets
}

// Folders lists the folders and counts what is in them.
func (s *Maildir) Folders(ctx context.Context) ([]Folder, error) {
	var list []Folder
	for i, p := range s.places {
		before := len(list)
		add := func(f Folder) { list = append(list, f) }
		if err := s.look(ctx, p.root, ".", "", maxDepth, add); err != nil {
			return nil, err
		}
		if len(list) == before {
			return nil, fmt.Errorf("there is no Maildir in %s: none has a directory cur", s.places[i].root.Name())
		}
	}
	return list, nil
}

// look adds the folders in a directory, which has the name as a folder; the top one's is "".
func (s *Maildir) look(ctx context.Context, root *os.Root, dir, name string, depth int, add func(Folder)) error {
	tree, err := maildir.OpenReader(root, dir)
	if err == nil {
		s.trees = append(s.trees, tree)
		err = s.addTree(ctx, tree, name, add)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return err
	}
	err = inNameOrder(root, dir, namesAtOnce, func(entry string) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := look(root, path.Join(dir, entry))
		level := maildir.DecodeLevel(entry)
		switch {
		case errors.Is(e.err, errLink):
			if _, err := root.Stat(e.path); err != nil { // it leads out
				add(Folder{Name: s.called(below(name, entry)), Fault: errLink})
			}
		case e.err != nil, !e.info.IsDir(), entry[0] == '.', level == "":
		case tree != nil && slices.Contains([]string{"cur", "new", "tmp"}, entry):
		case depth == 0:
			add(Folder{Name: s.called(below(name, level)), Fault: errTooDeep})
		default:
			return s.look(ctx, root, e.path, below(name, level), depth-1, add)
		}
		return nil
	})
	var unlisted *listError
	if errors.As(err, &unlisted) {
		add(Folder{Name: s.called(name), Fault: unlisted.err})
		return nil
	}
	return err
}

// called is what a folder is called, whose name in the place is given.
func (s *Maildir) called(name string) string {
	if name == "" {
		return orElse(s.folder, maildir.Inbox)
	}
	return below(s.folder, name)
}

// addTree adds the folders of a Maildir, the first of which has the name.
func (s *Maildir) addTree(ctx context.Context, tree *maildir.Reader, name string, add func(Folder)) error {
	folders, err := tree.Folders()
	if err != nil {
		return err
	}
	for _, f := range folders {
		if err := ctx.Err(); err != nil {
			return err
		}
		one := Folder{Name: s.called(name), Key: maildirFolder{tree, f}}
		if f != maildir.Inbox {
			one.Name = s.called(below(name, f))
		}
		one.Messages, one.Size, one.Fault = measure(tree, f)
		add(one)
	}
	return nil
}

// measure counts the messages of a folder and their octets.
func measure(tree *maildir.Reader, name string) (messages, size int64, err error) {
	f, err := tree.Folder(name)
	if err != nil {
		return 0, 0, err
	}
	err = f.Scan(func(e maildir.Entry) error {
		messages++
		size += sizeOf(f, e)
		return nil
	})
	return messages, size, errors.Join(err, f.Close())
}

// sizeOf is the size of a message's file, 0 if it is gone.
func sizeOf(f *maildir.FolderReader, e maildir.Entry) int64 {
	if s := e.Name.Sizes().Physical; s >= 0 {
		return s
	}
	info, err := f.Stat(e.Ref())
	if err != nil {
		return 0
	}
	return info.Size()
}

// Messages reads every file of the folder once.
func (s *Maildir) Messages(ctx context.Context, folder Folder, found func(Message) error) error {
	key := folder.Key.(maildirFolder)
	f, err := key.tree.Folder(key.name)
	if err != nil {
		return &Unreadable{err}
	}
	defer f.Close()
	flags, err := newMaildirFlags(f)
	if err != nil {
		return &Unreadable{err}
	}
	marks := newMaildirMarks(f)
	var stop error // found's
	err = f.InOrder(func(e maildir.Entry) error {
		m, err := s.message(ctx, f, e)
		if ctx.Err() != nil {
			stop = ctx.Err()
			return stop
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // somebody took it away
		}
		if err != nil {
			m.Fault = fmt.Errorf("reading it: %w", err)
		} else if m.Flags, err = flags.of(f, e.Name); err != nil {
			return err
		} else {
			m.Kept = marks.of(e.Name.Base).kept(m.Size)
		}
		stop = found(m)
		return stop
	})
	if err != nil && stop == nil {
		return &Unreadable{err}
	}
	return err
}

// message reads a file.
func (s *Maildir) message(ctx context.Context, f *maildir.FolderReader, e maildir.Entry) (Message, error) {
	m := Message{Name: e.File, Share: sizeOf(f, e)}
	file, err := openNow(f, &e)
	if err != nil {
		return m, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return m, err
	}
	m.Date = info.ModTime().Truncate(time.Second)
	m.ID, m.Size, err = contentID(ctx, file, s.buf)
	m.Key = maildirMessage{e, m.ID}
	return m, err
}

// openNow opens a message, also when somebody has renamed it, and notes in e what it is called by now.
func openNow(f *maildir.FolderReader, e *maildir.Entry) (*os.File, error) {
	file, err := f.Open(e.Ref())
	for range 3 {
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
		found, ferr := f.Find(e.Name.Base)
		if ferr != nil {
			return nil, ferr
		}
		*e = found
		file, err = f.Open(e.Ref())
	}
	return file, err
}

// Fetch reads files again.
func (s *Maildir) Fetch(ctx context.Context, folder Folder, msgs []Message, take func(i int, octets io.Reader) error) error {
	key := folder.Key.(maildirFolder)
	f, err := key.tree.Folder(key.name)
	if err != nil {
		return &Unreadable{err}
	}
	defer f.Close()
	return fetchFiles(ctx, msgs, take, func(m Message) (io.ReadCloser, ID, error) {
		key := m.Key.(maildirMessage)
		file, err := openNow(f, &key.entry)
		return file, key.id, err
	})
}

// maildirFlags knows the flags of a folder's messages by their IMAP names. Keywords may be added to the folder meanwhile.
type maildirFlags struct {
	letters maildir.Keywords
	extra   map[string][]string
}

func newMaildirFlags(f *maildir.FolderReader) (*maildirFlags, error) {
	letters, err := f.Keywords()
	if err != nil {
		return nil, err
	}
	extra, err := f.ExtraKeywords()
	if err != nil {
		return nil, err
	}
	return &maildirFlags{letters, extra}, nil
}

// maildirLetters are the names of the flags that have a letter of their own, by their bits.
var maildirLetters = []string{`\Seen`, `\Answered`, `\Flagged`, `\Deleted`, `\Draft`, "$Forwarded"}

// of are the flags of a message. A letter without a keyword means nothing.
func (k *maildirFlags) of(f *maildir.FolderReader, n maildir.Name) (flags []string, err error) {
	for bit, name := range maildirLetters {
		if n.Flags&(1<<bit) != 0 {
			flags = append(flags, name)
		}
	}
	for i := range k.letters {
		if n.Keywords&(1<<i) == 0 {
			continue
		}
		if k.letters[i] == "" { // a new one
			if k.letters, err = f.Keywords(); err != nil {
				return nil, err
			}
		}
		if k.letters[i] != "" && !slices.Contains(flags, k.letters[i]) { // $Forwarded may be told twice
			flags = append(flags, k.letters[i])
		}
	}
	return append(flags, k.extra[n.Base]...), nil
}

// maildirMarks knows the EMAILIDs of a folder's messages, as a letterbox has them: a message is called by its base name, unless
// dovecot-uidlist names another GUID for it. It holds some 50 octets for each such message.
type maildirMarks struct {
	seed  maphash.Seed
	named map[uint64]emailMark // by the hash of the base name
}

// newMaildirMarks reads the list, as far as it can be read.
func newMaildirMarks(f *maildir.FolderReader) *maildirMarks {
	k := &maildirMarks{maphash.MakeSeed(), make(map[uint64]emailMark)}
	list, err := f.ReadUIDList()
	if err != nil {
		return k
	}
	defer list.Close()
	for rec, err := range list.All() {
		if err == nil && rec.GUID != "" {
			k.named[maphash.String(k.seed, rec.Base)] = markOf(maildir.EmailID(rec.GUID))
		}
	}
	return k
}

// of is the mark of the message with this base name.
func (k *maildirMarks) of(base string) emailMark {
	if mark, ok := k.named[maphash.String(k.seed, base)]; ok {
		return mark
	}
	return markOf(maildir.EmailID(base))
}
