package webui

import (
	"errors"
	"net/url"
	"strings"

	"letterbox/appliance/accounts"
	"letterbox/appliance/config"
	"letterbox/appliance/mailaddr"
)

// draft is what was typed into the wizard, page by page, as it was typed; only a password is kept as its hash.
// The flags say which pages were found good.
type draft struct {
	Household     string
	householdGood bool

	Own         bool // a domain of one's own, not the proposed one
	Domain      string
	Home        mailaddr.Domain // the home domain in force, which stays whatever the household is called; empty: proposed
	Hostname    string          // empty: the proposed one
	mailName    bool            // the configuration names no host: it is mail. and the domain
	addressGood bool

	FullName   string
	Login      string // empty: the proposed one
	Password   config.Secret
	personGood bool
}

// The fields of the forms, as browsers send them.
const (
	fieldCode      = "code"
	fieldHousehold = "household"
	fieldKind      = "kind"
	fieldDomain    = "domain"
	fieldHostname  = "hostname"
	fieldFullName  = "full-name"
	fieldLogin     = "login"
	fieldPassword  = "password"
	fieldAgain     = "password-again"
	fieldRevision  = "revision"
	fieldBack      = "back"

	kindHome = "home"
	kindOwn  = "own"
)

// faults says in a sentence what is wrong with a field.
type faults map[string]string

// newDraft is a draft with what the configuration has already. Pages that have nothing to ask are found good.
func newDraft(c config.Config, configured bool, machine string) draft {
	d := draft{Household: c.Household.Name, Hostname: c.Household.Hostname.Unicode()}
	if !configured {
		return d
	}
	d.mailName = d.Hostname == ""
	main := c.MainDomain()
	kind := kindHome
	if strings.HasSuffix(string(main), "."+homeTree) {
		d.Home = main
	} else {
		kind, d.Domain = kindOwn, main.Unicode()
	}
	if c.Household.Hostname == proposeHostname(machine, kind == kindOwn, main) {
		d.Hostname = ""
	}
	d.takeHousehold(url.Values{fieldHousehold: {d.Household}})
	d.takeAddress(url.Values{fieldKind: {kind}, fieldDomain: {d.Domain}, fieldHostname: {d.Hostname}}, machine)
	return d
}

// home is the domain that is offered for mail at home.
func (d *draft) home() mailaddr.Domain {
	if d.Home != "" {
		return d.Home
	}
	return proposeDomain(d.Household)
}

// proposedHostname is the name of this box that is offered with a domain.
func (d *draft) proposedHostname(machine string, domain mailaddr.Domain) mailaddr.Domain {
	return proposeHostname(machine, d.Own || d.mailName, domain)
}

// domain is the mail domain that the draft asks for.
func (d *draft) domain() (mailaddr.Domain, error) {
	if !d.Own {
		return d.home(), nil
	}
	return parseName(d.Domain)
}

// hostname is the name of this box that the draft asks for.
func (d *draft) hostname(machine string) (mailaddr.Domain, error) {
	if strings.TrimSpace(d.Hostname) != "" {
		return parseName(d.Hostname)
	}
	domain, err := d.domain()
	return d.proposedHostname(machine, domain), err
}

// parseName reads a host or domain name as people type it.
func parseName(typed string) (mailaddr.Domain, error) {
	return mailaddr.ParseDomain(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(typed), "@"), "."))
}

// login is the sign-in name that the draft asks for.
func (d *draft) login(c config.Config) string {
	if typed := config.FoldName(d.Login); typed != "" {
		return typed
	}
	return proposeLogin(d.FullName, c)
}

// hasPerson reports whether anything was said about a person.
func (d *draft) hasPerson() bool {
	return strings.TrimSpace(d.FullName) != "" || strings.TrimSpace(d.Login) != "" || d.Password != ""
}

// forget empties the page of the person, for the next one.
func (d *draft) forget() {
	d.FullName, d.Login, d.Password, d.personGood = "", "", "", false
}

// takeHousehold keeps what was typed on the first page and says what is wrong with it.
func (d *draft) takeHousehold(form url.Values) faults {
	d.Household = strings.TrimSpace(form.Get(fieldHousehold))
	f := faults{}
	if d.Household == "" {
		f[fieldHousehold] = faultNoHousehold
	}
	d.check(f, config.Config{Household: config.Household{Name: d.Household}}, map[string]string{"household.name": fieldHousehold})
	d.householdGood = len(f) == 0
	return f
}

