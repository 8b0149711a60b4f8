package imapreader

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"letterbox/appliance/imapwire"
)

// A Message is what there is to know of a message without its octets.
type Message struct {
	UID   uint32
	Flags []string
	Date  time.Time // INTERNALDATE; zero: the server does not tell
	Size  int64     // as the server says, which need not be so
}

// maxMessages is how many messages of a folder are listed.
const maxMessages = 4_000_000

// UIDs lists the messages of the folder that is open, in order.
func (c *Conn) UIDs() ([]uint32, error) { return c.uids(maxMessages) }

// uids is UIDs of so many messages at most.
func (c *Conn) uids(most int) ([]uint32, error) {
	var uids []uint32
	f := c.fetch("1:*", "(UID)")
	for f.next() {
		if f.UID == 0 {
			continue
		}
		if uids = append(uids, f.UID); len(uids) > most {
			c.s.tooMuch("more than %d messages in a folder", most)
			return nil, c.broken()
		}
	}
	slices.Sort(uids)
	return slices.Compact(uids), f.Err()
}

// Messages tells about messages, whose UIDs follow each other in the folder. What the server does not know is left out.
func (c *Conn) Messages(uids []uint32) ([]Message, error) {
	if len(uids) == 0 {
		return nil, nil
	}
	list := make([]Message, len(uids))
	set := fmt.Sprintf("%d:%d", uids[0], uids[len(uids)-1])
	f := c.fetch(set, "(UID FLAGS INTERNALDATE RFC822.SIZE)")
	for f.next() {
		i, ok := slices.BinarySearch(uids, f.UID)
		if !ok {
			continue
		}
		m := &list[i] // an answer may come in parts
		m.UID = f.UID
		if f.hasFlags {
			m.Flags = f.Message.Flags
		}
		if !f.Date.IsZero() {
			m.Date = f.Date
		}
		if f.hasSize {
			m.Size = f.Size
		}
	}
	return slices.DeleteFunc(list, func(m Message) bool { return m.UID == 0 }), f.Err()
}

// A Fetch is messages with their octets as they come. It is over when Next has said so; then the connection is good for more.
type Fetch struct {
	Message       // of which UID is 0 if the server tells it behind the octets
	Octets  int64 // how many come
	From    int64 // where they begin; Unknown: at the beginning, and the server does not say
	c       *Conn
	err     error
	ended   bool
	left    int64  // octets to come
	quoted  string // what is left of octets in quotes
	open    bool   // the response at hand has not come to its end
	bodies  bool   // octets were asked for
	missing bool   // there are none

	hasFlags, hasSize, seen bool // what the response has told already; seen: octets
}

// Fetch asks for whole messages. Call Next.
func (c *Conn) Fetch(uids []uint32) *Fetch {
	f := c.fetch(string(imapwire.AppendNumSet(nil, uids)), "(UID BODY.PEEK[])")
	f.bodies = true
	return f
}

// FetchFrom asks for the end of a message, of so many octets. Call Next.
func (c *Conn) FetchFrom(uid uint32, from, octets int64) *Fetch {
	f := c.fetch(strconv.FormatUint(uint64(uid), 10), fmt.Sprintf("(UID BODY.PEEK[]<%d.%d>)", from, octets))
	f.bodies = true
	return f
}

func (c *Conn) fetch(set, items string) *Fetch {
	f := &Fetch{c: c}
	f.err = c.send("UID FETCH " + set + " " + items)
	f.ended = f.err != nil
	return f
}

// Err says what ended the Fetch: nil if the server is done, *Refused if it does not want to.
func (f *Fetch) Err() error { return f.err }

// Next goes to the next message, past what was not read of the one before.
func (f *Fetch) Next() bool {
	for f.next() {
		if f.open && !f.missing {
			return true
		}
		f.finish()
	}
	return false
}

// maxUnread is how much of a message that nobody reads to its end is read in vain. Beyond that it is quicker to connect anew.
const maxUnread = 16 << 20

