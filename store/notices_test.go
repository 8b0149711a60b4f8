package store

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"letterbox/store/maildir"
)

// An other is another program at work in a folder, and what the system tells of
// it: every change, in order.
type other struct {
	folder string
	count  int
	files  map[string]maildir.Ref // by base name
	events []notice
}

func (o *other) path(at maildir.Ref) string {
	dir := "cur"
	if at.InNew {
		dir = "new"
	}
	return filepath.Join(o.folder, dir, at.File)
}

func (o *other) draw(t *rapid.T) (base string, at maildir.Ref) {
	if len(o.files) == 0 {
		t.Skip("there are no messages")
	}
	base = rapid.SampledFrom(slices.Sorted(maps.Keys(o.files))).Draw(t, "message")
	return base, o.files[base]
}

func (o *other) did(t *rapid.T, err error, ns ...notice) {
	if err != nil {
		t.Fatal(err)
	}
	o.events = append(o.events, ns...)
}

// Deliver writes a message in tmp/ and renames it.
func (o *other) Deliver(t *rapid.T) {
	o.count++
	base := fmt.Sprintf("%d.M%dP1.other", 1700000000+o.count, o.count)
	at := maildir.Ref{InNew: true, File: base}
	if rapid.Bool().Draw(t, "into cur") {
		at = maildir.Ref{File: base + ":2,"}
	}
	tmp := filepath.Join(o.folder, "tmp", base)
	err := os.WriteFile(tmp, []byte(text(o.count)), 0o600)
	if err == nil {
		err = os.Rename(tmp, o.path(at))
	}
	o.did(t, err, notice{at: at, arrived: true})
	o.files[base] = at
}

// Flag gives a message other flags, and moves it out of new/.
func (o *other) Flag(t *rapid.T) {
	base, from := o.draw(t)
	to := maildir.Ref{File: base + ":2," + rapid.SampledFrom([]string{"", "S", "FS", "RS", "T"}).Draw(t, "flags")}
	if from == to {
		return
	}
	o.did(t, os.Rename(o.path(from), o.path(to)), notice{at: from}, notice{at: to, arrived: true})
	o.files[base] = to
}

// Link does so as programs do on file systems on which they do not trust rename.
func (o *other) Link(t *rapid.T) {
	base, from := o.draw(t)
	to := maildir.Ref{File: base + ":2,P"}
	if from == to {
		return
	}
	o.did(t, os.Link(o.path(from), o.path(to)), notice{at: to, arrived: true})
	o.did(t, os.Remove(o.path(from)), notice{at: from, removed: true})
	o.files[base] = to
}

// Remove removes a message.
func (o *other) Remove(t *rapid.T) {
	base, at := o.draw(t)
	o.did(t, os.Remove(o.path(at)), notice{at: at, removed: true})
	delete(o.files, base)
}

