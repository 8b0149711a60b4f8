package store

import (
	"context"
	"errors"
	"sync"
)

// A caretaker does what nobody waits for, one job at a time and only while Run
// runs: reading messages whose structure is not known yet, counting, clearing
// away what is too old. Jobs are asked for by those who change or open
// something, never by a timer, so that an idle disk stays asleep. It may be used
// by several goroutines.
type caretaker struct {
	s     *Store
	asked chan struct{} // wakes run: there is a job

	mu      sync.Mutex // guards what follows
	waiting []job      // oldest first, one of each key
}

// A job is work for the caretaker. It stops early when ctx ends, and may ask for
// itself again: others have their turn in between.
type job struct {
	key any    // comparable; what is to be done to what
	who string // person, for the log
	do  func(ctx context.Context) error
}

func newCaretaker(s *Store) *caretaker {
	return &caretaker{s: s, asked: make(chan struct{}, 1)}
}

// ask adds a job, unless one of its key is waiting already. It never blocks, and
// may be called with any lock held.
func (c *caretaker) ask(j job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.waiting {
		if c.waiting[i].key == j.key {
			return
		}
	}
	c.waiting = append(c.waiting, j)
	select {
	case c.asked <- struct{}{}:
	default:
	}
}

func (c *caretaker) next() (j job, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		return job{}, false
	}
	j, c.waiting = c.waiting[0], c.waiting[1:]
	return j, true
}

// run does jobs until ctx ends.
func (c *caretaker) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.asked:
		}
		for ctx.Err() == nil {
			j, ok := c.next()
			if !ok {
				break
			}
			err := j.do(ctx)
			if err != nil && ctx.Err() == nil && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrNoMailbox) {
				c.s.log.Warn("work in the background", "person", j.who, "err", err)
			}
		}
	}
}
