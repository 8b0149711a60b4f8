package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"letterbox/appliance"
	"letterbox/appliance/control"
	"letterbox/appliance/transfer"
)

// exportDovecot writes everybody's mail, and what Dovecot needs to serve it. It reads the files themselves, whether a server runs on
// them or not.
func exportDovecot(ctx context.Context, args []string, c console) error {
	f := newDataFlags("export dovecot", c)
	dryRun := f.dryRun()
	words, err := f.parse(args, "DIR")
	if err != nil {
		return err
	}
	household, err := appliance.DovecotHousehold(*f.data)
	if err != nil {
		return err
	}
	e := transfer.DovecotExport{Data: *f.data, Dir: words[0], Household: household, Serving: func() bool { return isServed(*f.data) }}
	if *dryRun {
		messages, octets, err := e.Plan()
		if err != nil {
			return err
		}
		return say(c, "%s of %s, %s, would go to %s. Nothing was written.", transfer.Messages(messages), countPeople(len(household.People)), transfer.Octets(octets), e.Dir)
	}
	report, err := e.Run(ctx, progressOn(c))
	return errors.Join(tellDovecotExport(report, c), judgeDovecotExport(e, report, err, c))
}

// isServed reports whether a server works on a data folder.
func isServed(data string) bool {
	running, err := control.Dial(filepath.Join(data, control.SocketName))
	return err == nil && running.Close() == nil
}

func countPeople(n int) string {
	if n == 1 {
		return "1 person"
	}
	return fmt.Sprint(n, " people")
}

// tellDovecotExport says what was copied, of each person in a line, and what could not be.
func tellDovecotExport(report transfer.DovecotReport, c console) error {
	var errs []error
	for i := range report.People {
		one := &report.People[i]
		if one.NoMail {
			errs = append(errs, say(c, "%s: no mailbox yet", one.Name))
			continue
		}
		messages, octets := one.Exported()
		errs = append(errs, say(c, "%s: %s, %s", one.Name, transfer.Messages(messages), transfer.Octets(octets)))
		if one.LeftOut > 0 {
			_, err := one.ExportReport.WriteTo(c.out)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// judgeDovecotExport says what is left to do, or why it did not come to that.
func judgeDovecotExport(e transfer.DovecotExport, report transfer.DovecotReport, err error, c console) error {
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("the export was stopped; the same command goes on where it stopped")
	case err != nil && len(report.People) > 0:
		return fmt.Errorf("%w; the same command goes on where the export stopped", err)
	case err != nil:
		return err
	}
	for _, one := range report.People {
		if one.LeftOut > 0 {
			return errors.New("not everything could be read: see what is listed as left out; once that is dealt with, the same command brings it")
		}
	}
	if !report.Finished {
		err = say(c, "The letterbox runs, so that what came or changed meanwhile may be missing. Before Dovecot takes over, stop it and give the same command again: it brings only that.")
	}
	return errors.Join(err, sayAfterDovecotExport(e, c))
}

// sayAfterDovecotExport says what people have to know and to do.
func sayAfterDovecotExport(e transfer.DovecotExport, c console) error {
	lines := []string{
		fmt.Sprintf("What is left to do stands in %s, step by step, with the settings for Dovecot beside it.", filepath.Join(e.Dir, "README.txt")),
		"Mail programs that know the folders download nothing again. Those that use CONDSTORE should refresh flags once.",
		"Device passwords do not move: mail programs that have one need the person's own password then.",
	}
	if names := e.Household.WithoutPassword(); len(names) > 0 {
		lines = append(lines, "Without a password here, so that they need one there: "+strings.Join(names, ", ")+".")
	}
	if names := e.Household.Sodium(); len(names) > 0 {
		lines = append(lines, "Dovecot has to be built with libsodium, as Debian's is, to check the passwords of "+strings.Join(names, ", ")+".")
	}
	return say(c, "%s", strings.Join(lines, "\n"))
}
