// Package index keeps what a server wants to know of a folder's messages
// without opening them: a fixed record of 48 bytes a message in memory, and
// names, ENVELOPE and structure in a data file read by offset.
//
//   - It is a cache. Both files may be lost or damaged at any time; what cannot
//     be trusted is an error or is left out, never wrong.
//   - letterbox.index is a header and blocks, each with its length and CRC-32C.
//     The first blocks are a snapshot; changes are appended; a torn tail is cut
//     off. It is written anew once the changes outweigh the snapshot.
//   - letterbox.data is a header and entries, each section with its CRC-32C. The
//     index names the generation of the data file it belongs to.
//   - All numbers are little-endian and of fixed size on every machine.
//   - Nothing is synced: a lost tail shows as folder signatures that differ.
//
// An Index has one owner, who allows either one writer or several readers at a
// time; a Data may be read by several goroutines, while one appends.
package index
