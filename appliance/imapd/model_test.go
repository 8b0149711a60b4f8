package imapd

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A mirror is a client that believes every untagged response: what it has
// rebuilt must be what the server has, whenever all is quiet.
type mirror struct {
	*pipe
	n    int
	list []mirrored
}

// mirrored is what a client knows of a message.
type mirrored struct {
	uid   int    // 0: not told yet
	flags string // sorted

	meant, doubtful bool // by a STORE with .SILENT under way
}

const unknown = "?"

var (
	untaggedNumber = regexp.MustCompile(`(?s)^\* ([0-9]+) (EXISTS|EXPUNGE|FETCH)(?: \((.*)\))?$`)
	uidItem        = regexp.MustCompile(`UID ([0-9]+)`)
	flagsItem      = regexp.MustCompile(`FLAGS \(([^)]*)\)`)
)

// do runs a command and believes all it hears. Only commands with still keep
// sequence numbers where they are.
func (m *mirror) do(command string, still bool) string {
	m.t.Helper()
	defer m.silently(command)()
	m.n++
	tag := fmt.Sprintf("m%d", m.n)
	m.send(tag + " " + command)
	for {
		line, err := readResponse(m.r)
		if err != nil {
			m.t.Fatalf("%s: %v", command, err)
		}
		if rest, ok := strings.CutPrefix(line, tag+" "); ok {
			if strings.HasPrefix(rest, "BAD") || strings.Contains(rest, "SERVERBUG") {
				m.t.Fatalf("%s: %s", command, line)
			}
			return rest
		}
		m.believe(line, command, still)
	}
}

var silentStore = regexp.MustCompile(`^(UID )?STORE ([0-9]+):([0-9*]+) ([+-]?)FLAGS\.SILENT \((.*)\)$`)

// silently returns what to do after a command: a STORE with .SILENT leaves it
// to the client to know what became of the flags.
func (m *mirror) silently(command string) func() {
	f := silentStore.FindStringSubmatch(command)
	if f == nil {
		return func() {}
	}
	first, _ := strconv.Atoi(f[2])
	last, err := strconv.Atoi(f[3])
	if err != nil {
		last = 1 << 30
	}
	first, last = min(first, last), max(first, last)
	for i := range m.list {
		msg := &m.list[i]
		n := i + 1
		if f[1] != "" {
			n = msg.uid
		}
		msg.meant = n >= first && n <= last || last == 1<<30 && i == len(m.list)-1
		msg.doubtful = n == 0 // its UID is not known
	}
	return func() {
		for i := range m.list {
			switch msg := &m.list[i]; {
			case msg.doubtful:
				msg.flags = unknown
			case msg.meant:
				msg.store(f[4], f[5])
			}
			m.list[i].meant, m.list[i].doubtful = false, false
		}
	}
}

// store changes the flags that the client believes in.
func (m *mirrored) store(op, flag string) {
	if m.flags == unknown && op != "" {
		return
	}
	list := slices.DeleteFunc(strings.Fields(m.flags), func(f string) bool { return f == flag })
	switch op {
	case "+":
		list = append(list, flag)
	case "":
		list = []string{flag}
	}
	m.flags = strings.Join(slices.Sorted(slices.Values(list)), " ")
}

func (m *mirror) believe(line, command string, still bool) {
	m.t.Helper()
	f := untaggedNumber.FindStringSubmatch(line)
	if f == nil {
		return
	}
	n, err := strconv.Atoi(f[1])
	if err != nil {
		m.t.Fatal(err)
	}
	if f[2] == "EXISTS" {
		if n < len(m.list) {
			m.t.Fatalf("%s: %s, but there were %d", command, line, len(m.list))
		}
		for len(m.list) < n {
			m.list = append(m.list, mirrored{flags: unknown})
		}
		return
	}
	if n < 1 || n > len(m.list) {
		m.t.Fatalf("%s: %s, but there are %d", command, line, len(m.list))
	}
	if f[2] == "EXPUNGE" {
		if still {
			m.t.Fatalf("%s: %s moves numbers", command, line)
		}
		m.list = slices.Delete(m.list, n-1, n)
		return
	}
	msg := &m.list[n-1]
	if u := uidItem.FindStringSubmatch(f[3]); u != nil {
		uid, err := strconv.Atoi(u[1])
		if err != nil || msg.uid != 0 && msg.uid != uid {
			m.t.Fatalf("%s: %s, but it was UID %d", command, line, msg.uid)
		}
		msg.uid = uid
	}
	if g := flagsItem.FindStringSubmatch(f[3]); g != nil {
		msg.flags = strings.Join(slices.Sorted(slices.Values(strings.Fields(g[1]))), " ")
	}
}

