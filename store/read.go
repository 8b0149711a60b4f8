package store

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"letterbox/store/index"
	"letterbox/store/maildir"
	"letterbox/store/message"
)

// AppendEnvelope appends a message's ENVELOPE, as IMAP sends it, to dst.
// ErrExpunged: it is gone.
func (m *Mailbox) AppendEnvelope(dst []byte, uid UID) ([]byte, error) {
	b, err := m.appendStored(dst, uid)
	if err != nil {
		return dst, err
	}
	envelope, err := message.StoredEnvelope(b[len(dst):])
	if err == nil {
		return append(b[:len(dst)], envelope...), nil
	}
	s, err := m.parse(uid) // written by another version
	if err != nil {
		return dst, err
	}
	return s.AppendEnvelope(dst), nil
}

// AppendBodyStructure appends a message's BODYSTRUCTURE to dst. ErrExpunged: it is gone.
func (m *Mailbox) AppendBodyStructure(dst []byte, uid UID) ([]byte, error) {
	b, err := m.appendStored(dst, uid)
	if err != nil {
		return dst, err
	}
	if out, err := message.AppendStoredBodyStructure(b, b[len(dst):]); err == nil {
		return append(out[:len(dst)], out[len(b):]...), nil
	}
	s, err := m.parse(uid) // written by another version
	if err != nil {
		return dst, err
	}
	return s.AppendBodyStructure(dst), nil
}

// AppendBody appends a message's BODY, which is BODYSTRUCTURE without extension
// data, to dst. ErrExpunged: it is gone.
func (m *Mailbox) AppendBody(dst []byte, uid UID) ([]byte, error) {
	s, err := m.structure(uid)
	if err != nil {
		return dst, err
	}
	return s.AppendBody(dst), nil
}

// structure returns what is known of a message's parts.
func (m *Mailbox) structure(uid UID) (*message.Structure, error) {
	b, err := m.appendStored(nil, uid)
	if err != nil {
		return nil, err
	}
	if s, err := message.Decode(b); err == nil {
		return s, nil
	}
	return m.parse(uid) // written by another version
}

// appendStored appends the stored form of a message's structure, taking the
// message apart now if that was not done before.
func (m *Mailbox) appendStored(dst []byte, uid UID) ([]byte, error) {
	r, err := m.record(uid)
	if err != nil {
		return dst, err
	}
	if r.Bits&index.Parsed != 0 {
		b, err := m.section(dst, &r, index.Structure)
		if !errors.Is(err, index.ErrNoData) {
			return b, err
		}
	}
	s, err := m.parse(uid)
	if err != nil {
		return dst, err
	}
	return s.AppendBinary(dst), nil
}

// A reading is what one reading of a message's file has found.
type reading struct {
	uid       UID
	structure *message.Structure
	text      *index.TextEntry // nil after cut
	cut       error            // why the file could not be read to its end
}

// parse takes a message apart and keeps what was found, if that is possible. Of a
// file with a bad spot it takes what stands before that.
func (m *Mailbox) parse(uid UID) (*message.Structure, error) {
	r, err := m.readMessage(uid)
	if err != nil {
		return nil, err
	}
	if r.cut != nil {
		m.a.s.log.Warn("a message cannot be read to its end", "person", m.a.person, "mailbox", m.Name(), "err", r.cut)
		return r.structure, nil
	}
	m.writeMu.Lock()
	defer m.writeMu.Unlock()
	if err := m.keepReading(r); err != nil {
		return nil, err
	}
	m.flush()
	return r.structure, nil
}

// readMessage reads the file of a message, once, for all that the caches want to know of it.
func (m *Mailbox) readMessage(uid UID) (r reading, err error) {
	f, err := m.openFile(uid)
	if err != nil {
		return r, err
	}
	r = m.readFile(uid, f)
	return r, f.Close()
}

// readFile reads a message from its beginning: into memory if it is short, else a
// second time, in parts, for its text.
func (m *Mailbox) readFile(uid UID, f *os.File) reading {
	buf := m.a.s.buffers.get()
	defer m.a.s.buffers.put(buf)
	b := (*buf)[:memoryLimit]
	n, err := io.ReadFull(f, b)
	r := reading{uid: uid}
	r.structure, r.cut = m.a.s.parseFile(io.MultiReader(bytes.NewReader(b[:n]), f))
	if r.cut != nil {
		return r
	}
	s := r.structure
	var wire io.ReaderAt = &Message{m: m, uid: uid, f: f, size: s.Size, crlf: s.CRLF, info: s}
	if s.CRLF && (err == io.EOF || err == io.ErrUnexpectedEOF) { // all of it is here
		wire = bytes.NewReader(b[:n])
	}
	r.text, r.cut = m.a.s.texts.make(wire, s)
	return r
}

// keepReading takes what was read into the index; the caller flushes it.
// ErrExpunged: the message went meanwhile. The caller holds writeMu.
func (m *Mailbox) keepReading(found reading) error {
	r, err := m.record(found.uid)
	if err != nil {
		return err
	}
	describe(&r, found.structure)
	if err := m.storeReading(&r, found); err != nil {
		m.a.s.log.Warn("writing the index", "person", m.a.person, "mailbox", m.name, "err", err)
		r.Bits &^= index.Parsed | index.HasText
	}
	m.mu.Lock()
	m.x.Put(r)
	m.mu.Unlock()
	return nil
}

