package store

import (
	"context"
	"os"
	"path/filepath"
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
		})
	}
}