// TestMirrors lets two clients do things at random to one mailbox and holds
// what each has rebuilt against a third that looks afresh.
func TestMirrors(t *testing.T) {
	t.Parallel()
	for range 3 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 1))
			f, clients := startMirrors(t)
			for range 100 {
				c := clients[r.IntN(len(clients))]
				c.do(randomCommand(r, len(c.list)))
			}
			compare(t, f, clients)
		})
	}
}

// TestMirrorsAtOnce is the same with both clients at work at the same time.
// There is no .SILENT: what two clients do at once has an order that only the
// server knows.
func TestMirrorsAtOnce(t *testing.T) {
	t.Parallel()
	for range 2 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			f, clients := startMirrors(t)
			var done sync.WaitGroup
			for i, c := range clients {
				r := rand.New(rand.NewPCG(seed, uint64(i)))
				done.Go(func() {
					for range 100 {
						command, still := randomCommand(r, len(c.list))
						c.do(strings.ReplaceAll(command, ".SILENT", ""), still)
					}
				})
			}
			done.Wait()
			if !t.Failed() {
				compare(t, f, clients)
			}
		})
	}
}

func startMirrors(t *testing.T) (*fixture, []*mirror) {
	f := newFixture(t, nil)
	f.fill(5)
	clients := []*mirror{{pipe: f.dialPipe(t)}, {pipe: f.dialPipe(t)}}
	for i, c := range clients {
		c.signIn()
		if i == 1 {
			c.do("ENABLE CONDSTORE", false)
		}
		c.do("SELECT INBOX", false)
		c.do("FETCH 1:* (UID FLAGS)", true)
	}
	t.Cleanup(func() {
		for _, c := range clients {
			c.conn.Close()
		}
		f.shutdown()
	})
	return f, clients
}

// compare holds the clients against a session that starts now.
func compare(t *testing.T, f *fixture, clients []*mirror) {
	fresh := &mirror{pipe: f.dialPipe(t)}
	fresh.signIn()
	fresh.do("SELECT INBOX", false)
	if len(fresh.list) > 0 {
		fresh.do("FETCH 1:* (UID FLAGS)", true)
	}
	for i, c := range clients {
		c.do("NOOP", false)
		for k := range c.list {
			if (c.list[k].uid == 0 || c.list[k].flags == unknown) && k < len(fresh.list) { // only EXISTS has told of it
				c.do(fmt.Sprintf("FETCH %d (UID FLAGS)", k+1), true)
			}
		}
		if !slices.Equal(c.list, fresh.list) {
			t.Errorf("client %d believes\n%v, but there is\n%v", i, c.list, fresh.list)
		}
	}
	fresh.conn.Close()
}

// randomCommand is a command for a client that knows n messages, and whether
// numbers must not move while it runs.
func randomCommand(r *rand.Rand, n int) (command string, still bool) {
	flag := []string{`\Seen`, `\Flagged`, `\Deleted`, `\Deleted`, "work", "play"}[r.IntN(6)]
	op := []string{"+", "-", ""}[r.IntN(3)] + "FLAGS" + []string{"", ".SILENT"}[r.IntN(2)]
	set := func() string {
		a, b := 1+r.IntN(n), 1+r.IntN(n)
		return fmt.Sprintf("%d:%d", a, b)
	}
	kind := r.IntN(12)
	if n == 0 && kind < 9 {
		kind = 9
	}
	switch kind {
	case 0, 1:
		return fmt.Sprintf("STORE %s %s (%s)", set(), op, flag), true
	case 2:
		return fmt.Sprintf("UID STORE %d:* %s (%s)", 1+r.IntN(40), op, flag), false
	case 3:
		return "FETCH " + set() + " (UID FLAGS)", true
	case 4:
		return "FETCH " + set() + " (UID FLAGS BODY[])", true
	case 5:
		return "SEARCH " + flagKey(flag), true
	case 6:
		return "COPY " + set() + " INBOX", false
	case 7:
		return fmt.Sprintf("UID EXPUNGE 1:%d", 1+r.IntN(40)), false
	case 8:
		return fmt.Sprintf("UID MOVE %d Trash", 1+r.IntN(40)), false
	case 9, 10:
		return "APPEND INBOX (" + flag + ") {1+}\r\nx", false
	}
	return []string{"NOOP", "EXPUNGE", "CHECK"}[r.IntN(3)], false
}

func flagKey(flag string) string {
	if name, ok := strings.CutPrefix(flag, `\`); ok {
		return strings.ToUpper(name)
	}
	return "KEYWORD " + flag
}
