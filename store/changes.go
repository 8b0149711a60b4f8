package store

import (
	"slices"
	"sort"
)

// Changes are what happened to a mailbox since a mod-sequence.
type Changes struct {
	HighestModSeq ModSeq

	// Vanished are the UIDs of messages that went, ascending. If Incomplete is set the mailbox does not remember
	// that far back: all UIDs below UIDNEXT that do not exist may have gone.
	Vanished   []UID
	Incomplete bool

	Changed []Meta // ascending UID, new messages among them
}

// Changes returns what happened since a mod-sequence: messages whose flags
// changed, that came and that went after it.
func (m *Mailbox) Changes(since ModSeq) (Changes, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.x == nil || m.err != nil {
		return Changes{}, m.closedErr()
	}
	c := Changes{HighestModSeq: ModSeq(m.x.ModSeq), Incomplete: uint64(since) < m.x.Floor}
	if uint64(since) >= m.x.ModSeq {
		return c, nil
	}
	for i := range m.x.Records {
		if m.x.Records[i].ModSeq > uint64(since) {
			c.Changed = append(c.Changed, metaOf(&m.x.Records[i]))
		}
	}
	first := sort.Search(len(m.x.Vanished), func(i int) bool { return m.x.Vanished[i].ModSeq > uint64(since) })
	for _, v := range m.x.Vanished[first:] {
		for uid := v.First; uid <= v.Last; uid++ {
			c.Vanished = append(c.Vanished, UID(uid))
		}
	}
	slices.Sort(c.Vanished)
	return c, nil
}
