package maildir

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
)

// Mark remembers how far a list was read, so that the next reading needs only
// what was added since. It may be kept in a cache: a list that is not the same
// any more is read from its start.
type Mark struct {
	Inode  uint64
	Offset int64
	UID    uint32 // the last one read
	Tail   uint64 // hash of the bytes before Offset

	next    uint32 // every UID that the list knows lies below
	modTime int64  // of the file when it was read or written up to Offset
}

// tailLength is how many bytes before Offset tell that a list is the same.
const tailLength = 256

// UIDListReader reads a list once, line by line: strictly ascending by UID,
// damaged lines left out. Two records may have the same base name: the later
// one holds, as in Dovecot. It belongs to one goroutine. Reading needs no
// lock; a line that another program is just writing is left for next time.
type UIDListReader struct {
	file     *os.File
	in       *bufio.Reader
	header   UIDHeader
	resumed  bool
	version1 bool
	inode    uint64
	modTime  int64  // when reading began
	offset   int64  // behind the last complete line
	last     uint32 // the last UID returned
	highest  uint32 // of all lines, damaged ones too
	damage   []string
	damaged  int
	err      error

	sorted   []UIDRecord // what is left to return of a list out of order
	inMemory bool
}

// ReadUIDList opens the folder's list, behind what since has seen if it is
// still the same list, else (or with the zero Mark) from its start. Errors
// wrap fs.ErrNotExist when there is none.
func (f *Folder) ReadUIDList(since Mark) (*UIDListReader, error) {
	file, err := openRegular(f.fs, uidListName, os.O_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("reading the list of messages: %w", err)
	}
	u := &UIDListReader{file: file}
	if err := u.start(since); err != nil {
		return nil, errors.Join(fmt.Errorf("reading the list of messages: %w", err), file.Close())
	}
	return u, nil
}

func (u *UIDListReader) start(since Mark) error {
	info, err := u.file.Stat()
	if err != nil {
		return err
	}
	u.inode, u.modTime = inodeOf(info), info.ModTime().UnixNano()
	u.in = bufio.NewReaderSize(u.file, maxListLine)
	if err := u.readHeader(); err != nil {
		return err
	}
	if same, err := u.sameList(since, info.Size()); err != nil {
		return err
	} else if same {
		u.resumed, u.offset, u.last, u.highest = true, since.Offset, since.UID, since.UID
	}
	body := u.offset
	ordered, err := u.prescan()
	if err != nil {
		return err
	}
	if !ordered && u.resumed {
		u.resumed, u.last, u.highest, u.offset = false, 0, 0, 0
		if err := u.rewind(0); err != nil {
			return err
		}
		u.damage, u.damaged = nil, 0
		if err := u.readHeader(); err != nil {
			return err
		}
		body = u.offset
	}
	if err := u.rewind(body); err != nil {
		return err
	}
	if !ordered {
		return u.resolve()
	}
	return nil
}

// rewind goes on reading at offset.
func (u *UIDListReader) rewind(offset int64) error {
	if _, err := u.file.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	u.in.Reset(u.file)
	u.offset = offset
	return nil
}

// readHeader reads the first line. Where it is lost, the records still count.
func (u *UIDListReader) readHeader() error {
	line, err := u.line()
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var damage string
	if u.header, damage = parseHeader(string(line)); err != nil && len(line) > 0 {
		u.header, damage = UIDHeader{}, "its head is cut off" // and its numbers may be
	}
	u.version1 = strings.HasPrefix(string(line), "1 ")
	if damage != "" {
		u.note(damage)
	}
	// The head may be gone and its line be a record's.
	if uid, whole := leadingUID(line); u.header.UIDValidity == 0 && whole {
		u.highest = max(u.highest, uid)
	}
	return nil
}

// sameList reports whether the list begins with what since has seen.
func (u *UIDListReader) sameList(since Mark, size int64) (bool, error) {
	if since.Offset < u.offset || since.Inode != u.inode || size < since.Offset || since.Offset == 0 || u.header.UIDValidity == 0 {
		return false, nil
	}
	tail, err := tailHash(u.file, since.Offset)
	return tail == since.Tail, err
}

// tailHash hashes what stands before offset.
func tailHash(file io.ReaderAt, offset int64) (uint64, error) {
	b := make([]byte, min(offset, tailLength))
	if _, err := file.ReadAt(b, offset-int64(len(b))); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	h := fnv.New64a()
	_, _ = h.Write(b) // never fails
	return h.Sum64(), nil
}

// prescan reads the UIDs of all complete lines that are to come and reports
// whether they ascend. It finds the highest of all.
func (u *UIDListReader) prescan() (ordered bool, err error) {
	if u.resumed {
		if err := u.rewind(u.offset); err != nil {
			return false, err
		}
	}
	ordered = true
	previous := u.last
	for {
		line, err := u.line()
		if errors.Is(err, io.EOF) {
			u.highest = max(u.highest, tornUID(line, previous))
			return ordered, nil
		}
		if err != nil {
			return false, err
		}
		uid, _ := leadingUID(line)
		if uid == 0 || uid > maxUID {
			continue
		}
		ordered = ordered && uid > previous
		previous = uid
		u.highest = max(u.highest, uid)
	}
}

// tornUID is the UID that must not be given again because of a line that a
// crash has cut off, behind the line of previous. Where its digits are cut off
// too, it is taken to be the next one, as every program writes it.
func tornUID(line []byte, previous uint32) uint32 {
	uid, whole := leadingUID(line)
	if !whole && uid <= previous {
		uid = previous + 1
	}
	if len(line) == 0 || uid > maxUID {
		return previous
	}
	return max(uid, previous)
}

