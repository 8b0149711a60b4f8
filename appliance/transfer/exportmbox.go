package transfer

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"letterbox/store/atomicfile"
	"letterbox/store/maildir"
)

// ExportMbox writes each folder into an mbox file: Lists/go into Lists/go.mbox. A file is there whole or not at all. Whatever ends the
// export, calling it again goes on with the first file that is missing. p may be nil.
//
// Lines end in LF, a message always ends with one, and "From " at the beginning of a line is quoted (mboxrd). Flags and keywords stand in
// Status, X-Status and X-Keywords at the end of each header; fields of these names and of those that other programs use so (see
// mboxMeta.field) that came with a message are left out, and so is Content-Length. The date is the INTERNALDATE in UTC. What an mbox file cannot hold: a CR before a
// line end, a message that does not end with a line end, and UIDs.
func ExportMbox(ctx context.Context, e Export, p *Progress) (report ExportReport, err error) {
	r, folders, err := e.begin("mbox", p)
	if err != nil {
		return r.report, err
	}
	defer r.progress.end()
	defer func() { report, err = r.report, errors.Join(err, r.to.close()) }()
	for _, f := range folders {
		if f.Fault == nil {
			f.Fault = r.mbox(ctx, f)
		}
		if isUnreadable(f.Fault) || errors.Is(f.Fault, fs.ErrNotExist) {
			r.leave(f.Name, "", f.Fault)
		} else if f.Fault != nil {
			return r.report, fmt.Errorf("exporting %s: %w", f.Name, f.Fault)
		}
	}
	return r.report, r.to.save(exportDone)
}

// mbox writes the file of a folder, unless it is there.
func (r *exportRun) mbox(ctx context.Context, f Folder) error {
	name, err := r.to.name(f.Name, strings.ToLower, func(n int) string { return mboxFileName(f.Name, n) })
	if err != nil {
		return err
	}
	told := ExportedFolder{Name: f.Name, To: name}
	if _, err := r.to.root.Lstat(name); err == nil {
		told.Before = true
		r.report.Folders = append(r.report.Folders, told)
		r.progress.skip(f.Size, f.Messages)
		return nil
	}
	r.progress.folder(f.Name)
	folder, err := r.Mail.Folder(f.Name)
	if err != nil {
		return &Unreadable{err}
	}
	defer folder.Close()
	flags, err := newMaildirFlags(folder)
	if err != nil {
		return &Unreadable{err}
	}
	dir, err := makeDirs(r.to.root, path.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	err = writeWhole(dir, path.Base(name), func(w *mboxWriter) error {
		return r.each(ctx, folder, &told, func(e maildir.Entry, file *os.File, info fs.FileInfo) error {
			names, err := flags.of(folder, e.Name)
			if err != nil {
				return err
			}
			return w.message(file, info.ModTime(), names)
		})
	})
	if err != nil {
		return err
	}
	r.report.Folders = append(r.report.Folders, told)
	return nil
}

// maxFileLevel is how long a level of a file's name can be.
const maxFileLevel = 200

// mboxFileName is the file of a folder, its n-th proposal, of letters that every file system can have.
func mboxFileName(folder string, n int) string {
	levels := strings.Split(folder, "/")
	for i, level := range levels {
		level = strings.Map(func(r rune) rune {
			if r < ' ' || strings.ContainsRune("<>:\"\\|?*\x7f", r) {
				return '_'
			}
			return r
		}, level)
		if len(level) > maxFileLevel {
			level = strings.ToValidUTF8(level[:maxFileLevel], "")
		}
		if level[0] == '.' {
			level = "_" + level[1:]
		}
		if end := len(level) - 1; level[end] == '.' || level[end] == ' ' {
			level = level[:end] + "_"
		}
		if fold := strings.ToLower(level); fold == exportFile || i < len(levels)-1 && strings.HasSuffix(fold, ".mbox") {
			level += "_" // no directory is in the way of a file
		}
		levels[i] = level
	}
	name := strings.Join(levels, "/")
	if n > 1 {
		name += fmt.Sprint("-", n)
	}
	return name + ".mbox"
}

// makeDirs opens a directory below root, making what is missing of it, durably.
func makeDirs(root *os.Root, dir string) (*os.Root, error) {
	at := "."
	for _, level := range strings.Split(dir, "/") {
		up := at
		at = path.Join(at, level)
		err := root.Mkdir(at, 0o700)
		if err == nil {
			err = atomicfile.SyncIn(root, up)
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	return root.OpenRoot(at)
}

// writeWhole writes a file of messages, durably: it is there whole or not at all, and nothing is written over. What a run that was killed
// has left of it goes.
func writeWhole(dir *os.Root, name string, fill func(*mboxWriter) error) (err error) {
	if err := clearUnfinished(dir, name); err != nil {
		return err
	}
	temp := name + unfinishedInfix + rand.Text()
	f, err := dir.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	w := &mboxWriter{file: f, out: bufio.NewWriterSize(f, mboxBuffer), lf: lfStream{buf: make([]byte, mboxBuffer)}, in: bufio.NewReaderSize(nil, mboxBuffer)}
	if err = fill(w); err == nil {
		err = w.out.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, dir.Remove(temp))
	}
	if err := dir.Rename(temp, name); err != nil {
		return err
	}
	return atomicfile.SyncIn(dir, ".")
}

// unfinishedInfix stands in the names of files that are not whole.
const unfinishedInfix = ".unfinished-"

func clearUnfinished(dir *os.Root, name string) error {
	entries, err := fs.ReadDir(dir.FS(), ".")
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), name+unfinishedInfix) {
			err = errors.Join(err, dir.Remove(e.Name()))
		}
	}
	return err
}

