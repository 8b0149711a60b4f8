package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"letterbox/store/index"
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
		err = sync(nil)
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
	// cut the index may be an old one: what changes now gets mod-sequences above
	// all that can have been shown.
	m.mu.Lock()
	m.x.Ceiling = max(m.x.Ceiling, l.header.ModSeqCeiling)
	if !m.loaded && (!m.complete || sig != m.sig) {
		m.x.RaiseModSeq(l.header.ModSeqCeiling)
	}
	m.mu.Unlock()

	s := newScan(m, l, lock)
	if err := m.folder.Scan(s.entry); err != nil {
		return fmt.Errorf("reading %s: %w", m.name, err)
	}
	if s.missing() { // a file renamed while the directory is read may be missed
		if err := m.folder.Scan(s.again); err != nil {
			return fmt.Errorf("reading %s: %w", m.name, err)
		}
	}
	wrote, err := s.take()
	if err != nil {
		return err
	}
	if lock != nil && (l.damaged || m.lines > 2*len(m.x.Records)+1000) && !s.unsure {
		if err := m.compact(lock); err != nil && !noRoom(err) {
			return fmt.Errorf("writing dovecot-uidlist of %s anew: %w", m.name, err)
		}
		wrote = true
	}
	if err := s.separate(); err != nil && !noRoom(err) {
		return err
	}
	m.flush()
	return m.adoptSignature(sig, began, wrote || m.x.Ceiling != l.header.ModSeqCeiling, s.unsure)
}

// take numbers what is new and brings the index up to date.
func (s *scan) take() (wrote bool, err error) {
	if wrote, err = s.number(); err != nil {
		return wrote, err
	}
	return wrote, s.publish(s.l.header.UIDNext)
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

// A scan compares the files of a folder with its index.
type scan struct {
	m       *Mailbox
	lock    *maildir.UIDListLock // nil: the disk cannot be written
	touched time.Time            // when lock was last shown to be alive
	l       *listing
	byHash  map[uint64]int32 // records by the hash of their base name
	seen    []bool           // the records whose file was found
	changed []changed
	found   []index.Record // new messages that have a UID
	fresh   []maildir.Entry
	twice   []maildir.Entry // files whose base name another one has
	odd     map[uint32]string
	unsure  bool // something moved while we looked: look again next time
}

type changed struct {
	at    int // record
	flags uint64
	bits  index.Bits
	odd   string
	data  bool // the data file has to get the base name again
	entry maildir.Entry
}

func newScan(m *Mailbox, l *listing, lock *maildir.UIDListLock) *scan {
	s := &scan{m: m, l: l, lock: lock, touched: time.Now(), seen: make([]bool, len(m.x.Records)), byHash: make(map[uint64]int32, len(m.x.Records)), odd: map[uint32]string{}}
	for i := range m.x.Records {
		s.byHash[m.x.Records[i].Hash] = int32(i)
	}
	return s
}

// entry takes in one file.
func (s *scan) entry(e maildir.Entry) error {
	h := index.Hash(e.Name.Base)
	if i, ok := s.byHash[h]; ok {
		if i < 0 || s.seen[i] {
			s.unsure = true // renamed while we looked, or two files
			s.twice = append(s.twice, e)
			return nil
		}
		s.seen[i] = true
		s.compare(int(i), e)
		return nil
	}
	if !e.Name.CanBeListed() {
		return nil
	}
	s.byHash[h] = -1
	if line, ok := s.l.unknown[h]; ok {
		return s.add(e, line)
	}
	s.fresh = append(s.fresh, e)
	return nil
}

// again looks for the files of records that were not seen the first time.
func (s *scan) again(e maildir.Entry) error {
	if i, ok := s.byHash[index.Hash(e.Name.Base)]; ok && i >= 0 && !s.seen[i] {
		s.seen[i], s.unsure = true, true
		s.compare(int(i), e)
	}
	return nil
}

func (s *scan) missing() bool { return slices.Contains(s.seen, false) }

// flags returns a file's flags and what is to be noted of its place and name.
func (s *scan) flags(uid uint32, e maildir.Entry) (f Flags, bits index.Bits, odd string) {
	m := s.m
	f = Flags(e.Name.Flags) | m.letters.fromLetters(e.Name.Keywords) | m.extraFlags(uid)
	expected := m.letters.file(e.Name.Base, f)
	if e.InNew {
		bits, expected = index.InNew, e.Name.Base
	}
	if e.File != expected {
		bits, odd = bits|index.Odd, e.File
	}
	return f, bits, odd
}

func (s *scan) compare(i int, e maildir.Entry) {
	r := &s.m.x.Records[i]
	f, bits, odd := s.flags(r.UID, e)
	const place = index.InNew | index.Odd
	doubt := s.m.doubt[r.UID]
	if uint64(f) == r.Flags && bits == r.Bits&place && (odd == "" || odd == s.m.x.OddName(r.UID)) && !doubt {
		return
	}
	s.changed = append(s.changed, changed{i, uint64(f), bits | r.Bits&^place, odd, doubt, e})
}

// add makes the record of a message that dovecot-uidlist knows and we do not.
func (s *scan) add(e maildir.Entry, line listed) error {
	if s.lock != nil && time.Since(s.touched) > touchInterval {
		s.touched = time.Now()
		if err := s.lock.Touch(); err != nil {
			return fmt.Errorf("reading %s: %w", s.m.name, err)
		}
	}
	r, err := s.m.examine(e, line, s.l.guids[index.Hash(e.Name.Base)])
	if errors.Is(err, fs.ErrNotExist) {
		s.unsure = true
		return nil
	}
	if errors.Is(err, errNoMessage) {
		s.m.a.s.log.Warn("this is no message and is left alone", "person", s.m.a.person, "mailbox", s.m.name, "file", e.File)
		return nil
	}
	if err != nil {
		return err
	}
	f, bits, odd := s.flags(line.uid, e)
	if r.Bits&index.Odd != 0 {
		odd = e.File // the index has no other place for it
	}
	r.Flags, r.Bits = uint64(f), r.Bits|bits
	if odd != "" {
		s.odd[r.UID] = odd
	}
	s.found = append(s.found, r)
	return nil
}

// number gives UIDs to messages that have none, durably.
func (s *scan) number() (wrote bool, err error) {
	if len(s.fresh) == 0 {
		return false, nil
	}
	if s.lock == nil {
		s.unsure = true
		return false, nil
	}
	slices.SortFunc(s.fresh, func(a, b maildir.Entry) int {
		return cmp.Or(cmp.Compare(bornAt(a.Name.Base), bornAt(b.Name.Base)), strings.Compare(a.Name.Base, b.Name.Base))
	})
	uid := max(s.l.header.UIDNext, s.m.x.UIDNext)
	recs := make([]maildir.UIDRecord, 0, min(len(s.fresh), 1024))
	for len(s.fresh) > 0 {
		batch := s.fresh[:min(len(s.fresh), 1024)]
		s.fresh = s.fresh[len(batch):]
		recs = recs[:0]
		known := len(s.found)
		for _, e := range batch {
			if uid == 0 || uid == 1<<32-1 {
				return wrote, ErrMailboxOutOfUIDs
			}
			line := listed{uid: uid, saved: seconds32(s.m.a.s.clock.now().Unix()), physical: -1, virtual: -1}
			n := len(s.found)
			if err := s.add(e, line); err != nil {
				return wrote, err
			}
			if len(s.found) == n {
				continue // gone again
			}
			recs = append(recs, maildir.UIDRecord{UID: uid, Base: e.Name.Base, Physical: -1, Virtual: -1, SaveDate: int64(line.saved)})
			uid++
		}
		err := s.lock.Append(recs)
		if errors.Is(err, maildir.ErrRewrite) {
			if err = s.m.rewrite(s.lock, 0); err == nil {
				err = s.lock.Append(recs)
			}
		}
		if noRoom(err) { // they wait in the folder, and the others can be read
			s.m.a.s.log.Warn("new messages cannot be shown", "person", s.m.a.person, "mailbox", s.m.name, "err", err)
			s.found, s.unsure = s.found[:known], true
			return true, nil
		}
		if err != nil {
			return true, diskError(fmt.Errorf("numbering messages in %s: %w", s.m.name, err))
		}
	}
	// Read past what was appended.
	_, err = s.m.readList()
	return true, err
}

// bornAt returns the time that a base name begins with.
func bornAt(base string) int64 {
	var n int64
	for i := 0; i < len(base) && i < 18 && base[i] >= '0' && base[i] <= '9'; i++ {
		n = n*10 + int64(base[i]-'0')
	}
	return n
}

// publish brings the index up to date.
func (s *scan) publish(uidNext uint32) error {
	m := s.m
	var goneUIDs []uint32
	for i, ok := range s.seen {
		if !ok {
			goneUIDs = append(goneUIDs, m.x.Records[i].UID)
		}
	}
	if len(goneUIDs) == 0 && len(s.changed) == 0 && len(s.found) == 0 {
		m.mu.Lock()
		m.x.Reserve(uidNext)
		m.mu.Unlock()
		_, err := s.reserve(m.x.ModSeq)
		return err
	}
	modseq, err := s.reserve(m.x.ModSeq + 1)
	if err != nil {
		return err
	}
	s.renew()
	slices.SortFunc(s.found, func(a, b index.Record) int { return cmp.Compare(a.UID, b.UID) })
	for i := range s.found {
		s.found[i].ModSeq = modseq
	}
	m.mu.Lock()
	for _, c := range s.changed {
		r := m.x.Records[c.at]
		r.ModSeq, r.Flags, r.Bits = modseq, c.flags, c.bits
		if c.odd != "" {
			m.x.SetOdd(r.UID, c.odd)
		}
		m.x.Put(r)
	}
	for uid, file := range s.odd {
		m.x.SetOdd(uid, file)
	}
	m.x.Remove(goneUIDs, modseq)
	m.x.PutAll(s.found)
	m.x.Reserve(uidNext)
	m.mu.Unlock()
	m.wake()
	if m.loaded && len(s.found) > 0 {
		m.askReadAhead(s.found[0].UID - 1)
	}
	return nil
}

// reserve returns v, reserved on disk, for what the scan found.
func (s *scan) reserve(v uint64) (uint64, error) {
	m := s.m
	if s.lock != nil {
		err := m.reserveModSeq(v, s.lock)
		if err == nil || m.loaded || !noRoom(err) {
			return v, err
		}
	}
	// Nothing can be reserved now. The highest that was is not below anything that
	// was shown, and whatever comes later will be above it.
	m.mu.Lock()
	defer m.mu.Unlock()
	m.x.ModSeq = max(m.x.Ceiling, 1)
	return m.x.ModSeq, nil
}

// renew writes data entries anew that could not be read. The index keeps the
// whole names of those for which that does not succeed.
func (s *scan) renew() {
	for i := range s.changed {
		c := &s.changed[i]
		if !c.data {
			continue
		}
		r := s.m.x.Records[c.at]
		h := index.Hash(c.entry.Name.Base)
		s.m.appendData(&r, &index.Entry{index.BaseName: []byte(c.entry.Name.Base), index.GUID: []byte(s.l.guids[h])})
		if c.bits &^= index.Parsed; r.Bits&index.Odd != 0 {
			c.bits, c.odd = c.bits|index.Odd, c.entry.File
		}
		s.m.mu.Lock()
		s.m.x.Records[c.at].SetOffset(r.Offset())
		s.m.mu.Unlock()
		delete(s.m.doubt, r.UID)
	}
}
