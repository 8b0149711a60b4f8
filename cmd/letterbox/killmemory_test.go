//go:build crash || interop

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/emersion/go-imap/v2"
)

// Whose letters are whose: a mail program's are its number's.
const (
	anybody      = -1 // those of the mail program that the letter's number divided by two leaves
	arranger     = 2
	doveadmAlone = 3
)

// The folders that stay.
const (
	inboxBox   = 1
	archiveBox = 2
	workBox    = 3
	workName   = "Work/2026"
	boxPrefix  = "Box" // of the names of those that come and go
)

var stableBoxes = []int{inboxBox, archiveBox, workBox}

// ownFolders are those that a new household has.
var ownFolders = []string{"INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive"}

// A memory is what the clients of a household know: what was acknowledged, and what may be, since no answer came. It may be used
// by several goroutines.
type memory struct {
	cut bool // the power is cut, and not the program killed: a letter that was being moved may be in both places

	mu           sync.Mutex // guards what follows
	drawn        int        // the last letter
	letters      map[int]posted
	boxes        map[int]knownBox
	shown        map[uint32]*shownBox // by UIDVALIDITY
	copies       map[int]copying      // without an answer, by the first of their letters
	acknowledged map[string]int
}

// A posted letter may be at some places. There is one possibility unless something is being done to it.
type posted struct {
	owner int
	may   [][]place
}

// A place is a folder that a letter is in, and the flags it has there.
type place struct {
	box   int
	flags string // in order, each with a blank behind it
}

// A knownBox is a folder with all the names it may have; "": it may not be there.
type knownBox struct {
	names    []string
	inside   int // the box below which it is; 0: none
	validity uint32
}

// A shownBox is what any client was ever shown of one UIDVALIDITY.
type shownBox struct {
	box     int
	uidNext uint32
	modSeq  uint64
	letters map[uint32]int // by UID
}

// A copying is a COPY of several letters, which arrive all or none.
type copying struct {
	letters []int
	to      int
}

func newMemory() *memory {
	return &memory{letters: map[int]posted{}, shown: map[uint32]*shownBox{}, copies: map[int]copying{}, acknowledged: map[string]int{},
		boxes: map[int]knownBox{inboxBox: {names: []string{"INBOX"}}, archiveBox: {names: []string{"Archive"}}, workBox: {names: []string{workName}}}}
}

// clone is what is known now.
func (k *memory) clone() *memory {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := newMemory()
	c.cut, c.drawn, c.letters, c.boxes, c.copies = k.cut, k.drawn, maps.Clone(k.letters), maps.Clone(k.boxes), maps.Clone(k.copies)
	for v, s := range k.shown {
		s := *s
		s.letters = maps.Clone(s.letters)
		c.shown[v] = &s
	}
	return c
}

// mark is what only one letter has in its subject.
func mark(n int) string { return fmt.Sprintf("mark-%d-", n) }

var markOf = regexp.MustCompile(`\r\nSubject: mark-(\d+)-\r\n`)

// letterText is letter n: no two are alike, and some are longer than what is kept in memory.
func letterText(n int) string {
	body := strings.Repeat(fmt.Sprintf("This is letter %d, line by line.\r\n", n), 1+n%40)
	if n%17 == 0 {
		body = strings.Repeat(body, 1+200_000/len(body))
	}
	return fmt.Sprintf("From: ben@example.org\r\nTo: ann@%s\r\nSubject: %s\r\n\r\n%s", killDomain, mark(n), body)
}

// letterOf tells which letter a message is, 0 if it is none, and whether it is as it was sent: trace fields may stand before it.
func letterOf(text []byte) (n int, ok bool) {
	found := markOf.FindSubmatch(text)
	if found == nil {
		return 0, false
	}
	n, err := strconv.Atoi(string(found[1]))
	return n, err == nil && bytes.HasSuffix(text, []byte(letterText(n)))
}

func flagsOf(flags []imap.Flag) string {
	var names []string
	for _, f := range flags {
		if f != `\Recent` {
			names = append(names, string(f))
		}
	}
	slices.Sort(names)
	return strings.Join(append(names, ""), " ")
}

// draw draws a letter that is nowhere yet.
func (k *memory) draw(owner int) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.drawn++
	if owner == anybody {
		owner = k.drawn % 2
	}
	k.letters[k.drawn] = posted{owner, [][]place{nil}}
	return k.drawn
}

// pick calls do, if it is not nil, for letters of an owner's that are in a folder once, and nothing is in doubt of them, until it
// returns false; without do it counts up to a limit.
func (k *memory) pick(owner, box int, do func(n int, at []place) bool, limit int) (count int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for n, l := range k.letters {
		if l.owner != owner || len(l.may) != 1 || times(l.may[0], box) != 1 {
			continue
		}
		if count++; do == nil && count == limit || do != nil && !do(n, l.may[0]) {
			break
		}
	}
	return count
}

func times(at []place, box int) (n int) {
	for _, p := range at {
		if p.box == box {
			n++
		}
	}
	return n
}

