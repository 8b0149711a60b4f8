package maildir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// The last UIDVALIDITY given in a tree is the suffix, eight hex digits, of an
// empty file dovecot-uidvalidity.xxxxxxxx in its root. Who renames that file
// to the next number has got that number; Dovecot does the same. The file
// dovecot-uidvalidity holds it too, as a hint.
const uidValidityName = "dovecot-uidvalidity"

// maxValidityTries bounds how often another program may be faster.
const maxValidityTries = 100

// NextUIDValidity gives out a UIDVALIDITY for a new folder that no folder of
// the tree has had, durably: one more than the last, the time now for the
// first. now is the caller's monotone clock.
func (r *Root) NextUIDValidity(now time.Time) (uint32, error) {
	for range maxValidityTries {
		v, err := r.tryUIDValidity(now)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
			continue // another program took it
		}
		if err != nil {
			return 0, fmt.Errorf("making a UIDVALIDITY: %w", err)
		}
		return v, nil
	}
	return 0, errors.New("making a UIDVALIDITY: other programs are always faster")
}

func (r *Root) tryUIDValidity(now time.Time) (uint32, error) {
	last, file, err := r.lastUIDValidity()
	if err != nil {
		return 0, err
	}
	next := nextValidity(last, now)
	to := fmt.Sprintf("%s.%08x", uidValidityName, next)
	if file == "" {
		err = r.createEmpty(to)
	} else {
		err = r.rename(StepUIDValidity, file, to)
	}
	if err != nil {
		return 0, err
	}
	// The number is taken when the name is; replace syncs both.
	return next, r.replace(uidValidityName, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%08x", next)
		return err
	})
}

func (r *Root) createEmpty(name string) error {
	if err := r.step(StepUIDValidity); err != nil {
		return err
	}
	f, err := r.fs.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return err
	}
	return f.Close()
}

// LastUIDValidity returns the last UIDVALIDITY given in the tree at dir, 0 if none was.
func LastUIDValidity(dir string) (uint32, error) {
	dirFS, err := os.OpenRoot(dir)
	if err != nil {
		return 0, err
	}
	r := &Root{tree: tree{fs: dirFS}, path: dir}
	last, _, err := r.lastUIDValidity()
	return last, errors.Join(err, r.Close())
}

// ContinueUIDValidity makes a tree that has given out no UIDVALIDITY begin after last, durably.
func (r *Root) ContinueUIDValidity(last uint32) error {
	if err := r.createEmpty(fmt.Sprintf("%s.%08x", uidValidityName, last)); err != nil {
		return fmt.Errorf("continuing with UIDVALIDITY %d: %w", last, err)
	}
	return r.sync(".")
}

// lastUIDValidity gives the highest number that is written anywhere and the
// file that carries the highest of the names, "" if none does.
func (r *Root) lastUIDValidity() (last uint32, file string, err error) {
	hint, err := r.readSmall(uidValidityName, 16)
	if err != nil {
		return 0, "", err
	}
	last = parseHex(strings.TrimSpace(string(hint)))
	var named uint32
	err = r.names(".", func(name string) error {
		suffix, ok := strings.CutPrefix(name, uidValidityName+".")
		if v := parseHex(suffix); ok && v > named {
			named, file = v, name
		}
		return nil
	})
	return max(last, named), file, err
}

// parseHex reads eight hex digits, 0 if they are none.
func parseHex(s string) uint32 {
	v, err := strconv.ParseUint(s, 16, 32)
	if err != nil || len(s) != 8 {
		return 0
	}
	return uint32(v)
}

// nextValidity is never 0 (RFC 9051, 9: nz-number).
func nextValidity(last uint32, now time.Time) uint32 {
	if last != 0 && last+1 != 0 {
		return last + 1
	}
	return max(1, uint32(min(max(now.Unix(), 1), 1<<32-1)))
}
