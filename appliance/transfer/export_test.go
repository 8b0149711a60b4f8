package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"letterbox/store/maildir"
)

// countdown is a context that ends when it was asked so often whether it has.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// exportable opens a Maildir for an export.
func exportable(t *testing.T, dir string) *maildir.Reader {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	mail, err := maildir.OpenReader(root, ".")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mail.Close() })
	return mail
}

// messagesIn maps the files in cur and new of a directory and its folders to their texts and times.
func messagesIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if parent := filepath.Base(filepath.Dir(path)); parent != "cur" && parent != "new" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		name, _ := filepath.Rel(dir, path)
		all[name] = fmt.Sprint(info.ModTime().UnixNano(), " ", string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// sampleMail are files of a Maildir with n messages in INBOX and in Lists.
func sampleMail(n int) map[string]string {
	files := map[string]string{
		"dovecot-uidlist":         "3 V7 N9 G0123456789abcdef0123456789abcdef\n",
		".Lists/dovecot-uidlist":  "3 V8 N9\n",
		".Lists/dovecot-keywords": "0 blue\n2 green\n",
		".Lists/letterbox-folder": "letterbox-folder 1\nspecial-use \\Archive\n",
		"new/1798.a":              "waiting",
		"subscriptions":           "V\t2\n\nLists\n",
	}
	for i := range n {
		files[fmt.Sprintf("cur/17%02d.a:2,S", i)] = fmt.Sprintf("Subject: inbox %d\n\nFrom here\n", i)
		files[fmt.Sprintf(".Lists/cur/18%02d.b:2,c", i)] = fmt.Sprintf("Subject: list %d\r\n\r\n", i)
		files[".Lists/dovecot-uidlist"] += fmt.Sprintf("%d :18%02d.b\n", 10+i, i)
	}
	return files
}

// TestExportMaildirStopped: wherever an export is stopped, whatever happens to the mail meanwhile, the next one makes it whole.
func TestExportMaildirStopped(t *testing.T) {
	t.Parallel()
	for stop := 0; stop < 40; stop += 3 {
		from, to := tree(t, sampleMail(8)), filepath.Join(t.TempDir(), "out")
		e := Export{Mail: exportable(t, from), Person: "ann", Dir: to}
		if _, err := ExportMaildir(&countdown{t.Context(), stop}, e, nil); !errors.Is(err, context.Canceled) {
			t.Fatalf("after %d questions: %v", stop, err)
		}
		at := func(name string) string { return filepath.Join(from, name) }
		err := errors.Join(os.Rename(at("cur/1700.a:2,S"), at("cur/1700.a:2,FS")), os.Remove(at("cur/1701.a:2,S")), os.WriteFile(at("new/1799.a"), []byte("new"), 0o600))
		if err != nil {
			t.Fatal(err)
		}
		report, err := ExportMaildir(t.Context(), e, nil)
		if err != nil || report.LeftOut != 0 {
			t.Fatalf("after %d questions: %+v, %v", stop, report, err)
		}
		if got, want := messagesIn(t, to), messagesIn(t, from); !maps.Equal(got, want) {
			t.Errorf("after %d questions there are\n%q\nnot\n%q", stop, got, want)
		}
		for _, name := range []string{".Lists/dovecot-keywords", ".Lists/letterbox-folder", "subscriptions"} {
			if got, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(got) != sampleMail(0)[name] {
				t.Errorf("%s is %q, %v", name, got, err)
			}
		}
		list, err := os.ReadFile(filepath.Join(to, ".Lists/dovecot-uidlist"))
		if err != nil || !strings.HasPrefix(string(list), "3 V8 N18") || strings.Count(string(list), "\n") != 9 {
			t.Errorf("the list is\n%s%v", list, err)
		}
		if _, err := ExportMaildir(t.Context(), e, nil); err == nil {
			t.Error("a finished export was written into")
		}
	}
}

// TestExportMboxStopped: a file is there whole or not at all.
func TestExportMboxStopped(t *testing.T) {
	t.Parallel()
	for stop := 0; stop <= 17; stop++ {
		from, to := tree(t, sampleMail(8)), filepath.Join(t.TempDir(), "out")
		e := Export{Mail: exportable(t, from), Person: "ann", Dir: to}
		if _, err := ExportMbox(&countdown{t.Context(), stop}, e, nil); (err == nil) != (stop == 17) {
			t.Fatalf("after %d questions: %v", stop, err)
		}
		for name, n := range map[string]int{"INBOX.mbox": 9, "Lists.mbox": 8} {
			text, err := os.ReadFile(filepath.Join(to, name))
			if err == nil && strings.Count(string(text), "\nFrom MAILER-DAEMON ") != n-1 {
				t.Errorf("after %d questions half a file is there:\n%s", stop, text)
			}
		}
		if stop == 17 {
			continue
		}
		if _, err := ExportMbox(t.Context(), e, nil); err != nil {
			t.Fatal(err)
		}
		texts, flags, err := readMboxFile(filepath.Join(to, "Lists.mbox"))
		if err != nil || len(texts) != 8 || texts[7] != "Subject: list 7\n\n" || flags[7] != "green" {
			t.Errorf("Lists is %q with %q, %v", texts, flags, err)
		}
		left, err := filepath.Glob(filepath.Join(to, "*"+unfinishedInfix+"*"))
		if err != nil || len(left) > 0 {
			t.Errorf("left are %v, %v", left, err)
		}
	}
}

func readMboxFile(name string) (texts, flags []string, err error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, nil, err
	}
	return readMbox(string(data))
}

