package appliance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"letterbox/appliance/accounts"
	"letterbox/appliance/config"
	"letterbox/appliance/mailaddr"
	"letterbox/appliance/transfer"
	"letterbox/store"
	"letterbox/store/maildir"
)

// DovecotImport says what is to be taken over from a Dovecot server.
type DovecotImport struct {
	Dir    string            // see transfer.OpenDovecot
	Passwd string            // likewise
	Domain string            // of those who have none there; "": the main domain
	User   string            // whose mail it is, where Dir is one Maildir
	Skip   []string          // who is not taken over, as called there
	Rename map[string]string // what somebody who is called so there is called here
}

// A DovecotPlan is what is to be taken over, nothing of which is done yet. It has one user. Close it.
type DovecotPlan struct {
	a      *Appliance
	from   *transfer.Dovecot
	people []dovecotNewcomer
	notes  []string
}

// A dovecotNewcomer is somebody who comes from a Dovecot server.
type dovecotNewcomer struct {
	*transfer.DovecotPerson
	name   string
	domain mailaddr.Domain
	known  bool          // the household has them already
	over   bool          // their mailbox here is as new, and is replaced
	hash   config.Secret // NoPassword where there is none that can be checked, or plain
	plain  string
}

// PlanDovecotImport looks at what there is, and refuses all that could not be done, every reason in one error. It changes nothing.
// Close the plan before a. No server may run on the data.
func (a *Appliance) PlanDovecotImport(ctx context.Context, o DovecotImport) (_ *DovecotPlan, err error) {
	from, err := transfer.OpenDovecot(ctx, o.Dir, o.Passwd)
	if err != nil {
		return nil, err
	}
	p := &DovecotPlan{a: a, from: from}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if err := p.findPeople(o); err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	p.takePasswords()
	p.note()
	return p, p.checkRoom()
}

// Close gives the directories back.
func (p *DovecotPlan) Close() error { return p.from.Close() }

// findPeople gives everybody a name here.
func (p *DovecotPlan) findPeople(o DovecotImport) error {
	var faults []error
	skipped := make(map[string]bool)
	for i := range p.from.People {
		person := &p.from.People[i]
		if person.User == "" {
			person.User = o.User
		}
		if j := slices.IndexFunc(o.Skip, func(s string) bool { return strings.EqualFold(s, person.User) }); j >= 0 {
			skipped[o.Skip[j]] = true
			continue
		}
		one, err := p.newcomer(person, o)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		p.people = append(p.people, one)
	}
	for _, s := range o.Skip {
		if !skipped[s] {
			faults = append(faults, fmt.Errorf("there is nobody called %q to be left out", s))
		}
	}
	if len(p.people) == 0 && len(faults) == 0 {
		faults = append(faults, errors.New("nobody is left to be taken over"))
	}
	return errors.Join(faults...)
}

func (p *DovecotPlan) newcomer(person *transfer.DovecotPerson, o DovecotImport) (one dovecotNewcomer, err error) {
	if person.User == "" {
		return one, errors.New("it is one Maildir alone: say whose, with --user NAME")
	}
	one = dovecotNewcomer{DovecotPerson: person, hash: config.NoPassword}
	local, domain, _ := strings.Cut(person.User, "@")
	if one.domain, err = p.domainOf(domain, o.Domain); err != nil {
		return one, fmt.Errorf("%s: %w", person.User, err)
	}
	one.name = config.FoldName(local)
	for there, here := range o.Rename {
		if strings.EqualFold(there, person.User) {
			one.name = config.FoldName(here)
		}
	}
	if err := config.CheckPersonName(one.name); err != nil {
		return one, fmt.Errorf("%s: %w; --rename %s=NAME calls them otherwise here, --skip %s leaves them out", person.User, err, person.User, person.User)
	}
	if person.Fault != nil {
		return one, fmt.Errorf("%s: %w", person.User, person.Fault)
	}
	return one, nil
}

func (p *DovecotPlan) domainOf(there, otherwise string) (mailaddr.Domain, error) {
	if there == "" {
		there = otherwise
	}
	if there != "" {
		return mailaddr.ParseDomain(there)
	}
	c, _ := p.a.Config()
	if c.MainDomain() == "" {
		return "", errors.New("no domain is known: say it with --domain NAME")
	}
	return c.MainDomain(), nil
}

