package certs

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// retryAfter is how long Run waits after a renewal that did not work. A third of the leaf's life is left then, unless
// it was for an address.
const retryAfter = 12 * time.Hour

// Run renews the leaf when its time has come, or when this box is asked for at an address that the leaf lacks. It
// returns nil when ctx ends. Between renewals it does nothing.
func (m *Manager) Run(ctx context.Context) error {
	for {
		wait, wake := m.untilRenewal(), m.wake
		if wait == 0 || len(m.learned.waiting()) > 0 {
			if err := m.renew(); err != nil {
				m.log.Error("the household's certificate was not renewed", "err", err, "until", m.Serving().NotAfter, "retry_in", retryAfter)
				wait, wake = retryAfter, nil
			} else {
				continue
			}
		}
		if !sleep(ctx, wait, wake) {
			return nil
		}
	}
}

// forever is how long Run waits where there is nothing to renew.
const forever = time.Duration(1<<63 - 1)

// untilRenewal returns how long the leaf served need not be renewed; 0 when it is time.
func (m *Manager) untilRenewal() time.Duration {
	at := m.served.Load().renewAt
	if at.IsZero() {
		return forever
	}
	return max(0, at.Sub(m.now()))
}

// renew makes a new leaf for the same names and addresses, and those learned.
func (m *Manager) renew() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	more := m.learned.waiting()
	s, err := newSubjects(m.subjects.names, append(slices.Clone(m.subjects.ips), more...))
	if err != nil {
		return err
	}
	s.main = m.subjects.main
	if err := m.issue(s); err != nil {
		return err
	}
	m.learned.covered(more)
	if m.untilRenewal() == 0 {
		return fmt.Errorf("the household's root certificate ends on %s, and no certificate may last longer", m.root.cert.NotAfter.Format(time.DateOnly))
	}
	return nil
}

// sleep waits for d or wake; it returns false when ctx ended first.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
	case <-wake:
	}
	return true
}
