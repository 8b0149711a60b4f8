package store

import (
	"context"
	"errors"
	"fmt"

	"letterbox/store/maildir"
)

// Move moves messages into another mailbox of this account, each of them
// atomically: after a crash it is here or there. They keep flags, keywords,
// INTERNALDATE and EMAILID. The pairs returned are moved, durably, also when
// there is an error; what is moved and perhaps not on disk is shown, and not among them. Messages that are gone are left out. Moving to the same
// mailbox gives new UIDs.
func (m *Mailbox) Move(uids []UID, to *Mailbox) ([]CopyUID, error) {
	defer lockBoth(m, to)()
	ts, err := m.planTransfer(uids, to)
	if err != nil || len(ts) == 0 {
		return nil, err
	}
	modseq, err := m.nextModSeq(nil) // of the removal here
	if err != nil {
		return nil, err
	}
	lock, err := to.lockList(context.Background())
	if err != nil {
		return nil, err
	}
	saved := m.a.s.clock.now()
	arrival, err := to.numberTransfer(lock, m.a.root.NewNamer(saved), ts)
	done, durable := 0, false
	if err == nil {
		err = m.own(func() error {
			return to.own(func() (err error) {
				done, durable, err = m.moveFiles(to, lock, linesOf(ts, saved), ts)
				return err
			})
		})
		if done > 0 {
			// What arrives there goes from here: in the sum, too, it is never in both places or in none.
			moved := transferTotals(ts[:done])
			to.arrived = to.arrived.Add(moved)
			to.indexTransfer(m, ts[:done], arrival, saved)
			going := make([]uint32, done)
			for i := range going {
				going[i] = ts[i].src.UID
			}
			if m == to {
				modseq = arrival
			}
			m.arrived = m.arrived.Sub(moved)
			m.forgetRecords(going, modseq)
		}
		if err != nil {
			to.distrust()
			m.distrust()
			err = diskError(fmt.Errorf("moving from %s to %s: %w", m.name, to.name, err))
		}
	}
	if uerr := lock.Unlock(); uerr != nil {
		m.a.s.log.Warn("unlocking dovecot-uidlist", "mailbox", to.name, "err", uerr)
	}
	if !durable {
		return nil, err
	}
	return pairs(ts[:done]), err
}

// moveFiles gives the messages their UIDs in the target, then moves the files.
// done counts those that are moved; durable: they are so on disk.
func (m *Mailbox) moveFiles(to *Mailbox, lock *maildir.UIDListLock, lines []maildir.UIDRecord, ts []transfer) (done int, durable bool, err error) {
	if err := to.appendLines(lock, lines); err != nil {
		return 0, false, err
	}
	if err := to.saveExtra(transferFlags(ts)); err != nil {
		return 0, false, err
	}
	moves := make([]maildir.Transfer, len(ts))
	fromNew := false
	for i := range ts {
		moves[i] = maildir.Transfer{From: ts[i].from, To: ts[i].to}
		fromNew = fromNew || ts[i].from.InNew
	}
	done, err = to.folder.MoveFrom(m.folder, moves)
	serr := m.syncMoved(to, fromNew)
	return done, serr == nil, errors.Join(err, serr)
}

// syncMoved makes durable that files are in the target, and only then that they are
// not here any more: a power cut may leave them in both places, never in none.
func (m *Mailbox) syncMoved(to *Mailbox, fromNew bool) error {
	if err := to.folder.SyncCur(); err != nil {
		return err
	}
	if m != to {
		if err := m.folder.SyncCur(); err != nil {
			return err
		}
	}
	if fromNew {
		return m.folder.SyncNew()
	}
	return nil
}
