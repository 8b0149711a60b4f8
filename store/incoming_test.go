package store

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSpoolAgain: files of long messages are used again, and nothing of one message is in the next.
func TestSpoolAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	receive := func(letter string, n int) *Incoming {
		t.Helper()
		in := s.NewIncoming()
		text := strings.Repeat(letter, n) + "\r\n"
		if _, err := io.WriteString(in, text); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(in.Reader()); err != nil || string(got) != text {
			t.Errorf("%d octets of %q became %d: %v", n, letter, len(got), err)
		}
		middle := make([]byte, 1000)
		if _, err := in.readAt(middle, memoryLimit-500); err != nil || string(middle) != text[memoryLimit-500:][:1000] {
			t.Errorf("%d octets of %q: wrong in the middle: %v", n, letter, err)
		}
		return in
	}
	give := func(ins ...*Incoming) {
		t.Helper()
		for _, in := range ins {
			if err := in.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	give(receive("a", 5*memoryLimit))
	if n := len(s.spool.idle); n != 1 {
		t.Fatalf("%d files are kept", n)
	}
	used := s.spool.idle[0]
	if info, err := used.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("a file that is kept has %d octets: %v", info.Size(), err)
	}
	again := receive("b", 2*memoryLimit)
	if again.file != used {
		t.Error("another file was made")
	}
	var more []*Incoming
	for range maxIdleFiles + 2 {
		more = append(more, receive("c", 3*memoryLimit))
	}
	if left, err := filepath.Glob(filepath.Join(dir, "spool", "*")); err != nil || len(left) > 0 {
		t.Errorf("the spool shows %v, %v", left, err)
	}
	give(more...)
	if n := len(s.spool.idle); n != maxIdleFiles {
		t.Errorf("%d files are kept, want %d", n, maxIdleFiles)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := used.Stat(); err != nil {
		t.Errorf("the file of a message that is still being received: %v", err)
	}
	give(again)
	if _, err := used.Stat(); err == nil {
		t.Error("a file stays open behind the store")
	}
}

// TestSpoolCleaned: what a program that ended between making a file and removing its name left is removed.
func TestSpoolCleaned(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "spool"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{spoolPrefix + "1", "other"} {
		if err := os.WriteFile(filepath.Join(dir, "spool", name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	open(t, dir)
	left, err := os.ReadDir(filepath.Join(dir, "spool"))
	if err != nil || len(left) != 1 || left[0].Name() != "other" {
		t.Errorf("the spool has %v, %v", left, err)
	}
}
