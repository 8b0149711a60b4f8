package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"letterbox/store/index"
	"letterbox/store/maildir"
)

// A Mailbox is an open mailbox. All who open it share it. It may be used by
// several goroutines. When the mailbox is deleted or replaced on disk its methods
// answer ErrNoMailbox or ErrClosed.
type Mailbox struct {
	a        *Account
	id       uint64 // in the order of opening
	refs     int    // guarded by a.mu
	watchers watchers
	replaced atomic.Bool // another Mailbox has its name
	inUse    atomic.Bool // what loaded says, for those who do not hold writeMu

	queueMu sync.Mutex // guards queue
	queue   []*arrival // messages waiting to be placed

	writeMu  sync.Mutex // held by whoever changes the mailbox, with the disk work; guards what follows
	loaded   bool
	down     bool         // shut was called
	mark     maildir.Mark // how far dovecot-uidlist is known
	lines    int          // lines of dovecot-uidlist, about
	listed   listState    // what of it is known to be on disk, under its name
	sig      signature    // of the files when the index was true to them
	settled  bool         // no later change can hide behind sig
	complete bool         // while loading: the index is as it was closed in order
	doubt    map[uint32]bool
	undo     bool // an operation that was refused may have left messages, and its intent
	extra    maildir.FolderFile
	arrived  index.Totals // of messages that were promised room, to be told with the next count
	ahead    uint32       // readAhead has looked at the messages up to this UID

	mu      sync.RWMutex // guards what follows; never held while the disk is written
	name    string       // written under a.mu too
	folder  *maildir.Folder
	retired []*maildir.Folder
	x       *index.Index
	letters letterTable
	err     error // why the mailbox cannot be used any more
}

// Meta is what is known of a message without opening its file.
type Meta struct {
	UID          UID
	Flags        Flags
	ModSeq       ModSeq
	Size         int64 // wire form, octets; -1: not known yet, Mailbox.Size finds out
	InternalDate int64 // Unix seconds
	SaveDate     int64 // Unix seconds; 0: not known
}

// Status are the numbers of a mailbox at one moment.
type Status struct {
	UIDValidity   uint32
	UIDNext       UID
	HighestModSeq ModSeq
	Messages      int
	Unseen        int
	Deleted       int
	FirstUnseen   UID   // 0: none
	Size          int64 // of all messages, wire form, octets; at most so much while sizes are not known
	DeletedSize   int64 // of those with \Deleted, likewise
	MailboxID     string
}

func metaOf(r *index.Record) Meta {
	meta := Meta{UID: UID(r.UID), Flags: Flags(r.Flags), ModSeq: ModSeq(r.ModSeq), Size: r.Size(),
		InternalDate: r.Date(), SaveDate: int64(r.Saved)}
	if r.Bits&index.Sized == 0 {
		meta.Size = -1
	}
	return meta
}

// sizeAtMost returns the size of a message on the wire, or where only that of its
// file is known, what it can be at most: a file of nothing but line ends doubles.
func sizeAtMost(r *index.Record) int64 {
	if r.Bits&index.Sized == 0 {
		return 2 * r.Size()
	}
	return r.Size()
}

// Name returns the mailbox's name in UTF-8, levels separated by "/".
func (m *Mailbox) Name() string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.name
}

// Close ends one use of the mailbox. Unused mailboxes are kept ready for some
// seconds, then their memory is given back.
func (m *Mailbox) Close() error {
	m.release()
	return nil
}

func (m *Mailbox) release() {
	m.a.mu.Lock()
	m.refs--
	last := m.refs == 0
	m.a.mu.Unlock()
	if last {
		m.Relax()
		m.a.s.idle.add(m)
	}
}

// Relax gives back the memory that reading has taken. Call it when a session
// that has the mailbox open goes idle.
func (m *Mailbox) Relax() {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.x != nil {
		m.x.Data().Relax()
		m.x.Text().Relax()
	}
}

func (m *Mailbox) records() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.x == nil {
		return 0
	}
	return len(m.x.Records)
}

