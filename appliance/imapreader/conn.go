package imapreader

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Refused is a server's no. The connection is good for more.
type Refused struct {
	Code string // in capitals, such as AUTHENTICATIONFAILED; ""
	Text string // for people, in the server's words
}

func (r *Refused) Error() string { return fmt.Sprintf("the server says %q", r.Text) }

// IsRefused reports whether an error is a server's no.
func IsRefused(err error) bool {
	var r *Refused
	return errors.As(err, &r)
}

// Later reports whether a server's no may turn into a yes with time.
func (r *Refused) Later() bool {
	switch r.Code {
	case "UNAVAILABLE", "THROTTLED", "LIMIT", "INUSE", "OVERQUOTA", "SERVERBUG":
		return true
	}
	return false
}

// An Excess is that a server says more than is listened to. To ask again is of no use.
type Excess struct{ what string }

func (e *Excess) Error() string { return "the server sends more than anybody can use: " + e.what }

// IsExcess reports whether an error is an *Excess.
func IsExcess(err error) bool {
	var e *Excess
	return errors.As(err, &e)
}

// maxAnswer is how many octets of what is said to one command are listened to, messages not counted. As many UIDs as are listed are
// 200 MB at most.
const maxAnswer = 256 << 20

// A meter stops a server that does not stop by itself. It belongs to the Conn.
type meter struct {
	r    io.Reader
	most int64
	left int64 // of most, for the command under way
}

func newMeter(r io.Reader, most int64) meter { return meter{r, most, most} }

func (m *meter) Read(b []byte) (int, error) {
	if m.left <= 0 {
		return 0, &Excess{fmt.Sprintf("an answer of more than %d octets", m.most)}
	}
	n, err := m.r.Read(b[:min(int64(len(b)), m.left)])
	m.left -= int64(n)
	return n, err
}

// A response is the head of what a server says. What follows is still to be read, but of a status response.
type response struct {
	tag    string // "*" without one
	number uint64 // before the word
	word   string // in capitals; "+" when the server waits for more of a command
	code   string // of a status response
	arg    string // of code
	text   string
}

func isStatus(word string) bool {
	switch word {
	case "OK", "NO", "BAD", "BYE", "PREAUTH":
		return true
	}
	return false
}

// next reads the head of a response.
func (c *Conn) next() (r response, err error) {
	s := &c.s
	r.tag = s.word("")
	if r.tag == "+" {
		r.word = "+"
		r.text = s.line(maxShown)
		return r, c.broken()
	}
	s.spaces()
	r.word = strings.ToUpper(s.word(""))
	if n, err := strconv.ParseUint(r.word, 10, 32); err == nil {
		r.number = n
		s.spaces()
		r.word = strings.ToUpper(s.word(""))
	}
	if s.err == nil && (r.tag == "" || r.word == "") {
		s.nonsense("a response")
	}
	if isStatus(r.word) {
		c.status(&r)
	}
	return r, c.broken()
}

// status reads the rest of a status response.
func (c *Conn) status(r *response) {
	s := &c.s
	s.spaces()
	if s.accept('[') {
		r.code = strings.ToUpper(s.word("]"))
		s.spaces()
		var arg []byte
		for s.err == nil && s.peek() != ']' && s.peek() != '\n' {
			b, err := s.r.ReadByte()
			if err != nil {
				s.fail(err)
			}
			if len(arg) < maxText {
				arg = append(arg, b)
			}
		}
		s.accept(']')
		s.spaces()
		r.arg = string(arg)
	}
	r.text = s.line(maxShown)
	if r.code == "CAPABILITY" {
		c.setCaps(r.arg)
	}
	if r.word == "BYE" {
		c.bye = r.text
	}
}

// broken is the error of the connection.
func (c *Conn) broken() error {
	if c.s.err != nil && c.bye != "" && !IsExcess(c.s.err) {
		return fmt.Errorf("the server hung up and said %q", c.bye)
	}
	return c.s.err
}

func (c *Conn) setCaps(list string) {
	clear(c.caps)
	for _, name := range strings.Fields(strings.ToUpper(list)) {
		c.caps[name] = true
	}
}

func (c *Conn) greeting() error {
	r, err := c.next()
	switch {
	case err != nil:
		return err
	case r.word == "NO", r.word == "BAD", r.word == "BYE":
		return &Refused{r.code, r.text}
	case r.word != "OK" && r.word != "PREAUTH":
		return errors.New("it does not greet")
	}
	c.pre = r.word == "PREAUTH"
	return nil
}

// send begins a command.
func (c *Conn) send(command string) error { return c.write(c.newTag() + " " + command + "\r\n") }

func (c *Conn) newTag() string {
	c.tags++
	c.meter.left = c.meter.most
	c.tag = "a" + strconv.Itoa(c.tags)
	return c.tag
}

