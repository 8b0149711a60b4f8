package transfer

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"letterbox/store/atomicfile"
	"letterbox/store/maildir"
)

// A DovecotHousehold is what a Dovecot server, and the mail server beside it, have to know to go on with a household.
type DovecotHousehold struct {
	Name    string // for people to read; may be empty
	Domains []string
	People  []DovecotUser
	Aliases []DovecotAlias // every address of the household
	Quotas  bool           // somebody may have only so much mail
}

// A DovecotUser is somebody in it.
type DovecotUser struct {
	Name     string
	FullName string
	Password string // "{SCHEME}" and the hash; "": there is none
	Disabled bool
	Devices  int // device passwords, which Dovecot cannot check
}

// A DovecotAlias is an address and the people whom mail for it reaches.
type DovecotAlias struct {
	Address string // "@" and a domain: all that have no line of their own
	To      []string
}

// Sodium are the people whose passwords only a Dovecot with libsodium can check.
func (h DovecotHousehold) Sodium() (names []string) {
	return h.names(func(u DovecotUser) bool { return strings.HasPrefix(u.Password, "{ARGON2") })
}

// WithoutPassword are the people who cannot sign in before they are given one.
func (h DovecotHousehold) WithoutPassword() (names []string) {
	return h.names(func(u DovecotUser) bool { return u.Password == "" })
}

// WithDevices are the people who have device passwords.
func (h DovecotHousehold) WithDevices() (names []string) {
	return h.names(func(u DovecotUser) bool { return u.Devices > 0 })
}

func (h DovecotHousehold) names(of func(DovecotUser) bool) (names []string) {
	for _, u := range h.People {
		if of(u) {
			names = append(names, u.Name)
		}
	}
	return names
}

// lockedPassword fits nothing.
const lockedPassword = "{CRYPT}*"

// dovecotFiles are the files beside the mail that tell Dovecot, and people, what to do with it.
type dovecotFiles struct {
	household DovecotHousehold
	dir       string            // where they lie
	uses      map[string]string // special uses that folders were given, by folder: Dovecot has them for everybody alike
	notes     []string          // what there is no place for
	partial   bool              // a server was at work on the mail
}

// look notes what Dovecot has to be told of somebody's folders.
func (d *dovecotFiles) look(person string, mail *maildir.Reader) error {
	names, err := mail.Folders()
	if err != nil {
		return err
	}
	for _, name := range names {
		f, err := mail.Folder(name)
		if err != nil {
			continue // the export names it
		}
		file, err := f.FolderFile()
		if err = errors.Join(err, f.Close()); err == nil {
			d.take(person, name, file)
		}
	}
	return nil
}

func (d *dovecotFiles) take(person, folder string, file maildir.FolderFile) {
	if n := len(file.Keywords); n > 0 {
		d.notes = append(d.notes, fmt.Sprintf("%s's folder %q has %d keywords more than Dovecot has letters for; they stay in its file letterbox-folder", person, plain(folder), n))
	}
	use := file.SpecialUse
	switch {
	case use == "" || d.uses[folder] == use:
	case strings.ContainsAny(folder, "*?"):
		d.notes = append(d.notes, fmt.Sprintf("%s's folder %q was made for %s, and its name means several folders to Dovecot", person, plain(folder), use))
	case d.uses[folder] != "":
		d.notes = append(d.notes, fmt.Sprintf("%s's folder %q was made for %s; somebody else's of that name is for %s, and for Dovecot it is so with everybody", person, plain(folder), use, d.uses[folder]))
	default:
		d.uses[folder] = use
	}
}

// standardUses are those of the folders that everybody has.
var standardUses = [][2]string{{"Drafts", `\Drafts`}, {"Sent", `\Sent`}, {"Junk", `\Junk`}, {"Trash", `\Trash`}, {"Archive", `\Archive`}}

// What the files are called.
const (
	passwdName  = "passwd"
	confName    = "dovecot.conf"
	aliasesName = "aliases"
	readmeName  = "README.txt"
)