// Status returns the mailbox's numbers.
func (m *Mailbox) Status() Status {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.x == nil {
		return Status{}
	}
	st := Status{UIDValidity: m.x.UIDValidity, UIDNext: UID(m.x.UIDNext), HighestModSeq: ModSeq(m.x.ModSeq),
		Messages: len(m.x.Records), MailboxID: m.x.MailboxID}
	for i := range m.x.Records {
		r := &m.x.Records[i]
		st.Size += sizeAtMost(r)
		if !Flags(r.Flags).Has(Seen) {
			if st.Unseen++; st.Unseen == 1 {
				st.FirstUnseen = UID(r.UID)
			}
		}
		if Flags(r.Flags).Has(Deleted) {
			st.Deleted++
			st.DeletedSize += sizeAtMost(r)
		}
	}
	return st
}

// UIDValidity returns the mailbox's UIDVALIDITY, 0 when it cannot be used any more.
func (m *Mailbox) UIDValidity() uint32 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.x == nil {
		return 0
	}
	return m.x.UIDValidity
}

// UIDs appends the UIDs of all messages, ascending, to dst.
func (m *Mailbox) UIDs(dst []UID) []UID {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.x == nil {
		return dst
	}
	dst = slices.Grow(dst, len(m.x.Records))
	for i := range m.x.Records {
		dst = append(dst, UID(m.x.Records[i].UID))
	}
	return dst
}

// Lookup appends what is known of the messages to dst, in the order of uids,
// leaving out those that are gone.
func (m *Mailbox) Lookup(dst []Meta, uids []UID) []Meta {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.x == nil {
		return dst
	}
	next := 0 // neighbours are asked for together
	for _, uid := range uids {
		if next >= len(m.x.Records) || m.x.Records[next].UID != uint32(uid) {
			i, ok := m.x.Find(uint32(uid))
			if !ok {
				continue
			}
			next = i
		}
		dst = append(dst, metaOf(&m.x.Records[next]))
		next++
	}
	return dst
}

// record returns a copy of a message's record.
func (m *Mailbox) record(uid UID) (index.Record, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.err != nil {
		return index.Record{}, m.err
	}
	if m.x == nil {
		return index.Record{}, ErrClosed
	}
	i, ok := m.x.Find(uint32(uid))
	if !ok {
		return index.Record{}, fmt.Errorf("%w: UID %d", ErrExpunged, uid)
	}
	return m.x.Records[i], nil
}

// usable returns why the mailbox cannot be used, if so.
func (m *Mailbox) usable() error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.err
}

// dir returns the folder as it is on disk now.
func (m *Mailbox) dir() *maildir.Folder {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.folder
}

// section appends a section of a message's cached data to dst.
func (m *Mailbox) section(dst []byte, r *index.Record, s index.Section) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.x == nil {
		return dst, m.closedErr()
	}
	return m.x.Data().AppendSection(dst, r.Offset(), r.UID, s)
}

// closedErr returns why there is no index. The caller holds mu.
func (m *Mailbox) closedErr() error {
	if m.err != nil {
		return m.err
	}
	return ErrClosed
}

// base returns the base name of a message's file.
func (m *Mailbox) base(r *index.Record) (string, error) {
	var buf [160]byte
	b, err := m.section(buf[:0], r, index.BaseName)
	if err != nil {
		return "", err
	}
	return string(b), nil
}

