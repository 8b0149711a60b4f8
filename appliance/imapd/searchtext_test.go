package imapd

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"letterbox/appliance/imapwire"
	"letterbox/store"
)

// inbox is the directory of ann's INBOX.
func (f *fixture) inbox() string { return filepath.Join(f.dir, "mail", "ann", "Maildir") }

// restart closes the store and opens it again.
func (f *fixture) restart() {
	f.t.Helper()
	if err := f.store.Close(); err != nil {
		f.t.Fatal(err)
	}
	st, err := store.Open(f.dir, store.Options{})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { st.Close() })
	f.store, f.server.o.Store = st, st
}

// withoutText restarts with a text file that cannot be one, so that every
// search reads the messages.
func (f *fixture) withoutText() {
	f.t.Helper()
	if err := f.store.Close(); err != nil {
		f.t.Fatal(err)
	}
	file := filepath.Join(f.inbox(), "letterbox.text")
	if err := os.Remove(file); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Mkdir(file, 0o700); err != nil {
		f.t.Fatal(err)
	}
	f.restart()
}

// found is the UIDs that a search finds.
func (c *conn) found(t testing.TB, key imapwire.SearchKey) (uids []store.UID) {
	t.Helper()
	res, err := c.runSearch(c.compileSearch(&key), imapwire.SearchReturn{All: true})
	if err != nil {
		t.Fatal(err)
	}
	for i := range res.all {
		uids = append(uids, c.view.uids[i])
	}
	return uids
}

// textKeys are searches for pieces of messages, of which some are changed.
func textKeys(rnd *rand.Rand, mails [][]byte) (keys []imapwire.SearchKey) {
	for i := range 60 {
		m := mails[rnd.IntN(len(mails))]
		at := rnd.IntN(len(m))
		piece := bytes.ToValidUTF8(bytes.Trim(m[at:min(len(m), at+1+rnd.IntN(14))], "\r\n"), nil)
		if i%4 == 0 {
			piece = bytes.ToUpper(piece)
		}
		if i%5 == 0 {
			piece = append(piece, "eé本"[rnd.IntN(2)])
		}
		text := strings.ToValidUTF8(string(piece), "ü")
		keys = append(keys,
			imapwire.SearchKey{Op: imapwire.SearchText, Text: text},
			imapwire.SearchKey{Op: imapwire.SearchBody, Text: text},
			imapwire.SearchKey{Op: imapwire.SearchHeader, Field: "content-type", Text: text},
			imapwire.SearchKey{Op: imapwire.SearchHeader, Field: "message-id", Text: text})
	}
	return keys
}

// TestSearchText: with the text that the store keeps, SEARCH finds what it finds by
// reading every message.
func TestSearchText(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(corpus, "*"))
	if err != nil || len(files) < 80 {
		t.Fatalf("the corpus has only %d messages (%v)", len(files), err)
	}
	f := newFixture(t, nil)
	var mails [][]byte
	for _, file := range files {
		mail, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		mails = append(mails, mail)
		f.deliver("INBOX", mail, time.Time{})
	}
	keys := textKeys(rand.New(rand.NewPCG(1, 2)), mails)
	keys = append(keys,
		imapwire.SearchKey{Op: imapwire.SearchBody, Text: ""},
		imapwire.SearchKey{Op: imapwire.SearchBody, Text: "ПРИВЕТ"},
		imapwire.SearchKey{Op: imapwire.SearchText, Text: "gr\u00f6\u00dfe"},
		imapwire.SearchKey{Op: imapwire.SearchText, Text: "GRO\u0308ßE"},
		imapwire.SearchKey{Op: imapwire.SearchBody, Text: "日本語"},
		imapwire.SearchKey{Op: imapwire.SearchHeader, Field: "x-no-such", Text: ""},
		imapwire.SearchKey{Op: imapwire.SearchHeader, Field: "mime-version", Text: ""})
	kept := make([][]store.UID, len(keys))
	c := f.offline()
	hits := 0
	for i, key := range keys {
		kept[i] = c.found(t, key)
		hits += len(kept[i])
	}
	c.deselect()
	f.withoutText()
	c = f.offline()
	for i, key := range keys {
		if read := c.found(t, key); !slices.Equal(read, kept[i]) {
			t.Errorf("%+v finds %v by what is kept, %v by reading", key, kept[i], read)
		}
	}
	if hits < 5*len(keys) {
		t.Errorf("%d searches find %d messages in all", len(keys), hits)
	}
}

