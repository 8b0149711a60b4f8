package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"strings"

	"letterbox/store/index"
	"letterbox/store/maildir"
	"letterbox/store/message"
)

// A Finding is something that Check has found.
type Finding struct {
	UID   UID    // 0: it is not about one message
	What  string // without a capital and a full stop
	Did   string // what was done about it; "": nothing
	Fault bool   // false: it is as it may be, and worth knowing
}

// Checked counts what Check has read.
type Checked struct {
	Messages int
	Octets   int64 // of messages, as their files have them
}

// Check reads all messages of a mailbox and compares them with everything that is
// kept about it: file names, dovecot-uidlist, dovecot-keywords and the caches.
// It tells report what differs, as it finds it; the error is for what keeps it
// from going on, ctx among that. Mail is served meanwhile. What opening mailboxes
// and messages mends by itself is mended, the rest is left as it is.
// ErrNoMailbox: there is none.
func (a *Account) Check(ctx context.Context, mailbox string, report func(Finding)) (Checked, error) {
	c := &checker{a: a, mailbox: mailbox, report: report}
	err := c.folder(ctx)
	return c.done, err
}

// Repair is Check that makes right what can be made right from the mail itself.
// It changes no message, and no UID, flag or identity.
func (a *Account) Repair(ctx context.Context, mailbox string, report func(Finding)) (Checked, error) {
	c := &checker{a: a, mailbox: mailbox, report: report, repair: true}
	err := c.folder(ctx)
	return c.done, err
}

// A checker is one Check while it runs. It belongs to one goroutine.
type checker struct {
	a       *Account
	mailbox string
	report  func(Finding)
	repair  bool
	done    Checked
}

// fault reports a fault of which nothing can be made right here.
func (c *checker) fault(uid UID, format string, args ...any) {
	c.report(Finding{UID: uid, What: fmt.Sprintf(format, args...), Fault: true})
}

// mend reports a fault, and makes it right where that is wanted.
func (c *checker) mend(f Finding, did string, do func() error) {
	f.Fault = true
	if c.repair {
		if err := do(); err != nil {
			f.What += fmt.Sprintf(" (and could not be made right: %v)", err)
		} else {
			f.Did = did
		}
	}
	c.report(f)
}

// folder checks the mailbox.
func (c *checker) folder(ctx context.Context) error {
	_, damage, err := c.list()
	if err != nil {
		c.fault(0, "dovecot-uidlist cannot be read: %v", err)
	}
	for _, d := range damage {
		c.report(Finding{What: "dovecot-uidlist: " + d, Did: "it was written anew", Fault: true})
	}
	m, err := c.a.Open(c.mailbox)
	switch {
	case errors.Is(err, ErrNoMailbox), errors.Is(err, ErrClosed):
		return err
	case err != nil:
		c.fault(0, "it cannot be opened: %v", err)
		return nil
	}
	defer m.Close()
	if err := c.compare(ctx, m); err != nil {
		return err
	}
	c.letters(m)
	ids, _, err := c.list() // again, for it may have been written anew
	if err != nil {
		return err
	}
	for _, uid := range m.UIDs(nil) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.message(m, uid, ids[uint32(uid)]); err != nil {
			return err
		}
	}
	return nil
}

// list reads dovecot-uidlist: the hashes of the identities that messages have
// brought along, by UID, and what is damaged in words.
func (c *checker) list() (ids map[uint32]uint64, damage []string, err error) {
	folder, err := c.a.root.Folder(c.mailbox)
	if err != nil {
		return nil, nil, ifMissing(err)
	}
	defer folder.Close()
	r, err := folder.ReadUIDList(maildir.Mark{})
	if err != nil {
		return nil, nil, ifMissing(err)
	}
	defer r.Close()
	ids = map[uint32]uint64{}
	for rec, err := range r.All() {
		if err != nil {
			return nil, nil, err
		}
		if rec.GUID != "" {
			ids[rec.UID] = index.Hash(rec.GUID)
		}
	}
	return ids, r.Damage(), nil
}