// ref returns where the file of a message should lie.
func (m *Mailbox) ref(r *index.Record) (maildir.Ref, string, error) {
	inNew := r.Bits&index.InNew != 0
	if r.Bits&index.Odd != 0 {
		m.mu.RLock()
		defer m.mu.RUnlock()
		if m.x == nil {
			return maildir.Ref{}, "", m.closedErr()
		}
		file := m.x.OddName(r.UID)
		return maildir.Ref{InNew: inNew, File: file}, maildir.ParseName(file).Base, nil
	}
	base, err := m.base(r)
	if err != nil {
		return maildir.Ref{}, "", err
	}
	if inNew {
		return maildir.Ref{InNew: true, File: base}, base, nil
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return maildir.Ref{File: m.letters.file(base, Flags(r.Flags))}, base, nil
}

// file returns the name of a file in cur/ with these flags.
func (t *letterTable) file(base string, f Flags) string {
	return maildir.Name{Base: base, Flags: t.system(f), Keywords: t.toLetters(f), HasInfo: true}.File()
}

// ready makes the mailbox ready for use: it loads the index, or takes in what
// other programs did since the last time.
func (m *Mailbox) ready() error {
	m.writeMu.Lock()
	defer m.writeMu.Unlock()
	if m.loaded {
		if err := m.usable(); err != nil {
			return err
		}
		return m.sync(false)
	}
	return m.loadOnce()
}

// readyUnseen makes the mailbox ready without looking what others did. It waits
// for nobody who is changing the mailbox.
func (m *Mailbox) readyUnseen() error {
	if m.inUse.Load() {
		return m.usable()
	}
	m.writeMu.Lock()
	defer m.writeMu.Unlock()
	if m.loaded {
		return m.usable()
	}
	return m.loadOnce()
}

// loadOnce loads the index. The caller holds writeMu.
func (m *Mailbox) loadOnce() error {
	if err := m.usable(); err != nil {
		return err
	}
	if err := m.load(); err != nil {
		return errors.Join(folderError(err, m.name), m.unload())
	}
	m.loaded = true
	m.inUse.Store(true)
	m.count()
	m.a.s.notifier.addMailbox(m)
	m.askReadAhead(0)
	return nil
}

// unload gives back what a load that went wrong has opened.
func (m *Mailbox) unload() error {
	m.mu.Lock()
	x := m.x
	m.x = nil
	m.mu.Unlock()
	m.mark = maildir.Mark{}
	if x == nil {
		return nil
	}
	return x.Close(signature{}, false)
}

// load opens the index, recovers what a crash left undone and compares with the files.
func (m *Mailbox) load() error {
	removed, err := m.folder.Recover()
	if err != nil && !noRoom(err) {
		return fmt.Errorf("recovering %s: %w", m.name, err)
	}
	m.undo = err != nil
	if len(removed) > 0 {
		m.a.s.log.Info("removed what was never acknowledged", "person", m.a.person, "mailbox", m.name, "messages", len(removed))
	}
	if err := m.folder.CleanTmp(time.Now()); err != nil { // what crashes have left only takes room
		m.a.s.log.Debug("clearing temporary files", "mailbox", m.name, "err", err)
	}
	x, err := index.Load(m.folder.FS())
	if err == nil {
		m.mu.Lock()
		m.x = x
		m.mu.Unlock()
		m.sig, m.settled, m.complete = x.Signature, x.Clean && x.Settled, x.Clean
		if x.Clean {
			m.listed = listState{uint64(x.Signature[6]), x.UIDNext, x.Ceiling}
		}
		if err := m.loadKeywords(); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		m.a.s.log.Info("making the index again", "person", m.a.person, "mailbox", m.name, "why", err)
	}
	return m.sync(false)
}

// shut closes the mailbox for good; users get err. The caller holds a.mu.
func (m *Mailbox) shut(reason error) error {
	m.a.s.notifier.removeMailbox(m)
	m.writeMu.Lock()
	defer m.writeMu.Unlock()
	if m.down {
		return nil
	}
	m.down = true
	if m.x != nil && !m.settled && m.usable() == nil {
		// So that the next opening need not look. While another program is busy in
		// the folder it will have to: nobody waits for that here.
		soon, cancel := context.WithCancel(context.Background())
		cancel()
		if err := m.syncWith(soon); err != nil {
			m.a.s.log.Debug("closing a mailbox", "mailbox", m.name, "err", err)
		}
	}
	m.mu.Lock()
	x := m.x
	m.x = nil
	if m.err == nil {
		m.err = reason
	}
	folders := append(m.retired, m.folder)
	m.retired = nil
	m.mu.Unlock()
	m.loaded = false
	m.inUse.Store(false)

	var errs []error
	if x != nil {
		errs = append(errs, x.Close(m.sig, m.settled))
	}
	for _, f := range folders {
		errs = append(errs, f.Close())
	}
	m.wake()
	return errors.Join(errs...)
}

// Watch wakes ch after every change of the mailbox. The channel needs room for
// one signal; none is waited for. Ask Changes what happened.
func (m *Mailbox) Watch(ch chan<- struct{}) (stop func()) { return m.watchers.add(ch) }

func (m *Mailbox) wake() {
	m.watchers.wake()
	m.a.watchers.wake()
}

// flush ends a change of the index: the account is told what the mailbox holds
// now, and the index is written out. Errors of that cost time at the next opening,
// no more. The caller holds writeMu.
func (m *Mailbox) flush() {
	m.count()
	if err := m.x.Flush(); err != nil {
		m.a.s.log.Warn("writing the index", "person", m.a.person, "mailbox", m.name, "err", err)
	}
}
