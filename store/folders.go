package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"letterbox/store/index"
	"letterbox/store/maildir"
)

// maxMailboxes bounds how many mailboxes a person can make.
const maxMailboxes = 10_000

// MailboxInfo is a line of the list of mailboxes.
type MailboxInfo struct {
	Name        string // UTF-8, levels separated by "/"
	Selectable  bool   // false: exists only because of its children
	HasChildren bool
	Subscribed  bool
	SpecialUse  string // `\Drafts`, `\Sent`, `\Junk`, `\Trash`, `\Archive`, or ""
}

// specialUses are the uses of RFC 6154 that a mailbox can be given, in the
// order of standardFolders, which have them unless another mailbox was given one.
var specialUses = [...]string{`\Drafts`, `\Sent`, `\Junk`, `\Trash`, `\Archive`}

// List returns the mailboxes, INBOX first and the others by name. Parents that
// exist only by their children are in it, not Selectable.
func (a *Account) List() ([]MailboxInfo, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, ErrClosed
	}
	names, err := a.root.Folders()
	if err != nil {
		return nil, diskError(err)
	}
	if a.usage.stale(names) { // other programs have made or removed some
		a.askCount()
	}
	subs, err := a.root.Subscriptions()
	if err != nil {
		return nil, diskError(err)
	}
	byName := make(map[string]*MailboxInfo, len(names))
	for _, n := range names {
		byName[n] = &MailboxInfo{Name: n, Selectable: true}
	}
	for _, n := range names {
		for parent := parentOf(n); parent != ""; parent = parentOf(parent) {
			if byName[parent] == nil {
				byName[parent] = &MailboxInfo{Name: parent}
			}
			byName[parent].HasChildren = true
		}
	}
	for _, n := range subs {
		if i := byName[n]; i != nil {
			i.Subscribed = true
		}
	}
	a.addUses(byName)
	list := make([]MailboxInfo, 0, len(byName))
	for _, i := range byName {
		list = append(list, *i)
	}
	slices.SortFunc(list, func(x, y MailboxInfo) int {
		if x.Name == inbox || y.Name == inbox {
			return compareBool(y.Name == inbox, x.Name == inbox)
		}
		return strings.Compare(x.Name, y.Name)
	})
	return list, nil
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func parentOf(name string) string {
	i := strings.LastIndexByte(name, '/')
	return name[:max(i, 0)]
}

// addUses notes which mailbox has which special use: those given by CREATE,
// else those of the standard names. The caller holds mu.
func (a *Account) addUses(byName map[string]*MailboxInfo) {
	taken := map[string]bool{}
	for name, i := range byName {
		if !i.Selectable {
			continue
		}
		if use := a.givenUse(name); use != "" {
			i.SpecialUse, taken[use] = use, true
		}
	}
	for n, use := range specialUses {
		if i := byName[standardFolders[n]]; i != nil && i.Selectable && i.SpecialUse == "" && !taken[use] {
			i.SpecialUse = use
		}
	}
}

// givenUse returns the special use a mailbox was created with.
func (a *Account) givenUse(name string) string {
	ff, err := a.root.FolderFile(name)
	if err != nil {
		a.s.log.Warn("reading letterbox-folder", "person", a.person, "mailbox", name, "err", err)
	}
	return ff.SpecialUse
}

// Create makes a mailbox, with a special use if that is not "". Missing
// parents are not made: they are listed, but cannot be selected.
func (a *Account) Create(name, specialUse string) error {
	name = strings.TrimSuffix(name, "/") // RFC 9051, 6.3.4: the client will create names below it
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return ErrClosed
	}
	if strings.EqualFold(name, inbox) {
		return fmt.Errorf("%w: %s", ErrMailboxExists, inbox)
	}
	names, err := a.root.Folders()
	if err != nil {
		return diskError(err)
	}
	if len(names) >= maxMailboxes {
		return fmt.Errorf("%w: %d at most", ErrTooManyMailboxes, maxMailboxes)
	}
	if specialUse != "" {
		if specialUse, err = a.freeUse(specialUse, names); err != nil {
			return err
		}
	}
	canonical, err := a.root.Create(name)
	if err != nil {
		return folderError(err, name)
	}
	if specialUse != "" {
		if err := giveUse(a.root, canonical, specialUse); err != nil {
			return errors.Join(diskError(err), folderError(a.root.Remove(canonical), name))
		}
	}
	a.usage.fill(canonical, index.Totals{})
	a.watchers.wake()
	return nil
}

// freeUse returns a special use as it is written. ErrNoSpecialUse: it is not
// known or another mailbox was given it.
func (a *Account) freeUse(use string, names []string) (string, error) {
	i := slices.IndexFunc(specialUses[:], func(s string) bool { return strings.EqualFold(s, use) })
	if i < 0 {
		return "", fmt.Errorf("%w: %s", ErrNoSpecialUse, use)
	}
	for _, n := range names {
		if a.givenUse(n) == specialUses[i] {
			return "", fmt.Errorf("%w: %s has %s", ErrNoSpecialUse, n, use)
		}
	}
	return specialUses[i], nil
}