// TestNotices lets another program work in a folder and tells the mailbox of it in
// pieces, late and cut anywhere: no message is taken for gone that is there, none
// gets a second UID, and once all is told the mailbox is as a full reading has it.
func TestNotices(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	s := open(t, dir)
	a := account(t, s)
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		name := fmt.Sprint("Box", n)
		if err := a.Create(name, ""); err != nil {
			t.Fatal(err)
		}
		m, err := a.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		o := &other{folder: filepath.Join(dir, "mail", "ann", "Maildir", "."+name), files: map[string]maildir.Ref{}}
		uids := map[string]UID{} // by text
		tell := func(t *rapid.T) {
			cut := rapid.IntRange(0, len(o.events)).Draw(t, "notices")
			ns := o.events[:cut]
			o.events = o.events[cut:]
			enough, err := m.look(ns)
			if err != nil {
				t.Fatal(err)
			}
			if !enough { // they wait for others, or for the folder to be read
				if rapid.Bool().Draw(t, "wait") {
					o.events = slices.Concat(ns, o.events)
				} else if err := m.lookThrough(); err != nil {
					t.Fatal(err)
				}
			}
		}
		actions := map[string]func(*rapid.T){
			"deliver": o.Deliver, "flag": o.Flag, "link": o.Link, "remove": o.Remove, "tell": tell,
			"ours": func(t *rapid.T) {
				if have := m.UIDs(nil); len(have) > 0 {
					if _, _, err := m.StoreFlags(have[:1], AddFlags, Answered, 0); err != nil {
						t.Fatal(err)
					}
					for base := range o.files { // what it knows of names may be old now
						o.files[base] = o.where(t, base)
					}
				}
			},
			"": func(t *rapid.T) {
				there := map[string]bool{}
				for _, uid := range m.UIDs(nil) {
					msg, err := m.Message(uid)
					if err != nil {
						continue // it was removed, and nobody has told
					}
					b := make([]byte, msg.Size())
					msg.ReadAt(b, 0)
					msg.Close()
					there[string(b)] = true
					if was := uids[string(b)]; was != 0 && was != uid {
						t.Fatalf("%q has UID %d and had %d", b, uid, was)
					}
					uids[string(b)] = uid
				}
				for base := range o.files {
					var i int
					fmt.Sscanf(base[strings.IndexByte(base, 'M')+1:], "%d", &i)
					if uids[text(i)] != 0 && !there[text(i)] {
						t.Fatalf("%s is there and was taken for gone", base)
					}
				}
			},
		}
		t.Repeat(actions)
		enough, err := m.look(o.events)
		if err == nil && !enough {
			err = m.lookThrough()
		}
		if err != nil {
			t.Fatal(err)
		}
		told, err := m.Changes(0)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.refresh(); err != nil {
			t.Fatal(err)
		}
		read, err := m.Changes(0)
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(told) != fmt.Sprint(read) {
			t.Fatalf("told %v\nread %v", told, read)
		}
		if len(m.UIDs(nil)) != len(o.files) {
			t.Fatalf("%d messages, not %d", len(m.UIDs(nil)), len(o.files))
		}
	})
}

// where looks for a message as it is on disk now.
func (o *other) where(t *rapid.T, base string) maildir.Ref {
	for _, dir := range []string{"cur", "new"} {
		found, err := filepath.Glob(filepath.Join(o.folder, dir, base+"*"))
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 1 {
			return maildir.Ref{InNew: dir == "new", File: filepath.Base(found[0])}
		}
	}
	t.Fatalf("%s is nowhere", base)
	return maildir.Ref{}
}

// TestNoticeWithoutReadingTheFolder: what another program does to single messages
// of a large folder that is watched, or delivers, makes nobody read the folder.
func TestNoticeWithoutReadingTheFolder(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	s := filled(t, dir, "Archive", 500)
	m := mailbox(t, s, "Archive")
	wake := make(chan struct{}, 1)
	defer m.Watch(wake)()
	running(t, s)
	folder := filepath.Join(dir, "mail", "ann", "Maildir", ".Archive")
	o := func(name string) string { return filepath.Join(folder, name) }
	one := func(err error, ok func() bool) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		until(t, m, wake, ok)
	}
	one(os.WriteFile(o("new/1700000000.first"), []byte(text(999)), 0o600), func() bool { return m.Status().Messages == 501 })
	read := watchAccesses(t, filepath.Join(folder, "cur"), unix.IN_ACCESS|unix.IN_ONLYDIR)
	one(os.WriteFile(o("new/1800000000.other"), []byte(text(1000)), 0o600), func() bool { return m.Status().Messages == 502 })
	last := func() Flags { return m.Lookup(nil, m.UIDs(nil)[501:])[0].Flags }
	one(os.Rename(o("new/1800000000.other"), o("cur/1800000000.other:2,F")), func() bool { return last() == Flagged })
	one(os.Rename(o("cur/1800000000.other:2,F"), o("cur/1800000000.other:2,FS")), func() bool { return last() == Flagged|Seen })
	one(os.Remove(o("cur/1800000000.other:2,FS")), func() bool { return m.Status().Messages == 501 })
	deliver(t, s, "Archive", text(1001))
	if st, err := account(t, s).Status("Archive"); err != nil || st.Messages != 502 {
		t.Errorf("%+v, %v", st, err)
	}
	if n := read.counts(t)[""]; n > 0 {
		t.Errorf("the folder was read %d times", n)
	}
	if err := m.refresh(); err != nil {
		t.Fatal(err)
	}
	if n := read.counts(t)[""]; n == 0 {
		t.Error("nobody would know if it had been")
	}
}
