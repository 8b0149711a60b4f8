//go:build linux

package disktest

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// Fate says what becomes of a change that was not synced.
type Fate int

// The fates.
const (
	Lost   Fate = iota
	Kept        //
	Torn        // of a write, the first half was kept; as Kept for others
	Zeroed      // of a write, the room was kept and zeros are in it; as Kept for others
)

// Image is what is on a disk after a power cut.
type Image struct {
	root    uint64
	files   map[uint64]*imageNode
	lastIno uint64
}

type imageNode struct {
	ino     uint64
	mode    uint32
	mtime   time.Time
	data    []byte
	entries map[string]uint64
}

// PowerCut returns what may be found where the power went at a moment. fate is
// asked of every change that was not safe by then, in order.
func (d *Disk) PowerCut(at int, fate func(Change) Fate) *Image {
	d.mu.Lock()
	defer d.mu.Unlock()
	fates := make([]Fate, at)
	for i := range fates {
		switch e := &d.events[i]; {
		case e.kind == Sync || e.kind == SyncDir:
		case e.safe >= 0 && e.safe < at:
			fates[i] = Kept
		default:
			fates[i] = fate(e.Change)
		}
	}
	for i := at - 1; i >= 0; i-- {
		if c := d.events[i].cause; c >= 0 && fates[i] != Lost && fates[c] == Lost {
			fates[c] = Kept
		}
	}
	im := d.base.clone()
	im.lastIno = d.lastIno
	for i, f := range fates {
		if f != Lost {
			im.apply(&d.events[i], f)
		}
	}
	return im
}

func (im *Image) clone() *Image {
	c := &Image{root: im.root, files: make(map[uint64]*imageNode, len(im.files)), lastIno: im.lastIno}
	for ino, n := range im.files {
		n := *n
		n.data, n.entries = slices.Clone(n.data), maps.Clone(n.entries)
		c.files[ino] = &n
	}
	return c
}

// empty is the image of a new disk.
func empty() *Image {
	return &Image{root: 1, lastIno: 1, files: map[uint64]*imageNode{
		1: {ino: 1, mode: syscall.S_IFDIR | 0o700, mtime: time.Now(), entries: map[string]uint64{}},
	}}
}

// Unsafe returns the changes that a power cut at a moment may lose.
func (d *Disk) Unsafe(at int) []Change {
	var cs []Change
	d.PowerCut(at, func(c Change) Fate {
		cs = append(cs, c)
		return Lost
	})
	return cs
}

func (im *Image) file(ino uint64, mode uint32) *imageNode {
	n := im.files[ino]
	if n == nil {
		n = &imageNode{ino: ino, mode: mode}
		im.files[ino] = n
	}
	if mode != 0 {
		n.mode = mode
	}
	if n.isDir() && n.entries == nil {
		n.entries = map[string]uint64{}
	}
	return n
}

func (n *imageNode) isDir() bool { return n.mode&syscall.S_IFMT == syscall.S_IFDIR }

func (im *Image) apply(e *event, f Fate) {
	switch e.kind {
	case Create, Link, Rename:
		if n := im.file(e.ino, e.mode); n.mtime.IsZero() {
			n.mtime = e.time
		}
		dir := im.file(e.dir, syscall.S_IFDIR|0o700)
		if e.old != "" && dir.entries[e.old] == e.ino {
			delete(dir.entries, e.old)
		}
		dir.entries[e.name], dir.mtime = e.ino, e.time
	case Remove:
		dir := im.file(e.dir, syscall.S_IFDIR|0o700)
		if dir.entries[e.name] == e.ino {
			delete(dir.entries, e.name)
		}
		dir.mtime = e.time
	case Write:
		n := im.file(e.ino, 0)
		n.data, n.mtime = overwrite(n.data, e.off, e.survives(n, f)), e.time
	case Truncate:
		n := im.file(e.ino, 0)
		n.data, n.mtime = resize(n.data, e.off), e.time
	case Times:
		im.file(e.ino, 0).mtime = e.time
	case Mode:
		im.file(e.ino, 0).mode = e.mode
	}
}

// survives is what of a write is there. Within a sector all of it is or nothing:
// only where the file grows there may be less.
func (e *event) survives(n *imageNode, f Fate) []byte {
	switch {
	case f == Torn && e.off+int64(len(e.data)) > int64(len(n.data)):
		return e.data[:len(e.data)/2]
	case f == Zeroed && e.off >= int64(len(n.data)):
		return make([]byte, len(e.data))
	}
	return e.data
}

// Sum tells images apart, leaving out the times of directories.
func (im *Image) Sum() [32]byte {
	h := sha256.New()
	var walk func(ino uint64)
	walk = func(ino uint64) {
		n := im.files[ino]
		fmt.Fprintf(h, "%d %o ", ino, n.mode)
		if !n.isDir() {
			binary.Write(h, binary.LittleEndian, n.mtime.UnixNano())
			fmt.Fprintf(h, "%d ", len(n.data))
			h.Write(n.data)
			return
		}
		for _, name := range slices.Sorted(maps.Keys(n.entries)) {
			fmt.Fprintf(h, "%q ", name)
			walk(n.entries[name])
		}
		h.Write([]byte("."))
	}
	walk(im.root)
	return [32]byte(h.Sum(nil))
}

// WriteTo writes the image's files below dir, which exists, with their times.
// Sockets are left out.
func (im *Image) WriteTo(dir string) error {
	return im.writeDir(im.files[im.root], dir, map[uint64]string{})
}

func (im *Image) writeDir(n *imageNode, path string, done map[uint64]string) error {
	for _, name := range slices.Sorted(maps.Keys(n.entries)) {
		child := im.files[n.entries[name]]
		to := filepath.Join(path, name)
		var err error
		switch child.mode & syscall.S_IFMT {
		case syscall.S_IFDIR:
			if err = os.Mkdir(to, os.FileMode(child.mode&0o777)); err == nil {
				err = im.writeDir(child, to, done)
			}
		case syscall.S_IFREG:
			if first := done[child.ino]; first != "" {
				err = os.Link(first, to)
				break
			}
			done[child.ino] = to
			err = errors.Join(os.WriteFile(to, child.data, os.FileMode(child.mode&0o777)), os.Chtimes(to, child.mtime, child.mtime))
		}
		if err != nil {
			return err
		}
	}
	if n.mtime.IsZero() {
		return nil
	}
	return os.Chtimes(path, n.mtime, n.mtime)
}

// nodes makes the image the content of a disk.
func (im *Image) nodes(d *Disk) *node {
	made := map[uint64]*node{}
	var walk func(ino uint64, dir *node, name string) *node
	walk = func(ino uint64, dir *node, name string) *node {
		if n := made[ino]; n != nil {
			n.links++
			return n
		}
		from := im.files[ino]
		n := &node{disk: d, ino: ino, mode: from.mode, mtime: from.mtime, links: 1, dir: dir, name: name}
		made[ino] = n
		n.fit()
		d.m.register(n)
		n.data = slices.Clone(from.data)
		for _, child := range slices.Sorted(maps.Keys(from.entries)) {
			n.entries[child] = walk(from.entries[child], n, child)
		}
		return n
	}
	d.lastIno = im.lastIno
	return walk(im.root, nil, "")
}
