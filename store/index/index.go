package index

import (
	"cmp"
	"slices"
)

// maxVanished is how many ranges of removed messages are remembered.
const maxVanished = 4096

// Vanished says that the messages with UIDs First to Last went at ModSeq.
type Vanished struct {
	First, Last uint32
	ModSeq      uint64
}

// State is what is known of the folder as a whole.
type State struct {
	UIDValidity uint32
	UIDNext     uint32
	ModSeq      uint64    // the highest in use
	Ceiling     uint64    // the highest that the folder has reserved on disk
	Floor       uint64    // what vanished at or before this mod-sequence is not remembered
	Signature   [16]int64 // of the folder's files when the index was true to them
	Clean       bool      // closed in order, nothing was written since
	Settled     bool      // Signature is so old that no later change can hide behind it
	MailboxID   string
	Totals      Totals // of Records
}

// An Index is the cache of one folder in memory. The methods that change it
// also note the change for Flush.
type Index struct {
	State
	Records  []Record // ascending UID
	Keywords []string
	Vanished []Vanished // ascending ModSeq

	odd     map[uint32]string
	pending []byte // operations that Flush will write
	anew    bool   // they are not all: Flush will write the file anew
	removed bool   // some records are marked gone
	dead    deadOctets
	file    logFile
	data    *Data
	text    *Text
	textID  uint32 // of the text file that records with HasText speak of
}

// deadOctets are those of a file that nothing refers to any more.
type deadOctets struct{ data, text int64 }

// Find returns where the record of uid is, or would be.
func (x *Index) Find(uid uint32) (int, bool) {
	n := len(x.Records)
	// UIDs grow by one as long as nothing is removed: look there first.
	if n > 0 {
		if d := uid - x.Records[0].UID; uint64(d) < uint64(n) && x.Records[d].UID == uid {
			return int(d), true
		}
		if uid > x.Records[n-1].UID {
			return n, false
		}
	}
	return slices.BinarySearchFunc(x.Records, uid, func(r Record, uid uint32) int { return cmp.Compare(r.UID, uid) })
}

// Put adds a record or replaces the one of the same UID.
func (x *Index) Put(rec Record) {
	if i, ok := x.Find(rec.UID); ok {
		old := &x.Records[i]
		x.bury(old, &rec)
		x.State.Totals = x.State.Totals.Sub(totalsOf(old))
	}
	x.State.Totals = x.State.Totals.Add(totalsOf(&rec))
	x.applyPut(rec)
	x.State.Clean = false
	x.pending = appendRecord(append(x.pending, opPut), &rec)
}

// bury counts what is dead once r comes in the place of old.
func (x *Index) bury(old, r *Record) {
	moved := old.Offset() != r.Offset()
	if moved {
		x.dead.data += x.data.length(old.Offset())
	}
	if old.Bits&HasText != 0 && (moved || r.Bits&HasText == 0) {
		var place [placeSize]byte
		if p, err := x.data.AppendSection(place[:0], old.Offset(), old.UID, TextPlace); err == nil {
			x.dead.text += placeLength(p)
		}
	}
}

// maxPending is how many octets of changes are held for Flush. Where there are
// more it writes the file anew.
const maxPending = 1 << 20

// Expect makes room for n further records.
func (x *Index) Expect(n int) { x.Records = slices.Grow(x.Records, n) }

// PutAll adds records of UIDs that are not there yet, in ascending order. It may
// keep recs.
func (x *Index) PutAll(recs []Record) {
	if len(recs) == 0 {
		return
	}
	x.anew = x.anew || len(x.pending)+len(recs)*(1+recordSize) > maxPending
	for i := range recs {
		x.State.Totals = x.State.Totals.Add(totalsOf(&recs[i]))
		x.State.ModSeq = max(x.State.ModSeq, recs[i].ModSeq)
		if !x.anew {
			x.pending = appendRecord(append(x.pending, opPut), &recs[i])
		}
	}
	x.State.Clean = false
	x.State.UIDNext = max(x.State.UIDNext, recs[len(recs)-1].UID+1)
	inOrder := len(x.Records) == 0 || x.Records[len(x.Records)-1].UID < recs[0].UID
	if cap(x.Records) == 0 {
		x.Records = recs
	} else {
		x.Records = append(x.Records, recs...)
	}
	if !inOrder {
		slices.SortFunc(x.Records, func(a, b Record) int { return cmp.Compare(a.UID, b.UID) })
	}
}

