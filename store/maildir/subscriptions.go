package maildir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// The file subscriptions in the root lists the folders that a person wants to
// see. Version 2, which Dovecot 2.3 writes, begins "V\t2" and an empty line;
// then each line is a name, its levels as on disk (modified UTF-7 and
// listescape) with tabs between. In version 1 dots stand between the levels.
// Either is read, and kept as it is.

const (
	subscriptionsName = "subscriptions"
	subscriptionsHead = "V\t2\n\n"
	maxSubscriptions  = 8 << 20
)

// Subscriptions are the names that a person is subscribed to, in the order of
// the file. The folders need not exist (RFC 9051, 6.3.7).
func (r *Root) Subscriptions() ([]string, error) {
	text, err := r.readSmall(subscriptionsName, maxSubscriptions)
	if err != nil {
		return nil, fmt.Errorf("reading the subscriptions: %w", err)
	}
	list := parseSubscriptions(string(text))
	return list.names(), nil
}

// Subscribe adds a name to the subscriptions or takes it off, durably. That it
// was so before is no error. Names that differ only in normalisation count as
// one. It waits for other programs' lock until ctx ends (ErrLocked).
func (r *Root) Subscribe(ctx context.Context, name string, on bool) error {
	name = Normalize(name)
	if on {
		if _, err := escapeName(name); err != nil {
			return err
		}
	}
	err := r.editSubscriptions(ctx, func(s *subscriptionList) {
		if on {
			s.add(name)
		} else {
			s.remove(name)
		}
	})
	if err != nil {
		return fmt.Errorf("changing the subscription of %q: %w", name, err)
	}
	return nil
}

func (r *Root) editSubscriptions(ctx context.Context, edit func(*subscriptionList)) (err error) {
	lock, err := r.lockFile(ctx, r.tree, subscriptionsName, staleSubscriptions)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.unlock()) }()

	text, err := r.readSmall(subscriptionsName, maxSubscriptions)
	if err != nil {
		return err
	}
	list := parseSubscriptions(string(text))
	before := slices.Clone(list.lines)
	if edit(&list); slices.Equal(list.lines, before) {
		return nil
	}
	return r.replace(subscriptionsName, list.write)
}

// subscriptionList is the file, line by line, so that lines we cannot read are
// kept.
type subscriptionList struct {
	separator string // between levels: tab in version 2, dot in version 1
	lines     []string
}

func parseSubscriptions(text string) subscriptionList {
	body, v2 := strings.CutPrefix(text, subscriptionsHead)
	s := subscriptionList{separator: "."}
	if v2 || text == "" {
		s.separator = "\t"
	}
	for line := range strings.SplitSeq(body, "\n") {
		if line != "" {
			s.lines = append(s.lines, line)
		}
	}
	return s
}

// decode is the name that a line stands for, "" if it stands for none.
func (s *subscriptionList) decode(line string) string {
	name := decodeStorageName(strings.ReplaceAll(line, s.separator, "."))
	if strings.EqualFold(name, Inbox) {
		return Inbox
	}
	return name
}

func (s *subscriptionList) encode(name string) string {
	return strings.ReplaceAll(storageName(name), ".", s.separator)
}

func (s *subscriptionList) names() []string {
	var names []string
	for _, line := range s.lines {
		if name := s.decode(line); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func (s *subscriptionList) add(name string) {
	if !slices.ContainsFunc(s.lines, func(line string) bool { return sameName(s.decode(line), name) }) {
		s.lines = append(s.lines, s.encode(name))
	}
}

func (s *subscriptionList) remove(name string) {
	s.lines = slices.DeleteFunc(s.lines, func(line string) bool { return sameName(s.decode(line), name) })
}

func (s *subscriptionList) write(w io.Writer) error {
	if s.separator == "\t" {
		if _, err := io.WriteString(w, subscriptionsHead); err != nil {
			return err
		}
	}
	for _, line := range s.lines {
		if _, err := io.WriteString(w, line+"\n"); err != nil {
			return err
		}
	}
	return nil
}
