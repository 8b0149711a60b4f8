package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// fastDir is a directory in memory where there is one: these tests sync
// thousands of times, and what they ask is not whether the disk does.
func fastDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "letterbox-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func copyTree(t testing.TB, from string) string {
	t.Helper()
	to := fastDir(t)
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		dst := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(dst, 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(dst, b, 0o600); err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		return os.Chtimes(dst, fi.ModTime(), fi.ModTime())
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// furnish makes the household of the crash cases in dir.
func furnish(t testing.TB, dir string) {
	t.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(s.CreateAccount("ann"), s.CreateAccount("ben"))
	for _, person := range []string{"ann", "ben"} { // fewer folders, more crashes a second
		a, aerr := s.Account(person)
		err = errors.Join(err, aerr)
		for _, name := range []string{"Drafts", "Sent", "Junk"} {
			err = errors.Join(err, a.Delete(name))
		}
	}
	err = errors.Join(err, withAccount(s, func(a *Account) error {
		return errors.Join(a.Create("Lists", ""), a.Create("Lists/go", ""))
	}))
	for n := range 4 {
		err = errors.Join(err, deliverText(s, text(n), Target{Person: "ann"}))
	}
	for letter, box := range map[int]string{12: "Lists", 13: "Lists/go"} {
		err = errors.Join(err, deliverText(s, text(letter), Target{Person: "ann", Mailbox: box}))
	}
	err = errors.Join(err, deliverText(s, text(10), Target{Person: "ann", Mailbox: "Archive"}), deliverText(s, text(11), Target{Person: "ann", Mailbox: "Archive"}),
		deliverText(s, text(30), Target{Person: "ben"}), setFlags(s, "INBOX", []UID{1}, SetFlags, "red", `\Flagged`), s.Close())
	if err != nil {
		t.Fatal(err)
	}
}

// A stage is a household that a case is played in.
type stage struct {
	dir     string
	s       *Store
	clients []*Mailbox // open in mail programs
	seen    *onlookers
	step    func(name string) error
	moment  func() int // now, for seen
}

// open opens the store. Whatever the mail programs are shown, seen knows.
func (g *stage) open() (err error) {
	g.s, err = Open(g.dir, Options{step: func(name string) error {
		g.glance()
		return g.step(name)
	}})
	return err
}

func (g *stage) glance() {
	for _, m := range g.clients {
		g.seen.glance(g.moment(), m)
	}
}

// lookAround shows everything to a mail program.
func (g *stage) lookAround() error {
	return visit(g.s, func(m *Mailbox) error {
		g.seen.glance(g.moment(), m)
		return nil
	})
}

// lookAtSome shows ann's mailboxes to a mail program, but not those that hardly any
// case has to do with: they recover as the others do.
func (g *stage) lookAtSome() error {
	return withAccount(g.s, func(a *Account) error {
		list, err := a.List()
		for _, info := range list {
			if info.Selectable && info.Name != "Trash" && !strings.HasPrefix(info.Name, "Lists") {
				err = errors.Join(err, with(g.s, info.Name, func(m *Mailbox) error {
					g.seen.glance(g.moment(), m)
					return nil
				}))
			}
		}
		return err
	})
}

// prepare plays up to the moment before the operation.
func (g *stage) prepare(c *crashCase) error {
	if err := g.open(); err != nil {
		return err
	}
	if err := errors.Join(g.lookAround(), g.s.Close()); err != nil {
		return err
	}
	if c.before != nil {
		if err := c.before(filepath.Join(g.dir, "mail", "ann", "Maildir")); err != nil {
			return err
		}
		return g.open()
	}
	if err := g.open(); err != nil {
		return err
	}
	return withAccount(g.s, func(a *Account) error {
		for _, name := range []string{"INBOX", "Archive", "Lists"} {
			m, err := a.Open(name)
			if err != nil {
				return err
			}
			g.clients = append(g.clients, m)
		}
		return nil
	})
}

// A frame is what was on a disk before a step, and after the one before.
type frame struct {
	dir    string
	before string   // the step
	at     int      // the last moment it was so
	bare   [32]byte // tells it apart from others without their caches
}

// A film takes a frame before every step, unless nothing has changed since the last one.
type film struct {
	t    testing.TB
	dir  string
	skip func(step string) bool

	mu     sync.Mutex // guards what follows
	frames []frame
	last   [32]byte
	moment int // counts the steps
}

// take takes a frame.
func (f *film) take(step string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.moment++
	if f.skip != nil && f.skip(step) {
		return
	}
	sum, bare := sumTree(f.t, f.dir)
	if n := len(f.frames); n > 0 && sum == f.last {
		f.frames[n-1].before, f.frames[n-1].at = step, f.moment
		return
	}
	f.last = sum
	f.frames = append(f.frames, frame{copyTree(f.t, f.dir), step, f.moment, bare})
}

// now is the moment before that of the next frame.
func (f *film) now() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.moment
}

