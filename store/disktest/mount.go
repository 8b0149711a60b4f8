//go:build linux

package disktest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// A Mount is where disks appear, each as a directory. It may be used by several
// goroutines.
type Mount struct {
	fuse.RawFileSystem // answers what is not supported

	path   string
	server *fuse.Server

	mu     sync.Mutex // guards what follows
	nodes  map[uint64]*node
	lastID uint64
	disks  map[string]*Disk
	count  int
	lists  map[uint64][]fuse.DirEntry // of open directories
}

// forEver is how long the kernel may believe what it was told: only it changes
// anything.
const forEver = time.Hour

// New mounts a place for disks until the test ends.
func New(t testing.TB) *Mount {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "disks")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	m := &Mount{RawFileSystem: fuse.NewDefaultRawFileSystem(), path: dir, nodes: map[uint64]*node{}, lastID: 1, disks: map[string]*Disk{}, lists: map[uint64][]fuse.DirEntry{}}
	server, err := fuse.NewServer(m, dir, &fuse.MountOptions{
		DirectMountStrict: true, DisableXAttrs: true, DisableReadDirPlus: true, FsName: "disktest", Name: "disktest", MaxWrite: 1 << 20,
	})
	if err != nil {
		t.Fatalf("mounting a disk for tests, which needs root and /dev/fuse: %v", err)
	}
	m.server = server
	go server.Serve()
	t.Cleanup(func() {
		if err := server.Unmount(); err != nil {
			t.Errorf("unmounting the disks: %v", err)
			syscall.Unmount(dir, syscall.MNT_DETACH)
		}
		server.Wait()
	})
	if err := server.WaitMount(); err != nil {
		t.Fatal(err)
	}
	return m
}

// NewDisk returns an empty disk.
func (m *Mount) NewDisk() *Disk { return m.Insert(empty()) }

// Insert returns a disk on which is what is on the image. Files keep their
// inode numbers and times.
func (m *Mount) Insert(im *Image) *Disk {
	m.mu.Lock()
	m.count++
	d := &Disk{m: m, name: fmt.Sprint(m.count), base: im.clone()}
	m.mu.Unlock()
	d.Path = filepath.Join(m.path, d.name)
	d.root = im.nodes(d)
	m.mu.Lock()
	m.disks[d.name] = d
	m.mu.Unlock()
	return d
}

// Eject forgets the disk. Nobody may be using it.
func (d *Disk) Eject() {
	d.m.mu.Lock()
	delete(d.m.disks, d.name)
	for id, n := range d.m.nodes {
		if n.disk == d {
			delete(d.m.nodes, id)
		}
	}
	d.m.mu.Unlock()
	d.m.server.EntryNotify(fuse.FUSE_ROOT_ID, d.name)
}

// forget makes the kernel read all files of a disk again.
func (m *Mount) forget(d *Disk) {
	m.mu.Lock()
	var ids []uint64
	for id, n := range m.nodes {
		if n.disk == d && n.mode&syscall.S_IFMT == syscall.S_IFREG {
			ids = append(ids, id)
		}
	}
	m.mu.Unlock()
	for _, id := range ids {
		m.server.InodeNotify(id, 0, 0) // one that it does not have is no matter
	}
}

// register gives a node its number for the kernel.
func (m *Mount) register(n *node) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lastID++
	n.id = m.lastID
	m.nodes[n.id] = n
}

// node finds a node and locks its disk.
func (m *Mount) node(id uint64) (n *node, unlock func()) {
	m.mu.Lock()
	n = m.nodes[id]
	m.mu.Unlock()
	if n == nil {
		return nil, func() {}
	}
	n.disk.mu.Lock()
	return n, n.disk.mu.Unlock
}

const stale = fuse.Status(syscall.ESTALE)

func (m *Mount) String() string { return "disktest" }