// SetFlags changes flags and mod-sequence of Records[i], whose file now is in
// cur/ under the name that base name and flags say.
func (x *Index) SetFlags(i int, flags, modseq uint64) {
	r := &x.Records[i]
	r.Flags, r.ModSeq = flags, modseq
	r.Bits &^= InNew | Odd
	delete(x.odd, r.UID)
	x.State.ModSeq = max(x.State.ModSeq, modseq)
	x.State.Clean = false
	x.pending = append(x.pending, opFlags)
	x.pending = le.AppendUint32(x.pending, r.UID)
	x.pending = le.AppendUint64(x.pending, flags)
	x.pending = le.AppendUint64(x.pending, modseq)
}

// Remove removes the records with these UIDs, which are ascending, at modseq.
func (x *Index) Remove(uids []uint32, modseq uint64) {
	var v Vanished
	flush := func() {
		if v.First != 0 {
			x.applyRemove(v, true)
			x.pending = appendRange(x.pending, opRemove, v)
		}
	}
	for _, uid := range uids {
		i, ok := x.Find(uid)
		if !ok || v.First != 0 && uid == v.Last { // a UID named twice goes once
			continue
		}
		x.bury(&x.Records[i], &Record{})
		x.State.Totals = x.State.Totals.Sub(totalsOf(&x.Records[i]))
		if v.First != 0 && uid == v.Last+1 {
			v.Last = uid
			continue
		}
		flush()
		v = Vanished{First: uid, Last: uid, ModSeq: modseq}
	}
	flush()
	x.sweep()
	x.trimVanished()
	x.State.Clean = false
}

// Reserve notes that UIDs below next are used, be it for messages that were
// never shown.
func (x *Index) Reserve(next uint32) {
	if next > x.State.UIDNext {
		x.State.UIDNext = next
		x.State.Clean = false
	}
}

// Forget gives up what is known of changes up to mod-sequence v, which is above
// all that are in use: every message gets v, and what vanished is not remembered.
func (x *Index) Forget(v uint64) {
	x.applyForget(v)
	x.State.Clean = false
	x.pending = le.AppendUint64(append(x.pending, opForget), v)
}

// AddKeyword adds a keyword at the end of Keywords.
func (x *Index) AddKeyword(name string) {
	x.Keywords = append(x.Keywords, name)
	x.State.Clean = false
	x.pending = appendString(append(x.pending, opKeyword), name)
}

// OddName returns the file name of a message whose record has the bit Odd.
func (x *Index) OddName(uid uint32) string { return x.odd[uid] }

// SetOdd notes the file name of a message whose record has, or will be given by
// Put, the bit Odd.
func (x *Index) SetOdd(uid uint32, file string) {
	x.odd[uid] = file
	x.State.Clean = false
	x.pending = le.AppendUint32(append(x.pending, opOdd), uid)
	x.pending = appendString(x.pending, file)
}

// sweep drops the records marked gone.
func (x *Index) sweep() {
	if x.removed {
		x.Records = slices.DeleteFunc(x.Records, func(r Record) bool { return r.Bits&gone != 0 })
		x.removed = false
	}
}

// trimVanished forgets the oldest half of what vanished when there is too much.
func (x *Index) trimVanished() {
	if n := len(x.Vanished); n > maxVanished {
		drop := n - maxVanished/2
		x.State.Floor = max(x.State.Floor, x.Vanished[drop-1].ModSeq)
		x.Vanished = slices.Delete(x.Vanished, 0, drop)
	}
}
