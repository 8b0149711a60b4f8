package appliance

import (
	"fmt"

	"letterbox/appliance/config"
)

// renewPassword puts the hash now in place of was, which another server made of the same password. That it cannot be saved is logged
// and changes nothing: the old one stays good.
func (a *Appliance) renewPassword(person string, was, now config.Secret) {
	if err := a.replaceHash(person, was, now); err != nil {
		a.log.Warn("the password hash of another server stays in place", "person", person, "err", err)
		return
	}
	a.log.Info("the password has a hash of our own now", "person", person)
}

// replaceHash is Update for the form of a secret alone: nobody's session ends by it, and nothing but the file is touched.
func (a *Appliance) replaceHash(person string, was, now config.Secret) error {
	a.updating.Lock()
	defer a.updating.Unlock()
	if err := a.fileInForce(); err != nil {
		return err
	}
	c, configured := a.Config()
	i, there := c.Person(person)
	if !configured || !there || c.People[i].Password != was {
		return nil // they have another one by now
	}
	c.People[i].Password = now
	if err := config.Save(a.configPath(), c); err != nil {
		return fmt.Errorf("replacing a password hash: %w", err)
	}
	a.state.Store(&state{config: c, configured: true})
	a.accounts.Apply(c)
	return nil
}
