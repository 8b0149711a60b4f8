//go:build interop

package appliance_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"

	"letterbox/appliance"
	"letterbox/appliance/accounts"
	"letterbox/appliance/config"
	"letterbox/appliance/transfer"
	"letterbox/store/maildir/dovecottest"
)

// oldServer is a Dovecot that ann and others have mail and passwords at: its directory and its configuration file.
func oldServer(t *testing.T) (dir, conf string) {
	t.Helper()
	dir = t.TempDir()
	tree := filepath.Join(dir, "example.org", "ann", "Maildir")
	if err := os.MkdirAll(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	d := dovecottest.New(t, tree)
	for _, folder := range []string{"Sent", "Lists/go.dev", "Täglich/R&D", "Leer", "Papierkorb"} {
		d.Doveadm(t, "", "mailbox", "create", "-s", folder)
	}
	d.Doveadm(t, "", "mailbox", "create", "nicht abonniert", "INBOX/unter", "50 % & mehr/~x", "日本語/"+strings.Repeat("ü", 60))
	for i, folder := range []string{"INBOX", "INBOX", "INBOX", "Sent", "Lists/go.dev", "Lists/go.dev", "Täglich/R&D", "INBOX", "Lists/go.dev", "INBOX/unter", "50 % & mehr/~x", "日本語/" + strings.Repeat("ü", 60)} {
		d.Doveadm(t, strings.ReplaceAll(numbered(i), "\r\n", "\n"), "save", "-m", folder)
	}
	d.Doveadm(t, "", "flags", "add", `\Seen $Work $Forwarded`, "mailbox", "INBOX", "uid", "1:2")
	d.Doveadm(t, "", "flags", "add", `\Answered Later`, "mailbox", "Lists/go.dev", "uid", "2")
	d.Doveadm(t, "", "expunge", "mailbox", "INBOX", "uid", "3")
	d.Doveadm(t, "", "copy", "Sent", "mailbox", "INBOX", "uid", "1")

	var users strings.Builder
	for _, person := range []struct{ name, scheme, full string }{{"ann", "SHA512-CRYPT", "Ann Müller"}, {"ben", "BLF-CRYPT", ""}, {"cleo", "ARGON2ID", ""}, {"dan", "SSHA256", "Dan"}} {
		hash := d.Doveadm(t, "", "pw", "-s", person.scheme, "-p", passwordOf(person.name))
		fmt.Fprintf(&users, "%s@example.org:%s:::%s:::\n", person.name, strings.TrimSpace(hash), person.full)
	}
	fmt.Fprintf(&users, "eve@example.org:{PLAIN}%s::::::\n", passwordOf("eve"))
	if err := os.WriteFile(filepath.Join(dir, "users"), []byte(users.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	conf = filepath.Join(t.TempDir(), "dovecot.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, `
protocols = imap
mail_location = maildir:~/Maildir
mail_plugins = listescape
first_valid_uid = 1
passdb {
  driver = passwd-file
  args = %s/users
}
userdb {
  driver = passwd-file
  args = %[1]s/users
  default_fields = home=%[1]s/%%d/%%n
}
namespace inbox {
  inbox = yes
  separator = /
}
!include_try local.conf
`, dir), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, conf
}

// passwordOf: ann's is that of the tests, everybody else has their own.
func passwordOf(person string) string {
	if person == "ann" {
		return password
	}
	return person + " " + password
}

// importDovecot takes over what is in old.
func importDovecot(t *testing.T, data, old string) {
	t.Helper()
	a := open(t, data)
	plan, err := a.PlanDovecotImport(t.Context(), appliance.DovecotImport{Dir: old})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := plan.CarryOut(t.Context(), transfer.ProgressInLog(t.Output())); err != nil {
		t.Fatal(err)
	}
	if err := plan.Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

// exportDovecot writes the household in data into target.
func exportDovecot(t *testing.T, data, target string, serving bool) transfer.DovecotReport {
	t.Helper()
	household, err := appliance.DovecotHousehold(data)
	if err != nil {
		t.Fatal(err)
	}
	report, err := transfer.DovecotExport{Data: data, Dir: target, Household: household, Serving: func() bool { return serving }}.Run(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if report.Finished == serving {
		t.Errorf("with a server (%v) the export is finished (%v)", serving, report.Finished)
	}
	return report
}

// handOver does what README.txt says, for those whom Dovecot runs as here.
func handOver(t *testing.T, target string) (conf string) {
	t.Helper()
	uid, gid := dovecottest.Owner(t)
	chown := func(path string, uid, gid int) {
		if err := os.Lchown(path, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	if os.Getuid() == 0 {
		group, err := user.LookupGroup("dovecot")
		if err != nil {
			t.Fatal(err)
		}
		dovecot, err := strconv.Atoi(group.Gid)
		if err != nil {
			t.Fatal(err)
		}
		chown(filepath.Join(target, "passwd"), 0, dovecot)
	}
	for path, mode := range map[string]os.FileMode{target: 0o711, filepath.Join(target, "passwd"): 0o640} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	err := filepath.Walk(filepath.Join(target, "mail"), func(path string, _ os.FileInfo, err error) error {
		if err == nil {
			chown(path, uid, gid)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(target, "dovecot.conf")
}

// mailboxIDs are those in the lists of a tree.
func mailboxIDs(t *testing.T, tree string) map[string]string {
	t.Helper()
	ids := make(map[string]string)
	lists, err := filepath.Glob(filepath.Join(tree, ".*/dovecot-uidlist"))
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range append(lists, filepath.Join(tree, "dovecot-uidlist")) {
		text, err := os.ReadFile(list)
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := bytes.Cut(text, []byte("\n"))
		for _, field := range strings.Fields(string(head)) {
			if field[0] == 'G' {
				rel, _ := filepath.Rel(tree, filepath.Dir(list))
				ids[rel] = field
			}
		}
	}
	return ids
}

// wantIDs checks that the folders that were known have their ids.
func wantIDs(t *testing.T, got, want map[string]string) {
	t.Helper()
	if len(want) < 6 {
		t.Errorf("only %d folders have ids: %v", len(want), want)
	}
	for folder, id := range want {
		if got[folder] != id {
			t.Errorf("the id of %s is %s, and was %s", folder, got[folder], id)
		}
	}
}

// sentBy is what a Dovecot that has ended says of those who signed out, as mbsync does: how many messages it has sent to each, whole or
// headers of.
func sentBy(log string) (counts []string) {
	for _, m := range regexp.MustCompile(`Logged out .*hdr_count=(\d+) .*body_count=(\d+)`).FindAllStringSubmatch(log, -1) {
		counts = append(counts, m[1]+"+"+m[2])
	}
	return counts
}

// work is what ann does while her mail is here.
func work(t *testing.T, c *imapclient.Client) {
	t.Helper()
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	flag(t, c, 4, "$Work", "$New", imap.FlagFlagged)
	if _, err := c.Select("Lists/go.dev", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	flag(t, c, 1, imap.FlagDeleted)
	if err := c.Expunge().Close(); err != nil {
		t.Fatal(err)
	}
	appendLetter(t, c, "Täglich/R&D", numbered(50), imap.FlagSeen, "$New")
	if err := c.Create("Neu/Ordner.1", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	appendLetter(t, c, "Neu/Ordner.1", numbered(51))
	if err := c.Unsubscribe("Leer").Wait(); err != nil {
		t.Fatal(err)
	}
}

// workOn is what she does beside the first export.
func workOn(t *testing.T, c *imapclient.Client) {
	t.Helper()
	if _, err := c.Select("Neu/Ordner.1", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Move(imap.UIDSetNum(1), "INBOX").Wait(); err != nil {
		t.Fatal(err)
	}
	if err := c.Rename("Neu/Ordner.1", "Neu/Ordner.2", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	appendLetter(t, c, "Neu/Ordner.2", numbered(52), imap.FlagFlagged)
}

// TestInteropDovecotMove: ann's household moves from Dovecot to us and back. Everybody keeps their passwords, and the programs that know
// her mail, mbsync with its state and an IMAP client with a memory, find everything as they know it: nothing is downloaded again.
func TestInteropDovecotMove(t *testing.T) {
	t.Parallel()
	old, conf := oldServer(t)
	mbsync, phone := newMbsync(t), make(knowingClient)
	d := dovecottest.ServeFile(t, conf)
	if did := mbsync.sync(t, plainStore(d.IMAP, "ann@example.org")); did.fetched != 12 || did.added != 12 {
		t.Fatalf("mbsync did %+v, want 12 messages", did)
	}
	mbsync.sync(t, plainStore(d.IMAP, "ann@example.org")) // now it knows everything
	c := plainIMAP(t, d.IMAP, "ann@example.org", password)
	if news := phone.sync(t, c); len(phone) != 10 || len(news) != 22 {
		t.Fatalf("the phone knows %d folders, and was told %q", len(phone), news)
	}
	subs := subscribed(t, c)
	if !slices.Equal(subs, []string{"Leer", "Lists/go.dev", "Papierkorb", "Sent", "Täglich/R&D"}) {
		t.Errorf("subscribed there are %q", subs)
	}
	c.Close()
	if log := d.Stop(t); !slices.Equal(sentBy(log), []string{"0+12", "0+0"}) {
		t.Errorf("Dovecot has sent %q to mbsync:\n%s", sentBy(log), log)
	}
	ids := mailboxIDs(t, filepath.Join(old, "example.org/ann/Maildir"))

	// To us. What everybody has here, and ann has not, is new.
	data := t.TempDir()
	importDovecot(t, data, old)
	b := run(t, data)
	c = b.imapAt(t, "ann@example.org", password)
	if news, want := phone.sync(t, c), []string{"Archive is new", "Drafts is new", "Junk is new"}; !slices.Equal(news, want) {
		t.Errorf("after the import the phone is told %q, want %q", news, want)
	}
	if got, want := subscribed(t, c), []string{"Archive", "Drafts", "Junk", "Leer", "Lists/go.dev", "Papierkorb", "Sent", "Täglich/R&D"}; !slices.Equal(got, want) {
		t.Errorf("subscribed here are %q, want %q", got, want)
	}
	special := []string{`Archive \Archive`, `Drafts \Drafts`, `Junk \Junk`, `Papierkorb \Trash`, `Sent \Sent`}
	if got := uses(t, c); !slices.Equal(got, special) {
		t.Errorf("the special uses here are %q, want %q", got, special)
	}
	ours := fmt.Sprintf("Host localhost\nPort %s\nUser ann@example.org\nPass \"%s\"\nSSLType IMAPS\nCertificateFile %s\n", b.port(t, config.IMAPS), password, b.rootFile(t))
	mbsync.sync(t, ours).wantNothing(t, "after the import")
	wantIDs(t, mailboxIDs(t, filepath.Join(data, "mail/ann/Maildir")), ids)
	for _, person := range []string{"cleo", "eve"} { // ben and dan are on holiday
		b.imapAt(t, person, passwordOf(person))
	}

	c = b.imapAt(t, "ann", password)
	work(t, c)

	// And back: first beside the server, where she goes on working, then what she did meanwhile.
	target := filepath.Join(t.TempDir(), "out put")
	if report := exportDovecot(t, data, target, true); len(report.People) != 5 {
		t.Errorf("exported were %+v", report.People)
	}
	workOn(t, c)
	want := maps.Clone(phone)
	changes := want.sync(t, b.imapAt(t, "ann", password))
	subs = subscribed(t, c)
	b.stop()
	exportDovecot(t, data, target, false)

	// Dovecot has just that, with the settings that were written.
	d = dovecottest.ServeFile(t, handOver(t, target))
	c = plainIMAP(t, d.IMAP, "Ann@example.org", password)
	if news := maps.Clone(want).sync(t, c); len(news) > 0 {
		t.Errorf("with Dovecot something is other than it was here: %q", news)
	}
	if got := uses(t, c); !slices.Equal(got, special) {
		t.Errorf("the special uses with Dovecot are %q, want %q", got, special)
	}
	if news := phone.sync(t, c); !slices.Equal(news, changes) || len(news) != 6 {
		t.Errorf("the phone is told\n%q\nwant\n%q", news, changes)
	}
	if got := subscribed(t, c); !slices.Equal(got, subs) {
		t.Errorf("subscribed are %q, want %q", got, subs)
	}
	wantIDs(t, mailboxIDs(t, filepath.Join(target, "mail/ann/Maildir")), ids)
	did := mbsync.sync(t, plainStore(d.IMAP, "ann"))
	if did.fetched != 3 || len(did.sent) > 0 || did.added != 3 || did.changed != 1 || did.gone != 1 {
		t.Errorf("mbsync did %+v, want 3 new messages, 1 with other flags and 1 that is gone", did)
	}
	mbsync.sync(t, plainStore(d.IMAP, "ann")).wantNothing(t, "with Dovecot again")
	appendLetter(t, c, "INBOX", numbered(60))
	if news := phone.sync(t, c); len(news) != 1 || !strings.HasSuffix(news[0], " was downloaded") {
		t.Errorf("of a new letter the phone is told %q", news)
	}
	c.Close()
	for _, person := range []string{"ben", "cleo", "dan", "eve"} {
		plainIMAP(t, d.IMAP, person+"@example.org", passwordOf(person)).Close()
	}
	if log := d.Stop(t); !slices.Equal(sentBy(log), []string{"0+3", "0+0"}) {
		t.Errorf("Dovecot has sent %q to mbsync:\n%s", sentBy(log), log)
	}
}

// TestInteropExportedPasswords: Dovecot lets in whom we do, whatever their hash is, and nobody else.
func TestInteropExportedPasswords(t *testing.T) {
	t.Parallel()
	for i, schemes := range [][]string{ // a household may have eight kinds
		{"MD5-CRYPT", "SHA256-CRYPT", "SHA512-CRYPT", "BLF-CRYPT", "LDAP-MD5", "SHA"},
		{"SHA256", "SHA512", "SMD5", "SSHA", "SSHA256", "SSHA512"},
		{"CRAM-MD5", "PBKDF2", "SCRAM-SHA-1", "SCRAM-SHA-256", "ARGON2I", "ARGON2ID"},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			exportedPasswords(t, schemes)
		})
	}
}

func exportedPasswords(t *testing.T, schemes []string) {
	const german = "Grüße aus Köln"
	own, err := accounts.HashPassword(german)
	if err != nil {
		t.Fatal(err)
	}
	d := dovecottest.New(t, filepath.Join(t.TempDir(), "none"))
	people := []config.Person{{Name: "eve", Password: config.NoPassword}, {Name: "finn", Password: own, Disabled: true}, {Name: "ger.da", Password: own}}
	for _, scheme := range schemes {
		hash, _ := transfer.ForeignPassword(strings.TrimSpace(d.Doveadm(t, "", "pw", "-s", scheme, "-p", german+scheme)))
		people = append(people, config.Person{Name: strings.ToLower(scheme), FullName: "Müller, :Ann", Password: config.Secret(hash)})
	}
	dir := t.TempDir()
	a := open(t, dir)
	if err := a.Found(t.Context(), appliance.Founding{Domain: domain, Person: "ann", Password: password}); err != nil {
		t.Fatal(err)
	}
	if err := a.Update(t.Context(), func(c *config.Config) error { c.People = append(c.People, people...); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(t.TempDir(), `50% "off" # it's $x`) // which mean something in Dovecot's settings
	exportDovecot(t, dir, target, false)
	server := dovecottest.ServeFile(t, handOver(t, target))
	try := func(login, secret string) error {
		c, err := imapclient.DialInsecure(server.IMAP, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Authenticate(sasl.NewPlainClient("", login, secret)); err != nil {
			return err
		}
		_, err = c.Status("Drafts", &imap.StatusOptions{NumMessages: true}).Wait()
		return err
	}
	logins := map[string]string{"ann": password, "Ger.Da@" + domain: german}
	for _, scheme := range schemes {
		logins[strings.ToLower(scheme)] = german + scheme
	}
	for login, secret := range logins {
		if err := try(login, secret); err != nil {
			t.Errorf("%s does not get in: %v", login, err)
		}
	}
	for _, wrong := range [][2]string{{"ann", german}, {"ger.da", german + "x"}, {strings.ToLower(schemes[0]), german}, {"eve", "*"}, {"eve", "none"}, {"eve", "{CRYPT}*"}, {"finn", german}, {"nobody", password}} {
		if err := try(wrong[0], wrong[1]); err == nil {
			t.Errorf("%s gets in with %q", wrong[0], wrong[1])
		}
	}
}
