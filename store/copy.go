package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"letterbox/store/index"
	"letterbox/store/maildir"
)

// CopyUID tells which message a message became.
type CopyUID struct{ Src, Dst UID }

// A transfer is one message on its way from a mailbox into another one.
type transfer struct {
	src   index.Record
	from  maildir.Ref
	to    maildir.Ref
	base  string // in the target
	guid  string
	flags Flags // the target's bits
	uid   uint32
	entry index.Entry // cached data that is true of the copy as well
}

// lockBoth takes the writeMu of both mailboxes, always in the same order.
func lockBoth(a, b *Mailbox) (unlock func()) {
	if a == b {
		a.writeMu.Lock()
		return a.writeMu.Unlock
	}
	first, second := a, b
	if b.id < a.id {
		first, second = b, a
	}
	first.writeMu.Lock()
	second.writeMu.Lock()
	return func() {
		second.writeMu.Unlock()
		first.writeMu.Unlock()
	}
}

// Copy copies messages into another mailbox, or the same one, of this account:
// all or, on error, none. They keep flags, keywords, INTERNALDATE and
// EMAILID. Messages that are gone are left out. The result is durable, and in
// the order of uids.
func (m *Mailbox) Copy(uids []UID, to *Mailbox) ([]CopyUID, error) {
	defer lockBoth(m, to)()
	ts, err := m.planTransfer(uids, to)
	if err != nil || len(ts) == 0 {
		return nil, err
	}
	room, err := m.a.reserveCopy(transferTotals(ts))
	if err != nil {
		return nil, err
	}
	defer room.giveBack()
	lock, err := to.lockList(context.Background())
	if err != nil {
		return nil, err
	}
	saved := m.a.s.clock.now()
	namer := m.a.root.NewNamer(saved)
	modseq, err := to.numberTransfer(lock, namer, ts)
	if err == nil {
		err = to.own(func() error { return to.link(m, lock, namer, ts, saved) })
		if err != nil {
			to.distrust()
			err = diskError(fmt.Errorf("copying from %s to %s: %w", m.name, to.name, err))
		} else {
			to.settle(room)
			to.indexTransfer(m, ts, modseq, saved)
		}
	}
	if uerr := lock.Unlock(); uerr != nil {
		m.a.s.log.Warn("unlocking dovecot-uidlist", "mailbox", to.name, "err", uerr)
	}
	if err != nil {
		return nil, err
	}
	return pairs(ts), nil
}

func transferTotals(ts []transfer) (t index.Totals) {
	for i := range ts {
		t = t.Add(index.Totals{Messages: 1, Size: ts[i].src.Size()})
	}
	return t
}

func pairs(ts []transfer) []CopyUID {
	cs := make([]CopyUID, len(ts))
	for i := range ts {
		cs[i] = CopyUID{UID(ts[i].src.UID), UID(ts[i].uid)}
	}
	return cs
}

// planTransfer finds files, flags and identities of the messages. Where others
// touched the files, it first takes that in. The caller holds both writeMu.
func (m *Mailbox) planTransfer(uids []UID, to *Mailbox) ([]transfer, error) {
	if err := errors.Join(m.usable(), to.usable()); err != nil {
		return nil, err
	}
	if m.a != to.a {
		return nil, fmt.Errorf("%w: %s is another person's", ErrNoMailbox, to.name)
	}
	if !m.untouched() {
		if err := m.sync(true); err != nil {
			return nil, err
		}
	}
	ts := make([]transfer, 0, len(uids))
	var all Flags
	for _, uid := range uids {
		i, ok := m.x.Find(uint32(uid))
		if !ok {
			continue
		}
		t, err := m.transferOf(m.x.Records[i])
		if errors.Is(err, index.ErrNoData) {
			if err := m.findName(uint32(uid)); err != nil {
				return nil, err
			}
			if i, ok = m.x.Find(uint32(uid)); !ok {
				continue
			}
			t, err = m.transferOf(m.x.Records[i])
		}
		if err != nil {
			return nil, err
		}
		all |= t.flags
		ts = append(ts, t)
	}
	return ts, m.mapFlags(ts, all, to)
}

func (m *Mailbox) transferOf(r index.Record) (t transfer, err error) {
	t = transfer{src: r, flags: Flags(r.Flags)}
	if t.from, t.base, err = m.ref(&r); err != nil {
		return t, err
	}
	if t.guid, err = m.listedGUID(&r); err != nil {
		return t, err
	}
	if r.Bits&index.Parsed == 0 {
		return t, nil
	}
	if t.entry[index.Structure], err = m.section(nil, &r, index.Structure); err != nil {
		t.src.Bits &^= index.Parsed
	}
	if r.Bits&index.HasText != 0 {
		if t.entry[index.TextPlace], err = m.section(nil, &r, index.TextPlace); err != nil {
			t.src.Bits &^= index.HasText
		}
	}
	return t, nil
}

