package index

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// entryOf makes the entry of segments, the first head of them the header's.
func entryOf(t testing.TB, maker *TextMaker, head int, segments ...string) *TextEntry {
	t.Helper()
	at := 0
	for i, s := range segments {
		n, err := maker.Write(append([]byte(s), segmentEnd))
		if err != nil && err != ErrTextFull {
			t.Fatal(err)
		}
		if i < head {
			at += n
		}
	}
	return maker.Entry(int64(at))
}

// lookFor looks for part in a text.
func lookFor(x *Text, place []byte, uid uint32, part string) (bool, error) {
	return x.Look(place, uid, [][]byte{[]byte(part)}, func(text io.Reader, head int64) (bool, error) {
		b, err := io.ReadAll(text)
		return bytes.Contains(b, []byte(part)), err
	})
}

// noise is text that cannot be packed well, of n octets.
func noise(rnd *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyz0123456789 .,-_+/=:;()<>%$§öü"[rnd.IntN(50)]
	}
	return string(b)
}

func TestText(t *testing.T) {
	t.Parallel()
	r := root(t)
	x, err := createText(r, TextName)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	maker := NewTextMaker()
	texts := []string{"", "a", "ab", "letters and more", noise(rnd, 3000), noise(rnd, 40_000), strings.Repeat("much of the same ", 20_000), noise(rnd, 200_000)}
	places := make([][]byte, len(texts))
	for i, s := range texts {
		if places[i], err = x.Append(uint32(i+1), entryOf(t, maker, 1, "subject: héllo", s)); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.close(); err != nil {
		t.Fatal(err)
	}
	if x, err = openText(r); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.close() })
	for i, s := range texts {
		uid := uint32(i + 1)
		for range 20 {
			at := rnd.IntN(len(s) + 1)
			part := s[at:min(len(s), at+rnd.IntN(12))]
			if found, err := lookFor(x, places[i], uid, part); !found || err != nil {
				t.Fatalf("text %d holds %q: %v, %v", i, part, found, err)
			}
		}
		for _, part := range []string{"nowhere", "héllo" + s, "zz", "!", "héllo\xff" + "letters"} {
			whole := "subject: héllo\xff" + s + "\xff"
			if found, err := lookFor(x, places[i], uid, part); found != strings.Contains(whole, part) && part[0] != 'h' || err != nil {
				t.Errorf("text %d holds %.20q: %v, %v", i, part, found, err)
			}
		}
		_, err := x.Look(places[i], uid, nil, func(text io.Reader, head int64) (bool, error) {
			b, err := io.ReadAll(text)
			if want := "subject: héllo\xff" + s + "\xff"; string(b) != want || head != int64(len("subject: héllo")+1) {
				t.Errorf("text %d has %d octets, not %d; the header's are %d", i, len(b), len(want), head)
			}
			return false, err
		})
		if err != nil {
			t.Error(err)
		}
		if _, err := lookFor(x, places[i], uid+1, "a"); err != ErrNoData {
			t.Errorf("the text of another message: %v", err)
		}
	}
	for _, place := range [][]byte{nil, {1}, x.place(0, 16), x.place(1<<40, 100), x.place(textFileHeader, 0), x.place(-1, 1<<32-1)} {
		if _, err := lookFor(x, place, 1, "a"); err != ErrNoData {
			t.Errorf("place %x: %v", place, err)
		}
	}
	other, err := createText(r, "other")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.close() })
	if _, err := lookFor(other, places[0], 1, "a"); err != ErrNoData {
		t.Errorf("a place in another file: %v", err)
	}
	if _, err := lookFor(&Text{}, places[0], 1, "a"); err != ErrNoData {
		t.Errorf("without a file: %v", err)
	}
	for _, to := range []*Text{other, x} {
		for i, s := range texts {
			place, err := to.AppendFrom(x, places[i], uint32(i+1), 77)
			if err != nil {
				t.Fatal(err)
			}
			if found, err := lookFor(to, place, 77, s); !found || err != nil {
				t.Errorf("copied text %d: %v, %v", i, found, err)
			}
		}
	}
}

