package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"letterbox/store"
)

// letter is a message as tests compare it.
type letter struct {
	text  string // wire form
	flags string // names, in order
	date  int64
}

func (l letter) String() string { return fmt.Sprintf("%.300q %q %d", l.text, l.flags, l.date) }

// identified is a letter with all that ties it to its folder.
type identified struct {
	letter
	uid       store.UID
	saved     int64
	id        string
	validity  uint32
	mailboxID string
}

// fill makes the account of ann in a data directory, with the letters of each folder.
func fill(t testing.TB, dir string, folders map[string][]letter) {
	t.Helper()
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.CreateAccount("ann"); err != nil {
		t.Fatal(err)
	}
	account, err := s.Account("ann")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(folders)) {
		if _, err := account.Status(name); err != nil {
			if err := account.Create(name, ""); err != nil {
				t.Fatal(err)
			}
		}
		m, err := account.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		batch := m.NewBatch()
		for _, l := range folders[name] {
			in := s.NewIncoming()
			if _, err := io.WriteString(in, l.text); err != nil {
				t.Fatal(err)
			}
			if err := batch.Add(t.Context(), store.AppendMessage{In: in, Flags: strings.Fields(l.flags), Date: time.Unix(l.date, 0)}); err != nil {
				t.Fatal(err)
			}
			in.Close()
		}
		if _, err := batch.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		m.Close()
	}
}

// holdings are the letters of ann in a data directory, by their folders, in the order of their UIDs.
func holdings(t testing.TB, dir string) map[string][]identified {
	t.Helper()
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	account, err := s.Account("ann")
	if err != nil {
		t.Fatal(err)
	}
	list, err := account.List()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]identified)
	for _, info := range list {
		if !info.Selectable {
			continue
		}
		m, err := account.Open(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		all[info.Name] = nil
		st, keywords := m.Status(), m.Keywords()
		for _, meta := range m.Lookup(nil, m.UIDs(nil)) {
			one := identified{uid: meta.UID, saved: meta.SaveDate, validity: st.UIDValidity, mailboxID: st.MailboxID}
			one.date, one.flags = meta.InternalDate, flagNames(meta.Flags, keywords)
			msg, err := m.Message(meta.UID)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(msg.Section(0, msg.Size()))
			if err != nil {
				t.Fatal(err)
			}
			msg.Close()
			if one.id, err = m.EmailID(meta.UID); err != nil {
				t.Fatal(err)
			}
			one.text = string(text)
			all[info.Name] = append(all[info.Name], one)
		}
		m.Close()
	}
	return all
}

