package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"letterbox/store/atomicfile"
	"letterbox/store/maildir"
)

// A DovecotExport is a household that goes to a Dovecot server, and where to.
type DovecotExport struct {
	Data      string // the data directory
	Dir       string // new, or empty, or the unfinished export of the same
	Household DovecotHousehold

	// Serving reports whether a server works on Data now. What it does while mail is copied is not all in the copy, so that such an
	// export stays unfinished: done again without a server, it brings what is missing.
	Serving func() bool
}

// A DovecotReport says how an export for Dovecot went.
type DovecotReport struct {
	People   []DovecotExported
	Finished bool // nothing was left out, and no server was at work
}

// A DovecotExported is one person's part of it.
type DovecotExported struct {
	Name   string
	NoMail bool // no server has made a mailbox for them yet
	ExportReport
}

// allMail is whose an export for Dovecot is, in its file letterbox-export.
const allMail = "everybody"

// Run writes the mail of everybody in the household, and what a Dovecot 2.3 needs to serve it. Whatever ends it, calling it again goes on
// there. p may be nil.
func (e DovecotExport) Run(ctx context.Context, p *Progress) (report DovecotReport, err error) {
	p = orNone(p)
	if e.Dir, err = filepath.Abs(e.Dir); err != nil {
		return report, err
	}
	messages, octets, err := e.measure()
	if err != nil {
		return report, err
	}
	t, err := openTarget(e.Dir, "dovecot", allMail, "", false)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	if err := errors.Join(e.checkUnused(t.root), e.checkRoom(t.root, octets)); err != nil {
		return report, err
	}
	p.Expect(messages, octets)
	serving := e.Serving()
	files := &dovecotFiles{household: e.Household, dir: e.Dir, uses: make(map[string]string)}
	for _, u := range e.Household.People {
		one, err := e.person(ctx, t, u.Name, files, p)
		report.People = append(report.People, one)
		if err != nil {
			return report, fmt.Errorf("%s: %w", u.Name, err)
		}
	}
	files.partial = e.Serving() || serving
	if err := files.write(t.root); err != nil {
		return report, err
	}
	report.Finished = !files.partial && !slices.ContainsFunc(report.People, func(one DovecotExported) bool { return one.LeftOut > 0 })
	if !report.Finished {
		return report, nil
	}
	return report, t.save(exportDone)
}

// Plan counts what Run would write, and writes nothing. It refuses what Run would refuse.
func (e DovecotExport) Plan() (messages, octets int64, err error) {
	if messages, octets, err = e.measure(); err != nil {
		return 0, 0, err
	}
	root, err := os.OpenRoot(e.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return messages, octets, e.fits(filepath.Dir(filepath.Clean(e.Dir)), octets)
	}
	if err != nil {
		return 0, 0, err
	}
	t := &target{dir: e.Dir, root: root, kind: "dovecot", person: allMail}
	_, err = t.begun(false)
	if err == nil {
		err = errors.Join(e.checkUnused(root), e.checkRoom(root, octets))
	}
	return messages, octets, errors.Join(err, root.Close())
}

// measure counts the mail of everybody.
func (e DovecotExport) measure() (messages, octets int64, err error) {
	for _, u := range e.Household.People {
		mail, err := e.openMail(u.Name)
		if err != nil {
			return 0, 0, err
		}
		if mail == nil {
			continue
		}
		m, o, err := measureTree(mail)
		if err != nil {
			return 0, 0, err
		}
		messages, octets = messages+m, octets+o
	}
	return messages, octets, nil
}

// measureTree counts what is in a tree, as far as it can be read, and closes it.
func measureTree(mail *maildir.Reader) (messages, octets int64, err error) {
	names, err := mail.Folders()
	for _, name := range names {
		m, o, err := measure(mail, name)
		if err == nil {
			messages, octets = messages+m, octets+o
		}
	}
	return messages, octets, errors.Join(err, mail.Close())
}

// openMail opens somebody's mail, nil if they have none yet.
func (e DovecotExport) openMail(person string) (*maildir.Reader, error) {
	if _, err := os.Lstat(filepath.Join(e.Data, "mail", person, "Maildir")); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return OpenMail(e.Data, person)
}

// checkUnused refuses a target that a Dovecot has worked with: to make it what is here would undo what that has done.
func (e DovecotExport) checkUnused(root *os.Root) error {
	for _, u := range e.Household.People {
		used, err := usedByDovecot(root, treeOf(u.Name))
		if err != nil {
			return err
		}
		if used {
			return fmt.Errorf("a Dovecot has worked with the mail of %s in %s already, and nothing is changed there any more: choose another folder", u.Name, e.Dir)
		}
	}
	return nil
}

// treeOf is where somebody's mail lies in the target.
func treeOf(person string) string { return path.Join("mail", person, "Maildir") }

// usedByDovecot looks for the indexes that Dovecot makes wherever it opens a folder, or lists them.
func usedByDovecot(root *os.Root, tree string) (used bool, err error) {
	look := func(dir string, sub func(name string) error) error {
		err := inNameOrder(root, dir, namesAtOnce, func(name string) error {
			used = used || strings.HasPrefix(name, "dovecot.")
			return sub(name)
		})
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	err = look(tree, func(name string) error {
		if name[0] != '.' || !isDir(root, path.Join(tree, name)) {
			return nil
		}
		return look(path.Join(tree, name), func(string) error { return nil })
	})
	return used, err
}

// checkRoom refuses what the disk cannot hold. octets is all that there is to be, of which some is there.
func (e DovecotExport) checkRoom(root *os.Root, octets int64) error {
	for _, u := range e.Household.People {
		mail, err := maildir.OpenReader(root, treeOf(u.Name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		_, there, err := measureTree(mail)
		if err != nil {
			return err
		}
		octets -= there
	}
	return e.fits(e.Dir, octets)
}

// fits refuses what the disk that dir is on cannot hold.
func (e DovecotExport) fits(dir string, octets int64) error {
	free, _, err := maildir.Space(dir)
	if err != nil || octets <= free {
		return err
	}
	return fmt.Errorf("there is not enough room in %s: the mail takes %s, and %s are free", e.Dir, Octets(octets), Octets(free))
}

// person writes one person's mail, and notes in files what Dovecot has to be told of it.
func (e DovecotExport) person(ctx context.Context, t *target, name string, files *dovecotFiles, p *Progress) (one DovecotExported, err error) {
	one.Name = name
	mail, err := e.openMail(name)
	if err != nil {
		return one, err
	}
	dir := filepath.Join(t.dir, "mail", name)
	if err := makeDurable(t.dir, filepath.Dir(dir), dir); err != nil {
		return one, err
	}
	if mail == nil {
		one.NoMail = true
		return one, nil
	}
	defer func() { err = errors.Join(err, mail.Close()) }()
	if err := files.look(name, mail); err != nil {
		return one, err
	}
	one.ExportReport, err = ExportMaildir(ctx, Export{Mail: mail, Person: name, Dir: filepath.Join(dir, "Maildir"), again: true}, p)
	return one, err
}

// makeDurable makes directories, each in the one before it, which is there. Those that are there already are made durable as well: that
// may be where an earlier run was stopped.
func makeDurable(dirs ...string) error {
	for i, dir := range dirs[1:] {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := atomicfile.SyncDir(dirs[i]); err != nil {
			return err
		}
	}
	return nil
}
