package store

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
)

// TestCaretaker: one job at a time, in order, each key once while it waits, also
// those that jobs ask for.
func TestCaretaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCaretaker(&Store{})
		var did []string
		note := func(what string) func(context.Context) error {
			return func(context.Context) error {
				did = append(did, what)
				return nil
			}
		}
		c.ask(job{key: 1, do: func(context.Context) error {
			did = append(did, "first")
			c.ask(job{key: 1, do: note("again")})
			return nil
		}})
		c.ask(job{key: 2, do: note("second")})
		c.ask(job{key: 2, do: note("twice")})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); c.run(ctx) }()
		synctest.Wait()
		c.ask(job{key: 2, do: note("later")})
		synctest.Wait()
		stop()
		<-ended
		if got := fmt.Sprint(did); got != "[first second again later]" {
			t.Error(got)
		}
	})
}
