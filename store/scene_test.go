//go:build interop

package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"letterbox/store/maildir"
	"letterbox/store/maildir/dovecottest"
)

// A scene is a tree that we serve, running, and Dovecot beside us.
type scene struct {
	t    *testing.T
	dir  string
	s    *Store
	stop func() // ends the store
	wake chan struct{}
	d    *dovecottest.Dovecot
	then map[string]folderView // what both saw last
	subs []string              // what Dovecot is subscribed to
}

// A folderView is what a client can see of a folder.
type folderView struct {
	Validity uint32
	Next     uint32
	ID       string
	Messages []messageView
}

type messageView struct {
	UID     uint32
	Flags   string
	EmailID string
	Octets  string
	Date    int64
	Saved   int64 // ours alone
}

func newScene(t *testing.T, lines ...string) *scene {
	t.Helper()
	s := &scene{t: t, dir: t.TempDir(), then: map[string]folderView{}}
	s.start()
	s.d = dovecottest.New(t, filepath.Join(s.dir, "mail", "ann", "Maildir")).With(t, lines...)
	return s
}

// start opens the store and runs it.
func (s *scene) start() {
	s.t.Helper()
	st, err := Open(s.dir, Options{})
	for errors.Is(err, ErrLocked) && s.t.Context().Err() == nil { // by a neighbour's child that is just being born
		st, err = Open(s.dir, Options{})
	}
	s.must(err)
	s.must(st.CreateAccount("ann"))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- st.Run(ctx) }()
	s.s, s.wake = st, make(chan struct{}, 1)
	account(s.t, st).Watch(s.wake)
	var once sync.Once
	s.stop = func() {
		once.Do(func() {
			cancel()
			s.must(errors.Join(<-done, st.Close()))
		})
	}
	s.t.Cleanup(s.stop)
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// with opens a mailbox of ours for a moment.
func (s *scene) with(name string, do func(m *Mailbox)) {
	s.t.Helper()
	m, err := account(s.t, s.s).Open(name)
	s.must(err)
	do(m)
	s.must(m.Close())
}

func (s *scene) append(name, text string, flags ...string) (uids []UID) {
	s.t.Helper()
	s.with(name, func(m *Mailbox) {
		var err error
		uids, err = m.Append(s.t.Context(), []AppendMessage{{In: incoming(s.t, s.s, text), Flags: flags, Date: time.Unix(1234567890, 0)}})
		s.must(err)
	})
	return uids
}

func (s *scene) deliver(name, text string) {
	s.t.Helper()
	s.must(s.s.Deliver(s.t.Context(), incoming(s.t, s.s, text), []Target{{Person: "ann", Mailbox: name}}))
}

func (s *scene) flag(name string, op FlagOp, uids []UID, flags ...string) {
	s.t.Helper()
	s.with(name, func(m *Mailbox) {
		f, err := m.KeywordFlags(flags, op != RemoveFlags)
		s.must(err)
		_, _, err = m.StoreFlags(uids, op, f, 0)
		s.must(err)
	})
}

func (s *scene) expunge(name string, uids ...UID) {
	s.t.Helper()
	s.with(name, func(m *Mailbox) { s.must(m.Expunge(uids)) })
}

func (s *scene) copy(name string, uids []UID, to string) {
	s.t.Helper()
	s.with(name, func(m *Mailbox) {
		s.with(to, func(dst *Mailbox) {
			cs, err := m.Copy(uids, dst)
			s.must(err)
			if len(cs) != len(uids) {
				s.t.Fatalf("copied %v, not %v", cs, uids)
			}
		})
	})
}

func (s *scene) move(name string, uids []UID, to string) {
	s.t.Helper()
	s.with(name, func(m *Mailbox) {
		s.with(to, func(dst *Mailbox) {
			cs, err := m.Move(uids, dst)
			s.must(err)
			if len(cs) != len(uids) {
				s.t.Fatalf("moved %v, not %v", cs, uids)
			}
		})
	})
}

func (s *scene) uids(name string) (uids []UID) {
	s.t.Helper()
	s.with(name, func(m *Mailbox) { uids = m.UIDs(nil) })
	return uids
}

func (s *scene) create(name string) {
	s.t.Helper()
	s.must(account(s.t, s.s).Create(name, ""))
}

