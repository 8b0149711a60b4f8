package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"letterbox/appliance"
	"letterbox/appliance/control"
	"letterbox/appliance/transfer"
)

// importDovecot takes a Dovecot server's people and their mail over. It works on the data itself, without a server.
func importDovecot(ctx context.Context, args []string, c console) error {
	f := newDataFlags("import dovecot", c)
	o := appliance.DovecotImport{Rename: map[string]string{}}
	f.StringVar(&o.Passwd, "passwd", "", "passwd-`file` with the people and their passwords; otherwise one called users, passwd or passwd-file in DIR, if there is one")
	f.StringVar(&o.Domain, "domain", "", "mail `domain` of those who are there without one")
	f.StringVar(&o.User, "user", "", "`name` of the person, where DIR is one person's Maildir")
	f.Func("skip", "`name` of somebody, as called there, who is not taken over; can be given more than once", func(name string) error {
		o.Skip = append(o.Skip, name)
		return nil
	})
	f.Func("rename", "`old=new`: what somebody who is called old there is called here; can be given more than once", func(pair string) error {
		there, here, ok := strings.Cut(pair, "=")
		if o.Rename[there] = here; !ok || there == "" || here == "" {
			return errors.New("it has the form OLD=NEW")
		}
		return nil
	})
	dryRun := f.dryRun()
	words, err := f.parse(args, "DIR")
	if err != nil {
		return err
	}
	o.Dir = words[0]
	if running, err := control.Dial(filepath.Join(*f.data, control.SocketName)); err == nil {
		return errors.Join(errors.New("a letterbox is running on this data folder: stop it first, since people come with all their mail"), running.Close())
	}
	a, err := appliance.Open(*f.data, appliance.Options{Log: newLogger(c, slog.LevelWarn), Version: version, BuildDate: built()})
	if err != nil {
		return err
	}
	err = takeOver(ctx, a, o, *dryRun, c)
	return errors.Join(err, a.Close(), appliance.GiveToOwner(*f.data))
}

func takeOver(ctx context.Context, a *appliance.Appliance, o appliance.DovecotImport, dryRun bool, c console) (err error) {
	plan, err := a.PlanDovecotImport(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plan.Close()) }()
	if _, err := plan.WriteTo(c.out); err != nil || dryRun {
		return errors.Join(err, say(c, "Nothing was changed."))
	}
	messages, octets, err := plan.CarryOut(ctx, progressOn(c))
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("the import was stopped; the same command goes on where it stopped")
	case err != nil:
		return fmt.Errorf("%w; once that is dealt with, the same command goes on where it stopped", err)
	}
	return say(c, "%s of the old server are here now, %s. Until somebody uses their mailbox here, the same command brings what comes there later.", transfer.Messages(messages), transfer.Octets(octets))
}
