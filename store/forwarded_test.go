package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestForwardedLetters: $Forwarded is the letter that the folder's keywords have
// for it, where Dovecot reads it, and P where another program wrote that.
func TestForwardedLetters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	path := filepath.Join(dir, "mail", "ann", "Maildir")
	if err := os.WriteFile(filepath.Join(path, "cur", "1700000000.a.host:2,PS"), []byte(text(1)), 0o600); err != nil {
		t.Fatal(err)
	}
	m := mailbox(t, s, "INBOX")
	names := func() string {
		entries, err := os.ReadDir(filepath.Join(path, "cur"))
		if err != nil {
			t.Fatal(err)
		}
		var letters []string
		for _, e := range entries {
			_, info, _ := strings.Cut(e.Name(), ":2,")
			letters = append(letters, info)
		}
		return strings.Join(letters, " ")
	}
	flags := func() string {
		var f []Flags
		for _, meta := range m.Lookup(nil, m.UIDs(nil)) {
			f = append(f, meta.Flags)
		}
		return fmt.Sprint(f)
	}
	store := func(uid UID, op FlagOp, names ...string) {
		t.Helper()
		f, err := m.KeywordFlags(names, op == AddFlags)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := m.StoreFlags([]UID{uid}, op, f, 0); err != nil {
			t.Fatal(err)
		}
	}
	if got := flags(); got != fmt.Sprint([]Flags{Forwarded | Seen}) {
		t.Errorf("P is %s", got)
	}
	deliver(t, s, "", text(2))
	store(2, AddFlags, "$forwarded")
	if got := names(); got != "PS a" {
		t.Errorf("a letter for the second: %q", got)
	}
	if got := content(t, m, 1); got != text(1) {
		t.Errorf("the first is %q", got)
	}
	arch := mailbox(t, s, "Archive")
	if _, err := m.Copy([]UID{1, 2}, arch); err != nil {
		t.Fatal(err)
	}
	store(1, AddFlags, `\Flagged`)
	if got := names(); got != "FPSa a" {
		t.Errorf("both, since the first got another flag: %q", got)
	}
	store(1, RemoveFlags, "$Forwarded")
	store(2, RemoveFlags, "$Forwarded")
	if got := names() + " " + flags(); got != "FS  "+fmt.Sprint([]Flags{Flagged | Seen, 0}) {
		t.Errorf("neither: %q", got)
	}
	if kw, err := os.ReadFile(filepath.Join(path, ".Archive", "dovecot-keywords")); err != nil || string(kw) != "0 $Forwarded\n" {
		t.Errorf("keywords of the copies' folder: %q, %v", kw, err)
	}
	for _, meta := range arch.Lookup(nil, []UID{1, 2}) {
		if !meta.Flags.Has(Forwarded) {
			t.Errorf("a copy has the flags %b", meta.Flags)
		}
	}
	if got := m.Keywords(); len(got) != 0 {
		t.Errorf("it is shown as a keyword too: %q", got)
	}
}

// TestForwardedWithoutLetter: where 26 keywords have letters, it has P.
func TestForwardedWithoutLetter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	m := mailbox(t, s, "INBOX")
	var names []string
	for i := range 26 {
		names = append(names, fmt.Sprint("k", i))
	}
	deliver(t, s, "", text(1))
	if _, err := m.KeywordFlags(names, true); err != nil {
		t.Fatal(err)
	}
	f, err := m.KeywordFlags([]string{"$Forwarded"}, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.StoreFlags([]UID{1}, AddFlags, f, 0); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "mail", "ann", "Maildir", "cur", "*:2,P"))
	if err != nil || len(files) != 1 {
		t.Errorf("%q, %v", files, err)
	}
	if got := m.Lookup(nil, []UID{1})[0].Flags; got != Forwarded {
		t.Errorf("flags %b", got)
	}
}
