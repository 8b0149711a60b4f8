package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"letterbox/store/index"
	"letterbox/store/message"
)

// findings runs a check and returns the faults it reports, a line each.
func findings(t *testing.T, check func(func(string, Finding)) (Checked, error)) []string {
	t.Helper()
	var lines []string
	done, err := check(func(mailbox string, f Finding) {
		line := fmt.Sprintf("%s %d: %s", mailbox, f.UID, f.What)
		if f.Did != "" {
			line += " -> " + f.Did
		}
		if f.Fault {
			lines = append(lines, line)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if done.Messages < 3 || done.Octets == 0 {
		t.Errorf("it looked at %+v", done)
	}
	return lines
}

// A harm is done to INBOX, which holds letters 0 to 2 of UIDs 1 to 3, or to Archive, which has a copy of the first.
type harm struct {
	stopped func(cur string, files []string) error // the files of INBOX by UID
	running func(m, archive *Mailbox) error
	found   string // "": nothing
	mended  bool   // by Repair
	itself  bool   // by looking
	stays   bool   // something is left to be said
	alone   bool   // nothing else is said
}

var harms = map[string]harm{
	"nothing": {},
	"a message was cut": {
		stopped: func(_ string, files []string) error { return os.Truncate(files[1], 20) },
		found:   "INBOX 2: its file",
		mended:  true,
		stays:   true,
	},
	"a message was lost": {
		stopped: func(_ string, files []string) error { return os.Truncate(files[1], 0) },
		found:   "is empty",
		mended:  true,
		stays:   true,
	},
	"a message was zeroed": {
		stopped: func(_ string, files []string) error {
			return os.WriteFile(files[1], make([]byte, len(text(1))), 0o600)
		},
		found:  "all of them zero",
		mended: true,
		stays:  true,
	},
	"flags that the index does not know": {
		stopped: func(cur string, files []string) error {
			fi, err := os.Stat(cur)
			if err == nil {
				err = os.Rename(files[2], files[2]+"S")
			}
			if err == nil { // as if nothing had happened
				err = os.Chtimes(cur, fi.ModTime(), fi.ModTime())
			}
			return err
		},
		found:  "INBOX 0: 1 messages have other flags or names than the index says",
		itself: true,
	},
	"a message that the index does not know": {
		stopped: func(cur string, files []string) error {
			fi, err := os.Stat(cur)
			if err == nil {
				err = os.Rename(files[2], filepath.Join(cur, "1700000000.other:2,"))
			}
			if err == nil {
				err = os.Chtimes(cur, fi.ModTime(), fi.ModTime())
			}
			return err
		},
		found:  "INBOX 0: 1 messages that are there are missing in the index",
		itself: true,
	},
	"a structure that is wrong": {
		running: func(m, _ *Mailbox) error {
			p := message.NewParser()
			if _, err := p.Write([]byte(text(7))); err != nil {
				return err
			}
			r := m.x.Records[1]
			base, err := m.base(&r)
			if err != nil {
				return err
			}
			off, err := m.x.Data().Append(r.UID, &index.Entry{index.BaseName: []byte(base), index.Structure: p.Close().AppendBinary(nil)})
			r.SetOffset(off)
			m.x.Put(r)
			return err
		},
		found:  "INBOX 2: the caches are wrong about its structure",
		mended: true,
	},
	"a size that is wrong": {
		running: func(m, _ *Mailbox) error {
			r := m.x.Records[1]
			r.SetSize(5)
			m.x.Put(r)
			return nil
		},
		found:  "INBOX 2: the caches are wrong about its size",
		mended: true,
	},
	"an identity that is wrong": {
		running: func(_, archive *Mailbox) error {
			r := archive.x.Records[0]
			base, err := archive.base(&r)
			if err != nil {
				return err
			}
			off, err := archive.x.Data().Append(r.UID, &index.Entry{index.BaseName: []byte(base), index.GUID: []byte("another")})
			r.SetOffset(off)
			archive.x.Put(r)
			return err
		},
		found:  "Archive 1: the caches are wrong about its identity",
		mended: true,
	},
	"data that is spoiled": {
		running: func(m, _ *Mailbox) error {
			return spoilCache(m, index.DataName, 32)
		},
		found:  "INBOX 2: the caches have lost its name and identity",
		itself: true,
	},
	"a search text that is another's": {
		running: func(m, _ *Mailbox) error {
			r := m.x.Records[1]
			p := message.NewParser()
			if _, err := p.Write([]byte(text(7))); err != nil {
				return err
			}
			other, err := m.a.s.texts.make(strings.NewReader(text(7)), p.Close())
			if err != nil {
				return err
			}
			own, err := m.readMessage(2)
			if err != nil {
				return err
			}
			own.text = other
			m.writeMu.Lock()
			defer m.writeMu.Unlock()
			if err := m.keepReading(own); err != nil || m.x.Records[1].Bits&index.HasText == 0 {
				return fmt.Errorf("message %d has no text: %v", r.UID, err)
			}
			return nil
		},
		found:  "INBOX 2: the caches are wrong about its search text",
		mended: true,
	},
	"search texts that are spoiled": {
		running: func(m, _ *Mailbox) error {
			return spoilCache(m, index.TextName, 16)
		},
		found:  "INBOX 2: the caches are wrong about its search text",
		mended: true,
	},
	"a line of the list that is damaged": {
		stopped: func(cur string, _ []string) error {
			file := filepath.Join(filepath.Dir(cur), "dovecot-uidlist")
			b, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			return os.WriteFile(file, []byte(strings.Replace(string(b), "\n2 ", "\n2\t", 1)), 0o600)
		},
		found:  "INBOX 0: dovecot-uidlist: the line of UID 2 cannot be read",
		itself: true,
		alone:  true,
	},
	"a list that was cut, with the identity of a copy": {
		stopped: func(cur string, _ []string) error {
			return os.Truncate(filepath.Join(filepath.Dir(cur), ".Archive", "dovecot-uidlist"), 50)
		},
		found:  "Archive 0: dovecot-uidlist",
		itself: true,
		alone:  true,
	},
	"a keyword that nobody explains": {
		stopped: func(_ string, files []string) error { return os.Rename(files[2], files[2]+"q") },
		found:   "INBOX 0: file names have the keyword letters q",
		stays:   true,
	},
}

// spoilCache changes octets of a cache, all over it.
func spoilCache(m *Mailbox, cache string, from int) error {
	file := filepath.Join(m.folder.Path(), cache)
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for i := from; i < len(b); i += 8 {
		b[i] ^= 0x55
	}
	m.Relax()
	return os.WriteFile(file, b, 0o600)
}

// TestCheck harms a store in every way it knows of: Check says so, and changes
// nothing; Repair makes right what can be, and says that.
func TestCheck(t *testing.T) {
	t.Parallel()
	for name, h := range harms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := h.do(t)
			harmed := h.found != ""
			h.look(t, s, "first", (*Account).Check, harmed, h.itself)
			h.look(t, s, "repair", (*Account).Repair, harmed && !h.itself, h.mended)
			h.look(t, s, "after the repair", (*Account).Check, h.stays, false)
		})
	}
}

