package transfer

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"letterbox/appliance/imapreader"
	"letterbox/store/maildir"
)

// specialFolders are our folders for special uses (RFC 6154), and what they are called elsewhere where the server does not say.
var specialFolders = []struct {
	name  string
	names []string // in lower case, the surest first
}{
	{"Sent", []string{"sent", "sent items", "sent messages", "sent mail", "sent-mail", "gesendet", "gesendete objekte", "gesendete elemente", "envoyés", "éléments envoyés", "enviados", "posta inviata", "verzonden items"}},
	{"Drafts", []string{"drafts", "draft", "entwürfe", "brouillons", "borradores", "bozze", "concepten"}},
	{"Junk", []string{"junk", "spam", "junk e-mail", "junk email", "junk mail", "bulk mail", "spamverdacht", "unerwünscht", "indésirables"}},
	{"Trash", []string{"trash", "deleted items", "deleted messages", "papierkorb", "gelöscht", "gelöschte elemente", "gelöschte objekte", "corbeille", "papelera", "cestino", "prullenbak"}},
	{"Archive", []string{"archive", "archives", "archiv"}},
}

// UsualNames is what one of the folders that everybody has here, Sent say, is called elsewhere: in lower case, the surest first.
func UsualNames(folder string) []string {
	for _, f := range specialFolders {
		if f.name == folder {
			return f.names
		}
	}
	return nil
}

// virtualFolders are those that only show what lies elsewhere.
var virtualFolders = []struct{ attribute, why string }{
	{`\All`, "it shows the mail of all folders once more; what was archived without a folder may lie only there, and --folder with this name brings it"},
	{`\Flagged`, "it shows mail of other folders once more; --folder with this name brings it"},
	{`\Important`, "it shows mail of other folders once more; --folder with this name brings it"},
}

// choose makes the folders of an import of those that a server has.
func (a *IMAPAccount) choose(found []imapreader.Folder) ([]Folder, error) {
	// INBOX first: it is what somebody who stops early wants most.
	slices.SortStableFunc(found, func(x, y imapreader.Folder) int { return compareBool(y.Name == maildir.Inbox, x.Name == maildir.Inbox) })
	names := a.names(found)
	seen := make(map[string]bool)
	var list []Folder
	for i := range found {
		f := &found[i]
		chosen, why := a.wants(f, names[i], seen)
		if !chosen {
			continue
		}
		one := Folder{Name: f.Name, To: names[i], Unsubscribed: !f.Subscribed, Key: &imapFolder{wire: f.Wire}}
		if why != "" {
			one.Fault = &passedOver{why}
		}
		list = append(list, one)
	}
	for _, name := range slices.Concat(a.Folders, a.Exclude) {
		if !seen[name] {
			return nil, fmt.Errorf("there is no folder %q at the server", name)
		}
	}
	if len(list) == 0 {
		return nil, errors.New("the server shows no folders")
	}
	return list, nil
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// wants tells whether a folder is among those of the import, and why it is passed over in that case, "" if it is not. It notes
// which names of folders were seen.
func (a *IMAPAccount) wants(f *imapreader.Folder, name string, seen map[string]bool) (chosen bool, why string) {
	match := func(list []string) (exact, below bool) {
		for _, want := range list {
			switch {
			case want == f.Name || want == name:
				seen[want], exact = true, true
			case strings.HasPrefix(strings.Join(f.Levels, "/"), want+"/"), strings.HasPrefix(name, want+"/"):
				seen[want], below = true, true
			}
		}
		return exact, below
	}
	named, below := match(a.Folders)
	if out, outBelow := match(a.Exclude); out || outBelow {
		return len(a.Folders) == 0 || named || below, "it is not wanted (--exclude)"
	}
	if len(a.Folders) > 0 && !named && !below {
		return false, ""
	}
	if named {
		return true, ""
	}
	for _, v := range virtualFolders {
		if f.Has(v.attribute) {
			return true, v.why
		}
	}
	if f.Shared {
		return true, "it is shared or somebody else's; --folder with this name brings it"
	}
	return true, ""
}

// names are what the folders are to be called here: as there, without the prefix that all of them have, and with our names for special
// folders and what lies below them.
func (a *IMAPAccount) names(found []imapreader.Folder) []string {
	names := make([]string, len(found))
	for i, f := range found {
		names[i] = levelsName(f.Levels)
	}
	if a.KeepNames {
		return names
	}
	renamed := make(map[string]string)
	for _, special := range specialFolders {
		if i := findSpecial(found, special.name, special.names); i >= 0 {
			renamed[names[i]] = special.name
		}
	}
	for i, name := range names {
		for end := len(name); end > 0; end = strings.LastIndexByte(name[:end], '/') {
			if to, ok := renamed[name[:end]]; ok {
				names[i] = to + name[end:]
				break
			}
		}
	}
	return names
}

// findSpecial finds the folder for a special use, -1 if there is none.
func findSpecial(found []imapreader.Folder, use string, names []string) int {
	own := func(f imapreader.Folder) bool { return !f.Shared && f.Name != maildir.Inbox }
	if i := slices.IndexFunc(found, func(f imapreader.Folder) bool { return own(f) && f.Has(`\`+use) }); i >= 0 {
		return i
	}
	for _, name := range names {
		i := slices.IndexFunc(found, func(f imapreader.Folder) bool {
			return own(f) && len(f.Levels) == 1 && strings.ToLower(f.Levels[0]) == name
		})
		if i >= 0 {
			return i
		}
	}
	return -1
}

// levelsName joins levels. Where a level has our separator in it, it is another letter.
func levelsName(levels []string) string {
	parts := make([]string, len(levels))
	for i, level := range levels {
		parts[i] = strings.ReplaceAll(level, "/", "_")
	}
	return strings.Join(parts, "/")
}

// signInHints tell what a provider wants in place of the usual password.
var signInHints = []struct{ domains, hint string }{
	{"gmail.com googlemail.com google.com", "Google wants an app password here (myaccount.google.com/apppasswords)"},
	{"yahoo.com aol.com", "Yahoo and AOL want an app password here (account security, app passwords)"},
	{"icloud.com me.com mail.me.com", "Apple wants an app-specific password here (account.apple.com)"},
	{"outlook.com hotmail.com office365.com live.com", "Microsoft takes no passwords from mail programs any more: forward the mail, or export it from Outlook"},
	{"gmx.net gmx.de gmx.com web.de", "IMAP has to be switched on in the settings of the mailbox first"},
	{"t-online.de", "Telekom wants the password for mail programs, which is not that of the customer centre"},
	{"fastmail.com", "Fastmail wants an app password here"},
}

// signInError says why nobody is signed in.
func signInError(host, user string, err error) error {
	hint := ""
	for _, h := range signInHints {
		for domain := range strings.FieldsSeq(h.domains) {
			if host = strings.ToLower(host); host == domain || strings.HasSuffix(host, "."+domain) {
				hint = "; " + h.hint
			}
		}
	}
	switch {
	case errors.Is(err, imapreader.ErrUnencrypted):
		return fmt.Errorf("%s: %w: leave out --unencrypted", host, err)
	case errors.Is(err, imapreader.ErrNoPassword):
		return fmt.Errorf("%s: %w%s", host, err, hint)
	}
	return fmt.Errorf("%s does not let %s in: %w%s", host, user, err, hint)
}