// TestExportUnreadable: what cannot be read is named, and nothing of it is in the file.
func TestExportUnreadable(t *testing.T) {
	t.Parallel()
	from := tree(t, sampleMail(2))
	if err := os.Mkdir(filepath.Join(from, "cur/1701.dir:2,S"), 0o700); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "out")
	report, err := ExportMbox(t.Context(), Export{Mail: exportable(t, from), Person: "ann", Dir: to}, nil)
	if err != nil || report.LeftOut != 1 || report.Left[0].Message != "1701.dir:2,S" {
		t.Errorf("%+v, %v", report, err)
	}
	if texts, _, err := readMboxFile(filepath.Join(to, "INBOX.mbox")); err != nil || len(texts) != 3 {
		t.Errorf("%q, %v", texts, err)
	}
}

// TestExportContentLength: what a sender says of the length reaches no other program.
func TestExportContentLength(t *testing.T) {
	t.Parallel()
	from := tree(t, map[string]string{"cur/1.a:2,": "content-length : 4\n 00\nSubject: 1\n\none\n", "cur/2.a:2,": "Subject: 2\n\nContent-Length: 4\n"})
	to := filepath.Join(t.TempDir(), "out")
	if _, err := ExportMbox(t.Context(), Export{Mail: exportable(t, from), Person: "ann", Dir: to}, nil); err != nil {
		t.Fatal(err)
	}
	texts, _, err := readMboxFile(filepath.Join(to, "INBOX.mbox"))
	if want := []string{"Subject: 1\n\none\n", "Subject: 2\n\nContent-Length: 4\n"}; err != nil || !slices.Equal(texts, want) {
		t.Errorf("%q, %v", texts, err)
	}
}

// TestExportOtherFolder: an export of one folder is not gone on with as one of another, which would be called finished.
func TestExportOtherFolder(t *testing.T) {
	t.Parallel()
	files := sampleMail(8)
	files[".Other/cur/1.a:2,"] = "Subject: other\n\n"
	for kind, export := range map[string]func(context.Context, Export, *Progress) (ExportReport, error){"mbox": ExportMbox, "maildir": ExportMaildir} {
		e := Export{Mail: exportable(t, tree(t, files)), Person: "ann", Folder: "Lists", Dir: filepath.Join(t.TempDir(), "out")}
		if _, err := export(&countdown{t.Context(), 3}, e, nil); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		for _, folder := range []string{"Other", ""} {
			other := e
			other.Folder = folder
			if _, err := export(t.Context(), other, nil); err == nil || !strings.Contains(err.Error(), `an export of the folder "Lists"`) {
				t.Errorf("%s of %q: %v", kind, folder, err)
			}
		}
		if r, err := export(t.Context(), e, nil); err != nil || len(r.Folders) != 1 || r.Folders[0].Messages != 8 {
			t.Errorf("%s: %+v, %v", kind, r, err)
		}
	}
}

func TestMboxFileNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"INBOX": "INBOX.mbox", "Lists/go.dev": "Lists/go.dev.mbox", ".x/y.": "_x/y_.mbox", "a:b?": "a_b_.mbox",
		"a.mbox/b": "a.mbox_/b.mbox", "a.MBOX/b": "a.MBOX_/b.mbox", "letterbox-export": "letterbox-export_.mbox", strings.Repeat("ü", 150): strings.Repeat("ü", 100) + ".mbox",
	} {
		if got := mboxFileName(name, 1); got != want {
			t.Errorf("%q has the file %q, want %q", name, got, want)
		}
	}
	if got := mboxFileName("x", 2); got != "x-2.mbox" {
		t.Error(got)
	}
}

// FuzzExportFile: whatever stands in the file, it is read or refused, and what is written is read back.
func FuzzExportFile(f *testing.F) {
	f.Add("letterbox-export 1\nmbox of ann\nunfinished\n\"a\" is \"b\"\n", "x", "y\nz\xff")
	f.Add("letterbox-export 1\nmbox of ann\nunfinished\n\"a\" is b", "", "\"")
	f.Add("letterbox-export 1\nmbox of ann\nunfinished\nfolder \"b\"\n\"a\" is \"b\"\n", "", "")
	f.Fuzz(func(t *testing.T, text, to, folder string) {
		if s, err := parseExportFile(strings.NewReader(text)); err == nil && s.state != exportOpen && s.state != exportDone {
			t.Fatalf("%q is an export that is %q", text, s.state)
		}
		line := fmt.Sprintf("%s\nmbox of ann\n%s\n%q is %q\n", exportHead, exportDone, to, folder)
		s, err := parseExportFile(strings.NewReader(line))
		if err == nil && !slices.Equal(s.folders, []exportName{{to, folder}}) || err != nil && len(line) < 32<<10 {
			t.Fatalf("%q was read as %+v, %v", line, s, err)
		}
	})
}

// TestExportEndedAtOnce: what a crash in its first moment leaves of an export keeps nobody from beginning again, and nothing else does.
func TestExportEndedAtOnce(t *testing.T) {
	t.Parallel()
	left := exportFile + ".tmp-ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	e := Export{Mail: exportable(t, tree(t, sampleMail(2))), Person: "ann"}
	for _, other := range []string{"", exportFile + ".tmp-notes", "notes.tmp-ABCDEFGHIJKLMNOPQRSTUVWXYZ"} {
		files := map[string]string{left: "letterbox-"}
		if other != "" {
			files[other] = "x"
		}
		e.Dir = tree(t, files)
		_, err := ExportMbox(t.Context(), e, nil)
		_, there := os.Stat(filepath.Join(e.Dir, left))
		if other == "" && (err != nil || there == nil) || other != "" && (err == nil || there != nil) {
			t.Errorf("beside %q: %v, what was left: %v", other, err, there)
		}
	}
}