func flagNames(f store.Flags, keywords []string) string {
	var names []string
	for i, name := range store.SystemFlags {
		if f.Has(1 << i) {
			names = append(names, name)
		}
	}
	for i, name := range keywords {
		if f.Has(store.Keyword(i)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// letters leaves out what ties the letters to their folders.
func letters(all map[string][]identified) map[string][]letter {
	bare := make(map[string][]letter)
	for name, list := range all {
		bare[name] = nil
		for _, l := range list {
			bare[name] = append(bare[name], l.letter)
		}
	}
	return bare
}

// wantSame compares letters, and says of the first that differ how.
func wantSame(t interface{ Errorf(string, ...any) }, what string, got, want map[string][]letter) {
	if a, b := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)); !slices.Equal(a, b) {
		t.Errorf("%s: the folders are %q, not %q", what, a, b)
	}
	for name := range want {
		for i := range max(len(got[name]), len(want[name])) {
			switch {
			case i >= len(got[name]):
				t.Errorf("%s: %s lacks %s", what, name, want[name][i])
			case i >= len(want[name]):
				t.Errorf("%s: %s has %s besides", what, name, got[name][i])
			case got[name][i] != want[name][i]:
				t.Errorf("%s: message %d of %s is\n%s, not\n%s", what, i, name, got[name][i], want[name][i])
			}
		}
	}
}

// memDir is a directory in memory where there is one: what these tests ask is not whether the disk syncs.
func memDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "letterbox-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// typed runs what a person types, without a terminal.
func typed(ctx context.Context, t testing.TB, args ...string) (said string, err error) {
	t.Helper()
	empty, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	var out strings.Builder
	err = run(ctx, args, console{in: empty, out: &out, err: &out})
	return out.String(), err
}

func mustRun(t testing.TB, args ...string) string {
	t.Helper()
	said, err := typed(t.Context(), t, args...)
	if err != nil {
		t.Fatalf("letterbox %s: %v\n%s", strings.Join(args, " "), err, said)
	}
	return said
}

// household returns a data directory without mail, of a household in which ann lives.
func household(t testing.TB) (dir string) {
	t.Helper()
	dir = memDir(t)
	password := filepath.Join(dir, "pw")
	if err := os.WriteFile(password, []byte("correct horse battery\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	box := filepath.Join(dir, "box")
	mustRun(t, "init", "--data", box, "--domain", "miller.home.arpa", "--user", "ann", "--password-file", password)
	if err := os.RemoveAll(filepath.Join(box, "mail")); err != nil {
		t.Fatal(err)
	}
	return box
}

// box makes a household like the one in template, with these letters, in dir.
func box(t testing.TB, dir, template string, folders map[string][]letter) {
	t.Helper()
	if err := os.CopyFS(dir, os.DirFS(template)); err != nil {
		t.Fatal(err)
	}
	fill(t, dir, folders)
}

// genLetters draws folders with letters that are as hard on formats as can be.
func genLetters() *rapid.Generator[map[string][]letter] {
	line := rapid.OneOf(
		rapid.SampledFrom([]string{"", "", "From here", ">From there", ">>From", "From ann@example.org Sat Jan  3 01:05:34 1996", "> From", "Subject: x", " folded",
			"Content-Length: 7", "Content-Length: 200", "text\rtext", "\r", "\r\r", ".", "\x00\x00", "ümläut \xff", "X-Mozilla-Draft-Info: x", strings.Repeat("long ", 20_000)}),
		rapid.StringN(0, 30, 60),
	)
	text := rapid.Custom(func(t *rapid.T) string {
		lines := rapid.SliceOfN(line, 0, 12).Draw(t, "lines")
		end := rapid.SampledFrom([]string{"\r\n", "\n", "\r\n"}).Draw(t, "line end")
		return strings.Join(lines, end) + rapid.SampledFrom([]string{end, end, end + end, ""}).Draw(t, "last line end")
	})
	flag := rapid.SampledFrom([]string{`\Seen`, `\Answered`, `\Flagged`, `\Deleted`, `\Draft`, "$Forwarded", "blue", "NonJunk", "$label1"})
	one := rapid.Custom(func(t *rapid.T) letter {
		flags := rapid.SliceOfNDistinct(flag, 0, 9, rapid.ID[string]).Draw(t, "flags")
		if rapid.Bool().Draw(t, "many keywords") {
			for i := range 30 { // more than have letters
				flags = append(flags, fmt.Sprintf("kw%02d", i))
			}
		}
		slices.Sort(flags)
		return letter{text.Draw(t, "text"), strings.Join(flags, " "), rapid.Int64Range(-1_000_000_000, 4_000_000_000).Draw(t, "date")}
	})
	name := rapid.SampledFrom([]string{"INBOX", "Archive", "Lists/go.dev", "Lists", "a.mbox/b", "a", "Späße", "dots..", ".hidden", "what?*", "what__", "A", "INBOX/sub",
		"letterbox-export/x", "CON", `back\slash`, "x.sbd/y", "tilde/~z", "e\u0301"})
	return rapid.Custom(func(t *rapid.T) map[string][]letter {
		folders := make(map[string][]letter)
		for _, n := range rapid.SliceOfNDistinct(name, 1, 4, rapid.ID[string]).Draw(t, "folders") {
			list := rapid.SliceOfN(one, 0, 5).Draw(t, n)
			if len(list) > 0 && rapid.Bool().Draw(t, "one comes twice") {
				list = append(list, list[0])
			}
			folders[n] = list
		}
		return folders
	})
}

// asMbox is what an mbox file can hold of letters.
func asMbox(all map[string][]letter) map[string][]letter {
	crs := regexp.MustCompile(`\r(\r*\r\n)`)
	for _, list := range all {
		for i := range list {
			l := &list[i]
			if l.text != "" && !strings.HasSuffix(l.text, "\n") {
				l.text += "\r\n"
			}
			l.text = crs.ReplaceAllString(l.text, "$1")
			l.text = withoutLength(l.text)
			l.flags = strings.Join(slices.DeleteFunc(strings.Fields(l.flags), func(f string) bool { return f == `\Deleted` }), " ")
		}
	}
	return all
}

// withoutLength is a message without the Content-Length of its header.
func withoutLength(text string) string {
	var b strings.Builder
	inHeader, drop := true, false
	for line := range strings.Lines(text) {
		if inHeader = inHeader && strings.TrimRight(line, "\r\n") != ""; !inHeader {
			drop = false
		} else if line[0] != ' ' && line[0] != '\t' {
			drop = strings.HasPrefix(line, "Content-Length:")
		}
		if !drop {
			b.WriteString(line)
		}
	}
	return b.String()
}

// TestRoundTrip: what is exported and imported elsewhere is the same, every octet, flag, keyword and date of it; of a Maildir that is put
// in place as it is also every number and identity.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	template := household(t)
	base := memDir(t)
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(base, "")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		at := func(name string) string { return filepath.Join(dir, name) }
		box(t, at("there"), template, genLetters().Draw(rt, "letters"))
		there := holdings(t, at("there"))

		mustRun(t, "export", "mbox", "--data", at("there"), "ann", at("mbox"))
		box(t, at("here"), template, nil)
		mustRun(t, "import", "mbox", "--data", at("here"), "ann", at("mbox"))
		wantSame(rt, "mbox", letters(holdings(t, at("here"))), asMbox(letters(there)))

		mustRun(t, "export", "maildir", "--data", at("there"), "ann", at("maildir"))
		if said := mustRun(t, "import", "maildir", "--data", at("there"), "ann", at("maildir")); !maps.EqualFunc(holdings(t, at("there")), there, slices.Equal) {
			rt.Errorf("imported where it came from:\n%s", said)
		}
		box(t, at("here2"), template, nil)
		mustRun(t, "import", "maildir", "--data", at("here2"), "ann", at("maildir"))
		here := holdings(t, at("here2"))
		wantSame(rt, "Maildir", letters(here), letters(there))

		said := mustRun(t, "import", "maildir", "--data", at("here2"), "ann", at("maildir"))
		if again := holdings(t, at("here2")); !maps.EqualFunc(again, here, slices.Equal) {
			rt.Errorf("imported once more:\n%s", said)
		}

		if err := os.MkdirAll(at("copy/mail/ann"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(at("maildir"), at("copy/mail/ann/Maildir")); err != nil {
			t.Fatal(err)
		}
		if copied := holdings(t, at("copy")); !maps.EqualFunc(copied, there, slices.Equal) {
			rt.Errorf("the exported tree holds\n%.2000v\nnot\n%.2000v", copied, there)
		}
		if _, err := os.Lstat(at("copy/mail/ann/Maildir/letterbox-export")); !errors.Is(err, fs.ErrNotExist) {
			rt.Errorf("the finished tree is marked as unfinished: %v", err)
		}
	})
}

// TestImportOwnMail: of a copy of the mailbox, exported or just copied, comes what is missing in its folder, and nothing twice.
func TestImportOwnMail(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(memDir(t), "box")
	text := func(n int) letter {
		return letter{fmt.Sprintf("Subject: %d\r\n\r\n%s\r\n", n, strings.Repeat("x", n)), "", 1e9}
	}
	box(t, dir, household(t), map[string][]letter{"INBOX": {text(1), text(2), text(2), text(3)}, "Archive": {text(4)}})
	withAccount(t, dir, func(a *store.Account) { // some whose names do not tell who they are
		in, err := a.Open("INBOX")
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		archive, err := a.Open("Archive")
		if err != nil {
			t.Fatal(err)
		}
		defer archive.Close()
		if _, err := in.Copy(in.UIDs(nil)[:2], archive); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Copy(archive.UIDs(nil)[:1], archive); err != nil {
			t.Fatal(err)
		}
	})
	// From here on some have come by an import.
	eml := filepath.Join(t.TempDir(), "5.eml")
	if err := os.WriteFile(eml, []byte(text(5).text), 0o600); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "import", "eml", "--data", dir, "ann", eml)
	exported, copied := filepath.Join(t.TempDir(), "exported"), filepath.Join(t.TempDir(), "copied")
	mustRun(t, "export", "maildir", "--data", dir, "ann", exported)
	if err := os.CopyFS(copied, os.DirFS(filepath.Join(dir, "mail", "ann", "Maildir"))); err != nil { // without dates
		t.Fatal(err)
	}
	before := holdings(t, dir)
	for _, tree := range []string{exported, copied, exported} {
		said := mustRun(t, "import", "maildir", "--data", dir, "ann", tree)
		if got := holdings(t, dir); !maps.EqualFunc(got, before, slices.Equal) || !strings.Contains(said, "\n0 messages came") {
			t.Errorf("imported where it came from:\n%s", said)
		}
	}
	withAccount(t, dir, func(a *store.Account) {
		in, err := a.Open("INBOX")
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		uids := in.UIDs(nil)
		if err := in.Expunge([]store.UID{uids[0], uids[2], uids[4]}); err != nil {
			t.Fatal(err)
		}
	})
	said := mustRun(t, "import", "maildir", "--data", dir, "ann", copied)
	got := holdings(t, dir)
	var lengths []int
	for _, l := range got["INBOX"] {
		lengths = append(lengths, len(l.text))
	}
	slices.Sort(lengths)
	want := []int{len(text(1).text), len(text(2).text), len(text(2).text), len(text(3).text), len(text(5).text)}
	if !slices.Equal(lengths, want) || !slices.Equal(got["Archive"], before["Archive"]) || !strings.Contains(said, "\n3 messages came") {
		t.Errorf("INBOX holds letters of %v octets, not %v\n%s", lengths, want, said)
	}
	// A message of the same name with other octets is another one.
	names, err := filepath.Glob(filepath.Join(copied, ".Archive", "cur", "*"))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	if err := os.WriteFile(names[0], []byte(text(6).text), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := mustRun(t, "import", "maildir", "--data", dir, "ann", copied); !strings.Contains(said, "\n1 message came") {
		t.Error(said)
	}
}
