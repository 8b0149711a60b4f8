//go:build linux

package disktest

import (
	"strings"
	"sync"
	"syscall"
	"time"
)

// Op is a kind of change.
type Op string

// The kinds of changes, and what makes them safe.
const (
	Create   Op = "create" // of a file, a directory, a socket
	Write    Op = "write"
	Truncate Op = "truncate"
	Times    Op = "set times"
	Mode     Op = "set mode"
	Link     Op = "link"
	Rename   Op = "rename" // in two parts where it leads into another directory
	Remove   Op = "remove"
	Sync     Op = "sync"
	SyncDir  Op = "sync directory"
)

// Grows reports whether a change can fail for want of room.
func (op Op) Grows() bool {
	return op == Create || op == Write || op == Link || op == Rename
}

// A Change is a step of a disk's history.
type Change struct {
	Op   Op
	Path string // below the disk's root; of a rename, the new name
	From string // of a rename: the old name
	Size int    // of a write
	At   int    // how long the history was before it
}

// A Fault says whether a change fails, and how: 0 lets it succeed. It is called
// by one goroutine at a time.
type Fault func(Change) syscall.Errno

// A BadSpot says whether octets of a file cannot be read, those from one offset up to another; of a directory, whose
// offsets mean nothing, whether it cannot be listed. It is called by one goroutine at a time.
type BadSpot func(path string, from, to int64) bool

// A Disk is a file system in memory. It may be used by several goroutines.
type Disk struct {
	Path string // where it is mounted

	m    *Mount
	name string
	root *node
	base *Image // what the history begins with

	mu      sync.Mutex // guards what follows and all nodes
	fault   Fault
	bad     BadSpot
	events  []event
	lastIno uint64
}

// node is a file, directory or socket as programs see it.
type node struct {
	disk  *Disk
	id    uint64 // the kernel's, unique on a mount
	ino   uint64 // as programs see it, kept by images
	mode  uint32 // with type
	mtime time.Time
	links uint32
	dir   *node // with name: where it was named last
	name  string

	data    []byte
	entries map[string]*node // of a directory
	placed  map[string]int   // the event that gave an entry its name
	pending []int            // events that the next sync makes safe
	owed    syscall.Errno    // what the rest of a short write fails with
}

// event is one effect.
type event struct {
	Change
	kind  Op
	ino   uint64 // of the file that is written or gets or loses a name
	mode  uint32
	dir   uint64
	name  string
	old   string // the name that a rename inside the directory takes away
	off   int64
	data  []byte
	time  time.Time
	safe  int // the event that synced it; -1: none
	cause int // the event without which there would be nothing to rename; -1: none
}

func (n *node) isDir() bool { return n.mode&syscall.S_IFMT == syscall.S_IFDIR }

func (n *node) path() string {
	var levels []string
	for ; n.dir != nil; n = n.dir {
		levels = append([]string{n.name}, levels...)
	}
	return strings.Join(levels, "/")
}

func (n *node) at(name string) string { return strings.TrimPrefix(n.path()+"/"+name, "/") }

// SetFault makes changes fail from now on; nil heals the disk.
func (d *Disk) SetFault(f Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = f
}

// SetBadSpot makes readings that touch a bad spot fail from now on with EIO, also of what the kernel has in its cache; nil heals
// the disk.
func (d *Disk) SetBadSpot(b BadSpot) {
	d.mu.Lock()
	d.bad = b
	d.mu.Unlock()
	d.m.forget(d)
}

// unreadable reports whether a reading fails. The caller holds mu.
func (d *Disk) unreadable(n *node, from, to int64) bool {
	return d.bad != nil && d.bad(n.path(), from, to)
}

// Now is how long the history is: a moment for PowerCut.
func (d *Disk) Now() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.events)
}

// History returns the changes between two moments.
func (d *Disk) History(from, to int) []Change {
	d.mu.Lock()
	defer d.mu.Unlock()
	cs := make([]Change, 0, to-from)
	for _, e := range d.events[from:to] {
		cs = append(cs, e.Change)
	}
	return cs
}