// TestTextCut: a text that is too long is kept as far as it may go.
func TestTextCut(t *testing.T) {
	t.Parallel()
	x, err := createText(root(t), TextName)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.close() })
	rnd := rand.New(rand.NewPCG(5, 6))
	for name, piece := range map[string]func() string{
		"long":           func() string { return strings.Repeat("again and ", 2000) },
		"hard to pack":   func() string { return noise(rnd, 20_000) },
		"in one segment": func() string { return strings.Repeat("again and ", 200_000) },
	} {
		maker := NewTextMaker()
		maker.Write([]byte("subject: begin\xff"))
		size, err := 15, error(nil)
		for n := 0; err == nil; size += n {
			n, err = maker.Write([]byte(piece()))
		}
		if err != ErrTextFull || size > maxText {
			t.Fatalf("%s: %d octets, %v", name, size, err)
		}
		if n, err := maker.Write([]byte("x")); size == maxText && n > 0 || err != ErrTextFull {
			t.Errorf("%s: after its end %d, %v", name, n, err)
		}
		e := maker.Entry(15)
		if len(e.b) > maxPacked+2*textPiece+128<<10 {
			t.Errorf("%s: the entry has %d octets", name, len(e.b))
		}
		place, err := x.Append(9, e)
		if err != nil {
			t.Fatal(err)
		}
		if found, err := lookFor(x, place, 9, "begin"); !found || err != nil {
			t.Errorf("%s: %v, %v", name, found, err)
		}
		for _, part := range []string{"ÿÿÿÿÿÿÿ", "}"} { // ruled out by the signature, and not
			if found, err := lookFor(x, place, 9, part); found || err != ErrTextCut {
				t.Errorf("%s: %q %v, %v", name, part, found, err)
			}
		}
		next := entryOf(t, maker, 1, "a", "b") // nothing is left of it
		if next.head.cut || next.head.size != 4 || next.head.head != 2 {
			t.Errorf("%s: the next entry is %+v", name, next.head)
		}
		if cap(maker.packer.packed) > maxKeptPacked {
			t.Errorf("%s: %d octets are kept", name, cap(maker.packer.packed))
		}
	}
}

// TestTextDamage changes every octet of a text file, and cuts it everywhere: what
// is answered is right, or no answer.
func TestTextDamage(t *testing.T) {
	t.Parallel()
	r := root(t)
	x, err := createText(r, TextName)
	if err != nil {
		t.Fatal(err)
	}
	maker := NewTextMaker()
	var places [][]byte
	for i := range 3 {
		place, err := x.Append(uint32(i+1), entryOf(t, maker, 1, fmt.Sprint("subject: letter ", i), "words in it"))
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, place)
	}
	if err := x.close(); err != nil {
		t.Fatal(err)
	}
	whole, err := r.ReadFile(TextName)
	if err != nil {
		t.Fatal(err)
	}
	answers := 0
	check := func(at int, b []byte) {
		if err := r.WriteFile(TextName, b, 0o600); err != nil {
			t.Fatal(err)
		}
		x, err := openText(r)
		if err != nil {
			return
		}
		for i, place := range places {
			for part, want := range map[string]bool{"words": true, "letter " + fmt.Sprint(i): true, "nowhere": false, "zz": false} {
				found, err := lookFor(x, place, uint32(i+1), part)
				if err == nil && found != want {
					t.Fatalf("octet %d is wrong, and %q in text %d is %v", at, part, i, found)
				}
				if err == nil {
					answers++
				} else if err != ErrNoData {
					t.Fatalf("octet %d is wrong: %v", at, err)
				}
			}
		}
		if err := x.close(); err != nil {
			t.Fatal(err)
		}
	}
	for at := range whole {
		check(at, slices.Concat(whole[:at], []byte{whole[at] ^ 0x10}, whole[at+1:]))
		check(at, whole[:at])
	}
	if answers < len(whole) {
		t.Errorf("only %d answers", answers)
	}
}

// withText makes an index whose messages have a text each.
func withText(t testing.TB, r *os.Root, n int) *Index {
	t.Helper()
	x, err := New(r, State{UIDValidity: 7, ModSeq: 1, MailboxID: "id"})
	if err != nil {
		t.Fatal(err)
	}
	maker := NewTextMaker()
	for i := range n {
		putText(t, x, uint32(i+1), entryOf(t, maker, 1, fmt.Sprint("subject: letter ", i+1), "words"))
	}
	if err := x.Flush(); err != nil {
		t.Fatal(err)
	}
	return x
}

func putText(t testing.TB, x *Index, uid uint32, e *TextEntry) {
	t.Helper()
	place, err := x.Text().Append(uid, e)
	if err != nil {
		t.Fatal(err)
	}
	off, err := x.Data().Append(uid, &Entry{BaseName: fmt.Append(nil, "name", uid), TextPlace: place})
	if err != nil {
		t.Fatal(err)
	}
	rec := Record{UID: uid, ModSeq: uint64(uid) + 1, Bits: HasText}
	rec.SetOffset(off)
	x.Put(rec)
}

