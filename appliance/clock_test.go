package appliance_test

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"letterbox/appliance"
)

// TestClock is a box without a battery: it wakes up in 1970, is told the time while it serves, and wakes up in 1970 again. Mail
// programs find a certificate that is valid, sign in, after wrong passwords too, and lose no mail.
func TestClock(t *testing.T) {
	t.Parallel()
	var clock atomic.Int64
	today := time.Now()
	options := appliance.Options{
		Log:       slog.New(slog.NewTextHandler(t.Output(), nil)),
		Now:       func() time.Time { return time.Unix(clock.Load(), 0) },
		BuildDate: today.Add(-24 * time.Hour),
		Defaults:  newConfig(),
	}
	open := func(dir string) *appliance.Appliance {
		t.Helper()
		a, err := appliance.Open(dir, options)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	sent := 0
	exchange := func(b *box, when string) {
		t.Helper()
		for i := range 2 {
			if _, err := b.read(t, "ann", fmt.Sprint("wrong ", when, i)); err == nil {
				t.Errorf("%s: a wrong password signs in", when)
			}
		}
		if err := b.send(t, "ann", "ben@"+domain, letter); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		sent++
		if got := bodies(t, b.imap(t, "ben"), "INBOX"); len(got) != 1+sent {
			t.Errorf("%s: ben has %d messages, want his welcome and %d", when, len(got), sent)
		}
	}

	dir := t.TempDir()
	a := open(dir)
	if err := a.Found(t.Context(), appliance.Founding{Domain: domain, Person: "ann", Password: password}); err != nil {
		t.Fatal(err)
	}
	b := serve(t, dir, a)
	b.add(t, "ben")
	exchange(b, "in 1970")
	clock.Store(today.Unix())
	exchange(b, "when the time is known")
	clock.Store(60)
	exchange(b, "when the clock was set back")
	b.stop()

	b = serve(t, dir, open(dir))
	exchange(b, "in 1970 again")
	clock.Store(today.Add(24 * time.Hour).Unix())
	exchange(b, "a day later")
}