// ifMissing forgives that something is not there, or not any more.
func ifMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// compare holds the index against the names of all files and all lines of the
// list.
func (c *checker) compare(ctx context.Context, m *Mailbox) error {
	m.writeMu.Lock()
	defer m.writeMu.Unlock()
	if err := m.usable(); err != nil {
		return err
	}
	if !m.untouched() { // others are at work: what they did is no fault
		if err := m.sync(true); err != nil {
			return err
		}
	}
	return m.withList(ctx, func(lock *maildir.UIDListLock) error {
		if !m.untouched() {
			return nil // again: the next time, then
		}
		m.mark = maildir.Mark{} // all lines
		l, err := m.openList(lock)
		if err != nil {
			return err
		}
		s := newScan(m, l, lock)
		err = m.folder.Scan(s.entry)
		if err == nil && s.missing() { // as syncLocked does
			err = m.folder.Scan(s.missed)
		}
		if err != nil {
			return err
		}
		c.differences(s, l)
		if _, err := s.take(); err != nil {
			return err
		}
		m.flush()
		return s.separate()
	})
}

// differences reports what a scan found that the index did not have so.
func (c *checker) differences(s *scan, l *listing) {
	missing, dead := 0, 0
	for _, ok := range s.seen {
		if !ok {
			missing++
		}
	}
	for i := range l.lines {
		if !l.lines[i].used {
			dead++
		}
	}
	for _, d := range []struct {
		n    int
		what string
	}{
		{len(s.found) + len(s.fresh.entries) + s.fresh.more, "messages that are there are missing in the index"},
		{missing, "messages in the index are not there"},
		{len(s.changed), "messages have other flags or names than the index says"},
		{len(s.twice), "files have the base name of another one"},
	} {
		if d.n > 0 {
			c.report(Finding{What: fmt.Sprintf("%d %s", d.n, d.what), Did: "taken over from the files", Fault: true})
		}
	}
	if dead > 0 {
		c.report(Finding{What: fmt.Sprintf("dovecot-uidlist has %d lines of messages that are gone: they are left out when it is next written anew", dead)})
	}
}

// letters reports keyword letters in file names for which there is no keyword.
func (c *checker) letters(m *Mailbox) {
	m.mu.RLock()
	known := m.letters.known()
	var used uint32
	for _, file := range m.oddNames() {
		used |= maildir.ParseName(file).Keywords
	}
	m.mu.RUnlock()
	var unknown []string
	for i := range 26 {
		if bit := uint32(1) << i; used&bit != 0 && known&bit == 0 {
			unknown = append(unknown, string(rune('a'+i)))
		}
	}
	if len(unknown) > 0 {
		c.fault(0, "file names have the keyword letters %s, which dovecot-keywords does not explain; they are kept", strings.Join(unknown, " "))
	}
}

// oddNames returns the file names that the index keeps as a whole. The caller
// holds mu.
func (m *Mailbox) oddNames() []string {
	if m.x == nil {
		return nil
	}
	var names []string
	for i := range m.x.Records {
		if r := &m.x.Records[i]; r.Bits&index.Odd != 0 {
			names = append(names, m.x.OddName(r.UID))
		}
	}
	return names
}

// message reads a message wholly and compares it with what the caches say of it.
func (c *checker) message(m *Mailbox, uid UID, id uint64) error {
	r, err := m.record(uid)
	if err != nil {
		return ifExpunged(err)
	}
	if _, _, err := m.ref(&r); errors.Is(err, index.ErrNoData) { // opening the file mends that
		c.report(Finding{UID: uid, What: "the caches have lost its name and identity", Did: "noted anew", Fault: true})
	}
	f, err := m.openFile(uid)
	if errors.Is(err, ErrExpunged) || m.usable() != nil {
		return ifExpunged(err)
	}
	c.done.Messages++
	if err != nil {
		c.fault(uid, "its file cannot be opened: %v", err)
		return nil
	}
	defer f.Close()
	if r, err = m.record(uid); err != nil {
		return ifExpunged(err)
	}
	w := witness{r: f}
	s, err := m.a.s.parseFile(&w)
	c.done.Octets += w.n
	if err != nil {
		c.fault(uid, "its file cannot be read past octet %d, and is served up to there: %v", w.n, err)
		return nil
	}
	c.content(m, &r, &w)
	return c.cached(m, r, &Message{m: m, uid: uid, f: f, size: s.Size, crlf: s.CRLF, info: s}, id)
}

func ifExpunged(err error) error {
	if errors.Is(err, ErrExpunged) {
		return nil
	}
	return err
}

