//go:build interop

package maildir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gomaildir "github.com/emersion/go-maildir"

	"letterbox/store/maildir/dovecottest"
)

// besideDovecot is a tree that Dovecot and we share.
func besideDovecot(t *testing.T) (*Root, *dovecottest.Dovecot) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "Maildir")
	r, err := CreateRoot(dir, Options{})
	must(t, err)
	t.Cleanup(func() { r.Close() })
	return r, dovecottest.New(t, dir)
}

func lines(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

func TestInteropDovecotMakesTheSameDirectories(t *testing.T) {
	t.Parallel()
	r, d := besideDovecot(t)
	var names []string
	for _, tt := range folderNames[1:] {
		names = append(names, tt.name)
	}
	d.Doveadm(t, "", append([]string{"mailbox", "create"}, names...)...)
	for _, tt := range folderNames[1:] {
		if _, err := os.Stat(filepath.Join(r.Path(), tt.dir)); err != nil {
			t.Errorf("Dovecot has not made %q for %q", tt.dir, tt.name)
		}
	}
	want := append(names, "INBOX")
	if got := sorted(folders(t, r)); !slices.Equal(got, sorted(want)) {
		t.Errorf("we read %q", got)
	}
}

func TestInteropDovecotReadsOurFolders(t *testing.T) {
	t.Parallel()
	r, d := besideDovecot(t)
	var want []string
	for _, tt := range folderNames[1:] {
		makeFolders(t, r, tt.name)
		want = append(want, tt.name)
	}
	makeFolders(t, r, "old", "old/child.x", "gone")
	must(t, r.Rename("old", "new.name"))
	must(t, r.Remove("gone"))
	// Dovecot also lists the levels above that are no folders.
	want = append(want, "INBOX", "new.name", "new.name/child.x", "Lists", "Z", "Späße", "x", "~a")
	if got := sorted(lines(d.Doveadm(t, "", "mailbox", "list"))); !slices.Equal(got, sorted(want)) {
		t.Errorf("Dovecot reads\n%q, want\n%q", got, sorted(want))
	}
}

func TestInteropSubscriptionsBothWays(t *testing.T) {
	t.Parallel()
	r, d := besideDovecot(t)
	var want []string
	for i, tt := range folderNames {
		if i%8 != 0 {
			must(t, r.Subscribe(t.Context(), tt.name, true))
		} else {
			d.Doveadm(t, "", "mailbox", "subscribe", tt.name)
		}
		want = append(want, tt.name)
	}
	got, err := r.Subscriptions()
	must(t, err)
	if !slices.Equal(got, want) {
		t.Errorf("we read %q, want %q", got, want)
	}
	if got := lines(d.Doveadm(t, "", "mailbox", "list", "-s")); !slices.Equal(sorted(got), sorted(want)) {
		t.Errorf("Dovecot reads %q, want %q", got, want)
	}
	d.Doveadm(t, "", "mailbox", "unsubscribe", "~home")
	must(t, r.Subscribe(t.Context(), "a..b", false))
	got, err = r.Subscriptions()
	must(t, err)
	if slices.Contains(got, "~home") || slices.Contains(got, "a..b") || len(got) != len(want)-2 {
		t.Errorf("after unsubscribing we read %q", got)
	}
	if list := lines(d.Doveadm(t, "", "mailbox", "list", "-s")); !slices.Equal(sorted(list), sorted(got)) {
		t.Errorf("after unsubscribing Dovecot reads %q", list)
	}
}

// append places a message and gives it the next UID, as the store does.
func appendMessage(t testing.TB, f *Folder, text string, flags Flags, keywords uint32, guid string) (UIDRecord, error) {
	lock, err := f.LockUIDList(t.Context())
	if err != nil {
		return UIDRecord{}, err
	}
	u, err := f.ReadUIDList(Mark{})
	if err != nil {
		return UIDRecord{}, errors.Join(err, lock.Unlock())
	}
	if damage := u.Damage(); len(damage) > 0 {
		err = fmt.Errorf("the list is damaged: %q", damage)
	}
	size := int64(len(text))
	rec := UIDRecord{UID: u.Header().UIDNext, Base: f.root.NewNamer(time.Unix(1700000000, 0)).Next(Sizes{size, size}), GUID: guid, Physical: -1, Virtual: -1, SaveDate: 1700000000}
	err = errors.Join(err, u.Close())
	temp, tempErr := f.NewTemp()
	if err = errors.Join(err, tempErr); err != nil {
		return rec, errors.Join(err, lock.Unlock())
	}
	_, err = temp.Write([]byte(text))
	name := Name{Base: rec.Base, Flags: flags, Keywords: keywords, HasInfo: true}
	err = errors.Join(err, temp.SetDate(time.Unix(1600000000, 0)), temp.Finish(), temp.Place(Ref{File: name.File()}), f.SyncCur(), appendRecords(lock, []UIDRecord{rec}))
	return rec, errors.Join(err, lock.Unlock())
}

// startList makes the folder's first list.
func startList(t testing.TB, f *Folder, h UIDHeader) {
	t.Helper()
	lock, err := f.LockUIDList(t.Context())
	must(t, err)
	must(t, lock.Rewrite(h, records()))
	must(t, lock.Unlock())
}

func TestInteropMessagesBothWays(t *testing.T) {
	t.Parallel()
	r, d := besideDovecot(t)
	makeFolders(t, r, "Lists/go.dev")
	f := openFolder(t, r, "Lists/go.dev")
	head := UIDHeader{UIDValidity: 1700000001, UIDNext: 5, GUID: NewGUID(), ModSeqCeiling: 4096}
	startList(t, f, head)
	_, _, err := f.AddKeywords(t.Context(), []string{"$Junk", "Wichtig"})
	must(t, err)
	first, err := appendMessage(t, f, "Subject: first\r\n\r\nbody\r\n", Seen|Flagged|Answered, 0b10, "copied-from-elsewhere")
	must(t, err)
	second, err := appendMessage(t, f, "Subject: second\r\n\r\nbody\r\n", Draft|Deleted, 0b1, "")
	must(t, err)

	got := d.Doveadm(t, "", "-f", "tab", "fetch", "uid flags guid size.physical date.received hdr.subject", "mailbox", "Lists/go.dev")
	want := "uid\tflags\tguid\tsize.physical\tdate.received\thdr.subject\n" +
		"5\t\\Answered \\Flagged \\Seen Wichtig\tcopied-from-elsewhere\t24\t" + time.Unix(1600000000, 0).Format("2006-01-02 15:04:05") + "\tfirst\n" +
		"6\t\\Deleted \\Draft $Junk\t" + second.Base + "\t25\t" + time.Unix(1600000000, 0).Format("2006-01-02 15:04:05") + "\tsecond\n"
	if got != want {
		t.Errorf("Dovecot reads\n%swant\n%s", got, want)
	}
	status := d.Doveadm(t, "", "mailbox", "status", "uidvalidity uidnext guid", "Lists/go.dev")
	if want := fmt.Sprintf("Lists/go.dev uidnext=7 uidvalidity=1700000001 guid=%s\n", head.GUID); status != want {
		t.Errorf("Dovecot's status is %swant %s", status, want)
	}

	d.Doveadm(t, "", "flags", "replace", `\Seen Neu`, "mailbox", "Lists/go.dev", "uid", "5")
	d.Doveadm(t, "Subject: third\n\nbody\n", "save", "-m", "Lists/go.dev")
	d.Doveadm(t, "", "expunge", "mailbox", "Lists/go.dev", "uid", "6")
	d.Doveadm(t, "", "force-resync", "Lists/go.dev")

	u, recs := readList(t, f, Mark{})
	h := u.Header()
	if h.UIDValidity != head.UIDValidity || h.GUID != head.GUID || h.ModSeqCeiling != head.ModSeqCeiling || h.UIDNext != 8 || len(u.Damage()) > 0 {
		t.Errorf("the head of the list is now %+v, damage %q", h, u.Damage())
	}
	if !slices.Equal(uids(recs), []uint32{5, 7}) || recs[0].GUID != first.GUID || recs[0].SaveDate != first.SaveDate || recs[0].Base != first.Base {
		t.Fatalf("the records are now %+v", recs)
	}
	k, err := f.Keywords()
	must(t, err)
	e, err := find(f, first.Base)
	must(t, err)
	if e.Name.Flags != Seen || e.Name.Keywords != 1<<k.Index("Neu") || e.Name.File() != e.File {
		t.Errorf("the first message is now %+v, keywords %q", e, k)
	}
	e, err = find(f, recs[1].Base)
	must(t, err)
	if s := e.Name.Sizes(); s.Physical <= 0 || s.Virtual != s.Physical+3 {
		t.Errorf("the sizes of Dovecot's message are %+v", s)
	}
}

// Both deliver at once: no UID comes twice, and both see the same.
func TestInteropDeliveriesAtOnce(t *testing.T) {
	t.Parallel()
	r, d := besideDovecot(t)
	f := openFolder(t, r, "INBOX")
	startList(t, f, UIDHeader{UIDValidity: 1700000001, UIDNext: 1, GUID: NewGUID(), ModSeqCeiling: 1})
	d.Doveadm(t, "Subject: his\n\nbody\n", "save")
	const each = 15
	done := make(chan error)
	go func() {
		for range each {
			if _, err := d.TryDoveadm("Subject: his\n\nbody\n", "save"); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for range 4 * each {
		if _, err := appendMessage(t, f, "Subject: ours\r\n\r\nbody\r\n", 0, 0, ""); err != nil {
			t.Error(err)
			break
		}
	}
	must(t, <-done)

	// Where the lock was ours, Dovecot has delivered into new/ without a line.
	// It makes up for it when it opens the folder.
	seen := d.Doveadm(t, "", "-f", "tab", "fetch", "uid guid", "ALL")
	u, recs := readList(t, f, Mark{})
	if len(recs) != 5*each+1 || len(u.Damage()) > 0 {
		t.Errorf("%d messages in the list, damage %q", len(recs), u.Damage())
	}
	want := "uid\tguid\n"
	for _, rec := range recs {
		want += strconv.FormatUint(uint64(rec.UID), 10) + "\t" + rec.Base + "\n"
		if _, err := find(f, rec.Base); err != nil {
			t.Error(err)
		}
	}
	if seen != want {
		t.Errorf("Dovecot reads\n%swant\n%s", seen, want)
	}
}

// The file of our lock is as old as the folder has been open, and Dovecot goes by
// its time, not by the process it names: taking the lock gives it a new one.
func TestInteropDovecotWaitsForAnOldLockFile(t *testing.T) {
	t.Parallel()
	r, d := besideDovecot(t)
	f := openFolder(t, r, "INBOX")
	startList(t, f, UIDHeader{UIDValidity: 1700000001, UIDNext: 1, GUID: NewGUID(), ModSeqCeiling: 1})
	n := place(t, f, "Subject: without a line\r\n\r\n", 0)
	d.Doveadm(t, "", "mailbox", "list") // makes the tree Dovecot's
	lock, err := f.LockUIDList(t.Context())
	must(t, err)
	must(t, lock.Unlock())
	files, err := filepath.Glob(filepath.Join(f.Path(), "tmp", "letterbox-lock-*"))
	must(t, err)
	if len(files) != 1 {
		t.Fatalf("the lock files are %q", files)
	}
	old := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(files[0], old, old))
	if os.Getuid() == 0 {
		must(t, os.Chown(files[0], 65534, 65534)) // who Dovecot is, so that it can read whose the lock is
	}
	lock, err = f.LockUIDList(t.Context())
	must(t, err)

	seen := make(chan string)
	go func() {
		out, err := d.TryDoveadm("", "-f", "tab", "fetch", "uid guid", "ALL")
		if err != nil {
			out = err.Error()
		}
		seen <- out
	}()
	select {
	case out := <-seen:
		t.Errorf("Dovecot did not wait: %s", out)
		return
	case <-time.After(3 * time.Second): // it tries every few milliseconds
	}
	must(t, lock.Unlock())
	if out, want := <-seen, "uid\tguid\n1\t"+n.Base+"\n"; out != want {
		t.Errorf("Dovecot reads %q, want %q", out, want)
	}
}

// A line that a crash has cut off, and Dovecot's way to go on from there.
func TestInteropTornListBesideDovecot(t *testing.T) {
	t.Parallel()
	r, d := besideDovecot(t)
	f := openFolder(t, r, "INBOX")
	startList(t, f, UIDHeader{UIDValidity: 1700000001, UIDNext: 1, GUID: NewGUID(), ModSeqCeiling: 1})
	_, err := appendMessage(t, f, "Subject: first\r\n\r\n", 0, 0, "")
	must(t, err)
	writeList(t, f, listText(t, f)+"2 :torn")
	lock, err := f.LockUIDList(t.Context())
	must(t, err)
	n := place(t, f, "Subject: second\r\n\r\n", 0)
	if err := appendRecords(lock, []UIDRecord{{UID: 3, Base: n.Base, Physical: -1, Virtual: -1}}); !errors.Is(err, ErrRewrite) {
		t.Fatalf("after a torn line: %v", err)
	}
	u, recs := readList(t, f, Mark{})
	must(t, lock.Rewrite(u.Header(), records(recs...)))
	must(t, appendRecords(lock, []UIDRecord{{UID: 3, Base: n.Base, Physical: -1, Virtual: -1}}))
	must(t, lock.Unlock())
	if got := d.Doveadm(t, "", "-f", "tab", "fetch", "uid hdr.subject", "ALL"); got != "uid\thdr.subject\n1\tfirst\n3\tsecond\n" {
		t.Errorf("Dovecot reads\n%s", got)
	}
}

func TestInteropUIDValidityBothWays(t *testing.T) {
	t.Parallel()
	r, d := besideDovecot(t)
	d.Doveadm(t, "", "mailbox", "create", "a")
	validity := func(name string) uint32 {
		u, _ := readList(t, openFolder(t, r, name), Mark{})
		return u.Header().UIDValidity
	}
	last := validity("a")
	next, err := r.NextUIDValidity(time.Now())
	must(t, err)
	if next <= last {
		t.Errorf("after Dovecot's %d we give %d", last, next)
	}
	d.Doveadm(t, "", "mailbox", "create", "b")
	if v := validity("b"); v <= next {
		t.Errorf("after our %d Dovecot gives %d", next, v)
	}
}

// go-maildir is a second reader of what we write.
func TestInteropGoMaildirReadsOurMessages(t *testing.T) {
	t.Parallel()
	r, _ := besideDovecot(t)
	f := openFolder(t, r, "INBOX")
	n := place(t, f, "Subject: a\r\n\r\n", Seen|Flagged|Passed)
	msg, err := gomaildir.Dir(f.Path()).MessageByKey(n.Base)
	must(t, err)
	if got := string(msg.Flags()); got != "FPS" {
		t.Errorf("its flags are %q", got)
	}
}
