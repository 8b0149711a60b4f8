package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"letterbox/store/maildir"
	"letterbox/store/message"

	"pgregory.net/rapid"
)

// letter is a message as the model knows it.
type letter struct {
	text  string
	flags map[string]bool
	id    string // EMAILID
}

// A model is what two mailboxes should hold, and what a client knows of them
// that only ever asks Changes.
type model struct {
	dir    string
	s      *Store
	boxes  map[string]map[UID]*letter
	bin    map[string][]*letter // what was expunged from a mailbox and is kept
	next   map[string]UID
	client map[string]map[UID]Flags
	seen   map[string]ModSeq
	count  int
}

var modelBoxes = []string{"INBOX", "Archive"}

var modelFlags = []string{`\Seen`, `\Flagged`, `\Deleted`, `$Forwarded`, "red", "blue"}

func (md *model) start(t *rapid.T) {
	s, err := Open(md.dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CreateAccount("ann"); err != nil {
		t.Fatal(err)
	}
	md.s = s
}

func (md *model) with(t *rapid.T, name string, do func(m *Mailbox)) {
	a, err := md.s.Account("ann")
	if err != nil {
		t.Fatal(err)
	}
	m, err := a.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	do(m)
}

func (md *model) incoming(t *rapid.T) (*Incoming, string) {
	md.count++
	in := md.s.NewIncoming()
	if _, err := in.Write([]byte(text(md.count))); err != nil {
		t.Fatal(err)
	}
	return in, text(md.count)
}

func drawBox(t *rapid.T, label string) string { return rapid.SampledFrom(modelBoxes).Draw(t, label) }

func (md *model) drawUIDs(t *rapid.T, box string) []UID {
	have := slices.Sorted(maps.Keys(md.boxes[box]))
	if len(have) == 0 {
		t.Skip("the mailbox is empty") // rapid draws another action
	}
	uids := rapid.SliceOfNDistinct(rapid.SampledFrom(have), 1, min(4, len(have)), rapid.ID[UID]).Draw(t, "uids")
	slices.Sort(uids)
	return uids
}

func drawFlags(t *rapid.T) []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(modelFlags), 0, 3, rapid.ID[string]).Draw(t, "flags")
}

func setOf(names []string) map[string]bool {
	set := map[string]bool{}
	for _, n := range names {
		set[n] = true
	}
	return set
}

func (md *model) add(t *rapid.T, box string, uid UID, l *letter) {
	if uid < md.next[box] || md.boxes[box][uid] != nil {
		t.Fatalf("UID %d of %s was used before", uid, box)
	}
	md.boxes[box][uid], md.next[box] = l, uid+1
}

func (md *model) Deliver(t *rapid.T) {
	box := drawBox(t, "box")
	in, txt := md.incoming(t)
	defer in.Close()
	if err := md.s.Deliver(context.Background(), in, []Target{{Person: "ann", Mailbox: box}}); err != nil {
		t.Fatal(err)
	}
	md.add(t, box, md.next[box], &letter{text: txt, flags: map[string]bool{}})
}

func (md *model) Append(t *rapid.T) {
	box := drawBox(t, "box")
	var msgs []AppendMessage
	var ls []*letter
	for range rapid.IntRange(1, 2).Draw(t, "n") {
		in, txt := md.incoming(t)
		defer in.Close()
		flags := drawFlags(t)
		msgs = append(msgs, AppendMessage{In: in, Flags: flags})
		ls = append(ls, &letter{text: txt, flags: setOf(flags)})
	}
	md.with(t, box, func(m *Mailbox) {
		uids, err := m.Append(context.Background(), msgs)
		if err != nil {
			t.Fatal(err)
		}
		for i, uid := range uids {
			md.add(t, box, uid, ls[i])
		}
	})
}

func (md *model) Store(t *rapid.T) {
	box := drawBox(t, "box")
	uids, names := md.drawUIDs(t, box), drawFlags(t)
	op := rapid.SampledFrom([]FlagOp{SetFlags, AddFlags, RemoveFlags}).Draw(t, "op")
	md.with(t, box, func(m *Mailbox) {
		f, err := m.KeywordFlags(names, true)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := m.StoreFlags(uids, op, f, 0); err != nil {
			t.Fatal(err)
		}
	})
	for _, uid := range uids {
		l := md.boxes[box][uid]
		switch op {
		case SetFlags:
			l.flags = setOf(names)
		case AddFlags:
			maps.Copy(l.flags, setOf(names))
		case RemoveFlags:
			for _, n := range names {
				delete(l.flags, n)
			}
		}
	}
}

