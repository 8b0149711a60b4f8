package imapd

import (
	"maps"
	"slices"

	"letterbox/appliance/imapwire"
)

// lsub is LSUB (RFC 3501, 6.3.9).
func (c *conn) lsub(r *request) error {
	a, err := imapwire.ParseLsub(r.args)
	if err != nil {
		return err
	}
	if a.Pattern == "" {
		c.out.line(`* LSUB (\Noselect) "/" ""`)
		return nil
	}
	names, err := c.account.Subscriptions()
	if err != nil {
		return err
	}
	uses, err := c.specialUses()
	if err != nil {
		return err
	}
	pattern := compilePatterns(a.Reference, a.Pattern)
	found := make(map[string]bool) // name -> subscribed itself
	for _, name := range names {
		if pattern.match(name) {
			found[name] = true
			continue
		}
		// RFC 3501, 6.3.9: with "%", the level above a subscribed mailbox is
		// told with \Noselect.
		for up := range ancestors(name) {
			if !found[up] && pattern.match(up) {
				found[up] = false
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		attribute := uses[name]
		if !found[name] {
			attribute = `\Noselect`
		}
		c.sayLsub(name, attribute)
	}
	return nil
}

// specialUses returns the special use of each mailbox that has one. Programs that
// show subscribed folders alone learn it from LSUB.
func (c *conn) specialUses() (map[string]string, error) {
	list, err := c.account.List()
	if err != nil {
		return nil, err
	}
	uses := make(map[string]string)
	for _, m := range list {
		if m.SpecialUse != "" {
			uses[m.Name] = m.SpecialUse
		}
	}
	return uses, nil
}

func (c *conn) sayLsub(name, attribute string) {
	c.out.begin()
	b := append(c.out.buf, "* LSUB ("...)
	b = append(b, attribute...)
	c.out.buf = imapwire.AppendMailbox(append(b, `) "/" `...), name, c.utf8())
	c.out.line()
}
