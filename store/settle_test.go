//go:build interop

package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"letterbox/store/atomicfile"
	"letterbox/store/disktest"
)

// uncertain is a household on a disk, closed; list is the dovecot-uidlist of ann's INBOX.
func uncertain(t *testing.T) (d *disktest.Disk, dir, list string) {
	t.Helper()
	d = disktest.New(t).NewDisk()
	dir = homeOn(t, d)
	furnish(t, dir)
	s := openOn(t, dir)
	look(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return d, dir, filepath.Join(dir, "mail", "ann", "Maildir", "dovecot-uidlist")
}

func openOn(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() }) // before the disk is taken away, if the test ends early
	return s
}

// killStore ends a store as a kill of the program would: nothing is put in order any more.
func killStore(d *disktest.Disk, s *Store) {
	d.SetFault(func(disktest.Change) syscall.Errno { return syscall.EIO })
	s.Close() // it fails
	d.SetFault(nil)
}

// inboxView is what is in ann's INBOX.
func inboxView(t *testing.T, s *Store) (v view) {
	t.Helper()
	err := with(s, "INBOX", func(m *Mailbox) error {
		v = readWhole(t, m)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// afterPowerCut is what is in ann's INBOX when nothing but what was synced at a moment is there.
func afterPowerCut(t *testing.T, d *disktest.Disk, at int) view {
	t.Helper()
	dir := fastDir(t)
	image := d.PowerCut(at, func(c disktest.Change) disktest.Fate {
		if c.Op == disktest.Write && strings.Contains(c.Path, "lock") {
			return disktest.Kept // a lock that names nobody is waited for
		}
		return disktest.Lost
	})
	if err := image.WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	s := openOn(t, filepath.Join(dir, "home", "data"))
	v := inboxView(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return v
}

// TestInteropSyncFailedBeforeAKill: a sync of dovecot-uidlist fails, the program is killed before it can write the list anew, and the next
// one knows nothing of it. What that shows is on disk all the same.
func TestInteropSyncFailedBeforeAKill(t *testing.T) {
	t.Parallel()
	for _, removed := range []bool{true, false} {
		t.Run(fmt.Sprint("the message was taken back ", removed), func(t *testing.T) {
			d, dir, _ := uncertain(t)
			s := openOn(t, dir)
			inboxView(t, s)
			d.SetFault(func(c disktest.Change) syscall.Errno {
				inCur := strings.Contains(c.Path, "/ann/Maildir/cur/")
				if c.Op == disktest.Sync && strings.HasSuffix(c.Path, "dovecot-uidlist") || c.Op == disktest.Remove && inCur && !removed {
					return syscall.EIO
				}
				return 0
			})
			if err := deliverText(s, text(20), Target{Person: "ann"}); !errors.Is(err, syscall.EIO) {
				t.Fatal(err)
			}
			d.SetFault(nil)
			killStore(d, s)
			s = openOn(t, dir)
			shown := inboxView(t, s)
			if n := len(shown.texts); n != map[bool]int{true: 4, false: 5}[removed] {
				t.Fatalf("%d messages are shown", n)
			}
			is := afterPowerCut(t, d, d.Now())
			if is.st.UIDNext < shown.st.UIDNext || is.st.UIDValidity != shown.st.UIDValidity {
				t.Errorf("shown was %+v, there is %+v", shown.st, is.st)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestInteropTornLineAndAPowerCut: a UIDNEXT that was shown since a line is cut off in dovecot-uidlist does not go back when that line
// makes room for the next.
func TestInteropTornLineAndAPowerCut(t *testing.T) {
	t.Parallel()
	d, dir, list := uncertain(t)
	was, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.WriteFile(list, append(was, "8 :17000"...), 0o600); err != nil {
		t.Fatal(err)
	}
	s := openOn(t, dir)
	shown := inboxView(t, s)
	if shown.st.UIDNext != 9 {
		t.Fatalf("shown is %+v", shown.st)
	}
	begin := d.Now()
	if err := deliverText(s, text(20), Target{Person: "ann"}); err != nil {
		t.Fatal(err)
	}
	for at := begin; at <= d.Now(); at++ {
		if is := afterPowerCut(t, d, at); is.st.UIDNext < shown.st.UIDNext {
			t.Fatalf("UIDNEXT %d was shown, %d is at moment %d", shown.st.UIDNext, is.st.UIDNext, at-begin)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestInteropListReplacedWithoutSync: another program puts a new dovecot-uidlist in the place of the old and does not sync its name. What
// is delivered after that is not lost with it.
func TestInteropListReplacedWithoutSync(t *testing.T) {
	t.Parallel()
	for _, running := range []bool{true, false} {
		t.Run(fmt.Sprint("while we run ", running), func(t *testing.T) {
			d, dir, list := uncertain(t)
			s := openOn(t, dir)
			inboxView(t, s)
			if !running {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			was, err := os.ReadFile(list)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.WriteFile(list+".lock.new", was, 0o600), os.Rename(list+".lock.new", list)); err != nil {
				t.Fatal(err)
			}
			if !running {
				s = openOn(t, dir)
			}
			for n := range 2 { // a message without its line would get the next UID, not this one
				if err := deliverText(s, text(20+n), Target{Person: "ann"}); err != nil {
					t.Fatal(err)
				}
			}
			if err := with(s, "INBOX", func(m *Mailbox) error { return m.Expunge([]UID{5}) }); err != nil {
				t.Fatal(err)
			}
			shown := inboxView(t, s)
			is := afterPowerCut(t, d, d.Now())
			for uid, txt := range shown.texts {
				if is.texts[uid] != txt {
					t.Errorf("UID %d was %.40q, is %.40q", uid, txt, is.texts[uid])
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
