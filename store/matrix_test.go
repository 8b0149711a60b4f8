//go:build interop

package store

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A deed is done to the tree by us, by Dovecot, or by somebody else; then both
// must see the same, and every message be what it was.
type deed struct {
	name string
	do   func(s *scene)
	// What else may follow.
	repair bool // Dovecot complains of what it finds, or repairs it
	same   bool // the messages are the same as before, though they may have other UIDs
	lies   bool // Dovecot believes sizes that are wrong, and cannot read such messages
}

// A row is deeds that follow each other.
type row struct {
	name  string
	deeds []deed
	once  bool // it takes long
}

// matrix is what can happen to a tree that both use.
var matrix = append([]row{
	{name: "flags", deeds: []deed{
		{name: "ours", do: func(s *scene) {
			s.append("INBOX", text(1), `\Seen`, `\Answered`)
			s.append("INBOX", text(2), `\Draft`, `\Deleted`, `\Flagged`)
			s.append("INBOX", text(3))
			s.deliver("INBOX", text(4))
		}},
		{name: "theirs", do: func(s *scene) {
			s.doveadm("flags", "replace", `\Seen \Flagged`, "mailbox", "INBOX", "uid", "1")
			s.doveadm("flags", "remove", `\Deleted \Draft`, "mailbox", "INBOX", "uid", "2")
			s.doveadm("flags", "add", `\Answered \Deleted`, "mailbox", "INBOX", "uid", "3:4")
		}},
		{name: "ours again", do: func(s *scene) {
			s.flag("INBOX", RemoveFlags, []UID{1, 3}, `\Seen`, `\Deleted`)
			s.flag("INBOX", SetFlags, []UID{4}, `\Draft`)
		}},
		{name: "both in turns", do: func(s *scene) {
			for i := range 6 {
				s.flag("INBOX", []FlagOp{AddFlags, RemoveFlags}[i%2], []UID{1, 2}, `\Seen`)
				s.doveadm("flags", []string{"add", "remove"}[i/2%2], `\Answered`, "mailbox", "INBOX", "uid", "2:3")
			}
		}},
		{name: "in new/", do: func(s *scene) {
			s.program("INBOX", "new/1700000000.a.host", text(5))
			s.doveadm("flags", "add", `\Flagged`, "mailbox", "INBOX", "uid", "5")
			s.flag("INBOX", AddFlags, []UID{5}, `\Seen`)
		}},
	}},
	{name: "keywords", deeds: []deed{
		{name: "ours", do: func(s *scene) {
			s.append("INBOX", text(1), "$Junk", "Work", `\Seen`)
			s.append("INBOX", text(2), "work", "a-b_c.d", "$Label1")
		}},
		{name: "theirs", do: func(s *scene) {
			s.doveadm("flags", "add", `Home $label1 $Phishing`, "mailbox", "INBOX", "uid", "1")
			s.doveadm("flags", "remove", `Work`, "mailbox", "INBOX", "uid", "1:2")
		}},
		{name: "ours after theirs", do: func(s *scene) {
			s.flag("INBOX", AddFlags, []UID{2}, "HOME", "Later")
			s.flag("INBOX", RemoveFlags, []UID{1}, "$phishing", "$Junk")
			s.flag("INBOX", SetFlags, []UID{2}, "Later")
		}},
		{name: "to another folder's letters", do: func(s *scene) {
			s.append("Archive", text(3), "x1", "x2", "Later", "Home")
			s.copy("INBOX", []UID{1, 2}, "Archive")
			s.doveadm("copy", "Archive", "mailbox", "INBOX", "uid", "1:2")
			s.doveadm("move", "INBOX", "mailbox", "Archive", "uid", "1")
			s.move("Archive", []UID{2}, "INBOX")
		}},
		{name: "up to 26", do: func(s *scene) {
			for i := range 10 {
				s.flag("Sent", AddFlags, s.append("Sent", text(10+i)), fmt.Sprint("ours", i))
				s.doveadm("flags", "add", fmt.Sprint("theirs", i), "mailbox", "Sent", "uid", fmt.Sprint(i+1))
			}
			s.doveadm("flags", "add", "a b c d e f", "mailbox", "Sent", "uid", "1:10")
		}},
		{name: "forwarded, ours", do: func(s *scene) {
			s.append("Trash", text(20), "$Forwarded", `\Seen`)
			s.append("Trash", text(21), "other", "$forwarded")
			s.append("Trash", text(22), "$Forwarded")
			s.append("Trash", text(23))
		}},
		{name: "forwarded, theirs", do: func(s *scene) {
			s.doveadm("flags", "remove", "$Forwarded", "mailbox", "Trash", "uid", "1")
			s.doveadm("flags", "add", "$Forwarded", "mailbox", "Trash", "uid", "4")
		}},
		{name: "forwarded, ours again", do: func(s *scene) {
			s.flag("Trash", RemoveFlags, []UID{2, 4}, "$Forwarded")
			s.flag("Trash", AddFlags, []UID{1}, "$Forwarded")
			s.copy("Trash", []UID{1, 2, 3}, "Junk")
			s.move("Trash", []UID{3}, "Junk")
		}},
	}},
	{name: "messages come and go", deeds: []deed{
		{name: "ours and theirs", do: func(s *scene) {
			for i := range 4 {
				s.append("INBOX", text(i))
				s.save("INBOX", text(10+i))
				s.deliver("", text(20+i))
			}
		}},
		{name: "they expunge", do: func(s *scene) { s.doveadm("expunge", "mailbox", "INBOX", "uid", "2,5,12") }},
		{name: "we expunge", do: func(s *scene) { s.expunge("INBOX", 1, 11) }},
		{name: "and add", do: func(s *scene) {
			s.save("INBOX", text(31))
			s.append("INBOX", text(30))
		}},
		{name: "all go", do: func(s *scene) { s.doveadm("expunge", "mailbox", "INBOX", "all") }},
		{name: "the next UID goes on", do: func(s *scene) {
			s.save("INBOX", text(40))
			s.expunge("INBOX", s.uids("INBOX")...)
			s.append("INBOX", text(41))
		}},
	}},
	{name: "copy and move", deeds: []deed{
		{name: "from", do: func(s *scene) {
			for i := range 3 {
				s.append("INBOX", text(i), `\Seen`, "k")
				s.save("INBOX", text(10+i))
			}
		}},
		{name: "they copy", do: func(s *scene) { s.doveadm("copy", "Archive", "mailbox", "INBOX", "uid", "1:4") }},
		{name: "we copy theirs and ours", do: func(s *scene) {
			s.copy("Archive", []UID{1, 2}, "INBOX")
			s.copy("INBOX", []UID{1, 2}, "Archive")
			s.copy("INBOX", []UID{1, 2}, "INBOX")
		}},
		{name: "they copy into the same", do: func(s *scene) { s.doveadm("copy", "Archive", "mailbox", "Archive", "uid", "1:2") }},
		{name: "they move", do: func(s *scene) { s.doveadm("move", "Sent", "mailbox", "Archive", "uid", "1:3") }},
		{name: "we move back", do: func(s *scene) { s.move("Sent", s.uids("Sent"), "INBOX") }},
		{name: "they copy what we moved", do: func(s *scene) { s.doveadm("copy", "Trash", "mailbox", "INBOX", "all") }},
	}},
	{name: "folders", deeds: []deed{
		{name: "ours", do: func(s *scene) {
			for i, name := range []string{"Lists/go.dev/2024.1", "Täglich/Übung.ß", "日本語/メール", "~home/~x", `back\slash`, "a&b", "INBOX/under", "x/" + strings.Repeat("long name ", 24) + "x", "Späße/" + strings.Repeat("ö", 50)} {
				s.create(name)
				s.append(name, text(i), "k", `\Seen`)
				s.save(name, text(100+i))
			}
		}},
		{name: "theirs", do: func(s *scene) {
			for i, name := range []string{"Projekte/2024.Q1/äöü", "日本語/下書き", "~t", `b\c`, "q&a", "INBOX/theirs", "y/" + strings.Repeat("lang ", 49)} {
				s.doveadm("mailbox", "create", name)
				s.save(name, text(i))
				s.append(name, text(100+i), "k", `\Seen`)
			}
		}},
		{name: "they rename", do: func(s *scene) {
			s.doveadm("mailbox", "rename", "Lists/go.dev/2024.1", "Lists.old/go/2024")
			s.doveadm("mailbox", "rename", "Projekte", "Projects")
			s.rename("Täglich", "Täglich.neu")
			s.rename("日本語/下書き", "草稿")
			s.move("草稿", s.uids("草稿"), "Projects/2024.Q1/äöü")
		}},
		{name: "they delete, we delete, and made anew", do: func(s *scene) {
			s.doveadm("mailbox", "delete", "q&a", "~t")
			s.delete("a&b", `b\c`)
			s.create("q&a")
			s.doveadm("mailbox", "create", "a&b")
			s.append("q&a", text(1))
			s.append("a&b", text(1))
			s.gone("q&a", "a&b", "~t", `b\c`)
		}},
		{name: "subscriptions", do: func(s *scene) {
			s.subscribe("Projects/2024.Q1/äöü", true)
			s.doveadm("mailbox", "subscribe", "Täglich.neu/Übung.ß", `back\slash`)
			s.doveadm("mailbox", "unsubscribe", "Junk")
			s.subscribe("Trash", false)
		}},
	}},
	{name: "sizes and line ends", deeds: []deed{
		{name: "as files", do: func(s *scene) {
			lf := "Subject: lf\n\nbare\nlines\n"
			crlf := strings.ReplaceAll(lf, "\n", "\r\n")
			mixed := "Subject: mixed\r\n\r\none\ntwo\r\nthree"
			for i, f := range []struct{ sizes, text string }{
				{"", lf}, {"", crlf}, {"", mixed},
				{fmt.Sprintf(",S=%d", len(lf)), lf},
				{fmt.Sprintf(",S=%d,W=%d", len(lf), len(crlf)), lf},
				{fmt.Sprintf(",W=%d", len(crlf)), lf},
				{fmt.Sprintf(",S=%d,W=%d", len(crlf), len(crlf)), crlf},
				{fmt.Sprintf(",S=%d", len(mixed)), mixed},
				{fmt.Sprintf(",W=%d,S=%d", len(mixed)+1, len(mixed)), mixed},
			} {
				s.program("INBOX", fmt.Sprintf("cur/17000000%02d.M%dP1.host%s:2,S", i, i, f.sizes), f.text)
			}
		}},
		{name: "copies keep them", do: func(s *scene) {
			s.copy("INBOX", s.uids("INBOX"), "Archive")
			s.doveadm("copy", "Sent", "mailbox", "INBOX", "all")
		}},
		{name: "moves and flags too", do: func(s *scene) {
			s.move("Archive", s.uids("Archive"), "Trash")
			s.doveadm("move", "Junk", "mailbox", "Sent", "all")
			s.flag("Junk", AddFlags, s.uids("Junk"), `\Flagged`)
			s.doveadm("flags", "remove", `\Seen`, "mailbox", "Trash", "all")
		}},
		{name: "letters in any form", do: func(s *scene) {
			s.append("Drafts", text(1), `\Flagged`, "k", `\Seen`)
			s.append("Drafts", text(2))
			s.append("Drafts", text(3), `\Seen`, "k", "l")
		}},
	}},
	{name: "wrong sizes", deeds: []deed{
		{name: "as files", repair: true, lies: true, do: func(s *scene) {
			// A size that lies: Dovecot takes it off the name when it reads the file,
			// and the message is another one then.
			for i, sizes := range []string{",S=7", ",S=100000", ",S=9,W=10", ",W=3", ",S=x"} {
				s.program("INBOX", fmt.Sprintf("cur/17000000%02d.M%dP1.host%s:2,S", i, i, sizes), "Subject: lies\n\nbare\nlines\n")
			}
		}},
	}},
	{name: "delivered by lda", deeds: []deed{
		{name: "beside us", do: func(s *scene) {
			for i := range 4 {
				s.lda(text(i))
				s.lda(text(10+i), "-m", "Archive")
				s.deliver("", text(20+i))
				s.append("Archive", text(30+i), "k")
			}
		}},
		{name: "while we hold the list", do: func(s *scene) {
			unlock := s.lockList("INBOX")
			for i := range 3 {
				s.lda(text(40 + i))
			}
			unlock()
			s.deliver("", text(50))
		}},
		{name: "flags on what came so", do: func(s *scene) {
			s.flag("INBOX", AddFlags, s.uids("INBOX"), `\Seen`, "k")
			s.doveadm("flags", "add", `\Flagged`, "mailbox", "Archive", "all")
		}},
		{name: "into a folder of its own", do: func(s *scene) { s.lda(text(60), "-m", "Neu/von.lda", "-o", "lda_mailbox_autocreate=yes") }},
	}},
	{name: "messages without a line", deeds: []deed{
		{name: "in cur/ and new/", do: func(s *scene) {
			s.append("INBOX", text(1))
			for i := range 3 {
				s.program("INBOX", fmt.Sprintf("new/17000000%02d.M1P1.host", i), text(10+i))
				s.program("INBOX", fmt.Sprintf("cur/17000000%02d.M2P1.host:2,FS", i), text(20+i))
			}
		}},
		{name: "among others", do: func(s *scene) {
			s.program("INBOX", "cur/1600000000.M2P1.host", text(30))
			s.deliver("", text(31))
			s.program("INBOX", "new/1600000001.M2P1.host", text(32))
			s.save("INBOX", text(33))
		}},
		{name: "renamed and removed at once", do: func(s *scene) {
			s.program("INBOX", "new/1600000002.M2P1.host", text(34))
			s.must(os.Rename(s.path("INBOX", "new/1600000002.M2P1.host"), s.path("INBOX", "cur/1600000002.M2P1.host:2,S")))
			s.must(os.Rename(s.path("INBOX", "cur/1600000000.M2P1.host"), s.path("INBOX", "cur/1600000000.M2P1.host:2,RS")))
		}},
	}},
	{name: "two files of one name", deeds: []deed{
		{name: "one message", repair: true, do: func(s *scene) {
			s.append("INBOX", text(1))
			s.program("INBOX", "cur/1700000000.M2P1.host:2,S", text(2))
			s.uids("INBOX")
			s.must(os.Link(s.path("INBOX", "cur/1700000000.M2P1.host:2,S"), s.path("INBOX", "cur/1700000000.M2P1.host:2,FS")))
		}},
		{name: "two messages", repair: true, do: func(s *scene) {
			s.program("INBOX", "cur/1700000001.M2P1.host:2,S", text(3))
			s.uids("INBOX")
			s.program("INBOX", "cur/1700000001.M2P1.host:2,FS", text(4))
		}},
	}},
	{name: "ten thousand messages", deeds: []deed{
		{name: "without lines", do: func(s *scene) {
			cur, tmp := s.path("INBOX", "cur"), s.path("INBOX", "tmp")
			for i := range 10_000 { // the oldest first, as both number them
				body := text(i)
				name := fmt.Sprintf("17%08d.M1P1.host,S=%d,W=%d:2,%s", i, len(body), len(body), []string{"", "S", "FS"}[i%3])
				s.must(os.WriteFile(filepath.Join(tmp, name), []byte(body), 0o600))
				s.must(os.Rename(filepath.Join(tmp, name), filepath.Join(cur, name)))
			}
		}},
		{name: "they copy", do: func(s *scene) { s.doveadm("copy", "Archive", "mailbox", "INBOX", "all") }},
		{name: "both flag", do: func(s *scene) {
			s.doveadm("flags", "add", `\Answered theirs`, "mailbox", "INBOX", "uid", "1:6000")
			s.flag("INBOX", AddFlags, s.uids("INBOX")[4000:], `\Flagged`, "ours")
			s.doveadm("flags", "remove", `\Seen`, "mailbox", "Archive", "uid", "1:*")
		}},
		{name: "both expunge", do: func(s *scene) {
			s.doveadm("expunge", "mailbox", "INBOX", "uid", "100:3000")
			s.expunge("INBOX", s.uids("INBOX")[2000:5000]...)
			s.doveadm("expunge", "mailbox", "Archive", "answered")
		}},
		{name: "both move", do: func(s *scene) {
			s.move("Archive", s.uids("Archive")[:1500], "Sent")
			s.doveadm("move", "Trash", "mailbox", "Sent", "uid", "1:1000")
			s.copy("Trash", s.uids("Trash"), "INBOX")
		}},
		{name: "caches go", do: func(s *scene) {
			s.stop()
			s.removeAll("letterbox.*")
			s.removeAll("dovecot.*")
			s.start()
		}},
	}, once: true},
	{name: "caches go", deeds: []deed{
		{name: "from", do: func(s *scene) {
			for i := range 3 {
				s.append("INBOX", text(i), "k", `\Seen`)
				s.save("INBOX", text(10+i))
				s.program("INBOX", fmt.Sprintf("new/17000000%02d.M1P1.host", i), text(20+i))
			}
			s.doveadm("copy", "Archive", "mailbox", "INBOX", "all")
		}},
		{name: "theirs", do: func(s *scene) { s.removeAll("dovecot.*") }},
		{name: "ours, stopped", do: func(s *scene) {
			s.stop()
			s.removeAll("letterbox.*")
			s.start()
		}},
		{name: "both, and restarted", do: func(s *scene) {
			s.stop()
			s.removeAll("letterbox.*")
			s.removeAll("dovecot.*")
			s.doveadm("flags", "add", "l", "mailbox", "INBOX", "uid", "1:4")
			s.start()
		}},
	}},
}, damages()...)

