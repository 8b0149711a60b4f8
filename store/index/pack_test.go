package index

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

func pack(text []byte) []byte {
	p := &packer{}
	for len(text) > 0 { // in pieces
		n := min(len(text), 1000)
		p.add(text[:n])
		text = text[n:]
	}
	p.flush()
	return p.packed
}

func unpackAll(packed []byte) ([]byte, error) {
	u := &unpacker{}
	u.reset(bytes.NewReader(packed))
	return io.ReadAll(u)
}

func packTexts(t testing.TB) map[string][]byte {
	t.Helper()
	rnd := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 3*packBlock/2)
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	texts := map[string][]byte{
		"nothing":       nil,
		"an octet":      []byte("a"),
		"little":        []byte("hello hello hello hello"),
		"one letter":    bytes.Repeat([]byte("x"), packBlock),
		"one and more":  bytes.Repeat([]byte("x"), packBlock+1),
		"two letters":   bytes.Repeat([]byte("xy"), 2*packBlock),
		"noise":         noise,
		"noise, twice":  append(bytes.Clone(noise[:5000]), noise[:5000]...),
		"many literals": append(bytes.Clone(noise[:15+255]), bytes.Repeat([]byte("match "), 100)...),
	}
	files, err := filepath.Glob("../message/testdata/corpus/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("the corpus: %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(file)] = b
	}
	return texts
}

func TestPack(t *testing.T) {
	t.Parallel()
	for name, text := range packTexts(t) {
		packed := pack(text)
		got, err := unpackAll(packed)
		if err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s: %d octets, packed %d, unpacked %d: %v", name, len(text), len(packed), len(got), err)
		}
		if most := (packHeader + mostPacked) * (len(text)/packBlock + 1); len(packed) > most {
			t.Errorf("%s: %d octets, packed %d", name, len(text), len(packed))
		}
		for cut := range min(len(packed), 200) {
			if got, err := unpackAll(packed[:cut]); err == nil && len(got) >= len(text) {
				t.Errorf("%s: %d of %d octets are enough", name, cut, len(packed))
			}
		}
	}
	if p := pack(bytes.Repeat([]byte("x"), packBlock)); len(p) > packBlock/200 {
		t.Errorf("one letter takes %d octets", len(p))
	}
}

// FuzzUnpack: whatever is unpacked, it is refused or has the size that it says.
// What is packed is unpacked to the same.
func FuzzUnpack(f *testing.F) {
	for _, text := range packTexts(f) {
		if len(text) < 10_000 {
			f.Add(pack(text))
		}
	}
	f.Add([]byte{4, 0, 8, 0, 'a', 1})     // shorter than it says
	f.Add([]byte{3, 0, 0xff, 0xff, 0x7f}) // larger than a block
	f.Add([]byte{1, 0, 0})                // an empty block
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := unpackAll(pack(b)); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%q became %q: %v", b, got, err)
		}
		text, err := unpackAll(b)
		if err == nil && len(b) >= packHeader && len(text) == 0 {
			t.Errorf("nothing was unpacked from %q", b)
		}
	})
}

func BenchmarkPack(b *testing.B) {
	text, err := os.ReadFile("pack.go")
	if err != nil {
		b.Fatal(err)
	}
	b.Run("pack", func(b *testing.B) {
		p := &packer{}
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			p.reset()
			p.add(text)
			p.flush()
		}
		b.ReportMetric(float64(len(p.packed))/float64(len(text)), "ratio")
	})
	b.Run("unpack", func(b *testing.B) {
		packed := pack(text)
		u := &unpacker{}
		in := bytes.NewReader(nil)
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			in.Reset(packed)
			u.reset(in)
			io.Copy(io.Discard, u)
		}
	})
}
