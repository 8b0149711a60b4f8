package index

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"sync"
)

// TextName is the name of the search text file in a folder.
const TextName = "letterbox.text"

const (
	textFileMagic  = "LBXTEXT2"
	textFileHeader = 16
	placeSize      = 4 + 4 + 8
	textPiece      = 16 << 10 // what is read at a time
)

// Text is the search text file of a folder. It may be read by several
// goroutines, while one appends.
type Text struct {
	f  *os.File // nil: there is none
	id uint32   // drawn when the file was made: no place in another file is taken for one in this

	mu   sync.Mutex // guards size
	size int64

	reading sync.Mutex // held while an entry is looked at; guards what follows
	piece   []byte
	packed  bytes.Reader
	unpack  *unpacker
}

// createText makes an empty text file under name.
func createText(root *os.Root, name string) (*Text, error) {
	f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	var random [4]byte
	rand.Read(random[:]) // never fails
	head := append(append(make([]byte, 0, textFileHeader), textFileMagic...), random[:]...)
	head = le.AppendUint32(head, crc32.Checksum(head, castagnoli))
	if _, err := f.WriteAt(head, 0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Text{f: f, id: le.Uint32(random[:]), size: textFileHeader}, nil
}

// openText opens the text file.
func openText(root *os.Root) (*Text, error) {
	f, err := openRegular(root, TextName)
	if err != nil {
		return nil, err
	}
	var head [textFileHeader]byte
	if _, err := f.ReadAt(head[:], 0); err != nil {
		return nil, errors.Join(errDamaged, f.Close())
	}
	if string(head[:8]) != textFileMagic || crc32.Checksum(head[:12], castagnoli) != le.Uint32(head[12:]) {
		return nil, errors.Join(errDamaged, f.Close())
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Text{f: f, id: le.Uint32(head[8:]), size: size}, nil
}

// Kept reports whether texts can be kept: false where there is no file for them.
func (t *Text) Kept() bool { return t.f != nil }

// Append writes an entry for message uid and returns its place, which the data
// file keeps as the section TextPlace.
func (t *Text) Append(uid uint32, e *TextEntry) (place []byte, err error) {
	e.head.uid = uid
	e.head.put(e.b)
	place, err = t.append(e.b)
	e.giveBack()
	return place, err
}

func (t *Text) append(entry []byte) (place []byte, err error) {
	if t.f == nil {
		return nil, errMemory
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, err := t.f.WriteAt(entry, t.size); err != nil {
		return nil, err
	}
	place = t.place(t.size, int64(len(entry)))
	t.size += int64(len(entry))
	return place, nil
}

func (t *Text) place(off, n int64) []byte {
	b := le.AppendUint32(make([]byte, 0, placeSize), t.id)
	b = le.AppendUint32(b, uint32(n))
	return le.AppendUint64(b, uint64(off))
}

// find returns where in this file a place is.
func (t *Text) find(place []byte) (off, n int64, err error) {
	if t.f == nil || len(place) != placeSize || le.Uint32(place) != t.id {
		return 0, 0, ErrNoData
	}
	return int64(le.Uint64(place[8:])), int64(le.Uint32(place[4:])), nil
}

// placeLength returns how many octets the entry at a place takes.
func placeLength(place []byte) int64 {
	if len(place) != placeSize {
		return 0
	}
	return int64(le.Uint32(place[4:]))
}

// ErrTextCut says that a text holds nothing of what was looked for, but the
// message has more text.
var ErrTextCut = errors.New("the message has more text")

// Look hands the text at a place to look, unless its signature rules out that the
// text holds all of parts, and returns what look found: its first head octets
// are those of the message's header. What is not found is not in the message.
//
// ErrTextCut: that cannot be said, since the text was cut. ErrNoData: there is no
// whole text of message uid. look must not use the Text; its error is that of text.
func (t *Text) Look(place []byte, uid uint32, parts [][]byte, look func(text io.Reader, head int64) (bool, error)) (found bool, err error) {
	off, n, err := t.find(place)
	if err != nil {
		return false, err
	}
	t.reading.Lock()
	defer t.reading.Unlock()
	h, signature, err := t.head(off, n, uid)
	if err != nil {
		return false, err
	}
	for _, part := range parts {
		if !mayHold(signature, part) {
			return false, h.verdict()
		}
	}
	text, err := t.text(off, &h)
	if err != nil {
		return false, err
	}
	found, err = look(text, int64(h.head))
	switch {
	case err != nil: // it was not written by this program
		return false, ErrNoData
	case found:
		return true, nil
	}
	return false, h.verdict()
}

// verdict is what a search gives that has found nothing.
func (h *textHead) verdict() error {
	if h.cut {
		return ErrTextCut
	}
	return nil
}

// head reads the head and the signature of an entry of n octets, valid until the
// next read. The caller holds reading.
func (t *Text) head(off, n int64, uid uint32) (h textHead, signature []byte, err error) {
	b, err := t.read(off, n)
	if err != nil {
		return h, nil, err
	}
	if h, err = readTextHead(b, uid, n); err != nil {
		return h, nil, err
	}
	signature = b[textHeader:][:h.signature]
	if crc32.Checksum(signature, castagnoli) != h.signatureSum {
		return h, nil, ErrNoData
	}
	return h, signature, nil
}

// text checks the packed text of an entry and returns what unpacks it, valid until
// the next read. The caller holds reading.
func (t *Text) text(off int64, h *textHead) (io.Reader, error) {
	at := off + textHeader + int64(h.signature)
	var packed io.Reader
	if h.length() <= textPiece { // it was read with the signature
		b := t.piece[textHeader+h.signature : h.length()]
		if crc32.Checksum(b, castagnoli) != h.packedSum {
			return nil, ErrNoData
		}
		t.packed.Reset(b)
		packed = &t.packed
	} else {
		sum := uint32(0)
		for n := int64(0); n < int64(h.packed); n += textPiece {
			b, err := t.read(at+n, int64(h.packed)-n)
			if err != nil {
				return nil, err
			}
			sum = crc32.Update(sum, castagnoli, b)
		}
		if sum != h.packedSum {
			return nil, ErrNoData
		}
		packed = bufio.NewReader(io.NewSectionReader(t.f, at, int64(h.packed)))
	}
	if t.unpack == nil {
		t.unpack = &unpacker{}
	}
	t.unpack.reset(packed)
	return t.unpack, nil
}

// read reads up to n octets from off on, as many as a piece holds. What cannot
// be read is not there. The caller holds reading.
func (t *Text) read(off, n int64) ([]byte, error) {
	if t.piece == nil {
		t.piece = make([]byte, textPiece)
	}
	b := t.piece[:min(n, textPiece)]
	if off < textFileHeader || len(b) == 0 {
		return nil, ErrNoData
	}
	if _, err := t.f.ReadAt(b, off); err != nil {
		return nil, ErrNoData
	}
	return b, nil
}

// AppendFrom appends the entry of message old that is at a place in from, as that
// of message uid, and returns its place here. ErrNoData: there is no such entry;
// whether its text is whole is only seen when somebody looks at it.
func (t *Text) AppendFrom(from *Text, place []byte, old, uid uint32) ([]byte, error) {
	off, n, err := from.find(place)
	if err != nil {
		return nil, err
	}
	if t.f == nil {
		return nil, errMemory
	}
	from.reading.Lock()
	defer from.reading.Unlock()
	h, _, err := from.head(off, n, old)
	if err != nil {
		return nil, err
	}
	h.uid = uid
	h.put(from.piece)
	t.mu.Lock()
	defer t.mu.Unlock()
	for done := int64(0); ; {
		b := from.piece[:min(n-done, textPiece)]
		if _, err := t.f.WriteAt(b, t.size+done); err != nil {
			return nil, err
		}
		if done += int64(len(b)); done == n {
			break
		}
		if _, err := from.read(off+done, n-done); err != nil {
			return nil, err
		}
	}
	place = t.place(t.size, n)
	t.size += n
	return place, nil
}

// Size returns the size of the text file in octets; 0 if there is none.
func (t *Text) Size() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.size
}

// Relax gives back the memory that looking has taken.
func (t *Text) Relax() {
	t.reading.Lock()
	t.piece, t.unpack = nil, nil
	t.packed.Reset(nil)
	t.reading.Unlock()
}

func (t *Text) close() error {
	if t.f == nil {
		return nil
	}
	return t.f.Close()
}
