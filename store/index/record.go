package index

// recordSize is the size of a record in memory and on disk.
const recordSize = 48

// A Record is what is kept in memory of one message. Size, date and data
// offset are 40-bit numbers, so that a record takes 48 bytes.
type Record struct {
	Flags  uint64
	ModSeq uint64
	Hash   uint64 // of the base name: Hash(name)
	UID    uint32
	Saved  uint32 // Unix seconds of arrival in this folder; 0: not known

	size, date, offset       uint32
	sizeHi, dateHi, offsetHi uint8
	Bits                     Bits
}

// Bits are what is known of a message's file.
type Bits uint8

// The bits of a record.
const (
	InNew   Bits = 1 << iota // the file is in new/
	CRLF                     // the file holds the wire form already
	Parsed                   // the data file has the message's structure
	Odd                      // the file's name is not what base name and flags say; see Index.OddName
	Sized                    // Size is known
	HasText                  // the data file says where in the text file the message's text is
	gone                     // removed; only while a log is read
)

func high(v int64) uint8 { return uint8(uint64(v) >> 32) }

// Size returns the message's size on the wire in octets.
func (r *Record) Size() int64 { return int64(r.sizeHi)<<32 | int64(r.size) }

// SetSize sets the size.
func (r *Record) SetSize(n int64) { r.size, r.sizeHi = uint32(n), high(n) }

// Date returns the message's INTERNALDATE in Unix seconds.
func (r *Record) Date() int64 { return int64(int8(r.dateHi))<<32 | int64(r.date) }

// SetDate sets the date.
func (r *Record) SetDate(t int64) { r.date, r.dateHi = uint32(t), high(t) }

// Offset returns where the message's entry is in the data file; 0: nowhere.
func (r *Record) Offset() int64 { return int64(r.offsetHi)<<32 | int64(r.offset) }

// SetOffset sets the offset.
func (r *Record) SetOffset(n int64) { r.offset, r.offsetHi = uint32(n), high(n) }

// Hash returns the hash of a base name that records are found by.
func Hash(base string) uint64 {
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(base) {
		h = (h ^ uint64(base[i])) * 1099511628211
	}
	return h ^ h>>32
}

func appendRecord(b []byte, r *Record) []byte {
	b = le.AppendUint64(b, r.Flags)
	b = le.AppendUint64(b, r.ModSeq)
	b = le.AppendUint64(b, r.Hash)
	b = le.AppendUint32(b, r.UID)
	b = le.AppendUint32(b, r.Saved)
	b = le.AppendUint32(b, r.size)
	b = le.AppendUint32(b, r.date)
	b = le.AppendUint32(b, r.offset)
	return append(b, r.sizeHi, r.dateHi, r.offsetHi, uint8(r.Bits))
}

// decodeRecord reads a record from the first recordSize octets of b.
func decodeRecord(b []byte) Record {
	_ = b[recordSize-1]
	return Record{
		Flags: le.Uint64(b), ModSeq: le.Uint64(b[8:]), Hash: le.Uint64(b[16:]),
		UID: le.Uint32(b[24:]), Saved: le.Uint32(b[28:]),
		size: le.Uint32(b[32:]), date: le.Uint32(b[36:]), offset: le.Uint32(b[40:]),
		sizeHi: b[44], dateHi: b[45], offsetHi: b[46], Bits: Bits(b[47]) &^ gone,
	}
}
