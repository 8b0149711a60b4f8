package appliance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"path/filepath"
	"slices"

	"letterbox/appliance/accounts"
	"letterbox/appliance/config"
	"letterbox/appliance/mailaddr"
)

// Update lets change edit a copy of the configuration in force (or of what set-up starts from), checks the result whole, prepares it,
// saves it and puts it in force. When it returns nil, all that is done; after any error, change's own included, everything is as it
// was. A faulty configuration is config.Faults in the error chain. Updates happen one after another.
func (a *Appliance) Update(ctx context.Context, change func(*config.Config) error) error {
	a.updating.Lock()
	defer a.updating.Unlock()
	if err := a.fileInForce(); err != nil {
		return err
	}
	next, _ := a.Config()
	if err := change(&next); err != nil {
		return err
	}
	return a.adopt(ctx, next, true)
}

// fileInForce refuses to go on where the file holds what somebody has written by hand and nobody has put in force: saving would
// undo it.
func (a *Appliance) fileInForce() error {
	saved, err := config.Load(a.configPath())
	var faults config.Faults
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.As(err, &faults):
		return fmt.Errorf("%s was changed by hand, and has faults; nothing is saved over it: %w", config.FileName, err)
	case err != nil:
		return err
	}
	if s := a.state.Load(); !s.configured || !saved.Equal(s.config) {
		return fmt.Errorf("%s was changed by hand; nothing is saved over it before it is in force: send SIGHUP to the server, or restart it", config.FileName)
	}
	return nil
}

// Reload puts the configuration file, as it now is, in force. A file with faults is config.Faults and changes nothing.
func (a *Appliance) Reload(ctx context.Context) error {
	a.updating.Lock()
	defer a.updating.Unlock()
	next, err := config.Load(a.configPath())
	if err != nil {
		return err
	}
	return a.adopt(ctx, next, false)
}

func (a *Appliance) configPath() string { return filepath.Join(a.dir, config.FileName) }

// adopt checks c and applies it. The caller holds updating.
func (a *Appliance) adopt(ctx context.Context, c config.Config, save bool) error {
	if err := c.Validate(); err != nil {
		return err
	}
	s := state{config: c, configured: true}
	if !save {
		return a.apply(ctx, s, nil)
	}
	return a.apply(ctx, s, func() error { return config.Save(a.configPath(), c) })
}

// apply prepares what next wants, saves, and swaps it in. save may be nil. The caller holds updating.
func (a *Appliance) apply(ctx context.Context, next state, save func() error) error {
	before := *a.state.Load()
	newcomers := slices.DeleteFunc(joined(before, next), func(p config.Person) bool { return a.store.IsAdopted(p.Name) }) // they know their mail
	if next.configured {
		for _, p := range next.config.People {
			if err := a.store.CreateAccount(p.Name); err != nil {
				return fmt.Errorf("making the mailbox of %s: %w", p.Name, err)
			}
		}
	}
	var wanted map[seat]settings
	if a.services.open {
		wanted = plan(next)
	}
	ready, err := a.services.prepare(wanted, a.build, a.log)
	if err != nil {
		return err
	}
	if err := a.commit(before, next, save); err != nil {
		a.services.abandon(ready, a.build, a.log)
		return err
	}

	a.state.Store(&next)
	if next.configured {
		a.accounts.Apply(next.config)
		a.bound(next.config)
	}
	a.services.swap(wanted, ready.fresh, a.log)
	a.farewell(before, next)
	a.welcome(ctx, next.config, newcomers)
	return nil
}

// commit makes the certificate fit next and saves. It comes last of all that can fail: what the set-up page presents stays the same
// until the household is there.
func (a *Appliance) commit(before, next state, save func() error) error {
	if next.configured {
		if err := a.certify(next.config); err != nil {
			return err
		}
	}
	if save == nil {
		return nil
	}
	err := save()
	if err != nil && before.configured {
		if back := a.certify(before.config); back != nil {
			a.log.Error("the certificate covers other names than the household's", "err", back)
		}
	}
	return err
}

