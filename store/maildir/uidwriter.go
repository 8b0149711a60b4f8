package maildir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"strconv"
)

// ErrRewrite is wrapped when a list must be rewritten before it can be changed
// in place: there is none, a sync of it has failed, its end is damaged, or its
// head has no room.
var ErrRewrite = errors.New("the list of messages must be rewritten first")

// UIDListLock is dovecot-uidlist.lock, held, and with it the right to change
// the list. It belongs to one goroutine. Hold it shortly: after two minutes
// without Touch another program may take it.
type UIDListLock struct {
	*dotlock
	f *Folder
}

// LockUIDList waits for the lock until ctx ends. Errors wrap ErrLocked when
// another program holds it for so long. Each of our goroutines has its turn.
func (f *Folder) LockUIDList(ctx context.Context) (*UIDListLock, error) {
	l, err := f.root.lockWith(ctx, f.tree, uidListName, staleList, &f.lock)
	if err != nil {
		return nil, fmt.Errorf("the folder %q: %w", f.name, err)
	}
	return &UIDListLock{l, f}, nil
}

// Touch tells other programs that we are still at work: once a minute in a
// long Rewrite. ErrLockLost when one has taken the lock.
func (l *UIDListLock) Touch() error { return l.touch() }

// Unlock gives the lock back. ErrLockLost when another program has taken it.
func (l *UIDListLock) Unlock() error { return l.unlock() }

// Unchanged reports that nobody has written to the list since it was read or
// written up to m, and that it ends there. It looks at the file's inode, size and
// time only: nobody but who holds the lock adds to it, and others replace it.
func (l *UIDListLock) Unchanged(m Mark) bool {
	return m.Offset > 0 && !l.Doubtful() && l.f.stampIfThere(uidListName) == m.stamp()
}

// stamp is that of a list that ends at the Mark.
func (m Mark) stamp() FileStamp { return FileStamp{m.Inode, m.Offset, m.modTime} }

// Append adds records, ascending and above every UID in the list, and syncs
// it. since is what is known of the list, which saves looking for its end; the zero
// Mark will do. The Mark that is returned lies behind what was added. Errors wrap
// ErrRewrite when the list is missing, Doubtful, or its end is damaged or cut off, or
// when a UID is not above the last.
//
// After another error some of the records may be in the list, and other
// programs may have read them: their UIDs are gone. Read the list again for
// the next one.
func (l *UIDListLock) Append(recs []UIDRecord, since Mark) (Mark, error) {
	if len(recs) == 0 {
		return since, nil
	}
	f, err := l.openInPlace()
	if err == nil {
		since, err = l.appendTo(f, recs, since)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return Mark{}, fmt.Errorf("adding to the list of messages: %w", err)
	}
	return since, nil
}

// openInPlace opens the list for a change in place; ErrRewrite where it has to be written anew.
func (l *UIDListLock) openInPlace() (*os.File, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	if l.Doubtful() {
		return nil, ErrRewrite
	}
	f, err := openRegular(l.fs, uidListName, os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrRewrite
	}
	return f, err
}

func (l *UIDListLock) appendTo(f *os.File, recs []UIDRecord, since Mark) (Mark, error) {
	end, last, err := l.end(f, since)
	if err != nil {
		return Mark{}, err
	}
	b := make([]byte, 0, min(len(recs)*128, writeChunk+maxListLine))
	for _, rec := range recs {
		if err := rec.check(); err != nil {
			return Mark{}, err
		}
		if rec.UID <= last {
			return Mark{}, fmt.Errorf("UID %d is not above %d: %w", rec.UID, last, ErrRewrite)
		}
		last = rec.UID
		if b = appendRecord(b, rec); len(b) >= writeChunk {
			if err := l.writeAt(f, b, end); err != nil {
				return Mark{}, err
			}
			end += int64(len(b))
			b = b[:0]
		}
	}
	if err := l.writeAt(f, b, end); err != nil {
		return Mark{}, err
	}
	if err := l.syncList(f); err != nil {
		return Mark{}, err
	}
	return markAt(f, end+int64(len(b)), last)
}

// end gives the offset behind the last line and the highest UID that is taken.
func (l *UIDListLock) end(f *os.File, since Mark) (end int64, last uint32, err error) {
	if stamp, err := statOpen(f); err == nil && since.Offset > 0 && stamp == since.stamp() {
		return since.Offset, since.next - 1, nil
	}
	return l.findEnd(f)
}

// markAt is the Mark of a list that ends at offset, behind the line of UID last.
func markAt(f *os.File, offset int64, last uint32) (Mark, error) {
	stamp, err := statOpen(f)
	if err != nil {
		return Mark{}, err
	}
	tail, err := tailHash(f, offset)
	if err != nil || stamp.Size != offset {
		return Mark{}, err
	}
	return Mark{Inode: stamp.Inode, Offset: offset, UID: last, Tail: tail, next: last + 1, modTime: stamp.ModTime}, nil
}

// writeChunk is how much of an Append is one write. One message is always one.
const writeChunk = 64 << 10

func (l *UIDListLock) writeAt(f *os.File, b []byte, at int64) error {
	if len(b) == 0 {
		return nil
	}
	if err := l.step(StepListAppend); err != nil {
		return err
	}
	_, err := f.WriteAt(b, at)
	return err
}

// syncList syncs the list. After a failure the kernel takes what it could not
// write for written, so that a later sync would say nothing of it: only a new
// file can be believed.
func (l *UIDListLock) syncList(f *os.File) error {
	err := l.step(StepListSync)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		l.locks.doubt(l.key, true)
	}
	return err
}

