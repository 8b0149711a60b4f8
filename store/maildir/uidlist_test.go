package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	listHead  = "3 V1795448887 N4 G8bd87c223f60046b1e57000083ecc375 M00000000000000001000\n"
	listLine1 = "1 D1700000000 Zfoo :1795448895.M578423P22302.vm,S=23,W=26\n"
	listLine3 = "3 Gother S21 W24 :1795448895.M649940P22314.vm,S=21,W=24\n"
)

func writeList(t testing.TB, f *Folder, text string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(f.Path(), uidListName), []byte(text), 0o600))
}

func listText(t testing.TB, f *Folder) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(f.Path(), uidListName))
	must(t, err)
	return string(text)
}

// readList reads what there is since a mark.
func readList(t testing.TB, f *Folder, since Mark) (*UIDListReader, []UIDRecord) {
	t.Helper()
	u, err := f.ReadUIDList(since)
	must(t, err)
	t.Cleanup(func() { u.Close() })
	var recs []UIDRecord
	for rec, ok := u.Next(); ok; rec, ok = u.Next() {
		recs = append(recs, rec)
	}
	must(t, u.Err())
	return u, recs
}

// appendRecords appends to a list of which nothing is known.
func appendRecords(lock *UIDListLock, recs []UIDRecord) error {
	_, err := lock.Append(recs, Mark{})
	return err
}

// records yields recs, as Rewrite wants them.
func records(recs ...UIDRecord) iter.Seq2[UIDRecord, error] {
	return func(yield func(UIDRecord, error) bool) {
		for _, rec := range recs {
			if !yield(rec, nil) {
				return
			}
		}
	}
}

func uids(recs []UIDRecord) []uint32 {
	list := []uint32{}
	for _, rec := range recs {
		list = append(list, rec.UID)
	}
	return list
}

func TestReadUIDList(t *testing.T) {
	t.Parallel()
	f := openFolder(t, openTree(t, Options{}), "INBOX")
	if _, err := f.ReadUIDList(Mark{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a list: %v", err)
	}
	writeList(t, f, strings.Replace(listHead, " M", " Xkeep M", 1)+listLine1+listLine3)
	u, recs := readList(t, f, Mark{})
	guid, _ := ParseGUID("8bd87c223f60046b1e57000083ecc375")
	if want := (UIDHeader{UIDValidity: 1795448887, UIDNext: 4, GUID: guid, ModSeqCeiling: 1000, Unknown: []string{"Xkeep"}}); !reflect.DeepEqual(u.Header(), want) {
		t.Errorf("head %+v, want %+v", u.Header(), want)
	}
	want := []UIDRecord{
		{UID: 1, Base: "1795448895.M578423P22302.vm,S=23,W=26", Physical: -1, Virtual: -1, SaveDate: 1700000000, Unknown: []string{"Zfoo"}},
		{UID: 3, Base: "1795448895.M649940P22314.vm,S=21,W=24", GUID: "other", Physical: 21, Virtual: 24},
	}
	if !reflect.DeepEqual(recs, want) || len(u.Damage()) != 0 || u.Resumed() {
		t.Errorf("records %+v, damage %q", recs, u.Damage())
	}
}

func TestDamagedUIDLists(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		uids       []uint32
		next       uint32
		faults     int
	}{
		{"empty", "", []uint32{}, 4, 0},
		{"UIDNEXT is not raised by appending", "9 :a\n", []uint32{9}, 10, 0},
		{"rubbish between", "1 :a\nrubbish\n\x00\x00\n3 :c\n", []uint32{1, 3}, 4, 2},
		{"a line without a name keeps its UID", "1 :a\n7\n", []uint32{1}, 8, 1},
		{"a line without a colon", "1 :a\n7 b\n", []uint32{1}, 8, 1},
		{"a path for a name", "1 :../b\n2 :b\n", []uint32{2}, 4, 1},
		{"flags in a name", "1 :a:2,S\n", []uint32{1}, 4, 0},
		{"torn behind the UID", "1 :a\n7 :b", []uint32{1}, 8, 0},
		{"torn in the UID", "8 :a\n9 :b\n1", []uint32{8, 9}, 11, 0},
		{"out of order", "5 :e\n1 :a\n3 :c\n", []uint32{1, 3, 5}, 6, 1},
		{"the same line twice", "1 :a\n1 :a\n", []uint32{1}, 4, 1},
		{"one UID for two messages", "1 :a\n2 :b\n2 :c\n", []uint32{1}, 4, 2},
		{"one message with two UIDs, out of order", "5 :a\n1 :a\n2 :b\n", []uint32{2, 5}, 6, 1},
		{"a UID too high", "4294967295 :a\n", []uint32{}, 4, 1},
		{"the highest UID", "4294967294 :a\n", []uint32{4294967294}, 4294967295, 0},
		{"zero", "0 :a\n", []uint32{}, 4, 1},
		{"a line too long", "1 :a\n2 :" + strings.Repeat("x", 3*maxListLine) + "\n3 :c\n", []uint32{1, 3}, 4, 1},
		{"a small letter", "1 xfoo :a\n", []uint32{1}, 4, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := openFolder(t, openTree(t, Options{}), "INBOX")
			writeList(t, f, listHead+tt.body)
			u, recs := readList(t, f, Mark{})
			if !slices.Equal(uids(recs), tt.uids) || u.Header().UIDNext != tt.next || len(u.Damage()) != tt.faults {
				t.Errorf("UIDs %d, next %d, damage %q; want %d, %d, %d faults", uids(recs), u.Header().UIDNext, u.Damage(), tt.uids, tt.next, tt.faults)
			}
		})
	}
}