// fails asks the fault. The caller holds mu, as of everything below.
func (d *Disk) fails(c Change) syscall.Errno {
	if d.fault == nil {
		return 0
	}
	return d.fault(c)
}

// add adds an event that a sync of owner makes safe.
func (d *Disk) add(owner *node, e event) int {
	e.safe = -1
	e.kind = e.Op
	i := len(d.events)
	e.At = i
	d.events = append(d.events, e)
	owner.pending = append(owner.pending, i)
	return i
}

func (d *Disk) newNode(dir *node, name string, mode uint32) *node {
	d.lastIno++
	n := &node{disk: d, ino: d.lastIno, mode: mode, mtime: time.Now(), dir: dir, name: name}
	n.fit()
	d.m.register(n)
	return n
}

// fit gives a node what its type needs.
func (n *node) fit() {
	if n.isDir() {
		n.entries, n.placed = map[string]*node{}, map[string]int{}
	}
}

func (d *Disk) create(dir *node, name string, mode uint32) (*node, syscall.Errno) {
	if len(name) > 255 {
		return nil, syscall.ENAMETOOLONG
	}
	if dir.entries[name] != nil {
		return nil, syscall.EEXIST
	}
	c := Change{Op: Create, Path: dir.at(name)}
	if e := d.fails(c); e != 0 {
		return nil, e
	}
	n := d.newNode(dir, name, mode)
	d.put(dir, name, n, event{Change: c})
	return n, 0
}

// put gives n a name, as e has it.
func (d *Disk) put(dir *node, name string, n *node, e event) int {
	e.ino, e.mode, e.dir, e.name, e.time, e.cause = n.ino, n.mode, dir.ino, name, time.Now(), -1
	i := d.add(dir, e)
	if old := dir.entries[name]; old != nil {
		old.links--
	}
	dir.entries[name], dir.placed[name] = n, i
	dir.mtime = e.time
	n.links++
	n.dir, n.name = dir, name
	return i
}

func (d *Disk) link(n, dir *node, name string) syscall.Errno {
	if dir.entries[name] != nil {
		return syscall.EEXIST
	}
	c := Change{Op: Link, Path: dir.at(name)}
	if e := d.fails(c); e != 0 {
		return e
	}
	d.put(dir, name, n, event{Change: c})
	return 0
}

func (d *Disk) remove(dir *node, name string, directory bool) syscall.Errno {
	n := dir.entries[name]
	switch {
	case n == nil:
		return syscall.ENOENT
	case directory && !n.isDir():
		return syscall.ENOTDIR
	case !directory && n.isDir():
		return syscall.EISDIR
	case directory && len(n.entries) > 0:
		return syscall.ENOTEMPTY
	}
	c := Change{Op: Remove, Path: dir.at(name)}
	if e := d.fails(c); e != 0 {
		return e
	}
	d.take(dir, name, n, event{Change: c, cause: -1})
	return 0
}

// take takes a name away from n, as e has it.
func (d *Disk) take(dir *node, name string, n *node, e event) int {
	e.Op = Remove
	e.ino, e.dir, e.name, e.time = n.ino, dir.ino, name, time.Now()
	delete(dir.entries, name)
	delete(dir.placed, name)
	dir.mtime = e.time
	n.links--
	return d.add(dir, e)
}