// sumTree tells trees apart, by names and content of all files, and of all but caches. What is in an account that is being made is left
// out: it goes at the next start, whatever it is.
func sumTree(t testing.TB, dir string) (all, bare [32]byte) {
	t.Helper()
	h, without := sha256.New(), sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := io.Writer(h)
		if !isCache(d.Name()) {
			to = io.MultiWriter(h, without)
		}
		fmt.Fprintf(to, "%q\n", strings.TrimPrefix(path, dir))
		if d.IsDir() && !thorough && strings.HasPrefix(d.Name(), buildingPrefix) {
			return fs.SkipDir
		}
		if d.IsDir() {
			return nil
		}
		b, err := os.ReadFile(path)
		fmt.Fprintf(to, "%d\n", len(b))
		to.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return [32]byte(h.Sum(nil)), [32]byte(without.Sum(nil))
}

// TestCrash takes what is on the disk between every two steps of every operation, as if the program had been killed there, and opens
// it, with the caches as they are and without them; and what is on the disk between the steps of that recovery. What a power cut
// leaves is less: see TestInteropPowerCut.
func TestCrash(t *testing.T) {
	t.Parallel()
	base := fastDir(t)
	furnish(t, base)
	var images atomic.Int64
	var cut sync.Map
	t.Run("cases", func(t *testing.T) {
		for _, c := range crashCases {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				r := crashRun{t: t, c: &c, images: &images, cut: &cut}
				r.play(base)
			})
		}
	})
	t.Logf("%d images", images.Load())
}

// A crashRun is what TestCrash does with one case.
type crashRun struct {
	t      *testing.T
	c      *crashCase
	images *atomic.Int64
	cut    *sync.Map // the steps of recoveries that were cut off, in any case
}

func (r *crashRun) play(base string) {
	f := &film{t: r.t, dir: copyTree(r.t, base), skip: func(string) bool { return true }}
	g := &stage{dir: f.dir, seen: newOnlookers(), moment: f.now, step: func(name string) error { f.take(name); return nil }}
	if err := g.prepare(r.c); err != nil {
		r.t.Fatal(err)
	}
	f.skip = nil
	if err := r.c.do(g.s); err != nil {
		r.t.Fatal(err)
	}
	f.take("the end")
	done := len(f.frames) - 1
	f.skip = func(string) bool { return true }
	if err := g.s.Close(); err != nil {
		r.t.Error(err)
	}
	if done < 1 {
		r.t.Error("no step changes anything")
	}
	var last [32]byte
	for i, fr := range f.frames {
		when := fmt.Sprintf("at moment %d, before %q", fr.at, fr.before)
		steps := r.verify(copyTree(r.t, fr.dir), g.seen, fr.at, i == done, when+", with caches")
		if _, before := r.cut.LoadOrStore(kindOf(steps), true); !before {
			r.interrupt(copyTree(r.t, fr.dir), g.seen, fr.at, i == done, when)
		}
		if fr.bare != last || i == done {
			last = fr.bare
			removeCaches(r.t, fr.dir)
			r.verify(fr.dir, g.seen, fr.at, i == done, when+", without caches")
		}
	}
}

// kindOf tells recoveries apart: by their steps, in order, where it is thorough, else by which steps there are. Of many folders that are
// opened for the first time one is as good as the next.
func kindOf(steps string) string {
	if thorough {
		return steps
	}
	kinds := strings.Split(steps, "\n")
	slices.Sort(kinds)
	return strings.Join(slices.Compact(kinds), "\n")
}

