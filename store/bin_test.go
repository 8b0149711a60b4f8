package store

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"letterbox/store/maildir"
)

// binned lists what the bin has, oldest day first: "date mailbox subject".
func binned(t testing.TB, a *Account, w Which) (list []string) {
	t.Helper()
	for e, err := range a.Expunged(t.Context(), w, "") {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e.Date+" "+e.Mailbox+" "+e.Subject)
	}
	slices.Sort(list)
	return list
}

func wantBin(t testing.TB, a *Account, want ...string) {
	t.Helper()
	if got := binned(t, a, Which{}); !slices.Equal(got, want) {
		t.Errorf("the bin has\n%q\nwant\n%q", got, want)
	}
}

// openAt opens a store whose clock shows what now says, with an account for ann.
func openAt(t testing.TB, dir string, now *atomic.Int64) *Store {
	t.Helper()
	s, err := Open(dir, Options{Now: func() time.Time { return time.Unix(now.Load(), 0) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.CreateAccount("ann"); err != nil {
		t.Fatal(err)
	}
	return s
}

// day is noon of a date, here.
func day(t testing.TB, date string) int64 {
	t.Helper()
	d, err := time.ParseInLocation(time.DateOnly, date, time.Local)
	if err != nil {
		t.Fatal(err)
	}
	return d.Add(12 * time.Hour).Unix()
}

// spread expunges letters 0 to 5, two a day, one from INBOX and one from a folder.
func spread(t *testing.T, s *Store, now *atomic.Int64) {
	t.Helper()
	for n := range 3 {
		now.Store(day(t, fmt.Sprint("2026-11-2", n)))
		for i, name := range []string{"INBOX", "Sent"} {
			deliver(t, s, name, text(2*n+i))
			m := mailbox(t, s, name)
			if err := m.Expunge(m.UIDs(nil)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestChooseExpunged(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	s := openAt(t, fastDir(t), &now)
	spread(t, s, &now)
	a := account(t, s)
	all := []string{"2026-11-20 INBOX letter 0", "2026-11-20 Sent letter 1", "2026-11-21 INBOX letter 2",
		"2026-11-21 Sent letter 3", "2026-11-22 INBOX letter 4", "2026-11-22 Sent letter 5"}
	var ids, places []string
	for e, err := range a.Expunged(t.Context(), Which{}, "") {
		if err != nil || e.From != "Ben <ben@example.org>" || e.Size != int64(len(text(1))) || e.InternalDate.IsZero() || len(e.ID) != 12 {
			t.Errorf("%+v, %v", e, err)
		}
		ids, places = append(ids, e.ID), append(places, e.Place)
	}
	if len(ids) != 6 {
		t.Fatal(ids)
	}
	for i, place := range places { // latest day first
		n := 0
		for range a.Expunged(t.Context(), Which{}, place) {
			n++
		}
		if n != 5-i {
			t.Errorf("%d messages behind %s", n, place)
		}
	}
	for _, c := range []struct {
		w    Which
		want []string
	}{
		{Which{}, all},
		{Which{Mailbox: "inbox"}, []string{all[0], all[2], all[4]}},
		{Which{Since: "2026-11-21"}, all[2:]},
		{Which{Until: "2026-11-20"}, all[:2]},
		{Which{Since: "2026-11-21", Until: "2026-11-21", Mailbox: "Sent"}, all[3:4]},
		{Which{IDs: []string{ids[0], strings.ToUpper(ids[5])}}, []string{all[1], all[4]}}, // latest first
		{Which{IDs: []string{ids[0]}, Mailbox: "Sent"}, nil},
		{Which{IDs: []string{}}, nil},
		{Which{Mailbox: "Nowhere"}, nil},
	} {
		if got := binned(t, a, c.w); !slices.Equal(got, c.want) {
			t.Errorf("%+v chooses %q, want %q", c.w, got, c.want)
		}
	}
	if n, err := a.Undelete(t.Context(), Which{IDs: ids[5:]}); n != 1 || err != nil {
		t.Error(n, err)
	}
	n, freed, err := a.Purge(t.Context(), Which{Until: "2026-11-21", Mailbox: "Sent"})
	if n != 1 || freed <= 0 || err != nil { // the other is letter 1, which came back
		t.Error(n, freed, err)
	}
	wantBin(t, a, all[0], all[2], all[4], all[5])
	if n, _, err := a.Purge(t.Context(), Which{}); n != 4 || err != nil {
		t.Error(n, err)
	}
	wantBin(t, a)
	if messages(t, s, "INBOX") != 0 || messages(t, s, "Sent") != 1 {
		t.Error("the purge touched what was not expunged")
	}
}

// roomy makes the disk look as if it had so many MiB free of a thousand, of which
// 50 are to be left.
func roomy(s *Store, free *atomic.Int64) {
	s.disk.space = func() (int64, int64, error) { return free.Load() << 20, 1000 << 20, nil }
	s.SetFloor(Floor{Percent: 5})
}

// When room runs short, what was expunged first goes first, of everybody; what
// is expunged then is not kept.
func TestShedExpunged(t *testing.T) {
	t.Parallel()
	var now, free atomic.Int64
	free.Store(500)
	s := openAt(t, fastDir(t), &now)
	roomy(s, &free)
	spread(t, s, &now)
	a := account(t, s)
	if err := s.CreateAccount("ben"); err != nil {
		t.Fatal(err)
	}
	now.Store(day(t, "2026-11-23"))
	ben, err := s.Account("ben")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Deliver(t.Context(), incoming(t, s, text(9)), []Target{{Person: "ben"}}); err != nil {
		t.Fatal(err)
	}
	m, err := ben.Open("INBOX")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Expunge([]UID{1}); err != nil {
		t.Fatal(err)
	}
	freed, err := s.shedExpunged(1)
	if freed <= 0 || err != nil {
		t.Fatal(freed, err)
	}
	wantBin(t, a, "2026-11-20 Sent letter 1", "2026-11-21 INBOX letter 2", "2026-11-21 Sent letter 3", "2026-11-22 INBOX letter 4", "2026-11-22 Sent letter 5")
	if freed, err = s.shedExpunged(4 * freed); err != nil {
		t.Fatal(freed, err)
	}
	wantBin(t, a, "2026-11-22 Sent letter 5")
	wantBin(t, ben, "2026-11-23 INBOX letter 9")

	deliver(t, s, "", text(10))
	deliver(t, s, "Sent", text(11))
	free.Store(49)
	s.SetFloor(Floor{Percent: 5}) // and what is believed of the disk is asked again
	in := mailbox(t, s, "INBOX")
	if err := in.Expunge(in.UIDs(nil)); err != nil {
		t.Fatal(err)
	}
	if err := a.Delete("Sent"); err != nil {
		t.Fatal(err)
	}
	wantBin(t, a)
	wantBin(t, ben)
	if freed, err := s.shedExpunged(math.MaxInt64); freed != 0 || err != nil {
		t.Error(freed, err)
	}
	free.Store(51)
	s.SetFloor(Floor{Percent: 5})
	deliver(t, s, "", text(12))
	if err := in.Expunge(in.UIDs(nil)); err != nil {
		t.Fatal(err)
	}
	wantBin(t, a, "2026-11-23 INBOX letter 12")
}

// What is lacking is made room for once, however many lack it, and nothing is removed
// for what is only asked.
func TestShedOnce(t *testing.T) {
	t.Parallel()
	s := open(t, fastDir(t))
	for n := range 40 {
		deliver(t, s, "", text(n))
	}
	in := mailbox(t, s, "INBOX")
	if err := in.Expunge(in.UIDs(nil)); err != nil {
		t.Fatal(err)
	}
	kept := func() int64 {
		files, err := filepath.Glob(filepath.Join(s.dir, "ann", "Expunged", "*", "INBOX", "cur", "*"))
		if err != nil {
			t.Error(err)
		}
		return int64(len(files))
	}
	size := s.spare(math.MaxInt64) / 40
	if size <= 0 {
		t.Fatalf("a message takes %d octets", size)
	}
	lacking := int64(2)
	s.disk.space = func() (free, of int64, err error) { return (40 - lacking - kept()) * size, 1 << 30, nil }
	s.SetFloor(Floor{Bytes: 1})
	if err := in.a.CheckRoom(1, 1); err != nil || kept() != 40 {
		t.Errorf("asked whether there is room: %v, %d of 40 messages are kept", err, kept())
	}
	if err := in.a.CheckRoom(1, 38*size); !errors.Is(err, ErrDiskFull) || kept() != 40 {
		t.Errorf("asked for too much: %v, %d of 40 messages are kept", err, kept())
	}
	together := func(what string, do func()) {
		var all sync.WaitGroup
		start := make(chan struct{})
		for range 8 {
			all.Go(func() { <-start; do() })
		}
		close(start)
		all.Wait()
		if got := 40 - kept(); got != lacking+1 {
			t.Errorf("%s: %d messages were removed where %d would do", what, got, lacking+1)
		}
	}
	together("on the floor", func() {
		if err := s.disk.makeRoom(0); err != nil {
			t.Error(err)
		}
	})
	lacking = 4
	s.SetFloor(Floor{})
	s.disk.space = func() (free, of int64, err error) { return fullDisk - 1 + (40-lacking-kept())*size, 1 << 30, nil }
	together("on a full disk", func() { s.roomToKeep() })
}

// On a disk that has no room for the bin people can make some all the same.
func TestExpungeWhereNothingCanBeKept(t *testing.T) {
	t.Parallel()
	for _, step := range []string{maildir.StepMakeFolder, maildir.StepKeep, maildir.StepKeepFolder} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			s, _, hook := openHooked(t)
			for n := range 3 {
				deliver(t, s, "", text(n))
				deliver(t, s, "Sent", text(n))
			}
			full := func(name string) error {
				if name == step {
					return syscall.ENOSPC
				}
				return nil
			}
			m := mailbox(t, s, "INBOX")
			hook.Store(&full)
			if err := m.Expunge([]UID{1, 3}); err != nil {
				t.Error(err)
			}
			if err := account(t, s).Delete("Sent"); err != nil {
				t.Error(err)
			}
			hook.Store(nil)
			if got := fmt.Sprint(m.UIDs(nil)); got != "[2]" {
				t.Errorf("UIDs %s", got)
			}
			if err := m.refresh(); err != nil || len(m.UIDs(nil)) != 1 {
				t.Errorf("after another look %v, %v", m.UIDs(nil), err)
			}
			if got := len(binned(t, account(t, s), Which{})); step == maildir.StepMakeFolder && got != 0 || step == maildir.StepKeep && got != 3 || step == maildir.StepKeepFolder && got != 2 {
				t.Errorf("%d messages are kept", got)
			}
		})
	}
}

// A broken disk is no reason to give up what can be kept later.
func TestExpungeOnBrokenDisk(t *testing.T) {
	t.Parallel()
	s, _, hook := openHooked(t)
	deliver(t, s, "", text(1))
	m := mailbox(t, s, "INBOX")
	hook.Store(once(maildir.StepKeep, func() error { return syscall.EIO }))
	if err := m.Expunge([]UID{1}); !errors.Is(err, syscall.EIO) {
		t.Errorf("expunged: %v", err)
	}
	if len(m.UIDs(nil)) != 1 || content(t, m, 1) != text(1) {
		t.Error("it is gone")
	}
	if err := m.Expunge([]UID{1}); err != nil {
		t.Error(err)
	}
	if got := len(binned(t, account(t, s), Which{})); got != 1 {
		t.Errorf("%d messages are kept", got)
	}
}

// A person's bin goes with them, and is not that of one who comes after.
func TestBinOfRemovedPerson(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	s := open(t, dir)
	deliver(t, s, "", text(1))
	a, m := account(t, s), mailbox(t, s, "INBOX")
	if err := m.Expunge([]UID{1}); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveAccount("ann"); err != nil {
		t.Fatal(err)
	}
	for _, err := range a.Expunged(t.Context(), Which{}, "") {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("listed: %v", err)
		}
	}
	if _, err := a.Undelete(t.Context(), Which{}); !errors.Is(err, ErrClosed) {
		t.Errorf("brought back: %v", err)
	}
	if err := s.CreateAccount("ann"); err != nil {
		t.Fatal(err)
	}
	wantBin(t, account(t, s))
	left, err := filepath.Glob(filepath.Join(dir, "mail", ".removed", "ann-*", "Expunged", "*", "INBOX", "cur", "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("%q, %v", left, err)
	}
}
