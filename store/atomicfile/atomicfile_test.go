package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestWriteFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, text := range []string{"first", "", strings.Repeat("long", 100000)} {
		if err := WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		if got := read(t, path); got != text {
			t.Errorf("the file has %d bytes, want %d", len(got), len(text))
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if got := names(t, dir); !slices.Equal(got, []string{"file"}) {
		t.Errorf("left behind: %q", got)
	}
	if err := WriteFile(filepath.Join(dir, "missing", "file"), nil, 0o600); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("in a missing directory: %v", err)
	}
}

func TestMkdirAll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a", "b", "c")
	for range 2 {
		if err := MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(path); err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"file", "file/below"} {
		if err := MkdirAll(filepath.Join(dir, name), 0o700); err == nil {
			t.Errorf("%s was made", name)
		}
	}
}

func TestSyncDirOfNothing(t *testing.T) {
	t.Parallel()
	if err := SyncDir(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("syncing nothing: %v", err)
	}
}

// Whichever step fails, the file is the old one or the new one, and nothing
// else is left, unless removing fails as well.
func TestFaultsAtEveryStep(t *testing.T) {
	t.Parallel()
	errFault := errors.New("fault")
	for _, fault := range []string{StepCreate, StepWrite, StepSync, StepRename, StepSyncDir, "write"} {
		for _, clean := range []bool{true, false} {
			dir := t.TempDir()
			path := filepath.Join(dir, "file")
			if err := WriteFile(path, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			root, err := os.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			failed := false
			step := func(name string) error {
				if name == fault || failed && !clean {
					failed = true
					return errFault
				}
				return nil
			}
			err = Replace(root, "file", 0o600, step, func(w io.Writer) error {
				_, err := io.WriteString(w, "new")
				if fault == "write" {
					failed = true
					err = errFault
				}
				return err
			})
			if !errors.Is(err, errFault) {
				t.Errorf("%s: %v", fault, err)
			}
			want := "old"
			if fault == StepSyncDir {
				want = "new"
			}
			if got := read(t, path); got != want {
				t.Errorf("%s: the file is %q, want %q", fault, got, want)
			}
			for _, name := range names(t, dir) {
				if name != "file" && (clean || !IsTemp(name)) {
					t.Errorf("%s: left behind: %q", fault, name)
				}
			}
		}
	}
}

func TestTemporaryNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 255)
	if tmp := tempName(long); len(tmp) > 255 || !IsTemp(tmp) {
		t.Errorf("%q", tmp)
	}
	for _, name := range []string{"file", "dovecot-uidlist", "a.tmp-short", long} {
		if IsTemp(name) {
			t.Errorf("%q is taken for a temporary file", name)
		}
	}
}

// What crashes have left of a file goes when the file is next replaced: a copy of
// a secret does not stay for good.
func TestWriteFileClearsOldTemps(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old := time.Now().Add(-tmpAge - time.Hour)
	left := func(name string, written time.Time) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, written, written); err != nil {
			t.Fatal(err)
		}
		return name
	}
	left(tempName("file"), old)
	want := []string{
		"file",
		left(tempName("file"), time.Now()), // somebody may be writing it
		left(tempName("other"), old),
		left("file.tmp-notes", old), // somebody's own
	}
	if err := WriteFile(filepath.Join(dir, "file"), []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := names(t, dir)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
