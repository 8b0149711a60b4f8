package store

import (
	"fmt"
	"math"
	"sync"
	"time"
)

// A Floor is how much of the mail's file system is left free for everything else
// on it. Where both are given the smaller counts; the zero value leaves nothing.
type Floor struct {
	Percent int   // of the file system
	Bytes   int64 // octets
}

// of returns the floor of a file system of this size, in octets.
func (f Floor) of(size int64) int64 {
	share := size/100*int64(f.Percent) + size%100*int64(f.Percent)/100
	switch {
	case f.Percent == 0:
		return f.Bytes
	case f.Bytes == 0:
		return share
	}
	return min(share, f.Bytes)
}

// SetFloor puts a floor in force. Messages are taken in only while more than it is
// free, for a program without privileges; below it, what was expunged and kept
// goes first. Reading, flags, moving and expunging never need room.
func (s *Store) SetFloor(f Floor) {
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	s.disk.floor, s.disk.looked = f, time.Time{}
}

// lookInterval is how long what the system said of the disk is believed.
const lookInterval = time.Second

// A disk knows how much may be written to the file system that mail lies on. It
// may be used by several goroutines.
type disk struct {
	space func() (free, size int64, err error)
	shed  func(octets int64) // makes room, if there is something that can be done without; nil: there never is

	mu     sync.Mutex // guards what follows
	floor  Floor
	free   int64     // above the floor, when it was looked at, without what was promised since
	looked time.Time // when that was
	taken  int64     // promised, and not yet on the disk
}

// take promises room for octets; giveBack takes the promise back once they are on the disk
// or are not to come. ErrDiskFull: there is none.
func (d *disk) take(octets int64) error {
	if !d.tryTake(octets) {
		return fmt.Errorf("%w: %d octets would take what is to be left free", ErrDiskFull, octets)
	}
	return nil
}

// check is take without a promise.
func (d *disk) check(octets int64) error {
	err := d.take(octets)
	if err == nil {
		d.mu.Lock()
		d.taken, d.free = d.taken-octets, d.free+octets
		d.mu.Unlock()
	}
	return err
}

func (d *disk) giveBack(octets int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.taken -= octets
}

func (d *disk) tryTake(octets int64) bool {
	lacking := d.book(octets)
	if lacking > 0 && d.shed != nil {
		d.shed(lacking)
		lacking = d.book(octets)
	}
	return lacking <= 0
}

// book promises room, and returns how many octets are lacking for that.
func (d *disk) book(octets int64) (lacking int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.floor != (Floor{}) && (octets > d.free || time.Since(d.looked) > lookInterval) {
		d.look()
		if octets > d.free {
			return octets - d.free
		}
	}
	d.taken, d.free = d.taken+octets, d.free-octets
	return 0
}

// look asks the system. A file system that does not tell is not bounded. The caller
// holds mu.
func (d *disk) look() {
	d.free, d.looked = math.MaxInt64, time.Now()
	if free, size, err := d.space(); err == nil && size > 0 {
		d.free = free - d.floor.of(size) - d.taken
	}
}
