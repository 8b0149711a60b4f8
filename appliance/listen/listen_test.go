package listen

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// accepting runs l's accept loop and gives what it accepts; the loop ends with the test.
func accepting(t *testing.T, l *Listener) <-chan net.Conn {
	t.Helper()
	conns := make(chan net.Conn, 100)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("Accept: %v", err)
				}
				return
			}
			conns <- c
		}
	}()
	t.Cleanup(func() {
		l.Close()
		l.CloseConns()
		<-ended
		if n := openConns(l); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
	return conns
}

func open1(t *testing.T, addr string, o Options) *Listener {
	t.Helper()
	l, err := Open("tcp", addr, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func dial(t *testing.T, l *Listener) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// hear reads what the server says until it closes.
func hear(t *testing.T, c net.Conn) string {
	t.Helper()
	b, err := io.ReadAll(c)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
	return string(b)
}

func sorry(c net.Conn) { _, _ = io.WriteString(c, "421 sorry\r\n") }

func TestPerAddressLimit(t *testing.T) {
	t.Parallel()
	l := open1(t, "127.0.0.1:0", Options{Limits: NewLimits(2, 0), Refuse: sorry})
	conns := accepting(t, l)
	dial(t, l)
	dial(t, l)
	first := <-conns
	<-conns
	if got := hear(t, dial(t, l)); got != "421 sorry\r\n" {
		t.Errorf("the third heard %q", got)
	}
	first.Close()
	first.Close() // gives its place back only once
	dial(t, l)
	<-conns
	if got := hear(t, dial(t, l)); got != "421 sorry\r\n" {
		t.Errorf("after a place was free and taken again, one more heard %q", got)
	}
}

func TestTotalLimitOverSeveralAddresses(t *testing.T) {
	t.Parallel()
	limits := NewLimits(2, 2)
	first, second := open1(t, "127.0.0.1:0", Options{Limits: limits}), open1(t, "127.0.0.2:0", Options{Limits: limits})
	one, two := accepting(t, first), accepting(t, second)
	dial(t, first)
	<-one
	dial(t, second)
	<-two
	if got := hear(t, dial(t, first)); got != "" {
		t.Errorf("without a hook, the third heard %q", got)
	}
}

// TestAgain hands a socket over while peers wait on it: none of them is lost, and limits go on counting.
func TestAgain(t *testing.T) {
	t.Parallel()
	limits := NewLimits(2, 0)
	old := open1(t, "127.0.0.1:0", Options{Limits: limits})
	kept := dial(t, old)
	c, err := old.Accept()
	if err != nil {
		t.Fatal(err)
	}
	dial(t, old) // connected, not yet accepted
	l, err := old.Again(Options{Limits: limits, Refuse: sorry})
	if err != nil {
		t.Fatal(err)
	}
	old.Close()
	conns := accepting(t, l)
	<-conns
	if got := hear(t, dial(t, l)); got != "421 sorry\r\n" {
		t.Errorf("the third heard %q", got)
	}
	sorry(c)
	c.Close()
	if got := hear(t, kept); got != "421 sorry\r\n" {
		t.Errorf("the connection of before heard %q", got)
	}
	if _, err := old.Again(Options{}); err == nil {
		t.Error("a closed socket was taken over")
	}
}

func TestDualStack(t *testing.T) {
	t.Parallel()
	l := open1(t, ":0", Options{})
	conns := accepting(t, l)
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	hosts := []string{"127.0.0.1"}
	if l6, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		l6.Close()
		hosts = append(hosts, "::1")
	}
	for _, host := range hosts {
		c, err := net.Dial("tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		<-conns
		c.Close()
	}
}

func TestSource(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"192.0.2.1":             "192.0.2.1/32",
		"::ffff:192.0.2.1":      "192.0.2.1/32",
		"2001:db8:1:2:3:4:5:6":  "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff::99": "2001:db8:1:2::/64",
		"fe80::1":               "fe80::/64",
	} {
		got := source(&net.TCPAddr{IP: net.ParseIP(in), Zone: "", Port: 1})
		if got.String() != want {
			t.Errorf("%s comes from %s, not %s", in, got, want)
		}
	}
	if got := source(&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}); got.String() != "fe80::/64" {
		t.Errorf("with a zone: %s", got)
	}
	if got := source(&net.UnixAddr{Name: "x"}); got.IsValid() {
		t.Errorf("a unix socket comes from %s", got)
	}
}

func TestCloseLeavesConnsOpen(t *testing.T) {
	t.Parallel()
	l := open1(t, "127.0.0.1:0", Options{})
	conns := accepting(t, l)
	dial(t, l)
	c := <-conns
	l.Close()
	if n := openConns(l); n != 1 {
		t.Errorf("%d connections are open after Close", n)
	}
	c.Close()
	if n := openConns(l); n != 0 {
		t.Errorf("%d connections are open after they were closed", n)
	}
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a second Close: %v", err)
	}
}

func openConns(l *Listener) int { return len(l.open(func(*conn) bool { return true })) }