// mapFlags turns this mailbox's keywords into the target's, by name. Keywords for
// which the target has no room are left behind.
func (m *Mailbox) mapFlags(ts []transfer, all Flags, to *Mailbox) error {
	if m == to {
		return nil
	}
	if all.Has(Forwarded) { // it is to have a letter there
		if _, err := to.makeFlags([]string{forwarded}); err != nil && !errors.Is(err, ErrTooManyKeywords) {
			return err
		}
	}
	if all.Keywords() == 0 {
		return nil
	}
	var table [64]Flags
	for i, name := range m.x.Keywords {
		if !all.Has(Keyword(i)) {
			continue
		}
		f, err := to.makeFlags([]string{name})
		if err != nil && !errors.Is(err, ErrTooManyKeywords) {
			return err
		}
		table[i] = f
	}
	for i := range ts {
		f := ts[i].flags & systemMask
		for k := range m.x.Keywords {
			if ts[i].flags.Has(Keyword(k)) {
				f |= table[k]
			}
		}
		ts[i].flags = f
	}
	return nil
}

// numberTransfer gives the messages their UIDs and names here.
func (m *Mailbox) numberTransfer(lock *maildir.UIDListLock, namer *maildir.Namer, ts []transfer) (modseq uint64, err error) {
	first, err := m.catchUp(lock, len(ts))
	if err != nil {
		return 0, err
	}
	if modseq, err = m.nextModSeq(lock); err != nil {
		return 0, err
	}
	for i := range ts {
		t := &ts[i]
		sizes := maildir.Name{Base: t.base}.Sizes()
		if t.src.Bits&index.Sized != 0 {
			sizes.Virtual = t.src.Size()
			if t.src.Bits&index.CRLF != 0 {
				sizes.Physical = sizes.Virtual
			}
		}
		t.uid, t.base = uint32(first)+uint32(i), namer.Next(sizes)
		t.to = maildir.Ref{File: m.letters.file(t.base, t.flags)}
	}
	return modseq, nil
}

func linesOf(ts []transfer, saved time.Time) []maildir.UIDRecord {
	recs := make([]maildir.UIDRecord, len(ts))
	for i := range ts {
		recs[i] = maildir.UIDRecord{UID: ts[i].uid, Base: ts[i].base, GUID: ts[i].guid, Physical: -1, Virtual: -1, SaveDate: saved.Unix()}
	}
	return recs
}

func transferFlags(ts []transfer) map[uint32]Flags {
	f := make(map[uint32]Flags, len(ts))
	for i := range ts {
		f[ts[i].uid] = ts[i].flags
	}
	return f
}

// link makes the copies. The intent is on disk before the first one and goes
// after the last: what a crash leaves in between is removed at the next start.
func (m *Mailbox) link(src *Mailbox, lock *maildir.UIDListLock, namer *maildir.Namer, ts []transfer, saved time.Time) error {
	intent, err := m.folder.BeginIntent(namer)
	if err != nil {
		return err
	}
	links := make([]maildir.Transfer, len(ts))
	refs := make([]maildir.Ref, len(ts))
	for i := range ts {
		links[i], refs[i] = maildir.Transfer{From: ts[i].from, To: ts[i].to}, ts[i].to
	}
	_, err = m.folder.LinkFrom(src.folder, links)
	if err == nil {
		err = m.appendLines(lock, linesOf(ts, saved))
	}
	if err == nil {
		err = m.folder.SyncCur()
	}
	if err == nil {
		err = m.saveExtra(transferFlags(ts))
	}
	if err == nil {
		err = m.folder.EndIntent(intent)
	}
	if err == nil {
		return nil
	}
	m.undo = true
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", ErrExpunged, err)
	}
	if rerr := m.folder.Remove(refs); rerr != nil {
		return errors.Join(err, rerr) // the intent stays
	}
	return errors.Join(err, m.folder.EndIntent(intent))
}

// indexTransfer takes the messages into the index. The caller holds both writeMu.
func (m *Mailbox) indexTransfer(from *Mailbox, ts []transfer, modseq uint64, saved time.Time) {
	recs := make([]index.Record, len(ts))
	for i := range ts {
		t := &ts[i]
		r := t.src
		r.UID, r.Hash, r.Saved = t.uid, index.Hash(t.base), seconds32(saved.Unix())
		r.Flags, r.ModSeq = uint64(t.flags), modseq
		r.Bits &^= index.InNew | index.Odd
		r.SetOffset(0)
		t.entry[index.BaseName], t.entry[index.GUID] = []byte(t.base), []byte(t.guid)
		t.entry[index.TextPlace] = m.copyText(&r, from, t.src, t.entry[index.TextPlace])
		m.appendData(&r, &t.entry)
		recs[i] = r
	}
	m.mu.Lock()
	for i := range ts {
		if recs[i].Bits&index.Odd != 0 {
			m.x.SetOdd(recs[i].UID, ts[i].to.File)
		}
	}
	m.x.PutAll(recs)
	m.mu.Unlock()
	m.flush()
	m.wake()
	m.askReadAhead(recs[0].UID - 1)
}