func (md *model) Expunge(t *rapid.T) {
	box := drawBox(t, "box")
	uids := md.drawUIDs(t, box)
	md.with(t, box, func(m *Mailbox) {
		if err := m.Expunge(uids); err != nil {
			t.Fatal(err)
		}
	})
	for _, uid := range uids {
		md.bin[box] = append(md.bin[box], md.boxes[box][uid])
		delete(md.boxes[box], uid)
	}
}

// Undelete brings back what was expunged from a mailbox: without \Deleted, and as it was.
func (md *model) Undelete(t *rapid.T) {
	box := drawBox(t, "box")
	a, err := md.s.Account("ann")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := a.Undelete(context.Background(), Which{Mailbox: box}); n != len(md.bin[box]) || err != nil {
		t.Fatalf("%d messages came back, not %d (%v)", n, len(md.bin[box]), err)
	}
	md.with(t, box, func(m *Mailbox) {
		keywords := m.Keywords()
		for _, meta := range m.Lookup(nil, m.UIDs(nil)) {
			if md.boxes[box][meta.UID] != nil {
				continue
			}
			names, txt := namesOf(meta.Flags, keywords), read(t, m, meta.UID)
			i := slices.IndexFunc(md.bin[box], func(l *letter) bool {
				delete(l.flags, `\Deleted`)
				return l.text == txt && slices.Equal(names, slices.Sorted(maps.Keys(l.flags)))
			})
			if i < 0 {
				t.Fatalf("%q came back with %q, from %+v", txt, names, md.bin[box])
			}
			md.add(t, box, meta.UID, md.bin[box][i])
			md.bin[box] = slices.Delete(md.bin[box], i, i+1)
		}
	})
	if len(md.bin[box]) > 0 {
		t.Fatalf("%+v did not come back", md.bin[box])
	}
}