// A change says where a letter may be after what is done to it; the first is where it is when that was acknowledged.
type change func(now []place) [][]place

func arrives(box int) change {
	return func([]place) [][]place { return [][]place{{{box, ""}}} }
}

// at maps the one place of a letter in a folder.
func at(box int, do func(p place) []place) change {
	return func(now []place) [][]place {
		var after []place
		for _, p := range now {
			if p.box == box {
				after = append(after, do(p)...)
			} else {
				after = append(after, p)
			}
		}
		return [][]place{after}
	}
}

func leaves(box int) change { return at(box, func(place) []place { return nil }) }

func copied(box, to int) change {
	return at(box, func(p place) []place { return []place{p, {to, p.flags}} })
}

func (k *memory) moved(box, to int) change {
	move := at(box, func(p place) []place { return []place{{to, p.flags}} })
	if !k.cut {
		return move
	}
	return func(now []place) [][]place { return append(move(now), copied(box, to)(now)...) }
}

func flagged(box int, op, flag string) change {
	return at(box, func(p place) []place {
		flags := slices.DeleteFunc(strings.Fields(p.flags), func(f string) bool { return f == flag })
		if op == "+" {
			flags = append(flags, flag)
		}
		slices.Sort(flags)
		return []place{{p.box, strings.Join(append(flags, ""), " ")}}
	})
}

// try does something to letters. Where it ends with an error it is in doubt whether it was done.
func (k *memory) try(what string, ns []int, c change, do func() error) error {
	k.mu.Lock()
	after := map[int][]place{}
	for _, n := range ns {
		l := k.letters[n]
		may := c(l.may[0])
		after[n] = may[0]
		l.may = append(may, l.may[0])
		k.letters[n] = l
	}
	k.mu.Unlock()
	if err := do(); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for n, at := range after {
		k.letters[n] = posted{k.letters[n].owner, [][]place{at}}
	}
	k.acknowledged[what] += len(ns)
	return nil
}

// together notes that letters come into a folder together, until done is called.
func (k *memory) together(ns []int, to int) (done func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.copies[ns[0]] = copying{ns, to}
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.copies, ns[0])
	}
}

// newBox draws a folder that is not there yet, inside another one or 0.
func (k *memory) newBox(inside int) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := 1
	for k.boxes[n].names != nil {
		n++
	}
	k.boxes[n] = knownBox{names: []string{""}, inside: inside}
	return n
}

// name is that of a folder of which nothing is in doubt.
func (k *memory) name(box int) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.boxes[box].names[0]
}

// freeName is a name that no folder has or may have. Names come again.
func (k *memory) freeName(prefix string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	for n := 1; ; n++ {
		name := fmt.Sprint(prefix, "-", n)
		taken := false
		for _, b := range k.boxes {
			taken = taken || slices.Contains(b.names, name) || slices.Contains(b.names, name+"/in")
		}
		if !taken {
			return name
		}
	}
}

// liveBoxes are the folders that are there for a time, those inside others first.
func (k *memory) liveBoxes() []int {
	return slices.DeleteFunc(k.boxesThere(), func(n int) bool { return n <= workBox })
}

// boxesThere are the folders that are there for certain, those inside others first.
func (k *memory) boxesThere() (ns []int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for n, b := range k.boxes {
		if len(b.names) == 1 && b.names[0] != "" {
			ns = append(ns, n)
		}
	}
	slices.SortFunc(ns, func(a, b int) int {
		return cmp.Or(-cmp.Compare(k.boxes[a].inside, k.boxes[b].inside), cmp.Compare(a, b))
	})
	return ns
}

// tryBoxes gives folders new names; "": they go.
func (k *memory) tryBoxes(what string, names map[int]string, do func() error) error {
	k.mu.Lock()
	for n, name := range names {
		b := k.boxes[n]
		b.names = []string{b.names[0], name}
		k.boxes[n] = b
	}
	k.mu.Unlock()
	if err := do(); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for n, name := range names {
		b := k.boxes[n]
		b.names = []string{name}
		k.boxes[n] = b
		if name == "" {
			k.forgetBox(n)
		}
	}
	k.acknowledged[what]++
	return nil
}

// forgetBox forgets a folder that is gone, with what was in it. The caller holds mu.
func (k *memory) forgetBox(n int) {
	for i, l := range k.letters {
		may := make([][]place, len(l.may))
		for j, at := range l.may {
			may[j] = slices.DeleteFunc(slices.Clone(at), func(p place) bool { return p.box == n })
		}
		k.letters[i] = posted{l.owner, may}
	}
	if s := k.shown[k.boxes[n].validity]; s != nil {
		s.box = 0 // nothing has its UIDVALIDITY any more
	}
	delete(k.boxes, n)
}

// of returns what was shown of a UIDVALIDITY. The caller holds mu.
func (k *memory) of(validity uint32) *shownBox {
	s := k.shown[validity]
	if s == nil {
		s = &shownBox{box: -1, letters: map[uint32]int{}}
		k.shown[validity] = s
	}
	return s
}