// damages are what a crash, a full disk or a person can do to dovecot-uidlist.
func damages() (rows []row) {
	from := deed{name: "from", do: func(s *scene) {
		for i := range 4 {
			s.append("INBOX", text(i), `\Seen`)
			s.save("INBOX", text(10+i))
		}
		s.expunge("INBOX", 3)
		s.doveadm("copy", "INBOX", "mailbox", "INBOX", "uid", "1")
	}}
	for _, d := range []struct {
		name string
		edit func(list string) string
	}{
		{"torn end", func(list string) string { return list + "90 :17000" }},
		{"torn digits", func(list string) string { return list + "9" }},
		{"no line end", func(list string) string { return strings.TrimSuffix(list, "\n") }},
		{"cut in the middle of a line", func(list string) string { return list[:len(list)-9] }},
		{"an empty line", func(list string) string { return insertLine(list, 4, "") }},
		{"garbage", func(list string) string { return insertLine(list, 3, "garbage") }},
		{"zeros at the end", func(list string) string { return list + strings.Repeat("\x00", 100) }},
		{"zeros in the middle", func(list string) string {
			return list[:200] + strings.Repeat("\x00", 50) + list[250:]
		}},
		{"a line twice", func(list string) string { return insertLine(list, 4, lineAt(list, 4)) }},
		{"a message on two lines", func(list string) string {
			_, base, _ := strings.Cut(lineAt(list, 2), ":")
			return list + "95 :" + base + "\n"
		}},
		{"a UID for two messages", func(list string) string {
			uid, _, _ := strings.Cut(lineAt(list, 3), " ")
			_, base, _ := strings.Cut(lineAt(list, 4), ":")
			return insertLine(list, 4, uid+" :"+base)
		}},
		{"out of order", func(list string) string { return insertLine(list, 6, lineAt(list, 2)) }},
		{"a line is missing", func(list string) string { return strings.Replace(list, lineAt(list, 3)+"\n", "", 1) }},
		{"no head", func(list string) string { return list[strings.IndexByte(list, '\n')+1:] }},
		{"a broken head", func(list string) string { return "3 Vx N1\n" + list[strings.IndexByte(list, '\n')+1:] }},
		{"half a head", func(list string) string { return list[:20] }},
		{"empty", func(string) string { return "" }},
		{"removed", func(string) string { return removed }},
		{"UIDNEXT too low", func(list string) string {
			head, rest, _ := strings.Cut(list, "\n")
			fields := strings.Fields(head)
			fields[2] = "N1"
			return strings.Join(fields, " ") + "\n" + rest
		}},
	} {
		damage := deed{name: "damage", repair: true, same: true, do: func(s *scene) {
			s.settle("INBOX")
			path := s.path("INBOX", "dovecot-uidlist")
			list, err := os.ReadFile(path)
			s.must(err)
			if edited := d.edit(string(list)); edited != removed {
				s.must(os.WriteFile(path, []byte(edited), 0o600))
			} else {
				s.must(os.Remove(path))
			}
		}}
		rows = append(rows, row{name: "dovecot-uidlist: " + d.name, deeds: []deed{from, damage, {name: "and on", do: func(s *scene) {
			s.append("INBOX", text(50))
			s.save("INBOX", text(51))
		}}, {name: "without caches", do: func(s *scene) {
			s.stop()
			s.removeAll("letterbox.*")
			s.removeAll("dovecot.*")
			s.start()
		}}}})
	}
	return rows
}