// texts counts the messages whose text is there, and checks that no other says so.
func texts(t testing.TB, x *Index) (n int) {
	t.Helper()
	for i := range x.Records {
		r := &x.Records[i]
		if r.Bits&HasText == 0 {
			continue
		}
		place, err := x.Data().AppendSection(nil, r.Offset(), r.UID, TextPlace)
		if err != nil {
			t.Fatal(err)
		}
		if found, err := lookFor(x.Text(), place, r.UID, fmt.Sprint("letter ", r.UID)); !found || err != nil {
			t.Errorf("message %d: %v, %v", r.UID, found, err)
		}
		n++
	}
	return n
}

// TestTextLost: without its text file, or with another one, an index has no text
// and begins anew.
func TestTextLost(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(r *os.Root) error{
		"removed": func(r *os.Root) error { return r.Remove(TextName) },
		"damaged": func(r *os.Root) error { return r.WriteFile(TextName, []byte(textFileMagic), 0o600) },
		"another": func(r *os.Root) error {
			x, err := createText(r, TextName)
			if err != nil {
				return err
			}
			return x.close()
		},
		"a directory": func(r *os.Root) error { return errors.Join(r.Remove(TextName), r.Mkdir(TextName, 0o700)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := root(t)
			x := withText(t, r, 5)
			if err := x.Close([16]int64{}, true); err != nil {
				t.Fatal(err)
			}
			if x = load(t, r); texts(t, x) != 5 {
				t.Fatal("texts are missing")
			}
			if err := x.Close([16]int64{}, true); err != nil {
				t.Fatal(err)
			}
			if err := lose(r); err != nil {
				t.Fatal(err)
			}
			if x = load(t, r); texts(t, x) != 0 {
				t.Error("there are texts")
			}
			if name == "a directory" {
				if _, err := x.Text().Append(1, entryOf(t, NewTextMaker(), 0, "a")); err == nil {
					t.Error("a text was written to a directory")
				}
			} else {
				putText(t, x, 3, entryOf(t, NewTextMaker(), 0, "letter 3"))
			}
			if err := x.Close([16]int64{}, true); err != nil {
				t.Fatal(err)
			}
			if x = load(t, r); name != "a directory" && texts(t, x) != 1 || len(x.Records) != 5 {
				t.Errorf("%d messages, %d texts", len(x.Records), texts(t, x))
			}
			if err := x.Close([16]int64{}, true); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func load(t testing.TB, r *os.Root) *Index {
	t.Helper()
	x, err := Load(r)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// TestTextShrinks: a text file does not grow for ever, and what is in use stays.
func TestTextShrinks(t *testing.T) {
	t.Parallel()
	r := root(t)
	x := withText(t, r, 10)
	rnd := rand.New(rand.NewPCG(7, 8))
	for range 60 {
		putText(t, x, 5, entryOf(t, NewTextMaker(), 0, "letter 5", noise(rnd, 60_000)))
	}
	rec := x.Records[6] // message 7 loses its text
	rec.Bits &^= HasText
	x.Put(rec)
	x.Remove([]uint32{2}, 100)
	if err := x.Close([16]int64{}, true); err != nil {
		t.Fatal(err)
	}
	x = load(t, r)
	if size := x.Text().Size(); size > 100<<10 || x.dead != (deadOctets{}) {
		t.Errorf("the text file has %d octets, dead are %+v", size, x.dead)
	}
	if n := texts(t, x); n != 8 {
		t.Errorf("%d texts", n)
	}
	before := x.dead
	x.Remove([]uint32{5}, 101)
	if x.dead.text-before.text < 30_000 {
		t.Errorf("a text of 60,000 octets that goes leaves %d dead", x.dead.text-before.text)
	}
	if err := x.Close([16]int64{}, true); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{DataName, TextName, Name} {
		if _, err := r.Lstat(name + temporary); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", name+temporary, err)
		}
	}
}

// TestTextShrinksDamaged: what cannot be read any more is left out, the rest stays.
func TestTextShrinksDamaged(t *testing.T) {
	t.Parallel()
	r := root(t)
	x := withText(t, r, 10)
	b, err := r.ReadFile(TextName)
	if err != nil {
		t.Fatal(err)
	}
	b[textFileHeader+8] ^= 1 // the head of the first
	if err := r.WriteFile(TextName, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := x.rewrite(true); err != nil {
		t.Fatal(err)
	}
	if n := texts(t, x); n != 9 || x.Records[0].Bits&HasText != 0 {
		t.Errorf("%d texts", n)
	}
	if err := x.Close([16]int64{}, true); err != nil {
		t.Fatal(err)
	}
	if x = load(t, r); texts(t, x) != 9 {
		t.Errorf("%d texts", texts(t, x))
	}
	if err := x.Close([16]int64{}, true); err != nil {
		t.Fatal(err)
	}
}

// TestTextAtOnce: texts are looked at while others come.
func TestTextAtOnce(t *testing.T) {
	t.Parallel()
	x, err := createText(root(t), TextName)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.close() })
	first, err := x.Append(1, entryOf(t, NewTextMaker(), 1, "subject: first", "words"))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for uid := range uint32(4) {
		wg.Go(func() {
			maker := NewTextMaker()
			for range 50 {
				place, err := x.Append(uid, entryOf(t, maker, 1, "subject: more", "things"))
				if err != nil {
					t.Error(err)
					return
				}
				if found, err := lookFor(x, first, 1, "words"); !found || err != nil {
					t.Errorf("the first: %v, %v", found, err)
				}
				if place, err = x.AppendFrom(x, place, uid, uid); err != nil {
					t.Error(err)
					return
				}
				if found, err := lookFor(x, place, uid, "things"); !found || err != nil {
					t.Errorf("its own: %v, %v", found, err)
				}
				x.Relax()
			}
		})
	}
	wg.Wait()
}

// TestSignature: what a text holds, its signature never rules out, and of a
// letter it rules out most of what is not in it.
func TestSignature(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(9, 10))
	var s signer
	ruledOut := 0
	for size := range 200 {
		text := noise(rnd, 20*size)
		s.reset()
		for rest := text; len(rest) > 0; { // however it comes
			n := min(len(rest), 1+rnd.IntN(200))
			s.add([]byte(rest[:n]))
			rest = rest[n:]
		}
		s.add([]byte("\xffäö\xff"))
		sig := s.signature()
		for range 50 {
			at := rnd.IntN(len(text) + 1)
			if part := text[at:min(len(text), at+rnd.IntN(20))]; !mayHold(sig, []byte(part)) {
				t.Fatalf("%d octets: %q is ruled out", len(text), part)
			}
		}
		if !mayHold(sig, []byte("äö")) || !mayHold(sig, []byte("qq")) {
			t.Error("a short one is ruled out")
		}
		if !mayHold(sig, []byte("QWERTZ")) {
			ruledOut++
		}
		if len(sig) < minSignature || len(sig) > maxSignature || len(sig)&(len(sig)-1) != 0 {
			t.Errorf("%d octets of signature", len(sig))
		}
	}
	if ruledOut < 150 {
		t.Errorf("%d of 200 are ruled out", ruledOut)
	}
	s.reset()
	s.add([]byte("ab\xffcdef"))
	if sig := s.signature(); mayHold(sig, []byte("abc")) && mayHold(sig, []byte("bcd")) || !mayHold(sig, []byte("cdef")) {
		t.Error("a trigram reaches over the end of a segment")
	}
}

// FuzzLook: whatever stands in an entry behind the right sums, looking ends.
func FuzzLook(f *testing.F) {
	maker := NewTextMaker()
	e := entryOf(f, maker, 1, "subject: a", "words")
	f.Add(e.b[textHeader:], uint16(e.head.signature), e.head.size, e.head.head, "words")
	f.Add(bytes.Repeat([]byte{0xaa}, 100), uint16(32), uint32(7), uint32(9), "a")
	r := root(f)
	x, err := createText(r, TextName)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { x.close() })
	f.Fuzz(func(t *testing.T, b []byte, signature uint16, size, head uint32, part string) {
		n := min(int(signature), len(b))
		entry := TextEntry{b: append(make([]byte, textHeader), b...), head: textHead{size: size, head: head,
			signature: uint32(n), signatureSum: crc32.Checksum(b[:n], castagnoli), packed: uint32(len(b) - n), packedSum: crc32.Checksum(b[n:], castagnoli)}}
		place, err := x.Append(1, &entry)
		if err != nil {
			t.Fatal(err)
		}
		if found, err := lookFor(x, place, 1, part); found && err != nil {
			t.Errorf("found, and %v", err)
		}
	})
}

func BenchmarkTextMaker(b *testing.B) {
	text := []byte(strings.Repeat("tomorrow we meet at the harbour, and whoever is late brings the cake. ", 80))
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := 0; i < len(text); i += 10 {
		text[i] = byte('a' + rnd.IntN(26))
	}
	maker := NewTextMaker()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		maker.Write(text)
		maker.Entry(0)
	}
}
