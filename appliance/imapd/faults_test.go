package imapd

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"letterbox/appliance/imapwire"
	"letterbox/store"
)

func TestAnswerTo(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	c := f.offline()
	tests := []struct {
		err  error
		want answer
	}{
		{nil, answer{"OK", "", "NOOP completed"}},
		{no("CANNOT", "it cannot"), answer{"NO", "CANNOT", "it cannot"}},
		{bad("no"), answer{"BAD", "", "no"}},
		{&imapwire.SyntaxError{Text: "wrong"}, answer{"BAD", "", "wrong"}},
		{&imapwire.BadCharsetError{Charset: "X"}, answer{"NO", "BADCHARSET (UTF-8 US-ASCII)", "..."}},
		{fmt.Errorf("opening: %w", store.ErrNoMailbox), answer{"NO", "NONEXISTENT", "there is no such mailbox"}},
		{fmt.Errorf("writing: %w: %w", store.ErrDiskFull, syscall.ENOSPC), answer{"NO", "UNAVAILABLE", "the disk is full"}},
		{store.ErrOverQuota, answer{"NO", "OVERQUOTA", "the mailbox is full"}},
		{store.ErrTooManyKeywords, answer{"NO", "LIMIT", "..."}},
		{&messageError{7, store.ErrExpunged}, answer{"NO", "EXPUNGEISSUED", "..."}},
		{fmt.Errorf("reading: %w", syscall.EIO), answer{"NO", "SERVERBUG", "something went wrong here; the log has it under reference ..."}},
	}
	for _, tt := range tests {
		got := c.answerTo(&request{name: "NOOP"}, tt.err)
		text, open := strings.CutSuffix(tt.want.text, "...")
		if got.status != tt.want.status || got.code != tt.want.code || got.text != text && !(open && strings.HasPrefix(got.text, text)) {
			t.Errorf("%v: got %+v, want %+v", tt.err, got, tt.want)
		}
		if ref, ok := strings.CutPrefix(got.text, "something went wrong here; the log has it under reference "); ok && !strings.Contains(f.log.String(), "ref="+ref) {
			t.Errorf("reference %s is not in the log", ref)
		}
	}
	if isLinkError(errors.Join(syscall.EIO, store.ErrDiskFull)) {
		t.Error("a fault of the store must not end the connection")
	}
}

// A session whose account is removed is told so, and nothing of it is a fault of
// the server.
func TestAccountRemovedUnderSession(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	p := f.dialPipe(t)
	p.signIn()
	p.send("a SELECT INBOX")
	p.until("a OK")
	if err := f.store.RemoveAccount("ann"); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"NOOP", "FETCH 1:* FLAGS", "SELECT INBOX", "STATUS INBOX (UIDNEXT)", "APPEND INBOX {1+}\r\nx"} {
		p.send("b " + command)
		p.until("b ")
	}
	p.conn.Close()
	f.shutdown()
	if log := f.log.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("the log says:\n%s", log)
	}
}

// A mailbox that is deleted has no UIDVALIDITY that could be told.
func TestCopyUIDOfDeletedMailbox(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	account, err := f.store.Account("ann")
	if err != nil {
		t.Fatal(err)
	}
	box, err := account.Open("Archive")
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	pairs := []store.CopyUID{{Src: 1, Dst: 1}}
	if got := copyUIDCode(box, pairs); !strings.HasPrefix(got, "COPYUID ") {
		t.Errorf("before: %q", got)
	}
	if err := account.Delete("Archive"); err != nil {
		t.Fatal(err)
	}
	if got := copyUIDCode(box, pairs); got != "" {
		t.Errorf("after: %q", got)
	}
}
