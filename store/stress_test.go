package store

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// bearable are the answers that those get who lose a race against Delete, Rename
// or RemoveAccount.
func bearable(err error) bool {
	for _, e := range []error{nil, ErrNoAccount, ErrNoMailbox, ErrMailboxExists, ErrClosed, ErrExpunged} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// TestFoldersComeAndGo renames, deletes and removes under those who deliver, read
// and change, with watchers who never look; no lock is left behind, nor a goroutine.
func TestFoldersComeAndGo(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	t.Run("at once", func(t *testing.T) {
		s := open(t, fastDir(t))
		running(t, s)
		const rounds = 40
		jobs := map[string]func(a *Account, n int) error{
			"deliver": func(_ *Account, n int) error {
				return s.Deliver(t.Context(), incoming(t, s, text(n)), []Target{{Person: "ann", Mailbox: "Work/Box"}})
			},
			"rename": func(a *Account, n int) error {
				return errors.Join(a.Rename("Work", "Play"), a.Rename("Play", "Work"))
			},
			"delete": func(a *Account, n int) error {
				if n%8 != 0 {
					return nil
				}
				return a.Delete("Work/Box")
			},
			"create": func(a *Account, n int) error { return a.Create("Work/Box", "") },
			"list": func(a *Account, n int) error {
				_, err := a.List()
				return err
			},
			"remove": func(_ *Account, n int) error {
				if n%20 != 19 {
					return nil
				}
				return errors.Join(s.RemoveAccount("ann"), s.CreateAccount("ann"))
			},
			"change": func(a *Account, n int) error {
				m, err := a.Open("Work/Box")
				if err != nil {
					return err
				}
				defer m.Close()
				defer m.Watch(make(chan struct{}))()
				to, err := a.Open("INBOX")
				if err != nil {
					return err
				}
				defer to.Close()
				uids := m.UIDs(nil)
				_, _, err = m.StoreFlags(uids, AddFlags, Seen, 0)
				_, cerr := m.Copy(uids[:min(len(uids), 2)], to)
				_, merr := m.Move(uids[:min(len(uids), 1)], to)
				return errors.Join(err, cerr, merr, m.Expunge(uids[min(len(uids), 3):]))
			},
		}
		var wg sync.WaitGroup
		for name, job := range jobs {
			wg.Go(func() {
				for n := range rounds {
					a, err := s.Account("ann")
					if err == nil {
						err = job(a, n)
					}
					for _, e := range parts(err) {
						if !bearable(e) {
							t.Error(fmt.Errorf("%s: %w", name, e))
						}
					}
				}
			})
		}
		wg.Wait()
		deliver(t, s, "", text(1))
	})
	goleak.VerifyNone(t, leaks)
}

// parts takes what errors.Join joined apart.
func parts(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok && len(joined.Unwrap()) > 1 && !bearable(err) {
		return joined.Unwrap()
	}
	return []error{err}
}
