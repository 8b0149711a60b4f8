// Package index keeps what a server wants to know of a folder's messages
// without opening them: a fixed record of 48 bytes a message in memory, names
// and structure in a data file read by offset, and the text that SEARCH looks
// through in a text file.
//
//   - It is a cache. Its files may be lost or damaged at any time; what cannot
//     be trusted is an error or is left out, never wrong. Without its data file an
//     index is lost, without its text file only the texts are.
//   - All numbers are little-endian and of fixed size on every machine.
//   - Nothing is synced: a lost tail shows as folder signatures that differ.
//   - Where nothing can be written it goes on in memory.
//   - The folder's totals are kept as it changes, and those of a closed folder
//     are read without its records.
//
// An Index has one owner, who allows either one writer or several readers at a
// time; a Data and a Text may be read by several goroutines, while one appends.
//
// # letterbox.index
//
// A header: "LBXINDX3", the generation of the data file (u64), UIDVALIDITY
// (u32), the number of records in the snapshot (u32), the size of header and
// snapshot in octets (u64), CRC-32C of all that (u32). Then blocks: length (u32),
// CRC-32C (u32), that many octets of operations, 64 KiB at most, and the length
// again, so that the last block is found from the end. The first blocks are a
// snapshot; changes are appended, and each time S is the last of them; a torn tail
// is cut off. The file is written anew once the changes outweigh the snapshot. An
// operation is a letter and its fields; a string has its length (u16) before it:
//
//	P record                         a message comes, or is different now
//	F uid u32, flags u64, modseq u64 its file is in cur/ under its plain name
//	X first u32, last u32, modseq u64 messages go
//	V first u32, last u32, modseq u64 messages that went before the snapshot
//	K name                           the next keyword
//	G modseq u64                     what changed before is forgotten, see Forget
//	O uid u32, file                  a file whose name is not the plain one
//	T id u32                         a new text file; no message has a text yet
//	S uidnext u32, modseq u64, ceiling u64, floor u64, signature 16 i64,
//	  dead u64, dead text u64, clean u8, settled u8, messages i64, size i64, mailbox id
//
// A record is flags, modseq and the hash of the base name (u64 each), UID,
// SAVEDATE, the low halves of size, INTERNALDATE and data offset (u32 each),
// the high octets of those three, and Bits (u8 each). What State says of the
// fields of S and Record of the others holds here too.
//
// # letterbox.data
//
// A header of 32 octets: "LBXDATA3", generation (u64), zeros, CRC-32C (u32). Then
// entries: 0x4C42 (u16), 0 (u16), UID (u32), length and CRC-32C (u32 each) of
// each Section, CRC-32C of that head (u32), and the sections. An entry that no
// record points to is dead; data and text are written anew when most of one is.
//
// # letterbox.text
//
// A header: "LBXTEXT2", an id drawn at random (u32), CRC-32C of that (u32). Then
// entries, found by their places in the data file: id of the text file (u32),
// length (u32), offset (u64).
//
//	entry: 0x4C54 (u16), 1 if the text was cut (u16), UID (u32), octets of text
//	       (u32), those of the message's header (u32), length and CRC-32C (u32
//	       each) of signature and packed text, CRC-32C of all that (u32)
//	       signature
//	       text, packed as pack.go tells
//
// A text is UTF-8 in segments that an octet 0xFF ends; what is looked for lies
// within a segment. At most 1 MiB of it is kept, and some 256 KiB packed: it may say
// of more that it holds something, but not that it does not.
//
// The signature is a set of trigrams, three octets t = o1<<16 | o2<<8 | o3 that
// follow each other in a segment, as bits of 32 to 2,048 octets: h = t * 0x9E3779B1
// modulo 1<<32, h = h ^ h>>15 modulo the number of bits, bit h modulo 8 of octet
// h/8. The text of a message that lacks the bit of a trigram does not hold it, and
// need not be unpacked. The size is the smallest power of two of whose bits a third
// is set at most, or 2,048.
package index
