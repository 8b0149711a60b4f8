//go:build interop

package imapd

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"letterbox/store/maildir/dovecottest"
)

// TestInteropBesideDovecot says the same to this server and to Debian's
// Dovecot, each with a mailbox of its own, and compares the answers; see
// normalise for what is not compared. A file of testdata/dovecot is a
// conversation, a list of lines:
//
//	# comment
//	C: text            connection 1 sends a tag, text and CRLF; C2: is connection 2
//	C~ tag "text"      connection 1 sends text, a Go string, and nothing more; tag is that of its last command,
//	                   or + if it waits to go on
//	!= reason          the answers to the next command differ, and this is why we want that
//
// {@FILE} in a line that is sent is FILE of testdata/messages as a literal.
//
// Where an RFC leaves room we do as Dovecot does, since mail programs are
// tested with it, unless a reason is given.
func TestInteropBesideDovecot(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/dovecot/*.talk")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no conversations (%v)", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".talk"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			newTalk(t).play(file, strings.Split(strings.TrimRight(string(text), "\n"), "\n"))
		})
	}
}

// A talk is a conversation with both servers at once.
type talk struct {
	t            *testing.T
	ours, theirs map[string]*speaker // by the number of the connection
	dialOurs     func() io.ReadWriter
	dialTheirs   func() io.ReadWriter
}

func newTalk(t *testing.T) *talk {
	f := newFixture(t, func(o *Options) { o.AppendLimit = 64 << 20 })
	f.listen()
	d := dovecottest.New(t, t.TempDir(), "Archive", "Drafts", "Junk", "Sent", "Trash")
	return &talk{
		t: t, ours: make(map[string]*speaker), theirs: make(map[string]*speaker),
		dialOurs: func() io.ReadWriter {
			conn, err := net.Dial("tcp", f.addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			return conn
		},
		dialTheirs: func() io.ReadWriter { return d.IMAP(t) },
	}
}

var talkLine = regexp.MustCompile(`^C([0-9]*)([:~]) (.*)$`)

func (k *talk) play(file string, lines []string) {
	reason := ""
	for i, line := range lines {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if why, ok := strings.CutPrefix(line, "!= "); ok {
			reason = why
			continue
		}
		m := talkLine.FindStringSubmatch(line)
		if m == nil {
			k.t.Fatalf("%s:%d: this line means nothing: %s", file, i+1, line)
		}
		tag, text := "t"+strconv.Itoa(i+1), ""
		if m[2] == "~" {
			var quoted string
			var err error
			tag, quoted, _ = strings.Cut(m[3], " ")
			if text, err = strconv.Unquote(quoted); err != nil {
				k.t.Fatalf("%s:%d: %v", file, i+1, err)
			}
		} else {
			text = tag + " " + k.withFiles(m[3]) + "\r\n"
		}
		ours, theirs := k.say(m[1], tag, text)
		if isExtendedList(text) {
			ours = unasked(text, ours)
		}
		if refused := bareRefusal.FindString(theirs); refused != "" {
			// A response code where Dovecot gives none harms nobody.
			ours = refusal.ReplaceAllString(ours, "~ $1")
		}
		switch {
		case ours != theirs && reason == "":
			k.t.Errorf("%s:%d: %s\n%s", file, i+1, line, compared(ours, theirs))
		case ours == theirs && reason != "":
			k.t.Errorf("%s:%d: %s\nboth say the same, so that there is no need for a reason:\n%s", file, i+1, line, ours)
		}
		reason = ""
	}
}

// isExtendedList reports whether a command is LIST in the form of RFC 5258.
func isExtendedList(command string) bool {
	fields := strings.Fields(strings.ToUpper(command))
	return len(fields) > 2 && fields[1] == "LIST" && strings.ContainsAny(command, "(")
}

// unasked takes out of the answers to an extended LIST the attributes that
// were not asked for: RFC 9051, 6.3.9.4 allows them, and Dovecot keeps them to itself.
func unasked(command, answers string) string {
	drop := []string{}
	if !strings.Contains(command, "CHILDREN") {
		drop = append(drop, `\HasChildren`, `\HasNoChildren`)
	}
	if !strings.Contains(command, "SPECIAL-USE") {
		drop = append(drop, `\Archive`, `\Drafts`, `\Junk`, `\Sent`, `\Trash`)
	}
	lines := strings.Split(answers, "\n")
	for i, line := range lines {
		if rest, ok := strings.CutPrefix(line, "* LIST ("); ok {
			attributes, name, _ := strings.Cut(rest, ")")
			left := slices.DeleteFunc(strings.Fields(attributes), func(a string) bool { return slices.Contains(drop, a) })
			lines[i] = "* LIST (" + strings.Join(left, " ") + ")" + name
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// compared shows in which lines two answers differ.
func compared(ours, theirs string) string {
	a, b := strings.Split(ours, "\n"), strings.Split(theirs, "\n")
	var out strings.Builder
	for _, line := range a {
		if !slices.Contains(b, line) {
			fmt.Fprintf(&out, "we:      %.2000s\n", line)
		}
	}
	for _, line := range b {
		if !slices.Contains(a, line) {
			fmt.Fprintf(&out, "Dovecot: %.2000s\n", line)
		}
	}
	return out.String() + a[len(a)-1]
}

var (
	bareRefusal = regexp.MustCompile(`~ (NO|BAD)$`)
	refusal     = regexp.MustCompile(`~ (NO|BAD) .*$`)
)

var fileInText = regexp.MustCompile(`\{@([^}]+)\}`)

func (k *talk) withFiles(text string) string {
	return fileInText.ReplaceAllStringFunc(text, func(m string) string {
		b := messageFile(k.t, fileInText.FindStringSubmatch(m)[1])
		return fmt.Sprintf("{%d+}\r\n%s", len(b), b)
	})
}

// say sends text to both and returns what they answer, up to the answer with
// the tag, made comparable.
func (k *talk) say(number, tag, text string) (ours, theirs string) {
	k.t.Helper()
	a, b := k.speaker(k.ours, number, k.dialOurs), k.speaker(k.theirs, number, k.dialTheirs)
	a.send(text)
	b.send(text)
	return normalise(a.until(tag), tag), normalise(b.until(tag), tag)
}

// speaker returns a connection, signed in, opening it the first time.
func (k *talk) speaker(all map[string]*speaker, number string, dial func() io.ReadWriter) *speaker {
	if s := all[number]; s != nil {
		return s
	}
	conn := dial()
	s := &speaker{t: k.t, w: conn, r: bufio.NewReader(conn)}
	all[number] = s
	if greeting, err := readResponse(s.r); err != nil {
		k.t.Fatalf("no greeting: %v", err)
	} else if !strings.HasPrefix(greeting, "* PREAUTH") {
		s.say("login", "login LOGIN ann secret\r\n")
	}
	return s
}

// A speaker is one connection to one of the servers.
type speaker struct {
	t *testing.T
	w io.Writer
	r *bufio.Reader
}

// say sends text and returns the responses up to the one with the tag.
func (s *speaker) say(tag, text string) []string {
	s.t.Helper()
	s.send(text)
	return s.until(tag)
}

func (s *speaker) send(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.w, text); err != nil {
		s.t.Fatalf("%q: %v", text, err)
	}
}

// until returns the responses up to the one with the tag.
func (s *speaker) until(tag string) []string {
	s.t.Helper()
	var got []string
	for {
		line, err := readResponse(s.r)
		got = append(got, line)
		if err == io.EOF {
			return got
		}
		if err != nil {
			s.t.Fatalf("%s: %v after\n%s", tag, err, strings.Join(got, "\n"))
		}
		if strings.HasPrefix(line, tag+" ") {
			return got
		}
	}
}
