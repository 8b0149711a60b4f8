package control

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestOthersAreRefused connects for real as somebody who is neither root nor the owner.
func TestOthersAreRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), SocketName)
	owner := uint32(os.Geteuid())
	if owner != 0 {
		owner++ // then we are somebody else ourselves
	}
	l, err := listen(path, owner)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a stranger's request came through")
	})}
	done := make(chan error)
	go func() { done <- srv.Serve(l) }()
	defer func() {
		srv.Close()
		<-done
	}()
	c := newClient(&http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return asStranger(t, func() (net.Conn, error) { return dialUnix(ctx, path) })
	}})
	_, err = c.Status(t.Context())
	if err == nil || !strings.Contains(err.Error(), "answers its owner and root alone") {
		t.Errorf("not refused: %v", err)
	}
}

// asStranger dials as a user who is neither root nor the owner. For root that is a thread
// of its own with another effective user id, which is what SO_PEERCRED tells, but with
// root's rights on files; anybody else is a stranger already.
func asStranger(t *testing.T, dial func() (net.Conn, error)) (net.Conn, error) {
	t.Helper()
	if os.Geteuid() != 0 {
		return dial()
	}
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		const unchanged, nobody = ^uintptr(0), 65534
		// Raw, since package syscall would change every thread.
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, unchanged, nobody, unchanged); errno != 0 {
			done <- result{nil, errno}
			return
		}
		// It answers with the last id, never with an error; without it dialling fails.
		_, _, _ = unix.RawSyscall(unix.SYS_SETFSUID, 0, 0, 0)
		conn, err := dial()
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}
