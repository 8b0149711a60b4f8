//go:build interop

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"letterbox/store/disktest"
)

// A sickness is a way in which a disk fails.
type sickness struct {
	name  string
	errno syscall.Errno
	hits  func(disktest.Op) bool
	stays bool // it fails from one change on, not at that one only
	want  error
}

var sicknesses = []sickness{
	{"a sync fails", syscall.EIO, func(op disktest.Op) bool { return op == disktest.Sync || op == disktest.SyncDir }, false, nil},
	{"no room for one change", syscall.ENOSPC, disktest.Op.Grows, false, ErrDiskFull},
	{"no room any more", syscall.ENOSPC, disktest.Op.Grows, true, ErrDiskFull},
	{"read-only", syscall.EROFS, func(disktest.Op) bool { return true }, true, ErrReadOnlyDisk},
}

// TestInteropFaults makes the disk fail at every change that every operation makes: who asked is told, or it was done; nothing that was
// acknowledged is lost or there twice; and when the disk is well again everything works, in the same process, after a restart, and after
// a power cut that leaves nothing but what a sync was good for.
func TestInteropFaults(t *testing.T) {
	t.Parallel()
	mount := disktest.New(t)
	d := mount.NewDisk()
	furnish(t, homeOn(t, d))
	base := d.PowerCut(d.Now(), always(disktest.Kept))
	var faults atomic.Int64
	t.Run("cases", func(t *testing.T) {
		for _, c := range crashCases {
			if c.name == "tell two files of one name apart" {
				continue // which of them has the UID until they are told apart is anybody's guess
			}
			for _, s := range sicknesses {
				t.Run(c.name+"/"+s.name, func(t *testing.T) {
					t.Parallel()
					r := faultRun{t: t, c: &c, sick: s, mount: mount, base: base}
					step := 1
					if total := r.play(-1); !thorough {
						step = max(1, total/5)
					}
					for n := 0; ; n += step {
						if r.play(n) <= n {
							return
						}
						faults.Add(1)
					}
				})
			}
		}
	})
	t.Logf("%d faults", faults.Load())
}

// unkept: what is expunged is not kept where there is no room to keep it, so that there may be nothing to bring back.
func (c *crashCase) unkept() bool { return strings.Contains(c.name, "and undelete") }

type faultRun struct {
	t     *testing.T
	c     *crashCase
	sick  sickness
	mount *disktest.Mount
	base  *disktest.Image
}

// play does the operation with a fault at change n, of those that the sickness hits, and returns how many of them there were.
func (r *faultRun) play(n int) (count int) {
	r.t.Helper()
	d := r.mount.Insert(r.base)
	defer d.Eject()
	g := &stage{dir: filepath.Join(d.Path, "home", "data"), seen: newOnlookers(), moment: d.Now, step: func(string) error { return nil }}
	if err := g.prepare(r.c); err != nil {
		r.t.Fatal(err)
	}
	var first disktest.Change
	d.SetFault(func(c disktest.Change) syscall.Errno {
		if !r.sick.hits(c.Op) {
			return 0
		}
		count++
		if count-1 == n {
			first = c
		}
		if n >= 0 && (count-1 == n || count-1 > n && r.sick.stays) {
			return r.sick.errno
		}
		return 0
	})
	err := r.c.do(g.s)
	d.SetFault(nil)
	g.glance()
	if n < 0 || count <= n {
		g.s.Close()
		return count
	}
	when := fmt.Sprintf("at change %d, %s %s (%v)", n, first.Op, first.Path, err)
	fault := func(what string, errs ...error) {
		r.t.Helper()
		for _, e := range errs {
			if e != nil {
				r.t.Errorf("%s, %s: %v", when, what, e)
			}
		}
	}
	if err != nil && (r.sick.want != nil && !errors.Is(err, r.sick.want) || errors.Is(err, ErrNoMailbox) || errors.Is(err, ErrNoAccount)) {
		fault("the answer", errors.New("is of the wrong kind"))
	}
	fault("afterwards", verifyStore(r.t, g.s, r.c, g.seen, d.Now(), err == nil && !r.c.unkept(), false, true, func() {})...)
	if lerr := g.lookAround(); lerr != nil {
		fault("looking around", lerr)
	}
	if !r.sick.stays {
		fault("afterwards", leftovers(g.dir))
	}
	at := d.Now()
	lost := d.PowerCut(at, func(c disktest.Change) disktest.Fate {
		if c.Op == disktest.Write && strings.Contains(c.Path, "lock") {
			return disktest.Kept // a lock that names nobody is waited for
		}
		return disktest.Lost
	})
	fault("closing", g.s.Close())
	r.again(lost, g, at, err == nil && !r.c.unkept(), fault)
	return count
}

// again opens what a power cut leaves after the fault.
func (r *faultRun) again(lost *disktest.Image, g *stage, at int, done bool, fault func(string, ...error)) {
	r.t.Helper()
	dir := fastDir(r.t)
	defer os.RemoveAll(dir)
	if err := lost.WriteTo(dir); err != nil {
		r.t.Fatal(err)
	}
	_, errs := verify(r.t, filepath.Join(dir, "home", "data"), r.c, g.seen, at, done, true)
	fault("after a power cut", errs...)
	_, errs = verify(r.t, g.dir, r.c, g.seen, at, done, false)
	fault("after a restart", errs...)
}

// leftovers says what unfinished things lie about in a data directory.
func leftovers(dir string) error {
	var errs []error
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		inTmp := filepath.Base(filepath.Dir(path)) == "tmp" && !strings.HasPrefix(d.Name(), "letterbox-lock-")
		if err == nil && !d.IsDir() && (inTmp || strings.Contains(d.Name(), ".tmp-") || strings.HasPrefix(d.Name(), "in-")) {
			errs = append(errs, fmt.Errorf("%s was left behind", path))
		}
		return err
	})
	return errors.Join(append(errs, err)...)
}
