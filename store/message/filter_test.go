package message

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

const someHeader = "From x\r\nSubject: one\r\n folded\r\n\tagain\r\nX-Odd : two\r\nno colon\r\n continued\r\nSUBJECT:three\r\n\r\nbody\r\nSubject: body\r\n"

func TestFilterHeader(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		header string
		fields string
		not    bool
		want   string
	}{
		{someHeader, "subject", false, "Subject: one\r\n folded\r\n\tagain\r\nSUBJECT:three\r\n\r\n"},
		{someHeader, "X-ODD nothing", false, "X-Odd : two\r\n\r\n"},
		{someHeader, "nothing", false, "\r\n"},
		{someHeader, "subject", true, "From x\r\nX-Odd : two\r\nno colon\r\n continued\r\n\r\n"},
		{"Subject: no blank line\r\n", "subject", false, "Subject: no blank line\r\n"},
		{"Subject: no blank line\r\n", "from", false, ""},
		{"Subject: cut", "subject", false, "Subject: cut"},
		{"", "subject", false, ""},
		{"\r\n", "subject", false, "\r\n"},
		{" folded first\r\nSubject: x\r\n\r\n", "subject", true, " folded first\r\n\r\n"},
		{"A: " + strings.Repeat("x", 9000) + "\r\nB: y\r\n\r\n", "a", false, "A: " + strings.Repeat("x", 9000) + "\r\n\r\n"},
		{"A: " + strings.Repeat("x", 9000) + "\r\nB: y\r\n\r\n", "a", true, "B: y\r\n\r\n"},
	} {
		var got bytes.Buffer
		if err := FilterHeader(&got, strings.NewReader(c.header), strings.Fields(c.fields), c.not); err != nil || got.String() != c.want {
			t.Errorf("%s (not: %v) of %.60q: %.80q, %v, want %.80q", c.fields, c.not, c.header, got.String(), err, c.want)
		}
	}
}

func TestFilterHeaderErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is gone")
	err := FilterHeader(io.Discard, io.MultiReader(strings.NewReader("A: b\r\n"), iotest.ErrReader(broken)), []string{"A"}, false)
	if !errors.Is(err, broken) {
		t.Errorf("reading: %v", err)
	}
	_, w := io.Pipe()
	w.CloseWithError(broken)
	if err := FilterHeader(w, strings.NewReader(someHeader), []string{"subject"}, false); err == nil {
		t.Error("writing to a closed pipe: no error")
	}
	if err := ScanHeader(iotest.ErrReader(broken), func(string, []byte) bool { return true }); !errors.Is(err, broken) {
		t.Errorf("scanning: %v", err)
	}
}

func TestScanHeader(t *testing.T) {
	t.Parallel()
	var got []string
	scan := func(header string, stop string) {
		got = nil
		err := ScanHeader(strings.NewReader(header), func(name string, value []byte) bool {
			got = append(got, fmt.Sprintf("%s=%.20s/%d", name, value, len(value)))
			return name != stop
		})
		if err != nil {
			t.Error(err)
		}
	}
	for _, c := range []struct{ header, stop, want string }{
		{someHeader, "", "Subject=one folded again/16 X-Odd=two/3 SUBJECT=three/5"},
		{someHeader, "Subject", "Subject=one folded again/16"},
		{"A:b", "", "A=b/1"},
		{"A:b\n\nC:d", "", "A=b/1"},
		{"A:" + strings.Repeat("x", 100_000) + "\r\nB:y\r\n", "", "A=xxxxxxxxxxxxxxxxxxxx/65536 B=y/1"},
		{"A:b" + strings.Repeat("\r\n c", 100_000), "", "A=b c c c c c c c c c /65535"},
	} {
		if scan(c.header, c.stop); strings.Join(got, " ") != c.want {
			t.Errorf("%.40q: %v, want %s", c.header, got, c.want)
		}
	}
}
