//go:build crash || interop

package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/smtp"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"letterbox/store/maildir/dovecottest"
)

// TestCrashKill kills the built server under load, hundreds of times, by SIGKILL at any moment, and looks after each time whether
// everything that was acknowledged is there, once, and as it was sent; and that no UID ever names another message than before.
// Every few rounds doveadm works on the same mail, and every few rounds the caches go. LETTERBOX_CRASH_ROUNDS says how many rounds.
func TestCrashKill(t *testing.T) {
	rounds := 200
	if n, err := strconv.Atoi(os.Getenv("LETTERBOX_CRASH_ROUNDS")); err == nil {
		rounds = n
	}
	k := newKilled(t)
	for round := range rounds {
		k.start(t)
		if k.verify(t, round); t.Failed() {
			return
		}
		if k.loadAndKill(t, k.dovecot != nil && round%3 == 2); t.Failed() {
			return
		}
		if round%5 == 4 {
			k.harmCaches(t)
		}
	}
	k.start(t)
	k.verify(t, rounds)
	t.Logf("%d rounds and kills, %v acknowledged, %d messages at the end", rounds, k.acknowledged, len(k.letters))
}

const (
	killDomain   = "crash.home.arpa"
	killPassword = "correct horse battery"
)

// A killed is a household whose server is killed again and again, and what its clients know.
type killed struct {
	*memory
	program, dir string
	offset       int
	as           *syscall.SysProcAttr // who runs the server; nil: who runs the test
	dovecot      *dovecottest.Dovecot // works on the same mail; nil: it is not installed
	server       *server
	log          *tail
	drained      sync.WaitGroup
}

// newKilled founds a household on which Dovecot works as well, where it is installed.
func newKilled(t *testing.T) *killed {
	t.Helper()
	if _, err := exec.LookPath("doveadm"); err != nil {
		t.Logf("without doveadm: %v", err)
		return newKilledIn(t, filepath.Join(t.TempDir(), "data"), nil)
	}
	home := filepath.Join(t.TempDir(), "home")
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	var as *syscall.SysProcAttr
	if os.Getuid() == 0 { // Dovecot does not work as root, and both write the same files
		const nobody = 65534
		as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		// They have to get there, and that of all t.TempDir.
		if err := errors.Join(os.Chown(home, nobody, nobody), os.Chmod(filepath.Dir(filepath.Dir(home)), 0o711)); err != nil {
			t.Fatal(err)
		}
	}
	k := newKilledIn(t, filepath.Join(home, "data"), as)
	k.dovecot = dovecottest.New(t, filepath.Join(k.dir, "mail", "ann", "Maildir"))
	return k
}

// newKilledIn founds the household in dir.
func newKilledIn(t *testing.T, dir string, as *syscall.SysProcAttr) *killed {
	t.Helper()
	program := filepath.Join(t.TempDir(), "letterbox") // where everybody can run it
	built, err := os.ReadFile("../../bin/letterbox")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, built, 0o755); err != nil {
		t.Fatal(err)
	}
	offset, err := freeOffset()
	if err != nil {
		t.Fatal(err)
	}
	k := &killed{memory: newMemory(), program: program, dir: dir, offset: offset, as: as}
	cmd := k.command("init", "--data", k.dir, "--domain", killDomain, "--user", "ann", "--password-file", "-",
		"--listen", "127.0.0.1", "--port-offset", strconv.Itoa(offset))
	cmd.Stdin = strings.NewReader(killPassword)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	return k
}

func (k *killed) command(args ...string) *exec.Cmd {
	cmd := exec.Command(k.program, args...)
	cmd.Dir, cmd.SysProcAttr = filepath.Dir(k.dir), k.as
	return cmd
}

func (k *killed) address(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port+k.offset))
}

func (k *killed) start(t *testing.T) {
	t.Helper()
	var err error
	if k.server, err = startServer(k.command("serve", "--data", k.dir)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.server.kill)
	log := k.server.log
	k.log = &tail{}
	k.drained.Go(func() { io.Copy(k.log, log) })
}

// kill kills the server, which has not ended by itself.
func (k *killed) kill(t *testing.T) {
	t.Helper()
	k.server.kill()
	k.drained.Wait()
	if status, ok := k.server.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Errorf("the server ended by itself: %v\n%s", k.server.cmd.ProcessState, k.log)
	}
}

// A tail keeps the end of what is written to it. It belongs to one goroutine at a time.
type tail struct{ b []byte }

func (l *tail) Write(b []byte) (int, error) {
	const kept = 64 << 10
	l.b = append(l.b, b...)
	if len(l.b) > 2*kept {
		l.b = bytes.Clone(l.b[len(l.b)-kept:])
	}
	return len(b), nil
}

