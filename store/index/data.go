package index

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
)

// DataName is the name of the data file in a folder.
const DataName = "letterbox.data"

const (
	dataMagic      = "LBXDATA3"
	dataHeaderSize = 32
	entryMagic     = 0x4C42
	sections       = 4
	entryHeader    = 2 + 2 + 4 + sections*8 + 4
	maxSection     = 1 << 24
	windowSize     = 32 << 10
)

// A Section is one of the things a data entry holds.
type Section int

// The sections of an entry.
const (
	BaseName  Section = iota
	Structure         // message.Structure.AppendBinary, ENVELOPE and BODYSTRUCTURE among it; empty: not parsed
	GUID              // the identity the message brought along; empty: its base name
	TextPlace         // where the text file has its text; empty: nowhere
)

// ErrNoData says that the data file does not hold what was asked for.
var ErrNoData = errors.New("the index has no data of this message")

// errMemory is why an index in memory keeps no data.
var errMemory = errors.New("the index is kept in memory only")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Entry is what the data file keeps of one message.
type Entry [sections][]byte

// Data is the data file of a folder.
type Data struct {
	f          *os.File // nil: there is none, because the index is in memory only
	generation uint64

	mu     sync.Mutex // guards what follows
	size   int64
	window []byte // the octets of the file from start on; nil: none read yet
	start  int64
	buf    []byte // for building entries
}

// createData makes an empty data file under name.
func createData(root *os.Root, name string, generation uint64) (*Data, error) {
	f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	head := make([]byte, 0, dataHeaderSize)
	head = append(head, dataMagic...)
	head = le.AppendUint64(head, generation)
	head = append(head, make([]byte, dataHeaderSize-4-len(head))...)
	head = le.AppendUint32(head, crc32.Checksum(head, castagnoli))
	if _, err := f.WriteAt(head, 0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Data{f: f, generation: generation, size: dataHeaderSize}, nil
}

// openData opens the data file if it is of this generation.
func openData(root *os.Root, generation uint64) (*Data, error) {
	f, err := openRegular(root, DataName)
	if err != nil {
		return nil, err
	}
	var head [dataHeaderSize]byte
	if _, err := f.ReadAt(head[:], 0); err != nil {
		return nil, errors.Join(errDamaged, f.Close())
	}
	sum := le.Uint32(head[dataHeaderSize-4:])
	if string(head[:8]) != dataMagic || crc32.Checksum(head[:dataHeaderSize-4], castagnoli) != sum || le.Uint64(head[8:]) != generation {
		return nil, errors.Join(errDamaged, f.Close())
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Data{f: f, generation: generation, size: size}, nil
}

// Append writes an entry and returns its offset.
func (d *Data) Append(uid uint32, e *Entry) (int64, error) {
	for s := range e {
		if len(e[s]) > maxSection {
			return 0, fmt.Errorf("section %d of message %d is too large for the index", s, uid)
		}
	}
	if d.f == nil {
		return 0, errMemory
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	b := le.AppendUint16(d.buf[:0], entryMagic)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint32(b, uid)
	for s := range e {
		b = le.AppendUint32(b, uint32(len(e[s])))
		b = le.AppendUint32(b, crc32.Checksum(e[s], castagnoli))
	}
	b = le.AppendUint32(b, crc32.Checksum(b, castagnoli))
	for s := range e {
		b = append(b, e[s]...)
	}
	if d.buf = b; cap(b) > windowSize {
		d.buf = nil
	}
	off := d.size
	if _, err := d.f.WriteAt(b, off); err != nil {
		return 0, err
	}
	d.size += int64(len(b))
	if end := d.start + int64(len(d.window)); end > off {
		d.window = d.window[:0]
	}
	return off, nil
}

// fill makes the window hold n octets at off, if there are so many.
// The caller holds mu.
func (d *Data) fill(off int64, n int) ([]byte, error) {
	if off >= d.start && off+int64(n) <= d.start+int64(len(d.window)) {
		return d.window[off-d.start:][:n], nil
	}
	if off < dataHeaderSize || off+int64(n) > d.size {
		return nil, ErrNoData
	}
	if d.window == nil {
		d.window = make([]byte, 0, windowSize)
	}
	w := d.window[:cap(d.window)]
	if n > len(w) {
		w = make([]byte, n) // one large section; not kept
	} else {
		d.window, d.start = w[:0], off
	}
	got, err := d.f.ReadAt(w, off)
	if got < n {
		return nil, noData(err)
	}
	if len(w) <= windowSize {
		d.window = w[:got]
	}
	return w[:n], nil
}

// noData says that what could not be read of a data file is lost: a cache with a bad
// spot is no better than one without what was there.
func noData(err error) error {
	switch {
	case err == nil, err == io.EOF:
		return ErrNoData
	case errors.Is(err, fs.ErrClosed):
		return err
	}
	return fmt.Errorf("%w: %w", ErrNoData, err)
}

// header reads the header of the entry at off.
func (d *Data) header(off int64) ([]byte, error) {
	if off == 0 {
		return nil, ErrNoData
	}
	h, err := d.fill(off, entryHeader)
	if err != nil {
		return nil, err
	}
	if le.Uint16(h) != entryMagic || crc32.Checksum(h[:entryHeader-4], castagnoli) != le.Uint32(h[entryHeader-4:]) {
		return nil, ErrNoData
	}
	return h, nil
}

// AppendSection appends a section of the entry at off to dst, if the entry is
// that of message uid and whole: else ErrNoData, and dst as it was.
func (d *Data) AppendSection(dst []byte, off int64, uid uint32, s Section) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h, err := d.header(off)
	if err != nil {
		return dst, err
	}
	if le.Uint32(h[4:]) != uid {
		return dst, ErrNoData
	}
	at := off + entryHeader
	for i := range s {
		at += int64(le.Uint32(h[8+8*i:]))
	}
	n, sum := le.Uint32(h[8+8*s:]), le.Uint32(h[12+8*s:])
	if n > maxSection {
		return dst, ErrNoData
	}
	b, err := d.fill(at, int(n))
	if err != nil {
		return dst, err
	}
	if crc32.Checksum(b, castagnoli) != sum {
		return dst, ErrNoData
	}
	return append(dst, b...), nil
}

// length returns how many octets the entry at off takes; 0 if it is unreadable.
func (d *Data) length(off int64) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	h, err := d.header(off)
	if err != nil {
		return 0
	}
	n := int64(entryHeader)
	for i := range sections {
		n += int64(le.Uint32(h[8+8*i:]))
	}
	return n
}

// Size returns the size of the data file in octets.
func (d *Data) Size() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.size
}

// Relax gives back the memory that reading has taken.
func (d *Data) Relax() {
	d.mu.Lock()
	d.window, d.buf = nil, nil
	d.mu.Unlock()
}

func (d *Data) close() error {
	if d.f == nil {
		return nil
	}
	return d.f.Close()
}

// openRegular opens one of our files, which must be none of another kind.
func openRegular(root *os.Root, name string) (*os.File, error) {
	if fi, err := root.Lstat(name); err != nil {
		return nil, err
	} else if !fi.Mode().IsRegular() {
		return nil, errDamaged
	}
	f, _, err := openExisting(root, name)
	return f, err
}

// openExisting opens one of our files, for reading only where writing is not possible.
func openExisting(root *os.Root, name string) (f *os.File, readOnly bool, err error) {
	if f, err = root.OpenFile(name, os.O_RDWR, 0); errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrPermission) {
		f, err = root.Open(name)
		readOnly = true
	}
	return f, readOnly, err
}

func removeIfThere(root *os.Root, name string) error {
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