// do makes a household and harms it.
func (h harm) do(t *testing.T) *Store {
	t.Helper()
	dir := fastDir(t)
	s := open(t, dir)
	for n := range 3 {
		deliver(t, s, "", text(n))
	}
	m, archive := mailbox(t, s, "INBOX"), mailbox(t, s, "Archive")
	if _, err := m.Copy([]UID{1}, archive); err != nil {
		t.Fatal(err)
	}
	if h.stopped != nil {
		cur := filepath.Join(dir, "mail", "ann", "Maildir", "cur")
		var files []string
		for i := range m.x.Records {
			ref, _, err := m.ref(&m.x.Records[i])
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, filepath.Join(cur, ref.File))
		}
		s = settled(t, dir, s, "INBOX")
		if err := h.stopped(cur, files); err != nil {
			t.Fatal(err)
		}
	}
	if h.running != nil {
		if err := h.running(m, archive); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// look lets a check, or a repair, look at the folders: whether it finds the harm, and does something about it.
func (h harm) look(t *testing.T, s *Store, what string, check func(*Account, context.Context, string, func(Finding)) (Checked, error), found, did bool) {
	t.Helper()
	lines := findings(t, func(report func(string, Finding)) (all Checked, err error) {
		for _, name := range []string{"INBOX", "Archive", "Sent"} {
			done, cerr := check(account(t, s), t.Context(), name, func(f Finding) { report(name, f) })
			all.Messages, all.Octets, err = all.Messages+done.Messages, all.Octets+done.Octets, errors.Join(err, cerr)
		}
		return all, err
	})
	all := strings.Join(lines, "\n")
	if found && h.alone && len(lines) > 1 || found && !strings.Contains(all, h.found) || !found && len(lines) > 0 || found && did != strings.Contains(all, " -> ") {
		t.Errorf("%s:\n%s\nwanted: %v %q, done about it: %v", what, all, found, h.found, did)
	}
}

// Of a file with a bad spot, what stands before it is a message.
func TestParseUpToABadSpot(t *testing.T) {
	t.Parallel()
	s := open(t, fastDir(t))
	whole := text(1)
	bad := errors.New("the card is broken")
	got, err := s.parseFile(io.MultiReader(strings.NewReader(whole[:len(whole)-10]), iotest.ErrReader(bad)))
	if !errors.Is(err, bad) || got == nil || got.Size != int64(len(whole)-10) || !strings.Contains(string(got.AppendEnvelope(nil)), "letter 1") {
		t.Errorf("%+v, %v", got, err)
	}
}
