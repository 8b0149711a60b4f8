package index

import (
	"bufio"
	"crypto/rand"
	"errors"
	"hash/crc32"
	"io"
	"os"
)

// Name is the name of the index in a folder.
const Name = "letterbox.index"

const (
	indexMagic    = "LBXINDX3"
	headerSize    = 32
	blockHeader   = 8
	blockTrailer  = 4
	maxBlock      = 64 << 10
	snapshotBlock = 48 << 10
	minLogRewrite = 64 << 10
	temporary     = ".new"
)

// logFile is the open index file.
type logFile struct {
	root     *os.Root
	f        *os.File
	size     int64
	snapshot int64 // what of size is the snapshot
	broken   bool  // nothing is written any more: a write went wrong, or none is possible
}

// New makes an empty index for a folder and its three files, in place of any
// that are there. Errors are those of the file system.
func New(root *os.Root, s State) (*Index, error) {
	x := &Index{State: s, odd: map[uint32]string{}, file: logFile{root: root}}
	if err := removeIfThere(root, Name); err != nil {
		return nil, err
	}
	var err error
	if x.data, err = createData(root, DataName, newGeneration()); err != nil {
		return nil, err
	}
	x.beginText()
	if err := x.writeSnapshot(); err != nil {
		return nil, errors.Join(err, x.closeFiles())
	}
	return x, nil
}

// NewInMemory makes an empty index without files, for a disk that cannot be
// written. It keeps no data: Append to it is an error.
func NewInMemory(s State) *Index {
	return &Index{State: s, odd: map[uint32]string{}, data: &Data{}, text: &Text{}, file: logFile{broken: true}}
}

func newGeneration() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return le.Uint64(b[:])
}

// Load reads the index of a folder. Any error means that there is none to be
// used: make it with New. On a disk that can only be read it goes on in memory.
func Load(root *os.Root) (x *Index, err error) {
	if fi, err := root.Lstat(Name); err != nil {
		return nil, err
	} else if !fi.Mode().IsRegular() {
		return nil, errDamaged
	}
	f, readOnly, err := openExisting(root, Name)
	if err != nil {
		return nil, err
	}
	x = &Index{odd: map[uint32]string{}, file: logFile{root: root, f: f, broken: readOnly}}
	defer func() {
		if err != nil {
			err = errors.Join(err, x.closeFiles())
			x = nil
		}
	}()
	r := bufio.NewReaderSize(f, maxBlock)
	generation, err := x.readHeader(r)
	if err != nil {
		return x, err
	}
	x.data, err = openData(root, generation)
	if err != nil {
		return x, err
	}
	if err := x.readBlocks(r); err != nil {
		return x, err
	}
	x.loadText()
	return x, nil
}

// loadText opens the text file. One that is lost or not of this index is begun
// anew; where that is not possible either there is none.
func (x *Index) loadText() {
	var err error
	if x.text, err = openText(x.file.root); err == nil && x.text.id == x.textID {
		return
	}
	if err == nil {
		_ = x.text.close() // opened to be read only so far: nothing can be lost
	}
	x.text = &Text{}
	if !x.file.broken {
		x.beginText()
	}
	x.applyText(x.text.id)
	x.pending = le.AppendUint32(append(x.pending, opText), x.textID)
}

// beginText makes an empty text file. Where that is not possible no texts are kept.
func (x *Index) beginText() {
	t, err := createText(x.file.root, TextName)
	if err != nil {
		t = &Text{}
	}
	x.text, x.textID = t, t.id
}

// header: magic, generation, UIDVALIDITY, number of records (a hint),
// size of the snapshot in octets, CRC.
func (x *Index) readHeader(r io.Reader) (generation uint64, err error) {
	var h [headerSize + 4]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, errDamaged
	}
	if !validHeader(h[:]) {
		return 0, errDamaged
	}
	x.State.UIDValidity = le.Uint32(h[16:])
	n := le.Uint32(h[20:])
	x.file.snapshot = int64(le.Uint64(h[24:]))
	if fi, err := x.file.f.Stat(); err != nil || int64(n)*recordSize > fi.Size() {
		return 0, errDamaged
	}
	x.Records = make([]Record, 0, int(n)+int(n)/16+16)
	x.file.size = headerSize + 4
	return le.Uint64(h[8:]), nil
}

