package store

import (
	"time"

	"letterbox/store/index"
	"letterbox/store/maildir"
)

// syncNotices takes in what a few notices are about, without reading the whole
// folder. enough is false where they do not tell what was done, and nothing is
// taken in then. What other programs did of which no notice has come yet, a later
// one will tell. The caller holds writeMu and the list's lock, and the mailbox is
// loaded.
func (m *Mailbox) syncNotices(lock *maildir.UIDListLock, ns []notice) (enough bool, err error) {
	sig, _, err := m.sign()
	if err != nil {
		return true, err
	}
	began := time.Now()
	l, err := m.openList(lock)
	if err != nil {
		return true, diskError(err)
	}
	if err := m.loadKeywords(); err != nil {
		return true, err
	}
	s := m.scanOf(ns, l, lock)
	if !s.noticed(ns) {
		m.mark = maildir.Mark{} // the lines that were read just now are wanted again
		return false, nil
	}
	m.mu.Lock()
	m.x.Ceiling = max(m.x.Ceiling, l.header.ModSeqCeiling)
	m.mu.Unlock()
	wrote, err := s.take()
	if err != nil {
		return true, err
	}
	m.flush()
	return true, m.adoptSignature(sig, began, wrote || m.x.Ceiling != l.header.ModSeqCeiling, true)
}

// scanOf is a scan that looks at nothing but the files of notices.
func (m *Mailbox) scanOf(ns []notice, l *listing, lock *maildir.UIDListLock) *scan {
	records := m.x.Records
	s := &scan{m: m, l: l, lock: lock, touched: time.Now(), seen: make([]bool, len(records)), odd: map[uint32]string{}}
	for i := range s.seen {
		s.seen[i] = true
	}
	s.records = newHashTable(len(ns), func(i int) uint64 { return records[i].Hash })
	for _, i := range m.wanted(ns) {
		if i >= 0 {
			s.records.put(i)
			s.seen[i] = false
		}
	}
	return s
}

// noticed takes in the files of notices; false: they do not tell what was done.
func (s *scan) noticed(ns []notice) bool {
	if s.l.damaged {
		return false
	}
	of := map[uint64][]notice{} // by the hash of the base name
	for _, n := range ns {
		h := index.Hash(maildir.ParseName(n.at.File).Base)
		of[h] = append(of[h], n)
	}
	for i := range s.l.lines {
		if of[s.l.lines[i].hash] == nil {
			return false // a message whose notice has not come yet
		}
	}
	for h, ns := range of {
		e, found, clear := s.findNoticed(h, ns)
		if !clear {
			return false
		}
		if !found {
			continue // it is gone, or has come and gone
		}
		if err := s.entry(e); err != nil {
			return false
		}
	}
	return !s.unsure && !s.l.damaged
}

// findNoticed finds the file of a message; clear is false where it may have one
// that no notice names.
func (s *scan) findNoticed(h uint64, ns []notice) (e maildir.Entry, found, clear bool) {
	places, removed := map[maildir.Ref]bool{}, map[maildir.Ref]bool{}
	for _, n := range ns {
		places[n.at] = places[n.at] || n.arrived
		removed[n.at] = removed[n.at] || n.removed
	}
	i, known := s.records.find(h)
	if known {
		at, _, err := s.m.ref(&s.m.x.Records[i])
		if err != nil {
			return e, false, false
		}
		places[at] = true
	}
	gone := true // it went from wherever it was, and not by getting another name
	for at, arrived := range places {
		switch {
		case arrived && s.m.exists(at):
			if found {
				return e, false, false // two files of one name
			}
			e, found = maildir.Entry{File: at.File, Name: maildir.ParseName(at.File), InNew: at.InNew}, true
		case !removed[at]:
			gone = false
		}
	}
	return e, found, found || !known || gone
}
