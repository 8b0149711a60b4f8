package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// aDay lets ann receive a letter and the caretaker do its work.
func aDay(t *testing.T, s *Store, now *atomic.Int64, date string) {
	t.Helper()
	now.Store(day(t, date))
	deliver(t, s, "Archive", text(50))
	if err := care(s); err != nil {
		t.Fatal(err)
	}
}

// daily is aDay for every day from one date to another.
func daily(t *testing.T, s *Store, now *atomic.Int64, from, to string) {
	t.Helper()
	for d := time.Unix(day(t, from), 0); d.Unix() <= day(t, to); d = d.AddDate(0, 0, 1) {
		aDay(t, s, now, d.Format(time.DateOnly))
	}
}

// What was expunged goes a month later, with what else is too old.
func TestHousekeeping(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	var now atomic.Int64
	now.Store(day(t, "2026-11-20"))
	s := openAt(t, dir, &now)
	root := filepath.Join(dir, "mail", "ann", "Maildir")
	deliver(t, s, "", text(1))
	m := mailbox(t, s, "INBOX")
	if err := m.Expunge([]UID{1}); err != nil {
		t.Fatal(err)
	}
	stale := []string{filepath.Join(root, "tmp", "1.old"), filepath.Join(root, ".Sent", "tmp", "2.old"), filepath.Join(root, "letterbox-removed.X", "cur")}
	for _, path := range stale {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	daily(t, s, &now, "2026-11-21", "2026-12-19")
	aDay(t, s, &now, "2026-12-20")
	wantBin(t, account(t, s), "2026-11-20 INBOX letter 1")
	aDay(t, s, &now, "2026-12-21")
	wantBin(t, account(t, s))
	aDay(t, s, &now, time.Now().AddDate(1, 0, 0).Format(time.DateOnly)) // the files are of today
	for _, path := range stale {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
}

// A directory of the bin that cannot be read keeps nothing else there.
func TestHousekeepingPastWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	var now atomic.Int64
	now.Store(day(t, "2026-11-20"))
	s := openAt(t, dir, &now)
	expunge := func(date, mailboxName string) {
		now.Store(day(t, date))
		deliver(t, s, mailboxName, text(1))
		m := mailbox(t, s, mailboxName)
		if err := m.Expunge(m.UIDs(nil)); err != nil {
			t.Fatal(err)
		}
	}
	expunge("2026-11-20", "Drafts")
	expunge("2026-11-20", "Sent")
	expunge("2026-11-21", "Sent")
	bad := filepath.Join(dir, "mail", "ann", "Expunged", "2026-11-20", "Drafts", "new")
	if err := os.Remove(bad); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bad, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	daily(t, s, &now, "2026-11-21", "2026-12-20")
	for _, date := range []string{"2026-12-21", "2026-12-22"} {
		now.Store(day(t, date))
		deliver(t, s, "Archive", text(2))
		if err := care(s); err == nil || !strings.Contains(err.Error(), "from Drafts on 2026-11-20") {
			t.Errorf("on %s the error is %v", date, err)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "mail", "ann", "Expunged", "*", "*"))
	if err != nil || len(left) != 1 || left[0] != filepath.Dir(bad) {
		t.Errorf("left are %q, %v", left, err)
	}
}

// A clock that jumps makes nothing old, and what it dates into the future is dated anew.
func TestHousekeepingWithoutAClock(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	var now atomic.Int64
	now.Store(day(t, "2026-11-20"))
	s := openAt(t, dir, &now)
	deliver(t, s, "", text(1))
	m := mailbox(t, s, "INBOX")
	if err := m.Expunge([]UID{1}); err != nil {
		t.Fatal(err)
	}
	for _, date := range []string{"2038-01-01", "2038-01-02", "2038-01-03"} {
		aDay(t, s, &now, date)
	}
	deliver(t, s, "", text(2))
	if err := m.Expunge([]UID{2}); err != nil {
		t.Fatal(err)
	}
	wantBin(t, account(t, s), "2026-11-20 INBOX letter 1", "2038-01-03 INBOX letter 2")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	now.Store(day(t, "2026-11-21"))
	old := time.Unix(now.Load(), 0)
	for _, sub := range []string{"cur", "new", "dovecot-uidlist"} {
		if err := os.Chtimes(filepath.Join(dir, "mail", "ann", "Maildir", sub), old, old); err != nil {
			t.Fatal(err)
		}
	}
	s = openAt(t, dir, &now)
	aDay(t, s, &now, "2026-11-22") // perhaps it is this clock that is wrong
	wantBin(t, account(t, s), "2026-11-20 INBOX letter 1", "2038-01-03 INBOX letter 2")
	aDay(t, s, &now, "2026-11-23")
	wantBin(t, account(t, s), "2026-11-20 INBOX letter 1", "2026-11-23 INBOX letter 2")
}

// A clock that jumps ahead once makes nothing old that has been kept for some days.
func TestHousekeepingAfterAJump(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	now.Store(day(t, "2027-06-01"))
	s := openAt(t, fastDir(t), &now)
	deliver(t, s, "", text(1))
	if err := mailbox(t, s, "INBOX").Expunge([]UID{1}); err != nil {
		t.Fatal(err)
	}
	daily(t, s, &now, "2027-06-01", "2027-06-25")
	aDay(t, s, &now, "2029-01-01")
	wantBin(t, account(t, s), "2027-06-01 INBOX letter 1")
	daily(t, s, &now, "2029-01-02", "2029-01-05")
	wantBin(t, account(t, s), "2027-06-01 INBOX letter 1")
	daily(t, s, &now, "2029-01-06", "2029-01-07")
	wantBin(t, account(t, s))
}

// A jump that is put right while the program runs stops nothing: what the wrong
// clock dated into the future counts from now on.
func TestHousekeepingAfterAJumpThere(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	now.Store(day(t, "2027-06-01"))
	s := openAt(t, fastDir(t), &now)
	deliver(t, s, "", text(1))
	aDay(t, s, &now, "2038-01-01")
	if err := mailbox(t, s, "INBOX").Expunge([]UID{1}); err != nil {
		t.Fatal(err)
	}
	daily(t, s, &now, "2027-06-02", "2027-06-03")
	wantBin(t, account(t, s), "2027-06-03 INBOX letter 1")
	daily(t, s, &now, "2027-06-04", "2027-07-03")
	wantBin(t, account(t, s), "2027-06-03 INBOX letter 1")
	daily(t, s, &now, "2027-07-04", "2027-07-04")
	wantBin(t, account(t, s))
}

// A clock that is behind for a while, because it has not been set yet or was set
// wrong, neither dates anything anew nor makes it old when it is right again.
func TestHousekeepingBehind(t *testing.T) {
	t.Parallel()
	for _, behind := range []string{"1970-01-01", "2027-03-10"} {
		t.Run(behind, func(t *testing.T) {
			t.Parallel()
			dir := fastDir(t)
			var now atomic.Int64
			now.Store(day(t, "2027-06-01"))
			s := openAt(t, dir, &now)
			deliver(t, s, "", text(0)) // the INBOX tells of no later day
			deliver(t, s, "Archive", text(1))
			deliver(t, s, "Archive", text(2))
			daily(t, s, &now, "2027-06-02", "2027-07-20")
			m := mailbox(t, s, "Archive")
			if err := m.Expunge([]UID{1}); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			old := time.Unix(day(t, "2027-06-01"), 0)
			for _, sub := range []string{"cur", "new", "dovecot-uidlist"} {
				if err := os.Chtimes(filepath.Join(dir, "mail", "ann", "Maildir", sub), old, old); err != nil {
					t.Fatal(err)
				}
			}
			now.Store(day(t, behind))
			s = openAt(t, dir, &now)
			if err := mailbox(t, s, "Archive").Expunge([]UID{2}); err != nil {
				t.Fatal(err)
			}
			if err := care(s); err != nil {
				t.Fatal(err)
			}
			want := []string{"2027-07-20 Archive letter 1", "2027-07-20 Archive letter 2"}
			wantBin(t, account(t, s), want...)
			daily(t, s, &now, "2027-07-21", "2027-08-18")
			wantBin(t, account(t, s), want...)
			daily(t, s, &now, "2027-08-19", "2027-08-20")
			wantBin(t, account(t, s))
		})
	}
}

// A list that is mostly of messages that are gone is written anew while its mailbox stays open.
func TestHousekeepingOfOpenMailbox(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	var now atomic.Int64
	now.Store(day(t, "2026-11-20"))
	s := openAt(t, dir, &now)
	m := mailbox(t, s, "INBOX")
	b := m.NewBatch()
	defer b.Close()
	for n := range 1200 {
		long := strings.Replace(text(n), "To:", "X-Long: x\r\nTo: "+strings.Repeat("somebody@example.org, ", 50), 1) // so that there is much to forget
		if err := b.Add(t.Context(), AppendMessage{In: incoming(t, s, long)}); err != nil {
			t.Fatal(err)
		}
		if n%100 == 99 {
			if _, err := b.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := m.Expunge(m.UIDs(nil)[10:]); err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "mail", "ann", "Maildir", "dovecot-uidlist")
	before, err := os.Stat(list)
	if err != nil {
		t.Fatal(err)
	}
	aDay(t, s, &now, "2026-11-21")
	after, err := os.Stat(list)
	if err != nil || after.Size() > before.Size()/10 {
		t.Errorf("the list had %d octets, and has %d, %v", before.Size(), after.Size(), err)
	}
	data, err := os.Stat(filepath.Join(dir, "mail", "ann", "Maildir", "letterbox.data"))
	if err != nil || data.Size() > 40_000 {
		t.Errorf("the index has %d octets of data, %v", data.Size(), err)
	}
	for _, uid := range m.UIDs(nil) {
		if env, err := m.AppendEnvelope(nil, uid); err != nil || !strings.Contains(string(env), fmt.Sprint("letter ", uid-1)) {
			t.Errorf("ENVELOPE of %d is %s, %v", uid, env, err)
		}
	}
	deliver(t, s, "", text(2000))
	if env, err := m.AppendEnvelope(nil, 1201); err != nil || !strings.Contains(string(env), "letter 2000") {
		t.Errorf("ENVELOPE is %s, %v", env, err)
	}
	if err := m.Expunge([]UID{1201}); err != nil {
		t.Fatal(err)
	}
	if got := m.Status(); got.Messages != 10 || got.UIDNext != 1202 {
		t.Errorf("status %+v", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := mailbox(t, openAt(t, dir, &now), "INBOX")
	if env, err := again.AppendEnvelope(nil, 3); err != nil || !strings.Contains(string(env), "letter 2") || again.Status().Messages != 10 {
		t.Errorf("afterwards %+v, ENVELOPE %s, %v", again.Status(), env, err)
	}
}

// Nothing is done on a box on which nothing happens.
func TestHousekeepingLeavesAnIdleDiskAlone(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	synctest.Test(t, func(t *testing.T) {
		var steps atomic.Int64
		s, err := Open(dir, Options{step: func(string) error { steps.Add(1); return nil }})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.CreateAccount("ann"); err != nil {
			t.Fatal(err)
		}
		m, err := account(t, s).Open("INBOX")
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		defer m.Watch(make(chan struct{}, 1))()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); s.care.run(ctx) }()
		deliver(t, s, "", text(1))
		if err := m.Expunge([]UID{1}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // in the bubble: what was asked for is done
		synctest.Wait()
		before := steps.Load()
		time.Sleep(90 * 24 * time.Hour)
		synctest.Wait()
		if did := steps.Load() - before; did != 0 {
			t.Errorf("%d steps were taken in three idle months", did)
		}
		stop()
		<-ended
	})
}
