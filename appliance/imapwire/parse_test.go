package imapwire

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

// parseCase is the arguments of a command and what they mean, or a part of the words that say what is wrong with them.
type parseCase[T any] struct {
	in   string
	want T
	err  string
	utf8 bool
}

// testParse runs the table. Each good line must also be good with a line end, must not be good with something added, and
// must never panic when cut short.
func testParse[T any](t *testing.T, parse func(*Decoder) (T, error), table []parseCase[T]) {
	t.Helper()
	testParseEnds(t, parse, table, "\r\n", "\n", " ", "  \r\n")
}

func testParseEnds[T any](t *testing.T, parse func(*Decoder) (T, error), table []parseCase[T], ends ...string) {
	t.Helper()
	for _, c := range table {
		t.Run(c.in, func(t *testing.T) {
			o := DecoderOptions{Tag: "a1", UTF8: c.utf8}
			got, err := parse(NewDecoder([]byte(c.in), o))
			if c.err != "" {
				wantSyntaxError(t, err, c.err)
				return
			}
			if err != nil {
				t.Fatalf("error %q", err)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Fatalf("got  %+v\nwant %+v", got, c.want)
			}
			for _, end := range ends {
				if got, err := parse(NewDecoder([]byte(c.in+end), o)); err != nil || !reflect.DeepEqual(got, c.want) {
					t.Errorf("with %q at the end: %+v, %v", end, got, err)
				}
			}
			for _, end := range []string{" \x00", ")", "\r\n\r\n", "\"", "\r"} {
				if _, err := parse(NewDecoder([]byte(c.in+end), o)); err == nil {
					t.Errorf("with %q at the end: no error", end)
				}
			}
			for n := range c.in {
				_, err := parse(NewDecoder([]byte(c.in[:n]), o))
				if bad := (*BadCharsetError)(nil); err != nil && !errors.As(err, &bad) {
					wantSyntaxError(t, err, "")
				}
			}
		})
	}
}

func wantSyntaxError(t *testing.T, err error, text string) {
	t.Helper()
	var syntax *SyntaxError
	if !errors.As(err, &syntax) {
		t.Fatalf("error %v (%T), want a *SyntaxError with %q", err, err, text)
	}
	if syntax.Tag != "a1" {
		t.Errorf("the error has the tag %q", syntax.Tag)
	}
	if !strings.Contains(syntax.Text, text) {
		t.Errorf("error %q, want one with %q", syntax.Text, text)
	}
	if i := strings.IndexFunc(syntax.Text, func(r rune) bool { return r < 0x20 || r > 0x7e }); i >= 0 {
		t.Errorf("error %q is not one line of US-ASCII", syntax.Text)
	}
}

// seeds adds the lines of a table to a fuzz target's.
func seeds[T any](f *testing.F, name string, table []parseCase[T]) {
	for _, c := range table {
		f.Add([]byte("a1 "+name+c.in+"\r\n"), c.utf8)
	}
}

func nums(ranges ...NumRange) NumSet { return NumSet{Ranges: ranges} }

func day(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }
