package store

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"letterbox/store/index"
	"letterbox/store/maildir"
)

// A scan compares the files of a folder with its index.
type scan struct {
	m       *Mailbox
	lock    *maildir.UIDListLock // nil: the disk cannot be written
	touched time.Time            // when lock was last shown to be alive
	l       *listing
	records hashTable // that are looked for
	seen    []bool    // the records whose file was found
	changed []changed
	found   []index.Record // new messages that have a UID
	fresh   freshList
	rest    int             // messages without a UID that a further reading will find
	twice   []maildir.Entry // files whose base name another one has
	odd     map[uint32]string
	unsure  bool // something moved while we looked: look again next time
	waiting bool // messages wait for a UID, which could not be given on a disk that takes nothing
}

type changed struct {
	at    int // record
	flags uint64
	bits  index.Bits
	odd   string
	data  bool // the data file has to get the base name again
	entry maildir.Entry
}

// newScan makes a scan that looks for the files of all records.
func newScan(m *Mailbox, l *listing, lock *maildir.UIDListLock) *scan {
	s := &scan{m: m, l: l, lock: lock, touched: time.Now(), odd: map[uint32]string{}}
	s.lookForAll()
	if len(m.x.Records) == 0 {
		s.found = make([]index.Record, 0, len(l.lines)) // the index takes it over
	}
	return s
}

func (s *scan) lookForAll() {
	records := s.m.x.Records
	s.seen = make([]bool, len(records))
	s.records = newHashTable(len(records), func(i int) uint64 { return records[i].Hash })
	for i := range records {
		s.records.put(i)
	}
}

// entry takes in one file.
func (s *scan) entry(e maildir.Entry) error {
	h := index.Hash(e.Name.Base)
	if i, ok := s.records.find(h); ok {
		if s.seen[i] {
			s.again(e)
			return nil
		}
		if line := s.line(h); line != nil && line.uid > s.m.x.Records[i].UID {
			return s.renumber(i, e, line)
		}
		s.seen[i] = true
		s.compare(i, e)
		return nil
	}
	if !e.Name.CanBeListed() {
		return nil
	}
	if line := s.line(h); line != nil {
		if line.used {
			s.again(e)
			return nil
		}
		line.used = true
		return s.add(e, *line)
	}
	s.fresh.add(e)
	return nil
}

// line returns the line of a message that the index does not know by its number;
// nil: there is none, or it means nothing, since its number names another message.
func (s *scan) line(hash uint64) *listed {
	line := s.l.find(hash)
	if line == nil {
		return nil
	}
	if _, taken := s.m.x.Find(line.uid); taken && !line.used {
		s.l.damaged = true
		return nil
	}
	return line
}

// renumber gives a message that the index knows the higher UID that
// dovecot-uidlist has for it now, which is the truth: another program had lost the
// line that it had, or has found it damaged. All else of the message stays as it
// was, though the new line lacks it.
func (s *scan) renumber(i int, e maildir.Entry, line *listed) error {
	if line.used {
		s.again(e)
		return nil
	}
	r := &s.m.x.Records[i]
	if line.saved == 0 {
		line.saved = r.Saved
	}
	if guid, err := s.m.section(nil, r, index.GUID); err == nil && len(guid) > 0 && s.l.guids[line.uid] == "" {
		s.l.guids[line.uid] = string(guid)
	}
	line.used, s.l.damaged = true, true
	return s.add(e, *line)
}

// again notes a file whose base name was seen before: it was renamed while we
// looked, or there are two.
func (s *scan) again(e maildir.Entry) {
	s.unsure = true
	s.twice = append(s.twice, e)
}

// missed looks for the files of records that were not seen the first time.
func (s *scan) missed(e maildir.Entry) error {
	h := index.Hash(e.Name.Base)
	i, ok := s.records.find(h)
	if !ok || s.seen[i] {
		return nil
	}
	if line := s.l.find(h); line != nil && line.used {
		return nil // it has another number now
	}
	s.seen[i], s.unsure = true, true
	s.compare(i, e)
	return nil
}

