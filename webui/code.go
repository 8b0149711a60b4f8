package webui

import (
	"crypto/rand"
	"crypto/subtle"
	"strings"
	"sync"
	"time"
)

const (
	codeLife  = time.Hour
	codeTries = 10
	// codeLetters of 5 random bits each: 140 bits.
	codeLetters = 28
	codeGroup   = 4
)

// codeAlphabet is Crockford's base 32: no i, l, o, u, which are mistaken for others.
const codeAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// setupCode is the one-time code of the wizard. The zero value accepts nothing.
type setupCode struct {
	mu      sync.Mutex
	letters string // "": there is none
	expires time.Time
	tries   int // wrong ones
}

// verdict is what became of an attempt.
type verdict int

const (
	codeWrong verdict = iota
	codeRight
	codeVoid // there is no code: none made, used, too old, or tried too often
)

// renew makes a new code, in groups for people to read.
func (c *setupCode) renew(now time.Time) (string, time.Time) {
	var random [codeLetters]byte
	rand.Read(random[:])
	var plain, shown strings.Builder
	for i, b := range random {
		if i > 0 && i%codeGroup == 0 {
			shown.WriteByte('-')
		}
		plain.WriteByte(codeAlphabet[b&31])
		shown.WriteByte(codeAlphabet[b&31])
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.letters, c.expires, c.tries = plain.String(), now.Add(codeLife), 0
	return shown.String(), c.expires
}

// accept takes a code that was made before, as renew returned it.
func (c *setupCode) accept(code string, expires time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.letters, c.expires, c.tries = plainCode(code), expires, 0
}

// try uses the code up when it is right.
func (c *setupCode) try(typed string, now time.Time) verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.letters == "" || !now.Before(c.expires) {
		c.letters = ""
		return codeVoid
	}
	if subtle.ConstantTimeCompare([]byte(plainCode(typed)), []byte(c.letters)) == 1 {
		c.letters = ""
		return codeRight
	}
	if c.tries++; c.tries >= codeTries {
		c.letters = ""
		return codeVoid
	}
	return codeWrong
}

// plainCode undoes what people and phones do to a code: spaces, hyphens, capitals, and letters that look alike.
func plainCode(typed string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case 'o':
			return '0'
		case 'i', 'l':
			return '1'
		case ' ', '\t', '\n', '\r', '-', '\u00a0', '\u2010', '\u2011', '\u2013':
			return -1
		}
		return r
	}, strings.ToLower(typed))
}
