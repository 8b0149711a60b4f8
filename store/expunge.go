package store

import (
	"errors"
	"fmt"
	"slices"

	"letterbox/store/index"
	"letterbox/store/maildir"
)

// expungePage is how many messages are expunged at a time: what is known of more is
// not in memory, and the bin is free for others in between.
const expungePage = 1024

// Expunge removes exactly these messages, durably; those that are gone already
// are no error. The caller has chosen those with \Deleted. They are kept for a
// time: see Account.Undelete.
func (m *Mailbox) Expunge(uids []UID) error {
	m.writeMu.Lock()
	defer m.writeMu.Unlock()
	if err := m.usable(); err != nil {
		return err
	}
	if err := m.findLost(uids); err != nil {
		return err
	}
	for page := range slices.Chunk(uids, expungePage) {
		if err := m.expungeSome(page); err != nil {
			return err
		}
	}
	return nil
}

// expungeSome expunges some messages. The caller holds writeMu.
func (m *Mailbox) expungeSome(uids []UID) error {
	ks := make([]maildir.Keeping, 0, len(uids))
	going := make([]uint32, 0, len(uids))
	for _, uid := range uids {
		i, ok := m.x.Find(uint32(uid))
		if !ok {
			continue
		}
		k, err := m.keeping(&m.x.Records[i])
		if err != nil {
			return err
		}
		ks, going = append(ks, k), append(going, uint32(uid))
	}
	if len(ks) == 0 {
		return nil
	}
	var missing []maildir.Ref
	err := m.own(func() (err error) {
		missing, err = m.dispose(ks)
		return err
	})
	if err != nil {
		m.distrust()
		err = diskError(fmt.Errorf("expunging from %s: %w", m.name, err))
		return errors.Join(err, m.sync(true)) // which are gone?
	}
	// Only now: on a full disk there is room to reserve one again.
	modseq, err := m.nextModSeq(nil)
	if err != nil {
		m.distrust()
		return err
	}
	m.forgetRecords(going, modseq)
	m.a.askTidy()
	return m.expungeRenamed(ks, missing)
}

// findLost finds out the names and identities of messages again, which the data
// file should have had: those go with a message. The caller holds writeMu.
func (m *Mailbox) findLost(uids []UID) error {
	if !m.x.Kept() {
		return nil // where nothing can be written, little is known
	}
	lost := false
	for _, uid := range uids {
		i, ok := m.x.Find(uint32(uid))
		if !ok {
			continue
		}
		if _, err := m.section(nil, &m.x.Records[i], index.GUID); errors.Is(err, index.ErrNoData) {
			m.doubtName(uint32(uid))
			lost = true
		}
	}
	if !lost {
		return nil
	}
	return m.sync(true)
}

// keeping tells what the bin has to know of a message. The caller holds writeMu.
func (m *Mailbox) keeping(r *index.Record) (k maildir.Keeping, err error) {
	if k.From, err = m.refNow(r); err != nil {
		return k, err
	}
	guid, err := m.section(nil, r, index.GUID)
	if err != nil && !errors.Is(err, index.ErrNoData) { // without it, it is to go all the same
		return k, err
	}
	k.GUID = string(guid)
	for f, bit := Flags(r.Flags)&^m.letters.withLetters()&^systemMask, 0; f != 0 && bit < len(m.x.Keywords); bit++ {
		if f.Has(Keyword(bit)) {
			k.Keywords = append(k.Keywords, m.x.Keywords[bit])
		}
	}
	return k, nil
}

// refNow returns where a message's file lies, looking for it where the index
// cannot tell. The caller holds writeMu.
func (m *Mailbox) refNow(r *index.Record) (maildir.Ref, error) {
	ref, _, err := m.ref(r)
	if !errors.Is(err, index.ErrNoData) {
		return ref, err
	}
	hash := r.Hash
	err = m.folder.Scan(func(e maildir.Entry) error {
		if index.Hash(e.Name.Base) == hash {
			ref = e.Ref()
		}
		return nil
	})
	return ref, err
}

// expungeRenamed removes messages whose files were not where they were thought
// to be: another program renamed them just before, or removed them.
func (m *Mailbox) expungeRenamed(ks []maildir.Keeping, missing []maildir.Ref) error {
	if len(missing) == 0 {
		return nil
	}
	m.distrust()
	gone := make(map[string]bool, len(missing))
	for _, ref := range missing {
		gone[ref.File] = true
	}
	byBase := make(map[string]maildir.Keeping, len(missing))
	for _, k := range ks {
		if gone[k.From.File] {
			byBase[maildir.ParseName(k.From.File).Base] = k
		}
	}
	var left []maildir.Keeping
	err := m.folder.Scan(func(e maildir.Entry) error {
		if k, ok := byBase[e.Name.Base]; ok {
			k.From = e.Ref()
			left = append(left, k)
		}
		return nil
	})
	if err == nil {
		_, err = m.dispose(left)
	}
	if err != nil {
		return diskError(fmt.Errorf("expunging from %s: %w", m.name, err))
	}
	return nil
}

// forgetRecords takes messages out of the index. The caller holds writeMu.
func (m *Mailbox) forgetRecords(uids []uint32, modseq uint64) {
	if len(uids) == 0 {
		return
	}
	slices.Sort(uids)
	m.mu.Lock()
	m.x.Remove(uids, modseq)
	m.mu.Unlock()
	m.flush()
	m.wake()
}
