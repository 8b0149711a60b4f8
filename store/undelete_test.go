package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"letterbox/store/maildir"
)

// A message that comes back is what it was, under a new UID.
func TestUndelete(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	var now atomic.Int64
	now.Store(day(t, "2026-11-28"))
	s := openAt(t, dir, &now)
	a := account(t, s)
	m := mailbox(t, s, "INBOX")
	date := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	if _, err := m.Append(t.Context(), []AppendMessage{
		{In: incoming(t, s, text(1)), Flags: []string{`\Seen`, `\Flagged`, "red"}, Date: date},
		{In: incoming(t, s, text(2))},
		{In: incoming(t, s, text(3)), ID: "its-own"},
	}); err != nil {
		t.Fatal(err)
	}
	id := emailID(t, m, 1)
	if _, _, err := m.StoreFlags([]UID{1, 3}, AddFlags, Deleted, 0); err != nil {
		t.Fatal(err)
	}
	if err := m.Expunge([]UID{1, 3}); err != nil {
		t.Fatal(err)
	}
	wantBin(t, a, "2026-11-28 INBOX letter 1", "2026-11-28 INBOX letter 3")
	now.Store(day(t, "2026-11-30"))
	if n, err := a.Undelete(t.Context(), Which{}); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	wantBin(t, a)
	if _, err := os.Stat(filepath.Join(dir, "mail", "ann", "Expunged")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty bin is left: %v", err)
	}
	check := func(m *Mailbox) {
		t.Helper()
		if got := fmt.Sprint(m.UIDs(nil)); got != "[2 4 5]" {
			t.Fatalf("UIDs %s", got)
		}
		meta := m.Lookup(nil, []UID{4})[0]
		if got := namesOf(meta.Flags, m.Keywords()); !slices.Equal(got, []string{`\Flagged`, `\Seen`, "red"}) {
			t.Errorf("flags %q", got)
		}
		if meta.InternalDate != date.Unix() || meta.SaveDate != day(t, "2026-11-30") || meta.Size != int64(len(text(1))) {
			t.Errorf("it came back as %+v", meta)
		}
		if got := emailID(t, m, 4); got != id {
			t.Errorf("EMAILID %s, was %s", got, id)
		}
		if got := emailID(t, m, 5); got != "its-own" {
			t.Errorf("EMAILID %s", got)
		}
		if content(t, m, 4) != text(1) || content(t, m, 5) != text(3) {
			t.Errorf("it reads %q, %q", content(t, m, 4), content(t, m, 5))
		}
		env, err := m.AppendEnvelope(nil, 4)
		if err != nil || !strings.Contains(string(env), "letter 1") {
			t.Errorf("ENVELOPE %s, %v", env, err)
		}
	}
	check(m)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	removeCaches(t, dir)
	check(mailbox(t, open(t, dir), "INBOX"))
}

