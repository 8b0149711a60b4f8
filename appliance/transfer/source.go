package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"time"

	"letterbox/store/message"
)

// A Source is mail somewhere else, in folders. It is only read. It has one user at a time.
//
// What of it cannot be read and has a name goes into the lists, with why (Folder.Fault, Message.Fault). An error that is *Unreadable
// ends the folder at hand; any other ends the import, as a broken connection must.
type Source interface {
	// Folders lists the folders, in the order in which they are to come.
	Folders(ctx context.Context) ([]Folder, error)
	// Messages calls found for each message of a folder, in the order in which they are to come. It returns found's error as it
	// is. Fetch may be called from found.
	Messages(ctx context.Context, f Folder, found func(Message) error) error
	// Fetch reads messages of a folder that Messages has shown, in the order of msgs, and calls take with the index of each and its
	// octets; bare LF counts as CRLF. Where octets end with an error that is *Unreadable, that message cannot be had. take reads
	// them to their end or returns an error, which Fetch returns as it is.
	Fetch(ctx context.Context, f Folder, msgs []Message, take func(i int, octets io.Reader) error) error
}

// A Folder is a folder of a Source.
type Folder struct {
	Name         string // as the source calls it, UTF-8
	To           string // what it is to be called here, as far as that is possible, levels separated by "/"; "": Name
	Unsubscribed bool   // it is not to be shown: a folder made for it is not subscribed
	Messages     int64  // how many there are; Unknown
	Size         int64  // what the Share of all of them adds up to, in octets; Unknown
	Fault        error  // why it is left out, nil if it is not
	Key          any    // the Source's own
}

// Unknown is a number that a Source cannot tell beforehand.
const Unknown = -1

// A Message is a message of a Source.
type Message struct {
	Name  string // what a person finds it by: a file's name, a number
	ID    ID
	Kept  ID        // that of a message here of which it is a copy (KeptID), if there is one; zero: it cannot tell
	Flags []string  // IMAP names: system flags and keywords
	Date  time.Time // INTERNALDATE; zero: not known
	Size  int64     // in wire form, octets
	Share int64     // of Folder.Size
	Fault error     // why it is left out, nil if it is not: then Name and Share alone count
	Key   any       // the Source's own
}

// An ID tells a message from every other one in a folder of a Source, and is the same whenever the Source is looked at. Its first half
// tells what is in the message: it is made of the octets, and zero as long as nobody has read them (placeID). Its second half
// tells which one it is among those with the same octets.
type ID [16]byte

const idHalf = len(ID{}) / 2

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads what String writes.
func ParseID(text string) (ID, error) {
	var id ID
	if len(text) != 2*len(id) {
		return id, fmt.Errorf("%q is no identity of a message", text)
	}
	_, err := hex.Decode(id[:], []byte(text))
	return id, err
}

// placeID makes the ID of a message that a source tells from others by where it lies, which stands in parts.
func placeID(parts ...string) ID {
	h := sha256.New()
	var length [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(p)))
		h.Write(length[:])
		io.WriteString(h, p)
	}
	var id ID
	copy(id[idHalf:], h.Sum(nil))
	return id
}

// KeptID is by what a Destination tells a message that no import of this program has brought, of its EMAILID and its size in wire form. A
// Maildir that bears the same message with the same EMAILID, since it is a copy of the folder, shows that it is here already.
//
// An EMAILID that has the form of an ID is that, whatever the size: an import gave it, or Dovecot when it replicated the message.
func KeptID(emailID string, size int64) ID { return markOf(emailID).kept(size) }

// IsID reports whether an EMAILID has the form of an ID.
func IsID(emailID string) bool {
	id, err := ParseID(emailID)
	return err == nil && id.String() == emailID
}

// An emailMark stands for an EMAILID: an ID for itself, any other by its hash.
type emailMark ID

func markOf(emailID string) emailMark {
	if id, err := ParseID(emailID); err == nil && !id.unread() {
		return emailMark(id)
	}
	return emailMark(placeID("email", emailID))
}

// kept is the KeptID of a message of so many octets.
func (m emailMark) kept(size int64) ID {
	if !ID(m).unread() {
		return ID(m)
	}
	return placeID("kept", string(m[:]), strconv.FormatInt(size, 10))
}

// unread reports whether the octets of the message still have to be read for its ID to be whole.
func (id ID) unread() bool { return [idHalf]byte(id[:idHalf]) == [idHalf]byte{} }

// withOctets is the ID when the octets have been read, of which other was made.
func (id ID) withOctets(other ID) ID {
	copy(id[:idHalf], other[:])
	return id
}

// copyOf is the ID of the same message where it comes once more, for the n-th time after the first.
func (id ID) copyOf(n uint32) ID {
	if n == 0 {
		return id
	}
	return placeID("copy", string(id[:]), fmt.Sprint(n)).withOctets(id)
}

// contentID makes the ID of a message, and tells its size, of its octets in wire form.
func contentID(ctx context.Context, octets io.Reader, buf []byte) (id ID, size int64, err error) {
	h := sha256.New()
	size, err = io.CopyBuffer(h, readerOnly{message.NewWireStream(&watchedReader{ctx: ctx, r: octets})}, buf)
	return ID(h.Sum(nil)[:len(ID{})]), size, err
}

// readerOnly hides the methods that would make io.CopyBuffer ignore its buffer.
type readerOnly struct{ io.Reader }

// verified reads the octets of a message whose ID is made of them. When they turn out to be others than those that id was made
// of, its end is an error.
func verified(octets io.Reader, id ID) io.Reader {
	return identified(octets, func(read ID) error {
		if read != id {
			return &Unreadable{errChanged}
		}
		return nil
	})
}

// identified reads octets in wire form, and tells the ID that is made of them at their end. Its error stands in place of the end.
func identified(octets io.Reader, end func(ID) error) io.Reader {
	h := sha256.New()
	return &identifier{r: io.TeeReader(message.NewWireStream(octets), h), h: h, end: end}
}

type identifier struct {
	r   io.Reader
	h   hash.Hash
	end func(ID) error
	err error // in place of the end
}

func (i *identifier) Read(b []byte) (int, error) {
	if i.err != nil {
		return 0, i.err
	}
	n, err := i.r.Read(b)
	if err != io.EOF {
		return n, err
	}
	if i.err = i.end(ID(i.h.Sum(nil)[:len(ID{})])); i.err == nil {
		i.err = io.EOF
	}
	return n, i.err
}

var errChanged = errors.New("somebody changed it while it was read")

// Unreadable says why a message, or the rest of a folder, cannot be read, where all else can.
type Unreadable struct{ Err error }

func (u *Unreadable) Error() string { return u.Err.Error() }

func (u *Unreadable) Unwrap() error { return u.Err }

func isUnreadable(err error) bool {
	var u *Unreadable
	return errors.As(err, &u)
}

// A passedOver is the Fault of a folder that nobody wants by default, or that somebody did not want. It is named, and nothing is
// missing because of it.
type passedOver struct{ why string }

func (p *passedOver) Error() string { return p.why }

// errThrownAway is the Fault of a message that was deleted at the source and is only not cleared away there. It is
// counted and named.
var errThrownAway = errors.New("it was deleted already")

// errOther is the Fault of a file that is no message and does not claim to be one: it is counted and not named.
var errOther = errors.New("it is no message")
