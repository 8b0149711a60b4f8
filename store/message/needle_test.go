package message

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// inReader looks for a needle in text that comes in pieces.
func inReader(n *Needle, r io.Reader) (bool, error) {
	look := textLook{q: &Search{needle: n.folded}}
	box := pieceBuffers.Get().(*pieceBuffer)
	defer pieceBuffers.Put(box)
	err := foldReader(box, r, look.piece)
	return look.found, err
}

func TestNeedle(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text, needle string
		want         bool
	}{
		{"Hello World", "WORLD", true},
		{"Hello World", "", true},
		{"Hello", "Hello!", false},
		{"GRÜSSE", "grüsse", true},
		{"Cafe\u0301", "CAFÉ", true}, // composed and not
		{"ΟΔΥΣΣΕΥΣ", "οδυσσευς", true},
		{"ПРИВЕТ", "привет", true},
		{"ﬁle", "FILE", true}, // a ligature
		{"\xff\xfe broken", "BROKEN", true},
		{strings.Repeat("x", 20000) + "needle", "NEEDLE", true},
		{strings.Repeat("é", 5000) + "ü" + strings.Repeat("é", 5000), "éÜé", true},
		{strings.Repeat("na", 10000), "nb", false},
	}
	for _, tt := range tests {
		n := NewNeedle(tt.needle)
		if got := n.In(tt.text); got != tt.want {
			t.Errorf("%.20q in %.20q: %v", tt.needle, tt.text, got)
		}
		for name, r := range map[string]func() (bool, error){
			"at once":        func() (bool, error) { return inReader(n, strings.NewReader(tt.text)) },
			"octet by octet": func() (bool, error) { return inReader(n, iotest.OneByteReader(strings.NewReader(tt.text))) },
		} {
			if got, err := r(); err != nil || got != tt.want {
				t.Errorf("%.20q in %.20q, %s: %v, %v", tt.needle, tt.text, name, got, err)
			}
		}
	}
}

func FuzzNeedle(f *testing.F) {
	f.Add("Grüße aus Zürich", "ZÜR")
	f.Add("\xc3", "\xbc")
	f.Fuzz(func(t *testing.T, text, what string) {
		n := NewNeedle(what)
		got, err := inReader(n, iotest.HalfReader(strings.NewReader(text)))
		if want := n.In(text); err != nil || got != want {
			t.Fatalf("in pieces %v, %v; at once %v", got, err, want)
		}
	})
}