func (l *tail) String() string { return string(l.b) }

func (k *killed) signIn() (*imapclient.Client, error) {
	c, err := imapclient.DialTLS(k.address(993), &imapclient.Options{TLSConfig: &tls.Config{InsecureSkipVerify: true}}) // it is ourselves
	if err != nil {
		return nil, err
	}
	return c, c.Login("ann", killPassword).Wait()
}

// loadAndKill lets clients work, and kills the server in the midst of it.
func (k *killed) loadAndKill(t *testing.T, beside bool) {
	t.Helper()
	var clients sync.WaitGroup
	k.work(t, &clients)
	longest, killed := 600, make(chan struct{})
	if beside {
		longest = 3000 // it is slow
		clients.Go(func() { k.until(t, "doveadm", func() error { return k.doveadm(killed) }) })
	}
	time.Sleep(time.Duration(50+rand.IntN(longest)) * time.Millisecond) // a kill at any moment is what is tested
	k.kill(t)
	close(killed)
	clients.Wait()
}

// work begins the work of all mail programs. Each of them has letters of its own.
func (k *killed) work(t *testing.T, clients *sync.WaitGroup) {
	for range 2 {
		clients.Go(func() { k.until(t, "smtp", k.deliver) })
	}
	for i := range 2 {
		clients.Go(func() { k.until(t, "imap", func() error { return k.mail(i) }) })
	}
	clients.Go(func() { k.until(t, "imap, folders", k.arrange) })
}

// until does something until the server is gone. That it refuses anything is a fault.
func (k *killed) until(t *testing.T, who string, do func() error) {
	err := do()
	var no *imap.Error
	var reply *textproto.Error
	if errors.As(err, &no) || errors.As(err, &reply) || errors.Is(err, errDovecot) {
		t.Errorf("%s: %v", who, err)
	}
}

// deliver sends letters until the server is gone.
func (k *killed) deliver() error {
	c, err := smtp.Dial(k.address(25))
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		n := k.draw(anybody)
		err := k.try("deliveries", []int{n}, arrives(inboxBox), func() error {
			if err := errors.Join(c.Mail("ben@example.org"), c.Rcpt("ann@"+killDomain)); err != nil {
				return err
			}
			w, err := c.Data()
			if err != nil {
				return err
			}
			_, err = io.WriteString(w, letterText(n))
			return errors.Join(err, w.Close())
		})
		if err != nil {
			return err
		}
	}
}

// A program is a mail program at work.
type program struct {
	k     *killed
	c     *imapclient.Client
	owner int // of which letters
}

func (k *killed) newProgram(owner int) (*program, error) {
	c, err := k.signIn()
	return &program{k, c, owner}, err
}

// mail appends, flags, copies, moves and expunges as a mail program until the server is gone.
func (k *killed) mail(i int) error {
	p, err := k.newProgram(i)
	if err != nil {
		return err
	}
	defer p.c.Close()
	for step := 0; ; step++ {
		box := stableBoxes[step%len(stableBoxes)]
		to := stableBoxes[(step+1)%len(stableBoxes)]
		err := p.append(box)
		if err == nil {
			err = p.open(box)
		}
		for _, do := range []func() error{
			func() error {
				return p.flag(box, 2, []string{"+", "-"}[step%2], []string{`\Flagged`, `\Answered`, "work", "$Label1"}[rand.IntN(4)])
			},
			func() error { return p.copy(box, to, 1+rand.IntN(3)) },
			func() error { return p.move(box, to, 1+rand.IntN(3)) },
			func() error { return p.expunge(box, 2+rand.IntN(p.k.pick(p.owner, box, nil, 1000)/20+1)) },
		} {
			if err == nil {
				err = do()
			}
		}
		if err != nil {
			return err
		}
	}
}

// open selects a folder.
func (p *program) open(box int) error {
	data, err := p.c.Select(p.k.name(box), &imap.SelectOptions{CondStore: true}).Wait()
	if err == nil {
		p.k.wasShown(box, data)
	}
	return err
}

func (p *program) append(box int) error {
	n := p.k.draw(p.owner)
	text := letterText(n)
	return p.k.try("appends", []int{n}, arrives(box), func() error {
		cmd := p.c.Append(p.k.name(box), int64(len(text)), nil)
		_, werr := io.WriteString(cmd, text)
		if err := errors.Join(werr, cmd.Close()); err != nil {
			return err
		}
		data, err := cmd.Wait()
		if err == nil {
			p.k.wasTold(data.UIDValidity, uint32(data.UID), n)
		}
		return err
	})
}

