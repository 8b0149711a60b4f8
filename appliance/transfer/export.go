package transfer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"letterbox/store/atomicfile"
	"letterbox/store/maildir"
)

// OpenMail opens a person's mail for reading: the Maildir in a household's data directory, beside the running server or without one.
// person is a name as the household writes it. Close it.
func OpenMail(data, person string) (*maildir.Reader, error) {
	root, err := os.OpenRoot(data)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	mail, err := maildir.OpenReader(root, filepath.Join("mail", person, "Maildir"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no mail of anybody called %q in %s", person, data)
	case errors.Is(err, fs.ErrPermission):
		return nil, errors.New("only the owner of the data and root may do this")
	}
	return mail, err
}

// An Export is what leaves, and where to.
type Export struct {
	Mail   *maildir.Reader
	Person string
	Folder string // "": all; otherwise that one and those below it
	Dir    string // new, or empty, or the unfinished export of the same

	again  bool                                                // a finished one is brought up to date
	seed   func(tree *maildir.Root, folders []string) error    // nil: a new tree begins empty
	unpack func(file *os.File) (unpacked io.Reader, err error) // nil: messages are taken as they are; nil from it: so is this one
}

// An ExportReport says how an export went.
type ExportReport struct {
	Folders []ExportedFolder
	LeftOut int64  // what could not be read, messages and whole folders
	Left    []Left // the first of it
}

// An ExportedFolder says how it went with one folder.
type ExportedFolder struct {
	Name     string
	To       string // what it is called there: a file's name, or a folder's
	Before   bool   // an earlier run, which was stopped, had done it
	Messages int64
	Octets   int64
	Gone     int64 // messages that went away while they were exported
}

// WriteTo writes the report for people, a folder on a line and then what was left out.
func (r *ExportReport) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	for _, f := range r.Folders {
		b.WriteString(plain(f.Name) + ": ")
		if f.To != f.Name {
			b.WriteString("in " + plain(f.To) + ", ")
		}
		if f.Before {
			b.WriteString("done before\n")
			continue
		}
		b.WriteString(Messages(f.Messages) + ", " + Octets(f.Octets))
		if f.Gone > 0 {
			fmt.Fprintf(&b, "; %s went away meanwhile", Messages(f.Gone))
		}
		b.WriteByte('\n')
	}
	writeLeft(&b, r.LeftOut, r.Left)
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// Exported counts the messages that are in the folders of this run, and their octets.
func (r *ExportReport) Exported() (messages, octets int64) {
	for i := range r.Folders {
		messages += r.Folders[i].Messages
		octets += r.Folders[i].Octets
	}
	return messages, octets
}

// An exportRun is an export under way.
type exportRun struct {
	Export
	to       *target
	progress *Progress
	report   ExportReport
}

// begin opens the target and counts what there is to do.
func (e Export) begin(kind string, p *Progress) (*exportRun, []Folder, error) {
	p = orNone(p)
	r := &exportRun{Export: e, progress: p}
	names, err := e.Mail.Folders()
	if err != nil {
		return r, nil, err
	}
	if e.Folder != "" {
		wanted := maildir.Normalize(e.Folder)
		names = slices.DeleteFunc(names, func(n string) bool {
			n = maildir.Normalize(n)
			return n != wanted && !strings.HasPrefix(n, wanted+"/")
		})
		if len(names) == 0 {
			return r, nil, fmt.Errorf("%s has no folder %q", e.Person, e.Folder)
		}
	}
	var folders []Folder
	for _, name := range names {
		f := Folder{Name: name}
		f.Messages, f.Size, f.Fault = measure(e.Mail, name)
		folders = append(folders, f)
	}
	r.to, err = openTarget(e.Dir, kind, e.Person, maildir.Normalize(e.Folder), e.again)
	p.begin(folders)
	return r, folders, err
}

// leave notes that something is left out. What the report has no room for is named at once.
func (r *exportRun) leave(folder, message string, why error) {
	l := Left{folder, message, why.Error()}
	if r.report.LeftOut++; len(r.report.Left) < maxLeft {
		r.report.Left = append(r.report.Left, l)
		return
	}
	r.progress.Say("left out: " + l.String())
}

// each calls do for the messages of a folder in the order of their arrival, with the open file of each. What do returns as *Unreadable
// concerns that message alone.
func (r *exportRun) each(ctx context.Context, f *maildir.FolderReader, told *ExportedFolder, do func(e maildir.Entry, file *os.File, info fs.FileInfo) error) error {
	return f.InOrder(func(e maildir.Entry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		size, err := openAndDo(f, &e, do)
		switch {
		case err == nil:
			told.Messages++
			told.Octets += size
		case errors.Is(err, fs.ErrNotExist):
			told.Gone++
		case isUnreadable(err):
			r.leave(f.Name(), e.File, err)
		default:
			return err
		}
		r.progress.pass(size)
		return nil
	})
}

// openAndDo opens a message, notes in e what it is called by now, and calls do. It returns the size of its file.
func openAndDo(f *maildir.FolderReader, e *maildir.Entry, do func(e maildir.Entry, file *os.File, info fs.FileInfo) error) (int64, error) {
	file, err := openNow(f, e)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	if err != nil {
		return 0, &Unreadable{err}
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, &Unreadable{err}
	}
	return info.Size(), do(*e, file, info)
}

// A target is the directory of an export. What it is and how far it has come stands in the file letterbox-export in it, text that a
// person can read:
//
//	letterbox-export 1
//	mbox of ann
//	unfinished
//	folder "Lists"
//	"Lists/go.mbox" is "Lists/go"
//
// with a line for the folder that was asked for, if one was, and a line for each folder, written before the folder is begun.
type target struct {
	dir          string
	root         *os.Root
	kind, person string
	folder       string // Export.Folder, normalized
	folders      []exportName
	isNew        bool // there was nothing in it
}

// An exportName says what a folder is called in the target.
type exportName struct{ to, folder string }

const (
	exportFile    = "letterbox-export"
	exportHead    = "letterbox-export 1"
	exportOpen    = "unfinished"
	exportDone    = "finished"
	exportFolder  = "folder "
	maxExportFile = 16 << 20
)

// openTarget makes the directory of an export, or finds the one that was begun there.
// again is that of Export.
func openTarget(dir, kind, person, folder string, again bool) (_ *target, err error) {
	if err := os.Mkdir(dir, 0o700); err == nil {
		err = atomicfile.SyncDir(filepath.Dir(filepath.Clean(dir)))
		if err != nil {
			return nil, err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	t := &target{dir: dir, root: root, kind: kind, person: person, folder: folder}
	if err := t.take(again); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return t, nil
}

// take refuses what is not ours to write into, and begins what was not begun.
func (t *target) take(again bool) error {
	begun, err := t.begun(again)
	if err == nil {
		err = t.clearLeftovers()
	}
	if err != nil || begun {
		return err
	}
	return t.save(exportOpen)
}

// begun reads how far an export has come; false: it has to begin. The error says what is not ours to write into.
func (t *target) begun(again bool) (bool, error) {
	begun, err := readExportFile(t.root)
	if errors.Is(err, fs.ErrNotExist) {
		if t.isNew, err = t.empty(); err == nil && !t.isNew && !again {
			err = fmt.Errorf("%s is not empty, and no export was begun there: choose a folder that is new or empty", t.dir)
		}
		return false, err
	}
	if err != nil {
		return false, err
	}
	switch {
	case begun.kind != t.kind || begun.person != t.person:
		return false, fmt.Errorf("%s holds an export of another kind: %s of %s", t.dir, begun.kind, begun.person)
	case begun.folder != t.folder:
		return false, fmt.Errorf("%s holds an export of %s, and not of %s: choose another folder for that", t.dir, exportOf(begun.folder), exportOf(t.folder))
	case begun.state != exportOpen:
		return false, fmt.Errorf("%s holds an export that is finished already", t.dir)
	}
	t.folders = begun.folders
	return true, nil
}

// empty reports whether there is nothing in the target, or nothing but what is left of an export that ended in its first moment.
func (t *target) empty() (bool, error) {
	const few = 16
	names, err := firstNames(t.root, ".", "", few)
	return len(names) < few && !slices.ContainsFunc(names, func(name string) bool { return !isLeftover(name) }), err
}

// isLeftover reports whether a file in the target is one that was to take the place of one of ours when the export ended.
func isLeftover(name string) bool {
	replaced, _, _ := strings.Cut(name, ".tmp-")
	return atomicfile.IsTemp(name) && slices.Contains([]string{exportFile, passwdName, confName, aliasesName, readmeName}, replaced)
}

// clearLeftovers removes them.
func (t *target) clearLeftovers() error {
	return inNameOrder(t.root, ".", namesAtOnce, func(name string) error {
		if !isLeftover(name) {
			return nil
		}
		return t.root.Remove(name)
	})
}

// exportOf says what an export takes.
func exportOf(folder string) string {
	if folder == "" {
		return "all folders"
	}
	return fmt.Sprintf("the folder %q", folder)
}

func (t *target) save(state string) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n%s of %s\n%s\n", exportHead, t.kind, t.person, state)
	if t.folder != "" {
		fmt.Fprintf(&b, "%s%q\n", exportFolder, t.folder)
	}
	for _, f := range t.folders {
		fmt.Fprintf(&b, "%q is %q\n", f.to, f.folder)
	}
	return atomicfile.WriteIn(t.root, exportFile, b.Bytes(), 0o600)
}

// exportState is what a file letterbox-export says.
type exportState struct {
	kind, person, state string
	folder              string // "": all
	folders             []exportName
}

// readExportFile reads it. Errors wrap fs.ErrNotExist where there is none.
func readExportFile(root *os.Root) (s exportState, err error) {
	f, _, err := openFile(root, exportFile)
	if err != nil {
		return s, err
	}
	defer f.Close()
	return parseExportFile(io.LimitReader(f, maxExportFile))
}

var errNoExport = errors.New("the file " + exportFile + " is not what an export has written")

func parseExportFile(in io.Reader) (s exportState, err error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<10)
	for n := 0; lines.Scan(); n++ {
		line := lines.Text()
		ok := true
		switch n {
		case 0:
			ok = line == exportHead
		case 1:
			s.kind, s.person, ok = strings.Cut(line, " of ")
		case 2:
			s.state = line
		default:
			ok = s.parseFolder(line, n)
		}
		if !ok {
			return s, errNoExport
		}
	}
	if err := lines.Err(); err != nil {
		return s, err
	}
	if s.state != exportOpen && s.state != exportDone {
		return s, errNoExport
	}
	return s, nil
}

// parseFolder reads the n-th line, of those behind the state.
func (s *exportState) parseFolder(line string, n int) bool {
	if quoted, only := strings.CutPrefix(line, exportFolder); only {
		folder, err := strconv.Unquote(quoted)
		s.folder = folder
		return err == nil && n == 3
	}
	name, ok := parseExportName(line)
	s.folders = append(s.folders, name)
	return ok
}

func parseExportName(line string) (n exportName, ok bool) {
	quoted, err := strconv.QuotedPrefix(line)
	if err != nil {
		return n, false
	}
	if n.to, err = strconv.Unquote(quoted); err != nil {
		return n, false
	}
	rest, ok := strings.CutPrefix(line[len(quoted):], " is ")
	if n.folder, err = strconv.Unquote(rest); err != nil {
		return n, false
	}
	return n, ok
}

// name is what a folder is called in the target: what it was called by an earlier run, or else the first of proposals that no other
// folder has, and durably so. fold makes names alike that the target cannot tell apart.
func (t *target) name(folder string, fold func(string) string, proposal func(n int) string) (string, error) {
	for _, f := range t.folders {
		if f.folder == folder {
			return f.to, nil
		}
	}
	for n := 1; ; n++ {
		to := proposal(n)
		if !slices.ContainsFunc(t.folders, func(f exportName) bool { return fold(f.to) == fold(to) }) {
			t.folders = append(t.folders, exportName{to, folder})
			return to, t.save(exportOpen)
		}
	}
}

func (t *target) close() error { return t.root.Close() }