func TestDamagedHeads(t *testing.T) {
	t.Parallel()
	for head, want := range map[string]UIDHeader{
		"":                                {UIDNext: 6},
		"rubbish\n":                       {UIDNext: 6},
		"2 17 4\n":                        {UIDNext: 6},
		"3 N9\n":                          {UIDNext: 9},
		"3 V17\n":                         {UIDValidity: 17, UIDNext: 6},
		"3 V17 N2 Gshort\n":               {UIDValidity: 17, UIDNext: 6},
		"3 V17 N2 Mx\n":                   {UIDValidity: 17, UIDNext: 6},
		"3 V99999999999 N2\n":             {UIDNext: 6},
		strings.Repeat("y", 20000) + "\n": {UIDNext: 6},
	} {
		f := openFolder(t, openTree(t, Options{}), "INBOX")
		writeList(t, f, head+"5 :a\n5 :a\n")
		u, _ := readList(t, f, Mark{})
		if got := u.Header(); !reflect.DeepEqual(got, want) || len(u.Damage()) == 0 {
			t.Errorf("head %.40q: %+v, damage %q; want %+v", head, got, u.Damage(), want)
		}
	}
}

func TestVersion1UIDList(t *testing.T) {
	t.Parallel()
	f := openFolder(t, openTree(t, Options{}), "INBOX")
	writeList(t, f, "1 1170000000 7\n3 a.b.c:2,S\n5 d e\n")
	u, recs := readList(t, f, Mark{})
	if h := u.Header(); h.UIDValidity != 1170000000 || h.UIDNext != 7 || len(recs) != 2 || recs[0].Base != "a.b.c" || recs[1].Base != "d e" {
		t.Errorf("%+v %+v", h, recs)
	}
	lock, err := f.LockUIDList(t.Context())
	must(t, err)
	defer lock.Unlock()
	if err := appendRecords(lock, []UIDRecord{{UID: 8, Base: "x", Physical: -1, Virtual: -1}}); !errors.Is(err, ErrRewrite) {
		t.Errorf("adding to version 1: %v", err)
	}
}

