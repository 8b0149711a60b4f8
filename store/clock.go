package store

import (
	"runtime/debug"
	"sync"
	"time"
)

// epoch is a moment that no right clock is before.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// A clock tells the time for what is stored: the newest of the wall clock, the
// build date and the newest time it has seen, since small machines wake up in
// 1970. It may be used by several goroutines.
type clock struct {
	wall func() time.Time

	mu     sync.Mutex
	newest time.Time
}

func newClock(wall func() time.Time) *clock {
	c := &clock{wall: wall, newest: epoch}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.time" {
				if t, err := time.Parse(time.RFC3339, s.Value); err == nil {
					c.observe(t)
				}
			}
		}
	}
	return c
}

// observe tells the clock of a time that is stored somewhere. A time that is far
// ahead of a clock that has been set is somebody else's mistake, not a time to go by.
func (c *clock) observe(t time.Time) {
	if wall := c.wall(); wall.After(epoch) && t.After(wall.Add(24*time.Hour)) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.newest) {
		c.newest = t
	}
}

// now never goes back.
func (c *clock) now() time.Time {
	t := c.wall()
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.newest) {
		c.newest = t
	}
	return c.newest
}

// today is the moment by which days are counted: that of the wall clock if that has
// been set, and so, unlike now, goes back when a clock that was ahead is put right.
func (c *clock) today() time.Time {
	if wall := c.wall(); wall.After(epoch) {
		return wall
	}
	return c.now()
}

// dateOf is the date of a moment on the household's calendar.
func dateOf(t time.Time) string { return t.Local().Format(time.DateOnly) }