func (s *scene) rename(from, to string) {
	s.t.Helper()
	s.must(account(s.t, s.s).Rename(from, to))
}

func (s *scene) delete(names ...string) {
	s.t.Helper()
	for _, name := range names {
		s.must(account(s.t, s.s).Delete(name))
	}
}

// gone forgets what was seen of folders that were deleted, but for their UIDVALIDITY.
func (s *scene) gone(names ...string) {
	for _, name := range names {
		was := s.then[name].Validity
		delete(s.then, name)
		for _, v := range s.then {
			if v.Validity == was {
				s.t.Errorf("UIDVALIDITY %d is there twice", was)
			}
		}
	}
}

func (s *scene) subscribe(name string, on bool) {
	s.t.Helper()
	s.must(account(s.t, s.s).Subscribe(name, on))
}

func (s *scene) doveadm(args ...string) {
	s.t.Helper()
	s.d.Doveadm(s.t, "", args...)
}

func (s *scene) save(name, text string) {
	s.t.Helper()
	s.d.Doveadm(s.t, strings.ReplaceAll(text, "\r\n", "\n"), "save", "-m", name)
}

func (s *scene) lda(text string, args ...string) {
	s.t.Helper()
	s.must(s.d.LDA(text, args...))
}

// path is a file of a folder.
func (s *scene) path(folder, file string) string {
	s.t.Helper()
	var dir string
	s.with(folder, func(m *Mailbox) { dir = m.dir().Path() })
	return filepath.Join(dir, file)
}

// program is another program that puts a file into a folder.
func (s *scene) program(folder, file, text string) {
	s.t.Helper()
	temp := s.path(folder, "tmp/"+filepath.Base(file))
	s.must(os.WriteFile(temp, []byte(text), 0o600))
	s.must(os.Chtimes(temp, time.Time{}, time.Unix(1111111111, 0)))
	s.must(os.Rename(temp, s.path(folder, file)))
}

// settle lets both write out what they know of a folder.
func (s *scene) settle(folder string) {
	s.t.Helper()
	s.uids(folder)
	s.doveadm("force-resync", folder)
	s.uids(folder)
}

func (s *scene) lockList(name string) (unlock func()) {
	s.t.Helper()
	var lock *maildir.UIDListLock
	s.with(name, func(m *Mailbox) {
		var err error
		lock, err = m.folder.LockUIDList(s.t.Context())
		s.must(err)
	})
	return func() {
		s.t.Helper()
		s.must(lock.Unlock())
	}
}

// removeAll removes files by a pattern from every folder.
func (s *scene) removeAll(pattern string) {
	s.t.Helper()
	root := filepath.Join(s.dir, "mail", "ann", "Maildir")
	for _, glob := range []string{filepath.Join(root, pattern), filepath.Join(root, ".*", pattern)} {
		files, err := filepath.Glob(glob)
		s.must(err)
		for _, f := range files {
			s.must(os.Remove(f))
		}
	}
}

// agree compares what both see with each other, and with what they saw before.
func (s *scene) agree(theyFirst bool, d deed) bool {
	s.t.Helper()
	if !theyFirst {
		s.ours()
	}
	theirs := s.theirs(d)
	ours := s.ours()
	if d.repair { // who looked first has to see what the other one mended
		theirs = s.theirs(d)
	}
	var differences []string
	for late := time.After(patience); ; ours = s.ours() {
		if differences = s.compare(d, ours, theirs); len(differences) == 0 {
			break
		}
		select {
		case <-s.wake:
			continue
		case <-late:
		}
		break
	}
	for folder, now := range ours {
		if was, known := s.then[folder]; known && !s.kept(d, was, now) {
			differences = append(differences, fmt.Sprintf("%s changed more than it may:\nbefore %s\nnow    %s", folder, was, now))
		}
	}
	for _, difference := range differences {
		s.t.Errorf("%s: %s", d.name, difference)
	}
	s.then = ours
	return len(differences) == 0
}

