package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// Listen opens the socket at path, for the owner of the directory it is in and for root.
// Others cannot open it; whoever gets a connection all the same, as after a chmod, is
// hung up on, and never reaches Accept's caller.
// A socket that a server left behind when it was killed is replaced: the caller holds
// the lock of the data directory. Close removes the socket.
func Listen(path string) (net.Listener, error) {
	dir, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	owner, err := ownerOf(dir)
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	if err := removeStale(path); err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	return listen(path, owner)
}

// removeStale makes room for a socket, if what stands there is a socket that nobody
// answers any more.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is in the way, and it is no socket", path)
	}
	conn, err := dialUnix(context.Background(), path)
	switch {
	case err == nil:
		conn.Close()
		return fmt.Errorf("another letterbox answers at %s already", path)
	case errors.Is(err, ErrNotRunning):
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	default:
		return err
	}
}

func listen(path string, owner uint32) (net.Listener, error) {
	short, release, err := shorten(path)
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	defer release()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("open the control socket %s: %w", path, withoutAddress(err))
	}
	l.SetUnlinkOnClose(false) // it would unlink the short path, which is gone by then
	s := &socket{UnixListener: l, path: path, owner: owner}
	// Before this, others could connect, but would be refused by their uid.
	if err = os.Chmod(path, 0o600); err == nil {
		s.info, err = os.Lstat(path)
	}
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	return s, nil
}

// socket is a listener for those who may control this letterbox.
type socket struct {
	*net.UnixListener
	path  string
	owner uint32
	info  fs.FileInfo // of the socket that is ours

	closing sync.Once
	closed  error
}

// Accept waits for the next connection of somebody who may connect.
func (s *socket) Accept() (net.Conn, error) {
	for {
		conn, err := s.AcceptUnix()
		if err != nil {
			return nil, err
		}
		uid, err := peerUID(conn)
		if err == nil && mayControl(uid, s.owner) {
			return conn, nil
		}
		conn.Close()
	}
}

// Close stops listening and removes the socket, if it is still this one.
func (s *socket) Close() error {
	s.closing.Do(func() {
		s.closed = s.UnixListener.Close()
		if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.info) {
			s.closed = errors.Join(s.closed, os.Remove(s.path))
		}
	})
	return s.closed
}

// mayControl says who may control a letterbox whose data belong to owner.
func mayControl(peer, owner uint32) bool { return peer == 0 || peer == owner }

// dialUnix connects to the socket at path, however long the path is.
func dialUnix(ctx context.Context, path string) (net.Conn, error) {
	short, release, err := shorten(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotRunning
	} else if err != nil {
		return nil, err
	}
	defer release()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", short)
	switch {
	case err == nil:
		return conn, nil
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED):
		return nil, ErrNotRunning
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return nil, errors.New("only the owner of the data and root may do this")
	default:
		return nil, fmt.Errorf("connect to %s: %w", path, withoutAddress(err))
	}
}

// withoutAddress drops the short path from an error: nobody has ever heard of it.
func withoutAddress(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// maxSocketPath is the longest path that fits sockaddr_un everywhere: 108 octets with
// the closing NUL on Linux, 104 elsewhere.
const maxSocketPath = 103

// shorten returns a path for the same file that fits a socket address. It is good until
// release is called.
func shorten(path string) (short string, release func(), err error) {
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	if short, release, err = throughProc(path, "/proc/self/fd"); err == nil || errors.Is(err, fs.ErrNotExist) && !exists(filepath.Dir(path)) {
		return short, release, err
	}
	return throughLink(path, []string{os.TempDir(), "/tmp", "/run"})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// throughProc names the file by the directory's descriptor in fds, /proc/self/fd.
func throughProc(path, fds string) (short string, release func(), err error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	link := fmt.Sprintf("%s/%d", fds, dir.Fd())
	if _, err := os.Stat(link); err != nil {
		dir.Close()
		return "", nil, err
	}
	return link + "/" + filepath.Base(path), func() { dir.Close() }, nil
}

// throughLink names the file by a symbolic link to its directory, for where there is no
// /proc. The link stands in a new directory of ours in the first place that can have one.
func throughLink(path string, places []string) (short string, release func(), err error) {
	target, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	var problems []string
	for _, place := range places {
		dir, err := os.MkdirTemp(place, "lb-") // 0700
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		release := func() { os.RemoveAll(dir) }
		link := filepath.Join(dir, "d")
		short := filepath.Join(link, filepath.Base(path))
		if len(short) <= maxSocketPath {
			if err = os.Symlink(target, link); err == nil {
				return short, release, nil
			}
			problems = append(problems, err.Error())
		}
		release()
	}
	return "", nil, fmt.Errorf("the path %s is too long for a socket: %s", path, strings.Join(problems, "; "))
}
