package transfer

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"letterbox/store/maildir"
)

// A DovecotPerson is somebody whom a Dovecot server has mail of, or has in its passwd-file.
type DovecotPerson struct {
	User  string // with or without a domain, as there
	Entry PasswdEntry
	Path  string          // of the mail, "" if there is none
	Mail  *maildir.Reader // nil if there is none, or it has a Fault
	Fault error           // why the mail cannot be taken
	// What there is.
	Messages, Octets int64
	Unnumbered       []string // folders without dovecot-uidlist
	ManyKeywords     []string // folders with as many keywords as there are letters: of any more Dovecot's index alone knows
}

// A Dovecot is what a Dovecot server left, or works on still: the mail of its people.
type Dovecot struct {
	People []DovecotPerson
	Others []string // directories in which nothing was found that looks like mail
	place  place
}

// passwdNames are what the passwd-file is called where nobody says it.
var passwdNames = []string{"users", "passwd", "passwd-file"}

// OpenDovecot looks for mail in a directory: dir/user/Maildir, dir/domain/user/Maildir, the same without Maildir, or one Maildir alone,
// whose owner's name is "" then. passwd is the path of the passwd-file, "" for one in dir that is called as usual, if there is one. It
// reads the directories of all mail. Close it.
func OpenDovecot(ctx context.Context, dir, passwd string) (_ *Dovecot, err error) {
	at, err := openPlace(dir)
	if err != nil {
		return nil, err
	}
	d := &Dovecot{place: at}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	if !at.dir {
		return d, fmt.Errorf("%s is no directory", dir)
	}
	if err := d.look(ctx); err != nil {
		return d, err
	}
	if err := d.readPasswd(passwd); err != nil {
		return d, err
	}
	if len(d.People) == 0 {
		return d, fmt.Errorf("there is no mail in %s as Dovecot keeps it in Maildirs: neither PERSON/Maildir nor DOMAIN/PERSON/Maildir, nor a Maildir itself", dir)
	}
	for i := range d.People {
		if err := d.People[i].measure(ctx); err != nil {
			return d, err
		}
	}
	return d, nil
}

// Close gives the directories back.
func (d *Dovecot) Close() error {
	err := d.place.root.Close()
	for i := range d.People {
		if m := d.People[i].Mail; m != nil {
			err = errors.Join(err, m.Close())
		}
	}
	return err
}

// look finds the people by their directories.
func (d *Dovecot) look(ctx context.Context) error {
	if d.person(".", "") {
		return nil
	}
	return d.each(ctx, ".", func(name string) error {
		if d.person(name, name) {
			return nil
		}
		found := false
		err := d.each(ctx, name, func(user string) error {
			found = d.person(path.Join(name, user), user+"@"+name) || found
			return nil
		})
		if !found {
			d.Others = append(d.Others, name)
		}
		return err
	})
}

// each calls fn for the directories in a directory. One that cannot be read has none.
func (d *Dovecot) each(ctx context.Context, dir string, fn func(name string) error) error {
	err := inNameOrder(d.place.root, dir, namesAtOnce, func(name string) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if e := look(d.place.root, path.Join(dir, name)); name[0] == '.' || e.err != nil || !e.info.IsDir() {
			return nil
		}
		return fn(name)
	})
	var unlisted *listError
	if errors.As(err, &unlisted) && dir != "." {
		return nil
	}
	return err
}

// person adds the owner of the mail in a directory, if there is mail in it.
func (d *Dovecot) person(dir, user string) bool {
	p := DovecotPerson{User: user}
	for _, at := range []string{path.Join(dir, "Maildir"), dir} {
		if isDir(d.place.root, path.Join(at, "cur")) {
			p.Path = at
			p.Mail, p.Fault = openTree(d.place.root, at)
			d.People = append(d.People, p)
			return true
		}
	}
	if p.Fault = otherLayout(d.place.root, dir); p.Fault == nil {
		return false
	}
	p.Path = dir
	d.People = append(d.People, p)
	return true
}

