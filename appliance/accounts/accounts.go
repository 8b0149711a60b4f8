// Package accounts knows who has a mailbox here: people, their passwords and device
// passwords, and which addresses are theirs.
//
// What holds always:
//
//   - Every answer comes from one snapshot of the configuration, which Apply swaps
//     whole. Nothing here changes the configuration or touches the disk.
//   - One password is checked at a time, in a few MiB that are given back afterwards,
//     however many sign in at once; networks take turns. Device passwords cost a keyed hash and a lookup.
//   - Whether a person exists cannot be told from an answer or from how long it takes.
//   - Wrong passwords are slowed down, for the account and for the network they come
//     from. Nobody is ever banned, and the same wrong password again, as from a tablet
//     that was forgotten, does not count again. See throttle for the rules.
//   - All tables are bounded.
//   - A hash that another server made is replaced by one of ours at the first sign-in for
//     which it had to be computed. Nobody waits for that, and nothing depends on it.
//
// All methods may be called from many goroutines at once.
package accounts

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"letterbox/appliance/config"
	"letterbox/appliance/mailaddr"
)

// Errors, for errors.Is.
var (
	ErrCredentials = errors.New("the name or the password is wrong")
	ErrDisabled    = errors.New("this person is switched off") // only after the right password
	ErrNotOurs     = errors.New("the address is not in a domain of this household")
	ErrUnknown     = errors.New("nobody here has this address")
)

// Options are what Accounts needs from outside.
type Options struct {
	Now func() time.Time // nil: time.Now
}

// Accounts answers for everybody in the household.
type Accounts struct {
	people   atomic.Pointer[snapshot]
	hasher   *hasher
	guesses  guesser
	throttle *throttle
	proven   *proven
	renewer  *renewer
}

// New returns Accounts that know nobody until the first Apply.
func New(o Options) *Accounts {
	now := o.Now
	if now == nil {
		now = time.Now
	}
	a := &Accounts{
		hasher:   newHasher(),
		guesses:  newGuesser(),
		throttle: newThrottle(now),
		proven:   newProven(now),
		renewer:  newRenewer(),
	}
	a.people.Store(newSnapshot(config.Config{}))
	return a
}

// Apply replaces what is known by c, which Validate has accepted, at once for every
// later call. A sign-in that is being checked meanwhile is judged by c.
func (a *Accounts) Apply(c config.Config) {
	a.people.Store(newSnapshot(c.Clone()))
	a.proven.forget()
}

// SignIn returns the name of the person whom login and password belong to. login is a
// person's name, or an address that is only theirs, in any case; password is the
// person's own or one of their device passwords. peer is where the attempt comes from;
// the zero Addr is a place nothing is known about. It takes longer after wrong
// passwords, and returns ctx's error if ctx ends meanwhile. Errors: ErrCredentials,
// ErrDisabled.
func (a *Accounts) SignIn(ctx context.Context, login, password string, peer netip.Addr) (person string, err error) {
	login = foldLogin(login)
	people := a.people.Load()
	account, known := people.account(login)
	// 140 random bits need no slowing down, and nobody's guessing may slow them down.
	if owner, ok := people.device(password); ok && known && owner == account {
		return people.admit(account)
	}
	if err := a.signInSlowly(ctx, login, password, peer); err != nil {
		return "", err
	}
	people = a.people.Load()
	account, known = people.account(login)
	if !known {
		return "", ErrCredentials
	}
	return people.admit(account)
}

// signInSlowly checks a person's own password, after whatever wait is due for wrong
// ones before it.
func (a *Accounts) signInSlowly(ctx context.Context, login, password string, peer netip.Addr) error {
	account, hash := a.people.Load().secret(login)
	guess := a.guesses.guess(account, hash, password)
	from := network(peer)
	attempt := a.throttle.begin(account, from, guess)
	result := abandoned
	defer func() { attempt.end(result) }()

	if err := wait(ctx, attempt.delay); err != nil {
		return err
	}
	right, err := a.check(ctx, from, attempt, account, hash, password)
	if err != nil {
		return err
	}
	// While this one waited and was checked, the password may have been changed: then
	// the new one counts. It may also be the same one in another form, see renewer.
	for tries := 0; right; tries++ {
		_, now := a.people.Load().secret(login)
		if now == hash {
			break
		}
		hash = now
		if right, err = a.compute(ctx, from, hash, password); err != nil {
			return err
		}
		right = right && tries < maxChanges
	}
	if !right {
		result = wrong
		return ErrCredentials
	}
	result = correct
	a.proven.add(a.guesses.guess(account, hash, password))
	return nil
}

// maxChanges bounds how often a password is checked anew because it was changed meanwhile.
const maxChanges = 3

// check says whether the password fits the hash, without computing what is known from
// a while ago. An empty hash stands for nobody and costs the same.
func (a *Accounts) check(ctx context.Context, from netip.Prefix, attempt *attempt, account string, hash config.Secret, password string) (bool, error) {
	settled := func() (right, known bool) {
		if a.proven.has(attempt.guess) {
			return true, true
		}
		return false, attempt.knownWrong()
	}
	if right, known := settled(); known || len(password) > maxPassword {
		return right, nil
	}
	release, err := a.hasher.acquire(ctx, from)
	if err != nil {
		return false, err
	}
	defer release()
	// The same password may have been checked for another connection meanwhile: mail
	// programs open several at once.
	if right, known := settled(); known {
		return right, nil
	}
	right := a.hasher.verify(hash, a.people.Load().foreign, password)
	if right {
		a.renewer.ask(account, hash, password)
	}
	return right, nil
}

// compute says whether the password fits the hash.
func (a *Accounts) compute(ctx context.Context, from netip.Prefix, hash config.Secret, password string) (bool, error) {
	release, err := a.hasher.acquire(ctx, from)
	if err != nil {
		return false, err
	}
	defer release()
	return a.hasher.verify(hash, a.people.Load().foreign, password), nil
}

// Recipients returns the people whom mail for this address is for, each once. Errors:
// ErrNotOurs, ErrUnknown.
func (a *Accounts) Recipients(to mailaddr.Addr) ([]string, error) {
	return a.people.Load().recipients(to)
}

// MaySendAs says whether the address is one of this person's: their name at each
// domain of the household, an alias that reaches them, either with a detail (ann+shop).
// It is false for somebody who is switched off, and for the null reverse-path.
func (a *Accounts) MaySendAs(person string, from mailaddr.Addr) bool {
	return a.people.Load().maySendAs(person, from)
}

// foldLogin gives one form to what somebody types to say who they are.
func foldLogin(login string) string {
	login = strings.TrimSpace(login)
	if len(login) > maxLogin {
		login = login[:maxLogin]
	}
	if addr, err := mailaddr.Parse(login); err == nil {
		return addr.Fold().String()
	}
	return strings.ToLower(login)
}

// wait returns after d, or with ctx's error if that comes first.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
