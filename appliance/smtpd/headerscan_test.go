package smtpd

import (
	"bytes"
	"strings"
	"testing"
)

func TestHeaderScan(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, out, from string }{
		{"nothing", "", "", ""},
		{"no header", "hello\r\nBcc: x\r\n\r\nBcc: y\r\n", "hello\r\n\r\nBcc: y\r\n", ""},
		{"body only", "\r\nBcc: x\r\n", "\r\nBcc: x\r\n", ""},
		{"bcc", "A: 1\r\nBcc: x\r\nB: 2\r\n\r\n", "A: 1\r\nB: 2\r\n\r\n", ""},
		{"bcc folded", "Bcc: x,\r\n y,\r\n\tz\r\nB: 2\r\n\r\n", "B: 2\r\n\r\n", ""},
		{"bcc with LF", "Bcc: x,\n y\nB: 2\n\nBcc: z\n", "B: 2\n\nBcc: z\n", ""},
		{"bcc last", "A: 1\r\nBCC :x", "A: 1\r\n", ""},
		{"resent", "Resent-Bcc: x\r\n\r\n", "\r\n", ""},
		{"like bcc", "Bccc: x\r\nXBcc: y\r\nBcc\r\n\r\n", "Bccc: x\r\nXBcc: y\r\nBcc\r\n\r\n", ""},
		{"name without end", "abc", "abc", ""},
		{"CR at the end", "A: 1\r\n\r", "A: 1\r\n\r", ""},
		{"CR at the start of a line", "A: 1\r\n\rBcc: x\r\nB: 2\r\n", "A: 1\r\n\rBcc: x\r\nB: 2\r\n", ""},
		{"CR CRLF is no blank line", "A: 1\r\n\r\r\nBcc: 2\r\n", "A: 1\r\n\r\r\n", ""},
		{"long name", strings.Repeat("n", 200) + ": 1\r\n\r\n", strings.Repeat("n", 200) + ": 1\r\n\r\n", ""},
		{"from", "From: a\r\n b\r\n\r\nFrom: c\r\n", "From: a\r\n b\r\n\r\nFrom: c\r\n", " a b"},
		{"from twice", "from: a\r\nX: y\r\nFROM : b\r\n\r\n", "from: a\r\nX: y\r\nFROM : b\r\n\r\n", " a| b"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, step := range []int{1, 2, 3, 7, 1000} {
				out, h := scan(t, []byte(test.in), step)
				if string(out) != test.out {
					t.Errorf("in steps of %d:\ngot  %q\nwant %q", step, out, test.out)
				}
				if from := string(bytes.Join(h.authors, []byte("|"))); from != test.from {
					t.Errorf("in steps of %d: From %q", step, from)
				}
			}
		})
	}
}

func scan(t *testing.T, in []byte, step int) ([]byte, *headerScan) {
	t.Helper()
	var out bytes.Buffer
	h := newHeaderScan(&out, true)
	for len(in) > 0 {
		n := min(step, len(in))
		if _, err := h.Write(in[:n]); err != nil {
			t.Fatal(err)
		}
		in = in[n:]
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), h
}

// TestHeaderScanIsBounded: a header of nothing but From fields is noticed, not kept.
func TestHeaderScanIsBounded(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]string{
		"empty": strings.Repeat("From:\r\n", 2*maxAuthors),
		"long":  strings.Repeat("From: "+strings.Repeat("x", 1000)+"\r\n", 200),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, h := scan(t, []byte(header), 4096)
			total := 0
			for _, f := range h.authors {
				total += len(f)
			}
			if !h.tooLong || total > maxAuthors || len(h.authors) > maxAuthors+1 {
				t.Errorf("kept %d octets in %d fields", total, len(h.authors))
			}
		})
	}
}

// FuzzHeaderScan: without Bcc nothing is changed, however it is cut; with it, cuts do not matter.
func FuzzHeaderScan(f *testing.F) {
	f.Add([]byte("From: a\r\nBcc: b\r\n c\r\n\r\nbody"), 3)
	f.Add([]byte("no header\n\r\n"), 1)
	f.Fuzz(func(t *testing.T, b []byte, step int) {
		step = min(max(step, 1), 100)
		var kept bytes.Buffer
		h := newHeaderScan(&kept, false)
		if _, err := h.Write(b); err != nil {
			t.Fatal(err)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(kept.Bytes(), b) {
			t.Errorf("changed %q to %q", b, kept.Bytes())
		}
		whole, _ := scan(t, b, len(b)+1)
		if cut, _ := scan(t, b, step); !bytes.Equal(whole, cut) {
			t.Errorf("%q whole, %q in steps of %d", whole, cut, step)
		}
	})
}
