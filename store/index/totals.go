package index

import (
	"errors"
	"hash/crc32"
	"io"
	"os"
)

// Totals are how many messages there are, and their octets on the wire: in files,
// of those whose size is not known yet (Sized).
type Totals struct{ Messages, Size int64 }

// Add returns the sum of both.
func (t Totals) Add(o Totals) Totals { return Totals{t.Messages + o.Messages, t.Size + o.Size} }

// Sub returns t without o.
func (t Totals) Sub(o Totals) Totals { return Totals{t.Messages - o.Messages, t.Size - o.Size} }

func totalsOf(r *Record) Totals { return Totals{1, r.Size()} }

// count makes the totals anew, from the records.
func (x *Index) count() {
	x.State.Totals = Totals{}
	for i := range x.Records {
		x.State.Totals = x.State.Totals.Add(totalsOf(&x.Records[i]))
	}
}

// stateRoom is how much of an index is read at first when only its last state is
// wanted: an index that was closed ends in a block of that size at most, as a rule.
const stateRoom = 512

// minState is less than a state takes, and more than what says how long any
// other operation is.
const minState = 16

// ReadTotals reads the totals of a closed folder from the end of its index:
// some hundred octets, 64 KiB at most, whatever it has of messages. ok is false where
// they cannot be relied on: there is no index, or a damaged one, or it was not
// closed in order, or the folder's signature is another one by now.
func ReadTotals(root *os.Root, signature [16]int64) (t Totals, ok bool) {
	if fi, err := root.Lstat(Name); err != nil || !fi.Mode().IsRegular() {
		return Totals{}, false
	}
	f, err := root.Open(Name)
	if err != nil {
		return Totals{}, false
	}
	defer f.Close()
	ops, err := lastBlock(f)
	if err != nil {
		return Totals{}, false
	}
	s, ok := lastState(ops)
	if !ok || !s.Clean || !s.Settled || s.Signature != signature {
		return Totals{}, false
	}
	return s.Totals, true
}

// lastBlock reads the operations of the last block of an index file.
func lastBlock(f *os.File) ([]byte, error) {
	var head [headerSize + 4]byte
	if _, err := f.ReadAt(head[:], 0); err != nil || !validHeader(head[:]) {
		return nil, errDamaged
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	rest := fi.Size() - int64(len(head))
	b, err := readEnd(f, fi.Size(), min(rest, stateRoom))
	if err != nil || len(b) < blockTrailer {
		return nil, errDamaged
	}
	n := int64(le.Uint32(b[len(b)-blockTrailer:]))
	whole := blockHeader + n + blockTrailer
	if n > maxBlock || whole > rest {
		return nil, errDamaged
	}
	if whole > int64(len(b)) {
		if b, err = readEnd(f, fi.Size(), whole); err != nil {
			return nil, err
		}
	}
	b = b[int64(len(b))-whole:]
	ops := b[blockHeader : blockHeader+n]
	if int64(le.Uint32(b)) != n || le.Uint32(b[4:]) != crc32.Checksum(ops, castagnoli) {
		return nil, errDamaged
	}
	return ops, nil
}

// readEnd reads the last n octets of a file of this size.
func readEnd(f *os.File, size, n int64) ([]byte, error) {
	b := make([]byte, n)
	if _, err := f.ReadAt(b, size-n); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b, nil
}

// lastState returns the state that operations end with.
func lastState(ops []byte) (s State, ok bool) {
	for len(ops) >= minState && ops[0] != opState {
		ops = ops[min(opSize(ops), len(ops)):]
	}
	if len(ops) < minState {
		return State{}, false
	}
	r := &reader{b: ops[1:]}
	s, _ = r.state()
	return s, !r.bad && len(r.b) == 0
}