// compare returns sentences about what differs.
func (s *scene) compare(d deed, ours, theirs map[string]folderView) (differences []string) {
	s.t.Helper()
	differ := func(format string, args ...any) { differences = append(differences, fmt.Sprintf(format, args...)) }
	for folder, o := range ours {
		if th, there := theirs[folder]; !there {
			differ("Dovecot does not have %q", folder)
		} else if !same(d, o, th) {
			differ("%s: we have %s\nDovecot %s", folder, o, th)
		}
	}
	for folder := range theirs {
		if _, there := ours[folder]; !there {
			differ("we do not have %q", folder)
		}
	}
	subs, err := account(s.t, s.s).Subscriptions()
	s.must(err)
	slices.Sort(subs)
	if !slices.Equal(subs, s.subs) {
		differ("we have the subscriptions %q, Dovecot %q", subs, s.subs)
	}
	return differences
}

// same compares what both see of a folder.
func same(d deed, ours, theirs folderView) bool {
	o, th := comparable(d, ours), comparable(d, theirs)
	if d.repair && o.Next > th.Next {
		th.Next = o.Next // a UID that we do not give because of what damage has left
	}
	return o.Validity == th.Validity && o.Next == th.Next && o.ID == th.ID && slices.Equal(o.Messages, th.Messages)
}

// comparable leaves out what only one of both has.
func comparable(d deed, v folderView) folderView {
	v.Messages = slices.Clone(v.Messages)
	for i := range v.Messages {
		v.Messages[i].Saved = 0
		if d.lies {
			v.Messages[i].Octets = ""
		}
	}
	return v
}

// kept checks that nothing of a folder's messages changed but their flags, and
// that no UID came again.
func (s *scene) kept(d deed, was, now folderView) bool {
	ok := was.Validity == now.Validity && was.ID == now.ID && was.Next <= now.Next
	before := map[uint32]messageView{}
	for _, m := range was.Messages {
		before[m.UID] = m
	}
	for _, m := range now.Messages {
		b, known := before[m.UID]
		b.Flags = m.Flags
		ok = ok && (known && b == m || !known && m.UID >= was.Next)
	}
	return ok && (!d.same || slices.Equal(unnumbered(was), unnumbered(now)))
}

// unnumbered is a folder's messages without their UIDs.
func unnumbered(v folderView) []string {
	var list []string
	for _, m := range v.Messages {
		m.UID = 0
		list = append(list, fmt.Sprint(m))
	}
	slices.Sort(list)
	return list
}

func (v folderView) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "UIDVALIDITY %d UIDNEXT %d MAILBOXID %s", v.Validity, v.Next, v.ID)
	for _, m := range v.Messages[:min(30, len(v.Messages))] { // enough to see what it is about
		fmt.Fprintf(&b, "\n  %+v", m)
	}
	return b.String()
}

// ours is what we serve.
func (s *scene) ours() map[string]folderView {
	s.t.Helper()
	list, err := account(s.t, s.s).List()
	s.must(err)
	views := map[string]folderView{}
	for _, info := range list {
		if info.Selectable {
			s.with(info.Name, func(m *Mailbox) { views[info.Name] = s.view(m) })
		}
	}
	return views
}

func (s *scene) view(m *Mailbox) folderView {
	s.t.Helper()
	st := m.Status()
	v := folderView{Validity: st.UIDValidity, Next: uint32(st.UIDNext), ID: st.MailboxID}
	keywords := m.Keywords()
	for _, meta := range m.Lookup(nil, m.UIDs(nil)) {
		octets, err := m.text(meta.UID)
		if errors.Is(err, ErrExpunged) {
			continue
		}
		s.must(err)
		id, err := m.EmailID(meta.UID)
		s.must(err)
		size := m.Lookup(nil, []UID{meta.UID})[0].Size // as it is once the message was read
		v.Messages = append(v.Messages, messageView{
			UID: uint32(meta.UID), Flags: flagNames(meta.Flags, keywords), EmailID: id, Octets: digest(size, octets),
			Date: meta.InternalDate, Saved: meta.SaveDate,
		})
	}
	return v
}

// text returns a message, wire form.
func (m *Mailbox) text(uid UID) (string, error) {
	msg, err := m.Message(uid)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(msg.Section(0, msg.Size()))
	return string(b), errors.Join(err, msg.Close())
}

func flagNames(f Flags, keywords []string) string {
	var names []string
	for i, name := range SystemFlags {
		if f.Has(1 << i) {
			names = append(names, name)
		}
	}
	for i, name := range keywords {
		if f.Has(Keyword(i)) {
			names = append(names, name)
		}
	}
	return joinFlags(names)
}

