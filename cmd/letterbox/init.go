package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"

	"letterbox/appliance"
	"letterbox/appliance/control"
)

// initialize sets up a household without a browser, for packages and automation.
func initialize(ctx context.Context, args []string, c console) error {
	f := newDataFlags("init", c)
	where := f.places()
	household := f.String("household", "", "the household's `name`, for people to read")
	domain := f.String("domain", "", "the mail `domain`: the part of an address behind the @")
	user := f.String("user", "", "the first person's `name`: the part of an address before the @")
	fullName := f.String("full-name", "", "the first person's `name` as others see it")
	file := f.passwordFile()
	if _, err := f.parse(args); err != nil {
		return err
	}
	if *domain == "" || *user == "" {
		return f.wrong("--domain and --user are needed")
	}
	defaults, err := where.config()
	if err != nil {
		return err
	}
	if running, err := control.Dial(filepath.Join(*f.data, control.SocketName)); err == nil {
		return errors.Join(errors.New("a letterbox is running on this data folder: set it up in the browser, at the address that 'letterbox setup-code' shows, or stop it first"), running.Close())
	}
	password, err := readPassword(*file, c)
	if err != nil {
		return err
	}
	a, err := appliance.Open(*f.data, appliance.Options{Log: newLogger(c, slog.LevelWarn), Version: version, BuildDate: built(), Defaults: defaults})
	if err != nil {
		return err
	}
	defer a.Close()
	founding := appliance.Founding{Household: *household, Domain: *domain, Person: *user, FullName: *fullName, Password: password}
	if err := a.Found(ctx, founding); err != nil {
		return err
	}
	founded, _ := a.Config()
	return say(c, "%s has a mailbox in %s.", founded.People[0].Name+"@"+founded.MainDomain().Unicode(), *f.data)
}
