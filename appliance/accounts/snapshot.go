package accounts

import (
	"slices"
	"strings"

	"letterbox/appliance/config"
	"letterbox/appliance/mailaddr"
)

// maxLogin is how much of a login is looked at, in octets: more than an address has.
const maxLogin = 320

// A snapshot is one configuration, made ready for looking things up. It never changes.
type snapshot struct {
	people  []config.Person
	logins  map[string]int                    // name or own address, folded -> index in people
	devices map[config.Secret]int             // hash of a device password -> index in people
	aliases map[mailaddr.Addr][]string        // folded -> names
	domains map[mailaddr.Domain]string        // -> name of whoever gets the rest, or ""
	own     map[string]map[mailaddr.Addr]bool // name -> folded addresses to send as
	foreign []config.Foreign                  // password hashes of other servers, one of each kind
	key     config.Secret
	first   mailaddr.Domain
}

func newSnapshot(c config.Config) *snapshot {
	s := &snapshot{
		people:  c.People,
		logins:  map[string]int{},
		devices: map[config.Secret]int{},
		aliases: map[mailaddr.Addr][]string{},
		domains: map[mailaddr.Domain]string{},
		own:     map[string]map[mailaddr.Addr]bool{},
		key:     c.DeviceKey,
		first:   c.MainDomain(),
	}
	for _, d := range c.Domains {
		s.domains[d.Name] = d.CatchAll
	}
	for _, alias := range c.Aliases {
		s.aliases[alias.Address.Fold()] = alias.To
	}
	for i, p := range c.People {
		s.logins[p.Name] = i
		for _, d := range p.Devices {
			s.devices[d.Hash] = i
		}
		s.addKind(p.Password)
		s.own[p.Name] = map[mailaddr.Addr]bool{}
		for _, a := range Addresses(c, p.Name) {
			folded := a.Fold()
			s.own[p.Name][folded] = true
			if to, shared := s.aliases[folded]; !shared || len(to) == 1 {
				s.logins[folded.String()] = i
			}
		}
	}
	return s
}

// addKind takes note of the kind of a password hash, if another server made it.
func (s *snapshot) addKind(hash config.Secret) {
	f, err := config.ParseForeign(hash)
	if err != nil || slices.ContainsFunc(s.foreign, func(o config.Foreign) bool { return o.Kind() == f.Kind() }) {
		return
	}
	s.foreign = append(s.foreign, f)
}

// Addresses lists the addresses of a person: their name at each domain of the
// household, the main domain first, then the aliases that reach them.
func Addresses(c config.Config, person string) []mailaddr.Addr {
	var list []mailaddr.Addr
	for _, d := range c.Domains {
		if a, err := mailaddr.New(person, d.Name); err == nil { // else longer than addresses may be
			list = append(list, a)
		}
	}
	for _, alias := range c.Aliases {
		if slices.Contains(alias.To, person) {
			list = append(list, alias.Address)
		}
	}
	return list
}

// account finds who signs in with a folded login.
func (s *snapshot) account(login string) (index int, ok bool) {
	index, ok = s.logins[login]
	return index, ok
}

// secret returns the password hash to check for a folded login, and the name under which
// its failures are counted. Where nobody is meant, that is the login, and the hash is empty;
// a name alone and at a domain of the household is one login then, as it is for people.
func (s *snapshot) secret(login string) (account string, hash config.Secret) {
	if i, ok := s.logins[login]; ok {
		return s.people[i].Name, s.people[i].Password
	}
	if name, domain, ok := strings.Cut(login, "@"); ok {
		if _, ours := s.domains[mailaddr.Domain(domain)]; ours {
			return name, ""
		}
	}
	return login, ""
}

// device finds whom a device password belongs to.
func (s *snapshot) device(password string) (index int, ok bool) {
	hash, err := hashDevice(s.key, password)
	if err != nil {
		return 0, false
	}
	index, ok = s.devices[hash]
	return index, ok
}

// admit lets somebody in whose password was right.
func (s *snapshot) admit(index int) (person string, err error) {
	if s.people[index].Disabled {
		return "", ErrDisabled
	}
	return s.people[index].Name, nil
}

func (s *snapshot) recipients(to mailaddr.Addr) ([]string, error) {
	if to.Domain() == "" && to.Fold() == mailaddr.Postmaster() {
		// RFC 5321, 4.5.1: <Postmaster> without a domain is always accepted.
		if a, err := mailaddr.New("postmaster", s.first); err == nil {
			to = a
		}
	}
	catchAll, ours := s.domains[to.Domain()]
	if !ours {
		return nil, ErrNotOurs
	}
	to = to.Fold()
	base, _, detailed := to.Detail()
	for _, a := range []mailaddr.Addr{to, base} {
		if people, ok := s.named(a); ok {
			return people, nil
		}
		if !detailed {
			break
		}
	}
	if catchAll != "" {
		return []string{catchAll}, nil
	}
	return nil, ErrUnknown
}

// named finds the people that a folded address in a household domain names.
func (s *snapshot) named(a mailaddr.Addr) ([]string, bool) {
	if people, ok := s.aliases[a]; ok {
		return slices.Clone(people), true
	}
	if _, ok := s.own[a.Local()]; ok {
		return []string{a.Local()}, true
	}
	// RFC 5321, 4.5.1 for postmaster; RFC 2142, 2 for abuse.
	if role := a.Local(); (role == "postmaster" || role == "abuse") && len(s.people) > 0 {
		return []string{s.people[0].Name}, true
	}
	return nil, false
}

func (s *snapshot) maySendAs(person string, from mailaddr.Addr) bool {
	i, ok := s.logins[person]
	if !ok || s.people[i].Name != person || s.people[i].Disabled {
		return false
	}
	from = from.Fold()
	base, _, _ := from.Detail()
	return s.own[person][from] || s.own[person][base]
}
