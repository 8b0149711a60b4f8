//go:build bench

package main

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A contestant takes letters on connections. open makes one more of them; the test's end closes it.
type contestant struct {
	name string
	open func(t *testing.T) sender
}

// A sender hands over one letter; it returns when the benchLetter is acknowledged.
type sender interface {
	deliver(l benchLetter) error
}

// contestRounds is how many rounds count; one before them warms up.
const contestRounds = 15

// results are the rates of contestants, in messages a second, round by round.
type results [][]float64

// contest lets contestants take the same letters, in turn, each on so many connections. Who begins changes from round to round, so
// that what else the machine does is spread evenly.
func contest(t *testing.T, letters []benchLetter, connections int, cs ...contestant) results {
	t.Helper()
	senders := make([][]sender, len(cs))
	for i, c := range cs {
		for range connections {
			senders[i] = append(senders[i], c.open(t))
		}
	}
	rates := make(results, len(cs))
	for round := -1; round < contestRounds; round++ {
		for turn := range cs {
			i := (turn + round + len(cs)) % len(cs)
			took, err := deliverAll(senders[i], letters)
			if err != nil {
				t.Fatalf("%s: %v", cs[i].name, err)
			}
			if round >= 0 {
				rates[i] = append(rates[i], float64(len(letters))/took.Seconds())
			}
		}
	}
	return rates
}

// deliverAll hands the letters over, whichever sender is free taking the next.
func deliverAll(senders []sender, letters []benchLetter) (time.Duration, error) {
	var next atomic.Int64
	errs := make([]error, len(senders))
	var running sync.WaitGroup
	started := time.Now()
	for i, s := range senders {
		running.Go(func() {
			for errs[i] == nil {
				n := next.Add(1) - 1
				if n >= int64(len(letters)) {
					return
				}
				errs[i] = s.deliver(letters[n])
			}
		})
	}
	running.Wait()
	return time.Since(started), errors.Join(errs...)
}

// rate is the median rate of a contestant.
func (r results) rate(i int) quantity { return number(median(r[i])) }

// ratio is the median of the rates of i divided by those of j in the same round.
func (r results) ratio(i, j int) float64 {
	ratios := make([]float64, len(r[i]))
	for n := range ratios {
		ratios[n] = r[i][n] / r[j][n]
	}
	return median(ratios)
}

// compare prints what came of a contest of Letterbox, Dovecot and the bare program.
func (r results) compare(what string, connections int, ofBare float64) {
	how := fmt.Sprintf("%s, %d connections", what, connections)
	if connections == 1 {
		how = what + ", 1 connection"
	}
	figure(how+", messages a second", r.rate(0))
	figure("  Dovecot", r.rate(1))
	figure("  the bare program", r.rate(2))
	figure("  ratio to Dovecot", ratio(r.ratio(0, 1)), atLeast(ratio(1.5)))
	figure("  ratio to the bare program", ratio(r.ratio(0, 2)), atLeast(ratio(ofBare)))
}