func TestResumedReading(t *testing.T) {
	t.Parallel()
	f := openFolder(t, openTree(t, Options{}), "INBOX")
	writeList(t, f, listHead+listLine1+"2 :torn")
	u, recs := readList(t, f, Mark{})
	mark := u.Mark()
	if !slices.Equal(uids(recs), []uint32{1}) {
		t.Fatalf("%d", uids(recs))
	}
	grow := func(text string) {
		file, err := os.OpenFile(filepath.Join(f.Path(), uidListName), os.O_WRONLY|os.O_APPEND, 0)
		must(t, err)
		_, err = file.WriteString(text)
		must(t, errors.Join(err, file.Close()))
	}
	grow(" and whole\n" + listLine3)
	u, recs = readList(t, f, mark)
	if !u.Resumed() || !slices.Equal(uids(recs), []uint32{2, 3}) || u.Header().UIDNext != 4 {
		t.Errorf("resumed %v: %d", u.Resumed(), uids(recs))
	}
	mark = u.Mark()
	u, recs = readList(t, f, mark)
	if !u.Resumed() || len(recs) != 0 || u.Header().UIDNext != 4 || u.Mark() != mark {
		t.Errorf("nothing new: %d", uids(recs))
	}
	grow("2 :late\n") // out of order: the whole is read again
	u, recs = readList(t, f, mark)
	if u.Resumed() || !slices.Equal(uids(recs), []uint32{1, 3}) || u.Mark() != (Mark{}) {
		t.Errorf("out of order: resumed %v, %d", u.Resumed(), uids(recs))
	}
	must(t, os.Remove(filepath.Join(f.Path(), uidListName)))
	writeList(t, f, strings.Replace(listHead, "N4", "N5", 1)+strings.Replace(listLine1, "1 ", "4 ", 1)+strings.Repeat("x\n", 100))
	if u, recs = readList(t, f, mark); u.Resumed() || !slices.Equal(uids(recs), []uint32{4}) {
		t.Errorf("another list: resumed %v, %d", u.Resumed(), uids(recs))
	}
}