func (d *Disk) rename(dir *node, name string, to *node, newName string, noReplace bool) syscall.Errno {
	n, old := dir.entries[name], to.entries[newName]
	switch {
	case n == nil:
		return syscall.ENOENT
	case len(newName) > 255:
		return syscall.ENAMETOOLONG
	case old != nil && noReplace:
		return syscall.EEXIST
	case old == n:
		return 0
	case old != nil && old.isDir() && (!n.isDir() || len(old.entries) > 0):
		return syscall.ENOTEMPTY
	}
	c := Change{Op: Rename, Path: to.at(newName), From: dir.at(name)}
	if e := d.fails(c); e != 0 {
		return e
	}
	cause := dir.placed[name]
	if to == dir {
		delete(dir.entries, name)
		delete(dir.placed, name)
		n.links--
		i := d.put(dir, newName, n, event{Change: c, old: name})
		d.events[i].cause = cause
		return 0
	}
	added := d.put(to, newName, n, event{Change: c})
	i := d.take(dir, name, n, event{Change: c, cause: added})
	d.events[i].Change, d.events[i].At = c, i
	n.dir, n.name = to, newName
	return 0
}

func (d *Disk) write(n *node, off int64, data []byte) (int, syscall.Errno) {
	if e := n.owed; e != 0 {
		n.owed = 0
		return 0, e
	}
	c := Change{Op: Write, Path: n.path(), Size: len(data)}
	if e := d.fails(c); e != 0 {
		if len(data) == 1 || e != syscall.ENOSPC {
			return 0, e
		}
		data, n.owed = data[:len(data)/2], e // a full disk takes what it has room for
	}
	e := event{Change: c, ino: n.ino, off: off, data: append([]byte(nil), data...), time: time.Now(), cause: -1}
	d.add(n, e)
	n.data = overwrite(n.data, off, data)
	n.mtime = e.time
	return len(data), 0
}

func overwrite(file []byte, off int64, data []byte) []byte {
	if end := int(off) + len(data); end > len(file) {
		file = append(file, make([]byte, end-len(file))...)
	}
	copy(file[off:], data)
	return file
}

func (d *Disk) truncate(n *node, size int64) syscall.Errno {
	if size == int64(len(n.data)) {
		return 0
	}
	c := Change{Op: Truncate, Path: n.path()}
	if e := d.fails(c); e != 0 {
		return e
	}
	e := event{Change: c, ino: n.ino, off: size, time: time.Now(), cause: -1}
	d.add(n, e)
	n.data = resize(n.data, size)
	n.mtime = e.time
	return 0
}

func resize(file []byte, size int64) []byte {
	if size <= int64(len(file)) {
		return file[:size:size]
	}
	return append(file, make([]byte, size-int64(len(file)))...)
}

func (d *Disk) setTime(n *node, t time.Time) syscall.Errno {
	c := Change{Op: Times, Path: n.path()}
	if e := d.fails(c); e != 0 {
		return e
	}
	d.add(n, event{Change: c, ino: n.ino, time: t, cause: -1})
	n.mtime = t
	return 0
}

func (d *Disk) setMode(n *node, mode uint32) syscall.Errno {
	mode = n.mode&syscall.S_IFMT | mode&^syscall.S_IFMT
	if mode == n.mode {
		return 0
	}
	c := Change{Op: Mode, Path: n.path()}
	if e := d.fails(c); e != 0 {
		return e
	}
	d.add(n, event{Change: c, ino: n.ino, mode: mode, cause: -1})
	n.mode = mode
	return 0
}

// sync makes what is pending of n safe. What a failed one should have made so
// is pending no more, and may be lost for ever.
func (d *Disk) sync(n *node) syscall.Errno {
	c := Change{Op: Sync, Path: n.path()}
	if n.isDir() {
		c.Op = SyncDir
	}
	failed := d.fails(c)
	i := len(d.events)
	c.At = i
	d.events = append(d.events, event{Change: c, kind: c.Op, safe: i, cause: -1})
	if failed == 0 {
		for _, p := range n.pending {
			d.makeSafe(p, i)
		}
	}
	n.pending = nil
	return failed
}

// makeSafe notes that event i was synced by event by. A file that a rename took
// away from one directory is in the other one.
func (d *Disk) makeSafe(i, by int) {
	e := &d.events[i]
	if e.safe < 0 {
		e.safe = by
	}
	if e.kind == Remove && e.cause >= 0 {
		d.makeSafe(e.cause, by)
	}
}