// takeAddress keeps what was typed on the second page and says what is wrong with it.
func (d *draft) takeAddress(form url.Values, machine string) faults {
	d.Own, d.Domain, d.Hostname = form.Get(fieldKind) == kindOwn, form.Get(fieldDomain), form.Get(fieldHostname)
	f := faults{}
	if d.Own {
		domain, err := d.domain()
		switch {
		case strings.TrimSpace(d.Domain) == "":
			f[fieldDomain] = faultNoDomain
		case err != nil:
			f[fieldDomain] = sentence(err)
		case !strings.Contains(string(domain), "."):
			f[fieldDomain] = faultOneLabel
		}
	}
	if _, bad := f[fieldDomain]; !bad {
		if _, err := d.hostname(machine); err != nil {
			f[fieldHostname] = sentence(err)
		}
	}
	if len(f) == 0 {
		domain, _ := d.domain()
		hostname, _ := d.hostname(machine)
		c := config.Config{Household: config.Household{Hostname: hostname}, Domains: []config.Domain{{Name: domain}}}
		d.check(f, c, map[string]string{"household.hostname": fieldHostname, "domain[0].name": fieldDomain})
	}
	d.addressGood = len(f) == 0
	return f
}

// takePerson keeps what was typed on the third page and says what is wrong with it. optional: nobody is a good
// answer, too. c is the configuration in force.
func (d *draft) takePerson(form url.Values, c config.Config, optional bool) faults {
	d.FullName, d.Login = strings.TrimSpace(form.Get(fieldFullName)), strings.TrimSpace(form.Get(fieldLogin))
	password, again := form.Get(fieldPassword), form.Get(fieldAgain)
	f := faults{}
	if optional && d.FullName == "" && d.Login == "" && password == "" && again == "" {
		d.forget()
		d.personGood = true
		return f
	}
	if d.FullName == "" {
		f[fieldFullName] = faultNoFullName
	}
	login := d.login(c)
	switch {
	case login == "" && d.FullName != "":
		f[fieldLogin] = faultNoLogin
	case taken(login, c):
		f[fieldLogin] = faultTaken
	case login != "":
		at := len(c.People)
		c = c.Clone()
		c.People = append(c.People, config.Person{Name: login, FullName: d.FullName})
		d.check(f, c, personFields(at))
	}
	if fault := d.takePassword(login, password, again); fault.text != "" {
		f[fault.field] = fault.text
	}
	d.personGood = len(f) == 0
	return f
}

// personFields maps the faults of a configuration whose new person has this index to the form.
func personFields(index int) map[string]string {
	path := "person[" + itoa(index) + "]"
	return map[string]string{path + ".name": fieldLogin, path + ".full-name": fieldFullName, "person": fieldLogin}
}

type fieldFault struct{ field, text string }

// takePassword checks a new password and keeps its hash. With both fields empty the one kept before stays.
func (d *draft) takePassword(login, password, again string) fieldFault {
	if password == "" && again == "" && d.Password != "" {
		return fieldFault{}
	}
	d.Password = ""
	if password == "" {
		return fieldFault{fieldPassword, faultNoPassword}
	}
	if err := accounts.CheckPassword(login, password); err != nil {
		return fieldFault{fieldPassword, sentence(err)}
	}
	if password != again {
		return fieldFault{fieldAgain, faultPasswordsDiffer}
	}
	hash, err := accounts.HashPassword(password)
	if err != nil {
		return fieldFault{fieldPassword, sentence(err)}
	}
	d.Password = hash
	return fieldFault{}
}

// check adds to f what the rules of the configuration say about the fields of this page. fields maps paths in the
// configuration to fields of the form; what it does not name belongs to other pages.
func (d *draft) check(f faults, c config.Config, fields map[string]string) {
	var found config.Faults
	if !errors.As(c.Validate(), &found) {
		return
	}
	for _, one := range found {
		field, ours := fields[one.Field]
		if _, said := f[field]; ours && !said {
			f[field] = sentence(errors.New(one.Reason))
		}
	}
}

// change puts the draft into a configuration. The domain becomes the main one; those before it stay.
func (d *draft) change(c *config.Config, machine string, adding bool) error {
	if !adding {
		domain, err := d.domain()
		if err != nil {
			return err
		}
		hostname, err := d.hostname(machine)
		if err != nil {
			return err
		}
		c.Household.Name, c.Household.Hostname = d.Household, hostname
		c.Domains = mainDomain(c.Domains, domain)
	}
	if d.hasPerson() {
		c.People = append(c.People, config.Person{Name: d.login(*c), FullName: d.FullName, Password: d.Password})
	}
	return nil
}

// mainDomain puts a domain first, whether or not it was there.
func mainDomain(domains []config.Domain, main mailaddr.Domain) []config.Domain {
	out := []config.Domain{{Name: main}}
	for _, d := range domains {
		if d.Name == main {
			out[0] = d
		} else {
			out = append(out, d)
		}
	}
	return out
}
