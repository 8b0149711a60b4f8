package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"letterbox/store/index"
	"letterbox/store/maildir"
)

// A flagChange is a message whose flags are about to change.
type flagChange struct {
	r    index.Record
	base string
	from maildir.Ref
	to   maildir.Ref
	old  Flags
	new  Flags
	err  error
}

// StoreFlags changes the flags of messages, durably. f may hold only keywords
// that the mailbox has. changed are the messages whose flags are different now; those gone and
// those that had the flags already are in neither list. modified are those that
// changed after unchangedSince, if that is not zero: they are left alone
// (RFC 7162, 3.1.3). After an error some may be changed; Changes tells.
func (m *Mailbox) StoreFlags(uids []UID, op FlagOp, f Flags, unchangedSince ModSeq) (changed []Meta, modified []UID, err error) {
	m.writeMu.Lock()
	defer m.writeMu.Unlock()
	if err := m.usable(); err != nil {
		return nil, nil, err
	}
	cs, modified, err := m.planFlags(uids, op, f, unchangedSince)
	if err != nil || len(cs) == 0 {
		return nil, modified, err
	}
	lock, unlock, err := m.lockNames()
	if err != nil {
		return nil, modified, err
	}
	defer unlock()
	modseq, err := m.nextModSeq(lock)
	if err != nil {
		return nil, modified, err
	}
	err = m.own(func() error { return m.renameFor(cs, op, f) })
	changed = m.indexFlags(cs, modseq)
	if err != nil {
		m.distrust()
		return changed, modified, diskError(fmt.Errorf("changing flags in %s: %w", m.name, err))
	}
	return changed, modified, nil
}

// lockNames takes dovecot-uidlist.lock for a change of names: a Dovecot that reads the
// directory meanwhile may meet a file under neither name, take the message for
// expunged and give it another UID, and so it waits for the lock. On a disk that
// takes no lock file there is none, and lock is nil.
func (m *Mailbox) lockNames() (lock *maildir.UIDListLock, unlock func(), err error) {
	lock, err = m.lockList(context.Background())
	if noRoom(err) {
		return nil, func() {}, nil
	}
	return lock, func() {
		if uerr := lock.Unlock(); uerr != nil {
			m.a.s.log.Warn("unlocking dovecot-uidlist", "mailbox", m.name, "err", uerr)
		}
	}, err
}

// planFlags finds out what is to be changed.
func (m *Mailbox) planFlags(uids []UID, op FlagOp, f Flags, unchangedSince ModSeq) (cs []flagChange, modified []UID, err error) {
	if n := len(m.x.Keywords); n < MaxKeywords && f >= Keyword(n) {
		return nil, nil, fmt.Errorf("%w: a flag that the mailbox does not have", ErrBadKeyword)
	}
	for _, uid := range uids {
		i, ok := m.x.Find(uint32(uid))
		if !ok {
			continue
		}
		r := m.x.Records[i]
		if unchangedSince != 0 && ModSeq(r.ModSeq) > unchangedSince {
			modified = append(modified, uid)
			continue
		}
		old := Flags(r.Flags)
		flags := op.apply(old, f)
		if flags == old {
			continue
		}
		c := flagChange{r: r, old: old, new: flags}
		c.from, c.base, c.err = m.ref(&r)
		if errors.Is(c.err, index.ErrNoData) {
			c.err = fs.ErrNotExist
		} else if c.err != nil {
			return nil, modified, c.err
		}
		c.to = m.target(c.from, c.base, flags)
		cs = append(cs, c)
	}
	return cs, modified, nil
}

// target returns the place and name of a file with other flags. What others put
// into its name stays.
func (m *Mailbox) target(from maildir.Ref, base string, f Flags) maildir.Ref {
	n := maildir.ParseName(from.File)
	n.Base, n.HasInfo = base, true
	n.Flags = n.Flags&maildir.Passed&maildir.Flags(f) | m.letters.system(f)
	n.Keywords = n.Keywords&^m.letters.known() | m.letters.toLetters(f)
	to := maildir.Ref{File: n.File()}
	if from.InNew && to.File == m.letters.file(base, 0) {
		return from // only keywords without a letter
	}
	return to
}

