package store

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// open opens a store with an account for ann in dir.
func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.CreateAccount("ann"); err != nil {
		t.Fatal(err)
	}
	return s
}

func account(t testing.TB, s *Store) *Account {
	t.Helper()
	a, err := s.Account("ann")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func mailbox(t testing.TB, s *Store, name string) *Mailbox {
	t.Helper()
	m, err := account(t, s).Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func incoming(t testing.TB, s *Store, text string) *Incoming {
	t.Helper()
	in := s.NewIncoming()
	t.Cleanup(func() { in.Close() })
	if _, err := io.WriteString(in, text); err != nil {
		t.Fatal(err)
	}
	return in
}

func text(n int) string {
	return fmt.Sprintf("From: Ben <ben@example.org>\r\nTo: ann@example.org\r\nSubject: letter %d\r\nMessage-ID: <%d@example.org>\r\n\r\nThis is letter %d.\r\n", n, n, n)
}

func deliver(t testing.TB, s *Store, mailbox, text string) {
	t.Helper()
	err := s.Deliver(context.Background(), incoming(t, s, text), []Target{{Person: "ann", Mailbox: mailbox}})
	if err != nil {
		t.Fatal(err)
	}
}

func content(t testing.TB, m *Mailbox, uid UID) string {
	t.Helper()
	msg, err := m.Message(uid)
	if err != nil {
		t.Fatal(err)
	}
	defer msg.Close()
	var b bytes.Buffer
	if _, err := io.Copy(&b, msg.Section(0, msg.Size())); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestDeliverAndRead(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	for n := range 3 {
		deliver(t, s, "", text(n))
	}
	m := mailbox(t, s, "inbox")
	if got := m.UIDs(nil); fmt.Sprint(got) != "[1 2 3]" {
		t.Fatalf("UIDs %v", got)
	}
	for n, uid := range m.UIDs(nil) {
		if got := content(t, m, uid); got != text(n) {
			t.Errorf("message %d is %q", uid, got)
		}
	}
	env, err := m.AppendEnvelope(nil, 2)
	if err != nil || !strings.Contains(string(env), "letter 1") {
		t.Errorf("envelope %s, %v", env, err)
	}
	bs, err := m.AppendBodyStructure(nil, 2)
	if err != nil || !strings.Contains(string(bs), "TEXT") && !strings.Contains(string(bs), "text") {
		t.Errorf("body structure %s, %v", bs, err)
	}
	st := m.Status()
	if st.Messages != 3 || st.Unseen != 3 || st.FirstUnseen != 1 || st.UIDNext != 4 || st.UIDValidity == 0 || len(st.MailboxID) != 32 {
		t.Errorf("status %+v", st)
	}
}

func TestReopen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	for n := range 5 {
		deliver(t, s, "", text(n))
	}
	m := mailbox(t, s, "INBOX")
	f, err := m.KeywordFlags([]string{`\Seen`, "$Work"}, true)
	if err != nil {
		t.Fatal(err)
	}
	if changed, _, err := m.StoreFlags([]UID{2, 3}, AddFlags, f, 0); err != nil || len(changed) != 2 {
		t.Fatal(changed, err)
	}
	if err := m.Expunge([]UID{4}); err != nil {
		t.Fatal(err)
	}
	before, metas := m.Status(), m.Lookup(nil, m.UIDs(nil))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	m = mailbox(t, s, "INBOX")
	if after := m.Status(); after != before {
		t.Errorf("status was %+v, is %+v", before, after)
	}
	if got := m.Lookup(nil, m.UIDs(nil)); fmt.Sprint(got) != fmt.Sprint(metas) {
		t.Errorf("messages were %v, are %v", metas, got)
	}
	c, err := m.Changes(before.HighestModSeq - 1)
	if err != nil || fmt.Sprint(c.Vanished) != "[4]" {
		t.Errorf("changes %+v, %v", c, err)
	}
}

func TestCopyAndMove(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	for n := range 4 {
		deliver(t, s, "", text(n))
	}
	in, arch := mailbox(t, s, "INBOX"), mailbox(t, s, "Archive")
	f, err := in.KeywordFlags([]string{"blue", "$Label1"}, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := in.StoreFlags([]UID{1}, SetFlags, f|Flagged, 0); err != nil {
		t.Fatal(err)
	}
	id, err := in.EmailID(1)
	if err != nil {
		t.Fatal(err)
	}
	cs, err := in.Copy([]UID{1, 2, 99}, arch)
	if err != nil || fmt.Sprint(cs) != "[{1 1} {2 2}]" {
		t.Fatal(cs, err)
	}
	if got, err := arch.EmailID(1); err != nil || got != id {
		t.Errorf("EMAILID %s, want %s (%v)", got, id, err)
	}
	if got, _ := arch.KeywordFlags([]string{"$label1", "BLUE", `\Flagged`}, false); arch.Lookup(nil, []UID{1})[0].Flags != got {
		t.Errorf("flags of the copy: %b, want %b", arch.Lookup(nil, []UID{1})[0].Flags, got)
	}
	cs, err = in.Move([]UID{1, 3}, arch)
	if err != nil || fmt.Sprint(cs) != "[{1 3} {3 4}]" {
		t.Fatal(cs, err)
	}
	if got, err := arch.EmailID(3); err != nil || got != id {
		t.Errorf("EMAILID %s, want %s (%v)", got, id, err)
	}
	if got := in.UIDs(nil); fmt.Sprint(got) != "[2 4]" {
		t.Errorf("left: %v", got)
	}
	if got := content(t, arch, 4); got != text(2) {
		t.Errorf("moved message is %q", got)
	}
	cs, err = in.Copy([]UID{2}, in)
	if err != nil || fmt.Sprint(cs) != "[{2 5}]" {
		t.Fatal(cs, err)
	}
}

func TestAppend(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	m := mailbox(t, s, "Sent")
	date := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	uids, err := m.Append(context.Background(), []AppendMessage{
		{In: incoming(t, s, text(1)), Flags: []string{`\Seen`, "red"}, Date: date},
		{In: incoming(t, s, "Subject: lf\n\nbare\nlines")},
	})
	if err != nil || fmt.Sprint(uids) != "[1 2]" {
		t.Fatal(uids, err)
	}
	if got := m.Lookup(nil, uids)[0].InternalDate; got != date.Unix() {
		t.Errorf("INTERNALDATE %d", got)
	}
	if got := content(t, m, 2); got != "Subject: lf\r\n\r\nbare\r\nlines" {
		t.Errorf("message is %q", got)
	}
}

// asNobody runs the test as nobody, whom unlike root files can be kept from, and whose mail Dovecot
// does not refuse.
func asNobody(t *testing.T) {
	t.Helper()
	run := "^" + t.Name() + "$"
	if asked := flag.Lookup("test.run").Value.String(); strings.HasPrefix(asked, t.Name()+"/") {
		run = asked
	}
	cmd := exec.Command("/proc/self/exe", "-test.run="+run)
	cmd.Dir = os.TempDir()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestBatch: messages that come in together, with identities of their own.
func TestBatch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	m := mailbox(t, s, "INBOX")
	deliver(t, s, "", text(0))
	in := s.NewIncoming()
	defer in.Close()
	if _, err := io.WriteString(in, text(1)); err != nil {
		t.Fatal(err)
	}
	const id = "0123456789abcdef0123456789abcdef"
	date := time.Unix(1_000_000_000, 0)
	b := m.NewBatch()
	defer b.Close()
	if err := b.Add(t.Context(), AppendMessage{In: in, ID: "no id"}); err == nil {
		t.Error("an identity with a blank in it was taken")
	}
	if err := b.Add(t.Context(), AppendMessage{In: in, ID: id, Date: date, Flags: []string{"blue", `\Seen`}}); err != nil {
		t.Fatal(err)
	}
	in.Close() // and its memory is another's
	if err := b.Add(t.Context(), AppendMessage{In: incoming(t, s, text(2))}); err != nil {
		t.Fatal(err)
	}
	if got := m.Status().Messages; got != 1 {
		t.Errorf("before it is committed, %d messages are there", got)
	}
	given := m.NewBatch()
	if err := given.Add(t.Context(), AppendMessage{In: incoming(t, s, text(3))}); err != nil {
		t.Fatal(err)
	}
	if err := given.Close(); err != nil {
		t.Error(err)
	}
	uids, err := b.Commit(t.Context())
	if err != nil || fmt.Sprint(uids) != "[2 3]" {
		t.Fatalf("UIDs %v, %v", uids, err)
	}
	if uids, err := b.Commit(t.Context()); err != nil || uids != nil {
		t.Errorf("committed again: %v, %v", uids, err)
	}
	check := func(when string, m *Mailbox) {
		t.Helper()
		meta := m.Lookup(nil, []UID{2})
		if len(meta) != 1 || meta[0].InternalDate != date.Unix() || !meta[0].Flags.Has(Seen|Keyword(0)) || m.Keywords()[0] != "blue" {
			t.Errorf("%s: %+v, keywords %q", when, meta, m.Keywords())
		}
		if got, err := m.EmailID(2); err != nil || got != id {
			t.Errorf("%s: identity %q, %v", when, got, err)
		}
		if got := content(t, m, 2); got != text(1) {
			t.Errorf("%s: %q", when, got)
		}
	}
	check("at once", m)
	s.Close()
	removeCaches(t, dir)
	again := mailbox(t, open(t, dir), "INBOX")
	check("after a restart without caches", again)
	if left := unfinished(t, filepath.Join(dir, "mail", "ann", "Maildir")); len(left) > 0 {
		t.Errorf("tmp/ holds %v", left)
	}
}

// unfinished lists the messages in a folder's tmp/.
func unfinished(t *testing.T, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(folder, "tmp"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "letterbox-lock-") { // that of the list, which is there while the folder is open
			names = append(names, e.Name())
		}
	}
	return names
}