func TestAppend(t *testing.T) {
	t.Parallel()
	f := openFolder(t, openTree(t, Options{}), "INBOX")
	lock, err := f.LockUIDList(t.Context())
	must(t, err)
	defer lock.Unlock()
	rec := func(uid uint32) UIDRecord { return UIDRecord{UID: uid, Base: "b", Physical: -1, Virtual: -1} }
	if err := appendRecords(lock, []UIDRecord{rec(1)}); !errors.Is(err, ErrRewrite) {
		t.Errorf("without a list: %v", err)
	}
	must(t, lock.Rewrite(UIDHeader{UIDValidity: 7, UIDNext: 4}, records(rec(2))))
	for _, uid := range []uint32{0, 1, 2, 3, 4294967295} {
		if err := appendRecords(lock, []UIDRecord{rec(uid)}); err == nil {
			t.Errorf("UID %d was given again", uid)
		}
	}
	must(t, appendRecords(lock, []UIDRecord{rec(4), {UID: 6, Base: "c d", GUID: "g", Physical: 1, Virtual: 2, SaveDate: 3, Unknown: []string{"Pq"}}}))
	want := "3 V7 N4 M00000000000000000000\n2 :b\n4 :b\n6 Gg S1 W2 D3 Pq :c d\n"
	if got := listText(t, f); got != want {
		t.Errorf("the list is\n%swant\n%s", got, want)
	}

	// To cut it off would take along that its UID is gone, until the new line is on disk.
	writeList(t, f, want+"9 :tor")
	for _, uid := range []uint32{9, 10} {
		if err := appendRecords(lock, []UIDRecord{rec(uid)}); !errors.Is(err, ErrRewrite) || listText(t, f) != want+"9 :tor" {
			t.Errorf("UID %d after a torn line: %v, %q", uid, err, listText(t, f))
		}
	}
	for name, text := range map[string]string{
		"a damaged end":   want + "\x00\x00\x00\n",
		"a lost head":     "10 :b\n",
		"nothing":         "",
		"half a head":     "3 V7",
		"a line too long": want + strings.Repeat("x", 3*maxListLine),
	} {
		writeList(t, f, text)
		if err := appendRecords(lock, []UIDRecord{rec(20)}); !errors.Is(err, ErrRewrite) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRecordsThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	f := openFolder(t, openTree(t, Options{}), "INBOX")
	lock, err := f.LockUIDList(t.Context())
	must(t, err)
	defer lock.Unlock()
	must(t, lock.Rewrite(UIDHeader{UIDValidity: 7, UIDNext: 1}, records()))
	before := listText(t, f)
	for _, rec := range []UIDRecord{
		{UID: 1}, {UID: 1, Base: "a\nb"}, {UID: 1, Base: "a:2,S"}, {UID: 1, Base: "a/b"}, {UID: 1, Base: ".a"},
		{UID: 1, Base: strings.Repeat("a", 256)}, {UID: 1, Base: "a", GUID: "x y"}, {UID: 1, Base: "a", Unknown: []string{"xy"}},
	} {
		if err := appendRecords(lock, []UIDRecord{rec}); err == nil {
			t.Errorf("%+v was written", rec)
		}
	}
	for _, recs := range [][]UIDRecord{{{UID: 2, Base: "a"}, {UID: 1, Base: "b"}}, {{UID: 9, Base: "a"}}} {
		if err := lock.Rewrite(UIDHeader{UIDValidity: 7, UIDNext: 5}, records(recs...)); err == nil {
			t.Errorf("%+v was written", recs)
		}
	}
	if err := lock.Rewrite(UIDHeader{UIDNext: 5}, records()); err == nil {
		t.Error("a head without UIDVALIDITY was written")
	}
	if got := listText(t, f); got != before {
		t.Errorf("the list has changed: %q", got)
	}
	if left := ls(t, f.Path()); !slices.Equal(left, []string{"cur", "dovecot-uidlist", "dovecot-uidlist.lock", "new", "tmp"}) {
		t.Errorf("left: %q", left)
	}
}

func TestModSeqCeiling(t *testing.T) {
	t.Parallel()
	f := openFolder(t, openTree(t, Options{}), "INBOX")
	lock, err := f.LockUIDList(t.Context())
	must(t, err)
	defer lock.Unlock()
	if err := lock.SetModSeqCeiling(5); !errors.Is(err, ErrRewrite) {
		t.Errorf("without a list: %v", err)
	}
	writeList(t, f, "3 V7 N4\n2 :b\n")
	if err := lock.SetModSeqCeiling(5); !errors.Is(err, ErrRewrite) {
		t.Errorf("without room: %v", err)
	}
	writeList(t, f, listHead+listLine1)
	for _, v := range []uint64{2000, 1500, 18446744073709551615} {
		must(t, lock.SetModSeqCeiling(v))
		u, recs := readList(t, f, Mark{})
		if got := u.Header().ModSeqCeiling; got != max(v, 2000) || len(recs) != 1 {
			t.Errorf("after %d the ceiling is %d", v, got)
		}
	}
}

func FuzzUIDList(f *testing.F) {
	f.Add(listHead+listLine1+listLine3, uint32(4))
	f.Add(listHead+"5 :e\n1 :a\n3 :c\n2 :to", uint32(9))
	f.Add("1 17 3\n2 a\n", uint32(4))
	f.Add("rubbish", uint32(1))
	f.Add(listHead+"4294967294 :a\n2 :a", uint32(0))
	tree := openTree(f, Options{})
	folder := openFolder(f, tree, "INBOX")
	f.Fuzz(func(t *testing.T, text string, uid uint32) {
		writeList(t, folder, text)
		u, recs := readList(t, folder, Mark{})
		head := u.Header()
		last := uint32(0)
		for _, rec := range recs {
			if rec.UID <= last || rec.UID >= head.UIDNext || rec.check() != nil && len(rec.Base) <= maxDirName {
				t.Fatalf("record %+v after UID %d, before %d", rec, last, head.UIDNext)
			}
			last = rec.UID
		}
		lock, err := folder.LockUIDList(t.Context())
		must(t, err)
		defer lock.Unlock()
		// Of a list in order whatever Append accepts is new; of any list
		// UIDNEXT is, and it is read back.
		if len(u.Damage()) > 0 {
			uid = head.UIDNext
		}
		if err := appendRecords(lock, []UIDRecord{{UID: uid, Base: "new", Physical: -1, Virtual: -1}}); err != nil {
			return
		}
		_, after := readList(t, folder, Mark{})
		if uid < head.UIDNext || len(after) == 0 || after[len(after)-1].UID != uid {
			t.Fatalf("UID %d was added to a list with UIDNEXT %d, which then ends with %+v", uid, head.UIDNext, after)
		}
	})
}

// What could not be read is not left out of the new list: the old one stays.
func TestRewriteOfWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	f := openFolder(t, openTree(t, Options{}), "Inbox")
	writeList(t, f, listHead+listLine1+listLine3)
	lock, err := f.LockUIDList(t.Context())
	must(t, err)
	defer lock.Unlock()
	broken := errors.New("the card is broken")
	err = lock.Rewrite(UIDHeader{UIDValidity: 7, UIDNext: 9}, func(yield func(UIDRecord, error) bool) {
		_ = yield(UIDRecord{UID: 1, Base: "a", Physical: -1, Virtual: -1}, nil) && yield(UIDRecord{}, broken)
	})
	if !errors.Is(err, broken) || listText(t, f) != listHead+listLine1+listLine3 {
		t.Errorf("%v, and the list is %q", err, listText(t, f))
	}
}