// check looks for whatever else speaks against it.
func (p *DovecotPlan) check() error {
	c, _ := p.a.Config()
	var faults []error
	names := make(map[string]string)
	for i := range p.people {
		one := &p.people[i]
		if other, taken := names[one.name]; taken {
			faults = append(faults, fmt.Errorf("%s and %s would both be %s here: --rename %s=NAME calls one of them otherwise, --skip %s leaves them out", other, one.User, one.name, one.User, one.User))
		}
		names[one.name] = one.User
		_, one.known = c.Person(one.name)
		if one.Mail == nil {
			continue
		}
		err := p.a.store.MayAdopt(one.name)
		if errors.Is(err, store.ErrHasMail) && p.a.isAsNew(one.name) {
			one.over, err = true, nil
		}
		if errors.Is(err, store.ErrHasMail) {
			err = fmt.Errorf("%s: %w; 'letterbox user remove %s' sets it aside", one.User, err, one.name)
		}
		if err != nil {
			faults = append(faults, err)
		}
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	for i := range p.people {
		p.people[i].join(&c)
	}
	return c.Validate()
}

// isAsNew reports whether nothing but the welcome has ever come into somebody's mailbox.
func (a *Appliance) isAsNew(person string) bool {
	account, err := a.store.Account(person)
	if err != nil {
		return false
	}
	list, err := account.List()
	if err != nil {
		return false
	}
	for _, info := range list {
		if st, err := account.Status(info.Name); err != nil || st.Messages > 1 || st.Messages == 1 && (info.Name != "INBOX" || st.UIDNext != 2) {
			return false
		}
	}
	inbox, err := account.Open("INBOX")
	if err != nil {
		return false
	}
	defer inbox.Close()
	for _, uid := range inbox.UIDs(nil) {
		if !isWelcome(inbox, uid) {
			return false
		}
	}
	return true
}

// isWelcome reports whether a message is that of welcomeMessage.
func isWelcome(m *store.Mailbox, uid store.UID) bool {
	msg, err := m.Message(uid)
	if err != nil {
		return false
	}
	defer msg.Close()
	head, err := io.ReadAll(msg.Section(0, min(msg.Size(), 512)))
	return err == nil && strings.HasPrefix(string(head), welcomeFrom) && strings.Contains(string(head), "\r\nSubject: "+welcomeSubject+"\r\n")
}

// join adds somebody to the household, who may be in it already.
func (one *dovecotNewcomer) join(c *config.Config) {
	if !slices.ContainsFunc(c.Domains, func(d config.Domain) bool { return d.Name == one.domain }) {
		c.Domains = append(c.Domains, config.Domain{Name: one.domain})
	}
	i, there := c.Person(one.name)
	if !there {
		c.People = append(c.People, config.Person{Name: one.name, FullName: cleanFullName(one.Entry.FullName), Password: one.hash, Disabled: one.Entry.NoLogin})
	} else if c.People[i].Password == config.NoPassword {
		c.People[i].Password = one.hash
	}
}

// cleanFullName makes a name that stood in a passwd-file fit for the configuration.
func cleanFullName(name string) string {
	const most = 100 // letters
	letters := []rune(strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, name))
	return strings.TrimSpace(string(letters[:min(most, len(letters))]))
}

// takePasswords finds out which passwords can be checked here.
func (p *DovecotPlan) takePasswords() {
	c, _ := p.a.Config()
	kinds := make(map[string]bool)
	for _, person := range c.People {
		if f, err := config.ParseForeign(person.Password); err == nil {
			kinds[f.Kind()] = true
		}
	}
	for i := range p.people {
		one := &p.people[i]
		if i, there := c.Person(one.name); there && c.People[i].Password != config.NoPassword {
			continue // theirs stays
		}
		if err := one.takePassword(kinds); err != nil {
			p.notes = append(p.notes, fmt.Sprintf("%s cannot sign in before 'letterbox user passwd %s': the password %v", one.name, one.name, err))
		}
	}
}

// takePassword takes somebody's hash if it can be checked. kinds are those that others have.
func (one *dovecotNewcomer) takePassword(kinds map[string]bool) error {
	if one.Entry.Password == "" {
		return errors.New("is not known")
	}
	hash, plain := transfer.ForeignPassword(one.Entry.Password)
	if hash == "" {
		if one.plain = plain; plain == "" {
			return errors.New("is empty")
		}
		return nil
	}
	f, err := config.ParseForeign(config.Secret(hash))
	if err != nil {
		return err
	}
	if kinds[f.Kind()] = true; len(kinds) > config.MaxForeignKinds {
		delete(kinds, f.Kind())
		return fmt.Errorf("has a hash of a ninth kind, and there may be %d", config.MaxForeignKinds)
	}
	one.hash = f.Secret()
	return nil
}