func validHeader(h []byte) bool {
	return string(h[:8]) == indexMagic && crc32.Checksum(h[:headerSize], castagnoli) == le.Uint32(h[headerSize:])
}

// readBlocks reads blocks up to the end or to the first that is not whole,
// where the next write will go.
func (x *Index) readBlocks(r io.Reader) error {
	var head [blockHeader]byte
	buf := make([]byte, maxBlock)
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			if err != io.EOF {
				x.State.Clean = false
			}
			break
		}
		n := le.Uint32(head[:])
		if n > maxBlock {
			x.State.Clean = false
			break
		}
		var tail [blockTrailer]byte
		_, err := io.ReadFull(r, buf[:n])
		if err == nil {
			_, err = io.ReadFull(r, tail[:])
		}
		if err != nil || crc32.Checksum(buf[:n], castagnoli) != le.Uint32(head[4:]) || le.Uint32(tail[:]) != n {
			x.State.Clean = false
			break
		}
		if err := x.apply(buf[:n]); err != nil {
			return err
		}
		x.file.size += blockHeader + int64(n) + blockTrailer
	}
	x.sweep()
	x.trimVanished()
	x.count()
	if x.file.size < x.file.snapshot {
		return errDamaged // the first state comes at the snapshot's end
	}
	return x.file.cut()
}

// cut takes off what stands behind the last whole block: a file that was closed
// ends in its state.
func (l *logFile) cut() error {
	if l.broken {
		return nil
	}
	if fi, err := l.f.Stat(); err != nil || fi.Size() == l.size {
		return err
	}
	return l.f.Truncate(l.size)
}

// Data returns the data file.
func (x *Index) Data() *Data { return x.data }

// Text returns the text file.
func (x *Index) Text() *Text { return x.text }

// Flush writes what was changed since the last Flush. After an error the index
// goes on in memory and nothing of it is left on disk. It may run beside
// readers.
func (x *Index) Flush() error {
	if len(x.pending) == 0 && !x.anew || x.file.broken {
		x.pending = nil
		return nil
	}
	if x.anew {
		x.pending = nil
		return x.rewrite(false)
	}
	x.pending = appendState(x.pending, &x.State, x.dead)
	p := x.pending
	x.pending = x.pending[:0]
	if cap(p) > maxBlock {
		x.pending = nil
	}
	if err := x.file.append(p); err != nil {
		return x.fail(err)
	}
	if log := x.file.size - x.file.snapshot; log > 4<<20+x.file.snapshot {
		if err := x.writeSnapshot(); err != nil {
			return x.fail(err)
		}
	}
	return nil
}

// Kept reports whether what is noted lasts: false where the index goes on in
// memory only.
func (x *Index) Kept() bool { return !x.file.broken }

// fail gives the files up: half an index must not be taken for a whole one.
func (x *Index) fail(err error) error {
	x.file.broken = true
	return errors.Join(err, removeIfThere(x.file.root, Name))
}

// append writes ops in blocks of whole operations.
func (l *logFile) append(ops []byte) error {
	for len(ops) > 0 {
		n := splitOps(ops)
		b := make([]byte, blockHeader, blockHeader+n+blockTrailer)
		le.PutUint32(b, uint32(n))
		le.PutUint32(b[4:], crc32.Checksum(ops[:n], castagnoli))
		b = append(b, ops[:n]...)
		b = le.AppendUint32(b, uint32(n))
		if _, err := l.f.WriteAt(b, l.size); err != nil {
			return err
		}
		l.size += int64(len(b))
		ops = ops[n:]
	}
	return nil
}

// splitOps returns how many octets of ops, in whole operations, fit a block.
func splitOps(ops []byte) int {
	if len(ops) <= maxBlock {
		return len(ops)
	}
	n := 0
	for n < len(ops) {
		size := opSize(ops[n:])
		if n+size > maxBlock {
			break
		}
		n += size
	}
	return n
}

