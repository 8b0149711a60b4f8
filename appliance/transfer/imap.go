package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"letterbox/appliance/imapreader"
)

// An IMAPAccount is somebody's mail at an IMAP server, and what of it is wanted.
type IMAPAccount struct {
	Server         imapreader.Server
	User, Password string
	Folders        []string     // these, and what lies below them; none: all but those that only show what lies elsewhere
	Exclude        []string     // not these, and not what lies below them
	KeepNames      bool         // special folders are called as there, not Sent, Drafts, Junk, Trash and Archive
	Say            func(string) // hears of trouble with the connection
}

// IMAP is a Source of somebody's mail at an IMAP server. A connection that breaks is made again, in the middle of a message if it must
// be. Where a message lies identifies it: the server and user, the folder, its UIDVALIDITY and UID; and its size, lest a
// server that takes another's name make new mail look like old.
type IMAP struct {
	account IMAPAccount
	conn    *imapreader.Conn // nil: none, or it is of no more use
	open    string           // the folder that is open in conn
	pauses  []time.Duration  // before each try to connect again
	given   int              // how many messages in a row were given up because the connection broke at them
	single  bool             // the server is asked for one message at a time
}

// imapPauses are long enough for a line that is connected anew, and for a server that wants to be left alone for a moment.
var imapPauses = []time.Duration{0, time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute}

// How a server is asked.
const (
	imapWindow    = 500 // messages asked about at once
	imapSetUIDs   = 80  // messages fetched with one command: RFC 2683, 3.2.1.5 wants short lines
	imapStrikes   = 3   // how often the connection may break at the same place
	imapMostGiven = 5   // IMAP.given that means that it is not the messages
)

