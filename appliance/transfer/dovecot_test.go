package transfer

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"letterbox/store/maildir"
)

func openDovecot(t *testing.T, dir, passwd string) *Dovecot {
	t.Helper()
	d, err := OpenDovecot(t.Context(), dir, passwd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestDovecotLayouts(t *testing.T) {
	t.Parallel()
	const letter = "Subject: x\n\ny\n"
	for _, tt := range []struct {
		name   string
		files  map[string]string
		want   string // users with the number of their messages, or the fault
		others string
	}{
		{"people", map[string]string{"ann/Maildir/cur/1.a.host:2,S": letter, "ann/Maildir/.Lists.go\\2edev/new/2.b.host": letter, "ann/Maildir/.Lists.go\\2edev/cur/": "", "ben/Maildir/cur/": "", "notes/x": "y", "file": "z"}, "ann 2, ben 0", "notes"},
		{"domains", map[string]string{"example.org/ann/Maildir/cur/1.a.host": letter, "example.org/ben/cur/2.b.host": letter, "example.net/ann/cur/": ""}, "ann@example.net 0, ann@example.org 1, ben@example.org 1", ""},
		{"addresses", map[string]string{"ann@example.org/cur/1.a.host": letter, "ben@example.org/Maildir/cur/": ""}, "ann@example.org 1, ben@example.org 0", ""},
		{"one alone", map[string]string{"cur/1.a.host": letter, ".Sent/cur/2.a.host": letter}, " 2", ""},
		{"one below Maildir", map[string]string{"Maildir/cur/1.a.host": letter}, " 1", ""},
		{"folders in folders", map[string]string{"ann/Maildir/cur/1.a.host": letter, "ann/Maildir/Lists/cur/": ""}, "ann: its folders lie inside each other (ann/Maildir/Lists)", ""},
		{"mdbox", map[string]string{"ann/mdbox/storage/m.1": "x"}, "ann: its mail is kept as mdbox", ""},
		{"sdbox", map[string]string{"example.org/ann/sdbox/mailboxes/INBOX/dbox-Mails/u.1": "x"}, "ann@example.org: its mail is kept as sdbox", ""},
		{"mbox", map[string]string{"ann/mail/inbox": "From x\nSubject: y\n\n"}, "ann: its mail is kept as mbox", ""},
		{"nothing", map[string]string{"ann/x": "y"}, "there is no mail in", ""},
		{"a passwd-file", map[string]string{"ann/Maildir/cur/": "", "users": "Ann@example.org:{PLAIN}x\nben@example.org:{PLAIN}y\nzoe:::::::userdb_mail=sdbox:~/sdbox\n"}, "Ann@example.org 0 {PLAIN}x, ben@example.org 0 {PLAIN}y, zoe: its mail is kept as sdbox", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := OpenDovecot(t.Context(), tree(t, tt.files), "")
			if err != nil {
				if !strings.HasPrefix(err.Error(), tt.want) {
					t.Errorf("%v, want %s", err, tt.want)
				}
				return
			}
			defer d.Close()
			var got []string
			for _, p := range d.People {
				if p.Fault != nil {
					got = append(got, p.User+": "+p.Fault.Error())
				} else {
					got = append(got, strings.TrimRight(fmt.Sprint(p.User, " ", p.Messages, " ", p.Entry.Password), " "))
				}
			}
			ok := len(got) == strings.Count(tt.want, ", ")+1
			for i, want := range strings.Split(tt.want, ", ") {
				ok = ok && strings.HasPrefix(got[i], want)
			}
			if !ok || strings.Join(d.Others, " ") != tt.others {
				t.Errorf("found %q, others %q", got, d.Others)
			}
		})
	}
}

// TestDovecotLeadsNowhere: a link out of the directory is not followed, whoever is root.
func TestDovecotLeadsNowhere(t *testing.T) {
	t.Parallel()
	secret := tree(t, map[string]string{"Maildir/cur/1.a.host": "secret"})
	dir := tree(t, map[string]string{"ann/Maildir/cur/2.a.host": "Subject: x\n\n"})
	for link, to := range map[string]string{"ben": secret, "ann/Maildir/.Stolen": filepath.Join(secret, "Maildir"), "ann/Maildir/cur/3.a.host": filepath.Join(secret, "Maildir/cur/1.a.host")} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	d := openDovecot(t, dir, "")
	if len(d.People) != 1 || d.People[0].User != "ann" {
		t.Fatalf("found %+v", d.People)
	}
	to := filepath.Join(t.TempDir(), "tree")
	if _, _, err := d.People[0].CopyTree(t.Context(), to, nil, nil); err == nil || !strings.Contains(err.Error(), "3.a.host") {
		t.Errorf("the link is not named: %v", err)
	}
	if err := filepath.Walk(to, func(path string, info os.FileInfo, err error) error {
		if b, rerr := os.ReadFile(path); rerr == nil && bytes.Contains(b, []byte("secret")) {
			t.Errorf("%s holds what is not ann's", path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// treeFiles are the message files of a tree and what is in them.
func treeFiles(t *testing.T, dir string) (list []string) {
	t.Helper()
	for _, pattern := range []string{"cur/*", "new/*", ".*/cur/*", ".*/new/*"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			rel, _ := filepath.Rel(dir, f)
			list = append(list, fmt.Sprintf("%s %q", rel, text))
		}
	}
	slices.Sort(list)
	return list
}

// TestCopyTree: a copy is brought up to date by doing it again, also where it was stopped half-way.
func TestCopyTree(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	fmt.Fprint(z, "Subject: packed\n\ny\n")
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"cur/1700000001.z.host,S=19:2,S": packed.String(), "subscriptions": "V\t2\n\nLists\tgo\n",
		"dovecot-uidlist":    "3 V77 N90 G00112233445566778899aabbccddeeff\n5 :1700000001.z.host,S=19\n80 :1700000080.m.host\n",
		"dovecot-keywords":   "0 work\n",
		"dovecot.index.log":  "x",
		".Lists.go/cur/":     "",
		"new/":               "",
		".Lists.go/new/7.a.": "Subject: new\n\n",
	}
	for i := range 120 {
		files[fmt.Sprintf("cur/1700000%03d.m.host:2,Sa", i)] = fmt.Sprintf("Subject: %d\n\n", i)
	}
	dir := tree(t, files)
	d := openDovecot(t, dir, "")
	p := &d.People[0]
	to := filepath.Join(t.TempDir(), "tree")
	ctx, stop := context.WithCancel(t.Context())
	seeded := 0
	_, _, err := p.CopyTree(ctx, to, func(*maildir.Root, []string) error { seeded++; stop(); return nil }, nil)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if messages, _, err := p.CopyTree(t.Context(), to, func(*maildir.Root, []string) error { seeded++; return nil }, nil); err != nil || messages != 122 {
		t.Fatal(messages, err)
	}
	if seeded != 1 {
		t.Errorf("seeded %d times", seeded)
	}
	want := treeFiles(t, dir)
	for i := range want {
		if strings.Contains(want[i], ".z.host") {
			want[i] = `cur/1700000001.z.host,S=19:2,S "Subject: packed\n\ny\n"`
		}
	}
	if got := treeFiles(t, to); !slices.Equal(got, want) {
		t.Errorf("copied\n%q\nwant\n%q", got, want)
	}
	if _, err := os.Stat(filepath.Join(to, "dovecot.index.log")); err == nil {
		t.Error("Dovecot's index came along")
	}

	// Names change, messages come and go.
	if err := os.Rename(filepath.Join(dir, "cur/1700000005.m.host:2,Sa"), filepath.Join(dir, "cur/1700000005.m.host:2,FS")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "cur/1700000006.m.host:2,Sa")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "new/1800000000.m.host"), []byte("Subject: later\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.CopyTree(t.Context(), to, nil, nil); err != nil {
		t.Fatal(err)
	}
	want = treeFiles(t, dir)
	for i := range want {
		if strings.Contains(want[i], ".z.host") {
			want[i] = `cur/1700000001.z.host,S=19:2,S "Subject: packed\n\ny\n"`
		}
	}
	if got := treeFiles(t, to); !slices.Equal(got, want) {
		t.Errorf("brought up to date:\n%q\nwant\n%q", got, want)
	}
	if err := os.WriteFile(filepath.Join(dir, "cur/1800000001.m.host:2,"), []byte("\x28\xb5\x2f\xfd..."), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.CopyTree(t.Context(), to, nil, nil); err == nil || !strings.Contains(err.Error(), "zstd") {
		t.Errorf("what cannot be unpacked: %v", err)
	}
}
