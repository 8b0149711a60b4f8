package accounts

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"

	"letterbox/appliance/config"
)

// A guess stands for one password tried for one account with one hash. The password
// cannot be had from it without the key, which exists in this process alone. Once the
// person has another password, the same attempt is another guess.
type guess [16]byte

// A guesser makes guesses, with a key of its own.
type guesser struct{ key [32]byte }

func newGuesser() guesser {
	var g guesser
	_, _ = rand.Read(g.key[:]) // crypto/rand.Read never returns an error: it ends the program instead
	return g
}

func (g guesser) guess(account string, hash config.Secret, password string) guess {
	mac := hmac.New(sha256.New, g.key[:])
	mac.Write([]byte(account + "\x00" + hash.Reveal() + "\x00" + normalize(password)))
	return guess(mac.Sum(nil)[:16])
}

// How long and how many right passwords are remembered.
const (
	provenFor = 4 * time.Hour
	maxProven = 256
)

// proven remembers, for a few hours, which guesses were right, so that a phone that
// connects every few minutes does not cost an argon2id each time. Whoever can read
// this process's memory could try passwords faster against what is here than against the
// file; they could also read the mail. It is emptied by every Apply.
type proven struct {
	now func() time.Time

	mu    sync.Mutex
	until map[guess]time.Time
}

func newProven(now func() time.Time) *proven {
	return &proven{now: now, until: map[guess]time.Time{}}
}

func (p *proven) has(g guess) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now().Before(p.until[g])
}

func (p *proven) add(g guess) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if now.Before(p.until[g]) {
		return // it ends when it ends: now and then the real hash is checked
	}
	if len(p.until) >= maxProven {
		p.makeRoom(now)
	}
	p.until[g] = now.Add(provenFor)
}

// makeRoom drops what is over, and one more at least: the one that ends first.
func (p *proven) makeRoom(now time.Time) {
	var oldest guess
	for g, until := range p.until {
		if !now.Before(until) {
			delete(p.until, g)
		} else if first, ok := p.until[oldest]; !ok || until.Before(first) {
			oldest = g
		}
	}
	if len(p.until) >= maxProven {
		delete(p.until, oldest)
	}
}

func (p *proven) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.until)
}
