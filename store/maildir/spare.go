package maildir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A spare is the lock file of a folder's list while nobody holds the lock: a file
// in tmp/, made when it is first needed and removed when the folder is closed. To
// take the lock is to link it. What a crash leaves of it is cleared like any
// temporary file. It may be used by several goroutines.
type spare struct {
	f *Folder

	mu      sync.Mutex // guards what follows
	name    string     // in tmp/; "": there is none
	refused bool       // the file system has no hard links, or the folder is closed
}

// errNoSpare says that there is no spare lock file: the lock has to be made.
var errNoSpare = errors.New("there is no lock file in tmp")

// link gives the lock file the name that locks. Errors wrap fs.ErrExist when the
// lock is held, errNoSpare when it has to be made by itself.
func (s *spare) link(lock string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range 2 {
		if s.refused {
			break
		}
		if s.name == "" {
			if err := s.make(); err != nil {
				break
			}
		}
		err := s.linkTo(lock)
		switch {
		case errors.Is(err, fs.ErrNotExist): // somebody has cleared tmp/
			s.name = ""
			continue
		case noHardLink(err):
			s.refused = true
			return errors.Join(errNoSpare, s.drop())
		}
		return err
	}
	return errNoSpare
}

// make makes the file. The caller holds mu.
func (s *spare) make() error {
	if err := s.f.step(StepLockPrepare); err != nil {
		return err
	}
	name := "letterbox-lock-" + rand.Text()
	tmp, err := s.f.handle(tmpDir)
	if err != nil {
		return err
	}
	return tmp.do(func(fd int) error {
		file, err := createAt(fd, name)
		if err != nil {
			return err
		}
		s.name = name
		if err := sign(file); err != nil {
			return errors.Join(err, s.drop())
		}
		return nil
	})
}

// linkTo makes the link. The caller holds mu.
func (s *spare) linkTo(lock string) error {
	tmp, err := s.f.handle(tmpDir)
	if err != nil {
		return err
	}
	here, err := s.f.here()
	if err != nil {
		return err
	}
	if err := s.f.step(StepLock); err != nil {
		return err
	}
	return tmp.do(func(from int) error {
		// Dovecot takes a lock for stale by the time of its file, whatever process it names.
		now := timespec(time.Now())
		if err := unix.UtimesNanoAt(from, s.name, []unix.Timespec{now, now}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("dating the file of %s: %w", lock, err)
		}
		return here.do(func(to int) error {
			if err := unix.Linkat(from, s.name, to, lock, 0); err != nil {
				return fmt.Errorf("linking %s: %w", lock, err)
			}
			return nil
		})
	})
}

// drop removes the file. The caller holds mu.
func (s *spare) drop() error {
	if s.name == "" {
		return nil
	}
	name := s.name
	s.name = ""
	return s.f.remove(StepLockDrop, tmpDir+"/"+name)
}

// close removes the file for good. That it cannot be removed does no harm: it
// only takes room, for 36 hours.
func (s *spare) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = true
	_ = s.drop()
}