// Size returns the size of a message whose Meta does not tell it, by reading the
// message: in octets, wire form. Of one that cannot be read it is the size of
// its file. ErrExpunged: it is gone.
func (m *Mailbox) Size(uid UID) (int64, error) {
	r, err := m.record(uid)
	if err != nil || r.Bits&index.Sized != 0 {
		return r.Size(), err
	}
	s, err := m.parse(uid)
	switch {
	case err == nil:
		return s.Size, nil
	case errors.Is(err, ErrExpunged), m.usable() != nil:
		return 0, err
	}
	m.a.s.log.Warn("a message cannot be read", "person", m.a.person, "mailbox", m.Name(), "err", err)
	return r.Size(), nil
}

func (m *Mailbox) storeReading(r *index.Record, found reading) error {
	_, base, err := m.ref(r)
	if err != nil {
		return err
	}
	guid, err := m.section(nil, r, index.GUID)
	if err != nil {
		return err
	}
	off, err := m.x.Data().Append(r.UID, &index.Entry{index.BaseName: []byte(base), index.GUID: guid,
		index.Structure: found.structure.AppendBinary(nil), index.TextPlace: m.appendText(r, found.text)})
	if err != nil {
		return err
	}
	r.SetOffset(off)
	return nil
}

// openFile opens a message's file, also when somebody renamed it just now.
func (m *Mailbox) openFile(uid UID) (*os.File, error) {
	for tries := 0; ; tries++ {
		r, err := m.record(uid)
		if err != nil {
			return nil, err
		}
		ref, _, err := m.ref(&r)
		switch {
		case errors.Is(err, index.ErrNoData):
			if tries > 1 {
				return nil, err
			}
			if err := m.recover(uid); err != nil {
				return nil, err
			}
			continue
		case err != nil:
			return nil, err
		}
		f, err := m.dir().Open(ref)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, m.orGone(fmt.Errorf("opening message %d in %s: %w", uid, m.Name(), err))
		}
		if tries > 1 {
			return nil, fmt.Errorf("%w: UID %d", ErrExpunged, uid)
		}
		if err := m.refresh(); err != nil {
			return nil, err
		}
	}
}

// recover finds out the name of a message's file again, which the data file
// should have had.
func (m *Mailbox) recover(uid UID) error {
	m.writeMu.Lock()
	defer m.writeMu.Unlock()
	if err := m.usable(); err != nil {
		return err
	}
	return m.findName(uint32(uid))
}

// findName is recover for those who hold writeMu.
func (m *Mailbox) findName(uid uint32) error {
	m.doubtName(uid)
	return m.sync(true)
}

// doubtName makes the next sync find out the name and identity of a message again.
func (m *Mailbox) doubtName(uid uint32) {
	if m.doubt == nil {
		m.doubt = map[uint32]bool{}
	}
	m.doubt[uid] = true
	m.mark = maildir.Mark{} // for the identities in the list
}

// refresh takes in what other programs did to the mailbox's files.
func (m *Mailbox) refresh() error {
	m.writeMu.Lock()
	defer m.writeMu.Unlock()
	if err := m.usable(); err != nil {
		return err
	}
	if !m.loaded {
		return ErrClosed
	}
	return m.sync(true)
}

// EmailID returns a message's EMAILID (RFC 8474, 5.3): that of the message it was copied from, or the one
// Dovecot gave it, or else one made of its file's name.
func (m *Mailbox) EmailID(uid UID) (string, error) {
	r, err := m.record(uid)
	if err != nil {
		return "", err
	}
	guid, err := m.guid(&r)
	if errors.Is(err, index.ErrNoData) {
		if err := m.recover(uid); err != nil {
			return "", err
		}
		if r, err = m.record(uid); err != nil {
			return "", err
		}
		guid, err = m.guid(&r)
	}
	if errors.Is(err, index.ErrNoData) { // the index is kept in memory only
		guid, err = m.readGUID(uint32(uid))
	}
	if err != nil {
		return "", err
	}
	return maildir.EmailID(guid), nil
}

// readGUID finds a message's identity in dovecot-uidlist itself.
func (m *Mailbox) readGUID(uid uint32) (string, error) {
	r, err := m.dir().ReadUIDList(maildir.Mark{})
	if err != nil {
		return "", err
	}
	defer r.Close()
	for rec, ok := r.Next(); ok; rec, ok = r.Next() {
		if rec.UID == uid {
			return cmp.Or(rec.GUID, rec.Base), nil
		}
	}
	return "", errors.Join(fmt.Errorf("%w: UID %d", ErrExpunged, uid), r.Err())
}

// listedGUID is guid in a form that dovecot-uidlist can hold. Its EMAILID is the same.
func (m *Mailbox) listedGUID(r *index.Record) (string, error) {
	g, err := m.guid(r)
	return listable(g), err
}

func listable(guid string) string {
	if strings.ContainsAny(guid, " \r\n\x00") {
		return maildir.EmailID(guid)
	}
	return guid
}

// guid returns what identifies a message: it goes with its copies.
func (m *Mailbox) guid(r *index.Record) (string, error) {
	g, err := m.section(nil, r, index.GUID)
	if err != nil || len(g) > 0 {
		return string(g), err
	}
	return m.base(r)
}