func TestCloseConns(t *testing.T) {
	t.Parallel()
	l := open1(t, "127.0.0.1:0", Options{})
	conns := accepting(t, l)
	client := dial(t, l)
	<-conns
	l.CloseConns()
	hear(t, client)
	if n := openConns(l); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

// TestCloseEndsGoodbyes: a hook that hangs holds up neither accepting nor Close.
func TestCloseEndsGoodbyes(t *testing.T) {
	t.Parallel()
	waiting := make(chan struct{})
	l := open1(t, "127.0.0.1:0", Options{Limits: NewLimits(1, 0), Refuse: func(c net.Conn) {
		waiting <- struct{}{}
		_, _ = c.Read(make([]byte, 1)) // the peer never says anything
	}})
	conns := accepting(t, l)
	dial(t, l)
	held := <-conns
	dial(t, l)
	<-waiting
	held.Close()
	dial(t, l)
	<-conns
	l.Close()
}

// TestManyRefused: goodbyes are bounded, the rest is closed without a word.
func TestManyRefused(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	l := open1(t, "127.0.0.1:0", Options{Limits: NewLimits(1, 0), Refuse: func(c net.Conn) {
		<-release
		sorry(c)
	}})
	conns := accepting(t, l)
	dial(t, l)
	<-conns
	var told []net.Conn
	for range maxGoodbyes {
		told = append(told, dial(t, l))
	}
	if got := hear(t, dial(t, l)); got != "" {
		t.Errorf("one too many even for goodbyes heard %q", got)
	}
	close(release)
	for _, c := range told {
		if got := hear(t, c); got != "421 sorry\r\n" {
			t.Errorf("one heard %q", got)
		}
	}
}

// A shortListener is out of file descriptors until it has been asked some times.
type shortListener struct {
	net.Listener
	failures int
	asked    int
	closed   chan struct{}
	once     sync.Once
}

func (l *shortListener) Accept() (net.Conn, error) {
	if l.asked++; l.asked <= l.failures {
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	default:
	}
	_, server := net.Pipe()
	return server, nil
}

func (l *shortListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *shortListener) Addr() net.Addr { return &net.UnixAddr{Name: "short"} }

func TestOutOfFileDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := &shortListener{failures: 20, closed: make(chan struct{})}
		l := wrap(inner, Options{})
		begin := time.Now()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		// 5 ms doubling up to a second, 20 times: no busy loop, and no long sleep.
		if waited := time.Since(begin); waited < 10*time.Second || waited > 20*time.Second {
			t.Errorf("it took %v", waited)
		}
		l.Close()
	})
}

func TestCloseWhileOutOfFileDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := &shortListener{failures: 1 << 30, closed: make(chan struct{})}
		l := wrap(inner, Options{})
		ended := make(chan error, 1)
		go func() {
			_, err := l.Accept()
			ended <- err
		}()
		synctest.Wait()
		l.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

func TestErrors(t *testing.T) {
	t.Parallel()
	taken := open1(t, "127.0.0.1:0", Options{})
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		addr   string
		reason Reason
		text   string
	}{
		{"127.0.0.1:" + port, InUse, "port " + port + " on 127.0.0.1 is in use by another program"},
		{"192.0.2.77:0", NoAddress, "port 0 cannot be opened: this machine does not have the address 192.0.2.77"},
		{"127.0.0.1", BadAddress, `"127.0.0.1" is not an address and a port`},
		{"127.0.0.1:70000", BadAddress, `"127.0.0.1:70000" is not an address and a port`},
		{"127.0.0.1:mail please", BadAddress, `"127.0.0.1:mail please" is not an address and a port`},
		{"::1:25", BadAddress, `"::1:25" is not an address and a port`},
	}
	for _, test := range tests {
		_, err := Open("tcp", test.addr, Options{})
		var e *Error
		if !errors.As(err, &e) || e.Reason != test.reason || err.Error() != test.text {
			t.Errorf("%s: %v", test.addr, err)
		}
	}
}

// TestPermission cannot rely on who runs it, so it asks for the sentence only.
func TestPermission(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EACCES)}
	for addr, want := range map[string]string{
		":25":            "port 25 cannot be opened: only root or a program with CAP_NET_BIND_SERVICE may bind ports below 1024",
		"[::1]:993":      "port 993 on ::1 cannot be opened: only root or a program with CAP_NET_BIND_SERVICE may bind ports below 1024",
		"127.0.0.1:8143": "port 8143 on 127.0.0.1 cannot be opened: the system does not allow it to this program",
	} {
		err := newError("tcp", addr, refused)
		if err.Error() != want || err.Reason != Permission || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if err := newError("tcp", ":25", errors.New("strange")); err.Error() != "port 25 cannot be opened: strange" || err.Port != 25 {
		t.Error(err)
	}
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	l, err := Open("unix", path, Options{Limits: NewLimits(1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	conns := accepting(t, l)
	for range 3 { // a peer without an address has no limit of its own
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		<-conns
	}
}

// TestStorm opens and closes connections from many sides at once; the count must come out even.
func TestStorm(t *testing.T) {
	t.Parallel()
	limits := NewLimits(5, 5)
	l := open1(t, "127.0.0.1:0", Options{Limits: limits, Refuse: sorry})
	conns := accepting(t, l)
	var serving sync.WaitGroup
	stop := make(chan struct{})
	serving.Go(func() {
		for {
			select {
			case c := <-conns:
				fmt.Fprint(c, "220 hello\r\n")
				c.Close()
			case <-stop:
				return
			}
		}
	})
	var clients sync.WaitGroup
	for range 20 {
		clients.Go(func() {
			for range 20 {
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				b, _ := io.ReadAll(c) // a reset is as good as an end here
				if s := string(b); s != "" && !strings.HasPrefix(s, "220") && !strings.HasPrefix(s, "421") {
					t.Errorf("heard %q", s)
				}
				c.Close()
			}
		})
	}
	clients.Wait()
	close(stop)
	serving.Wait()
	l.Close()
	l.CloseConns()
	if n := openConns(l); n != 0 {
		t.Errorf("%d connections are left", n)
	}
	limits.mu.Lock()
	defer limits.mu.Unlock()
	if limits.open != 0 || len(limits.from) != 0 {
		t.Errorf("%d open, %v", limits.open, limits.from)
	}
}
