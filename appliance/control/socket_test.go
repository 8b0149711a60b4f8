package control

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// deep makes a directory whose path has at least 200 octets.
func deep(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 100), strings.Repeat("e", 100))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDeepDataDirectory(t *testing.T) {
	t.Parallel()
	path := filepath.Join(deep(t), SocketName)
	c := serve(t, newHousehold(t), path)
	if status, err := c.Status(t.Context()); err != nil || status.Version != "1.2.3" {
		t.Errorf("%+v, %v", status, err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "another letterbox answers") {
		t.Errorf("a second server: %v", err)
	}
}

func TestRelativePath(t *testing.T) {
	dir := deep(t)
	t.Chdir(filepath.Dir(dir))
	path := filepath.Join(filepath.Base(dir), strings.Repeat("./", 10)+SocketName)
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := os.Lstat(filepath.Join(dir, SocketName)); err != nil {
		t.Error(err)
	}
}

// TestShortPaths binds and dials through each of the ways to a short path.
func TestShortPaths(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		shorten func(path string) (string, func(), error)
	}{
		{"descriptor", func(path string) (string, func(), error) { return throughProc(path, "/proc/self/fd") }},
		{"link", func(path string) (string, func(), error) { return throughLink(path, []string{os.TempDir()}) }},
		{"link in the second place", func(path string) (string, func(), error) {
			return throughLink(path, []string{"/nowhere", "/dev/null", filepath.Dir(path), os.TempDir()})
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(deep(t), SocketName)
			short, release, err := test.shorten(path)
			if err != nil {
				t.Fatal(err)
			}
			if len(short) > maxSocketPath {
				t.Errorf("the path is not short: %s", short)
			}
			l, err := net.Listen("unix", short)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if _, err := os.Lstat(path); err != nil {
				t.Error(err)
			}
			conn, err := net.Dial("unix", short)
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
			release()
			if _, err := os.Lstat(short); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the short path is still there: %v", err)
			}
			left, err := os.ReadDir(filepath.Dir(path))
			if err != nil || len(left) != 1 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
	if _, _, err := throughProc("/tmp/x", "/nowhere/fd"); err == nil {
		t.Error("a descriptor was named without /proc")
	}
	if _, _, err := throughLink("/tmp/x", []string{"/nowhere"}); err == nil || !strings.Contains(err.Error(), "too long for a socket") {
		t.Errorf("a link in no place: %v", err)
	}
}

func TestSocketIsPrivateAndGoes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), SocketName)
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	if _, err := Dial(path); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Dial after Close: %v", err)
	}
}

func TestCloseLeavesTheNextSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), SocketName)
	old, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	next, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if err := old.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the next socket is gone: %v", err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{t.TempDir(), deep(t)} {
		path := filepath.Join(dir, SocketName)
		l, err := listen(path, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.(*socket).UnixListener.Close(); err != nil { // as if killed: the socket stays
			t.Fatal(err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Fatal(err)
		}
		if _, err := Dial(path); !errors.Is(err, ErrNotRunning) {
			t.Errorf("Dial: %v", err)
		}
		c := serve(t, newHousehold(t), path)
		if _, err := c.Status(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestWhatIsNoSocketStays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	target := filepath.Join(dir, "precious")
	if err := os.WriteFile(target, []byte("mail"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{target, link, dir} {
		if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "no socket") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if data, err := os.ReadFile(target); err != nil || string(data) != "mail" {
		t.Errorf("%q, %v", data, err)
	}
}

func TestNoServer(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		filepath.Join(t.TempDir(), SocketName),
		filepath.Join(t.TempDir(), "missing", SocketName),
		filepath.Join(deep(t), SocketName),
		filepath.Join(deep(t), "missing", SocketName),
	} {
		if _, err := Dial(path); !errors.Is(err, ErrNotRunning) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := Listen(filepath.Join(t.TempDir(), "missing", SocketName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Listen without a directory: %v", err)
	}
}

func TestMayControl(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		peer, owner uint32
		want        bool
	}{
		{0, 0, true},
		{0, 1000, true},
		{1000, 1000, true},
		{1001, 1000, false},
		{1000, 0, false},
		{65534, 1000, false},
	} {
		if got := mayControl(test.peer, test.owner); got != test.want {
			t.Errorf("user %d with data of %d: %v", test.peer, test.owner, got)
		}
	}
}