// Doubtful reports that a sync of the list has failed: what is read of it may
// not be on disk until it is rewritten. Append and SetModSeqCeiling refuse it
// with ErrRewrite.
func (l *UIDListLock) Doubtful() bool { return l.locks.isDoubtful(l.key) }

// SyncUIDList syncs the list and its name, where another program has put a new one
// in the place of the old. It needs no lock, and writes nothing where nothing has
// changed. It does not make good a sync that has failed before: see Settle.
func (f *Folder) SyncUIDList() error {
	list, err := openRegular(f.fs, uidListName, os.O_RDONLY)
	if err == nil {
		if err = f.step(StepListSync); err == nil {
			err = list.Sync()
		}
		err = errors.Join(err, list.Close())
	}
	if err == nil {
		err = f.sync(".")
	}
	if err != nil {
		return fmt.Errorf("syncing the list of messages: %w", err)
	}
	return nil
}

// findEnd gives the offset behind the last line and the highest UID that is
// taken.
func (l *UIDListLock) findEnd(f *os.File) (end int64, last uint32, err error) {
	taken, err := takenByHead(f)
	if err != nil {
		return 0, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	size := info.Size()
	b := make([]byte, min(size, 2*maxListLine))
	if _, err := f.ReadAt(b, size-int64(len(b))); err != nil && !errors.Is(err, io.EOF) {
		return 0, 0, err
	}
	torn := b[bytes.LastIndexByte(b, '\n')+1:]
	lines := bytes.TrimSuffix(b[:len(b)-len(torn)], []byte("\n"))
	start := bytes.LastIndexByte(lines, '\n') + 1
	if start > 0 {
		rec, ok := parseRecord(lines[start:], false)
		if !ok {
			return 0, 0, ErrRewrite
		}
		last = rec.UID
	} else if int64(len(b)) < size {
		return 0, 0, ErrRewrite // a line that is too long
	}
	if len(torn) > 0 {
		return 0, 0, ErrRewrite // cut off, it would take along that its UID is gone
	}
	return size, max(last, taken), nil
}

// takenByHead is the highest UID that the head rules out.
func takenByHead(f *os.File) (uint32, error) {
	b := make([]byte, maxListLine)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	line, _, whole := bytes.Cut(b[:n], []byte("\n"))
	h, damage := parseHeader(string(line))
	if !whole || damage != "" || !bytes.HasPrefix(line, []byte("3 ")) {
		return 0, ErrRewrite
	}
	return h.UIDNext - 1, nil
}

// Rewrite replaces the list, atomically and durably. recs must ascend, and
// h.UIDNext lie above all of them; h.UIDNext must not be lower than what was
// read from the old list, or UIDs come twice. The old list stays where recs
// yields an error, which is returned.
func (l *UIDListLock) Rewrite(h UIDHeader, recs iter.Seq2[UIDRecord, error]) error {
	if err := h.check(); err != nil {
		return err
	}
	if err := l.check(); err != nil {
		return fmt.Errorf("rewriting the list of messages: %w", err)
	}
	written := false
	err := l.replace(uidListName, func(w io.Writer) error {
		err := writeLines(w, h, recs)
		if err == nil {
			err = l.check()
		}
		written = err == nil
		return err
	})
	if written { // on an error the new list may be in place, but not on disk
		l.locks.doubt(l.key, err != nil)
	}
	return err
}

func writeLines(w io.Writer, h UIDHeader, recs iter.Seq2[UIDRecord, error]) error {
	line := appendHeader(make([]byte, 0, 256), h)
	if _, err := w.Write(line); err != nil {
		return err
	}
	var last uint32
	for rec, err := range recs {
		if err == nil {
			err = rec.check()
		}
		if err != nil {
			return err
		}
		if rec.UID <= last || rec.UID >= h.UIDNext {
			return fmt.Errorf("UID %d does not lie between %d and %d", rec.UID, last, h.UIDNext)
		}
		last = rec.UID
		line = appendRecord(line[:0], rec)
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return nil
}

// SetModSeqCeiling raises the ceiling in the head, in place, and syncs the
// list; a lower value changes nothing. Errors wrap ErrRewrite when the list is
// missing, Doubtful, or another program's, without room for it.
func (l *UIDListLock) SetModSeqCeiling(ceiling uint64) error {
	if err := l.setCeiling(ceiling); err != nil {
		return fmt.Errorf("raising the mod-sequence ceiling: %w", err)
	}
	return nil
}

func (l *UIDListLock) setCeiling(ceiling uint64) error {
	f, err := l.openInPlace()
	if err != nil {
		return err
	}
	return errors.Join(l.overwriteCeiling(f, ceiling), f.Close())
}

// overwriteCeiling changes twenty digits in the first sector of the file: a
// power cut leaves the old ones or the new.
func (l *UIDListLock) overwriteCeiling(f *os.File, ceiling uint64) error {
	b := make([]byte, 512)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	line, _, whole := bytes.Cut(b[:n], []byte("\n"))
	at := bytes.Index(line, []byte{' ', fieldCeiling})
	if !whole || !bytes.HasPrefix(line, []byte("3 ")) || at < 0 {
		return ErrRewrite
	}
	at += 2
	value, _, _ := bytes.Cut(line[at:], []byte(" "))
	old, err := strconv.ParseUint(string(value), 10, 64)
	if err != nil || len(value) != ceilingDigits {
		return ErrRewrite
	}
	if ceiling <= old {
		return nil
	}
	if err := l.step(StepListCeiling); err != nil {
		return err
	}
	if _, err := f.WriteAt(fmt.Appendf(nil, "%0*d", ceilingDigits, ceiling), int64(at)); err != nil {
		return err
	}
	return l.syncList(f)
}
