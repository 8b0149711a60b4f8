package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"

	"letterbox/store/index"
	"letterbox/store/maildir"
)

// modSeqBlock is how many mod-sequences are reserved at a time.
const modSeqBlock = 1 << 16

// listed is a line of dovecot-uidlist about a message that the index does not know.
type listed struct {
	hash  uint64 // of the base name
	uid   uint32
	saved uint32
	used  bool // its file was found
}

// A listing is what was read of dovecot-uidlist.
type listing struct {
	header  maildir.UIDHeader
	lines   []listed
	byHash  hashTable                // of lines
	guids   map[uint32]string        // by UID, of those that have one
	sizes   map[uint32]maildir.Sizes // likewise
	damaged bool
	inode   uint64 // of the file
	newest  uint32 // the highest UID that the index had not come to
	newAt   int64  // where in the file the first of their lines is
}

// find returns the line of a base name's hash, nil if there is none.
func (l *listing) find(hash uint64) *listed {
	i, ok := l.byHash.find(hash)
	if !ok {
		return nil
	}
	return &l.lines[i]
}

func (l *listing) sizesOf(uid uint32) maildir.Sizes {
	if s, ok := l.sizes[uid]; ok {
		return s
	}
	return maildir.Sizes{Physical: -1, Virtual: -1}
}

// add takes in a line.
func (l *listing) add(rec maildir.UIDRecord) {
	l.lines = append(l.lines, listed{hash: index.Hash(rec.Base), uid: rec.UID, saved: seconds32(rec.SaveDate)})
	if rec.GUID != "" {
		l.guids[rec.UID] = rec.GUID
	}
	if rec.Physical >= 0 || rec.Virtual >= 0 {
		l.sizes[rec.UID] = maildir.Sizes{Physical: rec.Physical, Virtual: rec.Virtual}
	}
}

