package transfer

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// samplePeople are a household and the data directory that its mail is in: ann's, and nobody else's yet.
func samplePeople(t *testing.T, files map[string]string) DovecotExport {
	t.Helper()
	laid := make(map[string]string)
	for name, text := range files {
		laid["mail/ann/Maildir/"+name] = text
	}
	return DovecotExport{
		Data: tree(t, laid), Dir: filepath.Join(t.TempDir(), "out"), Serving: func() bool { return false },
		Household: DovecotHousehold{Domains: []string{"example.org"}, People: []DovecotUser{{Name: "ann", Password: "{SHA}x"}, {Name: "ben"}}},
	}
}

// TestDovecotExportStopped: wherever an export is stopped, and whatever happens to the mail meanwhile, the next one makes it whole. The
// first runs beside a server, so that even the last of it is not taken for finished.
func TestDovecotExportStopped(t *testing.T) {
	t.Parallel()
	for stop := 0; stop < 46; stop += 3 {
		files := sampleMail(8)
		files[".Gone/cur/1.g:2,"] = "Subject: gone\n\n"
		files["subscriptions"] += "Gone\n"
		e := samplePeople(t, files)
		from, to := filepath.Join(e.Data, "mail/ann/Maildir"), filepath.Join(e.Dir, "mail/ann/Maildir")
		beside := e
		beside.Serving = func() bool { return true }
		report, err := beside.Run(&countdown{t.Context(), stop}, nil)
		if err != nil && !errors.Is(err, context.Canceled) || err == nil && stop < 36 || report.Finished {
			t.Fatalf("after %d questions: %+v, %v", stop, report, err)
		}
		at := func(name string) string { return filepath.Join(from, name) }
		err = errors.Join(os.Rename(at("cur/1700.a:2,S"), at("cur/1700.a:2,FS")), os.Remove(at("cur/1701.a:2,S")), os.WriteFile(at("new/1799.a"), []byte("new"), 0o600),
			os.RemoveAll(at(".Gone")), os.Rename(at(".Lists"), at(".List")), os.WriteFile(at("subscriptions"), []byte("V\t2\n\nList\n"), 0o600))
		if err != nil {
			t.Fatal(err)
		}
		report, err = e.Run(t.Context(), nil)
		if err != nil || !report.Finished || len(report.People) != 2 || !report.People[1].NoMail {
			t.Fatalf("after %d questions: %+v, %v", stop, report, err)
		}
		if got, want := messagesIn(t, to), messagesIn(t, from); !maps.Equal(got, want) {
			t.Errorf("after %d questions there are\n%q\nnot\n%q", stop, got, want)
		}
		for _, name := range []string{".List/dovecot-keywords", ".List/letterbox-folder", "subscriptions"} {
			got, err := os.ReadFile(filepath.Join(to, name))
			want, werr := os.ReadFile(at(name))
			if errors.Join(err, werr) != nil || string(got) != string(want) {
				t.Errorf("after %d questions %s is %q, %v", stop, name, got, err)
			}
		}
		if list, err := os.ReadFile(filepath.Join(to, ".List/dovecot-uidlist")); err != nil || !strings.HasPrefix(string(list), "3 V8 N18") || strings.Count(string(list), "\n") != 9 {
			t.Errorf("after %d questions the list is\n%s%v", stop, list, err)
		}
		if left, _ := filepath.Glob(filepath.Join(to, ".Lists")); len(left) > 0 {
			t.Errorf("after %d questions %q is there still", stop, left)
		}
		if words := readText(t, e.Dir, "README.txt"); strings.Contains(words, "NOT COMPLETE") {
			t.Errorf("after %d questions it says:\n%s", stop, words)
		}
		if _, err := e.Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "finished already") {
			t.Errorf("a finished export was written into: %v", err)
		}
	}
}

