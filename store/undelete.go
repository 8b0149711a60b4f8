package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"letterbox/store/maildir"
)

// undeletePage is how many messages come back at a time.
const undeletePage = 512

// Undelete brings messages that were expunged back into the mailboxes they were
// in, and returns how many are there, durably. A mailbox that is gone is made again, and
// subscribed. They have new UIDs, in the order in which they came, and are as
// they were otherwise but for \Deleted. Each is in the mailbox or still kept at
// any time, so that after an error the rest can be asked for again. ErrOverQuota:
// it would be more than the person may have.
func (a *Account) Undelete(ctx context.Context, w Which) (n int, err error) {
	ids := w.ids()
	err = a.eachKept(w, "", func(k *maildir.KeptFolder, _ string) error {
		u := undeleting{a: a, k: k}
		err := eachPage(k, "", undeletePage, func(page []maildir.Entry) error {
			if ids != nil {
				page = chosen(k, page, ids)
			}
			if err := ctx.Err(); err != nil || len(page) == 0 {
				return err
			}
			return u.bringBack(page)
		})
		n += u.done
		if err == nil {
			u.clear()
		}
		return errors.Join(err, u.close())
	})
	if err != nil {
		err = fmt.Errorf("bringing back what %s has expunged: %w", a.person, err)
	}
	return n, err
}

func chosen(k *maildir.KeptFolder, page []maildir.Entry, ids map[string]bool) []maildir.Entry {
	var some []maildir.Entry
	for _, e := range page {
		if ids[expungedID(k, e)] {
			some = append(some, e)
		}
	}
	return some
}

// An undeleting brings messages of one Maildir of the bin back.
type undeleting struct {
	a    *Account
	k    *maildir.KeptFolder
	m    *Mailbox // where they go; nil: not opened yet
	done int
}

func (u *undeleting) bringBack(page []maildir.Entry) error {
	if u.m == nil {
		m, err := u.a.openAgain(u.k)
		if err != nil {
			return err
		}
		u.m = m
	}
	n, err := u.m.bringBack(u.k, page)
	u.done += n
	return err
}

// clear removes the Maildir from the bin if nothing is left in it.
func (u *undeleting) clear() {
	if u.m == nil {
		return
	}
	defer u.a.s.bins.lock(u.a.person)()
	if err := u.a.bin.Clear(u.k); err != nil { // an empty directory: it goes another day
		u.a.s.log.Debug("clearing the bin", "person", u.a.person, "err", err)
	}
}

func (u *undeleting) close() error {
	if u.m == nil {
		return nil
	}
	return u.m.Close()
}

// openAgain opens the mailbox that messages were in, making it if it is gone. One
// whose name cannot be used any more is INBOX.
func (a *Account) openAgain(k *maildir.KeptFolder) (*Mailbox, error) {
	m, err := a.Open(k.Name)
	if !errors.Is(err, ErrNoMailbox) {
		return m, err
	}
	use, err := k.SpecialUse()
	if err != nil {
		return nil, diskError(err)
	}
	err = a.Subscribe(k.Name, true) // first: a mailbox that is there is not subscribed again
	if err == nil {
		err = a.Create(k.Name, use)
	}
	if errors.Is(err, ErrNoSpecialUse) { // another mailbox has it by now
		err = a.Create(k.Name, "")
	}
	switch {
	case errors.Is(err, ErrBadName):
		return a.Open(inbox)
	case err != nil && !errors.Is(err, ErrMailboxExists):
		return nil, err
	}
	return a.Open(k.Name)
}

