package appliance_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"letterbox/appliance/config"
)

// read tries to sign in by IMAP.
func (b *box) read(t *testing.T, login, password string) (*imapclient.Client, error) {
	t.Helper()
	c, err := imapclient.DialTLS(b.addr(t, config.IMAPS), &imapclient.Options{TLSConfig: b.tls()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, c.Login(login, password).Wait()
}

// write tries to sign in by SMTP.
func (b *box) write(t *testing.T, login, password string) (*smtp.Client, error) {
	t.Helper()
	c, err := smtp.DialTLS(b.addr(t, config.Submissions), b.tls())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, c.Auth(sasl.NewPlainClient("", login, password))
}

func smtpCode(err error) int {
	var answer *smtp.SMTPError
	if errors.As(err, &answer) {
		return answer.Code
	}
	return 0
}

func wantRefusedIMAP(t *testing.T, what string, err error) {
	t.Helper()
	var answer *imap.Error
	if !errors.As(err, &answer) || answer.Code != imap.ResponseCodeAuthenticationFailed {
		t.Errorf("%s: %v, want NO [AUTHENTICATIONFAILED]", what, err)
	}
}

// TestDevicePassword: a mail program's own password reads and sends; once it is revoked, its sessions end, whatever they were
// doing, and it is refused.
func TestDevicePassword(t *testing.T) {
	t.Parallel()
	b := start(t)
	control := b.Client()
	defer control.Close()
	phone, err := control.AddDevice(t.Context(), "ben", "phone")
	if err != nil {
		t.Fatal(err)
	}
	reading, err := b.read(t, "ben", phone.Password)
	if err != nil {
		t.Fatalf("the phone signs in by IMAP: %v", err)
	}
	writing, err := b.write(t, "ben@"+domain, phone.Password)
	if err != nil {
		t.Fatalf("the phone signs in by SMTP: %v", err)
	}
	if err := writing.SendMail("ben@"+domain, []string{"ann@" + domain}, strings.NewReader(strings.ReplaceAll(letter, "ann@", "ben@"))); err != nil {
		t.Fatal(err)
	}
	anns := b.imap(t, "ann")
	if got := bodies(t, anns, "INBOX"); len(got) != 2 {
		t.Errorf("ann has %d messages, want 2", len(got))
	}
	if _, err := b.read(t, "ann", phone.Password); err == nil {
		t.Error("ben's phone reads ann's mail")
	}
	if _, err := reading.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := reading.Idle(); err != nil {
		t.Fatal(err)
	}

	if err := control.RevokeDevice(t.Context(), "ben", "phone"); err != nil {
		t.Fatal(err)
	}
	<-reading.Closed()
	if err := writing.Noop(); smtpCode(err) != 421 && !errors.Is(err, io.EOF) {
		t.Errorf("sending goes on after the revocation: %v", err)
	}
	_, err = b.read(t, "ben", phone.Password)
	wantRefusedIMAP(t, "the revoked password by IMAP", err)
	if _, err := b.write(t, "ben", phone.Password); smtpCode(err) != 535 {
		t.Errorf("the revoked password by SMTP: %v, want 535", err)
	}
	if err := anns.Noop().Wait(); err != nil {
		t.Errorf("ann was disturbed: %v", err)
	}
	b.imap(t, "ben") // his own password is as it was
}

// TestPasswordChange: the old password ends with everything that it opened; the new one works at once.
func TestPasswordChange(t *testing.T) {
	t.Parallel()
	b := start(t)
	control := b.Client()
	defer control.Close()
	reading, writing := b.imap(t, "ben"), b.smtp(t, "ben")
	const changed = "seven quiet otters"
	if err := control.SetPassword(t.Context(), "ben", changed); err != nil {
		t.Fatal(err)
	}
	<-reading.Closed()
	if err := writing.Noop(); smtpCode(err) != 421 && !errors.Is(err, io.EOF) {
		t.Errorf("sending goes on after the change: %v", err)
	}
	_, err := b.read(t, "ben", password)
	wantRefusedIMAP(t, "the old password", err)
	if _, err := b.read(t, "ben", changed); err != nil {
		t.Errorf("the new password: %v", err)
	}
	if _, err := b.write(t, "ben", changed); err != nil {
		t.Errorf("the new password: %v", err)
	}
	b.stop()
	again := run(t, b.dir)
	if _, err := again.read(t, "ben", changed); err != nil {
		t.Errorf("the new password after a restart: %v", err)
	}
}

// TestWrongPasswordIsSlowed, and nobody is ever banned: somebody types four wrong ones, each of which is answered, the last one
// late; then the right one, which is taken.
func TestWrongPasswordIsSlowed(t *testing.T) {
	t.Parallel()
	b := start(t)
	for _, typed := range []string{"correct horse", "horse battery", "battery correct", "staple"} {
		started := time.Now()
		_, err := b.read(t, "ann", typed)
		wantRefusedIMAP(t, "a wrong password", err)
		if took := time.Since(started); typed == "staple" && took < 500*time.Millisecond {
			t.Errorf("the fourth wrong password is answered after %v", took)
		}
	}
	if _, err := b.write(t, "ann", "staple"); smtpCode(err) != 535 {
		t.Errorf("a wrong password by SMTP: %v, want 535", err)
	}
	b.imap(t, "ann")
}