// joined lists the people that next has and before has not. The people of a configuration that was there at the start have
// been welcomed already.
func joined(before, next state) []config.Person {
	if !next.configured {
		return nil
	}
	var people []config.Person
	for _, p := range next.config.People {
		if _, known := before.config.Person(p.Name); !before.configured || !known {
			people = append(people, p)
		}
	}
	return people
}

// farewell ends the sessions of everybody whose right to them has changed, and sets aside the mail of those who have gone.
func (a *Appliance) farewell(before, next state) {
	if !before.configured {
		return
	}
	for _, p := range before.config.People {
		i, still := next.config.Person(p.Name)
		if still && sameCredentials(p, next.config.People[i]) {
			continue
		}
		a.services.disconnect(p.Name)
		if still {
			continue
		}
		if err := a.store.RemoveAccount(p.Name); err != nil {
			a.log.Error("the mail of a removed person was not set aside", "person", p.Name, "err", err)
		}
	}
}

// sameCredentials reports whether everything that lets was in lets now in, too. A device that was added ends nobody's session.
func sameCredentials(was, now config.Person) bool {
	return was.Password == now.Password && was.Disabled == now.Disabled &&
		!slices.ContainsFunc(was.Devices, func(d config.Device) bool { return !slices.Contains(now.Devices, d) })
}

// certify makes the certificate cover every name and address by which the household's programs reach this box.
func (a *Appliance) certify(c config.Config) error {
	hostname := c.Hostname()
	names := []string{string(hostname), "localhost", "letterbox.local"}
	for _, d := range c.Domains {
		names = append(names, string(d.Name), "mail."+string(d.Name), "autoconfig."+string(d.Name))
	}
	if err := a.certs.Apply(names, a.addresses(c)); err != nil {
		return fmt.Errorf("making the certificate of %s: %w", hostname, err)
	}
	return nil
}

// addresses are those of this machine that a program on the LAN can name: the ones listened on, or else all.
func (a *Appliance) addresses(c config.Config) []netip.Addr {
	loopback := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	if len(c.Listen.Address) > 0 {
		for _, text := range c.Listen.Address {
			if ip, err := netip.ParseAddr(text); err == nil && !ip.IsUnspecified() {
				loopback = append(loopback, ip)
			}
		}
		return loopback
	}
	found, err := net.InterfaceAddrs()
	if err != nil {
		a.log.Warn("the addresses of this machine are unknown; the certificate names none", "err", err)
		return loopback
	}
	for _, addr := range found {
		if prefix, err := netip.ParsePrefix(addr.String()); err == nil {
			loopback = append(loopback, prefix.Addr())
		}
	}
	return loopback
}

// Founding is what a household begins with.
type Founding struct {
	Household string // its name, for people to read; may be empty
	Domain    string // the mail domain
	Person    string // the first person's name
	FullName  string
	Password  string
}

// Found sets up a household as the set-up page does. A letterbox that has one already refuses.
func (a *Appliance) Found(ctx context.Context, f Founding) error {
	if _, configured := a.Config(); configured {
		return fmt.Errorf("%s holds a household already", a.dir)
	}
	domain, err := mailaddr.ParseDomain(f.Domain)
	if err != nil {
		return err
	}
	name := config.FoldName(f.Person)
	if err := config.CheckPersonName(name); err != nil {
		return err
	}
	if err := accounts.CheckPassword(name, f.Password); err != nil {
		return err
	}
	hash, err := accounts.HashPassword(f.Password)
	if err != nil {
		return err
	}
	return a.Update(ctx, func(c *config.Config) error {
		c.Household.Name = f.Household
		c.Domains = []config.Domain{{Name: domain}}
		c.People = []config.Person{{Name: name, FullName: f.FullName, Password: hash}}
		return nil
	})
}
