package maildir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
)

// An Intent is a promise to take back: between BeginIntent and EndIntent,
// everything that is placed in the folder under names of one Namer is removed
// by Recover after a crash. COPY uses it, which is all or nothing (RFC 9051,
// 6.4.7).
type Intent struct{ file string }

// letterbox-intent.<random> holds the prefix of the names, a line.
const intentPrefix = "letterbox-intent."

// BeginIntent records the operation; it is durable.
func (f *Folder) BeginIntent(n *Namer) (*Intent, error) {
	i := &Intent{file: intentPrefix + rand.Text()}
	err := f.replace(i.file, func(w io.Writer) error {
		_, err := io.WriteString(w, n.prefix+"\n")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("beginning a change of the folder %q: %w", f.name, err)
	}
	return i, nil
}

// EndIntent ends the operation: what it placed stays. It is durable.
func (f *Folder) EndIntent(i *Intent) error {
	err := f.remove(StepFileRemove, i.file)
	if err == nil {
		err = f.sync(".")
	}
	if err != nil {
		return fmt.Errorf("ending a change of the folder %q: %w", f.name, err)
	}
	return nil
}

// Recover takes back every operation that was begun and not ended, durably,
// and returns the base names it removed. Call it when no operation is under
// way: when a folder is opened.
func (f *Folder) Recover() (removed []string, err error) {
	files, prefixes, err := f.intents()
	if err == nil && len(files) > 0 {
		removed, err = f.takeBack(files, prefixes)
	}
	if err != nil {
		return removed, fmt.Errorf("taking back an unfinished change of the folder %q: %w", f.name, err)
	}
	return removed, nil
}

func (f *Folder) intents() (files, prefixes []string, err error) {
	err = f.names(".", func(name string) error {
		if suffix, ok := strings.CutPrefix(name, intentPrefix); ok && len(suffix) == len(rand.Text()) {
			files = append(files, name)
		}
		return nil
	})
	for _, name := range files {
		text, readErr := f.readSmall(name, 512)
		err = errors.Join(err, readErr)
		if prefix := strings.TrimSuffix(string(text), "\n"); isPrefix(prefix) {
			prefixes = append(prefixes, prefix)
		}
	}
	return files, prefixes, err
}

func (f *Folder) takeBack(files, prefixes []string) (removed []string, err error) {
	var refs []Ref
	err = f.Scan(func(e Entry) error {
		for _, prefix := range prefixes {
			if strings.HasPrefix(e.Name.Base, prefix) {
				refs = append(refs, e.Ref())
				removed = append(removed, e.Name.Base)
				break
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := f.Remove(refs); err != nil {
		return nil, err
	}
	for _, name := range files {
		if err := f.remove(StepFileRemove, name); err != nil {
			return removed, err
		}
	}
	return removed, f.sync(".")
}
