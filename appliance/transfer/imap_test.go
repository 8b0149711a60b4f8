package transfer

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"letterbox/appliance/imapreader"
)

// oddServer is an IMAP server as a test wants it. answer writes what it says to a command before the tagged line, and returns that without
// the tag; "" hangs up.
type oddServer struct {
	net.Listener
	greeting string
	answer   func(conn int, command string, w io.Writer) string
	wg       sync.WaitGroup
}

func startOdd(t *testing.T, answer func(conn int, command string, w io.Writer) string) *oddServer {
	t.Helper()
	return startGreeting(t, "* OK ready", answer)
}

func startGreeting(t *testing.T, greeting string, answer func(conn int, command string, w io.Writer) string) *oddServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &oddServer{Listener: l, greeting: greeting, answer: answer}
	s.wg.Go(func() {
		for n := 0; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() { s.serve(n, conn) })
		}
	})
	t.Cleanup(func() { l.Close(); s.wg.Wait() })
	return s
}

func (s *oddServer) serve(n int, conn net.Conn) {
	defer conn.Close()
	w := bufio.NewWriter(conn)
	fmt.Fprintf(w, "%s\r\n", s.greeting)
	w.Flush()
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		tag, command, _ := strings.Cut(lines.Text(), " ")
		for strings.HasSuffix(command, "}") { // a literal; none of ours has a line end in it
			io.WriteString(w, "+ go on\r\n")
			if w.Flush() != nil || !lines.Scan() {
				return
			}
			command = command[:strings.LastIndex(command, "{")] + lines.Text()
		}
		end := s.answer(n, command, w)
		if end != "" {
			fmt.Fprintf(w, "%s %s\r\n", tag, end)
		}
		if w.Flush() != nil || end == "" {
			return
		}
	}
}

// account is somebody's at the server.
func (s *oddServer) account() IMAPAccount {
	addr := s.Addr().(*net.TCPAddr)
	return IMAPAccount{Server: imapreader.Server{Host: "127.0.0.1", Port: addr.Port, Security: imapreader.Unencrypted}, User: "ann", Password: `p"w`}
}

// mailOf answers as a plain old server (RFC 3501 without any extension) with these messages in INBOX, whose UIDs are 10, 20 and so on.
func mailOf(texts ...string) func(conn int, command string, w io.Writer) string {
	return func(_ int, command string, w io.Writer) string {
		switch {
		case strings.HasPrefix(command, "CAPABILITY"):
			io.WriteString(w, "* CAPABILITY IMAP4rev1\r\n")
		case strings.HasPrefix(command, "LOGIN"):
			if command != `LOGIN "ann" "p\"w"` {
				return "NO [AUTHENTICATIONFAILED] who?"
			}
		case strings.HasPrefix(command, "LIST"):
			io.WriteString(w, "* LIST () \".\" INBOX\r\n")
		case strings.HasPrefix(command, "LSUB"):
			return "BAD what?"
		case strings.HasPrefix(command, "STATUS"):
			return "NO not now"
		case strings.HasPrefix(command, "EXAMINE"):
			fmt.Fprintf(w, "* FLAGS (\\Seen)\r\n* %d EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 7]\r\n", len(texts))
		case command == "UID FETCH 1:* (UID)":
			for i := range texts {
				fmt.Fprintf(w, "* %d FETCH (UID %d)\r\n", i+1, 10*(i+1))
			}
		case strings.HasSuffix(command, "(UID FLAGS INTERNALDATE RFC822.SIZE)"):
			for i, text := range texts {
				fmt.Fprintf(w, "* %d FETCH (FLAGS (\\seen $Forwarded) UID %d RFC822.SIZE %d INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")\r\n", i+1, 10*(i+1), len(text))
			}
		case strings.HasPrefix(command, "UID FETCH"):
			for _, uid := range uidsOf(command) {
				text := texts[uid/10-1]
				fmt.Fprintf(w, "* %d FETCH (UID %d BODY[] {%d}\r\n%s)\r\n", uid/10, uid, len(text), text)
			}
		default:
			return "BAD unknown"
		}
		return "OK done"
	}
}