func (m *Mount) Lookup(_ <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	if h.NodeId == fuse.FUSE_ROOT_ID {
		m.mu.Lock()
		d := m.disks[name]
		m.mu.Unlock()
		if d == nil {
			return fuse.ENOENT
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.root.entry(out)
		return fuse.OK
	}
	dir, unlock := m.node(h.NodeId)
	defer unlock()
	if dir == nil {
		return stale
	}
	n := dir.entries[name]
	if n == nil {
		return fuse.ENOENT
	}
	n.entry(out)
	return fuse.OK
}

// entry tells the kernel of a node. The caller holds the disk's mu.
func (n *node) entry(out *fuse.EntryOut) {
	out.NodeId, out.Generation = n.id, 1
	out.SetEntryTimeout(forEver)
	out.SetAttrTimeout(forEver)
	n.attr(&out.Attr)
}

func (n *node) attr(out *fuse.Attr) {
	out.Ino, out.Mode, out.Nlink = n.ino, n.mode, n.links
	out.Size = uint64(len(n.data))
	out.Blocks = (out.Size + 511) / 512
	out.Mtime, out.Mtimensec = uint64(n.mtime.Unix()), uint32(n.mtime.Nanosecond())
	out.Atime, out.Atimensec = out.Mtime, out.Mtimensec
	out.Ctime, out.Ctimensec = out.Mtime, out.Mtimensec
	out.Uid, out.Gid = uint32(os.Getuid()), uint32(os.Getgid())
}

func (m *Mount) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	if in.NodeId == fuse.FUSE_ROOT_ID {
		out.SetTimeout(forEver)
		out.Attr.Ino, out.Attr.Mode, out.Attr.Nlink = 1, syscall.S_IFDIR|0o700, 2
		return fuse.OK
	}
	n, unlock := m.node(in.NodeId)
	defer unlock()
	if n == nil {
		return stale
	}
	out.SetTimeout(forEver)
	n.attr(&out.Attr)
	return fuse.OK
}

func (m *Mount) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	n, unlock := m.node(in.NodeId)
	defer unlock()
	if n == nil {
		return stale
	}
	var e syscall.Errno
	if size, ok := in.GetSize(); ok {
		e = n.disk.truncate(n, int64(size))
	}
	if mode, ok := in.GetMode(); ok && e == 0 {
		e = n.disk.setMode(n, mode)
	}
	if t, ok := in.GetMTime(); ok && e == 0 {
		e = n.disk.setTime(n, t)
	}
	out.SetTimeout(forEver)
	n.attr(&out.Attr)
	return fuse.Status(e)
}

func (m *Mount) make(dir uint64, name string, mode uint32, out *fuse.EntryOut) fuse.Status {
	parent, unlock := m.node(dir)
	defer unlock()
	if parent == nil {
		return stale
	}
	n, e := parent.disk.create(parent, name, mode)
	if e == 0 {
		n.entry(out)
	}
	return fuse.Status(e)
}

func (m *Mount) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	return m.make(in.NodeId, name, in.Mode, out)
}

func (m *Mount) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	return m.make(in.NodeId, name, syscall.S_IFDIR|in.Mode&0o7777, out)
}

func (m *Mount) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	out.OpenFlags = fuse.FOPEN_KEEP_CACHE
	return m.make(in.NodeId, name, syscall.S_IFREG|in.Mode&0o7777, &out.EntryOut)
}

func (m *Mount) Unlink(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return m.unlink(h.NodeId, name, false)
}

func (m *Mount) Rmdir(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return m.unlink(h.NodeId, name, true)
}

func (m *Mount) unlink(dir uint64, name string, directory bool) fuse.Status {
	n, unlock := m.node(dir)
	defer unlock()
	if n == nil {
		return stale
	}
	return fuse.Status(n.disk.remove(n, name, directory))
}

func (m *Mount) Rename(_ <-chan struct{}, in *fuse.RenameIn, from, to string) fuse.Status {
	m.mu.Lock()
	target := m.nodes[in.Newdir]
	m.mu.Unlock()
	dir, unlock := m.node(in.NodeId)
	defer unlock()
	if dir == nil || target == nil || target.disk != dir.disk {
		return fuse.Status(syscall.EXDEV)
	}
	if in.Flags&^1 != 0 { // RENAME_NOREPLACE
		return fuse.EINVAL
	}
	return fuse.Status(dir.disk.rename(dir, from, target, to, in.Flags == 1))
}

