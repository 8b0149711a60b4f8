package appliance_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"letterbox/appliance"
	"letterbox/appliance/config"
)

// What Dovecot made of dovesPassword.
const (
	dovesPassword = "Gänse füßchen"
	dovesHash     = config.Secret("{SSHA256}1OpcmJSR0k1g212RUxhxwDuHO5R1pc6LVRGtRAi8mGYV/dRv")
)

// heard is a log that hands over what is about hashes.
type heard struct {
	slog.Handler
	lines chan string
}

func (h heard) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "hash") {
		h.lines <- r.Message
	}
	return h.Handler.Handle(ctx, r)
}

// WithGroup and WithAttrs are asked for by nobody.
func (h heard) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h heard) WithGroup(string) slog.Handler      { return h }

// startWithDan runs a letterbox in which dan lives too, whose password another server has hashed. The log tells of it.
func startWithDan(t *testing.T) (b *box, log chan string) {
	t.Helper()
	dir := t.TempDir()
	log = make(chan string, 10)
	a, err := appliance.Open(dir, appliance.Options{Log: slog.New(heard{slog.NewTextHandler(t.Output(), nil), log}), Defaults: newConfig()})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Found(t.Context(), appliance.Founding{Domain: domain, Person: "ann", Password: password}); err != nil {
		t.Fatal(err)
	}
	b = serve(t, dir, a)
	if err := b.Update(t.Context(), func(c *config.Config) error {
		c.People = append(c.People, config.Person{Name: "dan", Password: dovesHash}, config.Person{Name: "eve", Password: config.NoPassword})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return b, log
}

func (b *box) hashOf(t *testing.T, person string) (inForce, saved config.Secret) {
	t.Helper()
	c, _ := b.Config()
	i, _ := c.Person(person)
	file, err := config.Load(filepath.Join(b.dir, config.FileName))
	if err != nil {
		t.Fatal(err)
	}
	return c.People[i].Password, file.People[i].Password
}

// TestForeignPassword: somebody comes from another server with the password they have, which gets a hash of ours at the first
// sign-in. Their session goes on.
func TestForeignPassword(t *testing.T) {
	t.Parallel()
	b, log := startWithDan(t)
	first, err := b.read(t, "dan", dovesPassword)
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.write(t, "dan", dovesPassword)
	if err != nil {
		t.Fatal(err)
	}
	if got := <-log; got != "the password has a hash of our own now" {
		t.Fatal(got)
	}
	inForce, saved := b.hashOf(t, "dan")
	if _, err := config.ParseArgon2id(saved); err != nil || inForce != saved {
		t.Errorf("the hash in force is %s, the saved one %s", inForce.Reveal(), saved.Reveal())
	}
	if _, err := first.Select("INBOX", nil).Wait(); err != nil {
		t.Errorf("the session ended: %v", err)
	}
	if err := second.Noop(); err != nil {
		t.Errorf("the session ended: %v", err)
	}
	if _, err := b.read(t, "dan", dovesPassword); err != nil {
		t.Error(err)
	}
	_, err = b.read(t, "dan", dovesPassword+"!")
	wantRefusedIMAP(t, "another password", err)
	_, err = b.read(t, "eve", "none")
	wantRefusedIMAP(t, "somebody without a password", err)
	b.stop()
	again := run(t, b.dir)
	if _, err := again.read(t, "dan", dovesPassword); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

// TestForeignPasswordIsNotSaved: where the file was changed by hand, nothing is saved over it, and they sign in all the same.
func TestForeignPasswordIsNotSaved(t *testing.T) {
	t.Parallel()
	b, log := startWithDan(t)
	path := filepath.Join(b.dir, config.FileName)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	byHand := append(text, []byte("\n[[alias]]\naddress = \"us@"+domain+"\"\nto = [\"ann\", \"dan\"]\n")...)
	if err := os.WriteFile(path, byHand, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := b.read(t, "dan", dovesPassword)
	if err != nil {
		t.Fatal(err)
	}
	if got := <-log; !strings.Contains(got, "stays in place") {
		t.Fatal(got)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, byHand) {
		t.Errorf("the file was changed: %v", err)
	}
	if inForce, _ := b.hashOf(t, "dan"); inForce != dovesHash {
		t.Errorf("the hash in force is %s", inForce.Reveal())
	}
	if err := c.Noop().Wait(); err != nil {
		t.Error(err)
	}
	if err := b.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.read(t, "dan", dovesPassword); err != nil {
		t.Error(err)
	}
	if got := <-log; got != "the password has a hash of our own now" {
		t.Error(got)
	}
}
