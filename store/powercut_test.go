//go:build interop

package store

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"letterbox/store/atomicfile"
	"letterbox/store/disktest"
)

// A powerCut is what may be on a disk after the power went at a moment.
type powerCut struct {
	image *disktest.Image
	at    int
	how   string
}

// cuts looks at power cuts, the latest first: of two with the same outcome only the later one, since more was promised by then.
type cuts struct {
	disk   *disktest.Disk
	start  int // what was changed before is not what is looked at
	seen   map[[32]byte]bool
	verify func(powerCut)
}

func (c *cuts) add(at int, how string, fate func(disktest.Change) disktest.Fate) {
	image := c.disk.PowerCut(at, func(ch disktest.Change) disktest.Fate {
		if ch.Op == disktest.Write && strings.Contains(ch.Path, "lock") {
			return disktest.Kept // a lock that names nobody is waited for
		}
		return fate(ch)
	})
	if sum := image.Sum(); !c.seen[sum] {
		c.seen[sum] = true
		c.verify(powerCut{image, at, how})
	}
}

func always(f disktest.Fate) func(disktest.Change) disktest.Fate {
	return func(disktest.Change) disktest.Fate { return f }
}

// only gives one change, counted among those that are not safe, another fate than all others.
func only(n int, it, others disktest.Fate) func(disktest.Change) disktest.Fate {
	return func(disktest.Change) disktest.Fate {
		n--
		if n == -1 {
			return it
		}
		return others
	}
}

func anyhow(r *rand.Rand) func(disktest.Change) disktest.Fate {
	return func(c disktest.Change) disktest.Fate {
		if c.Op == disktest.Write && r.IntN(2) == 0 {
			return []disktest.Fate{disktest.Torn, disktest.Zeroed}[r.IntN(2)]
		}
		return []disktest.Fate{disktest.Lost, disktest.Kept}[r.IntN(2)]
	}
}

// at adds power cuts at one moment: nothing that was not synced is there, or all of it, or any of it; where it is thorough also every
// change alone, and all without it, but for those of caches: any of them may be missing anyhow.
func (c *cuts) at(at int, r *rand.Rand, thorough bool) {
	c.add(at, "what was not synced is lost", always(disktest.Lost))
	c.add(at, "a part of what was not synced is lost", anyhow(r))
	if !thorough {
		return
	}
	c.add(at, "nothing is lost", always(disktest.Kept))
	for range 4 {
		c.add(at, "a part of what was not synced is lost", anyhow(r))
	}
	for i, ch := range c.disk.Unsafe(at) {
		if ch.At < c.start || isCache(filepath.Base(ch.Path)) {
			continue
		}
		c.add(at, fmt.Sprintf("of what was not synced there is only %+v", ch), only(i, disktest.Kept, disktest.Lost))
		c.add(at, fmt.Sprintf("of what was not synced there is all but %+v", ch), only(i, disktest.Lost, disktest.Kept))
	}
}

// TestInteropPowerCut cuts the power at every change that every operation makes on the disk, and looks for all that was promised in what
// may be left: everything that was synced, with any part of what was not.
func TestInteropPowerCut(t *testing.T) {
	t.Parallel()
	mount := disktest.New(t)
	var images atomic.Int64
	t.Run("cases", func(t *testing.T) {
		for _, c := range crashCases {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				h := fnv.New64()
				h.Write([]byte(c.name))
				r := powerRun{t: t, c: &c, mount: mount, images: &images, random: rand.New(rand.NewPCG(1, h.Sum64()))}
				r.play()
			})
		}
	})
	t.Logf("%d images", images.Load())
}

type powerRun struct {
	t      *testing.T
	c      *crashCase
	mount  *disktest.Mount
	images *atomic.Int64
	random *rand.Rand
}

// homeOn makes the place for the data directory on a disk, as it is there before the program comes.
func homeOn(t testing.TB, d *disktest.Disk) (data string) {
	t.Helper()
	home := filepath.Join(d.Path, "home")
	if err := errors.Join(os.Mkdir(home, 0o700), atomicfile.SyncDir(d.Path)); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(home, "data")
}

func (r *powerRun) play() {
	d := r.mount.NewDisk()
	g := &stage{dir: homeOn(r.t, d), seen: newOnlookers(), moment: d.Now, step: func(string) error { return nil }}
	furnish(r.t, g.dir)
	if err := g.prepare(r.c); err != nil {
		r.t.Fatal(err)
	}
	start := d.Now()
	if err := r.c.do(g.s); err != nil {
		r.t.Fatal(err)
	}
	done := d.Now()
	g.glance()
	if err := g.s.Close(); err != nil {
		r.t.Fatal(err)
	}
	end := d.Now()
	cs := cuts{disk: d, start: start, seen: map[[32]byte]bool{}, verify: func(cut powerCut) {
		last := fmt.Sprintf("%+v", d.History(cut.at-1, cut.at)[0])
		r.verify(cut, g.seen, cut.at >= done, fmt.Sprintf("at moment %d of %d to %d to %d, after %s: %s", cut.at, start, done, end, last, cut.how))
	}}
	for at := end; at >= start; at-- {
		cs.at(at, r.random, thorough)
	}
	d.Eject()
}

// verify looks at what a power cut has left: one time in four on a disk where files have the inode numbers that the caches know, else
// where it is faster.
func (r *powerRun) verify(cut powerCut, seen *onlookers, done bool, when string) {
	r.t.Helper()
	r.images.Add(1)
	dir := ""
	if r.random.IntN(4) == 0 {
		d := r.mount.Insert(cut.image)
		defer d.Eject()
		dir = d.Path
	} else {
		dir = fastDir(r.t)
		defer os.RemoveAll(dir)
		if err := cut.image.WriteTo(dir); err != nil {
			r.t.Fatal(err)
		}
	}
	_, errs := verify(r.t, filepath.Join(dir, "home", "data"), r.c, seen, cut.at, done, true)
	for _, err := range errs {
		r.t.Errorf("%s: %v", when, err)
	}
}