// opSize returns the size of the operation that op begins with; a state follows
// in the same block, so that its fields are there.
func opSize(op []byte) int {
	switch op[0] {
	case opPut:
		return 1 + recordSize
	case opFlags:
		return 1 + 4 + 8 + 8
	case opForget:
		return 1 + 8
	case opRemove, opVanish:
		return 1 + 4 + 4 + 8
	case opKeyword:
		return 1 + 2 + int(le.Uint16(op[1:]))
	case opOdd:
		return 1 + 4 + 2 + int(le.Uint16(op[5:]))
	case opText:
		return 1 + 4
	default:
		return len(op) // the state is the last
	}
}

// writeSnapshot replaces the index file by one that says what memory says.
func (x *Index) writeSnapshot() error {
	f, err := x.file.root.OpenFile(Name+temporary, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	l := logFile{root: x.file.root, f: f, size: headerSize + 4}
	if err := x.appendSnapshot(&l); err != nil {
		return errors.Join(err, f.Close(), removeIfThere(l.root, Name+temporary))
	}
	l.snapshot = l.size
	h := append(make([]byte, 0, headerSize+4), indexMagic...)
	h = le.AppendUint64(h, x.data.generation)
	h = le.AppendUint32(h, x.State.UIDValidity)
	h = le.AppendUint32(h, uint32(len(x.Records)))
	h = le.AppendUint64(h, uint64(l.snapshot))
	h = le.AppendUint32(h, crc32.Checksum(h, castagnoli))
	_, err = f.WriteAt(h, 0)
	if err == nil {
		err = l.root.Rename(Name+temporary, Name)
	}
	if err != nil {
		return errors.Join(err, f.Close(), removeIfThere(l.root, Name+temporary))
	}
	old := x.file.f
	x.file, x.pending, x.anew = l, nil, false
	if old != nil {
		return old.Close()
	}
	return nil
}

func (x *Index) appendSnapshot(l *logFile) error {
	b := le.AppendUint32(append(make([]byte, 0, maxBlock), opText), x.textID)
	for i := range x.Records {
		b = appendRecord(append(b, opPut), &x.Records[i])
		if len(b) > snapshotBlock {
			if err := l.append(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	for _, v := range x.Vanished {
		b = appendRange(b, opVanish, v)
	}
	for _, k := range x.Keywords {
		b = appendString(append(b, opKeyword), k)
	}
	for uid, file := range x.odd {
		b = appendString(le.AppendUint32(append(b, opOdd), uid), file)
	}
	return l.append(appendState(b, &x.State, x.dead))
}

// rewrite makes the index and, if compact is set, data and text small again.
func (x *Index) rewrite(compact bool) error {
	var err error
	if compact {
		err = x.compact(func(adopt func() error) error { return adopt() })
	}
	if serr := x.writeSnapshot(); serr != nil {
		return x.fail(errors.Join(err, serr))
	}
	return err
}

// Close writes what is pending and closes the files. Signature is the folder's
// as the index knows it; settled says that it can be relied on.
func (x *Index) Close(signature [16]int64, settled bool) error {
	if x.file.broken {
		return x.closeFiles()
	}
	changed := len(x.pending) > 0 || !x.State.Clean || x.State.Settled != settled || x.State.Signature != signature
	x.State.Signature, x.State.Clean, x.State.Settled = signature, true, settled
	var err error
	log := x.file.size - x.file.snapshot
	dead := x.worn()
	switch {
	case log > minLogRewrite+x.file.snapshot/2, dead:
		err = x.rewrite(dead)
	case changed:
		if err = x.file.append(appendState(x.pending, &x.State, x.dead)); err != nil {
			err = x.fail(err)
		}
	}
	return errors.Join(err, x.closeFiles())
}

// Discard closes the files and removes the index.
func (x *Index) Discard() error {
	if x.file.root == nil {
		return nil
	}
	return errors.Join(removeIfThere(x.file.root, Name), x.closeFiles())
}

func (x *Index) closeFiles() error {
	var err error
	if x.data != nil {
		err = x.data.close()
	}
	if x.text != nil {
		err = errors.Join(err, x.text.close())
	}
	if x.file.f != nil {
		err = errors.Join(err, x.file.f.Close())
	}
	return err
}