// some finds at most count letters of its own in the folder that is open, which are not in another one.
func (p *program) some(box int, without []int, count int) (uids imap.UIDSet, of map[imap.UID]int, ns []int, err error) {
	p.k.pick(p.owner, box, func(n int, at []place) bool {
		if !slices.ContainsFunc(at, func(pl place) bool { return slices.Contains(without, pl.box) }) {
			ns = append(ns, n)
		}
		return len(ns) < count
	}, 0)
	if len(ns) > 0 { // the server may leave out what it has not told of yet
		if err := p.c.Noop().Wait(); err != nil {
			return nil, nil, nil, err
		}
	}
	of = map[imap.UID]int{}
	for _, n := range ns {
		found, err := p.c.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: mark(n)}}}, nil).Wait()
		if err != nil {
			return nil, nil, nil, err
		}
		all := found.AllUIDs()
		if len(all) != 1 {
			return nil, nil, nil, &imap.Error{Text: fmt.Sprintf("letter %d is in %s as %v", n, p.k.name(box), all)}
		}
		of[all[0]] = n
		uids.AddNum(all[0])
	}
	return uids, of, ns, nil
}

func (p *program) flag(box, count int, op, flag string) error {
	uids, _, ns, err := p.some(box, nil, count)
	if err != nil || len(ns) == 0 {
		return err
	}
	store := imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.Flag(flag)}}
	if op == "-" {
		store.Op = imap.StoreFlagsDel
	}
	return p.k.try("flags", ns, flagged(box, op, flag), func() error { return p.c.Store(uids, &store, nil).Close() })
}

func (p *program) copy(box, to, count int) error {
	uids, of, ns, err := p.some(box, []int{to}, count)
	if err != nil || len(ns) == 0 {
		return err
	}
	done := p.k.together(ns, to)
	err = p.k.try("copies", ns, copied(box, to), func() error {
		data, err := p.c.Copy(uids, p.k.name(to)).Wait()
		if err == nil {
			p.k.wereTold(data.UIDValidity, data.SourceUIDs, data.DestUIDs, of)
		}
		return err
	})
	if err == nil {
		done()
	}
	return err
}

func (p *program) move(box, to, count int) error {
	uids, of, ns, err := p.some(box, []int{to}, count)
	if err != nil || len(ns) == 0 {
		return err
	}
	return p.k.try("moves", ns, p.k.moved(box, to), func() error {
		data, err := p.c.Move(uids, p.k.name(to)).Wait()
		if err == nil {
			p.k.wereTold(data.UIDValidity, data.SourceUIDs, data.DestUIDs, of)
		}
		return err
	})
}

func (p *program) expunge(box, count int) error {
	uids, _, ns, err := p.some(box, nil, count)
	if err != nil || len(ns) == 0 {
		return err
	}
	deleted := imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}
	err = p.k.try("flags", ns, flagged(box, "+", `\Deleted`), func() error { return p.c.Store(uids, &deleted, nil).Close() })
	if err != nil {
		return err
	}
	return p.k.try("expunges", ns, leaves(box), func() error { return p.c.UIDExpunge(uids).Close() })
}

// arrange makes folders, fills, renames and deletes them until the server is gone.
func (k *killed) arrange() error {
	p, err := k.newProgram(arranger)
	if err != nil {
		return err
	}
	defer p.c.Close()
	for {
		if err := p.arrangeOnce(); err != nil {
			return err
		}
	}
}

func (p *program) arrangeOnce() error {
	k := p.k
	for len(k.liveBoxes()) > 8 { // what kills have left
		if err := p.delete(k.liveBoxes()[0]); err != nil {
			return err
		}
	}
	name := k.freeName(boxPrefix)
	box := k.newBox(0)
	inside := k.newBox(box)
	err := k.tryBoxes("creates", map[int]string{box: name}, p.c.Create(name, nil).Wait)
	if err == nil {
		err = p.append(box)
	}
	if err == nil {
		err = k.tryBoxes("creates", map[int]string{inside: name + "/in"}, p.c.Create(name+"/in", nil).Wait)
	}
	if err == nil {
		err = p.append(inside)
	}
	if err == nil {
		err = p.open(inside)
	}
	if err == nil {
		err = p.flag(inside, 1, "+", `\Flagged`)
	}
	if err == nil {
		err = p.copy(inside, box, 1)
	}
	if err == nil {
		err = p.move(inside, archiveBox, 1)
	}
	if err == nil {
		err = p.append(inside)
	}
	if err == nil {
		to := k.freeName("Old/" + boxPrefix)
		err = k.tryBoxes("renames", map[int]string{box: to, inside: to + "/in"}, p.c.Rename(name, to, nil).Wait)
	}
	if err == nil {
		err = p.open(archiveBox)
	}
	if err == nil {
		err = p.expunge(archiveBox, 2)
	}
	if err == nil {
		err = p.delete(inside)
	}
	if err == nil && rand.IntN(4) > 0 {
		err = p.delete(box)
	}
	return err
}