// OpenIMAP connects and signs in. Its errors are sentences for people. Close it.
func OpenIMAP(ctx context.Context, account IMAPAccount) (*IMAP, error) {
	s := &IMAP{account: account, pauses: imapPauses}
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Close hangs up.
func (s *IMAP) Close() error {
	s.hangUp()
	return nil
}

func (s *IMAP) hangUp() {
	if s.conn != nil {
		_ = s.conn.Close() // nothing is lost with it
	}
	s.conn, s.open = nil, ""
}

func (s *IMAP) connect(ctx context.Context) (err error) {
	if s.conn, err = imapreader.Dial(ctx, s.account.Server); err == nil {
		err = s.signIn()
	}
	if err == nil {
		return nil
	}
	s.hangUp()
	return cmp.Or(ctx.Err(), err)
}

func (s *IMAP) signIn() error {
	err := s.conn.SignIn(s.account.User, s.account.Password)
	if imapreader.IsRefused(err) || errors.Is(err, imapreader.ErrNoPassword) || errors.Is(err, imapreader.ErrUnencrypted) {
		return signInError(s.account.Server.Host, s.account.User, err)
	}
	return err
}

// reconnect connects again, after a fault; strike is how many tries there were for what is being done.
func (s *IMAP) reconnect(ctx context.Context, why error, strike int) error {
	s.hangUp()
	for i := min(strike, len(s.pauses)); i < len(s.pauses); i++ {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if pause := s.pauses[i]; pause > 0 {
			s.say(fmt.Sprintf("the connection to %s is lost (%v); trying again in %s", s.account.Server.Host, why, span(pause.Seconds())))
			if err := sleep(ctx, pause); err != nil {
				return err
			}
		}
		err := s.connect(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		why = err
	}
	return fmt.Errorf("the connection to %s is lost: %w", s.account.Server.Host, why)
}

func (s *IMAP) say(line string) {
	if s.account.Say != nil {
		s.account.Say(line)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errClosed = errors.New("it was closed")

// retry does something with the connection that has no effect until it succeeds, again where the connection breaks or the server wants
// to be left alone. Of a server's no it makes an *Unreadable.
func (s *IMAP) retry(ctx context.Context, do func() error) error {
	for strike := 0; ; strike++ {
		var err error
		if s.conn == nil {
			if err := s.reconnect(ctx, errClosed, strike); err != nil {
				return err
			}
		}
		if err = do(); err == nil || isUnreadable(err) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if imapreader.IsExcess(err) {
			s.hangUp()
			return &Unreadable{err}
		}
		var no *imapreader.Refused
		if errors.As(err, &no) && !no.Later() {
			return &Unreadable{err}
		}
		if err := s.reconnect(ctx, err, strike); err != nil {
			return err
		}
	}
}

// imapFolder is the Key of a Folder.
type imapFolder struct {
	wire     string
	validity uint32 // 0: it has not been opened yet
	messages uint32
}

// Folders lists the folders and asks how much is in them.
func (s *IMAP) Folders(ctx context.Context) ([]Folder, error) {
	var found []imapreader.Folder
	err := s.retry(ctx, func() (err error) {
		found, err = s.conn.Folders()
		return err
	})
	if err != nil {
		return nil, err
	}
	list, err := s.account.choose(found)
	if err != nil {
		return nil, err
	}
	for i := range list {
		f := &list[i]
		f.Messages, f.Size = Unknown, Unknown
		if f.Fault != nil {
			f.Messages, f.Size = 0, 0
			continue
		}
		err := s.retry(ctx, func() (err error) {
			f.Messages, f.Size, err = s.conn.Status(f.Key.(*imapFolder).wire)
			return err
		})
		if err != nil && !isUnreadable(err) {
			return nil, err
		}
	}
	return list, nil
}

var errNumberedAnew = &Unreadable{errors.New("the server numbered its messages anew in the middle of it; the same command begins it again")}

// examine opens a folder, if it is not open.
func (s *IMAP) examine(f *imapFolder) error {
	if s.open == f.wire && f.validity != 0 {
		return nil
	}
	s.open = ""
	validity, messages, err := s.conn.Examine(f.wire)
	if err != nil {
		return err
	}
	if validity == 0 {
		return &Unreadable{errors.New("the server does not number its messages for good (it tells no UIDVALIDITY)")}
	}
	if f.validity != 0 && f.validity != validity {
		return errNumberedAnew
	}
	s.open, f.validity, f.messages = f.wire, validity, messages
	return nil
}

// Messages asks about the messages of a folder, some at a time.
func (s *IMAP) Messages(ctx context.Context, folder Folder, found func(Message) error) error {
	f := folder.Key.(*imapFolder)
	var uids []uint32
	err := s.retry(ctx, func() (err error) {
		if err = s.examine(f); err == nil && f.messages > 0 {
			uids, err = s.conn.UIDs()
		}
		return err
	})
	if err != nil {
		return err
	}
	for len(uids) > 0 {
		window := uids[:min(imapWindow, len(uids))]
		uids = uids[len(window):]
		var list []imapreader.Message
		err := s.retry(ctx, func() (err error) {
			if err = s.examine(f); err == nil {
				list, err = s.conn.Messages(window)
			}
			return err
		})
		if err != nil {
			return err
		}
		for _, m := range list {
			if err := found(s.message(f, m)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *IMAP) message(f *imapFolder, m imapreader.Message) Message {
	uid := strconv.FormatUint(uint64(m.UID), 10)
	return Message{
		Name: "message " + uid,
		ID: placeID("imap", strings.ToLower(s.account.Server.Host), s.account.User, f.wire, strconv.FormatUint(uint64(f.validity), 10), uid,
			strconv.FormatInt(m.Size, 10)),
		Flags: m.Flags,
		Date:  m.Date,
		Size:  m.Size,
		Share: m.Size,
		Key:   m.UID,
	}
}

// Fetch reads messages. They come in the order in which the server gives them.
func (s *IMAP) Fetch(ctx context.Context, folder Folder, msgs []Message, take func(i int, octets io.Reader) error) error {
	t := &imapTransfer{IMAP: s, ctx: ctx, folder: folder.Key.(*imapFolder), take: take, left: make(map[uint32]int, len(msgs))}
	for i, m := range msgs {
		uid := m.Key.(uint32)
		t.order = append(t.order, uid)
		t.left[uid] = i
	}
	for strike := 0; len(t.left) > 0; {
		if s.conn == nil {
			if err := s.reconnect(ctx, errClosed, strike); err != nil {
				return err
			}
		}
		before := len(t.left)
		err := t.some()
		if err == nil {
			strike = 0
			continue
		}
		if len(t.left) < before {
			strike = 0
		}
		if strike, err = t.after(err, strike); err != nil {
			return err
		}
	}
	return nil
}

// An imapTransfer is a Fetch under way.
type imapTransfer struct {
	*IMAP
	ctx    context.Context
	folder *imapFolder
	take   func(i int, octets io.Reader) error
	order  []uint32       // UIDs
	left   map[uint32]int // UIDs that have not been taken, and what take calls them
	one    bool           // ask for one at a time
}

// takeError is an error of take.
type takeError struct{ err error }

func (t *takeError) Error() string { return t.err.Error() }

var errNotGiven = errors.New("the server lists it and does not give it")

// wanted are the UIDs to ask for next.
func (t *imapTransfer) wanted() []uint32 {
	most := imapSetUIDs
	if t.one || t.single {
		most = 1
	}
	var uids []uint32
	for _, uid := range t.order {
		if _, ok := t.left[uid]; ok {
			if uids = append(uids, uid); len(uids) == most {
				break
			}
		}
	}
	return uids
}

// some fetches some of the messages with one command. A message that the server does not give is over with, if it was asked for alone.
func (t *imapTransfer) some() error {
	if err := t.examine(t.folder); err != nil {
		return err
	}
	uids := t.wanted()
	fetch := t.conn.Fetch(uids)
	for fetch.Next() {
		uid := fetch.UID
		if uid == 0 && len(uids) == 1 {
			uid = uids[0] // told behind the octets
		} else if uid == 0 {
			t.single = true
			continue
		}
		i, ok := t.left[uid]
		if !ok {
			continue
		}
		body := &imapBody{imapTransfer: t, fetch: fetch, uid: uid, total: fetch.Octets}
		if err := t.take(i, body); err != nil {
			return &takeError{err}
		}
		delete(t.left, uid)
		if body.whole {
			t.given = 0
		}
		if body.fetch != fetch { // the connection is another
			for body.fetch.Next() {
			}
			return body.fetch.Err()
		}
	}
	if err := fetch.Err(); err != nil {
		return err
	}
	for _, uid := range uids {
		if _, missing := t.left[uid]; !missing {
			continue
		}
		if len(uids) > 1 {
			t.one = true
			return nil
		}
		return t.giveUp(uid, errNotGiven)
	}
	return nil
}

// giveUp is done with a message that cannot be had.
func (t *imapTransfer) giveUp(uid uint32, why error) error {
	i := t.left[uid]
	delete(t.left, uid)
	if err := t.take(i, failing{&Unreadable{why}}); err != nil {
		return &takeError{err}
	}
	return nil
}

// after decides how it goes on after a fault: it returns how often the same place has failed, or the error that ends it all.
func (t *imapTransfer) after(err error, strike int) (int, error) {
	var taken *takeError
	if errors.As(err, &taken) {
		t.hangUp() // in the middle of an answer
		return 0, taken.err
	}
	if t.ctx.Err() != nil {
		return 0, t.ctx.Err()
	}
	if isUnreadable(err) {
		return 0, err
	}
	uids := t.wanted()
	var no *imapreader.Refused
	if errors.As(err, &no) && !no.Later() {
		if t.open == "" { // the folder is refused
			return 0, &Unreadable{err}
		}
		if len(uids) > 1 {
			t.one = true
			return 0, nil
		}
		return 0, asTaken(t.giveUp(uids[0], err))
	}
	later := no != nil
	if err := t.reconnect(t.ctx, err, strike); err != nil {
		return 0, err
	}
	if strike++; strike < imapStrikes || later {
		return strike, nil
	}
	if len(uids) > 1 {
		t.one = true
		return 0, nil
	}
	if err = t.breaksAt(err); isUnreadable(err) {
		err = asTaken(t.giveUp(uids[0], err))
	}
	return 0, err
}

// breaksAt is the fault of a message at which the connection breaks: *Unreadable, unless it is not the messages.
func (t *imapTransfer) breaksAt(why error) error {
	if t.given++; t.given > imapMostGiven {
		return fmt.Errorf("the connection to %s breaks again and again: %w", t.account.Server.Host, why)
	}
	return &Unreadable{fmt.Errorf("the connection breaks at it: %w", why)}
}

func asTaken(err error) error {
	var taken *takeError
	if errors.As(err, &taken) {
		return taken.err
	}
	return err
}

// imapBody reads a message, over as many connections as it takes.
type imapBody struct {
	*imapTransfer
	fetch   *imapreader.Fetch
	uid     uint32
	total   int64 // octets that were announced at first
	read    int64
	strikes int
	whole   bool // all of it has been read
}

func (b *imapBody) Read(p []byte) (int, error) {
	for {
		n, err := b.fetch.Read(p)
		if n > 0 {
			b.read += int64(n)
			b.strikes = 0
			return n, nil
		}
		if err == io.EOF {
			return 0, b.ended()
		}
		if err != nil {
			if err := b.again(err); err != nil {
				return 0, err
			}
		}
	}
}

// ended is what ends the octets: io.EOF if they were those that were asked for.
func (b *imapBody) ended() error {
	if b.fetch.UID != 0 && b.fetch.UID != b.uid {
		b.single = true
		return &Unreadable{errors.New("the server gave another one for it")}
	}
	b.whole = true
	return io.EOF
}

// again goes on after a fault where it stopped.
func (b *imapBody) again(why error) error {
	for {
		if b.ctx.Err() != nil {
			return b.ctx.Err()
		}
		if b.strikes == imapStrikes {
			return b.breaksAt(why)
		}
		if err := b.reconnect(b.ctx, why, b.strikes); err != nil {
			return err
		}
		b.strikes++
		err := b.resume()
		if err == nil || isUnreadable(err) {
			return err
		}
		why = err
	}
}

// resume asks for the rest of the message.
func (b *imapBody) resume() error {
	if err := b.examine(b.folder); err != nil {
		return err
	}
	if b.read > 0 && b.read < b.total {
		b.fetch = b.conn.FetchFrom(b.uid, b.read, b.total-b.read)
	} else {
		b.fetch = b.conn.Fetch([]uint32{b.uid})
	}
	if !b.fetch.Next() {
		err := b.fetch.Err()
		if err == nil {
			err = errNotGiven
		}
		if err == errNotGiven || imapreader.IsRefused(err) {
			return &Unreadable{err}
		}
		return err
	}
	skip := b.read
	if b.fetch.From >= 0 {
		skip = b.read - b.fetch.From
	}
	// RFC 3501, 2.3.1.1: a UID stands for the same octets forever. What has another length is something else.
	if skip < 0 || b.fetch.Octets-skip != b.total-b.read {
		return &Unreadable{errChanged}
	}
	_, err := io.CopyN(io.Discard, b.fetch, skip)
	return err
}