// What is known of a list saves looking for its end, as long as it is true.
func TestAppendSince(t *testing.T) {
	t.Parallel()
	f := openFolder(t, openTree(t, Options{}), "INBOX")
	lock, err := f.LockUIDList(t.Context())
	must(t, err)
	defer lock.Unlock()
	rec := func(uid uint32) []UIDRecord {
		return []UIDRecord{{UID: uid, Base: fmt.Sprintf("base%d", uid), Physical: -1, Virtual: -1}}
	}
	must(t, lock.Rewrite(UIDHeader{UIDValidity: 7, UIDNext: 4}, records(rec(2)...)))
	u, _ := readList(t, f, Mark{})
	mark := u.Mark()
	if !lock.Unchanged(mark) || lock.Unchanged(Mark{}) {
		t.Error("a list just read has changed, or one never read has not")
	}
	if _, err := lock.Append(rec(3), mark); !errors.Is(err, ErrRewrite) {
		t.Errorf("a UID that the head has given: %v", err)
	}
	for uid := uint32(4); uid < 8; uid++ {
		if mark, err = lock.Append(rec(uid), mark); err != nil || !lock.Unchanged(mark) {
			t.Fatalf("UID %d: %v, unchanged %v", uid, err, lock.Unchanged(mark))
		}
		if _, err := lock.Append(rec(uid), mark); !errors.Is(err, ErrRewrite) {
			t.Errorf("UID %d a second time: %v", uid, err)
		}
	}
	u, recs := readList(t, f, mark)
	if !u.Resumed() || len(recs) != 0 || u.Mark() != mark {
		t.Errorf("reading goes on at %+v and finds %d, written up to %+v", u.Mark(), uids(recs), mark)
	}

	others := map[string]func(text string) string{
		"a line more":       func(text string) string { return text + "8 :other\n" },
		"a torn line":       func(text string) string { return text + "8 :ot" },
		"another last line": func(text string) string { return strings.Replace(text, "7 :base7", "8 :other", 1) },
	}
	text := listText(t, f)
	for name, change := range others {
		writeList(t, f, text)
		u, _ := readList(t, f, Mark{})
		old := u.Mark()
		writeList(t, f, change(text))
		later := time.Now().Add(time.Second) // the kernel's clock ticks slowly
		must(t, os.Chtimes(filepath.Join(f.Path(), uidListName), later, later))
		if lock.Unchanged(old) {
			t.Errorf("%s: it is unchanged", name)
		}
		if _, err := lock.Append(rec(8), old); !errors.Is(err, ErrRewrite) {
			t.Errorf("%s: UID 8 was given again: %v", name, err)
		}
		now, err := lock.Append(rec(9), old)
		if name == "a torn line" {
			if !errors.Is(err, ErrRewrite) {
				t.Errorf("after a torn line: %v", err)
			}
			continue
		}
		must(t, err)
		if u, recs := readList(t, f, Mark{}); u.Mark() != now || recs[len(recs)-1].UID != 9 {
			t.Errorf("%s: written up to %+v, read up to %+v", name, now, u.Mark())
		}
	}
}

// A sync that fails once does not succeed the second time: the kernel has
// forgotten what it could not write.
func TestFailedSyncIsRemembered(t *testing.T) {
	t.Parallel()
	broken, failing := errors.New("the card is broken"), false
	f := openFolder(t, openTree(t, Options{Step: func(name string) error {
		if failing && name == StepListSync {
			return broken
		}
		return nil
	}}), "Inbox")
	writeList(t, f, listHead+listLine1)
	lock, err := f.LockUIDList(t.Context())
	must(t, err)
	defer lock.Unlock()
	failing = true
	if err := lock.SetModSeqCeiling(5000); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	failing = false
	if err := lock.SetModSeqCeiling(5000); !errors.Is(err, ErrRewrite) || !lock.Doubtful() {
		t.Errorf("raised again: %v", err)
	}
	if err := appendRecords(lock, []UIDRecord{{UID: 9, Base: "b", Physical: -1, Virtual: -1}}); !errors.Is(err, ErrRewrite) {
		t.Errorf("appended: %v", err)
	}
	must(t, lock.Rewrite(UIDHeader{UIDValidity: 7, UIDNext: 9, ModSeqCeiling: 5000}, records()))
	if lock.Doubtful() {
		t.Error("a rewritten list is in doubt")
	}
	must(t, lock.SetModSeqCeiling(6000))
}
