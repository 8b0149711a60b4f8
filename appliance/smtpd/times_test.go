package smtpd

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A pipeListener gives one net.Pipe, so that time is synctest's.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// piped runs an intake over a pipe, and gives it, its client and the end of Serve.
func piped(t *testing.T) (*underTest, *rawConn, chan error) { return pipedTo(t, NewIntake) }

// pipedTo is piped for any server.
func pipedTo(t *testing.T, kind func(Options) *Server) (*underTest, *rawConn, chan error) {
	u := &underTest{room: &room{}, log: &lockedBuffer{}}
	u.Server = kind(testOptions(u.room, u.log))
	l := &pipeListener{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
	client, server := net.Pipe()
	l.conns <- server
	ended := make(chan error, 1)
	go func() { ended <- u.Serve(l) }()
	c := newRaw(t, client)
	c.hear("220")
	c.ask("HELO client.example\r\n", "250")
	return u, c, ended
}

func shutDown(t *testing.T, u *underTest, ended chan error) {
	t.Helper()
	if err := u.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if u.room.open != 0 {
		t.Errorf("%d messages were never closed", u.room.open)
	}
}

func TestSilenceEndsTheConnection(t *testing.T) {
	for name, steps := range map[string][]string{
		"command": nil,
		"message": {"DATA\r\n", "354", "Subject: x\r\n", ""},
		"chunks":  {"BDAT 4\r\nabcd", "250"},
		"chunk":   {"BDAT 400\r\nabcd", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u, c, ended := piped(t)
				c.begin()
				for i := 0; i < len(steps); i += 2 {
					c.say(steps[i])
					if steps[i+1] != "" {
						c.hear(steps[i+1])
					}
				}
				begin := time.Now()
				c.hear("421 4.4.2 mx.example.org")
				c.closed()
				if waited := time.Since(begin); waited != commandTime {
					t.Errorf("the server waited %v", waited)
				}
				shutDown(t, u, ended)
				if len(u.room.deliveries()) != 0 {
					t.Error("half a message was delivered")
				}
			})
		})
	}
}

// TestSlowButSteady is a message over a bad line: no limit but that on silence.
func TestSlowButSteady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, c, ended := piped(t)
		c.begin()
		c.ask("DATA\r\n", "354")
		for range 100 {
			<-time.After(commandTime - time.Second)
			c.say("a line\r\n")
		}
		c.ask(".\r\n", "250 2.0.0 delivered")
		c.ask("QUIT\r\n", "221")
		c.closed()
		shutDown(t, u, ended)
	})
}

func TestShutdownTellsIdlePeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, c, ended := piped(t)
		c.begin()
		synctest.Wait()
		go func() {
			c.hear("421 4.3.2 mx.example.org")
			c.closed()
		}()
		shutDown(t, u, ended)
	})
}

// TestShutdownLetsMessagesFinish: by DATA and by BDAT.
func TestShutdownLetsMessagesFinish(t *testing.T) {
	for name, steps := range map[string][4]string{
		"DATA": {"DATA\r\n", "354", "text\r\n.\r\n", "250 2.0.0 delivered"},
		"BDAT": {"BDAT 2\r\nab", "250", "BDAT 2 LAST\r\ncd", "250 2.0.0 delivered"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u, c, ended := piped(t)
				c.begin()
				c.ask(steps[0], steps[1])
				down := make(chan struct{})
				go func() {
					defer close(down)
					shutDown(t, u, ended)
				}()
				synctest.Wait()
				c.ask(steps[2], steps[3])
				c.hear("421 4.3.2")
				c.closed()
				<-down
				if len(u.room.deliveries()) != 1 {
					t.Error("the message was not delivered")
				}
			})
		})
	}
}

// TestShutdownCuts what is not finished when its time is over, a delivery too.
func TestShutdownCuts(t *testing.T) {
	for _, in := range []string{"receiving", "delivering"} {
		t.Run(in, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u, c, ended := piped(t)
				u.room.gate, u.room.entered = make(chan struct{}), make(chan struct{}, 1)
				c.begin()
				c.ask("DATA\r\n", "354")
				c.say("text\r\n")
				if in == "delivering" {
					c.say(".\r\n")
					<-u.room.entered
				}
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				if err := u.Shutdown(ctx); err != context.DeadlineExceeded {
					t.Errorf("Shutdown: %v", err)
				}
				c.closed()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if u.room.open != 0 || len(u.room.deliveries()) != 0 {
					t.Error("something of the message is left")
				}
			})
		})
	}
}

func TestServeAfterShutdown(t *testing.T) {
	t.Parallel()
	u := start(t, "intake")
	if err := u.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Serve(l); err != nil {
		t.Errorf("Serve after Shutdown: %v", err)
	}
	if err := u.Shutdown(context.Background()); err != nil {
		t.Errorf("a second Shutdown: %v", err)
	}
}

// TestNoPasswordInLog signs in rightly and wrongly, and looks at what was logged.
func TestNoPasswordInLog(t *testing.T) {
	t.Parallel()
	u := start(t, "submission", func(o *Options) { o.PlaintextOnLoopback = true })
	c := dialRaw(t, u.addr)
	c.ask("AUTH PLAIN AGFubgBodW50ZXIy\r\n", "535") // ann, hunter2
	c.ask("AUTH PLAIN AGFubgBhbm4gc2VjcmV0\r\n", "235")
	c.ask("QUIT\r\n", "221")
	c.closed()
	log := u.log.String()
	for _, secret := range []string{"hunter2", "ann secret", "AGFubg"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q:\n%s", secret, log)
		}
	}
	if !strings.Contains(log, `msg="sign-in refused" proto=smtp peer=127.0.0.1 login=ann`) {
		t.Errorf("the log does not tell of the wrong password:\n%s", log)
	}
}

// TestNobodySignsIn: whoever only keeps a submission connection busy does not keep it for ever.
func TestNobodySignsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, c, ended := pipedTo(t, NewSubmission)
		begin := time.Now()
		for range 4 {
			<-time.After(time.Minute)
			c.ask("NOOP\r\n", "250")
		}
		c.say("NO") // and half a line
		c.hear("421 4.7.0 mx.example.org nobody has signed in")
		c.closed()
		if waited := time.Since(begin); waited != signInTime {
			t.Errorf("the server waited %v", waited)
		}
		shutDown(t, u, ended)
	})
}