// An mboxWriter writes messages into an mbox file. It has one user at a time.
type mboxWriter struct {
	file *os.File
	out  *bufio.Writer
	lf   lfStream
	in   *bufio.Reader // of lf
	size int64         // of the messages that are whole
	n    int64         // written since
}

// message writes a message. Where it cannot be read to its end, nothing of it stays and the error is *Unreadable.
func (w *mboxWriter) message(octets io.Reader, date time.Time, flags []string) error {
	w.n = 0
	err := w.copy(octets, date, flags)
	if isUnreadable(err) {
		if terr := w.takeBack(); terr != nil {
			return terr
		}
	}
	w.size += w.n
	return err
}

// takeBack cuts off what was written of a message.
func (w *mboxWriter) takeBack() error {
	w.n = 0
	if err := w.out.Flush(); err != nil {
		return err
	}
	if err := w.file.Truncate(w.size); err != nil {
		return err
	}
	_, err := w.file.Seek(w.size, io.SeekStart)
	return err
}

func (w *mboxWriter) write(b []byte) error {
	n, err := w.out.Write(b)
	w.n += int64(n)
	return err
}

// copy writes a message line by line, or long lines in pieces.
func (w *mboxWriter) copy(octets io.Reader, date time.Time, flags []string) error {
	if err := w.write([]byte("From MAILER-DAEMON " + fromDate(date) + "\n")); err != nil {
		return err
	}
	w.lf.reset(octets)
	w.in.Reset(&w.lf)
	var meta mboxMeta
	inHeader, begins, drop := true, true, false
	for {
		line, err := w.in.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return &Unreadable{err}
		}
		if len(line) == 0 {
			break
		}
		if inHeader && begins {
			switch {
			case isBlank(line):
				inHeader, drop = false, false
				if err := w.flags(flags); err != nil {
					return err
				}
			case line[0] != ' ' && line[0] != '\t':
				var kept *[]byte
				kept, drop = meta.fieldOf(line)
				drop = drop || kept == &meta.contentLength // lines that were CRLF and are quoted are not as long
			}
		}
		if !drop {
			if err := w.line(line, begins); err != nil {
				return err
			}
		}
		begins = line[len(line)-1] == '\n'
	}
	if !begins && !drop { // RFC 4155: a message ends with a line end
		if err := w.write([]byte("\n")); err != nil {
			return err
		}
	}
	if inHeader {
		if err := w.flags(flags); err != nil {
			return err
		}
	}
	return w.write([]byte("\n"))
}

// fromDate is a date as a From line has it, with a year of four digits: another would not begin a message.
func fromDate(date time.Time) string {
	date = date.UTC()
	if date.Year() < 1900 || date.Year() > 9999 {
		date = time.Unix(0, 0).UTC()
	}
	return date.Format("Mon Jan _2 15:04:05 2006")
}

// line writes a line, or a piece of one, quoted if need be.
func (w *mboxWriter) line(line []byte, begins bool) error {
	if begins && isFrom(bytes.TrimLeft(line, ">")) {
		if err := w.write([]byte(">")); err != nil {
			return err
		}
	}
	return w.write(line)
}

// An lfStream serves LF for CRLF.
type lfStream struct {
	r   io.Reader
	buf []byte
	out []byte // of buf, what is to be served next
	cr  bool   // a CR was read that is not served yet
	err error
}

// reset begins anew with another reader.
func (l *lfStream) reset(r io.Reader) { *l = lfStream{r: r, buf: l.buf} }

func (l *lfStream) Read(b []byte) (int, error) {
	for len(l.out) == 0 {
		if l.err != nil {
			return 0, l.err
		}
		l.fill()
	}
	n := copy(b, l.out)
	l.out = l.out[n:]
	return n, nil
}

func (l *lfStream) fill() {
	room := l.buf[1:] // before it, there is room for the CR that waits
	k, err := l.r.Read(room)
	l.out, l.err = l.buf[:0], err
	for _, c := range room[:k] {
		if l.cr && c != '\n' {
			l.out = append(l.out, '\r')
		}
		if l.cr = c == '\r'; !l.cr {
			l.out = append(l.out, c)
		}
	}
	if l.cr && err == io.EOF {
		l.out, l.cr = append(l.out, '\r'), false
	}
}

// flags writes the fields that tell a message's flags.
func (w *mboxWriter) flags(flags []string) error {
	status, xStatus, keywords := "O", "", ""
	for _, f := range flags {
		if f == `\Seen` {
			status = "RO"
		} else if i := slices.Index(xStatusFlags, f); i >= 0 {
			xStatus += xStatusLetters[i : i+1]
		} else {
			keywords += " " + f
		}
	}
	text := "Status: " + status + "\n"
	if xStatus != "" {
		text += "X-Status: " + xStatus + "\n"
	}
	if keywords != "" {
		text += "X-Keywords:" + keywords + "\n"
	}
	return w.write([]byte(text))
}