func joinFlags(names []string) string {
	for i := range names {
		names[i] = strings.ToLower(names[i])
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// digest tells messages apart, and shows what one is about.
func digest(size int64, octets string) string {
	h := fnv.New64a()
	io.WriteString(h, octets)
	_, subject, _ := strings.Cut(octets, "Subject: ")
	subject, _, _ = strings.Cut(subject, "\r\n")
	return fmt.Sprintf("%q %d/%d %x", subject, size, len(octets), h.Sum64())
}

// theirs is what Dovecot serves.
func (s *scene) theirs(d deed) map[string]folderView {
	s.t.Helper()
	var guids []struct{ Mailbox, UID, GUID string }
	s.query(d, &guids, "fetch", "mailbox uid guid", "all")
	idOf := map[string]string{}
	for _, g := range guids {
		idOf[g.Mailbox+"/"+g.UID] = maildir.EmailID(g.GUID)
	}
	c := imapclient.New(pipe{s.d.IMAP(s.t)}, nil)
	s.must(c.WaitGreeting())
	subscribed, err := c.List("", "*", &imap.ListOptions{SelectSubscribed: true}).Collect()
	s.must(err)
	s.subs = nil
	for _, l := range subscribed {
		s.subs = append(s.subs, l.Mailbox)
	}
	slices.Sort(s.subs)
	views := map[string]folderView{}
	var status []struct{ Mailbox, UIDValidity, UIDNext, GUID string }
	s.query(d, &status, "mailbox", "status", "uidvalidity uidnext guid", "*")
	for _, st := range status {
		views[st.Mailbox] = folderView{
			Validity: number32(st.UIDValidity), Next: number32(st.UIDNext), ID: st.GUID,
			Messages: s.fetch(c, d, st.Mailbox, idOf),
		}
	}
	s.must(c.Logout().Wait())
	c.Close() // Dovecot has hung up; how it ended, IMAP tells at the test's end
	return views
}

func number32(text string) uint32 {
	n, _ := strconv.ParseUint(text, 10, 32)
	return uint32(n)
}

// query asks Dovecot for a table.
func (s *scene) query(d deed, table any, args ...string) {
	s.t.Helper()
	args = append([]string{"-f", "json"}, args...)
	if d.repair { // until it has done whatever it wants to do about it
		if _, complaints := s.d.Insist(s.t, args...); complaints != "" {
			s.t.Log(d.name, complaints)
		}
	}
	out := s.d.Doveadm(s.t, "", args...)
	s.must(json.Unmarshal([]byte(cmp.Or(strings.TrimSpace(out), "[]")), table))
}

// fetch reads a folder over IMAP.
func (s *scene) fetch(c *imapclient.Client, d deed, folder string, idOf map[string]string) (views []messageView) {
	s.t.Helper()
	selected, err := c.Select(folder, &imap.SelectOptions{ReadOnly: true}).Wait()
	s.must(err)
	if selected.NumMessages == 0 {
		return nil
	}
	body := &imap.FetchItemBodySection{Peek: true}
	items := &imap.FetchOptions{UID: true, Flags: true, InternalDate: true}
	if !d.lies {
		items.RFC822Size, items.BodySection = true, []*imap.FetchItemBodySection{body}
	}
	fetched, err := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, items).Collect()
	s.must(err)
	for _, m := range fetched {
		var names []string
		for _, f := range m.Flags {
			if !strings.EqualFold(string(f), `\Recent`) {
				names = append(names, string(f))
			}
		}
		views = append(views, messageView{
			UID: uint32(m.UID), Flags: joinFlags(names), EmailID: idOf[fmt.Sprintf("%s/%d", folder, m.UID)],
			Octets: digest(m.RFC822Size, string(m.FindBodySection(body))), Date: m.InternalDate.Unix(),
		})
	}
	return views
}

// pipe makes a connection of an IMAP server's pipes.
type pipe struct{ io.ReadWriteCloser }

func (pipe) LocalAddr() net.Addr { return nil }

func (pipe) RemoteAddr() net.Addr { return nil }

func (pipe) SetDeadline(time.Time) error { return nil }

func (pipe) SetReadDeadline(time.Time) error { return nil }

func (pipe) SetWriteDeadline(time.Time) error { return nil }
