package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"letterbox/store/atomicfile"
	"letterbox/store/maildir"
)

// An Adoption takes a whole tree of another server's over as a person's mail, with
// its UIDs and identities: the tree is filled aside, by whoever can, and moved into
// place in one step. What was begun stays over restarts, and Adopt goes on with it.
// It belongs to one goroutine, and no mail is delivered to the person meanwhile.
type Adoption struct {
	s      *Store
	person string
	live   bool // there is mail of theirs, which this one replaces
	again  bool // it came by an Adoption, and was not changed since
}

const (
	// adoptingPrefix begins the names of trees that are being filled. No person's
	// name begins with it.
	adoptingPrefix = ".adopt-"
	// adoptedFile lies beside a tree that came by an Adoption and says what was in it.
	adoptedFile = "adopted"
	// adoptingFile lies beside a tree that is being filled, until it is in place: what
	// is called like one and lacks it is the mail that another tree took the place of.
	adoptingFile = "adopting"
)

// ErrHasMail says of somebody whose mail is to be adopted that they have mail here.
var ErrHasMail = errors.New("there is mail of theirs here already")

// The steps of an Adoption, as Options.step is told them.
const (
	stepAdopt   = "adoption: place"     // the tree gets its name, in exchange for another one or not
	stepReplace = "adoption: set aside" // what was there before
)

// Adopt begins to take a tree over for a person, or goes on with it. They may have
// mail here only if it came so and nothing was changed in it since: ErrHasMail.
func (s *Store) Adopt(person string) (*Adoption, error) {
	a, err := s.adopt(person)
	if err != nil {
		return nil, err
	}
	if err := s.MayAdopt(person); err != nil {
		return nil, err
	}
	a.again = a.live
	return a, diskError(a.begin())
}