// openTree opens a Maildir, if its folders lie as in Maildir++.
func openTree(root *os.Root, dir string) (*maildir.Reader, error) {
	nested := ""
	err := inNameOrder(root, dir, namesAtOnce, func(name string) error {
		own := name[0] == '.' || name == "cur" || name == "new" || name == "tmp"
		if !own && isDir(root, path.Join(dir, name, "cur")) {
			nested = name
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if nested != "" {
		return nil, fmt.Errorf("its folders lie inside each other (%s/%s), in the layout that Dovecot calls fs; only Maildir++ can be taken, where they lie beside each other under names with a dot in front", dir, nested)
	}
	return maildir.OpenReader(root, dir)
}

// otherLayout says of a directory that it holds mail in another form than Maildir.
func otherLayout(root *os.Root, dir string) error {
	for _, sign := range []struct{ file, name string }{
		{"mdbox/storage", "mdbox"}, {"storage/dovecot.map.index", "mdbox"}, {"storage/m.1", "mdbox"},
		{"sdbox/mailboxes", "sdbox"}, {"dbox/mailboxes", "sdbox"}, {"mailboxes/INBOX/dbox-Mails", "sdbox"},
		{"mail/mailboxes", "sdbox"}, {"mail/storage", "mdbox"},
	} {
		if _, err := root.Stat(path.Join(dir, sign.file)); err == nil {
			return fmt.Errorf("its mail is kept as %s, not as a Maildir; Dovecot can turn it into one: doveadm sync maildir:PATH", sign.name)
		}
	}
	for _, file := range []string{"mbox", "inbox", "INBOX", "mail/inbox", "mail/INBOX"} {
		if isMbox(root, path.Join(dir, file)) {
			return errors.New("its mail is kept as mbox files, not as a Maildir: letterbox import mbox takes those")
		}
	}
	return nil
}

func isDir(root *os.Root, name string) bool {
	info, err := root.Stat(name)
	return err == nil && info.IsDir()
}

func isMbox(root *os.Root, name string) bool {
	f, _, err := openFile(root, name)
	if err != nil {
		return false
	}
	defer f.Close()
	var head [5]byte
	_, err = io.ReadFull(f, head[:])
	return err == nil && string(head[:]) == "From "
}

// readPasswd gives the people what the passwd-file says of them. Those who have no mail yet are added.
func (d *Dovecot) readPasswd(named string) error {
	entries, err := d.openPasswd(named)
	if err != nil {
		return err
	}
	if len(d.People) == 1 && d.People[0].User == "" {
		return nil // whose it is, the caller knows
	}
	for _, e := range entries {
		i := slices.IndexFunc(d.People, func(p DovecotPerson) bool { return SameUser(p.User, e.User) })
		if i < 0 {
			d.People = append(d.People, DovecotPerson{User: e.User, Fault: otherMail(e.Mail)})
			i = len(d.People) - 1
		}
		d.People[i].Entry = e
		if strings.Contains(e.User, "@") {
			d.People[i].User = e.User
		}
	}
	return nil
}

// otherMail says what a mail location of userdb tells against a Maildir++ tree.
func otherMail(location string) error {
	driver, rest, _ := strings.Cut(location, ":")
	switch {
	case location == "":
		return nil
	case driver != "maildir":
		return fmt.Errorf("its mail is kept as %s, not as a Maildir", driver)
	case strings.Contains(strings.ToUpper(rest), "LAYOUT=FS"):
		return errors.New("its folders lie in the layout that Dovecot calls fs, not in Maildir++")
	}
	return nil
}

// SameUser reports whether two names of Dovecot's can mean one person: the same, but for the case of letters, and a domain that only one of
// them has.
func SameUser(a, b string) bool {
	nameA, domainA, atA := strings.Cut(strings.ToLower(a), "@")
	nameB, domainB, atB := strings.Cut(strings.ToLower(b), "@")
	return nameA == nameB && (!atA || !atB || domainA == domainB)
}

func (d *Dovecot) openPasswd(named string) (list []PasswdEntry, err error) {
	var f io.ReadCloser
	if named != "" {
		f, err = os.Open(named)
	} else {
		err = fs.ErrNotExist
		for _, name := range passwdNames {
			if file, _, oerr := openFile(d.place.root, name); oerr == nil {
				f, err = file, nil
				break
			}
		}
	}
	if named == "" && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list, err = ReadPasswdFile(f)
	if err != nil {
		err = fmt.Errorf("reading the passwd-file: %w", err)
	}
	return list, errors.Join(err, f.Close())
}

// measure counts what there is of somebody, and looks whether every folder has its numbers.
func (p *DovecotPerson) measure(ctx context.Context) error {
	if p.Mail == nil {
		return nil
	}
	names, err := p.Mail.Folders()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		messages, octets, err := measure(p.Mail, name)
		if err != nil {
			p.Fault = fmt.Errorf("the folder %s cannot be read: %w", name, err)
			return nil
		}
		p.Messages, p.Octets = p.Messages+messages, p.Octets+octets
		if messages > 0 && !isNumbered(p.Mail, name) {
			p.Unnumbered = append(p.Unnumbered, name)
		}
		if messages > 0 && isFullOfKeywords(p.Mail, name) {
			p.ManyKeywords = append(p.ManyKeywords, name)
		}
	}
	return nil
}

func isNumbered(mail *maildir.Reader, name string) bool {
	f, err := mail.Folder(name)
	if err != nil {
		return false
	}
	defer f.Close()
	list, err := f.ReadUIDList()
	if err != nil {
		return false
	}
	defer list.Close()
	return list.Header().UIDValidity != 0
}

// isFullOfKeywords reports whether every letter stands for a keyword.
func isFullOfKeywords(mail *maildir.Reader, name string) bool {
	f, err := mail.Folder(name)
	if err != nil {
		return false
	}
	defer f.Close()
	k, err := f.Keywords()
	return err == nil && !slices.Contains(k[:], "")
}

// CopyTree writes the whole of a Dovecot person's mail into dir, as ExportMaildir does; a tree that is there already is brought up to date.
// seed, which may be nil, is called with a new tree and the folders that will come. What Dovecot has compressed is unpacked. Nothing may
// be left out: the error names what cannot be taken, and nothing that was copied is lost.
func (p *DovecotPerson) CopyTree(ctx context.Context, dir string, seed func(tree *maildir.Root, folders []string) error, progress *Progress) (messages, octets int64, err error) {
	report, err := ExportMaildir(ctx, Export{Mail: p.Mail, Person: p.User, Dir: dir, again: true, seed: seed, unpack: unpack}, progress)
	messages, octets = report.Exported()
	if err == nil && report.LeftOut > 0 {
		err = fmt.Errorf("%s cannot be taken, the first of them %s", countThings(report.LeftOut), report.Left[0])
	}
	return messages, octets, err
}

func countThings(n int64) string {
	if n == 1 {
		return "one message or folder"
	}
	return count(n) + " messages or folders"
}

// packings are what files can begin with that hold a message in another form, as Dovecot's plugins write them.
var packings = []struct {
	head string
	name string
	open func(io.Reader) (io.Reader, error) // nil: it cannot be undone here
}{
	{"\x1f\x8b", "gz", gunzip},
	{"BZh", "bz2", nil},
	{"\xfd7zXZ\x00", "xz", nil},
	{"\x28\xb5\x2f\xfd", "zstd", nil},
	{"\x04\x22\x4d\x18", "lz4", nil},
	{"Dovecot-LZ4\r", "lz4", nil},
	{"CRYPTED\x03\x07", "mail_crypt", nil},
}

func gunzip(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }

// unpack returns a reader of the message in a file where that is packed, else nil.
func unpack(file *os.File) (io.Reader, error) {
	var head [16]byte
	n, err := file.ReadAt(head[:], 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	for _, p := range packings {
		switch {
		case !bytes.HasPrefix(head[:n], []byte(p.head)):
		case p.open == nil:
			return nil, fmt.Errorf("it is packed or encrypted (%s), which only Dovecot can undo: doveadm sync to a location without that plugin", p.name)
		default:
			return p.open(file)
		}
	}
	return nil, nil
}