// readList reads dovecot-uidlist, or what was added to it since the last time. A
// list that lacks lines of messages that we know is damaged. The caller holds
// writeMu and the list's lock.
func (m *Mailbox) readList() (*listing, error) {
	r, err := m.folder.ReadUIDList(m.mark)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	l := &listing{guids: map[uint32]string{}, sizes: map[uint32]maildir.Sizes{}}
	if !r.Resumed() {
		m.lines = 0
	}
	known := 0
	for {
		at := r.Offset()
		rec, ok := r.Next()
		if !ok {
			break
		}
		m.lines++
		if m.x != nil && rec.UID >= m.x.UIDNext {
			if l.newest == 0 {
				l.newAt = at
			}
			l.newest = rec.UID
		}
		if m.x != nil {
			if i, ok := m.x.Find(rec.UID); ok && m.x.Records[i].Hash == index.Hash(rec.Base) {
				known++
				if m.doubt[rec.UID] && rec.GUID != "" {
					l.guids[rec.UID] = rec.GUID // the data file has lost it
				}
				continue
			}
		}
		l.add(rec)
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	for _, d := range r.Damage() {
		m.a.s.log.Warn("dovecot-uidlist", "person", m.a.person, "mailbox", m.name, "damage", d)
		l.damaged = true
	}
	l.header, l.inode, m.mark = r.Header(), r.Inode(), r.Mark()
	l.byHash = newHashTable(len(l.lines), func(i int) uint64 { return l.lines[i].hash })
	for i := range l.lines {
		l.byHash.put(i)
	}
	if m.x != nil && !r.Resumed() && known < len(m.x.Records) && m.x.UIDValidity == l.header.UIDValidity {
		l.damaged = true
	}
	return l, nil
}

func seconds32(t int64) uint32 {
	if t < 0 || t > 1<<32-1 {
		return 0
	}
	return uint32(t)
}

// newList makes dovecot-uidlist where there is none, or gives it a head where it
// cannot be read. What the index knows is not lost; l, which may be nil, is what
// could be read of the old one.
func (m *Mailbox) newList(lock *maildir.UIDListLock, l *listing) (err error) {
	var h maildir.UIDHeader
	if l != nil {
		h = l.header
	}
	if m.x != nil && (h.UIDValidity == 0 || h.UIDValidity == m.x.UIDValidity) {
		h.UIDValidity, h.UIDNext = m.x.UIDValidity, max(h.UIDNext, m.x.UIDNext)
		h.ModSeqCeiling = max(h.ModSeqCeiling, m.x.Ceiling)
		if id, err := maildir.ParseGUID(m.x.MailboxID); err == nil {
			h.GUID = id
		}
	}
	if h.UIDValidity == 0 {
		if h.UIDValidity, err = m.a.root.NextUIDValidity(m.a.s.clock.now()); err != nil {
			return fmt.Errorf("choosing a UIDVALIDITY for %s: %w", m.name, err)
		}
	}
	if h.GUID.IsZero() {
		h.GUID = maildir.NewGUID()
	}
	h.UIDNext = max(h.UIDNext, 1)
	m.mark = maildir.Mark{}
	return lock.Rewrite(h, m.linesFor(l))
}

// linesFor yields the lines of a list that gets a new head: those of the old
// list, if they mean anything without their UIDVALIDITY, else what the index knows.
func (m *Mailbox) linesFor(l *listing) iter.Seq2[maildir.UIDRecord, error] {
	if l != nil && l.header.UIDValidity != 0 {
		return m.allLines
	}
	return func(yield func(maildir.UIDRecord, error) bool) {
		for i := 0; m.x != nil && i < len(m.x.Records); i++ {
			if rec, err := m.line(&m.x.Records[i]); err == nil && !yield(rec, nil) {
				return
			}
		}
	}
}

// allLines yields every line of dovecot-uidlist.
func (m *Mailbox) allLines(yield func(maildir.UIDRecord, error) bool) {
	r, err := m.folder.ReadUIDList(maildir.Mark{})
	if err != nil {
		yield(maildir.UIDRecord{}, err)
		return
	}
	defer r.Close()
	r.All()(yield)
}

// line returns a message's line in dovecot-uidlist.
func (m *Mailbox) line(r *index.Record) (maildir.UIDRecord, error) {
	base, err := m.base(r)
	if err != nil {
		return maildir.UIDRecord{}, err
	}
	guid, err := m.section(nil, r, index.GUID)
	if err != nil {
		return maildir.UIDRecord{}, err
	}
	rec := maildir.UIDRecord{UID: r.UID, Base: base, GUID: string(guid), Physical: -1, Virtual: -1, SaveDate: int64(r.Saved)}
	if (maildir.Name{Base: base}).Sizes().Virtual < 0 && r.Bits&index.Sized != 0 {
		rec.Virtual = r.Size()
	}
	return rec, nil
}

// compact writes dovecot-uidlist anew: without lines of messages that are gone.
// The index must be true to the files. The caller holds writeMu and lock.
func (m *Mailbox) compact(lock *maildir.UIDListLock) error {
	return m.mergeList(lock, func(line maildir.UIDRecord, _ *index.Record) maildir.UIDRecord { return line })
}

// restore is compact for a damaged list: what the index knows and the list has
// lost stands in it again, identities and dates included.
func (m *Mailbox) restore(lock *maildir.UIDListLock) error {
	return m.mergeList(lock, func(line maildir.UIDRecord, rec *index.Record) maildir.UIDRecord {
		if line.GUID != "" && line.SaveDate != 0 {
			return line
		}
		if known, err := m.line(rec); err == nil {
			line.GUID, line.SaveDate = cmp.Or(line.GUID, known.GUID), cmp.Or(line.SaveDate, known.SaveDate)
		}
		return line
	})
}

// mergeList writes dovecot-uidlist anew, each line it has as keep returns it,
// and those that it lacks.
func (m *Mailbox) mergeList(lock *maildir.UIDListLock, keep func(maildir.UIDRecord, *index.Record) maildir.UIDRecord) error {
	r, err := m.folder.ReadUIDList(maildir.Mark{})
	if err != nil {
		return err
	}
	defer r.Close()
	h := r.Header()
	h.UIDNext, h.ModSeqCeiling = max(h.UIDNext, m.x.UIDNext), max(h.ModSeqCeiling, m.x.Ceiling)
	m.lines, m.mark = 0, maildir.Mark{}
	return lock.Rewrite(h, m.merge(r, keep))
}

// merge yields the lines of r whose messages exist, in the order of their UIDs,
// with the lines that r lacks in between.
func (m *Mailbox) merge(r *maildir.UIDListReader, keep func(maildir.UIDRecord, *index.Record) maildir.UIDRecord) iter.Seq2[maildir.UIDRecord, error] {
	return func(yield func(maildir.UIDRecord, error) bool) {
		old, more := r.Next()
		for i := range m.x.Records {
			rec := &m.x.Records[i]
			for more && old.UID < rec.UID {
				old, more = r.Next()
			}
			var line maildir.UIDRecord
			if more && old.UID == rec.UID && index.Hash(old.Base) == rec.Hash {
				line = keep(old, rec)
			} else {
				var err error
				if line, err = m.line(rec); err != nil {
					continue
				}
			}
			m.lines++
			if !yield(line, nil) {
				return
			}
		}
		for more {
			old, more = r.Next()
		}
		if err := r.Err(); err != nil { // what it has more is not known: keep the old list
			yield(maildir.UIDRecord{}, err)
		}
	}
}

// lockList takes dovecot-uidlist.lock.
func (m *Mailbox) lockList(ctx context.Context) (*maildir.UIDListLock, error) {
	lock, err := m.folder.LockUIDList(ctx)
	if err != nil {
		return nil, diskError(fmt.Errorf("locking dovecot-uidlist of %s: %w", m.name, err))
	}
	return lock, nil
}

// openList reads the list under its lock, making it where there is none, and
// fits the index to its UIDVALIDITY.
func (m *Mailbox) openList(lock *maildir.UIDListLock) (*listing, error) {
	l, err := m.readList()
	ours := false // it was written anew, durably
	switch {
	case lock == nil && err == nil && l.header.UIDValidity == 0:
		err = maildir.ErrRewrite
	case lock == nil && err != nil:
	case errors.Is(err, fs.ErrNotExist) || err == nil && (l.header.UIDValidity == 0 || lock != nil && m.lostID(l.header)):
		if err := m.newList(lock, l); err != nil {
			return nil, err
		}
		ours = true
		l, err = m.readList()
	case err == nil && lock != nil && lock.Doubtful():
		if err := m.rewrite(lock, 0); err != nil {
			return nil, err
		}
		ours = true
		l, err = m.readList()
	case err == nil:
		err = m.settleList(lock, l)
	}
	if err != nil {
		return nil, fmt.Errorf("reading dovecot-uidlist of %s: %w", m.name, err)
	}
	if ours {
		m.listed = l.state()
	}
	if m.x != nil && m.x.UIDValidity == l.header.UIDValidity {
		return l, nil
	}
	if m.loaded { // somebody replaced the mailbox under its users
		return nil, m.abandon(ErrClosed)
	}
	m.newIndex(l.header)
	m.mark = maildir.Mark{}
	return m.readList()
}

// lostID reports whether a list has no MAILBOXID, or another one than the mailbox
// had: a program that lost the list has made it up.
func (m *Mailbox) lostID(h maildir.UIDHeader) bool {
	return h.GUID.IsZero() || m.x != nil && m.x.UIDValidity == h.UIDValidity && m.x.MailboxID != h.GUID.String()
}

// settleList makes durable what in a list may not be so, since neither this process
// nor the one that wrote the index has made it so: a UID is on disk before anybody is
// shown it. Nothing is written where there is nothing new. On a disk that takes
// nothing a sync is all that can be done.
func (m *Mailbox) settleList(lock *maildir.UIDListLock, l *listing) (err error) {
	if l.state() == m.listed {
		return nil
	}
	from, news := m.news(l)
	if news && lock != nil {
		if err = lock.Settle(from); err == nil {
			news = false
		} else if !noRoom(err) {
			return err
		}
	}
	if news || l.inode != m.listed.inode {
		if err := m.folder.SyncUIDList(); err != nil {
			return err
		}
	}
	m.listed = l.state()
	if news {
		m.listed = listState{inode: l.inode} // not what it holds
	}
	return nil
}

// A listState tells a dovecot-uidlist from what it was before and after a change.
type listState struct {
	inode   uint64
	uidNext uint32
	ceiling uint64
}

func (l *listing) state() listState {
	return listState{l.inode, l.header.UIDNext, l.header.ModSeqCeiling}
}

// news tells from where on a list holds what the index had not come to. What it has
// come to was synced before.
func (m *Mailbox) news(l *listing) (from int64, ok bool) {
	switch {
	case m.x == nil, m.x.UIDValidity != l.header.UIDValidity, l.header.ModSeqCeiling > m.x.Ceiling:
		return 0, true
	case l.header.UIDNext <= m.x.UIDNext:
		return 0, false
	case l.header.UIDNext != l.newest+1: // its head says so, or a damaged line
		return 0, true
	}
	return l.newAt, true
}

// newIndex starts an empty index for a folder, in memory where it cannot be written.
func (m *Mailbox) newIndex(h maildir.UIDHeader) {
	if m.x != nil {
		if err := m.x.Discard(); err != nil {
			m.a.s.log.Debug("discarding an index", "mailbox", m.name, "err", err)
		}
	}
	// What this mailbox's mod-sequences were is not known: begin above all of them,
	// those of a Dovecot that had it before as well.
	start := max(h.ModSeqCeiling, uint64(m.a.s.clock.now().Unix())) + 1
	state := index.State{UIDValidity: h.UIDValidity, UIDNext: 1, ModSeq: start, Floor: start, Ceiling: h.ModSeqCeiling, MailboxID: h.GUID.String()}
	x, err := index.New(m.folder.FS(), state)
	if err != nil {
		m.a.s.log.Warn("the index is kept in memory only", "person", m.a.person, "mailbox", m.name, "err", err)
		x = index.NewInMemory(state)
	}
	m.mu.Lock()
	m.x = x
	m.mu.Unlock()
}

// abandon makes the mailbox unusable for those who have it open, and gives up
// its index, which is of a mailbox that is no more. The caller holds writeMu.
func (m *Mailbox) abandon(reason error) error {
	err := fmt.Errorf("%w: another program replaced or removed %s", reason, m.name)
	m.mu.Lock()
	x := m.x
	m.x, m.err = nil, err
	m.mu.Unlock()
	if x != nil {
		if derr := x.Discard(); derr != nil {
			m.a.s.log.Debug("discarding an index", "mailbox", m.name, "err", derr)
		}
	}
	m.a.usage.doubt(m.name)
	m.a.recount()
	m.wake()
	return err
}

// nextModSeq returns a mod-sequence that nobody was shown, reserved on disk.
// lock may be nil: then it is taken if need be. The caller holds writeMu.
func (m *Mailbox) nextModSeq(lock *maildir.UIDListLock) (uint64, error) {
	next := m.x.ModSeq + 1
	return next, m.reserveModSeq(next, lock)
}

// reserveModSeq makes sure that the folder has reserved mod-sequences up to v,
// so that they do not come again when the index is lost.
func (m *Mailbox) reserveModSeq(v uint64, lock *maildir.UIDListLock) (err error) {
	if v <= m.x.Ceiling {
		return nil
	}
	if lock == nil {
		if lock, err = m.lockList(context.Background()); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, diskError(lock.Unlock())) }()
	}
	ceiling := v + modSeqBlock
	err = m.own(func() error {
		err := lock.SetModSeqCeiling(ceiling)
		if errors.Is(err, maildir.ErrRewrite) {
			err = m.rewrite(lock, ceiling)
		}
		return err
	})
	if err != nil {
		return diskError(fmt.Errorf("reserving mod-sequences for %s: %w", m.name, err))
	}
	m.mu.Lock()
	m.x.Ceiling = ceiling
	m.mu.Unlock()
	return nil
}

// rewrite writes dovecot-uidlist anew, all lines of it, with a ceiling that is
// not lower than this. What was in doubt is durable then.
func (m *Mailbox) rewrite(lock *maildir.UIDListLock, ceiling uint64) error {
	r, err := m.folder.ReadUIDList(maildir.Mark{})
	if err != nil {
		return err
	}
	defer r.Close()
	h := r.Header()
	h.ModSeqCeiling = max(h.ModSeqCeiling, ceiling)
	if m.x != nil && m.x.UIDValidity == h.UIDValidity {
		h.UIDNext, h.ModSeqCeiling = max(h.UIDNext, m.x.UIDNext), max(h.ModSeqCeiling, m.x.Ceiling)
	}
	m.mark = maildir.Mark{}
	return lock.Rewrite(h, r.All())
}
