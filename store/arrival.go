package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"letterbox/store/index"
	"letterbox/store/maildir"
	"letterbox/store/message"
)

// An arrival is a message on its way into a mailbox: written and synced in
// tmp/, waiting to be placed.
type arrival struct {
	temp  *maildir.Temp
	info  *message.Structure
	text  *index.TextEntry // nil: it could not be made
	flags Flags
	names []string // flags by name, as they were asked for
	date  time.Time
	guid  string // the EMAILID it brings along; "": its base name is its identity

	room     *reservation // nil: none was needed, or it has ended
	together bool         // it must not be in the mailbox without others of its caller

	ref  maildir.Ref
	base string
	uid  UID
	done bool  // guarded by the mailbox's writeMu, as is err
	err  error // why it is not in the mailbox
}

// receive writes a message into the folder's tmp/, synced.
func (m *Mailbox) receive(in *Incoming, header []byte, date time.Time) (*arrival, error) {
	a, err := m.write(in, header, date)
	if err != nil {
		return nil, err
	}
	if err := m.finish(a); err != nil {
		return nil, errors.Join(err, a.temp.Discard())
	}
	return a, nil
}

// finish makes what write has written durable: messages that are written first
// and finished then share much of what the disk has to do.
func (m *Mailbox) finish(a *arrival) error {
	if err := a.temp.Finish(); err != nil {
		return m.orGone(diskError(fmt.Errorf("writing a message to %s: %w", m.Name(), err)))
	}
	return nil
}

// write writes a message into the folder's tmp/ and takes it apart on the way.
// Nobody sees it yet. The mailbox may be deleted meanwhile, since nothing is
// locked.
func (m *Mailbox) write(in *Incoming, header []byte, date time.Time) (_ *arrival, err error) {
	temp, err := m.dir().NewTemp()
	if err != nil {
		return nil, m.orGone(diskError(err))
	}
	defer func() {
		if err != nil {
			err = m.orGone(diskError(errors.Join(fmt.Errorf("writing a message to %s: %w", m.Name(), err), temp.Discard())))
		}
	}()
	p := m.a.s.parsers.get()
	defer m.a.s.parsers.put(p)
	buf := m.a.s.buffers.get()
	defer m.a.s.buffers.put(buf)
	from := io.MultiReader(bytes.NewReader(header), in.Reader())
	if err := copyFull(io.MultiWriter(temp, p), from, (*buf)[:memoryLimit]); err != nil {
		return nil, err
	}
	info := p.Close()
	if err := temp.SetDate(date); err != nil {
		return nil, err
	}
	// While the disk writes: this costs less than what finish waits for.
	return &arrival{temp: temp, info: info, text: m.arrivingText(in, header, info), date: date}, nil
}

// arrivingText makes the search text of a message that is being written.
func (m *Mailbox) arrivingText(in *Incoming, header []byte, info *message.Structure) *index.TextEntry {
	if !info.CRLF { // what was written is not the wire form: readAhead makes it
		return nil
	}
	text, err := m.a.s.texts.make(arriving{header, in}, info)
	if err != nil {
		m.a.s.log.Warn("making the search text", "person", m.a.person, "mailbox", m.Name(), "err", err)
	}
	return text
}

// arriving is a message that is being written: a header in front of what came in.
type arriving struct {
	header []byte
	in     *Incoming
}

func (a arriving) ReadAt(b []byte, off int64) (n int, err error) {
	if off < int64(len(a.header)) {
		n = copy(b, a.header[off:])
	}
	if n == len(b) {
		return n, nil
	}
	k, err := a.in.readAt(b[n:], off+int64(n)-int64(len(a.header)))
	return n + k, err
}

// discard gives up an arrival that is not in the mailbox.
func (a *arrival) discard() error {
	a.room.giveBack()
	return a.temp.Discard()
}

// orGone says of an error that the mailbox went away, if it did: its folder is
// closed then or being taken apart, whatever was being done in it.
func (m *Mailbox) orGone(err error) error {
	if gone := m.usable(); gone != nil {
		return fmt.Errorf("%w: %w", gone, err)
	}
	if !m.dir().InPlace() {
		return fmt.Errorf("%w: %w", ErrNoMailbox, err)
	}
	return err
}

