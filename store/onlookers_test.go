package store

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"letterbox/store/maildir"
)

// Onlookers are all the mail programs there could be: they remember whatever the
// store has shown at any moment, and say whether what is shown later
// contradicts it. It may be used by several goroutines.
type onlookers struct {
	mu    sync.Mutex // guards what follows
	boxes map[boxKey]*boxMemory
	ids   map[string][]shownValidity // by person and MAILBOXID
	names map[string][]shownValidity // by person and name
}

// shownValidity is a UIDVALIDITY and the moment it was shown first.
type shownValidity struct {
	at       int
	validity uint32
}

func note(m map[string][]shownValidity, key string, at int, validity uint32) {
	if n := len(m[key]); n == 0 || m[key][n-1].validity != validity {
		m[key] = append(m[key], shownValidity{at, validity})
	}
}

type boxKey struct {
	person   string
	validity uint32
}

// A boxMemory is what was shown of one mailbox under one UIDVALIDITY.
type boxMemory struct {
	facts map[UID]facts
	views []boxView // as they were shown, without repetitions
}

// facts are what never changes about a UID.
type facts struct {
	at                int // the moment they were first shown
	text, emailID     string
	size, date, saved int64
}

// A boxView is what a program knows that looked at a moment and not again.
type boxView struct {
	at      int
	uidNext UID
	modseq  ModSeq
	msgs    map[UID]shownMessage
}

type shownMessage struct {
	flags  string
	modseq ModSeq
}

func newOnlookers() *onlookers {
	return &onlookers{boxes: map[boxKey]*boxMemory{}, ids: map[string][]shownValidity{}, names: map[string][]shownValidity{}}
}

// until are onlookers who know what was shown up to a moment, as of the
// beginning of another history.
func (w *onlookers) until(at int) *onlookers {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := newOnlookers()
	for key, box := range w.boxes {
		c.boxes[key] = box.until(at)
		for uid, f := range c.boxes[key].facts {
			f.at = 0
			c.boxes[key].facts[uid] = f
		}
		for i := range c.boxes[key].views {
			c.boxes[key].views[i].at = 0
		}
	}
	before := func(to, from map[string][]shownValidity) {
		for key, list := range from {
			for _, s := range list {
				if s.at <= at {
					note(to, key, 0, s.validity)
				}
			}
		}
	}
	before(c.ids, w.ids)
	before(c.names, w.names)
	return c
}

// until copies what was known at a moment.
func (b *boxMemory) until(at int) *boxMemory {
	c := &boxMemory{facts: maps.Clone(b.facts)}
	maps.DeleteFunc(c.facts, func(_ UID, f facts) bool { return f.at > at })
	c.views = slices.DeleteFunc(slices.Clone(b.views), func(v boxView) bool { return v.at > at })
	return c
}

