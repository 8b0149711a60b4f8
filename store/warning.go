package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"letterbox/store/atomicfile"
	"letterbox/store/index"
)

// What share of the quota, in percent, a person is warned at, and below what they
// are to be warned again when it grows.
const (
	warnAt  = 90
	rearmAt = 80
)

// warningFile lies beside the Maildir of a person who has been warned, so that a restart
// warns nobody again. It is written once for each warning.
const warningFile = "quota-warned"

// share returns how much of the quota is used, in percent: of octets or of messages,
// whichever is more.
func (q Quota) share(t index.Totals) (percent int64) {
	if q.Bytes > 0 {
		percent = t.Size / max(q.Bytes/100, 1)
	}
	if q.Messages > 0 {
		percent = max(percent, 100*t.Messages/q.Messages)
	}
	return percent
}

// A warning is whether a person has been warned.
type warning uint8

const (
	warningUnknown warning = iota // the file tells
	warningNone
	warningGiven
)

// weigh has the person warned who is to be warned now. It may be called with any
// lock held but usage.mu.
func (a *Account) weigh() {
	if a.s.warn != nil && a.usage.unweighed() {
		a.s.care.ask(job{key: warnJob{a}, who: a.person, do: a.keepWarned})
	}
}

// warnJob is the caretaker's key for warning a person.
type warnJob struct{ a *Account }

// unweighed reports whether there is something to do for keepWarned.
func (u *usage) unweighed() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.warning == warningUnknown {
		return u.quota != (Quota{})
	}
	return u.wanted() != u.warning
}

// wanted returns what the warning should be. The caller holds mu.
func (u *usage) wanted() warning {
	share := u.quota.share(u.sum)
	switch {
	case share >= warnAt:
		return warningGiven
	case share >= rearmAt, !u.complete && u.quota != (Quota{}):
		return u.warning
	}
	return warningNone
}

// keepWarned warns the person, or lets them be warned again.
func (a *Account) keepWarned(ctx context.Context) error {
	if err := a.recallWarning(); err != nil {
		return err
	}
	u := &a.usage
	u.mu.Lock()
	wanted, had := u.wanted(), u.warning
	now, q := u.now(), u.quota
	u.mu.Unlock()
	if wanted == had {
		return nil
	}
	if wanted == warningGiven {
		if err := a.s.warn(ctx, a.person, now, q); err != nil {
			return fmt.Errorf("warning that the mailbox is nearly full: %w", err)
		}
	}
	u.mu.Lock()
	u.warning = wanted
	u.mu.Unlock()
	if wanted == warningGiven {
		return a.noteWarning()
	}
	return a.forgetWarning()
}

// recallWarning finds out, once, whether the person was warned before the program
// started.
func (a *Account) recallWarning() error {
	found := warningGiven
	if _, err := os.Lstat(a.warningPath()); errors.Is(err, fs.ErrNotExist) {
		found = warningNone
	} else if err != nil {
		return err
	}
	a.usage.mu.Lock()
	defer a.usage.mu.Unlock()
	if a.usage.warning == warningUnknown {
		a.usage.warning = found
	}
	return nil
}

func (a *Account) warningPath() string {
	return filepath.Join(filepath.Dir(a.root.Path()), warningFile)
}

// noteWarning notes, durably, that the person has been warned.
func (a *Account) noteWarning() error {
	dir, err := os.OpenRoot(filepath.Dir(a.warningPath()))
	if err != nil {
		return diskError(err)
	}
	err = atomicfile.Replace(dir, warningFile, 0o600, a.s.step, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "A warning was given that %d %% of the quota are used. This file goes when less than %d %% are.\n", warnAt, rearmAt)
		return err
	})
	return diskError(errors.Join(err, dir.Close()))
}

// forgetWarning undoes noteWarning. A power cut may bring the note back; it goes again
// when the person's mail is next counted.
func (a *Account) forgetWarning() error {
	if err := os.Remove(a.warningPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return diskError(err)
	}
	return nil
}
