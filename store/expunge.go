package store

import (
	"errors"
	"fmt"
	"slices"

	"letterbox/store/index"
	"letterbox/store/maildir"
)

// Expunge removes exactly these messages, durably; those that are gone already
// are no error. The caller has chosen those with \Deleted.
func (m *Mailbox) Expunge(uids []UID) error {
	m.writeMu.Lock()
	defer m.writeMu.Unlock()
	if err := m.usable(); err != nil {
		return err
	}
	refs := make([]maildir.Ref, 0, len(uids))
	going := make([]uint32, 0, len(uids))
	for _, uid := range uids {
		i, ok := m.x.Find(uint32(uid))
		if !ok {
			continue
		}
		ref, err := m.refNow(&m.x.Records[i])
		if err != nil {
			return err
		}
		refs, going = append(refs, ref), append(going, uint32(uid))
	}
	if len(refs) == 0 {
		return nil
	}
	var missing []maildir.Ref
	err := m.own(func() (err error) {
		missing, err = m.folder.RemoveFound(refs)
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
	return m.expungeRenamed(missing)
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
func (m *Mailbox) expungeRenamed(missing []maildir.Ref) error {
	if len(missing) == 0 {
		return nil
	}
	m.distrust()
	gone := make(map[string]bool, len(missing))
	for _, ref := range missing {
		gone[maildir.ParseName(ref.File).Base] = true
	}
	var left []maildir.Ref
	err := m.folder.Scan(func(e maildir.Entry) error {
		if gone[e.Name.Base] {
			left = append(left, e.Ref())
		}
		return nil
	})
	if err == nil {
		err = m.folder.Remove(left)
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
