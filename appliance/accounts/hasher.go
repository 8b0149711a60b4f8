package accounts

import (
	"context"
	"crypto/subtle"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"

	"letterbox/appliance/config"
)

// A hasher lets one password be hashed at a time. Networks take turns: a hash may take a
// second on a small box, and nobody at home waits for a hundred guesses from elsewhere,
// but for one.
type hasher struct {
	nobody config.Argon2id // computed where there is no hash; no password fits it
	fits   func(config.Foreign, string) bool

	mu    sync.Mutex
	busy  bool
	turns []netip.Prefix                   // networks that somebody waits from, the next one first
	queue map[netip.Prefix][]chan struct{} // who waits from each, never empty; closed: your turn
}

func newHasher() *hasher {
	nobody := argonCost()
	nobody.Salt, nobody.Key = make([]byte, argonSalt), make([]byte, argonKey)
	return &hasher{nobody: nobody, fits: fits, queue: map[netip.Prefix][]chan struct{}{}}
}

// verify says whether the password fits the hash. An empty hash fits nothing. Whatever
// the hash is, this costs as much as one that HashPassword makes, and one of each of
// others: the hashes that another server made, one of each kind that there is in the
// household.
func (h *hasher) verify(hash config.Secret, others []config.Foreign, password string) bool {
	want, err := config.ParseArgon2id(hash)
	if err != nil {
		want = h.nobody
	}
	key := derive(want, password, len(want.Key))
	right := subtle.ConstantTimeCompare(key, want.Key) == 1 && err == nil

	foreign, err := config.ParseForeign(hash)
	for _, other := range others {
		if err != nil || other.Kind() != foreign.Kind() {
			h.fits(other, password) // somebody else's: it only takes its time
		} else if h.fits(foreign, password) {
			right = true
		}
	}
	return right
}

// acquire waits for the turn of the caller, who calls release afterwards.
func (h *hasher) acquire(ctx context.Context, from netip.Prefix) (release func(), err error) {
	h.mu.Lock()
	if !h.busy {
		h.busy = true
		h.mu.Unlock()
		return h.release, nil
	}
	turn := make(chan struct{})
	if len(h.queue[from]) == 0 {
		h.turns = append(h.turns, from)
	}
	h.queue[from] = append(h.queue[from], turn)
	h.mu.Unlock()

	select {
	case <-turn:
		return h.release, nil
	case <-ctx.Done():
		h.leave(from, turn)
		return nil, ctx.Err()
	}
}

// release lets the next one begin. The memory goes back to the system before: otherwise
// a small box would hold that of several, and until much later.
func (h *hasher) release() {
	debug.FreeOSMemory()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next()
}

// next passes the turn on. h.mu is held.
func (h *hasher) next() {
	if len(h.turns) == 0 {
		h.busy = false
		return
	}
	from := h.turns[0]
	turn := h.queue[from][0]
	h.turns = slices.Delete(h.turns, 0, 1)
	if h.queue[from] = h.queue[from][1:]; len(h.queue[from]) > 0 {
		h.turns = append(h.turns, from)
	} else {
		delete(h.queue, from)
	}
	close(turn)
}

// leave gives up waiting, and the turn itself if it has come at the same moment.
func (h *hasher) leave(from netip.Prefix, turn chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.Index(h.queue[from], turn)
	if i < 0 {
		h.next()
		return
	}
	if h.queue[from] = slices.Delete(h.queue[from], i, i+1); len(h.queue[from]) == 0 {
		delete(h.queue, from)
		h.turns = slices.DeleteFunc(h.turns, func(p netip.Prefix) bool { return p == from })
	}
}