// line reads a line without its end. io.EOF comes with what follows the last
// line end. Of a line that is too long only the digits at its start are
// returned, so that it counts as damaged.
func (u *UIDListReader) line() ([]byte, error) {
	b, err := u.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		start := bytes.Clone(b[:64-len(bytes.TrimLeft(b[:64], "0123456789"))])
		length := len(b)
		for errors.Is(err, bufio.ErrBufferFull) {
			b, err = u.in.ReadSlice('\n')
			length += len(b)
		}
		if err == nil {
			u.offset += int64(length)
		}
		return start, err
	}
	if err != nil {
		return b, err
	}
	u.offset += int64(len(b))
	return b[:len(b)-1], nil
}

// Next returns the next record; not ok at the end, or after an error.
func (u *UIDListReader) Next() (rec UIDRecord, ok bool) {
	if u.inMemory {
		if len(u.sorted) == 0 {
			return UIDRecord{}, false
		}
		rec, u.sorted = u.sorted[0], u.sorted[1:]
		u.last = rec.UID
		return rec, true
	}
	for u.err == nil {
		line, err := u.line()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				u.err = fmt.Errorf("reading the list of messages: %w", err)
			}
			return UIDRecord{}, false
		}
		rec, ok := parseRecord(line, u.version1)
		if ok && rec.UID > u.last {
			u.last = rec.UID
			return rec, true
		}
		u.noteLine(rec.UID)
	}
	return UIDRecord{}, false
}

// All yields the records that are left and, if reading fails, last the error.
func (u *UIDListReader) All() iter.Seq2[UIDRecord, error] {
	return func(yield func(UIDRecord, error) bool) {
		for {
			rec, ok := u.Next()
			if !ok {
				break
			}
			if !yield(rec, nil) {
				return
			}
		}
		if u.err != nil {
			yield(UIDRecord{}, u.err)
		}
	}
}

// resolve reads a list that is out of order into memory and makes the best of
// it: a UID that names two messages is given to neither, and of two UIDs of
// one message the higher holds, as in Dovecot.
func (u *UIDListReader) resolve() error {
	var all []UIDRecord
	for {
		line, err := u.line()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		rec, ok := parseRecord(line, u.version1)
		if !ok {
			u.noteLine(rec.UID)
			continue
		}
		all = append(all, rec)
	}
	u.note("its lines are out of order")
	slices.SortStableFunc(all, func(a, b UIDRecord) int { return cmp.Compare(a.UID, b.UID) })
	u.sorted = u.latest(u.unambiguous(all))
	u.inMemory = true
	return nil
}

// unambiguous keeps one record of each UID, none where they disagree.
func (u *UIDListReader) unambiguous(all []UIDRecord) []UIDRecord {
	kept := all[:0]
	for start := 0; start < len(all); {
		end := start + 1
		agree := true
		for ; end < len(all) && all[end].UID == all[start].UID; end++ {
			agree = agree && all[end].Base == all[start].Base
		}
		last := all[end-1]
		if agree {
			kept = append(kept, last)
		} else {
			u.note(fmt.Sprintf("it gives UID %d to two messages, so that both get new ones", last.UID))
		}
		start = end
	}
	return kept
}

// latest keeps the highest UID of each message.
func (u *UIDListReader) latest(all []UIDRecord) []UIDRecord {
	uidOf := make(map[string]uint32, len(all))
	for _, rec := range all {
		uidOf[rec.Base] = rec.UID
	}
	return slices.DeleteFunc(all, func(rec UIDRecord) bool { return uidOf[rec.Base] != rec.UID })
}

func (u *UIDListReader) noteLine(uid uint32) {
	if uid == 0 {
		u.note("a line cannot be read")
		return
	}
	u.note(fmt.Sprintf("the line of UID %d cannot be read", uid))
}

// note keeps the first sentences about damage and counts the rest.
func (u *UIDListReader) note(sentence string) {
	u.damaged++
	if len(u.damage) < 16 {
		u.damage = append(u.damage, sentence)
	}
}

// Header is the head of the list. UIDValidity is 0 when it is lost; UIDNext is
// above everything in the list, read or not.
func (u *UIDListReader) Header() UIDHeader {
	h := u.header
	h.UIDNext = max(h.UIDNext, u.highest+1)
	return h
}

// Offset is where in the file the line begins that Next looks at next; 0 where
// they are not read in the order of the file.
func (u *UIDListReader) Offset() int64 {
	if u.inMemory {
		return 0
	}
	return u.offset
}

// Inode is that of the file.
func (u *UIDListReader) Inode() uint64 { return u.inode }

// Resumed reports that only what was added behind the Mark is read.
func (u *UIDListReader) Resumed() bool { return u.resumed }

// Err is why Next has ended early, nil at the end of the list.
func (u *UIDListReader) Err() error { return u.err }

// Damage says in sentences what was wrong with the lines read so far, the
// first sixteen faults in words. A list with damage should be rewritten.
func (u *UIDListReader) Damage() []string {
	if more := u.damaged - len(u.damage); more > 0 {
		return append(slices.Clip(u.damage), fmt.Sprintf("%d more of its lines cannot be read", more))
	}
	return u.damage
}

// Mark is how far Next has read. It is the zero Mark where it cannot be
// resumed there.
func (u *UIDListReader) Mark() Mark {
	if u.err != nil || u.inMemory || u.header.UIDValidity == 0 {
		return Mark{}
	}
	tail, err := tailHash(u.file, u.offset)
	if err != nil {
		return Mark{}
	}
	return Mark{Inode: u.inode, Offset: u.offset, UID: u.last, Tail: tail, next: u.Header().UIDNext, modTime: u.modTime}
}

// Close ends the reading.
func (u *UIDListReader) Close() error { return u.file.Close() }