// uidsOf are the UIDs of a FETCH, written one by one.
func uidsOf(command string) (uids []int) {
	set := strings.Fields(command)[2]
	for text := range strings.SplitSeq(set, ",") {
		n, _ := strconv.Atoi(text)
		uids = append(uids, n)
	}
	return uids
}

func openOdd(t *testing.T, account IMAPAccount) *IMAP {
	t.Helper()
	src, err := OpenIMAP(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	src.pauses = make([]time.Duration, len(imapPauses))
	t.Cleanup(func() { src.Close() })
	return src
}

// TestIMAPOddServers: of what is odd nothing is lost, and what cannot be had is named.
func TestIMAPOddServers(t *testing.T) {
	t.Parallel()
	texts := []string{"Subject: a\r\n\r\na\r\n", "Subject: b\r\n\r\nb\r\n", "Subject: c\r\n\r\nc\r\n"}
	plain := mailOf(texts...)
	isBody := func(command string) bool { return strings.Contains(command, "BODY.PEEK[]") }
	for name, test := range map[string]struct {
		answer func(conn int, command string, w io.Writer) string
		want   []string // nil: texts
		left   string
	}{
		"a plain old one": {answer: plain},
		"the UID behind the octets": {answer: func(conn int, command string, w io.Writer) string {
			if !isBody(command) {
				return plain(conn, command, w)
			}
			for _, uid := range uidsOf(command) {
				fmt.Fprintf(w, "* %d FETCH (BODY[] {%d}\r\n%s UID %d FLAGS (\\Seen))\r\n", uid/10, len(texts[uid/10-1]), texts[uid/10-1], uid)
			}
			return "OK"
		}},
		"unknown items, lists, literals and responses": {answer: func(conn int, command string, w io.Writer) string {
			if !isBody(command) {
				return plain(conn, command, w)
			}
			io.WriteString(w, "* 4 EXISTS\r\n* X-ODD {3}\r\na\r\n \"x\" {2}\r\n))\r\n* 1 FETCH (FLAGS (\\Seen))\r\n* OK [X-CODE (a) b] {5}\r\n")
			for _, uid := range uidsOf(command) {
				fmt.Fprintf(w, "* %d fetch (x-gm-msgid 12345 X-LIST (a (b \"c)\" {1}\r\n)) NIL) UID %d BODY[HEADER.FIELDS (X)] \"\" body[] ~{%d}\r\n%s X-LAST {2}\r\n)))\r\n",
					uid/10, uid, len(texts[uid/10-1]), texts[uid/10-1])
			}
			return "OK"
		}},
		"octets in quotes, in another order": {answer: func(conn int, command string, w io.Writer) string {
			if isBody(command) && strings.Contains(command, ",") {
				io.WriteString(w, "* 2 FETCH (UID 20 BODY[] \"in \\\"quotes\\\"\")\r\n* 1 FETCH (UID 10 BODY[] {1}\r\na)\r\n* 3 FETCH (UID 30 BODY[] \"\")\r\n")
				return "OK"
			}
			return plain(conn, command, w)
		}, want: []string{`in "quotes"`, "a", ""}},
		"a message that it does not give": {answer: func(conn int, command string, w io.Writer) string {
			if isBody(command) && slices.Contains(uidsOf(command), 20) {
				if strings.Contains(command, ",") {
					plain(conn, "UID FETCH 10 (UID BODY.PEEK[])", w)
				}
				return "NO [SERVERFAULT] the message is damaged"
			}
			return plain(conn, command, w)
		}, want: []string{texts[0], texts[2]}, left: `INBOX, message 20: the server says "the message is damaged"`},
		"a message without octets": {answer: func(conn int, command string, w io.Writer) string {
			if isBody(command) && slices.Contains(uidsOf(command), 20) {
				io.WriteString(w, "* 2 FETCH (UID 20 BODY[] NIL)\r\n")
				return "OK"
			}
			return plain(conn, command, w)
		}, want: []string{texts[0], texts[2]}, left: "INBOX, message 20: the server lists it and does not give it"},
		"a message at which it breaks": {answer: func(conn int, command string, w io.Writer) string {
			if isBody(command) && slices.Contains(uidsOf(command), 20) {
				return ""
			}
			return plain(conn, command, w)
		}, want: []string{texts[0], texts[2]}, left: "INBOX, message 20: the connection breaks at it: unexpected EOF"},
		"a message whose length is wrong": {answer: func(conn int, command string, w io.Writer) string {
			if isBody(command) && slices.Contains(uidsOf(command), 20) {
				fmt.Fprintf(w, "* 2 FETCH (UID 20 BODY[] {5}\r\n%s)\r\n", texts[1])
				return "OK"
			}
			return plain(conn, command, w)
		}, want: []string{texts[0], texts[2]}, left: `INBOX, message 20: the connection breaks at it: the server's answer makes no sense`},
		"another message than the one that was asked for": {answer: func(conn int, command string, w io.Writer) string {
			if isBody(command) && slices.Contains(uidsOf(command), 20) {
				io.WriteString(w, "* 2 FETCH (BODY[] {5}\r\nwrong UID 30)\r\n")
				return "OK"
			}
			return plain(conn, command, w)
		}, want: []string{texts[0], texts[2]}, left: "INBOX, message 20: the server gave another one for it"},
		"one that wants to be left alone for a while": {answer: func(conn int, command string, w io.Writer) string {
			if isBody(command) && conn < 4 {
				return "NO [THROTTLED] too fast"
			}
			return plain(conn, command, w)
		}},
		"one that breaks at every second command": {answer: func() func(int, string, io.Writer) string {
			var broken sync.Map // the next connection may come before the last has ended
			return func(conn int, command string, w io.Writer) string {
				_, again := broken.LoadOrStore(command, true)
				if !again && !strings.HasPrefix(command, "CAPABILITY") && !strings.HasPrefix(command, "LOGIN") {
					return ""
				}
				return plain(conn, command, w)
			}
		}()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startOdd(t, test.answer)
			src := openOdd(t, s.account())
			k := newKeeper()
			r := bringAll(t, src, k)
			want := test.want
			if want == nil {
				want = texts
			}
			if got := k.texts("INBOX"); !slices.Equal(got, want) {
				t.Errorf("there came %q", got)
			}
			for _, m := range k.folders["INBOX"] {
				if !m.Date.Equal(time.Date(1996, 7, 17, 9, 44, 25, 0, time.UTC)) || fmt.Sprint(m.Flags) != `[\Seen $Forwarded]` {
					t.Errorf("a message came with %v, %v", m.Date, m.Flags)
				}
			}
			left := ""
			if len(r.Left) > 0 {
				left = r.Left[0].String()
			}
			if !strings.HasPrefix(left, test.left) || (test.left == "") != (left == "") || r.LeftOut > 1 {
				t.Errorf("left out is %v", r.Left)
			}
			again := bringAll(t, src, k)
			if added, _ := again.Added(); added != 0 || int(again.Folders[0].Known) != len(want) {
				t.Errorf("the second time: %+v", again)
			}
		})
	}
}

