package appliance

import (
	"context"
	"fmt"
	"text/template"

	"letterbox/appliance/config"
	"letterbox/appliance/control"
	"letterbox/store"
)

// bound puts in force what people's mailboxes may hold, and what is to be left free of the disk.
func (a *Appliance) bound(c config.Config) {
	quotas := make(map[string]store.Quota, len(c.People))
	for _, p := range c.People {
		octets, messages := c.Quota(p)
		quotas[p.Name] = store.Quota{Bytes: octets, Messages: messages}
	}
	percent, octets := c.Limits.FreeSpace.Floor()
	a.store.SetFloor(store.Floor{Percent: percent, Bytes: octets})
	a.store.SetQuotas(quotas)
}

// Usage tells what somebody's mailboxes hold, counting what is not known yet.
func (a *Appliance) Usage(ctx context.Context, person string) (control.Usage, error) {
	account, err := a.store.Account(person)
	if err != nil {
		return control.Usage{}, fmt.Errorf("counting the mail of %s: %w", person, err)
	}
	u, err := account.CountUsage(ctx)
	if err != nil {
		a.log.Warn("the mail of somebody cannot be counted", "person", person, "err", err)
		return control.Usage{}, fmt.Errorf("counting the mail of %s: %w", person, err)
	}
	return control.Usage{Bytes: u.Bytes, Messages: u.Messages}, nil
}

// nearlyFullText tells somebody that there is little room left, and what to do.
var nearlyFullText = template.Must(template.New("nearly full").Parse(`Hello{{with .FullName}} {{.}}{{end}},

your mailbox {{.Address}} is {{.Fullness}}: {{.Used}}.

While it is full, mail for you alone does not come in; mail for several of you
does, as long as one has room. Nothing that you have is lost, and whoever writes
to you is told, after their mail server has tried for some days.

What you can do:

  - Delete what you do not need any more. Most mail programs can sort mail by
    size; sent mail and pictures take most of the room as a rule.

  - Empty the folders Trash and Junk: what lies there takes room, too.

  - Ask whoever looks after this letterbox for more room. They give it with

        letterbox user quota {{.Person}} SIZE

This mail comes once. It comes again only when your mail has become much less
and then grows again.
`))

// warnNearlyFull leaves a mail with somebody whose quota is used up but for a tenth.
func (a *Appliance) warnNearlyFull(ctx context.Context, person string, u store.Usage, q store.Quota) error {
	c, _ := a.Config()
	i, ok := c.Person(person)
	if !ok {
		return nil // removed just now
	}
	fullness := "nearly full"
	if max(percent(u.Bytes, q.Bytes), percent(u.Messages, q.Messages)) >= 100 {
		fullness = "full"
	}
	in := a.store.NewIncoming()
	defer in.Close()
	letter := letterFor(c, c.People[i], a.now(), "Your mailbox is "+fullness, nearlyFullText, map[string]any{"Fullness": fullness, "Used": used(u, q)})
	if _, err := in.Write(letter); err != nil {
		return err
	}
	if err := a.store.Deliver(ctx, in, []store.Target{{Person: person, Notice: true}}); err != nil {
		return err
	}
	a.log.Info("warned that the mailbox is nearly full", "person", person, "octets", u.Bytes, "messages", u.Messages)
	return nil
}

// used says in words how much of a quota is used, of octets or messages: of those there is less left of.
func used(u store.Usage, q store.Quota) string {
	octets, messages := percent(u.Bytes, q.Bytes), percent(u.Messages, q.Messages)
	if messages > octets {
		return fmt.Sprintf("it holds %d messages, and may hold %d (%d %%)", u.Messages, q.Messages, messages)
	}
	return fmt.Sprintf("your mail takes %s of the %s that it may take (%d %%)", config.Size(u.Bytes).Readable(), config.Size(q.Bytes).Readable(), octets)
}

func percent(part, whole int64) int64 {
	if whole <= 0 {
		return 0
	}
	return 100 * part / whole
}
