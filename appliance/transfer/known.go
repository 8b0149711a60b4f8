package transfer

import (
	"bytes"
	"slices"
)

// known are the messages that a folder has: from imports, by their ID, and others by their KeptID. Each stands for one message of the source, and for one alone: what comes there
// twice has to be here twice.
type known struct {
	ids     []ID     // sorted, and so by their octets
	used    []bool   // it has been found at the source
	byPlace []uint32 // the indexes of ids, by their second halves
	left    int64    // how many of those from imports are not used

	added  map[ID]bool   // IDs given to messages in this run, of those whose octets were read before
	copies map[ID]uint32 // by the ID of the first of messages that are the same: how many there are at least
}

// add takes in an ID. ready comes behind the last.
func (k *known) add(id ID) { k.ids = append(k.ids, id) }

func (k *known) ready() {
	slices.SortFunc(k.ids, func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
	k.used, k.left = make([]bool, len(k.ids)), 0
	k.byPlace = make([]uint32, len(k.ids))
	for i := range k.byPlace {
		k.byPlace[i] = uint32(i)
		if !k.ids[i].unread() {
			k.left++
		}
	}
	slices.SortFunc(k.byPlace, func(a, b uint32) int { return bytes.Compare(k.ids[a][idHalf:], k.ids[b][idHalf:]) })
}

// next tells whether the folder has a message that the source shows. If not, id is what the message is to be known by.
func (k *known) next(m *Message) (id ID, has bool) {
	if m.Kept != (ID{}) && k.hasPlace(m.Kept) {
		return m.ID, true
	}
	message := m.ID
	if message.unread() {
		return message, k.hasPlace(message)
	}
	if k.hasOctets(message) {
		return message, true
	}
	if k.added == nil {
		k.added, k.copies = make(map[ID]bool), make(map[ID]uint32)
	}
	for n := k.copies[message]; ; n++ {
		id := message.copyOf(n)
		if _, taken := slices.BinarySearchFunc(k.ids, id, func(a, b ID) int { return bytes.Compare(a[:], b[:]) }); taken || k.added[id] {
			k.copies[message] = n + 1
			continue
		}
		k.added[id] = true
		return id, false
	}
}

// hasOctets tells whether the folder has another message with the same octets as that of id.
func (k *known) hasOctets(id ID) bool {
	i, _ := slices.BinarySearchFunc(k.ids, id, func(a, b ID) int { return bytes.Compare(a[:idHalf], b[:idHalf]) })
	for ; i < len(k.ids) && bytes.Equal(k.ids[i][:idHalf], id[:idHalf]); i++ {
		if k.use(i) {
			return true
		}
	}
	return false
}

// hasPlace tells whether the folder has the message that came from the same place as that of id.
func (k *known) hasPlace(id ID) bool {
	i, _ := slices.BinarySearchFunc(k.byPlace, id, func(a uint32, b ID) int { return bytes.Compare(k.ids[a][idHalf:], b[idHalf:]) })
	for ; i < len(k.byPlace) && bytes.Equal(k.ids[k.byPlace[i]][idHalf:], id[idHalf:]); i++ {
		if k.use(int(k.byPlace[i])) {
			return true
		}
	}
	return false
}

// use takes one that is not used yet.
func (k *known) use(i int) bool {
	if k.used[i] {
		return false
	}
	k.used[i] = true
	if !k.ids[i].unread() {
		k.left--
	}
	return true
}