func (c *Conn) write(text string) error {
	if _, err := c.conn.Write([]byte(text)); err != nil {
		c.s.fail(err)
	}
	return c.broken()
}

// run does a command to its end. data reads the rest of untagged responses, and reports whether it did; nil: none matters.
func (c *Conn) run(command string, data func(response) bool) error {
	if err := c.send(command); err != nil {
		return err
	}
	return c.finish(data)
}

// finish reads the responses to a command to their end.
func (c *Conn) finish(data func(response) bool) error {
	for {
		r, err := c.next()
		if err != nil {
			return err
		}
		if r.word == "+" {
			c.s.fail(errors.New("the server waits for what nobody wants to say"))
			return c.broken()
		}
		if done, err := c.done(r); done {
			return err
		}
		c.data(r, data)
		if err := c.broken(); err != nil {
			return err
		}
	}
}

// done tells whether a response ends the command.
func (c *Conn) done(r response) (bool, error) {
	switch {
	case r.tag != c.tag:
		return false, nil
	case r.word == "OK":
		return true, nil
	case r.word == "NO", r.word == "BAD":
		return true, &Refused{r.code, r.text}
	}
	c.s.nonsense("the end of a command")
	return true, c.broken()
}

// data reads the rest of an untagged response.
func (c *Conn) data(r response, data func(response) bool) {
	switch {
	case isStatus(r.word):
		if data != nil {
			data(r)
		}
	case r.word == "CAPABILITY":
		c.setCaps(c.s.line(maxText))
	case data == nil || !data(r):
		c.s.skipLine()
	}
}

// can tells whether the server has a capability.
func (c *Conn) can(name string) (bool, error) {
	if len(c.caps) == 0 {
		if err := c.run("CAPABILITY", nil); err != nil {
			return false, err
		}
	}
	return c.caps[name], nil
}

// runWith is run with strings behind the command, which are sent as the server can take them: in quotes or as literals.
func (c *Conn) runWith(data func(response) bool, command string, args ...string) error {
	line := c.newTag() + " " + command
	for _, arg := range args {
		if quotable(arg) {
			line += " " + quote(arg)
			continue
		}
		if err := c.wait(line+" {"+strconv.Itoa(len(arg))+"}\r\n", data); err != nil {
			return err
		}
		line = arg
	}
	if err := c.write(line + "\r\n"); err != nil {
		return err
	}
	return c.finish(data)
}

// wait writes and waits until the server wants more.
func (c *Conn) wait(text string, data func(response) bool) error {
	if err := c.write(text); err != nil {
		return err
	}
	for {
		r, err := c.next()
		if err != nil || r.word == "+" {
			return err
		}
		if done, err := c.done(r); done {
			if err == nil {
				c.s.nonsense("a line with +")
				err = c.broken()
			}
			return err
		}
		c.data(r, data)
	}
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func quotable(s string) bool {
	return len(s) < 900 && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// Why a server does not even want to hear a password.
var (
	ErrNoPassword  = errors.New("the server takes no passwords, only sign-in by way of a web page")
	ErrUnencrypted = errors.New("the server takes passwords over an encrypted connection only")
)

// SignIn signs in. *Refused: not with this name and password. It sends no password where the server does not want one: ErrNoPassword,
// ErrUnencrypted.
func (c *Conn) SignIn(user, password string) error {
	if c.pre {
		return nil
	}
	plain, err := c.can("AUTH=PLAIN")
	if err != nil {
		return err
	}
	switch {
	case plain:
		err = c.authenticate(user, password)
	case c.caps["LOGINDISABLED"] && !c.encrypted: // RFC 9051, 6.2.3
		return ErrUnencrypted
	case c.caps["LOGINDISABLED"]:
		return ErrNoPassword
	default:
		err = c.runWith(nil, "LOGIN", user, password)
	}
	if err != nil {
		return err
	}
	// RFC 3501, 6.2.3: what the server can may be more now. Some providers want to hear who is there.
	if err := c.run("CAPABILITY", nil); err != nil {
		return err
	}
	if c.caps["ID"] {
		if err := c.run(`ID ("name" "letterbox")`, nil); err != nil && !IsRefused(err) {
			return err
		}
	}
	return nil
}

func (c *Conn) authenticate(user, password string) error {
	secret := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	if c.caps["SASL-IR"] {
		return c.run("AUTHENTICATE PLAIN "+secret, nil)
	}
	if err := c.wait(c.newTag()+" AUTHENTICATE PLAIN\r\n", nil); err != nil {
		return err
	}
	if err := c.write(secret + "\r\n"); err != nil {
		return err
	}
	return c.finish(nil)
}