// content reports what is wrong with a file as such.
func (c *checker) content(m *Mailbox, r *index.Record, w *witness) {
	uid := UID(r.UID)
	ref, base, err := m.ref(r)
	if err != nil {
		return // said by cached
	}
	switch physical := (maildir.Name{Base: base}).Sizes().Physical; {
	case w.n == 0:
		c.fault(uid, "its file %s is empty: a disk may have lost it in a power cut", ref.File)
	case !w.text:
		c.fault(uid, "its file %s has %d octets, all of them zero: a disk may have lost it in a power cut", ref.File, w.n)
	case physical >= 0 && physical != w.n:
		c.fault(uid, "its file %s has %d octets and not the %d that its name promises: it was cut or changed", ref.File, w.n, physical)
	}
}

// cached compares a message that was read with what the caches have of it.
func (c *checker) cached(m *Mailbox, r index.Record, msg *Message, id uint64) error {
	var wrong []string
	if r.Bits&index.Sized != 0 && r.Size() != msg.size {
		wrong = append(wrong, fmt.Sprintf("size (%d, not %d)", msg.size, r.Size()))
	}
	if r.Bits&index.CRLF != 0 && !msg.crlf {
		wrong = append(wrong, "line ends")
	}
	guid, err := m.section(nil, &r, index.GUID)
	if err != nil && !errors.Is(err, index.ErrNoData) {
		return err
	}
	lost := err != nil || id != 0 && index.Hash(string(guid)) != id || id == 0 && len(guid) > 0
	if lost {
		wrong = append(wrong, "identity")
	}
	if r.Bits&index.Parsed != 0 && !lost {
		stored, err := m.section(nil, &r, index.Structure)
		if errors.Is(err, index.ErrNoData) || err == nil && !bytes.Equal(stored, msg.info.AppendBinary(nil)) {
			wrong = append(wrong, "structure")
		} else if err != nil {
			return err
		}
	}
	if r.Bits&index.HasText != 0 && !lost {
		if same, err := m.hasTextOf(&r, msg); err != nil {
			return err
		} else if !same {
			wrong = append(wrong, "search text")
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	f := Finding{UID: msg.uid, What: "the caches are wrong about its " + strings.Join(wrong, ", ")}
	c.mend(f, "noted anew", func() error {
		if lost {
			if err := m.recover(msg.uid); err != nil {
				return err
			}
		}
		found, err := m.readMessage(msg.uid)
		if err = errors.Join(err, found.cut); err != nil {
			return err
		}
		m.writeMu.Lock()
		defer m.writeMu.Unlock()
		if err := m.usable(); err != nil {
			return err
		}
		if err := m.keepReading(found); err != nil {
			return err
		}
		m.flush()
		return nil
	})
	return nil
}

// hasTextOf reports whether the search text that is kept of a message is its own.
func (m *Mailbox) hasTextOf(r *index.Record, msg *Message) (bool, error) {
	kept, place, ok := m.textOf(UID(r.UID))
	if !ok {
		return false, nil
	}
	stored := fingerprint{Hash: sha256.New(), left: 1 << 62}
	_, err := kept.Look(place, r.UID, nil, func(text io.Reader, _ int64) (bool, error) {
		_, err := io.Copy(&stored, text)
		return false, err
	})
	cut := errors.Is(err, index.ErrTextCut)
	if err != nil && !cut {
		return false, nil // it is damaged
	}
	own := fingerprint{Hash: sha256.New(), left: stored.n}
	if _, err := message.WriteSearchText(&own, msg, msg.info); err != nil {
		return false, fmt.Errorf("reading message %d: %w", msg.uid, err)
	}
	return bytes.Equal(own.Sum(nil), stored.Sum(nil)) && (cut || own.n == stored.n), nil
}

// A fingerprint hashes the beginning of what is written, and counts all of it.
type fingerprint struct {
	hash.Hash
	left int64 // so much of it is hashed
	n    int64
}

func (f *fingerprint) Write(b []byte) (int, error) {
	f.n += int64(len(b))
	hashed := b[:min(int64(len(b)), f.left)]
	f.left -= int64(len(hashed))
	_, _ = f.Hash.Write(hashed) // never fails
	return len(b), nil
}

// A witness counts what is read and notes whether it was anything but zeros.
type witness struct {
	r    io.Reader
	n    int64
	text bool
}

func (w *witness) Read(b []byte) (int, error) {
	n, err := w.r.Read(b)
	w.n += int64(n)
	w.text = w.text || len(bytes.TrimLeft(b[:n], "\x00")) > 0
	return n, err
}
