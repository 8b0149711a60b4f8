package transfer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// endless is an mbox file of n messages that is nowhere: it is made as it is read.
type endless struct {
	record []byte // a message, with ten zeros in place of its number
	number int    // where those are
	n      int64
}

func newEndless(size, n int64) *endless {
	e := &endless{n: n}
	head := from + "Subject: message "
	e.number = len(head)
	e.record = []byte(head + "0000000000\n\n" + strings.Repeat(strings.Repeat("x", 70)+"\n", int(size/71)) + "\n")
	return e
}

func (e *endless) size() int64 { return e.n * int64(len(e.record)) }

func (e *endless) ReadAt(b []byte, off int64) (n int, err error) {
	for n < len(b) && off < e.size() {
		i, at := off/int64(len(e.record)), int(off%int64(len(e.record)))
		k := copy(b[n:], e.record[at:])
		number := fmt.Sprintf("%010d", i)
		for d := range number {
			if p := e.number + d - at; p >= 0 && p < k {
				b[n+p] = number[d]
			}
		}
		n, off = n+k, off+int64(k)
	}
	if n < len(b) {
		err = io.EOF
	}
	return n, err
}

// endlessSource is a Source of one such file.
type endlessSource struct {
	Mbox
	file *endless
}

func (s *endlessSource) Folders(context.Context) ([]Folder, error) {
	return []Folder{{Name: "INBOX", Messages: Unknown, Size: s.file.size()}}, nil
}

func (s *endlessSource) Messages(ctx context.Context, _ Folder, found func(Message) error) error {
	return s.messages(ctx, newMboxReader(s.file, s.file.size()), time.Time{}, found)
}

func (s *endlessSource) Fetch(_ context.Context, _ Folder, msgs []Message, take func(int, io.Reader) error) error {
	for i, m := range msgs {
		if err := take(i, readAgain(s.file, m.Key.(mboxMessage))); err != nil {
			return err
		}
	}
	return nil
}

// scales is a Destination that keeps nothing, and weighs the heap at every batch.
type scales struct {
	buf      []byte
	messages int64
	peak     uint64
}

func (s *scales) Look(context.Context, string, func(ID)) (Place, error) {
	return Place{Name: "INBOX", Exists: true, MaxMessage: 1 << 30}, nil
}

func (s *scales) Lack(context.Context, int64, int64) (Lack, error) { return Lack{}, nil }

func (s *scales) Append(_ context.Context, _ Place, fill func(add func(*Message, io.Reader) error) error) error {
	err := fill(func(_ *Message, octets io.Reader) error {
		_, err := io.CopyBuffer(io.Discard, readerOnly{octets}, s.buf)
		s.messages++
		return err
	})
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.peak = max(s.peak, m.HeapAlloc)
	return err
}

// TestMemory: a file ten times as large takes no more memory, but for some octets a message.
func TestMemory(t *testing.T) { // not parallel: it weighs the heap of all
	weigh := func(file *endless) *scales {
		s := &scales{buf: make([]byte, 32<<10)}
		report, err := Import(t.Context(), &endlessSource{Mbox: Mbox{buf: make([]byte, 32<<10)}, file: file}, s, nil)
		if added, octets := report.Added(); err != nil || added != file.n || s.messages != file.n || octets < file.size()/2 {
			t.Fatalf("%d messages of %d octets, %v", added, octets, err)
		}
		return s
	}
	small, large := weigh(newEndless(300_000, 100)), weigh(newEndless(300_000, 1000))
	if grown := int64(large.peak) - int64(small.peak); grown > 100*(large.messages-small.messages)+256<<10 {
		t.Errorf("30 MB take %d octets of heap, 300 MB %d", small.peak, large.peak)
	}
	small, large = weigh(newEndless(200, 2000)), weigh(newEndless(200, 20_000))
	if grown := int64(large.peak) - int64(small.peak); grown > 100*(large.messages-small.messages)+256<<10 {
		t.Errorf("2,000 messages take %d octets of heap, 20,000 %d", small.peak, large.peak)
	}
	// One message, many lines and one line of 100 MB.
	for _, size := range []int64{100, 100_000_000} {
		line := &endless{record: []byte(from + "\n"), number: -10, n: 1}
		line.record = append(line.record, bytes.Repeat([]byte("x"), int(size))...)
		r := newMboxReader(line, line.size())
		if err := r.Next(); err != nil {
			t.Fatal(err)
		}
		n, err := io.CopyBuffer(io.Discard, readerOnly{r}, make([]byte, 4096))
		if err != nil || n != size+1 {
			t.Errorf("a line of %d octets: %d, %v", size, n, err)
		}
		if cap(r.out)+cap(r.blank)+cap(r.next) > 2*mboxBuffer {
			t.Errorf("a line of %d octets is kept: %d", size, cap(r.out))
		}
	}
}

// TestFilesMemory: a folder with ten times as many files takes no more memory, but for their names, some at a time, and some octets a
// message.
func TestFilesMemory(t *testing.T) { // not parallel: it weighs the heap of all
	const few, many = 500, 5000
	write := func(dir, name string, n int) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			text := fmt.Sprintf("Subject: message %d\n\n%s\n", i, strings.Repeat("some words ", 200))
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf(name, i)), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, open := range map[string]func(n int) (Source, error){
		"Maildir": func(n int) (Source, error) {
			dir := t.TempDir()
			write(filepath.Join(dir, "cur"), "1700000000.M%dP1.host:2,S", n)
			return OpenMaildir([]string{dir}, "")
		},
		"eml": func(n int) (Source, error) {
			dir := t.TempDir()
			write(dir, "a file whose name is not short %d.eml", n)
			return OpenEML([]string{dir}, "")
		},
	} {
		weigh := func(n int) int64 {
			src, err := open(n)
			if err != nil {
				t.Fatal(err)
			}
			defer src.(io.Closer).Close()
			s := &scales{buf: make([]byte, 32<<10)}
			report, err := Import(t.Context(), src, s, nil)
			if added, _ := report.Added(); err != nil || added != int64(n) {
				t.Fatalf("%d messages, %v", added, err)
			}
			return int64(s.peak)
		}
		small, large := weigh(few), weigh(many)
		if grown := large - small; grown > (100+150)*(many-few)+256<<10 {
			t.Errorf("%s: %d messages take %d octets of heap, %d %d", name, few, small, many, large)
		}
		t.Logf("%s: %d messages take %d octets of heap, %d %d", name, few, small, many, large)
	}
}
