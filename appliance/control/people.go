package control

import (
	"fmt"
	"net/http"
	"slices"

	"letterbox/appliance/accounts"
	"letterbox/appliance/config"
)

// passwordBody is the body of PUT /api/v1/people/{person}/password.
type passwordBody struct {
	Password string `json:"password"`
}

func (s *server) people(r *http.Request) (any, error) {
	c, _ := s.appliance.Config()
	list := make([]Person, 0, len(c.People))
	for _, p := range c.People {
		told := Person{Name: p.Name, FullName: p.FullName, Devices: len(p.Devices), Disabled: p.Disabled, NoPassword: p.Password == config.NoPassword, Addresses: []string{}}
		for _, a := range accounts.Addresses(c, p.Name) {
			told.Addresses = append(told.Addresses, a.Unicode())
		}
		told.Quota.Bytes, told.Quota.Messages = c.Quota(p)
		if used, err := s.appliance.Usage(r.Context(), p.Name); err == nil {
			told.Used = &used
		}
		list = append(list, told)
	}
	return list, nil
}

func (s *server) addPerson(r *http.Request) (any, error) {
	asked, err := read[NewPerson](r)
	if err != nil {
		return nil, err
	}
	name := config.FoldName(asked.Name)
	if err := config.CheckPersonName(name); err != nil {
		return nil, &Error{Status: http.StatusUnprocessableEntity, Reason: err.Error(), Field: "name"}
	}
	if c, _ := s.appliance.Config(); hasPerson(c, name) { // before the work of hashing
		return nil, alreadyThere(name)
	}
	hash, err := hash(name, asked.Password)
	if err != nil {
		return nil, err
	}
	return nil, s.update(r.Context(), func(c *config.Config) error {
		if hasPerson(*c, name) {
			return alreadyThere(name)
		}
		c.People = append(c.People, config.Person{Name: name, FullName: asked.FullName, Password: hash})
		return nil
	})
}

func (s *server) setPassword(r *http.Request) (any, error) {
	asked, err := read[passwordBody](r)
	if err != nil {
		return nil, err
	}
	name := config.FoldName(r.PathValue("person"))
	if c, _ := s.appliance.Config(); !hasPerson(c, name) { // before the work of hashing
		return nil, nobody(name)
	}
	hash, err := hash(name, asked.Password)
	if err != nil {
		return nil, err
	}
	return nil, s.updatePerson(r, func(p *config.Person, _ *config.Config) error {
		p.Password = hash
		return nil
	})
}

// removePerson also takes the person out of aliases and catch-alls. An alias that would
// reach nobody goes as well. The mail stays on the disk: that is the store's business.
func (s *server) removePerson(r *http.Request) (any, error) {
	return nil, s.updatePerson(r, func(p *config.Person, c *config.Config) error {
		gone := p.Name
		for i := range c.Domains {
			if c.Domains[i].CatchAll == gone {
				c.Domains[i].CatchAll = ""
			}
		}
		for i := range c.Aliases {
			c.Aliases[i].To = slices.DeleteFunc(c.Aliases[i].To, func(name string) bool { return name == gone })
		}
		c.Aliases = slices.DeleteFunc(c.Aliases, func(a config.Alias) bool { return len(a.To) == 0 })
		c.People = slices.DeleteFunc(c.People, func(p config.Person) bool { return p.Name == gone })
		return nil
	})
}

// updatePerson changes the person that the request's path names.
func (s *server) updatePerson(r *http.Request, change func(*config.Person, *config.Config) error) error {
	name := r.PathValue("person")
	return s.update(r.Context(), func(c *config.Config) error {
		i, ok := c.Person(name)
		if !ok {
			return nobody(name)
		}
		return change(&c.People[i], c)
	})
}

// hash checks and hashes a new password.
func hash(person, password string) (config.Secret, error) {
	if err := accounts.CheckPassword(person, password); err != nil {
		return "", &Error{Status: http.StatusUnprocessableEntity, Reason: err.Error(), Field: "password"}
	}
	return accounts.HashPassword(password)
}

func hasPerson(c config.Config, name string) bool {
	_, ok := c.Person(name)
	return ok
}

func nobody(name string) error {
	return &Error{Status: http.StatusNotFound, Reason: fmt.Sprintf("there is nobody called %q", name)}
}

func alreadyThere(name string) error {
	return &Error{Status: http.StatusConflict, Reason: fmt.Sprintf("%s is there already", name), Field: "name"}
}
