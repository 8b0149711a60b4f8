package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// Mbox is a Source of mbox files, each of them a folder.
//
// A file is called as its folder, with or without ".mbox" or ".mbx". In a directory every mbox file is a folder, and the directories
// above it are levels of its name: "Lists.sbd/go.dev" is Lists/go.dev, as Thunderbird keeps it, and "Lists.mbox/mbox" is Lists, as
// Apple Mail does. What such programs keep beside is passed over, and named where
// a folder can be called so.
type Mbox struct {
	places []place
	folder string // "": as the files are called
	buf    []byte
}

// OpenMbox opens files and directories. Where folder is not "", a file becomes that folder, and what is in a directory lies below it.
// Close it.
func OpenMbox(paths []string, folder string) (*Mbox, error) {
	places, err := openPlaces(paths)
	if err != nil {
		return nil, err
	}
	return &Mbox{places: places, folder: folder, buf: make([]byte, 32<<10)}, nil
}

// Close gives the files back.
func (s *Mbox) Close() error { return closePlaces(s.places) }

// mboxFile is the Key of a Folder.
type mboxFile struct {
	root *os.Root
	name string
}

// mboxMessage is the Key of a Message.
type mboxMessage struct {
	at, length int64
	id         ID // of its octets
}

// Folders lists the files.
func (s *Mbox) Folders(ctx context.Context) ([]Folder, error) {
	var list []Folder
	for _, p := range s.places {
		if !p.dir {
			list = append(list, mboxFolder(entryOf(p), p.root, orElse(s.folder, mboxLevel(p.base))))
			continue
		}
		exported, err := exportedNames(p.root)
		if err != nil {
			return nil, err
		}
		err = walk(ctx, p.root, p.name, func(e entry) error {
			if e.err == nil && e.info.IsDir() || besideMbox(path.Base(e.path)) {
				return nil
			}
			if noMboxExt(e.path) {
				list = append(list, Folder{Name: e.path, Fault: &passedOver{"files that are called so are seldom mail; to bring it in, name the file itself"}})
				return nil
			}
			list = append(list, mboxFolder(e, p.root, below(s.folder, orElse(exported[e.path], mboxName(e.path)))))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// exportedNames are the folders that files in a directory stand for which ExportMbox has written.
func exportedNames(root *os.Root) (map[string]string, error) {
	s, err := readExportFile(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names := make(map[string]string, len(s.folders))
	for _, f := range s.folders {
		names[f.to] = f.folder
	}
	return names, nil
}

func entryOf(p place) entry { return look(p.root, p.name) }

func orElse(name, otherwise string) string {
	if name != "" {
		return name
	}
	return otherwise
}

// below is the name of a folder below another one, which may be "".
func below(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "/" + name
}

// mboxFolder is the folder of a file.
func mboxFolder(e entry, root *os.Root, name string) Folder {
	f := Folder{Name: name, Messages: Unknown, Size: Unknown, Fault: e.err, Key: mboxFile{root, e.path}}
	if f.Fault != nil {
		f.Size = 0
		return f
	}
	f.Size = e.info.Size()
	f.Fault = checkMbox(root, e.path)
	return f
}

// checkMbox says why a file is no mbox file.
func checkMbox(root *os.Root, name string) error {
	f, info, err := openFile(root, name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := newMboxReader(f, info.Size()).Next(); err != nil && err != io.EOF {
		return err
	}
	return nil
}

// mboxName is the folder of a file in a directory.
func mboxName(file string) string {
	levels := strings.Split(file, "/")
	last := len(levels) - 1
	if last > 0 && levels[last] == "mbox" && strings.HasSuffix(levels[last-1], ".mbox") {
		levels = levels[:last]
	}
	for i := range levels {
		levels[i] = mboxLevel(levels[i])
	}
	return strings.Join(levels, "/")
}

// mboxLevel is the level of a folder's name that a file or directory stands for.
func mboxLevel(name string) string {
	for _, suffix := range []string{".sbd", ".mbox", ".mbx"} {
		if cut, ok := strings.CutSuffix(name, suffix); ok && cut != "" {
			return cut
		}
	}
	return name
}

// besideMbox reports whether a file is one that mail programs keep beside their mbox files.
func besideMbox(name string) bool {
	return path.Ext(name) == ".msf" || strings.HasPrefix(name, ".") || name == exportFile || strings.Contains(name, unfinishedInfix)
}

// noMboxExt reports whether a file is called as those beside mbox files are that can also be a folder's.
func noMboxExt(name string) bool {
	switch path.Ext(name) {
	case ".dat", ".html", ".plist", ".json":
		return true
	}
	return false
}

// Messages reads the file once.
func (s *Mbox) Messages(ctx context.Context, f Folder, found func(Message) error) error {
	at := f.Key.(mboxFile)
	file, info, err := openFile(at.root, at.name)
	if err != nil {
		return &Unreadable{err}
	}
	defer file.Close()
	return s.messages(ctx, newMboxReader(file, info.Size()), info.ModTime().Truncate(time.Second), found)
}

// messages reads r once. Messages that tell no date get that of the file.
func (s *Mbox) messages(ctx context.Context, r *mboxReader, date time.Time, found func(Message) error) error {
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		id, size, err := contentID(ctx, r, s.buf)
		if err != nil {
			return err
		}
		offset, length := r.Span()
		came, dated := parseFromLine(r.from)
		if !dated {
			came = cmp.Or(dateOf(r.Header()), date)
		}
		m := Message{Name: fmt.Sprintf("message %d, which begins at octet %d", n, offset), ID: id, Date: came, Size: size, Share: length,
			Key: mboxMessage{offset, length, id}}
		var thrownAway bool
		if m.Flags, thrownAway = r.meta.flags(); thrownAway {
			m.Fault = errThrownAway
		}
		if n == 1 && r.meta.pseudo() {
			continue
		}
		if err := found(m); err != nil {
			return err
		}
	}
}

// Fetch reads messages again, by their place in the file.
func (s *Mbox) Fetch(ctx context.Context, f Folder, msgs []Message, take func(i int, octets io.Reader) error) error {
	at := f.Key.(mboxFile)
	file, _, err := openFile(at.root, at.name)
	if err != nil {
		return &Unreadable{err}
	}
	defer file.Close()
	for i, m := range msgs {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := take(i, readAgain(file, m.Key.(mboxMessage))); err != nil {
			return err
		}
	}
	return nil
}

// readAgain reads a message by its place in a file.
func readAgain(file io.ReaderAt, m mboxMessage) io.Reader {
	r := newMboxReader(io.NewSectionReader(file, m.at, m.length), m.length)
	err := r.Next()
	if errors.Is(err, errNoMbox) || err == io.EOF {
		err = &Unreadable{errChanged}
	}
	if err != nil {
		return failing{err}
	}
	return verified(r, m.id)
}

// failing is a reader that cannot read.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
