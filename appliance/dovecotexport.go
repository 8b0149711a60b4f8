package appliance

import (
	"path/filepath"

	"letterbox/appliance/config"
	"letterbox/appliance/mailaddr"
	"letterbox/appliance/transfer"
)

// DovecotHousehold is the household in a data directory as a Dovecot server has to know it. It reads the configuration file, whether a
// server runs or not.
func DovecotHousehold(dir string) (transfer.DovecotHousehold, error) {
	c, err := config.Load(filepath.Join(dir, config.FileName))
	if err != nil {
		return transfer.DovecotHousehold{}, err
	}
	h := transfer.DovecotHousehold{Name: c.Household.Name, Aliases: dovecotAliases(c), Quotas: c.Limits.Quota != (config.Quota{})}
	for _, d := range c.Domains {
		h.Domains = append(h.Domains, d.Name.String())
	}
	for _, p := range c.People {
		h.Quotas = h.Quotas || p.Quota != (config.Quota{})
		h.People = append(h.People, transfer.DovecotUser{
			Name: p.Name, FullName: p.FullName, Password: dovecotHash(p.Password), Disabled: p.Disabled, Devices: len(p.Devices),
		})
	}
	return h, nil
}

// dovecotHash is a password hash as Dovecot writes it, "" if there is none.
func dovecotHash(hash config.Secret) string {
	if f, err := config.ParseForeign(hash); err == nil {
		return f.Secret().Reveal()
	}
	if _, err := config.ParseArgon2id(hash); err == nil {
		return "{ARGON2ID}" + hash.Reveal()
	}
	return ""
}

// dovecotAliases are all addresses of a household, each with those who get its mail, as accounts.Recipients finds them.
func dovecotAliases(c config.Config) (list []transfer.DovecotAlias) {
	at := func(people []string) (addresses []string) {
		for _, name := range people {
			addresses = append(addresses, name+"@"+c.MainDomain().String())
		}
		return addresses
	}
	known := make(map[mailaddr.Addr]bool)
	for _, a := range c.Aliases {
		known[a.Address.Fold()] = true
		list = append(list, transfer.DovecotAlias{Address: a.Address.String(), To: at(a.To)})
	}
	add := func(local string, d mailaddr.Domain, person string) {
		a, err := mailaddr.New(local, d)
		if err == nil && !known[a.Fold()] { // else longer than addresses may be
			list = append(list, transfer.DovecotAlias{Address: a.String(), To: at([]string{person})})
		}
	}
	for _, d := range c.Domains {
		for _, p := range c.People {
			add(p.Name, d.Name, p.Name)
		}
		for _, role := range roles {
			add(role, d.Name, c.People[0].Name)
		}
		if d.CatchAll != "" {
			list = append(list, transfer.DovecotAlias{Address: "@" + d.Name.String(), To: at([]string{d.CatchAll})})
		}
	}
	return list
}

// roles are addresses whose mail the first one of a household gets, unless they are aliases: see config.Config.
var roles = []string{"postmaster", "abuse"}
