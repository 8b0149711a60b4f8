package accounts

import (
	"context"
	"net/netip"
	"sync"

	"letterbox/appliance/config"
)

// A renewer replaces password hashes that another server made by ours, of which the
// password has to be known: that is so when somebody has just signed in.
type renewer struct {
	asked chan struct{} // wakes Run: there is something to do

	mu      sync.Mutex
	waiting map[string]renewal // by the person's name
}

// A renewal is one hash to be replaced.
type renewal struct {
	was      config.Secret
	password string
}

func newRenewer() *renewer {
	return &renewer{asked: make(chan struct{}, 1), waiting: map[string]renewal{}}
}

// ask notes that a person's password fits a hash, if another server made that. It never
// blocks, and holds one password of each person at most.
func (r *renewer) ask(person string, hash config.Secret, password string) {
	if _, err := config.ParseForeign(hash); err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting[person] = renewal{hash, password}
	select {
	case r.asked <- struct{}{}:
	default:
	}
}

// next takes one out of those that wait.
func (r *renewer) next() (person string, one renewal, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for person, one = range r.waiting {
		delete(r.waiting, person)
		return person, one, true
	}
	return "", renewal{}, false
}

// Run makes hashes of our own in place of those that another server made, once people
// have shown that they know the password, until ctx ends. replace puts the hash now
// into the configuration where was still is the person's, and may leave it when that
// cannot be: then it is tried after another sign-in. It is called once at a time.
func (a *Accounts) Run(ctx context.Context, replace func(person string, was, now config.Secret)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.renewer.asked:
		}
		for ctx.Err() == nil {
			person, one, ok := a.renewer.next()
			if !ok {
				break
			}
			if _, is := a.people.Load().secret(person); is != one.was {
				continue // done already, or they have another password
			}
			now, err := a.hashInTurn(ctx, one.password)
			if err != nil {
				return nil // ctx has ended
			}
			replace(person, one.was, now)
		}
	}
}

// hashInTurn is HashPassword while nobody else's password is computed.
func (a *Accounts) hashInTurn(ctx context.Context, password string) (config.Secret, error) {
	release, err := a.hasher.acquire(ctx, netip.Prefix{})
	if err != nil {
		return "", err
	}
	defer release()
	return HashPassword(password)
}