// TestIMAPResumed: a message over several connections is one message, or it is not taken.
func TestIMAPResumed(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("0123456789abcdef\r\n", 1000)
	for name, test := range map[string]struct {
		rest func(from int, w io.Writer)
		want bool
	}{
		"from there": {func(from int, w io.Writer) {
			fmt.Fprintf(w, "* 1 FETCH (UID 10 BODY[]<%d> {%d}\r\n%s)\r\n", from, len(text)-from, text[from:])
		}, true},
		"from the start":    {func(_ int, w io.Writer) { fmt.Fprintf(w, "* 1 FETCH (UID 10 BODY[] {%d}\r\n%s)\r\n", len(text), text) }, true},
		"of another length": {func(from int, w io.Writer) { fmt.Fprintf(w, "* 1 FETCH (UID 10 BODY[]<%d> {3}\r\nabc)\r\n", from) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plain := mailOf(text)
			s := startOdd(t, func(conn int, command string, w io.Writer) string {
				if strings.HasSuffix(command, "BODY.PEEK[])") {
					fmt.Fprintf(w, "* 1 FETCH (UID 10 BODY[] {%d}\r\n%s", len(text), text[:5000])
					return ""
				}
				if _, rest, ok := strings.Cut(command, "BODY.PEEK[]<"); ok {
					from, _ := strconv.Atoi(strings.Split(rest, ".")[0])
					test.rest(from, w)
					return "OK"
				}
				return plain(conn, command, w)
			})
			k := newKeeper()
			r := bringAll(t, openOdd(t, s.account()), k)
			if got := k.texts("INBOX"); test.want && !slices.Equal(got, []string{text}) || !test.want && (len(got) != 0 || r.LeftOut != 1) {
				t.Errorf("%d messages came, left out %v", len(got), r.Left)
			}
		})
	}
}

