package store

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/fsnotify/fsnotify"
)

// Where the system does not tell of changes, directory times do; and where it
// stops to tell, nothing spins or hangs.
func TestNoticeWithoutTheSystem(t *testing.T) {
	t.Parallel()
	for name, watcher := range map[string]func(t *testing.T) *fsnotify.Watcher{
		"none": func(*testing.T) *fsnotify.Watcher { return &fsnotify.Watcher{} },
		"one that ends": func(t *testing.T) *fsnotify.Watcher {
			w, err := fsnotify.NewWatcher()
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			return w
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := fastDir(t)
			s := open(t, dir)
			deliver(t, s, "", text(1))
			m := mailbox(t, s, "INBOX")
			wake := make(chan struct{}, 1)
			defer m.Watch(wake)()
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- s.notifier.run(ctx, watcher(t)) }()
			defer func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}()
			if err := os.WriteFile(filepath.Join(dir, "mail", "ann", "Maildir", "new", "1700000000.P1.host"), []byte("Subject: new\n\nx\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			until(t, m, wake, func() bool { return m.Status().Messages == 2 })

			lists := make(chan struct{}, 1)
			defer account(t, s).Watch(lists)()
			if err := os.MkdirAll(filepath.Join(dir, "mail", "ann", "Maildir", ".Made elsewhere", "cur"), 0o700); err != nil {
				t.Fatal(err)
			}
			until(t, m, lists, func() bool { return inList(t, s, "Made elsewhere") })
		})
	}
}

func inList(t *testing.T, s *Store, name string) bool {
	t.Helper()
	list, err := account(t, s).List()
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(list, func(i MailboxInfo) bool { return i.Name == name && i.Selectable })
}

// A folder that another program makes is noticed when it is one, not only when
// its directory is there.
func TestNoticeFolderBeingMade(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	s := open(t, dir)
	lists := make(chan struct{}, 1)
	defer account(t, s).Watch(lists)()
	running(t, s)
	<-lists // it watches from now on
	m := mailbox(t, s, "INBOX")
	folder := filepath.Join(dir, "mail", "ann", "Maildir", ".Slow")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	until(t, m, lists, func() bool { // the notifier watches the directory
		s.notifier.mu.Lock()
		defer s.notifier.mu.Unlock()
		return s.notifier.unborn[folder] != nil
	})
	if inList(t, s, "Slow") {
		t.Error("it is listed before it is a folder")
	}
	if err := os.Mkdir(filepath.Join(folder, "cur"), 0o700); err != nil {
		t.Fatal(err)
	}
	until(t, m, lists, func() bool { return inList(t, s, "Slow") })
}
