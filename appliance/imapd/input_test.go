package imapd

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"letterbox/appliance/imapwire"
)

func newInput(r io.Reader) *input {
	return &input{src: r, before: func() error { return nil }}
}

func TestReadLine(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		limit    int
		want     []string // "!" is errLineTooLong
	}{
		{"CRLF and LF", "a\r\nb\nc\r\n", 80, []string{"a\r\n", "b\n", "c\r\n"}},
		{"blank", "\r\n\n", 80, []string{"\r\n", "\n"}},
		{"at the limit", "12345678\r\nx\r\n", 10, []string{"12345678\r\n", "x\r\n"}},
		{"beyond the limit", "123456789\r\nx\r\n", 10, []string{"!123456789\r\n", "x\r\n"}},
		{"far beyond the limit", strings.Repeat("x", 100000) + " {5+}\r\nx\r\n", 10, []string{"! {5+}\r\n", "x\r\n"}},
		{"a bare CR", "a\rb\r\n", 80, []string{"a\rb\r\n"}},
	}
	for _, tt := range tests {
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r }, "octet by octet": iotest.OneByteReader, "in halves": iotest.HalfReader,
		} {
			t.Run(tt.name+" "+name, func(t *testing.T) {
				t.Parallel()
				in := newInput(wrap(strings.NewReader(tt.in)))
				for _, want := range tt.want {
					got, err := in.readLine(nil, tt.limit)
					if tail, long := strings.CutPrefix(want, "!"); long {
						if !errors.Is(err, errLineTooLong) || !strings.HasSuffix(string(in.tail), tail) && !strings.HasSuffix(tail, string(in.tail)) {
							t.Fatalf("got %v, tail %q; want a line that is too long and ends in %q", err, in.tail, tail)
						}
						continue
					}
					if err != nil || string(got) != want {
						t.Fatalf("got %q, %v; want %q", got, err, want)
					}
				}
				if got, err := in.readLine(nil, tt.limit); len(got) != 0 || !errors.Is(err, io.EOF) {
					t.Errorf("at the end: %q, %v", got, err)
				}
				if in.buf != nil {
					t.Error("a buffer is held while nothing is buffered")
				}
			})
		}
	}
}

func TestReadLineEndless(t *testing.T) {
	t.Parallel()
	in := newInput(endless{})
	if _, err := in.readLine(nil, 100); !errors.Is(err, errDrainedEnough) {
		t.Errorf("got %v", err)
	}
}

// endless is a line without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestReadLineResumes(t *testing.T) {
	t.Parallel()
	in := newInput(io.MultiReader(strings.NewReader("DO"), wokenOnce{}, strings.NewReader("NE\r\n")))
	line, err := in.readLine(nil, 80)
	if !errors.Is(err, errWoken) {
		t.Fatalf("got %q, %v", line, err)
	}
	in.src = strings.NewReader("NE\r\n")
	if line, err = in.readLine(line, 80); err != nil || string(line) != "DONE\r\n" {
		t.Errorf("got %q, %v", line, err)
	}
}

type wokenOnce struct{}

func (wokenOnce) Read([]byte) (int, error) { return 0, errWoken }

func TestOutputKeepsItsPromise(t *testing.T) {
	t.Parallel()
	var sink bytes.Buffer
	o := &output{dst: &sink}
	err := o.copyN(strings.NewReader("short"), 3*spillAt)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	if err := o.flush(); err != nil {
		t.Fatal(err)
	}
	if sink.Len() != 3*spillAt || !strings.HasPrefix(sink.String(), "short   ") {
		t.Errorf("%d octets: %.20q", sink.Len(), sink.String())
	}
	if o.box != nil {
		t.Error("a buffer is held while nothing is to be written")
	}
}

func TestProduced(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("0123456789", 10000)
	tests := []struct {
		name   string
		size   int
		offset int64
		length int64
	}{
		{"small", 100, 0, 0}, {"large", 100000, 0, 0}, {"a piece of the small", 100, 5, 7}, {"a piece of the large", 100000, 70001, 9},
		{"beyond the end", 100, 1000, 5}, {"across the end of the large", 100000, 99999, 50},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var sink bytes.Buffer
			c := &conn{}
			c.out.dst = &sink
			var p = partial(tt.offset, tt.length)
			err := c.produced(p, func(w io.Writer) error {
				for i := 0; i < tt.size; i += 10 {
					if _, err := io.WriteString(w, text[i:i+10]); err != nil {
						return err
					}
				}
				return nil
			})
			if err := errors.Join(err, c.flush()); err != nil {
				t.Fatal(err)
			}
			off, n := window(p, int64(tt.size))
			_, got, _ := strings.Cut(sink.String(), "}\r\n")
			if want := text[off : off+n]; got != want {
				t.Errorf("got %d octets %.20q, want %d %.20q", len(got), got, len(want), want)
			}
		})
	}
}

func FuzzReadLine(f *testing.F) {
	f.Add([]byte("a NOOP\r\n"), 20)
	f.Add([]byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\nb\r\n"), 5)
	f.Fuzz(func(t *testing.T, text []byte, limit int) {
		limit = min(max(limit, 1), 1000)
		in := newInput(iotest.HalfReader(bytes.NewReader(text)))
		for rest := text; ; {
			line, err := in.readLine(nil, limit)
			end := bytes.IndexByte(rest, '\n') + 1
			switch {
			case end == 0:
				if !errors.Is(err, io.EOF) {
					t.Fatalf("no line end, but %q, %v", line, err)
				}
				return
			case end > limit:
				if !errors.Is(err, errLineTooLong) {
					t.Fatalf("a line of %d octets with a limit of %d: %v", end, limit, err)
				}
			case err != nil || !bytes.Equal(line, rest[:end]):
				t.Fatalf("got %q, %v, want %q", line, err, rest[:end])
			}
			rest = rest[end:]
		}
	})
}

func partial(offset, length int64) imapwire.Partial {
	return imapwire.Partial{Set: length > 0, Offset: offset, Length: length}
}