// flagText writes flags as a mail program sees them.
func flagText(f Flags, keywords []string) string {
	var names []string
	for i, name := range SystemFlags {
		if f.Has(1 << i) {
			names = append(names, name)
		}
	}
	for i, name := range keywords {
		if f.Has(Keyword(i)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// viewOf is what m shows now, all of one moment.
func viewOf(m *Mailbox) (st Status, v boxView, metas []Meta) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.x == nil || m.err != nil {
		return Status{}, v, nil
	}
	st = Status{UIDValidity: m.x.UIDValidity, UIDNext: UID(m.x.UIDNext), HighestModSeq: ModSeq(m.x.ModSeq), MailboxID: m.x.MailboxID}
	v = boxView{uidNext: st.UIDNext, modseq: st.HighestModSeq, msgs: map[UID]shownMessage{}}
	for i := range m.x.Records {
		meta := metaOf(&m.x.Records[i])
		metas = append(metas, meta)
		v.msgs[meta.UID] = shownMessage{flagText(meta.Flags, m.x.Keywords), meta.ModSeq}
	}
	return st, v, metas
}

// glance notes what the mailbox shows at a moment. It changes nothing and waits
// for nobody, so that it may be called in the midst of an operation.
func (w *onlookers) glance(at int, m *Mailbox) {
	st, v, metas := viewOf(m)
	if st.UIDValidity == 0 {
		return
	}
	v.at = at
	w.mu.Lock()
	defer w.mu.Unlock()
	box := w.box(at, m, st)
	if n := len(box.views); n == 0 || box.views[n-1].modseq != v.modseq || box.views[n-1].uidNext != v.uidNext || !maps.Equal(box.views[n-1].msgs, v.msgs) {
		box.views = append(box.views, v)
	}
	for _, meta := range metas {
		known, ok := box.facts[meta.UID]
		if !ok {
			known = facts{at: at, size: -1, date: meta.InternalDate, saved: meta.SaveDate}
		}
		known.size = max(known.size, meta.Size)
		if known.text == "" {
			known.text, known.emailID = peek(m, meta.UID)
		}
		box.facts[meta.UID] = known
	}
}

// box returns the memory of a mailbox. The caller holds mu.
func (w *onlookers) box(at int, m *Mailbox, st Status) *boxMemory {
	key := boxKey{m.a.person, st.UIDValidity}
	if w.boxes[key] == nil {
		w.boxes[key] = &boxMemory{facts: map[UID]facts{}}
	}
	note(w.ids, m.a.person+" "+st.MailboxID, at, st.UIDValidity)
	note(w.names, m.a.person+" "+m.Name(), at, st.UIDValidity)
	return w.boxes[key]
}

// known returns what was known of a mailbox at a moment.
func (w *onlookers) known(at int, m *Mailbox, st Status) (box *boxMemory, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.ids[m.a.person+" "+st.MailboxID] {
		if s.at <= at && s.validity != st.UIDValidity {
			err = errors.Join(err, fmt.Errorf("the UIDVALIDITY of mailbox %s was %d, is %d", st.MailboxID, s.validity, st.UIDValidity))
		}
	}
	for _, s := range w.names[m.a.person+" "+m.Name()] {
		if s.at <= at && s.validity > st.UIDValidity {
			err = errors.Join(err, fmt.Errorf("the UIDVALIDITY went back from %d to %d", s.validity, st.UIDValidity))
		}
	}
	if box = w.boxes[boxKey{m.a.person, st.UIDValidity}]; box == nil {
		return &boxMemory{}, err
	}
	return box.until(at), err
}

// peek reads a message where the index says it is, "" if it is not there just now.
func peek(m *Mailbox, uid UID) (text, emailID string) {
	r, err := m.record(uid)
	if err != nil {
		return "", ""
	}
	ref, _, err := m.ref(&r)
	if err != nil {
		return "", ""
	}
	guid, err := m.guid(&r)
	if err != nil {
		return "", ""
	}
	f, err := m.dir().Open(ref)
	if err != nil {
		return "", ""
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return "", ""
	}
	return string(b), maildir.EmailID(guid)
}

// contradictions compares what the mailbox shows now with all that was shown up
// to a moment.
func (w *onlookers) contradictions(t testing.TB, at int, m *Mailbox) error {
	t.Helper()
	st, now, metas := viewOf(m)
	box, err := w.known(at, m, st)
	for _, meta := range metas {
		if known, ok := box.facts[meta.UID]; ok {
			err = errors.Join(err, known.contradicted(t, m, meta))
		}
	}
	for i := range box.views {
		v := &box.views[i]
		if verr := v.contradicted(m, &now, box.facts); verr != nil {
			return errors.Join(err, fmt.Errorf("to who looked at moment %d: %w", v.at, verr))
		}
	}
	return err
}

func (known *facts) contradicted(t testing.TB, m *Mailbox, meta Meta) error {
	t.Helper()
	id, err := m.EmailID(meta.UID)
	if err != nil {
		return fmt.Errorf("the EMAILID of UID %d: %w", meta.UID, err)
	}
	now := facts{at: known.at, text: content(t, m, meta.UID), emailID: id, size: meta.Size, date: meta.InternalDate, saved: meta.SaveDate}
	if known.text == "" {
		now.text, now.emailID = "", ""
	}
	if known.size < 0 || now.size < 0 {
		now.size = known.size
	}
	if now != *known {
		return fmt.Errorf("UID %d was %+v, is %+v", meta.UID, *known, now)
	}
	return nil
}

// contradicted says what a program that has this view cannot make out any more,
// asking what has changed since.
func (v *boxView) contradicted(m *Mailbox, now *boxView, known map[UID]facts) error {
	if now.uidNext < v.uidNext || now.modseq < v.modseq {
		return fmt.Errorf("UIDNEXT %d, HIGHESTMODSEQ %d went back to %d, %d", v.uidNext, v.modseq, now.uidNext, now.modseq)
	}
	have := map[UID]string{}
	for uid, msg := range v.msgs {
		have[uid] = msg.flags
	}
	for uid, msg := range now.msgs {
		was, ok := v.msgs[uid]
		if ok && msg.modseq < was.modseq {
			return fmt.Errorf("the mod-sequence of UID %d went back from %d to %d", uid, was.modseq, msg.modseq)
		}
		if _, shown := known[uid]; !ok && uid < v.uidNext && !shown {
			return fmt.Errorf("UID %d came below the UIDNEXT %d", uid, v.uidNext)
		}
	}
	return v.resync(m, now, have)
}

// resync does what a program does that comes back, and compares.
func (v *boxView) resync(m *Mailbox, now *boxView, have map[UID]string) error {
	c, err := m.Changes(v.modseq)
	if err != nil {
		return err
	}
	keywords := m.Keywords()
	for _, uid := range c.Vanished {
		delete(have, uid)
	}
	if c.Incomplete {
		maps.DeleteFunc(have, func(uid UID, _ string) bool { _, ok := now.msgs[uid]; return !ok })
	}
	for _, meta := range c.Changed {
		have[meta.UID] = flagText(meta.Flags, keywords)
	}
	want := map[UID]string{}
	for uid, msg := range now.msgs {
		want[uid] = msg.flags
	}
	if !maps.Equal(have, want) {
		return fmt.Errorf("it had %v at HIGHESTMODSEQ %d, is told %+v, so that it has\n%v, but there is\n%v", v.msgs, v.modseq, c, have, want)
	}
	return nil
}
