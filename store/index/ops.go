package index

import (
	"encoding/binary"
	"errors"
	"slices"
)

// The operations in a block: a letter, then fields of fixed size; strings
// have a length of two octets.
const (
	opPut     = 'P' // record
	opFlags   = 'F' // uid, flags, mod-sequence
	opRemove  = 'X' // first uid, last uid, mod-sequence
	opVanish  = 'V' // as opRemove, of messages that are not in the snapshot
	opKeyword = 'K' // name
	opOdd     = 'O' // uid, file name
	opText    = 'T' // id of the text file
	opForget  = 'G' // mod-sequence
	opState   = 'S'
)

var errDamaged = errors.New("the index is damaged")

var le = binary.LittleEndian

func appendString(b []byte, s string) []byte {
	b = le.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

func appendRange(b []byte, op byte, v Vanished) []byte {
	b = append(b, op)
	b = le.AppendUint32(b, v.First)
	b = le.AppendUint32(b, v.Last)
	return le.AppendUint64(b, v.ModSeq)
}

func appendState(b []byte, s *State, dead deadOctets) []byte {
	b = append(b, opState)
	b = le.AppendUint32(b, s.UIDNext)
	b = le.AppendUint64(b, s.ModSeq)
	b = le.AppendUint64(b, s.Ceiling)
	b = le.AppendUint64(b, s.Floor)
	for _, v := range s.Signature {
		b = le.AppendUint64(b, uint64(v))
	}
	b = le.AppendUint64(b, uint64(dead.data))
	b = le.AppendUint64(b, uint64(dead.text))
	b = append(b, octet(s.Clean), octet(s.Settled))
	b = le.AppendUint64(b, uint64(s.Totals.Messages))
	b = le.AppendUint64(b, uint64(s.Totals.Size))
	return appendString(b, s.MailboxID)
}

func octet(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// A reader takes fields from a block; it fails once and then stays failed.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || len(r.b) < n {
		r.bad = true
		return make([]byte, n)
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) u32() uint32    { return le.Uint32(r.take(4)) }
func (r *reader) u64() uint64    { return le.Uint64(r.take(8)) }
func (r *reader) string() string { return string(r.take(int(le.Uint16(r.take(2))))) }

func (r *reader) vanished() Vanished {
	return Vanished{First: r.u32(), Last: r.u32(), ModSeq: r.u64()}
}

func (r *reader) state() (s State, dead deadOctets) {
	s.UIDNext = r.u32()
	s.ModSeq, s.Ceiling, s.Floor = r.u64(), r.u64(), r.u64()
	for i := range s.Signature {
		s.Signature[i] = int64(r.u64())
	}
	dead.data, dead.text = int64(r.u64()), int64(r.u64())
	s.Clean, s.Settled = r.take(1)[0] == 1, r.take(1)[0] == 1
	s.Totals.Messages, s.Totals.Size = int64(r.u64()), int64(r.u64())
	s.MailboxID = r.string()
	return s, dead
}

// apply carries out the operations of one block.
func (x *Index) apply(block []byte) error {
	r := &reader{b: block}
	for len(r.b) > 0 && !r.bad {
		op := r.take(1)[0]
		clean := false
		switch op {
		case opPut:
			if p := r.take(recordSize); !r.bad {
				x.applyPut(decodeRecord(p))
			}
		case opFlags:
			uid, flags, modseq := r.u32(), r.u64(), r.u64()
			if i, ok := x.Find(uid); ok && !r.bad {
				x.Records[i].Flags, x.Records[i].ModSeq = flags, modseq
				x.Records[i].Bits &^= InNew | Odd
				delete(x.odd, uid)
			}
		case opRemove:
			x.applyRemove(r.vanished(), true)
		case opVanish:
			x.applyRemove(r.vanished(), false)
		case opKeyword:
			x.Keywords = append(x.Keywords, r.string())
		case opOdd:
			uid := r.u32()
			x.odd[uid] = r.string()
		case opText:
			x.applyText(r.u32())
		case opForget:
			x.applyForget(r.u64())
		case opState:
			v := x.State.UIDValidity
			x.State, x.dead = r.state()
			x.State.UIDValidity = v
			clean = x.State.Clean
		default:
			r.bad = true
		}
		x.State.Clean = clean
	}
	if r.bad {
		return errDamaged
	}
	return nil
}

func (x *Index) applyPut(rec Record) {
	i, ok := x.Find(rec.UID)
	switch {
	case ok:
		x.Records[i] = rec
	case i == len(x.Records):
		x.Records = append(x.Records, rec)
	default:
		x.Records = slices.Insert(x.Records, i, rec)
	}
	x.State.ModSeq = max(x.State.ModSeq, rec.ModSeq)
	x.State.UIDNext = max(x.State.UIDNext, rec.UID+1)
}

// applyText notes that there is a new text file, which has no text yet.
func (x *Index) applyText(id uint32) {
	x.textID, x.dead.text = id, 0
	for i := range x.Records {
		x.Records[i].Bits &^= HasText
	}
}

func (x *Index) applyRemove(v Vanished, records bool) {
	x.Vanished = append(x.Vanished, v)
	x.State.ModSeq = max(x.State.ModSeq, v.ModSeq)
	if !records {
		return
	}
	for i, _ := x.Find(v.First); i < len(x.Records) && x.Records[i].UID <= v.Last; i++ {
		x.Records[i].Bits |= gone
		delete(x.odd, x.Records[i].UID)
		x.removed = true
	}
}

func (x *Index) applyForget(v uint64) {
	x.State.ModSeq, x.State.Floor, x.Vanished = max(x.State.ModSeq, v), max(x.State.Floor, v), nil
	for i := range x.Records {
		x.Records[i].ModSeq = v
	}
}