func readText(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDovecotExportRefuses: what is not its own is not touched.
func TestDovecotExportRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		lay  map[string]string // into the target
		want string
	}{
		{"something else", map[string]string{"notes.txt": "x"}, "is not empty, and no export was begun there"},
		{"another export", map[string]string{exportFile: exportHead + "\nmbox of ann\nunfinished\n"}, "holds an export of another kind: mbox of ann"},
		{"a finished one", map[string]string{exportFile: exportHead + "\ndovecot of everybody\nfinished\n"}, "holds an export that is finished already"},
		{"one that Dovecot delivered into", map[string]string{exportFile: exportHead + "\ndovecot of everybody\nunfinished\n", "mail/ann/Maildir/dovecot.index.log": "", "mail/ann/Maildir/cur/1.d:2,": "x"},
			"a Dovecot has worked with the mail of ann"},
		{"one in a folder of which it did", map[string]string{exportFile: exportHead + "\ndovecot of everybody\nunfinished\n", "mail/ann/Maildir/.Sent/dovecot.index.log": "", "mail/ann/Maildir/.Sent/cur/1.d:2,": "x"},
			"a Dovecot has worked with the mail of ann"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := samplePeople(t, sampleMail(2))
			e.Dir = tree(t, tt.lay)
			before := treeOfFiles(t, e.Dir)
			for what, do := range map[string]func() error{
				"export":  func() error { _, err := e.Run(t.Context(), nil); return err },
				"dry run": func() error { _, _, err := e.Plan(); return err },
			} {
				if err := do(); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%s: %v, want %s", what, err, tt.want)
				}
			}
			if after := treeOfFiles(t, e.Dir); !maps.Equal(before, after) {
				t.Errorf("there were\n%q\nand are\n%q", before, after)
			}
		})
	}
}

