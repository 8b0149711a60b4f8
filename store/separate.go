package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"letterbox/store/index"
	"letterbox/store/maildir"
)

// separate deals with files that have the base name of another one, which
// restored backups and crashed programs leave: the same file under two names
// loses one of them, another message gets a name of its own and is found by the
// next scan. The caller holds writeMu and the list's lock.
func (s *scan) separate() error {
	for _, e := range s.twice {
		first, err := s.firstOf(e)
		if errors.Is(err, fs.ErrNotExist) {
			continue // renamed while we looked
		}
		if err == nil {
			err = s.m.separateFrom(first, e)
		}
		if err != nil {
			return diskError(fmt.Errorf("telling two files named %s in %s apart: %w", e.Name.Base, s.m.name, err))
		}
	}
	return nil
}

// firstOf returns where the file lies that has e's base name and is in the index.
func (s *scan) firstOf(e maildir.Entry) (maildir.Ref, error) {
	h := index.Hash(e.Name.Base)
	for i := range s.m.x.Records {
		if r := &s.m.x.Records[i]; r.Hash == h {
			ref, _, err := s.m.ref(r)
			return ref, err
		}
	}
	return maildir.Ref{}, fs.ErrNotExist
}

func (m *Mailbox) separateFrom(first maildir.Ref, e maildir.Entry) error {
	a, err := m.folder.Stat(first)
	if err != nil || first == e.Ref() {
		return ignoreMissing(err)
	}
	b, err := m.folder.Stat(e.Ref())
	if err != nil {
		return ignoreMissing(err)
	}
	if os.SameFile(a, b) {
		return m.folder.Remove([]maildir.Ref{e.Ref()})
	}
	n := e.Name
	n.Base = m.a.root.NewNamer(m.a.s.clock.now()).Next(n.Sizes())
	errs, err := m.folder.Rename([]maildir.Renaming{{From: e.Ref(), To: maildir.Ref{InNew: e.InNew, File: n.File()}}})
	return errors.Join(err, ignoreMissing(errs[0]))
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
