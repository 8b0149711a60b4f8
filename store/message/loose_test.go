package message

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/text/transform"
)

// looseReads are ways of reading the same octets.
var looseReads = map[string]func(io.Reader) ([]byte, error){
	"at once": io.ReadAll,
	"octet by octet": func(r io.Reader) ([]byte, error) {
		return io.ReadAll(iotest.OneByteReader(r))
	},
	"from octets": func(r io.Reader) ([]byte, error) {
		l := r.(*looseReader)
		l.r = iotest.OneByteReader(l.r)
		return io.ReadAll(l)
	},
	"from halves, into eleven octets": func(r io.Reader) ([]byte, error) {
		l := r.(*looseReader)
		l.r = iotest.HalfReader(iotest.DataErrReader(l.r))
		var out bytes.Buffer
		_, err := io.CopyBuffer(struct{ io.Writer }{&out}, struct{ io.Reader }{l}, make([]byte, 11))
		return out.Bytes(), err
	},
}

func compareLoose(t *testing.T, text []byte) {
	t.Helper()
	want, _, err := transform.Bytes(looseUTF8{}, text)
	if err != nil {
		t.Fatal(err)
	}
	for how, read := range looseReads {
		got, err := read(NewTextReader(bytes.NewReader(text), EncodingOther, "utf-8"))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s, %q becomes %q, want %q: %v", how, text, got, want, err)
		}
	}
}

var looseTexts = []string{
	"", "a", "letters", "Grüße", "€", "\xe2\x82", "\xe2", "Gr\xfc\xdfe", "half a rune \xf0\x9f\x98", "\xf0\x9f\x98x", "\xff\xfe\xfd", "\x80",
	"long " + strings.Repeat("ümlaut ", 2000), "wrong at the end " + strings.Repeat("x", 5000) + "\xe9", "\xed\xa0\x80 no surrogates",
}

func TestLooseReader(t *testing.T) {
	t.Parallel()
	for _, text := range looseTexts {
		compareLoose(t, []byte(text))
	}
	broken := errors.New("the disk is broken")
	for _, text := range []string{"fine", "half \xe2\x82", "wrong \xe9t\xe9"} {
		r := NewTextReader(io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken)), EncodingOther, "")
		if _, err := io.ReadAll(r); !errors.Is(err, broken) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzLooseReader(f *testing.F) {
	for _, text := range looseTexts {
		if len(text) < 100 {
			f.Add([]byte(text))
		}
	}
	f.Fuzz(compareLoose)
}