// write writes the files, which may be there.
func (d *dovecotFiles) write(root *os.Root) error {
	for _, standard := range standardUses {
		if d.uses[standard[0]] == "" {
			d.uses[standard[0]] = standard[1]
		}
	}
	for _, file := range []struct{ name, text string }{
		{passwdName, d.passwd()},
		{confName, d.conf()},
		{aliasesName, d.aliases()},
		{readmeName, d.readme()},
	} {
		if err := atomicfile.WriteIn(root, file.name, []byte(file.text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (d *dovecotFiles) passwd() string {
	var b strings.Builder
	for _, u := range d.household.People {
		password, extra := u.Password, ""
		if password == "" {
			password = lockedPassword
		}
		if u.Disabled {
			extra = "nologin"
		}
		fmt.Fprintf(&b, "%s:%s:::%s:::%s\n", u.Name, password, strings.Map(gecosRune, u.FullName), extra)
	}
	return b.String()
}

// gecosRune leaves out what ends a field of a passwd-file.
func gecosRune(r rune) rune {
	if r == ':' || r == ',' || r < ' ' {
		return -1
	}
	return r
}

// aliases is a table for Postfix, virtual(5).
func (d *dovecotFiles) aliases() string {
	var b strings.Builder
	b.WriteString("# Who gets the mail for each address, for Postfix: virtual_alias_maps and virtual_mailbox_maps.\n")
	for _, a := range d.household.Aliases {
		if strings.ContainsAny(a.Address, " \t\"#") {
			b.WriteString("# Postfix has no form for this one: ")
		}
		fmt.Fprintf(&b, "%s %s\n", a.Address, strings.Join(a.To, ", "))
	}
	return b.String()
}

func (d *dovecotFiles) conf() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# The whole configuration of a Dovecot 2.3, as Debian 12 has it, that serves the mail in this folder.
# What you want otherwise goes into local.conf beside it, whose lines come last.
protocols = imap
!include_try /usr/share/dovecot/protocols.d/lmtpd.protocol
!include_try /etc/dovecot/conf.d/10-ssl.conf

# People sign in as ann or as ann@example.org.
auth_mechanisms = plain login
auth_username_format = %%Ln
passdb {
  driver = passwd-file
  args = %[1]s
}
userdb {
  driver = passwd-file
  args = %[1]s
}

# Whom the mail belongs to: README.txt says how to make such a user.
mail_uid = vmail
mail_gid = vmail
first_valid_uid = 1

mail_home = %[2]s
mail_location = maildir:~/Maildir
# Folder names may hold dots: each of them is \2e on the disk.
mail_plugins = listescape
namespace inbox {
  inbox = yes
  separator = /
`, quoteDovecot(d.path(passwdName)), quoteDovecot(d.path("mail")+"/%n"))
	names := make([]string, 0, len(d.uses))
	for name := range d.uses {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "  mailbox %s {\n    special_use = %s\n  }\n", quoteDovecot(name), d.uses[name])
	}
	b.WriteString("}\n\n!include_try local.conf\n")
	return b.String()
}

// path is that of a file in the folder, as Dovecot's settings have it.
func (d *dovecotFiles) path(name string) string {
	return strings.ReplaceAll(d.dir, "%", "%%") + "/" + name
}

// quoteDovecot writes a text for dovecot.conf.
func quoteDovecot(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func (d *dovecotFiles) readme() string {
	var b strings.Builder
	b.WriteString("Mail and people of this household, for a Dovecot server\n=======================================================\n\n")
	if d.household.Name != "" {
		fmt.Fprintf(&b, "Household: %s\n", d.household.Name)
	}
	fmt.Fprintf(&b, "Domains:   %s\n\n", strings.Join(d.household.Domains, ", "))
	if d.partial {
		b.WriteString(readmePartial)
	}
	fmt.Fprintf(&b, readmeSteps, d.dir)
	writeNotes(&b, "Passwords", d.passwords())
	writeNotes(&b, "What else does not come along", d.lost())
	return b.String()
}

func writeNotes(b *strings.Builder, head string, notes []string) {
	b.WriteString("\n" + head + "\n\n")
	for _, note := range notes {
		b.WriteString("  - " + note + ".\n")
	}
}

const readmePartial = `THIS COPY IS NOT COMPLETE YET. It was made while the letterbox ran, and what came
or changed meanwhile may be missing. Before Dovecot takes over, stop the
letterbox and give the same command again: it brings only what is missing.

`

// readmeSteps has the folder's path.
const readmeSteps = `mail/PERSON/Maildir   everybody's mail, in Dovecot's form: folders, numbers
                      (dovecot-uidlist), flags, keywords, subscriptions
passwd                people and the hashes of their passwords
dovecot.conf          the settings with which Dovecot 2.3 serves exactly this
aliases               who gets the mail for each address, for Postfix

Mail programs that know the folders download nothing again: all numbers are the
same. They must reach the server under the same name and port as before.
Programs that use CONDSTORE or QRESYNC (RFC 7162) should refresh flags once,
since Dovecot counts changes anew. Most do so by themselves; where flags look
old in one, let it synchronise its folders afresh.

What to do, as root, on the machine where Dovecot runs (here: Debian 12)

  1. Bring this folder there, with the times of its files (cp -a, rsync -a, tar),
     or leave it here. If it is no longer
       %[1]s
     correct that path in dovecot.conf. Everybody must be able to pass through
     the folders above it: /srv will do, /root will not.
  2. apt install dovecot-imapd dovecot-lmtpd
  3. In this folder, give the mail to a user of its own, and the passwords to
     Dovecot:
       adduser --system --group --no-create-home vmail
       chmod 711 .
       chown -R vmail:vmail mail
       chown root:dovecot passwd
       chmod 640 passwd
  4. Let Dovecot have the settings, and start:
       cp dovecot.conf /etc/dovecot/dovecot.conf
       systemctl restart dovecot
     Its certificate is that of /etc/dovecot/conf.d/10-ssl.conf: mail programs
     want one for the server's name. Dovecot 2.4 reads the same mail and passwd,
     but its settings have other names.
  5. Let the mail server in front of it deliver to Dovecot. For Postfix, in
     /etc/dovecot/local.conf:
       service lmtp {
         unix_listener /var/spool/postfix/private/dovecot-lmtp {
           user = postfix
           mode = 0600
         }
       }
     and in Postfix's main.cf, after 'postmap aliases':
       virtual_mailbox_domains = DOMAINS, as above
       virtual_alias_maps = hash:%[1]s/aliases
       virtual_mailbox_maps = hash:%[1]s/aliases
       virtual_transport = lmtp:unix:private/dovecot-lmtp
       recipient_delimiter = +

The way back, with all that is there then, into a new household:
  letterbox import dovecot --passwd passwd --domain DOMAIN mail
`

// passwords says whose password is good for what.
func (d *dovecotFiles) passwords() []string {
	h := d.household
	list := []string{"People sign in with their own passwords, as before"}
	if names := h.Sodium(); len(names) > 0 {
		list = append(list, fmt.Sprintf("The hashes of %s are such as only a Dovecot with libsodium\n    can check. Debian's can; where 'doveadm pw -l' does not list ARGON2ID, these\n    people need new passwords", strings.Join(names, ", ")))
	}
	if names := h.WithoutPassword(); len(names) > 0 {
		list = append(list, fmt.Sprintf("Without a password, so that they cannot sign in: %s.\n    'doveadm pw' makes the hash of one, for the place of %s in passwd", strings.Join(names, ", "), lockedPassword))
	}
	devices := "Device passwords do not come along, since Dovecot cannot check them: mail\n    programs that have one need the person's own password from now on"
	if names := h.WithDevices(); len(names) > 0 {
		devices += ".\n    There are such of " + strings.Join(names, ", ")
	}
	return append(list, devices)
}

// lost says what there is no place for.
func (d *dovecotFiles) lost() []string {
	list := []string{
		"Messages that were deleted and kept for a while",
		"When a message was put into its folder (SAVEDATE, RFC 8514): Dovecot goes by\n    its files there",
		"Signing in with an alias in place of the name",
	}
	if d.household.Quotas {
		list = append(list, "How much mail people may have: Dovecot's quota plugin does that")
	}
	return append(list, d.notes...)
}
