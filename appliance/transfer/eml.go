package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"
)

// EML is a Source of files that are a message each. In a directory those whose names end in ".eml" count, and the directories in it are
// folders.
type EML struct {
	places []place
	folder string // "": as the directories are called
	buf    []byte
}

// OpenEML opens files and directories. Where folder is not "", files and what lies in a directory itself come there, and what lies deeper
// comes below. Otherwise what lies in a directory itself comes into a folder of its name, and a single file into INBOX. Close it.
func OpenEML(paths []string, folder string) (*EML, error) {
	places, err := openPlaces(paths)
	if err != nil {
		return nil, err
	}
	return &EML{places: places, folder: folder, buf: make([]byte, 32<<10)}, nil
}

// Close gives the files back.
func (s *EML) Close() error { return closePlaces(s.places) }

// emlMessage is the Key of a Message.
type emlMessage struct {
	path string
	id   ID // of its octets
}

// Folders lists the directories and counts what is in them.
func (s *EML) Folders(ctx context.Context) ([]Folder, error) {
	var list []Folder
	for _, p := range s.places {
		if !p.dir {
			e := entryOf(p)
			f := Folder{Name: orElse(s.folder, "INBOX"), Messages: 1, Fault: e.err, Key: p}
			if e.err == nil {
				f.Size = e.info.Size()
			}
			list = append(list, f)
			continue
		}
		folders, err := s.directories(ctx, p)
		if err != nil {
			return nil, err
		}
		list = append(list, folders...)
	}
	return list, nil
}

// directories lists those of a place that hold messages.
func (s *EML) directories(ctx context.Context, p place) ([]Folder, error) {
	top := Folder{Name: orElse(s.folder, p.base), Key: p}
	if top.Name == "/" {
		top.Name = "INBOX"
	}
	list := []Folder{top}
	at := map[string]int{".": 0}
	err := walk(ctx, p.root, ".", func(e entry) error {
		switch {
		case e.err != nil && (!isEML(e.path) || e.info == nil):
			list = append(list, Folder{Name: below(s.folder, e.path), Fault: e.err})
		case e.err == nil && e.info.IsDir():
			at[e.path] = len(list)
			list = append(list, Folder{Name: below(s.folder, e.path), Key: place{root: p.root, name: e.path, dir: true}})
		default:
			f := &list[at[path.Dir(e.path)]]
			if f.Messages++; e.err == nil {
				f.Size += e.info.Size()
			}
		}
		return nil
	})
	if list[0].Messages == 0 {
		list = list[1:]
	}
	return list, err
}

func isEML(name string) bool { return strings.EqualFold(path.Ext(name), ".eml") }

// Messages reads every file of the directory once.
func (s *EML) Messages(ctx context.Context, f Folder, found func(Message) error) error {
	p := f.Key.(place)
	if !p.dir {
		return found(s.message(ctx, p, p.name))
	}
	err := inNameOrder(p.root, p.name, namesAtOnce, func(name string) error {
		file := path.Join(p.name, name)
		e := look(p.root, file)
		switch {
		case errors.Is(e.err, fs.ErrNotExist), e.err == nil && e.info.IsDir():
			return nil
		case e.err != nil && isEML(name):
			return found(Message{Name: file, Fault: e.err})
		case e.err != nil: // Folders has named it
			return nil
		case !isEML(name):
			return found(Message{Name: file, Share: e.info.Size(), Fault: errOther})
		}
		return found(s.message(ctx, p, file))
	})
	var unlisted *listError
	if errors.As(err, &unlisted) {
		return &Unreadable{unlisted.err}
	}
	return err
}

// message reads a file.
func (s *EML) message(ctx context.Context, p place, name string) Message {
	m := Message{Name: name}
	file, info, err := openFile(p.root, name)
	if err != nil {
		m.Fault = err
		return m
	}
	defer file.Close()
	m.Share = info.Size()
	if info.Size() == 0 {
		m.Fault = errors.New("it is empty")
		return m
	}
	if m.Date = dateOf(io.NewSectionReader(file, 0, info.Size())); m.Date.IsZero() {
		m.Date = info.ModTime().Truncate(time.Second)
	}
	if m.ID, m.Size, m.Fault = contentID(ctx, file, s.buf); m.Fault != nil {
		m.Fault = fmt.Errorf("reading it: %w", m.Fault)
	}
	m.Key = emlMessage{name, m.ID}
	return m
}

// Fetch reads files again.
func (s *EML) Fetch(ctx context.Context, f Folder, msgs []Message, take func(i int, octets io.Reader) error) error {
	p := f.Key.(place)
	return fetchFiles(ctx, msgs, take, func(m Message) (io.ReadCloser, ID, error) {
		key := m.Key.(emlMessage)
		file, _, err := openFile(p.root, key.path)
		return file, key.id, err
	})
}

// fetchFiles hands over messages that are files of their own. open also tells the ID of their octets.
func fetchFiles(ctx context.Context, msgs []Message, take func(i int, octets io.Reader) error, open func(Message) (io.ReadCloser, ID, error)) error {
	for i := range msgs {
		if err := ctx.Err(); err != nil {
			return err
		}
		file, id, err := open(msgs[i])
		if err != nil {
			err = take(i, failing{&Unreadable{err}})
		} else {
			err = errors.Join(take(i, verified(&diskReader{file}, id)), file.Close())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// diskReader makes an error of a file that of one message.
type diskReader struct{ r io.Reader }

func (d *diskReader) Read(b []byte) (int, error) {
	n, err := d.r.Read(b)
	if err != nil && err != io.EOF {
		err = &Unreadable{err}
	}
	return n, err
}