const removed = "\x00" // instead of a list: there is none

func lineAt(list string, n int) string { return strings.Split(list, "\n")[n] }

func insertLine(list string, n int, line string) string {
	return strings.Join(slices.Insert(strings.Split(list, "\n"), n, line), "\n")
}

// settings are the ways in which Dovecot can be told to go about a Maildir, and
// the rows of the matrix for which that matters.
var settings = []struct {
	name  string
	lines []string
	rows  []string // nil: all
}{
	{"standard", nil, nil},
	{"sizes believed, no links", []string{"maildir_broken_filename_sizes = no", "maildir_copy_with_hardlinks = no"}, touchy},
	{"sizes doubted", []string{"maildir_broken_filename_sizes = yes"}, []string{"wrong sizes"}},
	{"dirty, links", []string{"maildir_very_dirty_syncs = yes", "maildir_copy_with_hardlinks = yes"}, touchy},
}

var touchy = []string{"flags", "messages come and go", "copy and move", "sizes and line ends", "wrong sizes", "delivered by lda", "messages without a line", "caches go"}

// TestInteropDovecotMatrix does everything of the matrix to a tree that we and
// Dovecot have at the same time, and compares what both see after each deed: we
// look first, or Dovecot does.
func TestInteropDovecotMatrix(t *testing.T) {
	if os.Getuid() == 0 {
		asNobody(t)
		return
	}
	for _, set := range settings {
		for _, theyFirst := range []bool{false, true} {
			name := set.name + ", we look first"
			if theyFirst {
				name = set.name + ", Dovecot looks first"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				for _, r := range matrix {
					if (set.rows == nil || slices.Contains(set.rows, r.name)) && !(r.once && theyFirst) {
						t.Run(r.name, func(t *testing.T) { play(t, r.deeds, theyFirst, set.lines) })
					}
				}
			})
		}
	}
}

// play does deeds one after the other, up to the first after which something differs.
func play(t *testing.T, deeds []deed, theyFirst bool, lines []string) {
	s := newScene(t, lines...)
	s.agree(false, deed{name: "new"})
	for _, d := range deeds {
		d.do(s)
		if !s.agree(theyFirst, d) {
			return
		}
	}
}

// patience is how long we may take to notice what another program did.
const patience = 10 * time.Second