// left takes in messages for which there was no room the first time.
func (s *scan) left(e maildir.Entry) error {
	h := index.Hash(e.Name.Base)
	if _, ok := s.records.find(h); ok || s.line(h) != nil || !e.Name.CanBeListed() {
		return nil
	}
	s.fresh.add(e)
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
	r, err := s.m.examine(e, line, s.l.sizesOf(line.uid), s.l.guids[line.uid])
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

// take numbers what is new and brings the index up to date.
func (s *scan) take() (wrote bool, err error) {
	for {
		w, err := s.number()
		wrote = wrote || w
		if err != nil {
			return wrote, err
		}
		if err := s.publish(s.l.header.UIDNext); err != nil {
			return wrote, err
		}
		if s.rest == 0 {
			return wrote, nil
		}
		s.lookForAll()
		if err := s.m.folder.Scan(s.left); err != nil {
			return wrote, fmt.Errorf("reading %s: %w", s.m.name, err)
		}
		for i := range s.seen {
			s.seen[i] = true // the first time, or they are new
		}
	}
}

// number gives UIDs to messages that have none, durably.
func (s *scan) number() (wrote bool, err error) {
	fresh, rest := s.fresh.take()
	if len(fresh) == 0 {
		s.rest = 0
		return false, nil
	}
	if s.lock == nil {
		s.unsure, s.waiting = true, true
		return false, nil
	}
	s.rest = 0
	uid := max(s.l.header.UIDNext, s.m.x.UIDNext)
	recs := make([]maildir.UIDRecord, 0, min(len(fresh), 1024))
	had := len(s.found)
	s.found = slices.Grow(s.found, len(fresh))
	last := ""
	for len(fresh) > 0 {
		batch := fresh[:min(len(fresh), 1024)]
		fresh = fresh[len(batch):]
		recs = recs[:0]
		known := len(s.found)
		for _, e := range batch {
			if uid == 0 || uid == 1<<32-1 {
				return wrote, ErrMailboxOutOfUIDs
			}
			if e.Name.Base == last {
				s.again(e)
				continue
			}
			last = e.Name.Base
			line := listed{uid: uid, saved: seconds32(s.m.a.s.clock.now().Unix())}
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
		err := s.m.appendLines(s.lock, recs)
		if noRoom(err) { // they wait in the folder, and the others can be read
			s.m.a.s.log.Warn("new messages cannot be shown", "person", s.m.a.person, "mailbox", s.m.name, "err", err)
			s.found, s.unsure, s.waiting = s.found[:known], true, true
			return true, nil
		}
		if err != nil {
			return true, diskError(fmt.Errorf("numbering messages in %s: %w", s.m.name, err))
		}
	}
	if len(s.found) > had { // else nothing of it is a message, nor would be the next time
		s.rest = rest
	}
	return true, nil
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
	if s.rest > 0 {
		m.x.Expect(len(s.found) + s.rest)
	}
	m.x.PutAll(s.found)
	m.x.Reserve(uidNext)
	m.mu.Unlock()
	m.wake()
	if m.loaded && len(s.found) > 0 {
		m.askReadAhead(s.found[0].UID - 1)
	}
	s.found, s.changed = nil, nil // the index has them
	clear(s.odd)
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
		s.m.appendData(&r, &index.Entry{index.BaseName: []byte(c.entry.Name.Base), index.GUID: []byte(s.l.guids[r.UID])})
		if _, err := s.m.base(&r); err != nil { // it lies where nothing can be read
			r.Bits |= index.Odd
		}
		if c.bits &^= index.Parsed | index.HasText; r.Bits&index.Odd != 0 {
			c.bits, c.odd = c.bits|index.Odd, c.entry.File
		}
		s.m.mu.Lock()
		s.m.x.Records[c.at].SetOffset(r.Offset())
		s.m.mu.Unlock()
		delete(s.m.doubt, r.UID)
	}
}
