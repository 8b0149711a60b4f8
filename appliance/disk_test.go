//go:build interop

package appliance_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"letterbox/appliance/config"
	"letterbox/store/maildir"
)

// smallDisk is a file system of its own, of a few megabytes.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	program(t, "", "mount", "-t", "tmpfs", "-o", "size=6m,mode=0700", "letterbox-test", dir)
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmounting %s: %v", dir, err)
			syscall.Unmount(dir, syscall.MNT_DETACH)
		}
	})
	return dir
}

// useWholeDisk leaves nothing of the disk free.
func (b *box) useWholeDisk(t *testing.T) {
	t.Helper()
	if err := b.Update(t.Context(), func(c *config.Config) error { c.Limits.FreeSpace.None = true; return nil }); err != nil {
		t.Fatal(err)
	}
}

// marked is a letter that is told from all others, of about size octets.
func marked(mark string, size int) string {
	return fmt.Sprintf("From: ann@%s\r\nTo: ben@%[1]s\r\nSubject: mark-%s\r\n\r\n%s", domain, mark, strings.Repeat("A line to fill the disk with.\r\n", size/31))
}

var markOf = regexp.MustCompile(`Subject: mark-(\S+)`)

// kept maps every marked letter of ben's to where it is: mailbox, UIDVALIDITY, UID, size.
func (b *box) kept(t *testing.T) map[string]string {
	t.Helper()
	c := b.imap(t, "ben")
	defer c.Close()
	all := make(map[string]string)
	for _, mailbox := range []string{"INBOX", "Archive", "Sent"} {
		selected, err := c.Select(mailbox, nil).Wait()
		if err != nil {
			t.Fatal(err)
		}
		if selected.NumMessages == 0 {
			continue
		}
		section := &imap.FetchItemBodySection{Peek: true}
		got, err := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{UID: true, RFC822Size: true, Envelope: true, BodyStructure: &imap.FetchItemBodyStructure{}, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range got {
			body := m.FindBodySection(section)
			if mark := markOf.FindSubmatch(body); mark != nil {
				all[mailbox+" "+string(mark[1])] = fmt.Sprint(selected.UIDValidity, m.UID, m.RFC822Size)
			}
			if int64(len(body)) != m.RFC822Size {
				t.Errorf("%s %d has %d octets, told as %d", mailbox, m.UID, len(body), m.RFC822Size)
			}
		}
	}
	return all
}

// wantKept checks that exactly the acknowledged letters are there.
func (b *box) wantKept(t *testing.T, acknowledged []string) map[string]string {
	t.Helper()
	got := b.kept(t)
	want := slices.Sorted(slices.Values(acknowledged))
	if have := slices.Sorted(maps.Keys(got)); !slices.Equal(have, want) {
		t.Errorf("there are\n%q\nacknowledged were\n%q", have, want)
	}
	return got
}

// wantNoLeftovers checks that nothing unfinished lies about: no spooled message, nothing in tmp.
func (b *box) wantNoLeftovers(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(b.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && (filepath.Base(filepath.Dir(path)) == "tmp" && !strings.HasPrefix(d.Name(), "letterbox-lock-") || strings.HasPrefix(d.Name(), "in-") || strings.Contains(d.Name(), ".tmp")) {
			t.Errorf("%s was left behind", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// ballast fills what is left of the disk, to the last octet.
func ballast(t *testing.T, dir string) (path string) {
	t.Helper()
	path = filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return path
}

func wantNo(t *testing.T, what string, err error, codes ...imap.ResponseCode) {
	t.Helper()
	var answer *imap.Error
	if !errors.As(err, &answer) || answer.Type != imap.StatusResponseTypeNo || !slices.Contains(codes, answer.Code) {
		t.Errorf("%s: %v, want NO %v", what, err, codes)
	}
}

// TestInteropDiskFull fills the disk under a running household. Everybody is told, nothing that was acknowledged is lost, nothing
// unfinished is left, and with room again everything goes on, on the same connections.
func TestInteropDiskFull(t *testing.T) {
	t.Parallel()
	b := startIn(t, smallDisk(t))
	b.useWholeDisk(t)
	f := &fullDisk{box: b, ben: b.imap(t, "ben")}
	f.fill(t)
	filler := ballast(t, b.dir)
	f.refuses(t)
	f.keepsConfiguration(t)
	b.wantNoLeftovers(t)
	b.wantKept(t, f.acknowledged) // a new connection, too, reads everything
	f.makesRoom(t)

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	f.goesOn(t)
	kept := b.wantKept(t, f.acknowledged)
	b.stop()
	again := run(t, b.dir)
	if after := again.wantKept(t, f.acknowledged); !maps.Equal(kept, after) {
		t.Errorf("before the restart\n%v\nafter it\n%v", kept, after)
	}
	again.wantNoLeftovers(t)
}

// largeLetter is the size of the letters that fill the disk, in octets.
const largeLetter = 200 << 10

// noRoom are the response codes that may tell a mail program of a full disk.
var noRoom = []imap.ResponseCode{imap.ResponseCodeUnavailable, imap.ResponseCodeOverQuota}

// fullDisk is a household whose disk is filled, with a program of ben's that stays connected.
type fullDisk struct {
	*box
	ben          *imapclient.Client
	acknowledged []string // "folder mark" of every letter that was taken
}

// fill sends large letters, by turns from outside and from ben's own program, until there is no room.
func (f *fullDisk) fill(t *testing.T) {
	t.Helper()
	for n := 0; ; n++ {
		mark := fmt.Sprint("large-", n)
		if n%2 == 0 {
			if err := f.post25(t, marked(mark, largeLetter)); err != nil {
				if smtpCode(err) != 452 {
					t.Errorf("SMTP on a full disk: %v, want 452", err)
				}
				break
			}
			f.acknowledged = append(f.acknowledged, "INBOX "+mark)
			continue
		}
		if err := appendTo(f.ben, "Archive", marked(mark, largeLetter)); err != nil {
			wantNo(t, "APPEND on a full disk", err, noRoom...)
			break
		}
		f.acknowledged = append(f.acknowledged, "Archive "+mark)
	}
	if len(f.acknowledged) < 5 {
		t.Fatalf("only %v found room", f.acknowledged)
	}
	f.wantNoLeftovers(t)
	f.wantKept(t, f.acknowledged) // and every folder was opened once
}

// refuses looks at what is said of letters of all sizes, and of a copy.
func (f *fullDisk) refuses(t *testing.T) {
	t.Helper()
	for _, size := range []int{100, 70 << 10, 300 << 10} {
		if err := f.post25(t, marked("refused", size)); smtpCode(err) != 452 {
			t.Errorf("SMTP of %d octets without any room: %v, want 452", size, err)
		}
		wantNo(t, fmt.Sprintf("APPEND of %d octets without any room", size), appendTo(f.ben, "Archive", marked("refused", size)), noRoom...)
	}
	if _, err := f.ben.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ben.Copy(imap.SeqSetNum(2), "Sent").Wait(); err == nil { // a link may find room
		f.acknowledged = append(f.acknowledged, "Sent large-0")
	} else {
		wantNo(t, "COPY without any room", err, noRoom...)
	}
}

// keepsConfiguration: a change that cannot be saved changes nothing.
func (f *fullDisk) keepsConfiguration(t *testing.T) {
	t.Helper()
	control := f.Client()
	defer control.Close()
	before, _ := f.Config()
	if _, err := control.AddDevice(t.Context(), "ben", "phone"); err == nil {
		t.Error("a change of the configuration was accepted without any room")
	}
	if err := f.Reload(t.Context()); err != nil {
		t.Errorf("the saved configuration is damaged: %v", err)
	}
	if now, _ := f.Config(); len(now.People[1].Devices) != len(before.People[1].Devices) {
		t.Error("the configuration changed")
	}
}

// makesRoom takes the way out that people have: flag, delete, expunge.
func (f *fullDisk) makesRoom(t *testing.T) {
	t.Helper()
	deleted := imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}, Silent: true}
	if err := f.ben.Store(imap.SeqSetNum(2), &deleted, nil).Close(); err != nil {
		t.Errorf("STORE without any room: %v", err)
	}
	if err := f.ben.Expunge().Close(); err != nil {
		t.Errorf("EXPUNGE without any room: %v", err)
	}
	if err := f.post25(t, marked("in-its-place", largeLetter/2)); err != nil {
		t.Errorf("SMTP after the expunge: %v", err)
	}
	f.acknowledged = slices.DeleteFunc(f.acknowledged, func(s string) bool { return s == "INBOX large-0" })
	f.acknowledged = append(f.acknowledged, "INBOX in-its-place")
	f.wantKept(t, f.acknowledged)
}

// goesOn: with room again everything is taken, on the same connections.
func (f *fullDisk) goesOn(t *testing.T) {
	t.Helper()
	if err := f.post25(t, marked("later", 1000)); err != nil {
		t.Errorf("SMTP with room again: %v", err)
	}
	if err := appendTo(f.ben, "Archive", marked("later", 1000)); err != nil {
		t.Errorf("APPEND with room again: %v", err)
	}
	if _, err := f.ben.Copy(imap.SeqSetNum(2), "Sent").Wait(); err != nil {
		t.Errorf("COPY with room again: %v", err)
	}
	f.acknowledged = append(f.acknowledged, "INBOX later", "Archive later", "Sent large-2")
}

// TestInteropFloor: mail leaves a twentieth of the disk free for everything else, and everything but new mail goes on.
func TestInteropFloor(t *testing.T) {
	t.Parallel()
	b := startIn(t, smallDisk(t))
	f := &fullDisk{box: b, ben: b.imap(t, "ben")}
	f.fill(t)
	f.ben = b.imap(t, "ben") // go-imap's client hangs up where a message is refused before it is sent
	free, size, err := maildir.Space(b.dir)
	if err != nil || free < size/20-16<<10 || free > size/20+2*largeLetter { // caches may take a little of it
		t.Errorf("%d of %d octets are free, %v", free, size, err)
	}
	if err := f.post25(t, marked("refused", largeLetter)); smtpCode(err) != 452 {
		t.Errorf("SMTP below the floor: %v, want 452", err)
	}
	f.wantNoLiteral(t, fmt.Sprintf("APPEND Archive {%d}", 2*largeLetter), "NO [UNAVAILABLE] the disk is full")
	f.keeps(t)
	if _, err := f.ben.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ben.Copy(imap.SeqSetNum(3), "Sent").Wait(); err != nil {
		t.Errorf("COPY below the floor: %v", err)
	}
	f.acknowledged = append(f.acknowledged, "Sent large-2")
	if _, err := f.ben.Move(imap.SeqSetNum(4), "Sent").Wait(); err != nil {
		t.Errorf("MOVE below the floor: %v", err)
	}
	f.acknowledged = append(slices.DeleteFunc(f.acknowledged, func(s string) bool { return s == "INBOX large-4" }), "Sent large-4")
	f.makesRoom(t)
	b.wantNoLeftovers(t)
}

// keeps: the configuration is no mail.
func (f *fullDisk) keeps(t *testing.T) {
	t.Helper()
	control := f.Client()
	defer control.Close()
	if _, err := control.AddDevice(t.Context(), "ben", "phone"); err != nil {
		t.Errorf("a change of the configuration below the floor: %v", err)
	}
}

// dyingDisk is a file system that turns read-only when die is called, as ext4 does on a flash card that fails; reborn unmounts, repairs
// and mounts it again.
func dyingDisk(t *testing.T) (dir string, die, reborn func()) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "card")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 16<<20); err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	mount := func() { program(t, "", "mount", "-o", "loop,errors=remount-ro", image, dir) }
	unmount := func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmounting %s: %v", dir, err)
			syscall.Unmount(dir, syscall.MNT_DETACH)
		}
	}
	program(t, "", "mkfs.ext4", "-q", image)
	mount()
	t.Cleanup(unmount)
	die = func() {
		device := strings.TrimSpace(program(t, "", "findmnt", "-no", "SOURCE", dir))
		trigger := filepath.Join("/sys/fs/ext4", filepath.Base(device), "trigger_fs_error")
		if err := os.WriteFile(trigger, []byte("1"), 0); err != nil {
			t.Fatal(err)
		}
	}
	reborn = func() {
		unmount()
		exec.Command("e2fsck", "-fy", image).Run() // 1: it has repaired something
		mount()
	}
	return dir, die, reborn
}