// giveUse gives a folder that has none a special use.
func giveUse(tree *maildir.Root, name, use string) error {
	f, err := tree.Folder(name)
	if err != nil {
		return err
	}
	ff, err := f.FolderFile()
	if err == nil && ff.SpecialUse == "" {
		ff.SpecialUse = use
		err = f.SetFolderFile(ff)
	}
	return errors.Join(err, f.Close())
}

// Delete removes a mailbox; its messages are kept for a time, as expunged ones
// are. One that has mailboxes below it stays in the list, not selectable
// (RFC 9051, 6.3.5).
func (a *Account) Delete(name string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return ErrClosed
	}
	if strings.EqualFold(name, inbox) {
		return ErrInboxUndeletable
	}
	canonical, err := a.find(name)
	if errors.Is(err, ErrNoMailbox) {
		return a.explainMissing(name, err)
	}
	if err != nil {
		return err
	}
	m := a.open[canonical]
	if m == nil {
		err = a.removeFolder(canonical)
	} else if err = m.remove(); err == nil {
		delete(a.open, canonical)
		if serr := m.shut(ErrNoMailbox); serr != nil {
			a.s.log.Debug("closing a deleted mailbox", "mailbox", canonical, "err", serr)
		}
	}
	if err != nil {
		a.recount() // it may be gone all the same
		return folderError(err, name)
	}
	a.usage.drop(canonical)
	a.watchers.wake()
	return nil
}

// explainMissing: RFC 9051, 6.3.5: a name with inferiors that is not selectable
// cannot be deleted.
func (a *Account) explainMissing(name string, missing error) error {
	names, err := a.root.Folders()
	if err != nil {
		return diskError(err)
	}
	for _, n := range names {
		if strings.HasPrefix(n, maildir.Normalize(name)+"/") {
			return fmt.Errorf("%w: %s", ErrHasChildren, name)
		}
	}
	return missing
}

// remove removes the folder, so that no delivery that has it open can end in it.
func (m *Mailbox) remove() error {
	m.writeMu.Lock()
	defer m.writeMu.Unlock()
	err := m.a.removeFolder(m.name)
	if err != nil && m.folder.InPlace() {
		return err
	}
	m.mu.Lock()
	m.err = fmt.Errorf("%w: %s was deleted", ErrNoMailbox, m.name)
	m.mu.Unlock()
	return err
}

// Rename gives a mailbox and those below it another name; who has them open
// keeps them. Renaming INBOX moves its messages into a new mailbox and leaves
// INBOX and what is below it (RFC 9051, 6.3.6).
func (a *Account) Rename(from, to string) error {
	to = strings.TrimSuffix(to, "/")
	if strings.EqualFold(from, inbox) {
		return a.renameInbox(to)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return ErrClosed
	}
	if strings.EqualFold(to, inbox) {
		return fmt.Errorf("%w: %s", ErrMailboxExists, inbox)
	}
	from, to = maildir.Normalize(from), maildir.Normalize(to)
	if err := a.root.Rename(from, to); err != nil {
		if errors.Is(folderError(err, from), ErrMailboxExists) {
			return folderError(err, to)
		}
		return folderError(err, from)
	}
	for name, m := range a.open {
		rest, ok := below(name, from)
		if !ok {
			continue
		}
		delete(a.open, name)
		a.open[to+rest] = m
		folder, err := a.root.Folder(to + rest)
		if err != nil {
			a.s.log.Warn("opening a renamed mailbox", "mailbox", to+rest, "err", err)
		}
		m.renamed(to+rest, folder)
	}
	a.usage.rename(from, to)
	a.watchers.wake()
	return nil
}

// renamed fits an open mailbox to its new name; folder is it under that name, nil
// if it could not be opened. The caller holds a.mu.
func (m *Mailbox) renamed(name string, folder *maildir.Folder) {
	m.writeMu.Lock()
	defer m.writeMu.Unlock()
	m.a.s.notifier.removeMailbox(m)
	m.mu.Lock()
	m.name = name
	if folder != nil {
		m.retired = append(m.retired, m.folder)
		m.folder = folder
	}
	m.mu.Unlock()
	if m.loaded {
		m.count()
		m.a.s.notifier.addMailbox(m)
	}
}

func (a *Account) renameInbox(to string) (err error) {
	if err := a.Create(to, ""); err != nil {
		return err
	}
	src, err := a.Open(inbox)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	dst, err := a.Open(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	_, err = src.Move(src.UIDs(nil), dst)
	return err
}

// Subscribe adds a name to the subscriptions or takes it off. The name need not exist.
func (a *Account) Subscribe(name string, on bool) error {
	if strings.EqualFold(name, inbox) {
		name = inbox
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return ErrClosed
	}
	if subs, err := a.root.Subscriptions(); on && err == nil && len(subs) >= maxMailboxes {
		return fmt.Errorf("%w: %d at most", ErrSubscriptionLimit, maxMailboxes)
	}
	if err := a.root.Subscribe(context.Background(), maildir.Normalize(name), on); err != nil {
		return folderError(err, name)
	}
	a.watchers.wake()
	return nil
}

// Subscriptions returns the subscribed names, also those that do not exist.
func (a *Account) Subscriptions() ([]string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, ErrClosed
	}
	subs, err := a.root.Subscriptions()
	return subs, diskError(err)
}
