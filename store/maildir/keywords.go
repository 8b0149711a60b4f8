package maildir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// dovecot-keywords gives the letters a to z of file names their meaning in a
// folder: a line each, "<0 to 25> <name>".

const (
	keywordsName   = "dovecot-keywords"
	maxKeywordName = 1 << 10
)

// Keywords are the keywords of a folder: index i is the letter 'a'+i, "" where
// it is free.
type Keywords [26]string

// parseKeywords reads the file. A line that cannot be read is left out; of two
// lines for one letter the first holds, and a name keeps its first letter.
func parseKeywords(text string) (k Keywords) {
	for line := range strings.Lines(text) {
		number, name, ok := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		i, err := strconv.Atoi(number)
		if !ok || err != nil || i < 0 || i >= len(k) || checkKeyword(name) != nil {
			continue
		}
		if k[i] == "" && k.Index(name) < 0 {
			k[i] = name
		}
	}
	return k
}

// Index is the letter's index of a keyword, -1 when it has none. RFC 9051,
// 2.3.2: keywords are compared without regard to case.
func (k *Keywords) Index(name string) int {
	for i, have := range k {
		if have != "" && strings.EqualFold(have, name) {
			return i
		}
	}
	return -1
}

// add gives name a letter; not ok when all are taken.
func (k *Keywords) add(name string) bool {
	if k.Index(name) >= 0 {
		return true
	}
	for i, have := range k {
		if have == "" {
			k[i] = name
			return true
		}
	}
	return false
}

// checkKeyword refuses what is no keyword (RFC 9051, 9: flag-keyword is an
// atom). Other programs' may have 8-bit letters.
func checkKeyword(name string) error {
	bad := name == "" || len(name) > maxKeywordName
	for i := range len(name) {
		bad = bad || name[i] <= ' ' || name[i] == 0x7f
	}
	if bad {
		return fmt.Errorf("%q cannot be a keyword", name)
	}
	return nil
}

// Keywords reads the keywords of the folder; none when it has none yet.
func (f *Folder) Keywords() (Keywords, error) {
	text, err := f.readSmall(keywordsName, 26*(maxKeywordName+8))
	if err != nil {
		return Keywords{}, fmt.Errorf("reading the keywords of the folder %q: %w", f.name, err)
	}
	return parseKeywords(string(text)), nil
}

// AddKeywords gives each name a letter that has none yet, and returns all
// keywords and the names for which no letter was left. It is durable, and
// other programs take their turn: it waits for their lock until ctx ends
// (ErrLocked).
func (f *Folder) AddKeywords(ctx context.Context, names []string) (k Keywords, full []string, err error) {
	if k, full, err = f.addKeywords(ctx, names); err != nil {
		err = fmt.Errorf("adding keywords to the folder %q: %w", f.name, err)
	}
	return k, full, err
}

// SetKeywords gives a folder that nobody uses yet the keywords of another one,
// letter by letter, durably.
func (f *Folder) SetKeywords(k Keywords) error {
	if k == (Keywords{}) {
		return nil
	}
	if err := f.replace(keywordsName, k.write); err != nil {
		return fmt.Errorf("writing the keywords of the folder %q: %w", f.name, err)
	}
	return nil
}

func (f *Folder) addKeywords(ctx context.Context, names []string) (k Keywords, full []string, err error) {
	for _, name := range names {
		if err := checkKeyword(name); err != nil {
			return Keywords{}, nil, err
		}
	}
	lock, err := f.root.lockFile(ctx, f.tree, keywordsName, staleList)
	if err != nil {
		return Keywords{}, nil, err
	}
	defer func() { err = errors.Join(err, lock.unlock()) }()

	if k, err = f.Keywords(); err != nil {
		return Keywords{}, nil, err
	}
	before := k
	for _, name := range names {
		if !k.add(name) {
			full = append(full, name)
		}
	}
	if k == before {
		return k, full, nil
	}
	return k, full, f.replace(keywordsName, k.write)
}

func (k *Keywords) write(w io.Writer) error {
	for i, name := range k {
		if name == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%d %s\n", i, name); err != nil {
			return err
		}
	}
	return nil
}
