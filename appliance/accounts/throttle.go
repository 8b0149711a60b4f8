package accounts

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// How slowing down works. Every wrong password is a strike: against the account from
// that network, against the network whatever the account, and against the account
// whatever the network. Each allows a few strikes without consequence (typing errors),
// then each further one doubles the wait before the next password is checked.
//
//   - A wait for strikes never exceeds slowest; strikes fade by one every fade.
//   - The same wrong password for the same account is one strike, however often it comes.
//   - Passwords that are being checked at the same moment count as strikes for each other,
//     so that trying in parallel gains nothing; several connections with the same
//     password do not. Where a crowd of them comes from one network, each further crowd
//     waits for slowest longer: the network gets a crowd's guesses in that time, however many
//     connections it has.
//   - Where an account was signed in to before, only what was tried for it from there
//     counts: strangers elsewhere, and neighbours in the same network, do not slow it
//     down. From new places their strikes cost at most slowestAbroad, or slowest where it
//     is that network that guesses.
//   - Networks are IPv4 /24 and IPv6 /64.
//
// It is all in memory: writing strikes down would wear a flash card out at the will of strangers.
const (
	slowest       = 10 * time.Second
	slowestAbroad = 2 * time.Second
	firstWait     = 500 * time.Millisecond
	fade          = 2 * time.Minute

	crowd = 20 // guesses from one network at once

	freePair    = 3
	freeNetwork = 20
	freeAccount = 10

	maxStrikes  = 30
	maxPairs    = 1024
	maxNetworks = 1024
	maxAccounts = 512
	maxWrong    = 16 // wrong passwords remembered for each account
)

// network is what an address counts for.
func network(peer netip.Addr) netip.Prefix {
	peer = peer.Unmap().WithZone("")
	bits := 24
	if peer.Is6() {
		bits = 64
	}
	p, err := peer.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // unknown peers share one network
	}
	return p
}

type pair struct {
	account string
	network netip.Prefix
}

// A throttle keeps the strikes.
type throttle struct {
	now func() time.Time

	mu       sync.Mutex
	pairs    map[pair]*strikes
	networks map[netip.Prefix]*strikes
	accounts map[string]*strikes
}

func newThrottle(now func() time.Time) *throttle {
	return &throttle{
		now:      now,
		pairs:    map[pair]*strikes{},
		networks: map[netip.Prefix]*strikes{},
		accounts: map[string]*strikes{},
	}
}

// strikes is what is held against one key. It is guarded by throttle.mu.
type strikes struct {
	count   int
	faded   time.Time     // until when fading has been taken into account
	used    time.Time     // last
	pending map[guess]int // being checked at the moment, by how many
	wrong   []guess       // of accounts only: the last few, oldest first
	proven  bool          // of pairs only: somebody has signed in
}

// strikesOf finds what is held against a key, or begins. The map stays bounded: beyond
// most, the entry that was used longest ago goes, unless it is in use.
func strikesOf[K comparable](m map[K]*strikes, key K, most int, now time.Time) *strikes {
	s, ok := m[key]
	if !ok {
		if len(m) >= most {
			dropOldest(m)
		}
		s = &strikes{faded: now, pending: map[guess]int{}}
		m[key] = s
	}
	s.used = now
	passed := max(now.Sub(s.faded)/fade, 0)
	s.faded = s.faded.Add(passed * fade)
	s.count = max(s.count-int(min(passed, maxStrikes)), 0)
	if s.count == 0 || now.Before(s.faded) { // before: the clock was set back
		s.faded = now
	}
	return s
}

func dropOldest[K comparable](m map[K]*strikes) {
	var oldest K
	var found *strikes
	for key, s := range m {
		if len(s.pending) == 0 && (found == nil || s.used.Before(found.used)) {
			oldest, found = key, s
		}
	}
	if found != nil {
		delete(m, oldest)
	}
}

// wait is how long a guess has to wait that comes now, when free strikes cost nothing.
func (s *strikes) wait(g guess, free int, slowest time.Duration) time.Duration {
	n := s.count + len(s.pending)
	if s.pending[g] > 0 {
		n--
	}
	if n < free {
		return 0
	}
	return min(firstWait<<min(n-free, 10), slowest)
}

// queue is what a guess waits on account of those of its network that are under way.
func (s *strikes) queue() time.Duration {
	return time.Duration(max(len(s.pending)-freeNetwork, 0)/crowd) * slowest
}

func (s *strikes) strike() { s.count = min(s.count+1, maxStrikes) }

// An attempt is one guess that is under way.
type attempt struct {
	delay time.Duration // to be waited before the password is checked

	t                      *throttle
	guess                  guess
	pair, network, account *strikes
}

// begin notes that a guess is going to be checked, and how long it has to wait before.
// The caller calls end.
func (t *throttle) begin(account string, from netip.Prefix, g guess) *attempt {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	a := &attempt{
		t:       t,
		guess:   g,
		pair:    strikesOf(t.pairs, pair{account, from}, maxPairs, now),
		network: strikesOf(t.networks, from, maxNetworks, now),
		account: strikesOf(t.accounts, account, maxAccounts, now),
	}
	a.delay = a.pair.wait(g, freePair, slowest)
	if !a.pair.proven {
		a.delay = max(a.delay, a.network.wait(g, freeNetwork, slowest)+a.network.queue(), a.account.wait(g, freeAccount, slowestAbroad))
	}
	for _, s := range []*strikes{a.pair, a.network, a.account} {
		s.pending[g]++
	}
	return a
}

// knownWrong says whether the guess has been found wrong, a while ago or just now.
func (a *attempt) knownWrong() bool {
	a.t.mu.Lock()
	defer a.t.mu.Unlock()
	return slices.Contains(a.account.wrong, a.guess)
}

// outcome is how an attempt ended.
type outcome int

const (
	abandoned outcome = iota // before it was checked: nothing was learned
	wrong
	correct
)

// end counts what came of the attempt.
func (a *attempt) end(o outcome) {
	a.t.mu.Lock()
	defer a.t.mu.Unlock()
	for _, s := range []*strikes{a.pair, a.network, a.account} {
		if s.pending[a.guess]--; s.pending[a.guess] <= 0 {
			delete(s.pending, a.guess)
		}
	}
	switch {
	case o == correct:
		a.pair.proven, a.pair.count = true, 0
	case o == wrong && !slices.Contains(a.account.wrong, a.guess):
		a.account.wrong = append(a.account.wrong, a.guess)
		if extra := len(a.account.wrong) - maxWrong; extra > 0 {
			a.account.wrong = slices.Delete(a.account.wrong, 0, extra)
		}
		for _, s := range []*strikes{a.pair, a.network, a.account} {
			s.strike()
		}
	}
}