// TestInteropReadOnlyDisk: a disk that turns read-only, as flash cards do when they die, takes no mail and says so; what is there can
// be read on, and is there after the repair.
func TestInteropReadOnlyDisk(t *testing.T) {
	t.Parallel()
	dir, die, reborn := dyingDisk(t)
	b := startIn(t, dir)
	for _, mark := range []string{"one", "two"} {
		if err := b.post25(t, marked(mark, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	ben := b.imap(t, "ben")
	if err := appendTo(ben, "Archive", marked("filed", 1000)); err != nil {
		t.Fatal(err)
	}
	acknowledged := []string{"INBOX one", "INBOX two", "Archive filed"}
	kept := b.wantKept(t, acknowledged)
	if _, err := ben.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}

	die()
	b.diskDied = true
	for _, size := range []int{100, 300 << 10} {
		if err := b.post25(t, marked("refused", size)); smtpCode(err) != 451 {
			t.Errorf("SMTP of %d octets: %v, want 451", size, err)
		}
		wantNo(t, fmt.Sprintf("APPEND of %d octets", size), appendTo(ben, "Archive", marked("refused", size)), imap.ResponseCodeUnavailable)
	}
	_, err := ben.Copy(imap.SeqSetNum(2), "Sent").Wait()
	wantNo(t, "COPY", err, imap.ResponseCodeUnavailable)
	_, err = ben.Move(imap.SeqSetNum(2), "Sent").Wait()
	wantNo(t, "MOVE", err, imap.ResponseCodeUnavailable)
	flagged := imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagFlagged}}
	wantNo(t, "STORE", ben.Store(imap.SeqSetNum(2), &flagged, nil).Close(), imap.ResponseCodeUnavailable)
	wantNo(t, "CREATE", ben.Create("Holidays", nil).Wait(), imap.ResponseCodeUnavailable)
	if err := b.Update(t.Context(), func(c *config.Config) error { c.Household.Name = "Somebody else"; return nil }); err == nil {
		t.Error("a change of the configuration was accepted")
	}
	if now := b.kept(t); !maps.Equal(kept, now) {
		t.Errorf("before\n%v\nread-only\n%v", kept, now)
	}
	b.stop()

	reborn()
	again := run(t, dir)
	if after := again.wantKept(t, acknowledged); !maps.Equal(kept, after) {
		t.Errorf("before\n%v\nafter the repair\n%v", kept, after)
	}
	again.wantNoLeftovers(t)
	if err := again.post25(t, marked("later", 1000)); err != nil {
		t.Errorf("SMTP after the repair: %v", err)
	}
	again.wantKept(t, append(acknowledged, "INBOX later"))
}

// TestInteropStartOnFullDisk: after a restart, too, people can read their mail and make room.
func TestInteropStartOnFullDisk(t *testing.T) {
	t.Parallel()
	b := startIn(t, smallDisk(t))
	b.useWholeDisk(t)
	if err := b.post25(t, marked("early", 100<<10)); err != nil {
		t.Fatal(err)
	}
	b.wantKept(t, []string{"INBOX early"})
	b.stop()
	ballast(t, b.dir)
	b = run(t, b.dir)
	b.wantKept(t, []string{"INBOX early"})
	ben := b.imap(t, "ben")
	if _, err := ben.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	deleted := imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}, Silent: true}
	if err := ben.Store(imap.SeqSetNum(2), &deleted, nil).Close(); err != nil {
		t.Errorf("STORE: %v", err)
	}
	if err := ben.Expunge().Close(); err != nil {
		t.Errorf("EXPUNGE: %v", err)
	}
	if err := b.post25(t, marked("late", 10<<10)); err != nil {
		t.Errorf("SMTP after the expunge: %v", err)
	}
	b.wantKept(t, []string{"INBOX late"})
	b.wantNoLeftovers(t)
}
