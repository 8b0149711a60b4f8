package accounts

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var (
	abroad   = netip.MustParseAddr("203.0.113.7")
	far      = netip.MustParseAddr("2001:db8:1:2::7")
	cellular = netip.MustParseAddr("198.51.100.9")
)

// timed signs in and returns how long it took in the bubble's time.
func timed(t *testing.T, a *Accounts, login, password string, peer netip.Addr) (time.Duration, error) {
	t.Helper()
	start := time.Now()
	_, err := a.SignIn(t.Context(), login, password, peer)
	return time.Since(start), err
}

// guessWrong tries n different wrong passwords, one after the other.
func guessWrong(t *testing.T, a *Accounts, login string, peer netip.Addr, n int) (waits []time.Duration) {
	t.Helper()
	for i := range n {
		d, err := timed(t, a, login, fmt.Sprint("wrong ", login, peer, i), peer)
		if !errors.Is(err, ErrCredentials) {
			t.Fatalf("guess %d: %v", i, err)
		}
		waits = append(waits, d)
	}
	return waits
}

func TestWrongPasswordsAreSlowedDown(t *testing.T) {
	t.Parallel()
	for _, login := range []string{"ann", "nobody-here"} { // no difference can be seen
		synctest.Test(t, func(t *testing.T) {
			a := millersAccounts(t)
			var want []time.Duration
			for _, s := range []float64{0, 0, 0, 0.5, 1, 2, 4, 8, 10, 10, 10} {
				want = append(want, time.Duration(s*float64(time.Second)))
			}
			if got := guessWrong(t, a, login, abroad, len(want)); !slices.Equal(got, want) {
				t.Errorf("%s: waits %v, want %v", login, got, want)
			}
		})
	}
}

func TestTheRightPasswordIsNeverBanned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := millersAccounts(t)
		guessWrong(t, a, "ann", home, 20)
		if d, err := timed(t, a, "ann", annPassword, home); err != nil || d > slowest {
			t.Errorf("after 20 errors: %v, %v", d, err)
		}
		if d, err := timed(t, a, "ann", annPassword, home); err != nil || d != 0 {
			t.Errorf("after signing in: %v, %v", d, err)
		}
	})
}

func TestAForgottenTabletSlowsNobodyDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := millersAccounts(t)
		for i := range 1000 {
			d, err := timed(t, a, "ann", "the password of last year", home)
			if !errors.Is(err, ErrCredentials) || d != 0 {
				t.Fatalf("the tablet, time %d: %v, %v", i, d, err)
			}
		}
		if d, err := timed(t, a, "ann", annPassword, home); err != nil || d != 0 {
			t.Errorf("the phone: %v, %v", d, err)
		}
	})
}

func TestStrangersSlowNobodyDownMuch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := millersAccounts(t)
		if _, err := timed(t, a, "ann", annPassword, home); err != nil {
			t.Fatal(err)
		}
		for i := range 10 { // from many networks
			guessWrong(t, a, "ann", netip.AddrFrom4([4]byte{203, 0, byte(i), 1}), 2)
		}
		guessWrong(t, a, "ann", abroad, 12)
		if d, err := timed(t, a, "ann", annPassword, home); err != nil || d != 0 {
			t.Errorf("at home: %v, %v", d, err)
		}
		if d, err := timed(t, a, "ann", annPassword, cellular); err != nil || d > slowestAbroad {
			t.Errorf("from a new place: %v, %v", d, err)
		}
		if d, err := timed(t, a, "ben", benPassword, cellular); err != nil || d != 0 {
			t.Errorf("another person: %v, %v", d, err)
		}
	})
}

func TestNeighboursSlowNobodyDownWhoIsKnownThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := millersAccounts(t)
		if _, err := timed(t, a, "ann", annPassword, abroad); err != nil {
			t.Fatal(err)
		}
		for i := range 15 { // one network tries a few passwords for everybody it can think of
			guessWrong(t, a, fmt.Sprint("name", i), abroad, 2)
		}
		if d, _ := timed(t, a, "one-more", "some password", abroad); d != slowest {
			t.Errorf("going through names costs no more than %v", d)
		}
		if d, err := timed(t, a, "ann", annPassword, abroad); err != nil || d != 0 {
			t.Errorf("ann, who is known there: %v, %v", d, err)
		}
	})
}

func TestDevicePasswordsNeverWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := millers(t)
		device := withDevice(t, &c, 0)
		a := New(Options{})
		a.Apply(c)
		guessWrong(t, a, "ann", abroad, 10)
		if d, err := timed(t, a, "ann", device, abroad); err != nil || d != 0 {
			t.Errorf("%v, %v", d, err)
		}
	})
}

func TestStrikesFade(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := millersAccounts(t)
		guessWrong(t, a, "ann", abroad, 12)
		time.Sleep(5 * fade) // the bubble's time, not ours
		if d, _ := timed(t, a, "ann", "yet another", abroad); d == 0 || d > slowest {
			t.Errorf("soon after: %v", d)
		}
		time.Sleep(maxStrikes * fade) // the bubble's time, not ours
		if got := guessWrong(t, a, "ann", abroad, 1); got[0] != 0 {
			t.Errorf("much later: %v", got)
		}
	})
}

func TestGuessingAtOnceGainsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := millersAccounts(t)
		const guesses = 50
		waits := make([]time.Duration, guesses)
		var wg sync.WaitGroup
		for i := range guesses {
			wg.Go(func() {
				start := time.Now()
				_, _ = a.SignIn(t.Context(), "ann", fmt.Sprint("guess ", i), abroad)
				waits[i] = time.Since(start)
			})
		}
		wg.Wait()
		slices.Sort(waits)
		// All but the first handful wait as long as if they had come one after the other;
		// how the hashes interleave with the fake clock decides about the first.
		if waits[9] < slowest {
			t.Errorf("waits %v", waits)
		}
	})
}

// TestCrowd: what one network may try in a minute does not grow with its connections, and who is at home does not notice.
func TestCrowd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := millersAccounts(t)
		if _, err := a.SignIn(t.Context(), "ann", annPassword, home); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		var tried atomic.Int32
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					if _, err := a.SignIn(ctx, "ann", fmt.Sprint("guess ", i, n), abroad); errors.Is(err, ErrCredentials) {
						tried.Add(1)
					}
				}
			})
		}
		synctest.Wait()
		if d, err := timed(t, a, "ann", annPassword, home); d != 0 || err != nil {
			t.Errorf("ann at home waited %v, %v", d, err)
		}
		wg.Wait()
		most := int32(2*time.Minute/slowest)*crowd + 2*freeNetwork
		if n := tried.Load(); n > most {
			t.Errorf("%d passwords were tried, want at most %d", n, most)
		}
	})
}

func TestManyConnectionsOfOneProgram(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := millersAccounts(t)
		start := time.Now()
		var wg sync.WaitGroup
		for range 30 {
			wg.Go(func() {
				if _, err := a.SignIn(t.Context(), "ann", annPassword, home); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if d := time.Since(start); d != 0 {
			t.Errorf("they waited %v", d)
		}
	})
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := millersAccounts(t)
		guessWrong(t, a, "ann", abroad, 8)
		for range 100 { // whoever gives up learns nothing, and it does not count
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			start := time.Now()
			_, err := a.SignIn(ctx, "ann", annPassword, abroad)
			cancel()
			if d := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || d != time.Second {
				t.Fatalf("%v after %v", err, d)
			}
		}
		for _, s := range a.throttle.pairs {
			if len(s.pending) != 0 {
				t.Errorf("%d guesses are still under way", len(s.pending))
			}
		}
	})
}

func TestPasswordChangedWhileWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := millersAccounts(t)
		guessWrong(t, a, "ann", abroad, 10)
		result := make(chan error)
		go func() {
			_, err := a.SignIn(t.Context(), "ann", annPassword, abroad)
			result <- err
		}()
		synctest.Wait()
		c := millers(t)
		c.People[0].Password = cheap("another password")
		a.Apply(c)
		if err := <-result; !errors.Is(err, ErrCredentials) {
			t.Errorf("let in with the old password: %v", err)
		}
	})
}

