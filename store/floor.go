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

	// What can be done without, if there is something.
	shed  func(octets int64)       // makes room of it
	spare func(octets int64) int64 // counts how much room it would make, until it is so much

	shedding sync.Mutex // held while room is made: what one has made another need not

	mu     sync.Mutex // guards what follows
	floor  Floor
	free   int64     // above the floor, when it was looked at, without what was promised since
	looked time.Time // when that was
	taken  int64     // promised, and not yet on the disk
}

// take promises room for octets; giveBack takes the promise back once they are on the disk
// or are not to come. ErrDiskFull: there is none.
func (d *disk) take(octets int64) error {
	if d.book(octets) > 0 && !d.takeShed(octets) {
		return tooFull(octets)
	}
	return nil
}

// makeRoom is take without a promise, for what is written next.
func (d *disk) makeRoom(octets int64) error {
	err := d.take(octets)
	if err == nil {
		d.mu.Lock()
		d.taken, d.free = d.taken-octets, d.free+octets
		d.mu.Unlock()
	}
	return err
}

// check reports whether take would find room. It removes nothing.
func (d *disk) check(octets int64) error {
	if d.short(octets) > 0 {
		return tooFull(octets)
	}
	return nil
}

// short returns how many octets take would lack. It removes nothing.
func (d *disk) short(octets int64) int64 {
	d.mu.Lock()
	lacking := d.lacking(octets)
	d.mu.Unlock()
	if lacking > 0 {
		lacking = max(0, lacking-d.spare(lacking))
	}
	return lacking
}

func tooFull(octets int64) error {
	return fmt.Errorf("%w: %d octets would take what is to be left free", ErrDiskFull, octets)
}

func (d *disk) giveBack(octets int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.taken -= octets
}

// takeShed makes room and promises it, and reports whether there is enough.
func (d *disk) takeShed(octets int64) bool {
	d.shedding.Lock()
	defer d.shedding.Unlock()
	lacking := d.book(octets) // another may have made room meanwhile
	if lacking > 0 {
		d.shed(lacking)
		lacking = d.book(octets)
	}
	return lacking <= 0
}

// book promises room, and returns how many octets are lacking for that.
func (d *disk) book(octets int64) (lacking int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if lacking = d.lacking(octets); lacking > 0 {
		return lacking
	}
	d.taken, d.free = d.taken+octets, d.free-octets
	return 0
}

// lacking returns how many octets are lacking. The caller holds mu.
func (d *disk) lacking(octets int64) int64 {
	if d.floor != (Floor{}) && (octets > d.free || time.Since(d.looked) > lookInterval) {
		d.look()
		return max(0, octets-d.free)
	}
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