func (m *Mount) Link(_ <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	m.mu.Lock()
	n := m.nodes[in.Oldnodeid]
	m.mu.Unlock()
	dir, unlock := m.node(in.NodeId)
	defer unlock()
	if dir == nil || n == nil || n.disk != dir.disk {
		return fuse.Status(syscall.EXDEV)
	}
	e := dir.disk.link(n, dir, name)
	n.entry(out)
	return fuse.Status(e)
}

func (m *Mount) Access(<-chan struct{}, *fuse.AccessIn) fuse.Status { return fuse.OK }

func (m *Mount) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	out.OpenFlags = fuse.FOPEN_KEEP_CACHE
	return fuse.OK
}

func (m *Mount) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	n, unlock := m.node(in.NodeId)
	defer unlock()
	if n == nil {
		return nil, stale
	}
	from := min(in.Offset, uint64(len(n.data)))
	to := min(from+uint64(len(buf)), uint64(len(n.data)))
	if from < to && n.disk.unreadable(n, int64(from), int64(to)) {
		return nil, fuse.EIO
	}
	return fuse.ReadResultData(buf[:copy(buf, n.data[from:])]), fuse.OK
}

func (m *Mount) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	n, unlock := m.node(in.NodeId)
	defer unlock()
	if n == nil {
		return 0, stale
	}
	written, e := n.disk.write(n, int64(in.Offset), data)
	return uint32(written), fuse.Status(e)
}

func (m *Mount) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.OK }

func (m *Mount) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	n, unlock := m.node(in.NodeId)
	defer unlock()
	if n == nil {
		return stale
	}
	return fuse.Status(n.disk.sync(n))
}

func (m *Mount) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return m.Fsync(cancel, in)
}

func (m *Mount) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lastID++
	out.Fh = m.lastID
	return fuse.OK
}

// ReadDir answers with what was there when the reading began.
func (m *Mount) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	if in.Offset == 0 {
		list, status := m.list(in.NodeId)
		if !status.Ok() {
			return status
		}
		m.mu.Lock()
		m.lists[in.Fh] = list
		m.mu.Unlock()
	}
	m.mu.Lock()
	list := m.lists[in.Fh]
	m.mu.Unlock()
	for i := in.Offset; i < uint64(len(list)) && out.AddDirEntry(list[i]); i++ {
	}
	return fuse.OK
}

func (m *Mount) list(id uint64) ([]fuse.DirEntry, fuse.Status) {
	if id == fuse.FUSE_ROOT_ID {
		m.mu.Lock()
		defer m.mu.Unlock()
		var list []fuse.DirEntry
		for name := range m.disks {
			list = append(list, fuse.DirEntry{Name: name, Mode: syscall.S_IFDIR})
		}
		return list, fuse.OK
	}
	dir, unlock := m.node(id)
	defer unlock()
	if dir == nil {
		return nil, stale
	}
	if dir.disk.unreadable(dir, 0, 0) {
		return nil, fuse.EIO
	}
	list := make([]fuse.DirEntry, 0, len(dir.entries))
	for name, n := range dir.entries {
		list = append(list, fuse.DirEntry{Name: name, Mode: n.mode, Ino: n.ino})
	}
	slices.SortFunc(list, func(a, b fuse.DirEntry) int { return int(int64(a.Ino) - int64(b.Ino)) })
	return list, fuse.OK
}

func (m *Mount) ReleaseDir(in *fuse.ReleaseIn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.lists, in.Fh)
}

// StatFs tells of a disk that is large and empty.
func (m *Mount) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	const blocks = 1 << 20
	*out = fuse.StatfsOut{Blocks: blocks, Bfree: blocks, Bavail: blocks, Files: blocks, Ffree: blocks, Bsize: 4096, Frsize: 4096, NameLen: 255}
	return fuse.OK
}
