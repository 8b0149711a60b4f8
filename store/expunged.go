package store

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"time"

	"letterbox/store/maildir"
	"letterbox/store/message"
)

// Expunged is a message that was expunged and is kept for a time.
type Expunged struct {
	ID           string // names it for Which, as long as it is kept
	Mailbox      string // where it was
	Date         string // when it was expunged, as in 2026-11-28
	Size         int64  // of its file, octets
	InternalDate time.Time
	Subject      string // as it is shown: decoded, of any length up to 64 KiB
	From         string

	// Place is where the list can be continued: see Account.Expunged.
	Place string
}

// listPage is how many names of a list are in memory at a time.
const listPage = 256

// Expunged lists messages that were expunged and are kept, the latest day first,
// and those of one day and mailbox about as they came. It begins behind a Place
// of an earlier list; "" is the beginning. The headers of each are read as it is
// yielded. An error ends the list. Messages that come or go meanwhile may or may
// not be in it.
func (a *Account) Expunged(ctx context.Context, w Which, after string) iter.Seq2[Expunged, error] {
	return func(yield func(Expunged, error) bool) {
		l := expungedList{ids: w.ids(), yield: func(e Expunged) bool { return ctx.Err() == nil && yield(e, nil) }}
		err := a.eachKept(w, after, l.folder)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil && !errors.Is(err, errEnough) {
			yield(Expunged{}, err)
		}
	}
}

// eachKept calls do for each Maildir of the bin that can hold what w chooses, in
// the order of the list and from a place on; file is the name of the message at
// that place, "" for all but the first.
func (a *Account) eachKept(w Which, after string, do func(k *maildir.KeptFolder, file string) error) error {
	from, file := splitPlace(after)
	days, err := a.bin.Days()
	if err != nil {
		return a.binError(err)
	}
	slices.Reverse(days)
	for _, day := range days {
		if !w.hasDay(day) || after != "" && day.Compare(from.day) > 0 {
			continue
		}
		dirs, err := a.bin.Folders(day)
		if err != nil {
			return a.binError(err)
		}
		for _, dir := range dirs {
			first := ""
			if day == from.day {
				if dir < from.dir {
					continue
				}
				if dir == from.dir {
					first = file
				}
			}
			if err := a.withKept(day, dir, w, func(k *maildir.KeptFolder) error { return do(k, first) }); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *Account) withKept(day maildir.BinDay, dir string, w Which, do func(*maildir.KeptFolder) error) error {
	k, err := a.bin.Folder(day, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return a.binError(err)
	}
	if !w.hasMailbox(k) {
		return k.Close()
	}
	return errors.Join(do(k), k.Close())
}

// binError is an error of the bin, or why there is none any more.
func (a *Account) binError(err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return ErrClosed
	}
	return diskError(err)
}

// binPlace is where a Maildir lies in the bin.
type binPlace struct {
	day maildir.BinDay
	dir string
}

func placeOf(k *maildir.KeptFolder, file string) string {
	return k.Day.String() + "/" + k.Dir + "/" + file
}

func splitPlace(place string) (p binPlace, file string) {
	day, rest, _ := strings.Cut(place, "/")
	p.day, _ = maildir.ParseBinDay(day) // a place that is none is before all
	p.dir, file, _ = strings.Cut(rest, "/")
	return p, file
}

type expungedList struct {
	ids   map[string]bool
	yield func(Expunged) bool
}

func (l *expungedList) folder(k *maildir.KeptFolder, after string) error {
	return eachPage(k, after, listPage, func(page []maildir.Entry) error {
		for _, e := range page {
			id := expungedID(k, e)
			if l.ids != nil && !l.ids[id] {
				continue
			}
			found, err := describeKept(k, e.Ref())
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil { // one that cannot be read is there all the same
				found.Mailbox, found.Date = k.Name, k.Day.Date
			}
			found.ID, found.Place = id, placeOf(k, e.File)
			if !l.yield(found) {
				return errEnough
			}
		}
		return nil
	})
}

// eachPage calls do for all messages of k after a name, some at a time.
func eachPage(k *maildir.KeptFolder, after string, size int, do func([]maildir.Entry) error) error {
	for {
		page, err := k.Page(after, size)
		if err != nil {
			return diskError(err)
		}
		if len(page) == 0 {
			return nil
		}
		after = page[len(page)-1].File
		if err := do(page); err != nil {
			return err
		}
	}
}

// describeKept reads what a person knows a message by.
func describeKept(k *maildir.KeptFolder, at maildir.Ref) (e Expunged, err error) {
	e = Expunged{Mailbox: k.Name, Date: k.Day.Date}
	f, err := k.Open(at)
	if err != nil {
		return e, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return e, err
	}
	e.Size, e.InternalDate = fi.Size(), fi.ModTime()
	missing := 2
	err = message.ScanHeader(io.LimitReader(f, memoryLimit), func(name string, value []byte) bool {
		for field, text := range map[string]*string{"Subject": &e.Subject, "From": &e.From} {
			if *text == "" && strings.EqualFold(name, field) {
				*text = message.DecodeHeaderText(value)
				missing--
			}
		}
		return missing > 0
	})
	return e, err
}

// expungedID names a message in the bin: short enough to be typed, and too long
// for two to have the same by chance.
func expungedID(k *maildir.KeptFolder, e maildir.Entry) string {
	sum := sha256.Sum256([]byte(placeOf(k, e.Name.Base)))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:12])
}

// Purge removes what was expunged for good, durably, and returns how many
// messages that were, and the octets that became free. After an error some may
// be removed.
func (a *Account) Purge(ctx context.Context, w Which) (messages int, freed int64, err error) {
	p := purge{s: a.s, person: a.person, ids: w.ids(), want: everything}
	err = a.eachKept(w, "", func(k *maildir.KeptFolder, _ string) error { return p.folder(ctx, a.bin, k.Day, k.Dir) })
	if err != nil {
		err = fmt.Errorf("purging what %s has expunged: %w", a.person, diskError(err))
	}
	return p.messages, p.freed, err
}