// copyFull copies with writes that are as large as buf, but for the last.
func copyFull(to io.Writer, from io.Reader, buf []byte) error {
	for {
		n, err := io.ReadFull(from, buf)
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				return werr
			}
		}
		switch {
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// place puts arrivals into the mailbox. Those of several callers that wait for
// each other share one numbering and two syncs. On error none of as is in the
// mailbox.
func (m *Mailbox) place(ctx context.Context, as ...*arrival) error {
	for _, a := range as { // else those who are placed together would be refused together
		if _, _, err := m.findFlags(a.names); err != nil {
			return err
		}
	}
	m.queueMu.Lock()
	m.queue = append(m.queue, as...)
	m.queueMu.Unlock()

	m.writeMu.Lock()
	defer m.writeMu.Unlock()
	if !as[0].done { // nobody took ours along
		m.queueMu.Lock()
		queue := m.queue
		m.queue = nil
		m.queueMu.Unlock()
		for _, a := range queue {
			a.err = errNotPlaced // until it is known to be there
		}
		m.placeAll(ctx, queue)
	}
	for _, a := range as {
		if a.err != nil {
			return a.err
		}
	}
	return nil
}

// errNotPlaced is what became of a message of which nobody said what became of it.
var errNotPlaced = errors.New("the message was not placed")

// placeAll places what waits, all or nothing. The caller holds writeMu.
func (m *Mailbox) placeAll(ctx context.Context, as []*arrival) {
	if len(as) == 0 {
		return
	}
	err := m.usable()
	if err == nil && !m.loaded {
		err = ErrClosed
	}
	if err == nil {
		err = m.placeFlags(as)
	}
	if err == nil {
		err = m.placeNumbered(context.WithoutCancel(ctx), as)
	}
	for _, a := range as {
		a.done, a.err = true, err
	}
	m.a.askTidy()
}

// placeFlags turns names into flags. Keywords for which there is no room are
// left out: no message is refused for them.
func (m *Mailbox) placeFlags(as []*arrival) error {
	for _, a := range as {
		if len(a.names) == 0 {
			continue
		}
		f, err := m.makeFlags(a.names)
		if errors.Is(err, ErrTooManyKeywords) {
			f, err = m.makeSomeFlags(a.names)
		}
		if err != nil {
			return err
		}
		a.flags = f
	}
	return nil
}

func (m *Mailbox) placeNumbered(ctx context.Context, as []*arrival) (err error) {
	lock, err := m.lockList(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if uerr := lock.Unlock(); uerr != nil {
			m.a.s.log.Warn("unlocking dovecot-uidlist", "mailbox", m.name, "err", uerr)
		}
	}()
	first, err := m.catchUp(lock, len(as))
	if err != nil {
		return err
	}
	modseq, err := m.nextModSeq(lock)
	if err != nil {
		return err
	}
	saved := m.a.s.clock.now()
	namer := m.a.root.NewNamer(saved)
	for i, a := range as {
		a.uid = first + UID(i)
		a.base = namer.Next(maildir.Sizes{Physical: a.info.Size, Virtual: a.info.Size})
		a.ref = maildir.Ref{File: m.letters.file(a.base, a.flags)}
	}
	err = m.own(func() error { return m.placeOrNot(lock, namer, as, saved) })
	if err != nil {
		m.distrust()
		return diskError(fmt.Errorf("placing a message in %s: %w", m.name, err))
	}
	m.indexArrivals(as, modseq, saved)
	return nil
}

// distrust makes the next opening compare everything, and the next numbering read
// which UIDs dovecot-uidlist has: those of messages that could not be placed may be
// in it or not, and nobody is shown a UIDNEXT before it is on disk.
func (m *Mailbox) distrust() {
	m.sig, m.settled, m.mark = signature{}, false, maildir.Mark{}
}

// catchUp takes in what others added to dovecot-uidlist, so that their UIDs are
// shown before ours, and returns the first of n new UIDs.
func (m *Mailbox) catchUp(lock *maildir.UIDListLock, n int) (UID, error) {
	if !lock.Unchanged(m.mark) {
		if err := m.readMore(lock); err != nil {
			m.mark = maildir.Mark{} // lines that were read may not have been taken in
			return 0, err
		}
	}
	next := m.x.UIDNext
	if uint64(next)+uint64(n) >= 1<<32-1 {
		return 0, ErrMailboxOutOfUIDs
	}
	return UID(next), nil
}

// readMore takes in what was added to dovecot-uidlist.
func (m *Mailbox) readMore(lock *maildir.UIDListLock) error {
	l, err := m.openList(lock)
	if err != nil {
		return diskError(err)
	}
	if len(l.lines) == 0 && !l.damaged && l.header.UIDNext <= m.x.UIDNext {
		return nil
	}
	m.mark = maildir.Mark{}
	return m.syncLocked(lock)
}

// placeOrNot places all files and their lines, durably, or takes back what it
// did. What a crash leaves half done, an intent undoes at the next start.
func (m *Mailbox) placeOrNot(lock *maildir.UIDListLock, namer *maildir.Namer, as []*arrival, saved time.Time) (err error) {
	var intent *maildir.Intent
	if slices.ContainsFunc(as, func(a *arrival) bool { return a.together }) {
		if intent, err = m.folder.BeginIntent(namer); err != nil {
			return err
		}
	}
	err = m.placeFiles(lock, as, saved)
	if err == nil && intent != nil {
		err = m.folder.EndIntent(intent)
	}
	if err == nil {
		return nil
	}
	m.undo = intent != nil
	refs := make([]maildir.Ref, len(as))
	for i, a := range as {
		refs[i] = a.ref
	}
	if rerr := m.folder.Remove(refs); rerr != nil || intent == nil {
		return errors.Join(err, rerr) // the intent stays
	}
	return errors.Join(err, m.folder.EndIntent(intent))
}

// placeFiles renames files into cur/ and appends their lines, then makes both
// durable. Another program that sees a file without its line waits for the lock.
func (m *Mailbox) placeFiles(lock *maildir.UIDListLock, as []*arrival, saved time.Time) error {
	recs := make([]maildir.UIDRecord, len(as))
	flags := make(map[uint32]Flags, len(as))
	for i, a := range as {
		if err := a.temp.Place(a.ref); err != nil {
			return err
		}
		recs[i] = maildir.UIDRecord{UID: uint32(a.uid), Base: a.base, GUID: a.guid, Physical: -1, Virtual: -1, SaveDate: saved.Unix()}
		flags[uint32(a.uid)] = a.flags
	}
	if err := m.appendLines(lock, recs); err != nil {
		return err
	}
	if err := m.folder.SyncCur(); err != nil {
		return err
	}
	if err := m.saveExtra(flags); err != nil {
		return err
	}
	// A folder that another program removes takes what is in it along. Only if it
	// was still there when the message was, the message was in it.
	if !m.folder.InPlace() {
		return fmt.Errorf("%w: another program removed or renamed %s", ErrNoMailbox, m.name)
	}
	return nil
}

// appendLines adds to dovecot-uidlist, durably, writing it anew first where its
// end or its head does not allow it.
func (m *Mailbox) appendLines(lock *maildir.UIDListLock, recs []maildir.UIDRecord) error {
	mark, err := lock.Append(recs, m.mark)
	if errors.Is(err, maildir.ErrRewrite) {
		if err = m.rewrite(lock, 0); err == nil {
			mark, err = lock.Append(recs, maildir.Mark{})
		}
	}
	if err != nil {
		return err
	}
	m.mark = mark
	m.lines += len(recs)
	return nil
}

// indexArrivals takes messages that are in the mailbox into the index.
func (m *Mailbox) indexArrivals(as []*arrival, modseq uint64, saved time.Time) {
	recs := make([]index.Record, len(as))
	for i, a := range as {
		r := &recs[i]
		*r = index.Record{UID: uint32(a.uid), Flags: uint64(a.flags), ModSeq: modseq, Hash: index.Hash(a.base), Saved: seconds32(saved.Unix())}
		r.SetDate(a.date.Unix())
		describe(r, a.info)
		m.appendData(r, &index.Entry{index.BaseName: []byte(a.base), index.Structure: a.info.AppendBinary(nil),
			index.GUID: []byte(a.guid), index.TextPlace: m.appendText(r, a.text)})
	}
	m.mu.Lock()
	for i, a := range as {
		if recs[i].Bits&index.Odd != 0 {
			m.x.SetOdd(recs[i].UID, a.ref.File)
		}
	}
	m.x.PutAll(recs)
	m.mu.Unlock()
	for _, a := range as {
		m.settle(a.room)
	}
	m.flush()
	m.wake()
}

// appendData writes a message's data entry. Where that does not succeed, the
// record says so, and the caller keeps the file's name with SetOdd.
func (m *Mailbox) appendData(r *index.Record, e *index.Entry) {
	off, err := m.x.Data().Append(r.UID, e)
	if err != nil {
		m.a.s.log.Warn("writing the index", "person", m.a.person, "mailbox", m.name, "err", err)
		r.Bits = r.Bits&^(index.Parsed|index.HasText) | index.Odd
		m.distrust()
		return
	}
	r.SetOffset(off)
}
