package store

import "math/bits"

// A hashTable finds places in a list by the 64-bit hash of what stands there, at
// eight to sixteen octets a place. One that has no place yet, and no two places
// of one hash: the later counts.
type hashTable struct {
	slots []int32 // a place and one; 0: free
	hash  func(i int) uint64
}

// newHashTable makes a table for n places of a list whose hashes hash tells.
func newHashTable(n int, hash func(i int) uint64) hashTable {
	return hashTable{make([]int32, 1<<bits.Len(uint(2*n))), hash}
}

// slot returns where a hash is, or would be.
func (t *hashTable) slot(h uint64) int {
	mask := len(t.slots) - 1
	at := int(h) & mask
	for t.slots[at] != 0 && t.hash(int(t.slots[at])-1) != h {
		at = (at + 1) & mask
	}
	return at
}

// put adds a place. There may be no more of them than the table was made for.
func (t *hashTable) put(i int) { t.slots[t.slot(t.hash(i))] = int32(i) + 1 }

// find returns the place of a hash.
func (t *hashTable) find(h uint64) (i int, ok bool) {
	if len(t.slots) == 0 {
		return 0, false
	}
	v := t.slots[t.slot(h)]
	return int(v) - 1, v != 0
}
