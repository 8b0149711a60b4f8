package store

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"

	"letterbox/store/maildir"
)

// maxFresh is how many messages without a UID are held at a time; where there are
// more the folder is read again for the others.
const maxFresh = 4 << 10

// A freshList holds messages that have no UID yet: the oldest, if there are many.
// It is a heap with the newest of them on top.
type freshList struct {
	entries []maildir.Entry
	more    int // those that were left out
}

// age orders messages as they get their UIDs: by the time in the name, then by
// the rest of it.
func age(a, b maildir.Entry) int {
	return cmp.Or(cmp.Compare(bornAt(a.Name.Base), bornAt(b.Name.Base)), strings.Compare(a.Name.Base, b.Name.Base))
}

func (l *freshList) Len() int           { return len(l.entries) }
func (l *freshList) Less(i, j int) bool { return age(l.entries[i], l.entries[j]) > 0 }
func (l *freshList) Swap(i, j int)      { l.entries[i], l.entries[j] = l.entries[j], l.entries[i] }
func (l *freshList) Push(x any)         { l.entries = append(l.entries, x.(maildir.Entry)) }
func (l *freshList) Pop() any           { panic("nothing is taken off one by one") }

// add takes a message, leaving out the newest if there are too many.
func (l *freshList) add(e maildir.Entry) {
	switch {
	case len(l.entries) < maxFresh:
		l.entries = append(l.entries, e)
		if len(l.entries) == maxFresh {
			heap.Init(l)
		}
	case age(e, l.entries[0]) < 0:
		l.entries[0] = e
		heap.Fix(l, 0)
		l.more++
	default:
		l.more++
	}
}

// take returns the messages in order, with the number of those left out, and
// empties the list.
func (l *freshList) take() (oldest []maildir.Entry, more int) {
	oldest, more = l.entries, l.more
	*l = freshList{}
	slices.SortFunc(oldest, age)
	return oldest, more
}

// bornAt returns the time that a base name begins with.
func bornAt(base string) int64 {
	var n int64
	for i := 0; i < len(base) && i < 18 && base[i] >= '0' && base[i] <= '9'; i++ {
		n = n*10 + int64(base[i]-'0')
	}
	return n
}