// note says what people should know beforehand.
func (p *DovecotPlan) note() {
	for _, one := range p.people {
		if len(one.Unnumbered) > 0 {
			p.notes = append(p.notes, fmt.Sprintf("%s: %s without a dovecot-uidlist, so that mail programs download it again: %s; if Dovecot keeps its lists elsewhere (CONTROL= in mail_location), put them beside the mail first",
				one.name, folders(len(one.Unnumbered)), strings.Join(one.Unnumbered, ", ")))
		}
		if len(one.ManyKeywords) > 0 {
			p.notes = append(p.notes, fmt.Sprintf("%s: %s with 26 keywords: if there are more, Dovecot alone knows which messages have them, and they do not come along: %s",
				one.name, folders(len(one.ManyKeywords)), strings.Join(one.ManyKeywords, ", ")))
		}
		if one.Mail == nil {
			p.notes = append(p.notes, fmt.Sprintf("%s has no mail there", one.name))
		}
	}
	if len(p.from.Others) > 0 {
		p.notes = append(p.notes, "not looked at, since nothing in it looks like mail: "+strings.Join(p.from.Others, ", "))
	}
}

func folders(n int) string {
	if n == 1 {
		return "1 folder"
	}
	return fmt.Sprint(n, " folders")
}

// checkRoom refuses what the disk cannot hold.
func (p *DovecotPlan) checkRoom() error {
	_, octets := p.total()
	free, _, err := maildir.Space(filepath.Join(p.a.dir, "mail"))
	if err != nil {
		return err
	}
	for _, one := range p.people {
		if one.Mail != nil && p.a.store.IsAdopted(one.name) {
			octets -= one.Octets // of which most is here
		}
	}
	if octets > free {
		return fmt.Errorf("there is not enough room: the mail takes %s, and %s are free", transfer.Octets(octets), transfer.Octets(free))
	}
	return nil
}

func (p *DovecotPlan) total() (messages, octets int64) {
	for _, one := range p.people {
		messages, octets = messages+one.Messages, octets+one.Octets
	}
	return messages, octets
}

// WriteTo says for people what would be done.
func (p *DovecotPlan) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	for _, one := range p.people {
		fmt.Fprintf(&b, "%s@%s", one.name, one.domain.Unicode())
		if !strings.EqualFold(one.User, one.name) && !strings.EqualFold(one.User, one.name+"@"+string(one.domain)) {
			fmt.Fprintf(&b, " (there called %q)", one.User)
		}
		fmt.Fprintf(&b, ": %s, %s", transfer.Messages(one.Messages), transfer.Octets(one.Octets))
		switch {
		case one.known:
			b.WriteString("; is in the household already")
		case one.plain != "" || one.hash != config.NoPassword:
			b.WriteString("; keeps the password")
		}
		b.WriteByte('\n')
	}
	for _, n := range p.notes {
		b.WriteString("Note: " + n + ".\n")
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// CarryOut takes over one person after the other, mail first. Whatever ends it, those who were taken over stay, and a new plan goes on
// where it stopped.
func (p *DovecotPlan) CarryOut(ctx context.Context, progress *transfer.Progress) (messages, octets int64, err error) {
	progress.Expect(p.total())
	for i := range p.people {
		one := &p.people[i]
		m, o, err := p.takeOver(ctx, one, progress)
		messages, octets = messages+m, octets+o
		if err != nil {
			return messages, octets, fmt.Errorf("%s: %w", one.name, err)
		}
	}
	return messages, octets, nil
}

func (p *DovecotPlan) takeOver(ctx context.Context, one *dovecotNewcomer, progress *transfer.Progress) (messages, octets int64, err error) {
	if one.Mail != nil {
		adopt := p.a.store.Adopt
		if one.over {
			adopt = p.a.store.AdoptOver
		}
		adoption, err := adopt(one.name)
		if err != nil {
			return 0, 0, err
		}
		if messages, octets, err = one.CopyTree(ctx, adoption.Dir(), adoption.Seed, progress); err != nil {
			return messages, octets, err
		}
		if err := adoption.Furnish(transfer.UsualNames); err != nil {
			return messages, octets, err
		}
		if err := adoption.Finish(ctx); err != nil {
			return messages, octets, err
		}
	}
	if one.plain != "" {
		if one.hash, err = accounts.HashPassword(one.plain); err != nil {
			return messages, octets, err
		}
	}
	return messages, octets, p.a.Update(ctx, func(c *config.Config) error {
		one.join(c)
		return nil
	})
}

// GiveToOwner gives what root has made in a data directory to its owner, for whom the server runs.
func GiveToOwner(dir string) error { return store.GiveToOwner(dir, dir) }