func read(t *rapid.T, m *Mailbox, uid UID) string {
	msg, err := m.Message(uid)
	if err != nil {
		t.Fatal(err)
	}
	defer msg.Close()
	b := make([]byte, msg.Size())
	if _, err := msg.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (md *model) transfer(t *rapid.T, op func(*Mailbox, []UID, *Mailbox) ([]CopyUID, error), move bool) {
	from, to := drawBox(t, "from"), drawBox(t, "to")
	uids := md.drawUIDs(t, from)
	md.with(t, from, func(m *Mailbox) {
		md.with(t, to, func(target *Mailbox) {
			cs, err := op(m, uids, target)
			if err != nil || len(cs) != len(uids) {
				t.Fatal(cs, err)
			}
			for _, c := range cs {
				l := md.boxes[from][c.Src]
				md.add(t, to, c.Dst, &letter{l.text, maps.Clone(l.flags), l.id})
				if move {
					delete(md.boxes[from], c.Src)
				}
			}
		})
	})
}

func (md *model) Copy(t *rapid.T) { md.transfer(t, (*Mailbox).Copy, false) }
func (md *model) Move(t *rapid.T) { md.transfer(t, (*Mailbox).Move, true) }

// Care does the caretaker's jobs.
func (md *model) Care(t *rapid.T) {
	if err := care(md.s); err != nil {
		t.Fatal(err)
	}
}

// Restart closes the store and opens it again.
func (md *model) Restart(t *rapid.T) {
	if err := md.s.Close(); err != nil {
		t.Fatal(err)
	}
	md.start(t)
}

// LoseCaches does that with the caches removed.
func (md *model) LoseCaches(t *rapid.T) {
	if err := md.s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, box := range modelBoxes {
		for _, name := range []string{"letterbox.index", "letterbox.data", "letterbox.text"} {
			if rapid.Bool().Draw(t, "remove") {
				if err := os.Remove(filepath.Join(md.folder(box), name)); err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
			}
		}
	}
	md.start(t)
}

func (md *model) folder(box string) string {
	dir := filepath.Join(md.dir, "mail", "ann", "Maildir")
	if box != "INBOX" {
		dir = filepath.Join(dir, "."+box)
	}
	return dir
}

// files are the message files of a mailbox, with their directory.
func (md *model) files(t *rapid.T, box string) []string {
	files, err := filepath.Glob(filepath.Join(md.folder(box), "[cn][ue][rw]", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func (md *model) find(t *rapid.T, box string, file string) *letter {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var found []*letter
	for _, l := range md.boxes[box] {
		if l.text == string(b) {
			found = append(found, l)
		}
	}
	if len(found) != 1 {
		t.Skip("copies look the same") // rapid draws another action
	}
	return found[0]
}

// OthersDeliver adds a message as another program does.
func (md *model) OthersDeliver(t *rapid.T) {
	box := drawBox(t, "box")
	md.count++
	file := filepath.Join(md.folder(box), "new", fmt.Sprintf("17%08d.P1.host", md.count))
	if err := os.WriteFile(file, []byte(text(md.count)), 0o600); err != nil {
		t.Fatal(err)
	}
	txt := text(md.count)
	md.refresh(t, box)
	md.with(t, box, func(m *Mailbox) {
		uids := m.UIDs(nil)
		md.add(t, box, uids[len(uids)-1], &letter{text: txt, flags: map[string]bool{}})
	})
}

// OthersFlag renames a message as another program does.
func (md *model) OthersFlag(t *rapid.T) {
	box := drawBox(t, "box")
	files := md.files(t, box)
	if len(files) == 0 {
		t.Skip("the mailbox is empty") // rapid draws another action
	}
	file := rapid.SampledFrom(files).Draw(t, "file")
	l := md.find(t, box, file)
	n := maildir.ParseName(filepath.Base(file))
	n.Flags, n.HasInfo = maildir.Seen|maildir.Flagged, true
	if err := os.Rename(file, filepath.Join(md.folder(box), "cur", n.File())); err != nil {
		t.Fatal(err)
	}
	for _, f := range modelFlags[:3] { // keywords keep their letters, $Forwarded among them
		delete(l.flags, f)
	}
	l.flags[`\Seen`], l.flags[`\Flagged`] = true, true
	md.refresh(t, box)
}

// OthersRemove removes a message as another program does.
func (md *model) OthersRemove(t *rapid.T) {
	box := drawBox(t, "box")
	files := md.files(t, box)
	if len(files) == 0 {
		t.Skip("the mailbox is empty") // rapid draws another action
	}
	file := rapid.SampledFrom(files).Draw(t, "file")
	l := md.find(t, box, file)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(md.boxes[box], func(_ UID, x *letter) bool { return x == l })
	md.refresh(t, box)
}

func (md *model) refresh(t *rapid.T, box string) {
	md.with(t, box, func(m *Mailbox) {
		if err := m.refresh(); err != nil {
			t.Fatal(err)
		}
	})
}

// Check compares everything.
func (md *model) Check(t *rapid.T) {
	for _, box := range modelBoxes {
		md.with(t, box, func(m *Mailbox) {
			md.checkBox(t, box, m)
			md.checkClient(t, box, m)
		})
	}
	md.checkUsage(t)
}

// checkUsage compares what the account is said to hold.
func (md *model) checkUsage(t *rapid.T) {
	want := Usage{Complete: true}
	for _, box := range modelBoxes {
		for _, l := range md.boxes[box] {
			want.Messages++
			want.Bytes += int64(len(l.text))
		}
	}
	a, err := md.s.Account("ann")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := a.CountUsage(context.Background()); err != nil || got != want {
		t.Fatalf("the account holds %+v, not %+v (%v)", got, want, err)
	}
}

func (md *model) checkBox(t *rapid.T, box string, m *Mailbox) {
	want := slices.Sorted(maps.Keys(md.boxes[box]))
	if got := m.UIDs(nil); !slices.Equal(got, want) {
		t.Fatalf("%s has UIDs %v, not %v", box, got, want)
	}
	keywords := m.Keywords()
	for _, meta := range m.Lookup(nil, want) {
		l := md.boxes[box][meta.UID]
		if got, want := namesOf(meta.Flags, keywords), slices.Sorted(maps.Keys(l.flags)); !slices.Equal(got, want) {
			t.Fatalf("message %d of %s has flags %v, not %v", meta.UID, box, got, want)
		}
		size := meta.Size
		if size < 0 {
			var err error
			if size, err = m.Size(meta.UID); err != nil {
				t.Fatal(err)
			}
		}
		if size != int64(len(l.text)) {
			t.Fatalf("message %d of %s has size %d", meta.UID, box, size)
		}
		id, err := m.EmailID(meta.UID)
		if err != nil || l.id != "" && id != l.id {
			t.Fatalf("message %d of %s has EMAILID %s, not %s (%v)", meta.UID, box, id, l.id, err)
		}
		l.id = id
		if got := read(t, m, meta.UID); got != l.text {
			t.Fatalf("message %d of %s is %q, not %q", meta.UID, box, got, l.text)
		}
		env, err := m.AppendEnvelope(nil, meta.UID)
		if err != nil || !strings.Contains(string(env), strings.TrimPrefix(strings.Split(l.text, "\r\n")[2], "Subject: ")) {
			t.Fatalf("message %d of %s has ENVELOPE %s (%v)", meta.UID, box, env, err)
		}
		for what, want := range map[string]bool{l.text[len(l.text)-12:]: true, "nowhere": false} {
			if found, known := m.Search(meta.UID, message.TextSearch(strings.TrimSpace(what))); known && found != want {
				t.Fatalf("%q in message %d of %s: %v", what, meta.UID, box, found)
			}
		}
	}
}

func namesOf(f Flags, keywords []string) []string {
	var names []string
	for i, n := range SystemFlags {
		if f.Has(1 << i) {
			names = append(names, n)
		}
	}
	for i, n := range keywords {
		if f.Has(Keyword(i)) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

// checkClient brings a client up to date and compares what it then knows.
func (md *model) checkClient(t *rapid.T, box string, m *Mailbox) {
	c, err := m.Changes(md.seen[box])
	if err != nil {
		t.Fatal(err)
	}
	if c.HighestModSeq < md.seen[box] {
		t.Fatalf("HIGHESTMODSEQ of %s went back from %d to %d", box, md.seen[box], c.HighestModSeq)
	}
	known := md.client[box]
	for _, uid := range c.Vanished {
		delete(known, uid)
	}
	if c.Incomplete {
		uids := m.UIDs(nil)
		maps.DeleteFunc(known, func(uid UID, _ Flags) bool { return !slices.Contains(uids, uid) })
	}
	for _, meta := range c.Changed {
		known[meta.UID] = meta.Flags
	}
	for _, meta := range m.Lookup(nil, m.UIDs(nil)) {
		f, ok := known[meta.UID]
		// Without its cache a mailbox may number keywords anew; a client is told their names then.
		if !ok || f&systemMask != meta.Flags&systemMask || flagCount(f) != flagCount(meta.Flags) {
			t.Fatalf("the client of %s missed message %d (mod-sequence %d, client at %d)", box, meta.UID, meta.ModSeq, md.seen[box])
		}
	}
	if len(known) != m.Status().Messages {
		t.Fatalf("the client of %s knows %d messages of %d", box, len(known), m.Status().Messages)
	}
	md.seen[box] = c.HighestModSeq
}

func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		md := &model{dir: fastDir(t), boxes: map[string]map[UID]*letter{}, bin: map[string][]*letter{}, next: map[string]UID{}, client: map[string]map[UID]Flags{}, seen: map[string]ModSeq{}}
		for _, box := range modelBoxes {
			md.boxes[box], md.client[box], md.next[box] = map[UID]*letter{}, map[UID]Flags{}, 1
		}
		md.start(rt)
		defer func() { md.s.Close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"Deliver": md.Deliver, "Append": md.Append, "Store": md.Store, "Expunge": md.Expunge, "Undelete": md.Undelete, "Copy": md.Copy, "Move": md.Move,
			"Restart": md.Restart, "LoseCaches": md.LoseCaches,
			"OthersDeliver": md.OthersDeliver, "OthersFlag": md.OthersFlag, "OthersRemove": md.OthersRemove,
			"": md.Check,
		})
	})
}

// flagCount returns how many flags are set.
func flagCount(f Flags) int { return bits.OnesCount64(uint64(f)) }