// TestSearchTextReadsNothing: whatever is searched in letters, their files stay
// closed, but for the fields that are found.
func TestSearchTextReadsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.fill(20)
	c := f.offline()
	cur := filepath.Join(f.inbox(), "cur")
	if err := os.Rename(cur, cur+"-away"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		key  imapwire.SearchKey
		want int
	}{
		{imapwire.SearchKey{Op: imapwire.SearchBody, Text: "HELLO"}, 20},
		{imapwire.SearchKey{Op: imapwire.SearchText, Text: "number 7"}, 1},
		{imapwire.SearchKey{Op: imapwire.SearchBody, Text: "number 7"}, 0},
		{imapwire.SearchKey{Op: imapwire.SearchText, Text: "nowhere"}, 0},
		{imapwire.SearchKey{Op: imapwire.SearchText, Text: "z"}, 0},
		{imapwire.SearchKey{Op: imapwire.SearchHeader, Field: "message-id", Text: "<7@"}, 1},
		{imapwire.SearchKey{Op: imapwire.SearchHeader, Field: "message-id", Text: "hello"}, 0},
	} {
		if got := c.found(t, tt.key); len(got) != tt.want {
			t.Errorf("%+v finds %v", tt.key, got)
		}
	}
	if err := os.Rename(cur+"-away", cur); err != nil {
		t.Fatal(err)
	}
}

// letters are n letters of English words, the common ones often, of 1 to 30 KB; a
// thousandth of them holds "quinquereme".
func letters(t testing.TB, n int) (list [][]byte) {
	t.Helper()
	var words []string
	for _, file := range []string{"../../README.md", "../../store/message/doc.go", "../../store/maildir/doc.go", "doc.go", "../../store/doc.go"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		words = append(words, strings.Fields(string(b))...)
	}
	rnd := rand.New(rand.NewPCG(7, 7))
	common := rand.NewZipf(rnd, 1.1, 8, uint64(len(words)-1))
	for i := range n {
		var b bytes.Buffer
		fmt.Fprintf(&b, "Received: from mail.example.org (mail.example.org [203.0.113.%d])\r\n\tby mx.example.net (Postfix) with ESMTPS id %X\r\n"+
			"\tfor <ann@example.net>; Mon, 2 Nov 2026 %02d:%02d:%02d +0000\r\nFrom: %s <%d@example.org>\r\nTo: Ann <ann@example.net>\r\n"+
			"Subject: %s %s\r\nDate: Mon, 2 Nov 2026 09:30:00 +0100\r\nMessage-ID: <%x@example.org>\r\n\r\n",
			rnd.IntN(256), rnd.Uint64(), rnd.IntN(24), rnd.IntN(60), rnd.IntN(60), words[rnd.IntN(len(words))], i,
			words[common.Uint64()], words[common.Uint64()], rnd.Uint64())
		for size := 1000 << rnd.IntN(6); b.Len() < size; {
			b.WriteString(words[common.Uint64()])
			b.WriteString([]string{" ", "\r\n"}[rnd.IntN(10)/9])
		}
		if i%1000 == 500 {
			b.WriteString("a quinquereme of Nineveh\r\n")
		}
		list = append(list, b.Bytes())
	}
	return list
}

// BenchmarkSearchText searches 10,000 letters for a word that ten of them have, by
// the text that the store keeps and by reading.
func BenchmarkSearchText(b *testing.B) {
	const n = 10_000
	f := newFixture(b, nil)
	octets := int64(0)
	for _, mail := range letters(b, n) {
		octets += int64(len(mail))
		f.deliver("INBOX", mail, time.Time{})
	}
	search := func(c *conn) func(b *testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				if got := c.found(b, imapwire.SearchKey{Op: imapwire.SearchBody, Text: "Quinquereme"}); len(got) != n/1000 {
					b.Fatalf("found %v", got)
				}
			}
			b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "msgs/s")
		}
	}
	c := f.offline()
	if fi, err := os.Stat(filepath.Join(f.inbox(), "letterbox.text")); err == nil {
		b.Logf("%d octets a letter, %d of text file", octets/n, fi.Size()/n)
	}
	b.Run("kept", search(c))
	c.deselect()
	f.withoutText()
	b.Run("read", search(f.offline()))
}