func emailID(t testing.TB, m *Mailbox, uid UID) string {
	t.Helper()
	id, err := m.EmailID(uid)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// What says who a message is goes along with copies, and with keywords past those that have letters.
func TestUndeleteIdentitiesAndKeywords(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	s := open(t, dir)
	a := account(t, s)
	deliver(t, s, "", text(1))
	in, arch := mailbox(t, s, "INBOX"), mailbox(t, s, "Archive")
	id := emailID(t, in, 1)
	if _, err := in.Copy([]UID{1, 1, 1}, arch); err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range 30 {
		names = append(names, fmt.Sprint("k", i))
	}
	f, err := arch.KeywordFlags(names, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := arch.StoreFlags([]UID{1}, SetFlags, f, 0); err != nil {
		t.Fatal(err)
	}
	k2, err := arch.KeywordFlags([]string{"k2", "k28"}, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := arch.StoreFlags([]UID{2}, SetFlags, k2, 0); err != nil {
		t.Fatal(err)
	}
	damageData(t, dir, "Archive")
	arch.Relax()
	if err := arch.Expunge([]UID{1, 2}); err != nil {
		t.Fatal(err)
	}
	check := func(last UID) {
		t.Helper()
		arch := mailbox(t, s, "Archive")
		for uid, want := range map[UID][]string{last - 1: names, last: {"k2", "k28"}} {
			metas := arch.Lookup(nil, []UID{uid})
			if len(metas) == 0 {
				t.Fatalf("there is no UID %d among %v", uid, arch.UIDs(nil))
			}
			got, want := namesOf(metas[0].Flags, arch.Keywords()), slices.Sorted(slices.Values(want))
			if !slices.Equal(got, want) {
				t.Errorf("UID %d has the keywords %q", uid, got)
			}
			if got := emailID(t, arch, uid); got != id {
				t.Errorf("UID %d has EMAILID %s, not %s", uid, got, id)
			}
		}
	}
	undelete := func() {
		t.Helper()
		if n, err := a.Undelete(t.Context(), Which{Mailbox: "archive"}); n != 0 || err != nil {
			t.Fatal(n, err)
		}
		if n, err := a.Undelete(t.Context(), Which{Mailbox: "Archive"}); n < 2 || err != nil {
			t.Fatal(n, err)
		}
	}
	undelete()
	check(5)

	// The same with the folder as a whole, which comes back subscribed.
	if err := arch.Expunge([]UID{3}); err != nil {
		t.Fatal(err)
	}
	validity := arch.Status().UIDValidity
	if err := errors.Join(a.Subscribe("Archive", false), a.Delete("Archive")); err != nil {
		t.Fatal(err)
	}
	if got := len(binned(t, a, Which{Mailbox: "Archive"})); got != 3 {
		t.Errorf("%d messages in the bin", got)
	}
	undelete()
	again := mailbox(t, s, "Archive")
	if st := again.Status(); st.UIDValidity <= validity || st.Messages != 3 {
		t.Errorf("it is made again as %+v", st)
	}
	subs, err := a.Subscriptions()
	if err != nil || !slices.Contains(subs, "Archive") {
		t.Errorf("subscriptions %q, %v", subs, err)
	}
	wantBin(t, a)
	uids := again.UIDs(nil)
	for _, uid := range uids {
		if got := emailID(t, again, uid); got != id {
			t.Errorf("UID %d has EMAILID %s, not %s", uid, got, id)
		}
	}
	all := map[int]int{}
	for _, meta := range again.Lookup(nil, uids) {
		all[len(namesOf(meta.Flags, again.Keywords()))]++
	}
	if fmt.Sprint(all) != "map[0:1 2:1 30:1]" {
		t.Errorf("messages by their number of keywords: %v", all)
	}
}

// A deleted mailbox gets its special use back, unless another has it by now.
func TestUndeleteSpecialUse(t *testing.T) {
	t.Parallel()
	s := open(t, fastDir(t))
	a := account(t, s)
	for n, other := range []bool{false, true} {
		if err := a.Create("Müll/Post", `\Junk`); err != nil {
			t.Fatal(err)
		}
		deliver(t, s, "Müll/Post", text(n))
		if err := a.Delete("Müll/Post"); err != nil {
			t.Fatal(err)
		}
		if other {
			if err := a.Create("Other", `\Junk`); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := a.Undelete(t.Context(), Which{Mailbox: "Mu\u0308ll/Post"}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		list, err := a.List()
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(list, func(i MailboxInfo) bool { return i.Name == "Müll/Post" })
		if i < 0 || list[i].SpecialUse == `\Junk` == other || !list[i].Subscribed {
			t.Errorf("with another %v: %+v", other, list)
		}
		if err := a.Delete("Müll/Post"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := a.Purge(t.Context(), Which{}); err != nil {
			t.Fatal(err)
		}
	}
}

// What goes from the bin while it is being brought back does not keep the rest.
func TestUndeleteWhilePurged(t *testing.T) {
	t.Parallel()
	s, dir, hook := openHooked(t)
	for n := range 3 {
		deliver(t, s, "", text(n))
	}
	m := mailbox(t, s, "INBOX")
	if err := m.Expunge(m.UIDs(nil)); err != nil {
		t.Fatal(err)
	}
	hook.Store(once(maildir.StepMove, func() error {
		files, err := filepath.Glob(filepath.Join(dir, "mail", "ann", "Expunged", "*", "INBOX", "cur", "*"))
		if err != nil || len(files) != 3 {
			return fmt.Errorf("%q, %w", files, err)
		}
		return os.Remove(files[1])
	}))
	if n, err := account(t, s).Undelete(t.Context(), Which{}); n != 2 || err != nil {
		t.Error(n, err)
	}
	if got := fmt.Sprint(m.UIDs(nil)); got != "[4 6]" {
		t.Errorf("UIDs %s", got)
	}
	deliver(t, s, "", text(9))
	if got := fmt.Sprint(m.UIDs(nil)); got != "[4 6 7]" {
		t.Errorf("UIDs %s", got)
	}
}

// damageData makes the data file of a mailbox unreadable, but for its head.
func damageData(t *testing.T, dir, mailbox string) {
	t.Helper()
	file := filepath.Join(dir, "mail", "ann", "Maildir", "."+mailbox, "letterbox.data")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	clear(b[32:])
	if err := os.WriteFile(file, b, 0o600); err != nil { // the same file, which is open
		t.Fatal(err)
	}
}

// What is brought back and perhaps not on disk is not told to be back, and does not
// go from the bin for good.
func TestUndeleteThatIsNotSynced(t *testing.T) {
	t.Parallel()
	s, _, hook := openHooked(t)
	deliver(t, s, "", text(1))
	deliver(t, s, "", text(2))
	m := mailbox(t, s, "INBOX")
	if err := m.Expunge([]UID{1, 2}); err != nil {
		t.Fatal(err)
	}
	var moves, syncs atomic.Int64
	broken := func(name string) error {
		switch {
		case name == maildir.StepMove:
			moves.Add(1)
		case name == maildir.StepSyncDir && moves.Load() == 2:
			syncs.Add(1)
			return syscall.EIO
		}
		return nil
	}
	hook.Store(&broken)
	n, err := account(t, s).Undelete(t.Context(), Which{})
	hook.Store(nil)
	if n != 0 || !errors.Is(err, syscall.EIO) {
		t.Errorf("%d messages are back, %v", n, err)
	}
	if syncs.Load() != 1 {
		t.Errorf("%d directories were synced: the bin's is not to be before the mailbox's", syncs.Load())
	}
	wantBin(t, account(t, s))
	if err := m.refresh(); err != nil || fmt.Sprint(m.UIDs(nil)) != "[3 4]" {
		t.Errorf("UIDs %v, %v", m.UIDs(nil), err)
	}
}

// What was expunged does not count, and comes back where the quota has room for it.
func TestUndeleteAndQuota(t *testing.T) {
	t.Parallel()
	s := open(t, fastDir(t))
	a := account(t, s)
	if _, err := a.CountUsage(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		deliver(t, s, "", text(n))
	}
	m := mailbox(t, s, "INBOX")
	if err := m.Expunge([]UID{1, 2}); err != nil {
		t.Fatal(err)
	}
	if u := a.Usage(); u.Messages != 1 {
		t.Errorf("what was expunged counts: %+v", u)
	}
	s.SetQuotas(map[string]Quota{"ann": {Messages: 2}})
	if n, err := a.Undelete(t.Context(), Which{}); n != 0 || !errors.Is(err, ErrOverQuota) {
		t.Errorf("brought back %d, %v", n, err)
	}
	var ids []string
	for e := range a.Expunged(t.Context(), Which{}, "") {
		ids = append(ids, e.ID)
	}
	if n, err := a.Undelete(t.Context(), Which{IDs: ids[:1]}); n != 1 || err != nil {
		t.Errorf("brought back %d, %v", n, err)
	}
	if u := a.Usage(); u.Messages != 2 || !u.Complete {
		t.Errorf("usage %+v", u)
	}
	err := s.Deliver(t.Context(), incoming(t, s, text(9)), []Target{{Person: "ann"}})
	if !errors.Is(err, ErrOverQuota) {
		t.Errorf("delivered: %v", err)
	}
	s.SetQuotas(nil)
	if n, err := a.Undelete(t.Context(), Which{}); n != 1 || err != nil {
		t.Errorf("brought back %d, %v", n, err)
	}
	if u := a.Usage(); u.Messages != 3 || a.usage.arriving.Messages != 0 || a.usage.arriving.Size != 0 {
		t.Errorf("usage %+v, %+v promised", u, a.usage.arriving)
	}
}