// renameFor writes the changes to the disk: keywords without a letter first,
// then the names. A file that has another name by now is looked for once.
func (m *Mailbox) renameFor(cs []flagChange, op FlagOp, f Flags) error {
	flags := make(map[uint32]Flags, len(cs))
	for i := range cs {
		flags[cs[i].r.UID] = cs[i].new
	}
	if err := m.saveExtra(flags); err != nil {
		for i := range cs {
			cs[i].err = err
		}
		return err
	}
	rs := make([]maildir.Renaming, 0, len(cs))
	for i := range cs {
		if cs[i].err == nil { // else its name is lost
			rs = append(rs, maildir.Renaming{From: cs[i].from, To: cs[i].to})
		}
	}
	errs, err := m.folder.Rename(rs)
	lost := false
	for i := range cs {
		if cs[i].err == nil {
			cs[i].err, errs = errs[0], errs[1:]
		}
		lost = lost || errors.Is(cs[i].err, fs.ErrNotExist)
	}
	if err != nil || !lost {
		return err
	}
	return m.renameLost(cs, op, f)
}

// renameLost changes the flags of messages whose files others renamed.
func (m *Mailbox) renameLost(cs []flagChange, op FlagOp, f Flags) error {
	m.distrust()
	byHash := map[uint64]*flagChange{}
	for i := range cs {
		if errors.Is(cs[i].err, fs.ErrNotExist) {
			byHash[cs[i].r.Hash] = &cs[i]
		}
	}
	var rs []maildir.Renaming
	var which []*flagChange
	err := m.folder.Scan(func(e maildir.Entry) error {
		c := byHash[index.Hash(e.Name.Base)]
		if c == nil {
			return nil
		}
		actual := Flags(e.Name.Flags) | m.letters.fromLetters(e.Name.Keywords) | c.old&^m.letters.withLetters()&^systemMask
		c.new, c.base, c.from = op.apply(actual, f), e.Name.Base, e.Ref()
		c.to = m.target(c.from, c.base, c.new)
		rs, which = append(rs, maildir.Renaming{From: c.from, To: c.to}), append(which, c)
		return nil
	})
	if err != nil {
		return err
	}
	errs, err := m.folder.Rename(rs)
	for i, c := range which {
		c.err = errs[i]
	}
	return err
}

// indexFlags takes the changes that were made into the index.
func (m *Mailbox) indexFlags(cs []flagChange, modseq uint64) []Meta {
	changed := make([]Meta, 0, len(cs))
	m.mu.Lock()
	for i := range cs {
		c := &cs[i]
		at, ok := m.x.Find(c.r.UID)
		if c.err != nil || !ok {
			continue
		}
		m.indexRename(at, c, modseq)
		changed = append(changed, metaOf(&m.x.Records[at]))
	}
	m.mu.Unlock()
	m.flush()
	if len(changed) > 0 {
		m.wake()
	}
	return changed
}

// indexRename notes a file's new name and flags. The caller holds mu.
func (m *Mailbox) indexRename(at int, c *flagChange, modseq uint64) {
	plain := !c.to.InNew && c.to.File == m.letters.file(c.base, c.new) && c.r.Offset() != 0
	if plain {
		m.x.SetFlags(at, uint64(c.new), modseq)
		return
	}
	r := m.x.Records[at]
	r.Flags, r.ModSeq = uint64(c.new), modseq
	r.Bits &^= index.InNew | index.Odd
	if c.to.InNew {
		r.Bits |= index.InNew
	}
	if !c.to.InNew || c.to.File != c.base {
		r.Bits |= index.Odd
		m.x.SetOdd(r.UID, c.to.File)
	}
	m.x.Put(r)
}