// MayAdopt returns the error with which Adopt would refuse, and does nothing.
func (s *Store) MayAdopt(person string) error {
	if _, err := os.Lstat(s.accountDir(person)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	was, err := os.ReadFile(filepath.Join(s.dir, person, adoptedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrHasMail, person)
	}
	if err != nil {
		return err
	}
	is, err := tellTree(s.accountDir(person))
	if err == nil && !bytes.Equal(was, is) {
		err = fmt.Errorf("%w, and it was used since it was taken over: %s", ErrHasMail, person)
	}
	return err
}

// AdoptOver is Adopt for somebody whose mail here is to be set aside, whatever it
// is: it lies under mail/.removed afterwards.
func (s *Store) AdoptOver(person string) (*Adoption, error) {
	a, err := s.adopt(person)
	if err != nil {
		return nil, err
	}
	return a, diskError(a.begin())
}

func (s *Store) adopt(person string) (*Adoption, error) {
	if err := checkPerson(person); err != nil {
		return nil, err
	}
	a := &Adoption{s: s, person: person}
	_, err := os.Lstat(s.accountDir(person))
	switch {
	case err == nil:
		a.live = true
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	return a, nil
}

// begin makes the directory for the tree, or finds it as it was left.
func (a *Adoption) begin() error {
	marker := filepath.Join(a.aside(), adoptingFile)
	if _, err := os.Lstat(marker); err == nil {
		return nil
	}
	if _, err := os.Lstat(a.aside()); err == nil {
		if _, err := os.Lstat(filepath.Join(a.aside(), "Maildir")); err == nil { // a crash came before setAside
			if err := a.setAside(); err != nil {
				return err
			}
		}
	}
	if err := os.Mkdir(a.aside(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return errors.Join(atomicfile.WriteFile(marker, nil, 0o600), atomicfile.SyncDir(a.s.dir))
}

// IsAdopted reports whether a person's mail came by an Adoption.
func (s *Store) IsAdopted(person string) bool {
	_, err := os.Lstat(filepath.Join(s.dir, person, adoptedFile))
	return err == nil
}

func (a *Adoption) aside() string { return filepath.Join(a.s.dir, adoptingPrefix+a.person) }

// Dir is where the tree belongs, a Maildir++ tree. It is there only if it was begun.
func (a *Adoption) Dir() string { return filepath.Join(a.aside(), "Maildir") }

// Seed puts the messages that were adopted before into the tree, which is new and
// empty, folder by folder, as links: what is the same need not be copied again.
// Only folders named are. It does nothing where there are none.
func (a *Adoption) Seed(tree *maildir.Root, folders []string) (err error) {
	if !a.again {
		return nil
	}
	live, err := maildir.OpenRoot(a.s.accountDir(a.person), a.s.maildirOptions())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, live.Close()) }()
	names, err := live.Folders()
	if err != nil {
		return err
	}
	for _, name := range names {
		if !slices.Contains(folders, name) {
			continue
		}
		if err := seedFolder(tree, live, name); err != nil {
			return fmt.Errorf("taking over what is there of %s: %w", name, err)
		}
	}
	return nil
}

func seedFolder(tree, live *maildir.Root, name string) (err error) {
	if name != inbox {
		if _, err := tree.Create(name); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	from, err := live.Folder(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	to, err := tree.Folder(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	var batch []maildir.Transfer
	link := func() error {
		_, err := to.LinkFrom(from, batch)
		batch = batch[:0]
		return err
	}
	err = from.Scan(func(e maildir.Entry) error {
		if batch = append(batch, maildir.Transfer{From: e.Ref(), To: e.Ref()}); len(batch) < 512 {
			return nil
		}
		return link()
	})
	if err == nil {
		err = link()
	}
	return errors.Join(err, to.SyncCur(), to.SyncNew())
}

// Furnish makes the folders of a new account that the tree lacks. Where it has one
// that is called by one of the usual names, in lower case and the surest first,
// that one gets the special use, and none is made.
func (a *Adoption) Furnish(usual func(standard string) []string) (err error) {
	tree, err := maildir.OpenRoot(a.Dir(), a.s.maildirOptions())
	if err != nil {
		return diskError(err)
	}
	defer func() { err = diskError(errors.Join(err, tree.Close())) }()
	names, err := tree.Folders()
	if err != nil {
		return err
	}
	uses, err := givenUses(tree, names)
	if err != nil {
		return err
	}
	for n, name := range standardFolders {
		if slices.Contains(uses, specialUses[n]) || slices.Contains(names, name) {
			continue
		}
		if err := furnishOne(tree, names, uses, name, specialUses[n], usual(name)); err != nil {
			return fmt.Errorf("making the folder %s of %s: %w", name, a.person, err)
		}
	}
	return nil
}

// givenUses are the special uses that the folders of a tree were given; "" where one has none.
func givenUses(tree *maildir.Root, names []string) ([]string, error) {
	uses := make([]string, len(names))
	for i, name := range names {
		ff, err := tree.FolderFile(name)
		if err != nil {
			return nil, err
		}
		uses[i] = ff.SpecialUse
	}
	return uses, nil
}

// furnishOne gives the use to the first folder without one that has one of the usual
// names, or else makes one.
func furnishOne(tree *maildir.Root, names, uses []string, name, use string, usual []string) error {
	for _, like := range usual {
		for i, have := range names {
			if uses[i] == "" && strings.ToLower(maildir.Normalize(have)) == like {
				uses[i] = use
				return giveUse(tree, have, use)
			}
		}
	}
	if _, err := tree.Create(name); err != nil {
		return err
	}
	return tree.Subscribe(context.Background(), name, true)
}

// Finish moves the tree, which is whole and durable, into place. What was there
// before lies under mail/.removed then, unless it was adopted as well.
func (a *Adoption) Finish(ctx context.Context) error {
	if err := a.carryOver(ctx); err != nil {
		return fmt.Errorf("taking over the mail of %s: %w", a.person, err)
	}
	told, err := tellTree(a.Dir())
	if err == nil {
		err = atomicfile.WriteFile(filepath.Join(a.aside(), adoptedFile), told, 0o600)
	}
	if err == nil {
		err = GiveToOwner(a.aside(), a.s.dir)
	}
	if err == nil {
		err = atomicfile.SyncDir(a.aside())
	}
	if err == nil {
		err = a.place()
	}
	if err != nil {
		return diskError(fmt.Errorf("taking over the mail of %s: %w", a.person, err))
	}
	return nil
}

// carryOver keeps mod-sequences above those that were given out of the tree that
// was adopted before.
func (a *Adoption) carryOver(ctx context.Context) (err error) {
	if !a.again {
		return nil
	}
	live, err := openReader(a.s.accountDir(a.person))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, live.Close()) }()
	tree, err := maildir.OpenRoot(a.Dir(), a.s.maildirOptions())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tree.Close()) }()
	names, err := tree.Folders()
	for _, name := range names {
		h, herr := headOf(live, name)
		if herr == nil && h.ModSeqCeiling > 0 {
			herr = raiseCeiling(ctx, tree, name, h.ModSeqCeiling)
		}
		if herr != nil && !errors.Is(herr, fs.ErrNotExist) {
			err = errors.Join(err, herr)
		}
	}
	return err
}

func raiseCeiling(ctx context.Context, tree *maildir.Root, name string, ceiling uint64) error {
	f, err := tree.Folder(name)
	if err != nil {
		return err
	}
	defer f.Close()
	lock, err := f.LockUIDList(ctx)
	if err != nil {
		return err
	}
	err = lock.SetModSeqCeiling(ceiling)
	if errors.Is(err, maildir.ErrRewrite) {
		err = nil // there is no list: its numbers will all be new
	}
	return errors.Join(err, lock.Unlock())
}

// place gives the tree its name.
func (a *Adoption) place() error {
	a.s.making.Lock()
	defer a.s.making.Unlock()
	live := filepath.Join(a.s.dir, a.person)
	if err := a.forget(); err != nil {
		return err
	}
	if err := a.s.announce(stepAdopt); err != nil {
		return err
	}
	defer os.Remove(filepath.Join(live, adoptingFile)) // of no use there, and no harm
	if !a.live {
		return errors.Join(os.Rename(a.aside(), live), atomicfile.SyncDir(a.s.dir))
	}
	err := maildir.Exchange(a.aside(), live)
	if errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("the file system cannot exchange two folders in one step: remove %s first, whose mail is set aside then", a.person)
	}
	if err = errors.Join(err, atomicfile.SyncDir(a.s.dir)); err != nil {
		return err
	}
	return a.setAside()
}