// next goes to the next response about a message, up to its octets if it has them.
func (f *Fetch) next() bool {
	if f.open && f.left > maxUnread {
		f.c.s.tooMuch("%d octets of a message that is not wanted", f.left)
		return f.end(f.c.broken())
	}
	if f.open {
		_, f.err = io.Copy(io.Discard, readerOnly{f})
		f.ended = f.err != nil
	}
	for !f.ended {
		r, err := f.c.next()
		if err != nil {
			return f.end(err)
		}
		if done, err := f.c.done(r); done {
			return f.end(err)
		}
		if r.word != "FETCH" {
			f.c.data(r, nil)
			continue
		}
		f.Message, f.Octets, f.From, f.left, f.quoted, f.missing = Message{}, 0, Unknown, 0, "", false
		f.hasFlags, f.hasSize, f.seen = false, false, false
		f.c.s.spaces()
		f.c.s.expect('(')
		f.items()
		if err := f.c.broken(); err != nil {
			return f.end(err)
		}
		return true
	}
	return false
}

// readerOnly hides that a Fetch is more.
type readerOnly struct{ io.Reader }

func (f *Fetch) end(err error) bool {
	f.err, f.ended, f.open = err, true, false
	return false
}

// items reads what a response says, up to the octets of the message or the end.
func (f *Fetch) items() {
	s := &f.c.s
	for s.spaces(); s.err == nil && !s.accept(')'); s.spaces() {
		name := strings.ToUpper(s.word("()[<"))
		if name == "" {
			s.nonsense("an item of FETCH")
			return
		}
		if s.peek() != '[' {
			s.spaces()
			f.item(name)
		} else if f.section(name) {
			return
		}
	}
	s.lineEnd()
}

func (f *Fetch) item(name string) {
	s := &f.c.s
	switch name {
	case "UID":
		uid := uint32(s.number("a UID", 32))
		if f.UID != 0 && f.UID != uid {
			s.nonsense("one UID")
		}
		f.UID = uid
	case "FLAGS":
		f.Flags, f.hasFlags = s.list(), true
	case "INTERNALDATE":
		f.Date, _ = imapwire.ParseDateTime(s.text())
	case "RFC822.SIZE":
		f.Size, f.hasSize = int64(s.number("a size", 63)), true
	default:
		s.skip(0)
	}
}

// section reads what stands between an item's name and its octets, and reports whether those are the message's.
func (f *Fetch) section(name string) bool {
	s := &f.c.s
	s.expect('[')
	whole := s.accept(']')
	for !whole && s.err == nil && !s.accept(']') {
		if _, err := s.r.ReadByte(); err != nil {
			s.fail(err)
		}
	}
	from := int64(Unknown)
	if s.accept('<') {
		from = int64(s.number("an origin", 63))
		s.expect('>')
	}
	s.spaces()
	if name != "BODY" || !whole || !f.bodies || f.seen {
		s.skip(0)
		return false
	}
	f.From, f.open, f.seen = from, true, true
	switch s.peek() {
	case '{', '~':
		f.left = s.literal()
	case '"':
		f.quoted = s.quoted()
		f.left = int64(len(f.quoted))
	default:
		s.word("()") // NIL
		f.missing = true
	}
	f.Octets = f.left
	return true
}

// Read reads the octets. Their end comes when the response has come to its own.
func (f *Fetch) Read(b []byte) (int, error) {
	s := &f.c.s
	if !f.open {
		if f.err != nil {
			return 0, f.err
		}
		return 0, io.EOF
	}
	if f.left == 0 {
		f.finish()
		if f.err != nil {
			return 0, f.err
		}
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), f.left)]
	n := copy(b, f.quoted)
	if f.quoted != "" {
		f.quoted = f.quoted[n:]
	} else {
		var err error
		if n, err = s.r.Read(b); err != nil && n == 0 {
			s.fail(err)
			f.end(f.c.broken())
			return 0, f.err
		}
	}
	f.left -= int64(n)
	f.c.meter.left += int64(n)
	return n, nil
}

// finish reads the rest of a response behind the octets.
func (f *Fetch) finish() {
	if !f.open {
		return
	}
	f.open = false
	f.items()
	if err := f.c.broken(); err != nil {
		f.end(err)
	}
}