// interrupt recovers from a crash, and crashes between the steps of that.
func (r *crashRun) interrupt(image string, seen *onlookers, at int, done bool, when string) {
	r.t.Helper()
	f := &film{t: r.t, dir: image, skip: func(step string) bool {
		return strings.HasPrefix(step, "lock") || strings.Contains(step, "sync")
	}}
	// What this recovery shows before it is cut off counts as well.
	g := &stage{dir: image, seen: seen.until(at), moment: f.now, step: func(name string) error { f.take(name); return nil }}
	err := g.open()
	if err == nil {
		err = errors.Join(g.lookAtSome(), g.s.Close())
	}
	if err != nil {
		r.t.Errorf("%s: %v", when, err)
		return
	}
	f.take("the end")
	for _, fr := range f.frames {
		r.verify(fr.dir, g.seen, fr.at, done, fmt.Sprintf("%s, and again in the recovery before %q", when, fr.before))
	}
}

func isCache(name string) bool { return strings.HasPrefix(name, "letterbox.") }

func removeCaches(t testing.TB, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && isCache(d.Name()) {
			return os.Remove(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// verify opens a store after a crash and looks for everything that was promised.
// It returns the steps that the recovery took.
func (r *crashRun) verify(dir string, seen *onlookers, at int, done bool, when string) (steps string) {
	r.t.Helper()
	r.images.Add(1)
	steps, errs := verify(r.t, dir, r.c, seen, at, done, false)
	for _, err := range errs {
		r.t.Errorf("%s: %v", when, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		r.t.Error(err)
	}
	return steps
}

// verify opens the store in dir and returns what is wrong with it after a crash at a moment. cut: that was a power cut.
// It returns the steps that the recovery took, too.
func verify(t testing.TB, dir string, c *crashCase, seen *onlookers, at int, done, cut bool) (steps string, errs []error) {
	t.Helper()
	recovered := false
	s, err := Open(dir, Options{step: func(name string) error {
		if !recovered {
			steps += name + "\n"
		}
		return nil
	}})
	if err != nil {
		return steps, []error{err}
	}
	defer s.Close()
	errs = verifyStore(t, s, c, seen, at, done, cut, false, func() { recovered = true })
	if left, err := filepath.Glob(filepath.Join(dir, "spool", "in-*")); err != nil || len(left) > 0 {
		errs = append(errs, fmt.Errorf("the spool holds %v, %v", left, err))
	}
	return steps, errs
}

// verifyStore is verify of an open store; it calls looked when every mailbox has been opened.
func verifyStore(t testing.TB, s *Store, c *crashCase, seen *onlookers, at int, done, cut, sick bool, looked func()) (errs []error) {
	t.Helper()
	contradictions := func(m *Mailbox) {
		if err := seen.contradictions(t, at, m); err != nil {
			errs = append(errs, fmt.Errorf("%s of %s: %w", m.Name(), m.a.person, err))
		}
	}
	found := aftermath{boxes: map[string]view{}, cut: cut && !done, sick: sick}
	err := visit(s, func(m *Mailbox) error {
		contradictions(m)
		found.boxes[nameFor(m)] = readWhole(t, m)
		return nil
	})
	looked()
	if err != nil {
		return append(errs, err)
	}
	if err := c.check(done, found); err != nil {
		errs = append(errs, err)
	}
	// And life goes on.
	for _, box := range []string{"INBOX", "Trash"} {
		if err := deliverText(s, text(99), Target{Person: "ann", Mailbox: box}); err != nil {
			return append(errs, fmt.Errorf("the next delivery: %w", err))
		}
		err := with(s, box, func(m *Mailbox) error {
			contradictions(m)
			for uid, txt := range readWhole(t, m).texts {
				if txt == text(99) && uid >= found.boxes[box].st.UIDNext {
					return nil
				}
			}
			return fmt.Errorf("the next delivery is not there, with a UID from %d on", found.boxes[box].st.UIDNext)
		})
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}