// setAside deals with the mail that was there before, whose name is that of the
// tree that was being filled now. A crash before it leaves that to be cleared by
// the next Adoption.
func (a *Adoption) setAside() error {
	if err := a.s.announce(stepReplace); err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(a.aside(), adoptedFile)); a.again && err == nil { // all that is not in the new tree the other server has deleted
		return os.RemoveAll(a.aside())
	}
	aside := filepath.Join(a.s.dir, removedDir)
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return err
	}
	to := filepath.Join(aside, fmt.Sprintf("%s-%d-%s", a.person, a.s.clock.now().Unix(), rand.Text()[:8]))
	return errors.Join(os.Rename(a.aside(), to), atomicfile.SyncDir(aside), atomicfile.SyncDir(a.s.dir))
}

// forget closes the account, if it is open.
func (a *Adoption) forget() error {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	if a.s.closed {
		return ErrClosed
	}
	account := a.s.accounts[a.person]
	delete(a.s.accounts, a.person)
	if account == nil {
		return nil
	}
	return account.close()
}

func (s *Store) announce(step string) error {
	if s.step == nil {
		return nil
	}
	return s.step(step)
}

// tellTree says what is in a tree, so that a change of anything that a person would
// call one shows: a line for each folder with UIDVALIDITY, UIDNEXT, the number of
// messages and a sum of the hashes of their names, and one for the subscriptions.
func tellTree(dir string) ([]byte, error) {
	tree, err := openReader(dir)
	if err != nil {
		return nil, err
	}
	defer tree.Close()
	names, err := tree.Folders()
	if err != nil {
		return nil, err
	}
	b := []byte("adopted 1\n")
	for _, name := range names {
		if b, err = appendFolder(b, tree, name); err != nil {
			return nil, err
		}
	}
	subs, err := tree.Subscriptions()
	slices.Sort(subs)
	return fmt.Appendf(b, "subscriptions %d %x\n", len(subs), hashOf(strings.Join(subs, "\n"))), err
}

func appendFolder(b []byte, tree *maildir.Reader, name string) ([]byte, error) {
	head, err := headOf(tree, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := tree.Folder(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	messages, sum := 0, uint64(0)
	err = f.Scan(func(e maildir.Entry) error {
		messages++
		sum += hashOf(e.File)
		return nil
	})
	if messages == 0 && head.UIDNext <= 1 { // who looks into a folder that nothing was ever in gives it numbers
		head = maildir.UIDHeader{}
	}
	return fmt.Appendf(b, "folder %q %d %d %d %x\n", name, head.UIDValidity, head.UIDNext, messages, sum), err
}

func hashOf(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}

// headOf reads the head of a folder's list.
func headOf(tree *maildir.Reader, name string) (h maildir.UIDHeader, err error) {
	f, err := tree.Folder(name)
	if err != nil {
		return h, err
	}
	defer f.Close()
	list, err := f.ReadUIDList()
	if err != nil {
		return h, err
	}
	return list.Header(), list.Close()
}

func openReader(dir string) (*maildir.Reader, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return maildir.OpenReader(root, ".")
}

// GiveToOwner gives what root has made in a tree to the owner of a directory, for
// whom the server runs. It does nothing for others than root.
func GiveToOwner(tree, like string) error {
	info, err := os.Stat(like)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 || owner.Uid == 0 {
		return nil
	}
	return filepath.WalkDir(tree, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if is, ok := info.Sys().(*syscall.Stat_t); ok && is.Uid == owner.Uid {
			return nil
		}
		return os.Lchown(path, int(owner.Uid), int(owner.Gid))
	})
}