// TestIMAPNoMore: what does not get better ends the import with a sentence.
func TestIMAPNoMore(t *testing.T) {
	t.Parallel()
	plain := mailOf(letterTexts(20)...)
	for name, test := range map[string]struct {
		answer func(conn int, command string, w io.Writer) string
		want   string
	}{
		"it breaks at everything": {func(conn int, command string, w io.Writer) string {
			if strings.Contains(command, "BODY.PEEK") {
				return ""
			}
			return plain(conn, command, w)
		}, "breaks again and again"},
		"it does not let us in again": {func(conn int, command string, w io.Writer) string {
			if strings.Contains(command, "BODY.PEEK") || conn > 0 && strings.HasPrefix(command, "LOGIN") {
				return ""
			}
			return plain(conn, command, w)
		}, "the connection to 127.0.0.1 is lost"},
		"it has no time": {func(conn int, command string, w io.Writer) string {
			if strings.Contains(command, "BODY.PEEK") {
				return "NO [UNAVAILABLE] come back tomorrow"
			}
			return plain(conn, command, w)
		}, "come back tomorrow"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startOdd(t, test.answer)
			r, err := Import(t.Context(), openOdd(t, s.account()), newKeeper(), nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v; %+v", err, r)
			}
		})
	}
	for name, test := range map[string]struct{ greeting, answer, want string }{
		"wrong password":    {"* OK", "NO [AUTHENTICATIONFAILED] no", `127.0.0.1 does not let ann in: the server says "no"`},
		"no encryption":     {"* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED]", "BAD", "127.0.0.1: the server takes passwords over an encrypted connection only: leave out --unencrypted"},
		"it is no server":   {"220 mail ESMTP", "", "does not answer like an IMAP server"},
		"it is busy":        {"* BYE too many connections", "", `^127.0.0.1 does not take the connection: the server says "too many connections"$`},
		"it says no at all": {"", "", "does not answer like an IMAP server"},
	} {
		s := startGreeting(t, test.greeting, func(_ int, command string, _ io.Writer) string { return test.answer })
		if _, err := OpenIMAP(t.Context(), s.account()); err == nil || !regexp.MustCompile(test.want).MatchString(err.Error()) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestIMAPExcess: a folder or a message without an end is left out, and what comes behind it comes.
func TestIMAPExcess(t *testing.T) {
	t.Parallel()
	texts := letterTexts(3)
	plain := mailOf(texts...)
	var open sync.Map // by connection
	s := startOdd(t, func(conn int, command string, w io.Writer) string {
		if name, ok := strings.CutPrefix(command, "EXAMINE "); ok {
			open.Store(conn, strings.Trim(name, `"`))
		}
		folder, _ := open.Load(conn)
		switch {
		case strings.HasPrefix(command, "LIST"):
			io.WriteString(w, "* LIST () \".\" Bad\r\n* LIST () \".\" Good\r\n")
			return "OK"
		case folder == "Bad" && command == "UID FETCH 1:* (UID)":
			io.WriteString(w, "* X-ODD {99999999999}\r\n")
			return "OK"
		case folder == "Good" && strings.Contains(command, "BODY.PEEK") && uidsOf(command)[0] == 10:
			io.WriteString(w, "* 1 FETCH (UID 10 BODY[] {99999999999}\r\n")
			for range 1000 {
				if _, err := io.WriteString(w, strings.Repeat("x", 10_000)); err != nil {
					break
				}
			}
			return ""
		}
		return plain(conn, command, w)
	})
	k := newKeeper()
	r := bringAll(t, openOdd(t, s.account()), k)
	if got := k.texts("Good"); !slices.Equal(got, texts[1:]) {
		t.Errorf("there came %q", got)
	}
	want := "Bad: the rest of it cannot be read: the server sends more than anybody can use: 99999999999 octets that nobody has asked for; " +
		"Good, message 10: it has 1.1 MB, and the largest message that is taken has 1.0 MB"
	var left []string
	for _, l := range r.Left {
		left = append(left, l.String())
	}
	if got := strings.Join(left, "; "); got != want {
		t.Errorf("left out is %q, not %q", got, want)
	}
}

func letterTexts(n int) (texts []string) {
	for i := range n {
		texts = append(texts, fmt.Sprintf("Subject: %d\r\n\r\n", i))
	}
	return texts
}

// sink is a Destination that forgets, and measures the heap at its fullest.
type sink struct {
	most  uint64
	count int
}

func (s *sink) Look(context.Context, string, func(ID)) (Place, error) {
	return Place{Name: "INBOX", Exists: true, MaxMessage: 1 << 40}, nil
}

func (s *sink) Lack(context.Context, int64, int64) (Lack, error) { return Lack{}, nil }

func (s *sink) Append(_ context.Context, _ Place, fill func(add func(*Message, io.Reader) error) error) error {
	buf := make([]byte, 32<<10)
	return fill(func(_ *Message, octets io.Reader) error {
		s.count++
		for n := 0; ; n++ {
			if n%400 == 0 && s.count%50 < 2 {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				s.most = max(s.most, m.HeapAlloc)
			}
			if _, err := octets.Read(buf); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
		}
	})
}

// TestIMAPMemory: neither a large message nor many small ones take memory.
func TestIMAPMemory(t *testing.T) { // not parallel: it measures the heap
	const small, large = 5000, 60 << 20
	piece := []byte(strings.Repeat("0123456789abcdef\r\n", 1<<10))
	size := func(uid int) int {
		if uid == 2500 {
			return large
		}
		return 2000
	}
	s := startOdd(t, func(_ int, command string, w io.Writer) string {
		switch {
		case strings.HasPrefix(command, "EXAMINE"):
			fmt.Fprintf(w, "* %d EXISTS\r\n* OK [UIDVALIDITY 7]\r\n", small)
		case command == "UID FETCH 1:* (UID)":
			for i := range small {
				fmt.Fprintf(w, "* %d FETCH (UID %d)\r\n", i+1, i+1)
			}
		case strings.HasPrefix(command, "UID FETCH"):
			first, last, isRange := strings.Cut(strings.Fields(command)[2], ":")
			from, _ := strconv.Atoi(first)
			to := from
			if isRange {
				to, _ = strconv.Atoi(last)
			}
			for uid := from; uid <= to; uid++ {
				if strings.Contains(command, "SIZE") {
					fmt.Fprintf(w, "* %d FETCH (UID %d FLAGS () RFC822.SIZE %d)\r\n", uid, uid, size(uid))
					continue
				}
				fmt.Fprintf(w, "* %d FETCH (UID %d BODY[] {%d}\r\n", uid, uid, size(uid))
				for left := size(uid); left > 0; left -= len(piece) {
					w.Write(piece[:min(left, len(piece))])
				}
				io.WriteString(w, ")\r\n")
			}
		case strings.HasPrefix(command, "LIST"):
			io.WriteString(w, "* LIST () \"/\" INBOX\r\n")
		case strings.HasPrefix(command, "CAPABILITY"):
			io.WriteString(w, "* CAPABILITY IMAP4rev1\r\n")
		}
		return "OK done"
	})
	src := openOdd(t, s.account())
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	dst := &sink{}
	r := bringAll(t, src, dst)
	if added, octets := r.Added(); added != small || octets != large+2000*(small-1) {
		t.Errorf("%d messages came, %d octets", added, octets)
	}
	grown := int64(dst.most) - int64(before.HeapAlloc)
	t.Logf("the heap grew by %s at most", Octets(max(0, grown)))
	if grown > 1<<20 {
		t.Errorf("the heap grew by %s", Octets(grown))
	}
}
