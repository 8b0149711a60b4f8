package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"letterbox/appliance/config"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"letterbox": main})
}

// TestScripts runs what a person types, and checks what they read: testdata/script/*.txtar.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			offset, err := freeOffset()
			env.Setenv("OFFSET", strconv.Itoa(offset))
			for _, svc := range config.Services() {
				env.Setenv(strings.ToUpper(string(svc)), strconv.Itoa(svc.StandardPort()+offset))
			}
			env.Values[serversKey{}] = make(map[string]*server)
			return err
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"serve":  serveCmd,
			"hangup": hangupCmd,
			"stop":   stopCmd,
		},
	})
}

// freeOffset finds a port offset at which nothing listens on any of our ports.
func freeOffset() (int, error) {
	for range 100 {
		offset := 20000 + rand.IntN(30000)
		free := true
		for _, svc := range config.Services() {
			l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(svc.StandardPort()+offset)))
			if err != nil {
				free = false
				break
			}
			l.Close()
		}
		if free {
			return offset, nil
		}
	}
	return 0, fmt.Errorf("no free ports were found")
}

// server is a letterbox started by a script.
type server struct {
	cmd *exec.Cmd
	log *bufio.Reader
}

type serversKey struct{}

func servers(ts *testscript.TestScript) map[string]*server {
	return ts.Value(serversKey{}).(map[string]*server)
}

// serveCmd is "serve DIR [ARGS]": start a server and go on once it is ready.
func serveCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: serve DIR [ARGS]")
	}
	program, err := exec.LookPath("letterbox")
	ts.Check(err)
	cmd := exec.Command(program, append([]string{"serve", "--data", ts.MkAbs(args[0])}, args[1:]...)...)
	cmd.Env = append(os.Environ(), "PATH="+ts.Getenv("PATH"))
	s, err := startServer(cmd)
	ts.Check(err)
	servers(ts)[args[0]] = s
	ts.Defer(s.kill)
}

// startServer starts a letterbox that serves, and returns once it is ready. Its log has to be read, or it stops when the pipe is
// full.
func startServer(cmd *exec.Cmd) (*server, error) {
	log, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{cmd: cmd, log: bufio.NewReader(log)}
	if _, err := s.waitLog("msg=ready"); err != nil {
		s.kill()
		return nil, fmt.Errorf("the server did not get ready: %w", err)
	}
	return s, nil
}

// kill ends the server if nothing else has.
func (s *server) kill() {
	if s.cmd.ProcessState == nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
	}
}

// stop asks the server to end, and returns what it had still to log.
func (s *server) stop() (log string, err error) {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return "", err
	}
	rest, err := io.ReadAll(s.log)
	if err != nil {
		return "", err
	}
	return string(rest), s.cmd.Wait()
}

// waitLog reads the log up to the line that holds text.
func (s *server) waitLog(text string) (string, error) {
	var seen strings.Builder
	for {
		line, err := s.log.ReadString('\n')
		if strings.Contains(line, text) {
			return line, nil
		}
		seen.WriteString(line)
		if err != nil {
			return "", fmt.Errorf("%w after\n%s", err, seen.String())
		}
	}
}

// hangupCmd is "hangup DIR TEXT": send SIGHUP and go on once the log holds TEXT.
func hangupCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: hangup DIR TEXT")
	}
	s := servers(ts)[args[0]]
	ts.Check(s.cmd.Process.Signal(syscall.SIGHUP))
	line, err := s.waitLog(args[1])
	ts.Check(err)
	ts.Logf("%s", line)
}

// stopCmd is "stop DIR": send SIGTERM and wait for a clean end.
func stopCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: stop DIR")
	}
	log, err := servers(ts)[args[0]].stop()
	ts.Logf("%s", log)
	ts.Check(err)
}
