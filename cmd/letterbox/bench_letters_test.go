//go:build bench

package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
)

// A benchLetter is a message to be sent, with CRLF line ends and no line that begins with a dot.
type benchLetter []byte

// The sizes of a mix, in octets: what people get, without its rare giants.
const (
	mixLetters = 200
	mixLarge   = 18 // of 100 KB
	mixHuge    = 2  // of 2 MB
	mixMedian  = 8 << 10
	sizeLarge  = 100 << 10
	sizeHuge   = 2 << 20
)

// newMix makes the letters of a round, the same in every run. Most are text of random length around 8 KB, half of them with a
// second part in HTML; the large ones have an attachment.
func newMix() []benchLetter {
	random := rand.New(rand.NewPCG(3, 4))
	mix := make([]benchLetter, 0, mixLetters)
	for range mixLetters - mixLarge - mixHuge {
		size := int(mixMedian * math.Exp(0.8*random.NormFloat64()))
		mix = append(mix, newLetter(random, min(max(size, 1<<10), 60<<10)))
	}
	for range mixLarge {
		mix = append(mix, newLetter(random, sizeLarge))
	}
	for range mixHuge {
		mix = append(mix, newLetter(random, sizeHuge))
	}
	random.Shuffle(len(mix), func(i, j int) { mix[i], mix[j] = mix[j], mix[i] })
	return mix
}

// describeMix says of what sizes a mix is.
func describeMix(mix []benchLetter) string {
	sizes := make([]int, len(mix))
	sum, large, huge := 0, 0, 0
	for i, l := range mix {
		sizes[i] = len(l)
		sum += len(l)
		if len(l) >= sizeHuge {
			huge++
		} else if len(l) >= sizeLarge {
			large++
		}
	}
	slices.Sort(sizes)
	return fmt.Sprintf("%d messages, median %.1f KB, %d of 100 KB, %d of 2 MB, mean %.1f KB", len(mix), float64(median(floats(sizes)))/1024, large, huge, float64(sum)/float64(len(mix))/1024)
}

func floats(list []int) []float64 {
	f := make([]float64, len(list))
	for i, v := range list {
		f[i] = float64(v)
	}
	return f
}

// newLetter makes a benchLetter of about size octets.
func newLetter(random *rand.Rand, size int) benchLetter {
	var b bytes.Buffer
	id := random.Uint64()
	fmt.Fprintf(&b, "Received: from mx.example.org (mx.example.org [192.0.2.7])\r\n\tby relay.example.net with ESMTPS id %x;\r\n\tSat, 28 Nov 2026 09:12:44 +0100\r\n", id)
	fmt.Fprintf(&b, "From: %s %s <%s@example.org>\r\nTo: %s@%s\r\nSubject: %s\r\nDate: Sat, 28 Nov 2026 09:12:44 +0100\r\nMessage-ID: <%x@example.org>\r\nMIME-Version: 1.0\r\n",
		word(random), word(random), word(random), benchPerson, benchDomain, strings.Join([]string{word(random), word(random), word(random)}, " "), id)
	switch {
	case size >= sizeLarge:
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=\"part-%x\"\r\n\r\n--part-%[1]x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n", id)
		prose(&b, random, 4<<10)
		fmt.Fprintf(&b, "\r\n--part-%x\r\nContent-Type: image/jpeg; name=\"picture.jpg\"\r\nContent-Disposition: attachment; filename=\"picture.jpg\"\r\nContent-Transfer-Encoding: base64\r\n\r\n", id)
		attach(&b, random, size)
		fmt.Fprintf(&b, "--part-%x--\r\n", id)
	case random.IntN(2) == 0:
		fmt.Fprintf(&b, "Content-Type: multipart/alternative; boundary=\"part-%x\"\r\n\r\n--part-%[1]x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n", id)
		prose(&b, random, b.Len()+(size-b.Len())/2)
		fmt.Fprintf(&b, "\r\n--part-%x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body>\r\n", id)
		prose(&b, random, size-80)
		fmt.Fprintf(&b, "</body></html>\r\n--part-%x--\r\n", id)
	default:
		b.WriteString("Content-Type: text/plain; charset=utf-8\r\n\r\n")
		prose(&b, random, size)
	}
	return b.Bytes()
}

// prose writes lines of words until b has size octets.
func prose(b *bytes.Buffer, random *rand.Rand, size int) {
	for b.Len() < size {
		for column := 0; column < 64 && b.Len() < size; {
			w := word(random)
			b.WriteString(w + " ")
			column += len(w) + 1
		}
		b.WriteString("\r\n")
	}
}

// attach writes lines of base64 until b has size octets.
func attach(b *bytes.Buffer, random *rand.Rand, size int) {
	var raw [57]byte
	for b.Len() < size {
		for i := range raw {
			raw[i] = byte(random.Uint32())
		}
		b.WriteString(base64.StdEncoding.EncodeToString(raw[:]) + "\r\n")
	}
}

var syllables = []string{"an", "be", "con", "de", "er", "fi", "ga", "hel", "in", "ko", "la", "mi", "no", "or", "pa", "qui", "re", "sta", "ti", "un", "ver", "wo", "xa", "zu"}

// word makes a word; short ones and a few others are frequent, as in a language.
func word(random *rand.Rand) string {
	n := random.IntN(100)
	if n < 50 {
		return syllables[n%len(syllables)]
	}
	w := syllables[random.IntN(len(syllables))] + syllables[random.IntN(8)]
	if n > 75 {
		w += syllables[random.IntN(4)]
	}
	return w
}
