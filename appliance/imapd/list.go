package imapd

import (
	"slices"
	"strings"

	"letterbox/appliance/imapwire"
	"letterbox/store"
)

// list is LIST (RFC 9051, 6.3.9; RFC 5258; RFC 5819; RFC 6154).
func (c *conn) list(r *request) error {
	a, err := imapwire.ParseList(r.args)
	if err != nil {
		return err
	}
	if !a.Extended && a.Patterns[0] == "" {
		c.out.line(`* LIST (\Noselect) "/" ""`) // asks for the delimiter
		return nil
	}
	entries, err := c.listEntries(a.Select.Subscribed)
	if err != nil {
		return err
	}
	patterns := compilePatterns(a.Reference, a.Patterns...)
	needed, told := aboveMatches(entries, a.Select, patterns)
	for i := range entries {
		e := &entries[i]
		if !patterns.match(e.Name) || !e.satisfies(a.Select) && !needed[e.Name] {
			continue
		}
		e.childInfo = needed[e.Name] || told[e.Name]
		c.sayList(e, a)
		if len(a.Return.Status) > 0 && e.Selectable && e.satisfies(a.Select) {
			// RFC 5819, 2: a mailbox that is gone meanwhile just has no STATUS.
			if err := c.sayStatus(e.Name, a.Return.Status); err != nil {
				c.log.Debug("LIST with STATUS", "mailbox", e.Name, "err", err)
			}
		}
	}
	return nil
}

// A listEntry is a name that LIST may tell.
type listEntry struct {
	store.MailboxInfo
	missing   bool // subscribed, or above one that is, and not there
	childInfo bool // RECURSIVEMATCH: a name below it satisfies the selection
}

// satisfies reports whether e passes the selection options.
func (e *listEntry) satisfies(s imapwire.ListSelect) bool {
	switch {
	case s.Subscribed && !e.Subscribed, s.SpecialUse && e.SpecialUse == "":
		return false
	}
	return s.Subscribed || !e.missing
}

// listEntries returns all mailboxes in order of their names. With subscribed,
// names that are subscribed and not there, and the levels above them, are
// among them.
func (c *conn) listEntries(subscribed bool) ([]listEntry, error) {
	infos, err := c.account.List()
	if err != nil {
		return nil, err
	}
	entries := make([]listEntry, 0, len(infos))
	known := make(map[string]bool)
	for _, info := range infos {
		entries = append(entries, listEntry{MailboxInfo: info})
		known[info.Name] = true
	}
	if subscribed {
		names, err := c.account.Subscriptions()
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if known[name] {
				continue
			}
			known[name] = true
			entries = append(entries, missingEntry(name, true))
		}
		for _, name := range names {
			for up := range ancestors(name) {
				if !known[up] {
					known[up] = true
					entries = append(entries, missingEntry(up, false))
				}
			}
		}
	}
	slices.SortFunc(entries, func(a, b listEntry) int { return strings.Compare(a.Name, b.Name) })
	return entries, nil
}

func missingEntry(name string, subscribed bool) listEntry {
	return listEntry{MailboxInfo: store.MailboxInfo{Name: name, Subscribed: subscribed}, missing: true}
}

// ancestors yields the names above name: "a/b/c" has "a/b" and "a".
func ancestors(name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := len(name) - 1; i > 0; i-- {
			if name[i] == delimiter && !yield(name[:i]) {
				return
			}
		}
	}
}

// aboveMatches returns, for RECURSIVEMATCH, the names above those that satisfy
// the selection: the ones above a name that matches no pattern, which have to be
// told whatever they are themselves (RFC 5258, 3.5), and the others.
func aboveMatches(entries []listEntry, s imapwire.ListSelect, p patterns) (needed, told map[string]bool) {
	if !s.RecursiveMatch {
		return nil, nil
	}
	needed, told = make(map[string]bool), make(map[string]bool)
	for i := range entries {
		e := &entries[i]
		if !e.satisfies(s) {
			continue
		}
		above := needed
		if p.match(e.Name) {
			above = told
		}
		for up := range ancestors(e.Name) {
			above[up] = true
		}
	}
	return needed, told
}

// patterns are the patterns of one LIST or LSUB.
type patterns []*imapwire.ListPattern

func compilePatterns(reference string, list ...string) patterns {
	p := make(patterns, len(list))
	for i := range list {
		p[i] = imapwire.NewListPattern(reference+list[i], delimiter)
	}
	return p
}

func (p patterns) match(name string) bool {
	return slices.ContainsFunc(p, func(one *imapwire.ListPattern) bool { return one.Match(name) })
}

// sayList writes one LIST response.
func (c *conn) sayList(e *listEntry, a imapwire.ListArgs) {
	c.out.begin()
	b := append(c.out.buf, "* LIST "...)
	b = imapwire.AppendFlags(b, e.attributes(a))
	b = imapwire.AppendMailbox(append(b, ` "/" `...), e.Name, c.utf8())
	if e.childInfo {
		b = append(b, childInfo(a.Select)...)
	}
	c.out.buf = append(b, '\r', '\n')
	c.out.done()
}

// childInfo is the extended data item CHILDINFO: what is selected is found among
// the children (RFC 5258, 3.5).
func childInfo(s imapwire.ListSelect) string {
	switch {
	case s.Subscribed && s.SpecialUse:
		return ` ("CHILDINFO" ("SUBSCRIBED" "SPECIAL-USE"))`
	case s.SpecialUse:
		return ` ("CHILDINFO" ("SPECIAL-USE"))`
	}
	return ` ("CHILDINFO" ("SUBSCRIBED"))`
}

// attributes are the mailbox attributes of RFC 9051, 7.3.1. Children and
// special uses are told whether asked for or not.
func (e *listEntry) attributes(a imapwire.ListArgs) []string {
	var list []string
	if !e.Selectable {
		list = append(list, `\NonExistent`, `\Noselect`)
	}
	if (a.Select.Subscribed || a.Return.Subscribed) && e.Subscribed {
		list = append(list, `\Subscribed`)
	}
	switch {
	case e.HasChildren:
		list = append(list, `\HasChildren`)
	case !e.missing:
		list = append(list, `\HasNoChildren`)
	}
	if e.SpecialUse != "" {
		list = append(list, e.SpecialUse)
	}
	return list
}
