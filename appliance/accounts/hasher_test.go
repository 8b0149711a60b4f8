package accounts

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestOneHashAtATime(t *testing.T) {
	t.Parallel()
	h := newHasher()
	var at, most atomic.Int64
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.Int64N(int64(10*time.Millisecond))))
			defer cancel()
			release, err := h.acquire(ctx, network(netip.AddrFrom4([4]byte{10, 0, byte(i % 5), 1})))
			if err != nil {
				return // gave up waiting
			}
			most.Store(max(most.Load(), at.Add(1)))
			at.Add(-1)
			release()
		})
	}
	wg.Wait()
	if most.Load() != 1 {
		t.Errorf("%d at a time", most.Load())
	}
	if h.busy || len(h.turns) != 0 || len(h.queue) != 0 {
		t.Errorf("somebody is still there: %v, %v, %v", h.busy, h.turns, h.queue)
	}
}

// TestNetworksTakeTurns: one attempt from home behind many from abroad waits for one.
func TestNetworksTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHasher()
		release, err := h.acquire(t.Context(), network(abroad))
		if err != nil {
			t.Fatal(err)
		}
		var order strings.Builder // written by whoever has the turn
		var wg sync.WaitGroup
		queue := func(ctx context.Context, name string, from netip.Addr) {
			wg.Go(func() {
				release, err := h.acquire(ctx, network(from))
				if err != nil {
					return
				}
				order.WriteString(name)
				release()
			})
			synctest.Wait() // until it waits
		}
		ctx, cancel := context.WithCancel(t.Context())
		queue(ctx, "x", far)
		for range 5 {
			queue(t.Context(), "a", abroad)
		}
		queue(ctx, "x", abroad)
		queue(t.Context(), "h", home)
		queue(t.Context(), "h", home)
		queue(t.Context(), "c", cellular)
		cancel() // two give up
		synctest.Wait()
		release()
		wg.Wait()
		if got := order.String(); got != "ahcahaaa" {
			t.Errorf("the order was %s", got)
		}
	})
}

func TestGivingUpTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHasher()
		release, err := h.acquire(t.Context(), network(home))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := h.acquire(ctx, network(home)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a second one was let in: %v", err)
		}
		// The turn comes and the context ends at the same moment: the turn is not lost.
		turn := make(chan struct{})
		h.queue[network(home)] = []chan struct{}{turn}
		h.turns = append(h.turns, network(home))
		release()
		<-turn
		h.leave(network(home), turn)
		if h.busy {
			t.Error("nobody has the turn any more, and nobody can get it")
		}
	})
}
