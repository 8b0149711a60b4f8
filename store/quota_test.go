package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"letterbox/store/index"
)

// sized is a letter of this many octets.
func sized(n int) string {
	head := text(7)
	return head + strings.Repeat("x", n-len(head)-2) + "\r\n"
}

func tryDeliver(t testing.TB, s *Store, letter string, to ...Target) error {
	t.Helper()
	return s.Deliver(context.Background(), incoming(t, s, letter), to)
}

func wantOver(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, ErrOverQuota) {
		t.Errorf("%s: %v, not %v", what, err, ErrOverQuota)
	}
}

func wantLack(t *testing.T, a *Account, messages, octets int64, want Lack) {
	t.Helper()
	if got, err := a.Lack(t.Context(), messages, octets); err != nil || got != want {
		t.Errorf("for %d messages of %d octets %+v is lacking, %v, not %+v", messages, octets, got, err, want)
	}
}

// noTmp checks that nothing unfinished lies about.
func noTmp(t *testing.T, dir string) {
	t.Helper()
	for _, pattern := range []string{"Maildir/tmp", "Maildir/.*/tmp"} {
		tmps, err := filepath.Glob(filepath.Join(dir, "mail", "*", filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		for _, tmp := range tmps {
			if left := unfinished(t, filepath.Dir(tmp)); len(left) > 0 {
				t.Errorf("%s holds %v", tmp, left)
			}
		}
	}
}

// TestQuota: what takes room is refused when there is none, whole; everything else goes on.
func TestQuota(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	s := open(t, dir)
	s.SetQuotas(map[string]Quota{"ann": {Bytes: 10_000}})
	ann := Target{Person: "ann"}
	for range 3 {
		if err := tryDeliver(t, s, sized(3000), ann); err != nil {
			t.Fatal(err)
		}
	}
	a := account(t, s)
	wantOver(t, "one octet too many", tryDeliver(t, s, sized(1001), ann))
	wantOver(t, "with its header", tryDeliver(t, s, sized(1000), Target{Person: "ann", Header: []byte("X: y\r\n")}))
	wantOver(t, "twice for one", tryDeliver(t, s, sized(1001), ann, ann))
	wantOver(t, "asked before", a.CheckRoom(1, 1001))
	if err := a.CheckRoom(1, 1000); err != nil {
		t.Errorf("what fits: %v", err)
	}
	wantLack(t, a, 1, 1000, Lack{})
	wantLack(t, a, 1000, 3500, Lack{Bytes: 2500})
	s.SetQuotas(map[string]Quota{"ann": {Bytes: 20_000, Messages: 5}})
	wantLack(t, a, 2, 1000, Lack{})
	wantLack(t, a, 3, 1000, Lack{Messages: 1})
	wantLack(t, a, 1<<40, 1<<52, Lack{Messages: 1<<40 - 2, Bytes: 1<<52 - 11_000})
	s.SetQuotas(map[string]Quota{"ann": {Bytes: 10_000}})
	if u := a.Usage(); u.Messages != 3 || u.Bytes != 9000 {
		t.Errorf("ann holds %+v", u)
	}

	in, arch := mailbox(t, s, "INBOX"), mailbox(t, s, "Archive")
	_, err := in.Append(t.Context(), []AppendMessage{{In: incoming(t, s, sized(600))}, {In: incoming(t, s, sized(600))}})
	wantOver(t, "two messages of which one fits", err)
	_, err = in.Copy([]UID{1}, arch)
	wantOver(t, "a copy", err)
	if in.Status().Messages != 3 || arch.Status().Messages != 0 {
		t.Error("something of what was refused is there")
	}
	if cs, err := in.Move([]UID{1, 2}, arch); err != nil || len(cs) != 2 {
		t.Errorf("moving needs no room: %v, %v", cs, err)
	}
	if _, _, err := in.StoreFlags([]UID{3}, AddFlags, Flagged, 0); err != nil {
		t.Error(err)
	}
	if content(t, in, 3) != sized(3000) {
		t.Error("the message is another one")
	}
	s.SetQuotas(map[string]Quota{"ann": {Bytes: 5000}})
	wantOver(t, "far over it", tryDeliver(t, s, sized(200), ann))
	if err := tryDeliver(t, s, sized(200), Target{Person: "ann", Notice: true}); err != nil {
		t.Errorf("a message of our own: %v", err)
	}
	if cs, err := arch.Move(arch.UIDs(nil), in); err != nil || len(cs) != 2 {
		t.Errorf("moving over the quota: %v, %v", cs, err)
	}
	if err := in.Expunge([]UID{3, in.UIDs(nil)[3]}); err != nil {
		t.Fatal(err)
	}
	if err := tryDeliver(t, s, sized(1000), ann); err != nil {
		t.Errorf("with room again: %v", err)
	}

	s.SetQuotas(map[string]Quota{"ann": {Messages: 4}})
	if err := tryDeliver(t, s, sized(9000), ann); err != nil {
		t.Errorf("the fourth message: %v", err)
	}
	wantOver(t, "the fifth message", tryDeliver(t, s, sized(200), ann))
	s.SetQuotas(nil)
	if err := tryDeliver(t, s, sized(9000), ann); err != nil {
		t.Errorf("without a quota: %v", err)
	}
	noTmp(t, dir)
	if a.usage.arriving != (index.Totals{}) {
		t.Errorf("room is promised to nobody: %+v", a.usage.arriving)
	}
}

// TestQuotaOfSeveral: a message that one of several has room for comes to all of them, once; one that none has room
// for comes to nobody.
func TestQuotaOfSeveral(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	s := open(t, dir)
	to := []Target{{Person: "ann"}, {Person: "ben"}, {Person: "cleo", Header: []byte("X: y\r\n")}}
	for _, person := range []string{"ben", "cleo"} {
		if err := s.CreateAccount(person); err != nil {
			t.Fatal(err)
		}
	}
	s.SetQuotas(map[string]Quota{"ann": {Bytes: 1000}, "ben": {Bytes: 5000}, "cleo": {Messages: 1}})
	want := func(when string, held ...Usage) {
		t.Helper()
		for i, target := range to {
			a, err := s.Account(target.Person)
			if err != nil {
				t.Fatal(err)
			}
			held[i].Complete = true
			if u, err := a.CountUsage(t.Context()); err != nil || u != held[i] {
				t.Errorf("%s: %s holds %+v, %v, not %+v", when, target.Person, u, err, held[i])
			}
			if a.usage.arriving != (index.Totals{}) {
				t.Errorf("%s: room is promised to nobody: %+v", when, a.usage.arriving)
			}
		}
	}
	if err := tryDeliver(t, s, sized(2000), to...); err != nil {
		t.Errorf("two have room: %v", err)
	}
	want("two had room", Usage{Bytes: 2000, Messages: 1}, Usage{Bytes: 2000, Messages: 1}, Usage{Bytes: 2006, Messages: 1})
	if err := tryDeliver(t, s, sized(2500), to...); err != nil {
		t.Errorf("one has room: %v", err)
	}
	want("one had room", Usage{Bytes: 4500, Messages: 2}, Usage{Bytes: 4500, Messages: 2}, Usage{Bytes: 4512, Messages: 2})
	wantOver(t, "nobody has room", tryDeliver(t, s, sized(600), to...))
	wantOver(t, "two without room", tryDeliver(t, s, sized(200), to[0], to[2]))
	want("nobody had room", Usage{Bytes: 4500, Messages: 2}, Usage{Bytes: 4500, Messages: 2}, Usage{Bytes: 4512, Messages: 2})

	s.disk.space = func() (int64, int64, error) { return 0, 1 << 30, nil }
	s.SetFloor(Floor{Percent: 5})
	if err := tryDeliver(t, s, sized(300), to...); !errors.Is(err, ErrDiskFull) {
		t.Errorf("the disk is full: %v", err)
	}
	want("the disk was full", Usage{Bytes: 4500, Messages: 2}, Usage{Bytes: 4500, Messages: 2}, Usage{Bytes: 4512, Messages: 2})
	if s.disk.taken != 0 {
		t.Errorf("%d octets are promised to nobody", s.disk.taken)
	}
	noTmp(t, dir)
}

// TestQuotaUncounted: after a start nobody is refused for what is not known yet, and
// refused once it is.
func TestQuotaUncounted(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	s := open(t, dir)
	for range 3 {
		deliver(t, s, "Archive", sized(3000))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	s.SetQuotas(map[string]Quota{"ann": {Bytes: 9500}, "nobody": {Bytes: 1}})
	if err := tryDeliver(t, s, sized(1000), Target{Person: "ann"}); err != nil {
		t.Errorf("before the other folder was counted: %v", err)
	}
	if err := care(s); err != nil {
		t.Fatal(err)
	}
	wantOver(t, "after it was counted", tryDeliver(t, s, sized(200), Target{Person: "ann"}))
	if u := account(t, s).Usage(); u != (Usage{Bytes: 10_000, Messages: 4, Complete: true}) {
		t.Errorf("%+v", u)
	}
}

// TestQuotaAtOnce: of many deliveries, appends and copies at one time exactly so many come in as
// there is room for.
func TestQuotaAtOnce(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	s := open(t, dir)
	deliver(t, s, "Sent", sized(1000))
	s.SetQuotas(map[string]Quota{"ann": {Bytes: 21_500}})
	running(t, s)
	if _, err := account(t, s).CountUsage(t.Context()); err != nil {
		t.Fatal(err)
	}
	sent, arch := mailbox(t, s, "Sent"), mailbox(t, s, "Archive")
	var in, refused atomic.Int64
	note := func(err error) {
		switch {
		case err == nil:
			in.Add(1)
		case errors.Is(err, ErrOverQuota):
			refused.Add(1)
		default:
			t.Error(err)
		}
	}
	var all sync.WaitGroup
	for n := range 30 {
		all.Go(func() {
			switch n % 3 {
			case 0:
				note(tryDeliver(t, s, sized(1000), Target{Person: "ann", Mailbox: []string{"", "Archive"}[n%2]}))
			case 1:
				_, err := arch.Append(t.Context(), []AppendMessage{{In: incoming(t, s, sized(1000))}})
				note(err)
			case 2:
				_, err := sent.Copy([]UID{1}, arch)
				note(err)
			}
		})
		all.Go(func() { // moves take no room, not even for a moment
			if uids := arch.UIDs(nil); len(uids) > 0 {
				if _, err := arch.Move(uids, sent); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if in.Load() != 20 || refused.Load() != 10 {
		t.Errorf("%d came in and %d were refused, not 20 and 10", in.Load(), refused.Load())
	}
	a := account(t, s)
	if got, want := a.Usage(), recounted(t, dir); got != want || got.Messages != 21 {
		t.Errorf("the account holds %+v, its files %+v", got, want)
	}
	if a.usage.arriving != (index.Totals{}) {
		t.Errorf("room is promised to nobody: %+v", a.usage.arriving)
	}
	noTmp(t, dir)
}

// TestFailedDelivery: what fails after room was promised gives it back.
func TestFailedDelivery(t *testing.T) {
	t.Parallel()
	left := int64(-1)
	s, err := Open(fastDir(t), Options{step: func(name string) error {
		if left--; left == 0 {
			return errors.New(name)
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.CreateAccount("ann"); err != nil {
		t.Fatal(err)
	}
	s.SetQuotas(map[string]Quota{"ann": {Bytes: 1_000_000}})
	s.SetFloor(Floor{Percent: 1})
	deliver(t, s, "", text(0))
	in, arch := mailbox(t, s, "INBOX"), mailbox(t, s, "Archive")
	for what, do := range map[string]func() error{
		"deliver": func() error {
			return tryDeliver(t, s, text(1), Target{Person: "ann"}, Target{Person: "ann", Mailbox: "Sent"})
		},
		"append": func() error {
			_, err := in.Append(t.Context(), []AppendMessage{{In: incoming(t, s, text(2))}, {In: incoming(t, s, text(3))}})
			return err
		},
		"copy": func() error { _, err := in.Copy([]UID{1}, arch); return err },
		"move": func() error {
			from, to := in, arch
			if in.Lookup(nil, []UID{1}) == nil {
				from, to = arch, in
			}
			_, err := from.Move(from.UIDs(nil)[:1], to)
			return err
		},
	} {
		for step := int64(1); ; step++ {
			left = step
			err := do()
			tripped := left <= 0
			left = -1
			if a := account(t, s); a.usage.arriving != (index.Totals{}) || s.disk.taken != 0 {
				t.Fatalf("%s, step %d, %v: room is promised to nobody: %+v, %d octets", what, step, err, a.usage.arriving, s.disk.taken)
			}
			if !tripped {
				break
			}
		}
	}
}

// A warner counts who is warned.
type warner struct {
	s     *Store
	told  []string
	fault error
}

func (w *warner) warn(ctx context.Context, person string, u Usage, q Quota) error {
	w.told = append(w.told, fmt.Sprintf("%s %d/%d %d/%d", person, u.Bytes, q.Bytes, u.Messages, q.Messages))
	if w.fault != nil {
		return w.fault
	}
	in := w.s.NewIncoming()
	defer in.Close()
	if _, err := in.Write([]byte(sized(200))); err != nil {
		return err
	}
	return w.s.Deliver(ctx, in, []Target{{Person: person, Notice: true}})
}

func (w *warner) start(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, Options{NearlyFull: w.warn})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CreateAccount("ann"); err != nil {
		t.Fatal(err)
	}
	w.s = s
	return s
}

// expect does the caretaker's jobs and checks who was warned in all.
func (w *warner) expect(t *testing.T, when string, n int, last string) {
	t.Helper()
	if err := care(w.s); err != nil && (w.fault == nil || !errors.Is(err, w.fault)) {
		t.Fatal(err)
	}
	if len(w.told) != n || n > 0 && w.told[n-1] != last {
		t.Fatalf("%s: warned %q, not %d times, the last %q", when, w.told, n, last)
	}
}

// TestWarning: one warning when nine tenths are used, whatever happens then, until it was less than eight tenths.
func TestWarning(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	w := &warner{}
	s := w.start(t, dir)
	quotas := map[string]Quota{"ann": {Bytes: 10_000, Messages: 1000}}
	s.SetQuotas(quotas)
	restart := func() {
		t.Helper()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = w.start(t, dir)
		s.SetQuotas(quotas)
	}
	deliver(t, s, "", sized(8900))
	w.expect(t, "at 89 %", 0, "")
	in := mailbox(t, s, "INBOX")
	if _, err := in.Move(in.UIDs(nil), mailbox(t, s, "Archive")); err != nil {
		t.Fatal(err)
	}
	w.expect(t, "moved", 0, "")
	deliver(t, s, "", sized(200))
	w.expect(t, "at 91 %", 1, "ann 9100/10000 2/1000")
	deliver(t, s, "", sized(200))
	w.expect(t, "at 95 %", 1, w.told[0])
	wantOver(t, "too much", tryDeliver(t, s, sized(3000), Target{Person: "ann"}))
	s.SetQuotas(quotas)
	w.expect(t, "applied again", 1, w.told[0])
	restart()
	w.expect(t, "restarted", 1, w.told[0])
	deliver(t, s, "", sized(200))
	w.expect(t, "and grown", 1, w.told[0])

	in = mailbox(t, s, "INBOX")
	if err := in.Expunge(in.UIDs(nil)); err != nil { // 8,900 are left
		t.Fatal(err)
	}
	w.expect(t, "at 89 % again", 1, w.told[0])
	deliver(t, s, "", sized(200))
	w.expect(t, "and at 91 %", 1, w.told[0])
	arch := mailbox(t, s, "Archive")
	if err := arch.Expunge(arch.UIDs(nil)); err != nil {
		t.Fatal(err)
	}
	w.expect(t, "empty", 1, w.told[0])
	if _, err := os.Stat(filepath.Join(dir, "mail", "ann", warningFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the note is still there: %v", err)
	}

	// It grew, but is less by the time somebody could warn.
	deliver(t, s, "", sized(9000))
	in = mailbox(t, s, "INBOX")
	uids := in.UIDs(nil)
	if err := in.Expunge(uids[len(uids)-1:]); err != nil {
		t.Fatal(err)
	}
	w.expect(t, "for a moment", 1, w.told[0])

	// A warning that cannot be given is given later.
	w.fault = errors.New("no warning today")
	deliver(t, s, "", sized(9000))
	w.expect(t, "without success", 2, "ann 9200/10000 2/1000")
	if _, _, err := in.StoreFlags(in.UIDs(nil), AddFlags, Seen, 0); err != nil {
		t.Fatal(err)
	}
	w.fault = nil
	deliver(t, s, "", sized(200))
	w.expect(t, "with success", 3, "ann 9400/10000 3/1000")

	// Of a quota that is lifted and comes again, and of messages.
	quotas["ann"] = Quota{}
	restart()
	if u, err := account(t, s).CountUsage(t.Context()); err != nil || u.Messages != 4 {
		t.Fatal(u, err)
	}
	w.expect(t, "without a quota", 3, w.told[2])
	quotas["ann"] = Quota{Messages: 4}
	s.SetQuotas(quotas)
	w.expect(t, "all messages there may be", 3, w.told[2]) // the note of the last one is still there
	quotas["ann"] = Quota{Messages: 400}
	s.SetQuotas(quotas)
	w.expect(t, "plenty", 3, w.told[2])
	quotas["ann"] = Quota{Messages: 4}
	s.SetQuotas(quotas)
	w.expect(t, "all messages there may be, again", 4, "ann 9600/0 4/4")
	if u := account(t, s).Usage(); u.Messages != 5 {
		t.Errorf("the warning is not there: %+v", u)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestFloor: below what is to be left free nothing comes in, what was expunged goes first, and
// everything that needs no room goes on.
func TestFloor(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	s := open(t, dir)
	free, asked := int64(620_000), 0
	s.disk.space = func() (int64, int64, error) { asked++; return free, 10_000_000, nil }
	deliver(t, s, "", sized(200))
	if asked != 0 {
		t.Error("without a floor somebody asks how much is free")
	}
	s.SetFloor(Floor{Percent: 5})
	ann := Target{Person: "ann"}
	for range 9 {
		if err := tryDeliver(t, s, sized(5000), ann); err != nil {
			t.Fatal(err)
		}
	}
	if asked > 2 {
		t.Errorf("asked %d times for 9 messages in a moment", asked)
	}
	free = 508_000
	in, arch := mailbox(t, s, "INBOX"), mailbox(t, s, "Archive")
	full := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, ErrDiskFull) {
			t.Errorf("%s: %v, not %v", what, err, ErrDiskFull)
		}
	}
	full("a delivery", tryDeliver(t, s, sized(6000), ann))
	full("asked before", in.a.CheckRoom(1, 6000))
	wantLack(t, in.a, 1, 6000, Lack{Disk: 3*block - 8000})
	_, err := in.Append(t.Context(), []AppendMessage{{In: incoming(t, s, sized(6000))}})
	full("an append", err)
	spooled := s.NewIncoming()
	defer spooled.Close()
	_, err = spooled.Write([]byte(sized(300 << 10)))
	full("a long message that is being received", err)
	if cs, err := in.Copy([]UID{1}, arch); err != nil || len(cs) != 1 {
		t.Errorf("a copy is a link: %v, %v", cs, err)
	}
	s.copies = true
	_, err = in.Copy([]UID{2}, arch)
	full("a copy without links", err)
	if _, _, err := in.StoreFlags([]UID{2}, AddFlags, Deleted, 0); err != nil {
		t.Error(err)
	}
	if _, err := in.Move([]UID{3}, arch); err != nil {
		t.Error(err)
	}
	if err := in.Expunge([]UID{2}); err != nil {
		t.Error(err)
	}

	var wanted []int64
	s.disk.shed = func(octets int64) { wanted, free = append(wanted, octets), free+octets }
	if err := tryDeliver(t, s, sized(6000), ann); err != nil {
		t.Errorf("with something that can go: %v", err)
	}
	if len(wanted) != 1 || wanted[0] != 3*block-8000 {
		t.Errorf("made room for %v", wanted)
	}
	s.disk.space = func() (int64, int64, error) { return 0, 0, errors.New("nobody knows") }
	s.SetFloor(Floor{Bytes: 1 << 50})
	if err := tryDeliver(t, s, sized(6000), ann); err != nil {
		t.Errorf("on a file system that does not tell: %v", err)
	}
	noTmp(t, dir)
	if s.disk.taken != 0 {
		t.Errorf("%d octets are promised to nobody", s.disk.taken)
	}
}

func TestFloorOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		floor      Floor
		size, want int64
	}{
		{Floor{}, 1 << 40, 0},
		{Floor{Percent: 5}, 6 << 20, 314_572},
		{Floor{Percent: 5}, 1<<63 - 1, 461168601842738790},
		{Floor{Bytes: 100}, 6 << 20, 100},
		{Floor{Percent: 5, Bytes: 10_000_000_000}, 100_000_000_000, 5_000_000_000},
		{Floor{Percent: 5, Bytes: 10_000_000_000}, 16_000_000_000_000, 10_000_000_000},
	} {
		if got := c.floor.of(c.size); got != c.want {
			t.Errorf("%+v of %d octets leaves %d free, not %d", c.floor, c.size, got, c.want)
		}
	}
}