// bringBack moves messages out of the bin into the mailbox. n are there, durably,
// also when there is an error. What is there and perhaps not on disk is shown, and
// not counted.
func (m *Mailbox) bringBack(k *maildir.KeptFolder, page []maildir.Entry) (n int, err error) {
	m.writeMu.Lock()
	defer m.writeMu.Unlock()
	if err := m.usable(); err != nil {
		return 0, err
	}
	ts, err := m.planBack(k, page)
	if err != nil || len(ts) == 0 {
		return 0, err
	}
	room, err := m.a.reserveMove(transferTotals(ts))
	if err != nil {
		return 0, err
	}
	defer room.giveBack()
	lock, err := m.lockList(context.Background())
	if err != nil {
		return 0, err
	}
	defer func() {
		if uerr := lock.Unlock(); uerr != nil {
			m.a.s.log.Warn("unlocking dovecot-uidlist", "mailbox", m.name, "err", uerr)
		}
	}()
	saved := m.a.s.clock.now()
	modseq, err := m.numberTransfer(lock, m.a.root.NewNamer(saved), ts)
	if err != nil {
		return 0, err
	}
	last := UID(ts[len(ts)-1].uid)
	durable := false
	err = m.own(func() (err error) {
		if err = m.appendLines(lock, linesOf(ts, saved)); err == nil {
			err = m.saveExtra(transferFlags(ts))
		}
		if err == nil {
			ts, durable, err = m.moveBack(k, ts)
		} else {
			ts = nil
		}
		return err
	})
	if len(ts) > 0 {
		room.shrink(transferTotals(ts))
		m.settle(room)
		m.indexTransfer(m, ts, modseq, saved)
	}
	if err != nil || len(ts) == 0 || UID(ts[len(ts)-1].uid) != last {
		m.distrust()
	}
	if err != nil {
		err = diskError(fmt.Errorf("bringing messages back into %s: %w", m.name, err))
	}
	if !durable {
		return 0, err
	}
	return len(ts), err
}

// planBack finds out what the messages were. Keywords for which there is no room
// any more are left out. The caller holds writeMu.
func (m *Mailbox) planBack(k *maildir.KeptFolder, page []maildir.Entry) ([]transfer, error) {
	kept, err := k.Messages(page)
	if err != nil {
		return nil, diskError(err)
	}
	ts := make([]transfer, 0, len(kept))
	known := map[string]Flags{}
	for _, msg := range kept {
		fi, err := k.Stat(msg.At)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !fi.Mode().IsRegular() {
			continue
		}
		if err != nil {
			return nil, diskError(err)
		}
		t := transfer{from: msg.At, base: msg.Base, guid: listable(msg.GUID), flags: Flags(msg.Flags) &^ Deleted}
		believe(&t.src, fi.Size(), maildir.Name{Base: msg.Base}.Sizes())
		t.src.SetDate(fi.ModTime().Unix())
		if t.flags.Has(Forwarded) { // it is to have a letter
			msg.Keywords = append(msg.Keywords, forwarded)
		}
		for _, name := range msg.Keywords {
			f, err := m.knownFlag(known, name)
			if err != nil {
				return nil, err
			}
			t.flags |= f
		}
		ts = append(ts, t)
	}
	return ts, nil
}

// knownFlag returns the flag of a keyword that a message brings along, making it
// if need be; none if that cannot be.
func (m *Mailbox) knownFlag(known map[string]Flags, name string) (Flags, error) {
	key := strings.ToLower(name)
	if f, ok := known[key]; ok {
		return f, nil
	}
	f, err := m.makeFlags([]string{name})
	if err != nil && !errors.Is(err, ErrTooManyKeywords) && !errors.Is(err, ErrBadKeyword) {
		return 0, err
	}
	known[key] = f
	return f, nil
}

// moveBack moves the files, and returns the messages that are in the mailbox now,
// and whether that is durable. Those that went from the bin meanwhile are not among them.
func (m *Mailbox) moveBack(k *maildir.KeptFolder, ts []transfer) (moved []transfer, durable bool, err error) {
	moves := make([]maildir.Transfer, len(ts))
	for i := range ts {
		moves[i] = maildir.Transfer{From: ts[i].from, To: ts[i].to}
	}
	unlock := m.a.s.bins.lock(m.a.person)
	there, durable, err := k.MoveTo(m.folder, moves)
	unlock()
	for i, ok := range there {
		if ok {
			moved = append(moved, ts[i])
		}
	}
	if err == nil && !m.folder.InPlace() {
		err = fmt.Errorf("%w: another program removed or renamed %s", ErrNoMailbox, m.name)
	}
	return moved, durable, err
}