// treeOfFiles are the files below a directory and what is in them.
func treeOfFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestDovecotExportRoom: what the disk cannot hold is not begun; what is there already needs no room.
func TestDovecotExportRoom(t *testing.T) {
	t.Parallel()
	const huge = "cur/1.huge,S=9000000000000000000:2,"
	e := samplePeople(t, map[string]string{huge: "x"})
	if _, _, err := e.Plan(); err == nil || !strings.Contains(err.Error(), "there is not enough room in "+e.Dir) {
		t.Errorf("dry run: %v", err)
	}
	if _, err := e.Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "there is not enough room in "+e.Dir) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(e.Dir, "mail")); err == nil {
		t.Error("it was begun all the same")
	}
	if err := os.MkdirAll(filepath.Join(e.Dir, "mail/ann/Maildir/cur"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(e.Dir, "mail/ann/Maildir", huge), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if report, err := e.Run(t.Context(), nil); err != nil || !report.Finished {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestDovecotExportUnreadable: what cannot be read is named, and the export is not called finished.
func TestDovecotExportUnreadable(t *testing.T) {
	t.Parallel()
	e := samplePeople(t, sampleMail(2))
	bad := filepath.Join(e.Data, "mail/ann/Maildir/cur/1701.dir:2,S")
	if err := os.Mkdir(bad, 0o700); err != nil {
		t.Fatal(err)
	}
	report, err := e.Run(t.Context(), nil)
	if err != nil || report.Finished || report.People[0].LeftOut != 1 || report.People[0].Left[0].Message != "1701.dir:2,S" {
		t.Errorf("%+v, %v", report, err)
	}
	if err := os.Remove(bad); err != nil {
		t.Fatal(err)
	}
	if report, err := e.Run(t.Context(), nil); err != nil || !report.Finished {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestDovecotExportKeepsCopies: a message that cannot be read any more stays where an earlier run has copied it, under its number.
func TestDovecotExportKeepsCopies(t *testing.T) {
	t.Parallel()
	e := samplePeople(t, sampleMail(4))
	serving := e
	serving.Serving = func() bool { return true }
	if _, err := serving.Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	from, to := filepath.Join(e.Data, "mail/ann/Maildir/.Lists"), filepath.Join(e.Dir, "mail/ann/Maildir/.Lists")
	want := messagesIn(t, to)
	list := readText(t, to, "dovecot-uidlist")
	if err := errors.Join(os.Remove(filepath.Join(from, "cur/1801.b:2,c")), os.Mkdir(filepath.Join(from, "cur/1801.b:2,c"), 0o700)); err != nil {
		t.Fatal(err)
	}
	report, err := e.Run(t.Context(), nil)
	if err != nil || report.Finished || report.People[0].LeftOut != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	if got := messagesIn(t, to); !maps.Equal(got, want) || len(got) != 4 {
		t.Errorf("there are\n%q\nnot\n%q", got, want)
	}
	if got := readText(t, to, "dovecot-uidlist"); got != list {
		t.Errorf("the list is\n%snot\n%s", got, list)
	}
}

// TestDovecotFiles: the files beside the mail.
func TestDovecotFiles(t *testing.T) {
	t.Parallel()
	e := samplePeople(t, map[string]string{
		"cur/.keep":                         "",
		".Papierkorb/letterbox-folder":      "letterbox-folder 1\nspecial-use \\Trash\nkeyword 7 kw27 1:5\n",
		".Papierkorb/cur/.keep":             "",
		".What is \"it\"?/letterbox-folder": "letterbox-folder 1\nspecial-use \\Archive\n",
		".What is \"it\"?/cur/.keep":        "",
		".a\"b\\5cc/letterbox-folder":       "letterbox-folder 1\nspecial-use \\Archive\n",
		".a\"b\\5cc/cur/.keep":              "",
	})
	e.Household = DovecotHousehold{
		Name: "The Millers", Domains: []string{"example.org", "example.net"}, Quotas: true,
		People: []DovecotUser{
			{Name: "ann", FullName: "Ann: Miller, jr.", Password: "{ARGON2ID}$argon2id$x", Devices: 2},
			{Name: "ben", Password: "{SSHA}x", Disabled: true},
			{Name: "cleo"},
		},
		Aliases: []DovecotAlias{{"us@example.org", []string{"ann@example.org", "ben@example.org"}}, {`"x y"@example.org`, []string{"ann@example.org"}}, {"@example.net", []string{"ben@example.org"}}},
	}
	if _, err := e.Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got, want := readText(t, e.Dir, "passwd"), "ann:{ARGON2ID}$argon2id$x:::Ann Miller jr.:::\nben:{SSHA}x::::::nologin\ncleo:{CRYPT}*::::::\n"; got != want {
		t.Errorf("passwd is\n%s", got)
	}
	if back, err := ReadPasswdFile(strings.NewReader(readText(t, e.Dir, "passwd"))); err != nil || len(back) != 3 || !back[1].NoLogin || back[0].FullName != "Ann Miller jr." {
		t.Errorf("passwd is read back as %+v, %v", back, err)
	}
	lines := strings.Split(readText(t, e.Dir, "aliases"), "\n")
	if !slices.Equal(lines[1:], []string{"us@example.org ann@example.org, ben@example.org", `# Postfix has no form for this one: "x y"@example.org ann@example.org`, "@example.net ben@example.org", ""}) {
		t.Errorf("aliases is %q", lines)
	}
	conf := strings.Join(strings.Fields(readText(t, e.Dir, "dovecot.conf")), " ")
	for _, want := range []string{`mailbox "Papierkorb" { special_use = \Trash }`, `mailbox "Trash" { special_use = \Trash }`, `mailbox "a\"b\\c" { special_use = \Archive }`, `mail_home = "` + e.Dir + `/mail/%n"`} {
		if !strings.Contains(conf, want) {
			t.Errorf("dovecot.conf lacks %s:\n%s", want, conf)
		}
	}
	words := strings.Join(strings.Fields(readText(t, e.Dir, "README.txt")), " ")
	for _, want := range []string{"The Millers", "example.org, example.net", "should refresh flags once", "The hashes of ann are such", "cannot sign in: cleo.", "Device passwords do not come along", "There are such of ann.", "quota plugin",
		`ann's folder "Papierkorb" has 1 keywords more`, `ann's folder "What is \"it\"?" was made for \Archive, and its name means several folders`} {
		if !strings.Contains(words, want) {
			t.Errorf("README.txt lacks %s:\n%s", want, words)
		}
	}
	for _, name := range []string{"passwd", "aliases", "dovecot.conf", "README.txt", "letterbox-export"} {
		if info, err := os.Stat(filepath.Join(e.Dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}