func TestProvenPasswords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := millersAccounts(t)
		if _, err := timed(t, a, "ann", annPassword, home); err != nil {
			t.Fatal(err)
		}
		// Nobody can hash now, and still she signs in.
		release, err := a.hasher.acquire(t.Context(), network(abroad))
		if err != nil {
			t.Fatal(err)
		}
		quickly := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := a.SignIn(ctx, "Ann@example.org", annPassword, home)
			return err
		}
		if err := quickly(); err != nil {
			t.Errorf("right a moment ago: %v", err)
		}
		time.Sleep(provenFor) // the bubble's time, not ours
		if err := quickly(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("right long ago: %v", err)
		}
		release()
		if err := quickly(); err != nil {
			t.Error(err)
		}
		a.Apply(millers(t))
		if len(a.proven.until) != 0 {
			t.Error("something was remembered over Apply")
		}
	})
}

func TestProvenIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	p := newProven(func() time.Time { return now })
	number := func(i int) guess { return guess{byte(i), byte(i >> 8)} }
	for i := range 2 * maxProven {
		now = now.Add(time.Second)
		p.add(number(i))
	}
	if len(p.until) != maxProven || !p.has(number(2*maxProven-1)) || p.has(number(0)) {
		t.Errorf("%d are remembered", len(p.until))
	}
	now = now.Add(provenFor)
	p.add(number(0))
	if len(p.until) != 1 {
		t.Errorf("%d are remembered that are over", len(p.until)-1)
	}
}

func TestStrikesAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	tr := newThrottle(func() time.Time { return now })
	busy := tr.begin("busy", network(home), guess{1})
	for i := range 2 * maxPairs {
		now = now.Add(time.Millisecond)
		from := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)
		a := tr.begin(fmt.Sprint("account", i), from, guess{byte(i), byte(i >> 8)})
		a.end(wrong)
	}
	if len(tr.pairs) > maxPairs || len(tr.networks) > maxNetworks || len(tr.accounts) > maxAccounts {
		t.Errorf("%d pairs, %d networks, %d accounts", len(tr.pairs), len(tr.networks), len(tr.accounts))
	}
	if tr.accounts["busy"] != busy.account {
		t.Error("what is in use was dropped")
	}
	for i := range 2 * maxWrong {
		tr.begin("ann", network(abroad), guess{2, byte(i)}).end(wrong)
	}
	if s := tr.accounts["ann"]; len(s.wrong) != maxWrong || s.count != maxStrikes {
		t.Errorf("%d wrong passwords, %d strikes", len(s.wrong), s.count)
	}
}

func TestClockSetBack(t *testing.T) {
	t.Parallel()
	now := time.Unix(2e9, 0)
	tr := newThrottle(func() time.Time { return now })
	for i := range 5 {
		tr.begin("ann", network(abroad), guess{byte(i)}).end(wrong)
	}
	now = time.Unix(0, 0) // a box without a clock of its own
	a := tr.begin("ann", network(abroad), guess{9})
	a.end(abandoned)
	if a.delay == 0 {
		t.Error("the strikes are forgotten")
	}
	now = now.Add(maxStrikes * fade)
	if a := tr.begin("ann", network(abroad), guess{9}); a.delay != 0 {
		t.Errorf("the strikes do not fade: %v", a.delay)
	}
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	for peer, want := range map[netip.Addr]string{
		home: "192.168.1.0/24",
		far:  "2001:db8:1:2::/64",
		netip.MustParseAddr("::ffff:192.168.1.9"): "192.168.1.0/24",
		netip.MustParseAddr("fe80::1%eth0"):       "fe80::/64",
		{}:                                        netip.Prefix{}.String(),
	} {
		if got := network(peer).String(); got != want {
			t.Errorf("%v is in %v, want %v", peer, got, want)
		}
	}
}

// TestDisabledCountsAsRight: somebody who is switched off has still typed the right
// password, and is told so.
func TestDisabledCountsAsRight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := millersAccounts(t)
		for range 20 {
			if d, err := timed(t, a, "cleo", "asleep until spring", home); !errors.Is(err, ErrDisabled) || d != 0 {
				t.Fatalf("%v, %v", d, err)
			}
		}
	})
}

func BenchmarkSignInWithDevice(b *testing.B) {
	c := millers(b)
	device := withDevice(b, &c, 0)
	a := New(Options{})
	a.Apply(c)
	for b.Loop() {
		if _, err := a.SignIn(b.Context(), "ann", device, home); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHashPassword(b *testing.B) {
	for b.Loop() {
		if _, err := HashPassword(annPassword); err != nil {
			b.Fatal(err)
		}
	}
}