func (p *program) delete(box int) error {
	return p.k.tryBoxes("deletes", map[int]string{box: ""}, p.c.Delete(p.k.name(box)).Wait)
}

// errDovecot is wrapped by what doveadm complains of.
var errDovecot = errors.New("dovecot")

// doveadm saves, flags and expunges letters beside the server, until that is killed. It may end its last work after that.
func (k *killed) doveadm(killed <-chan struct{}) error {
	run := func(stdin string, args ...string) func() error {
		return func() error {
			_, err := k.dovecot.TryDoveadm(stdin, args...)
			var failed *exec.ExitError
			switch {
			case err == nil:
				return nil
			case !strings.Contains(err.Error(), boxPrefix): // it looks at all folders, also at those that go meanwhile
				return fmt.Errorf("%w: %w", errDovecot, err)
			case errors.As(err, &failed):
				return err
			}
			return nil
		}
	}
	for step := 0; ; step++ {
		select {
		case <-killed:
			return nil
		default:
		}
		box := stableBoxes[step%len(stableBoxes)]
		n := k.draw(doveadmAlone)
		err := k.try("doveadm's saves", []int{n}, arrives(box), run(strings.ReplaceAll(letterText(n), "\r\n", "\n"), "save", "-m", k.name(box)))
		for _, do := range []func(n int) error{
			func(n int) error {
				return k.try("doveadm's flags", []int{n}, flagged(box, "+", `\Flagged`), run("", "flags", "add", `\Flagged`, "mailbox", k.name(box), "subject", mark(n)))
			},
			func(n int) error {
				return k.try("doveadm's expunges", []int{n}, leaves(box), run("", "expunge", "mailbox", k.name(box), "subject", mark(n)))
			},
		} {
			one := 0
			k.pick(doveadmAlone, box, func(n int, _ []place) bool { one = n; return false }, 0)
			if err == nil && one != 0 {
				err = do(one)
			}
		}
		if err != nil {
			return err
		}
	}
}

// harmCaches removes or damages caches of the server that does not run.
func (k *killed) harmCaches(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(k.dir, "mail"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasPrefix(d.Name(), "letterbox.") {
			return err
		}
		switch rand.IntN(3) {
		case 0:
			return os.Remove(path)
		case 1:
			return os.Truncate(path, int64(rand.IntN(2000)))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// verify reads everything and holds it against what is known. What was in doubt is known then.
func (k *killed) verify(t *testing.T, round int) {
	t.Helper()
	c, err := k.signIn()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if round == 0 {
		if err := c.Create(workName, nil).Wait(); err != nil {
			t.Fatal(err)
		}
	}
	listed, err := c.List("", "*", nil).Collect()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range listed {
		if !slices.Contains(l.Attrs, imap.MailboxAttrNoSelect) && !slices.Contains(l.Attrs, imap.MailboxAttrNonExistent) {
			names = append(names, l.Mailbox)
		}
	}
	var faults []string
	faults = append(faults, k.settleBoxes(names)...)
	found := map[int][]place{}
	for _, box := range k.boxesThere() {
		selected, err := c.Select(k.name(box), &imap.SelectOptions{ReadOnly: true, CondStore: true}).Wait()
		if err != nil {
			t.Fatal(err)
		}
		faults = append(faults, k.isShown(box, selected)...)
		if selected.NumMessages == 0 {
			continue
		}
		whole := &imap.FetchItemBodySection{Peek: true}
		got, err := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{UID: true, Flags: true, BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != int(selected.NumMessages) {
			faults = append(faults, fmt.Sprintf("of %d messages in %s %d can be fetched", selected.NumMessages, k.name(box), len(got)))
		}
		for _, m := range got {
			n, ok := letterOf(m.FindBodySection(whole))
			if n == 0 {
				continue // the welcome
			}
			if !ok {
				faults = append(faults, fmt.Sprintf("letter %d is not as it was sent", n))
			}
			found[n] = append(found[n], place{box, flagsOf(m.Flags)})
			faults = append(faults, k.isTold(selected.UIDValidity, uint32(m.UID), n)...)
		}
	}
	for _, f := range append(faults, k.settleLetters(found)...) {
		t.Errorf("round %d: %s", round, f)
	}
	if t.Failed() {
		k.server.kill()
		k.drained.Wait()
		t.Logf("the server's log ends so:\n%s", k.log)
	}
}
