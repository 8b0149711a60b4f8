package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"letterbox/store/maildir"
)

// settleTime is how long after its last change a directory's time is believed:
// file systems stamp with a clock that ticks every few milliseconds.
const settleTime = 50 * time.Millisecond

// touchInterval is how often a long scan shows other programs that its lock is
// alive, which they take over after two minutes.
const touchInterval = 30 * time.Second

// newest returns the newest file time in a stamp.
func newest(st maildir.Stamp) time.Time {
	return time.Unix(0, max(st.New.ModTime, st.Cur.ModTime, st.UIDList.ModTime, st.Keywords.ModTime))
}

// sync takes in what others did to the folder. Without force it looks at the
// directories' times first. The caller holds writeMu.
func (m *Mailbox) sync(force bool) error {
	sig, st, err := m.sign()
	if err != nil {
		return fmt.Errorf("looking at %s: %w", m.name, err)
	}
	if !force && m.x != nil && sig == m.sig {
		// While the times are too fresh to tell our last change from one of
		// somebody else in the same tick, the next opening after that looks, unless
		// the system has told of all that was done in that tick.
		last := newest(st)
		since, told := m.a.s.notifier.tellsSince(m)
		if m.settled || m.loaded && (time.Since(last) < settleTime || told && last.Sub(since) > settleTime) {
			return nil
		}
	}
	return m.syncWith(context.Background())
}

// syncWith is sync that always looks, and waits for the list's lock until ctx ends.
func (m *Mailbox) syncWith(ctx context.Context) error { return m.withList(ctx, m.syncLocked) }

// withList runs what takes in what others did, under the list's lock, or without
// one where a mailbox is loaded from a disk that cannot be written.
func (m *Mailbox) withList(ctx context.Context, sync func(*maildir.UIDListLock) error) error {
	lock, err := m.lockList(ctx)
	switch {
	case err == nil:
		err = errors.Join(sync(lock), lock.Unlock())
	case noRoom(err) && !m.loaded:
		if serr := sync(nil); errors.Is(serr, fs.ErrNotExist) && m.folder.InPlace() {
			err = fmt.Errorf("opening a mailbox for the first time: %w", err) // it is there, only its list is not
		} else {
			err = serr
		}
	}
	if err != nil {
		m.mark = maildir.Mark{} // lines that were read may not have been taken in
	}
	if noRoom(err) && m.loaded {
		m.a.s.log.Warn("what other programs did cannot be taken in", "person", m.a.person, "mailbox", m.name, "err", err)
		return nil // what is known can be read on
	}
	return err
}

// syncLocked compares the folder's files with the index and takes in what
// differs. The list's lock is held throughout, so that a line without a file is
// one that will never get its file, not one that waits for it. lock is nil on a
// disk that cannot be written: then messages without a line stay out.
// The caller holds writeMu and the lock.
func (m *Mailbox) syncLocked(lock *maildir.UIDListLock) error {
	if err := m.undoRefused(lock); err != nil {
		return err
	}
	l, err := m.openList(lock)
	if err != nil {
		return diskError(err)
	}
	sig, _, err := m.sign()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := m.loadKeywords(); err != nil {
		return err
	}
	// What was shown before a crash may be missing in the index, and after a power
	// cut the index may be an old one, which knows nothing of a flag that was set
	// and taken back, or of a message that came and went. So the index is believed
	// about what there was, and not about when it changed: everything changes now,
	// above all that can have been shown.
	m.mu.Lock()
	m.x.Ceiling = max(m.x.Ceiling, l.header.ModSeqCeiling)
	if !m.loaded && (!m.complete || sig != m.sig) {
		m.x.Forget(max(m.x.ModSeq, m.x.Ceiling) + 1)
	}
	m.mu.Unlock()

	s := newScan(m, l, lock)
	if err := m.folder.Scan(s.entry); err != nil {
		return fmt.Errorf("reading %s: %w", m.name, err)
	}
	if s.missing() { // a file renamed while the directory is read may be missed
		if err := m.folder.Scan(s.missed); err != nil {
			return fmt.Errorf("reading %s: %w", m.name, err)
		}
	}
	wrote, err := s.take()
	if err != nil {
		return err
	}
	if lock != nil && (l.damaged || m.worn()) && !s.unsure {
		write := m.compact
		if l.damaged {
			write = m.restore
		}
		if err := write(lock); err != nil && !noRoom(err) {
			return fmt.Errorf("writing dovecot-uidlist of %s anew: %w", m.name, err)
		}
		wrote = true
	}
	if err := s.separate(); err != nil && !noRoom(err) {
		return err
	}
	m.flush()
	if s.waiting {
		sig = signature{} // look again, however fresh this is
	}
	return m.adoptSignature(sig, began, wrote || m.x.Ceiling != l.header.ModSeqCeiling, s.unsure)
}

// undoRefused removes what an operation has left that was refused and could not
// take it back. Otherwise it would be shown now, and removed at the next start when
// somebody may count on it. The caller holds writeMu and the lock.
func (m *Mailbox) undoRefused(lock *maildir.UIDListLock) error {
	if !m.undo || lock == nil {
		return nil
	}
	if _, err := m.folder.Recover(); err != nil {
		return diskError(fmt.Errorf("recovering %s: %w", m.name, err))
	}
	m.undo = false
	return nil
}

// adoptSignature notes that the index is true to the files as they were at sig.
// The list itself cannot have been changed by others, since its lock is held.
func (m *Mailbox) adoptSignature(sig signature, began time.Time, wrote, unsure bool) error {
	now, st, err := m.sign()
	if err != nil {
		return err
	}
	if wrote {
		copy(sig[6:9], now[6:9])
	}
	st.UIDList = maildir.FileStamp{} // nobody can change it behind our back
	m.sig = sig
	m.settled = !unsure && sig == now && began.Sub(newest(st)) >= settleTime
	return nil
}