// wasShown notes what a client was shown of a folder.
func (k *memory) wasShown(box int, data *imap.SelectData) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.of(data.UIDValidity)
	s.uidNext, s.modSeq = max(s.uidNext, uint32(data.UIDNext)), max(s.modSeq, data.HighestModSeq)
}

// wasTold notes which UID a letter was said to have.
func (k *memory) wasTold(validity, uid uint32, n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.of(validity)
	s.letters[uid], s.uidNext = n, max(s.uidNext, uid+1)
}

func (k *memory) wereTold(validity uint32, from, to imap.NumSet, of map[imap.UID]int) {
	src, ok := from.(imap.UIDSet)
	dst, too := to.(imap.UIDSet)
	if !ok || !too {
		return
	}
	as, _ := src.Nums()
	bs, _ := dst.Nums()
	for i := range min(len(as), len(bs)) {
		k.wasTold(validity, uint32(bs[i]), of[as[i]])
	}
}

// isShown holds what a folder shows against what it showed before.
func (k *memory) isShown(n int, data *imap.SelectData) (faults []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	b, s := k.boxes[n], k.of(data.UIDValidity)
	if b.validity != 0 && b.validity != data.UIDValidity {
		faults = append(faults, fmt.Sprintf("the UIDVALIDITY of %s was %d and is %d", b.names[0], b.validity, data.UIDValidity))
	}
	if s.box != -1 && s.box != n {
		faults = append(faults, fmt.Sprintf("the UIDVALIDITY %d of %s was another folder's", data.UIDValidity, b.names[0]))
	}
	if uint32(data.UIDNext) < s.uidNext || data.HighestModSeq < s.modSeq {
		faults = append(faults, fmt.Sprintf("UIDNEXT %d, HIGHESTMODSEQ %d of %s went back to %d, %d", s.uidNext, s.modSeq, b.names[0], data.UIDNext, data.HighestModSeq))
	}
	b.validity, s.box, s.uidNext, s.modSeq = data.UIDValidity, n, uint32(data.UIDNext), data.HighestModSeq
	k.boxes[n] = b
	return faults
}

// isTold holds the UID of a letter against what it was before.
func (k *memory) isTold(validity, uid uint32, n int) (faults []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.of(validity)
	if before, ok := s.letters[uid]; ok && before != n {
		faults = append(faults, fmt.Sprintf("UID %d of UIDVALIDITY %d is letter %d and was letter %d", uid, validity, n, before))
	}
	s.letters[uid] = n
	return faults
}

// settleBoxes holds the names of the folders that are there against those that may be.
func (k *memory) settleBoxes(there []string) (faults []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	known := map[string]bool{}
	for _, name := range ownFolders {
		known[name] = true
	}
	for n, b := range maps.Clone(k.boxes) {
		var has []string
		for _, name := range b.names {
			if slices.Contains(there, name) {
				has = append(has, name)
				known[name] = true
			}
		}
		switch {
		case len(has) == 1:
		case len(has) == 0 && slices.Contains(b.names, ""):
			k.forgetBox(n)
			continue
		default:
			faults = append(faults, fmt.Sprintf("the folder that may be called %q is called %q", b.names, has))
		}
		b.names = has
		k.boxes[n] = b
	}
	for _, b := range k.boxes {
		if above, ok := k.boxes[b.inside]; ok && len(b.names) == 1 && len(above.names) == 1 && b.names[0] != above.names[0]+"/in" {
			faults = append(faults, fmt.Sprintf("%s was inside %s", b.names[0], above.names[0]))
		}
	}
	for _, name := range there {
		if !known[name] {
			faults = append(faults, "nobody has made the folder "+name)
		}
	}
	return faults
}

// settleLetters holds where letters are against where they may be.
func (k *memory) settleLetters(found map[int][]place) (faults []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	inOrder := func(at []place) []place {
		return slices.SortedFunc(slices.Values(at), func(a, b place) int {
			return cmp.Or(cmp.Compare(a.box, b.box), strings.Compare(a.flags, b.flags))
		})
	}
	for _, c := range k.copies {
		n := 0
		for _, l := range c.letters {
			n += times(found[l], c.to)
		}
		if n != 0 && n != len(c.letters) {
			faults = append(faults, fmt.Sprintf("of letters %v that were being copied %d are there", c.letters, n))
		}
	}
	clear(k.copies)
	for n, l := range k.letters {
		is := inOrder(found[n])
		if !slices.ContainsFunc(l.may, func(at []place) bool { return slices.Equal(inOrder(at), is) }) {
			faults = append(faults, fmt.Sprintf("letter %d of %d may be at %v and is at %v", n, l.owner, l.may, is))
		}
		if len(is) == 0 {
			delete(k.letters, n)
			continue
		}
		k.letters[n] = posted{l.owner, [][]place{is}}
	}
	for n, at := range found {
		if _, known := k.letters[n]; !known {
			faults = append(faults, fmt.Sprintf("letter %d is at %v, and nobody has put it there", n, at))
		}
	}
	return faults
}
