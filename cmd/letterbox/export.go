package main

import (
	"context"
	"errors"
	"fmt"

	"letterbox/appliance/config"
	"letterbox/appliance/transfer"
)

func exportMbox(ctx context.Context, args []string, c console) error {
	return export(ctx, "export mbox", args, c, transfer.ExportMbox)
}

func exportMaildir(ctx context.Context, args []string, c console) error {
	return export(ctx, "export maildir", args, c, transfer.ExportMaildir)
}

// export takes a person's mail out in the way of do, for the command of this name. It reads the files themselves, whether a server runs
// on them or not.
func export(ctx context.Context, name string, args []string, c console, do func(context.Context, transfer.Export, *transfer.Progress) (transfer.ExportReport, error)) error {
	f := newDataFlags(name, c)
	folder := f.String("folder", "", "`name` of the only folder to take out, with those below it; otherwise all are")
	words, err := f.parse(args, "PERSON", "DIR")
	if err != nil {
		return err
	}
	person := config.FoldName(words[0])
	if err := config.CheckPersonName(person); err != nil {
		return err
	}
	mail, err := transfer.OpenMail(*f.data, person)
	if err != nil {
		return err
	}
	report, err := do(ctx, transfer.Export{Mail: mail, Person: person, Folder: *folder, Dir: words[1]}, progressOn(c))
	messages, octets := report.Exported()
	if len(report.Folders) > 0 {
		_, werr := report.WriteTo(c.out)
		err = errors.Join(err, werr, say(c, "%s of %s went to %s, %s.", transfer.Messages(messages), person, words[1], transfer.Octets(octets)))
	}
	switch {
	case errors.Is(err, context.Canceled):
		err = errors.New("the export was stopped; the same command goes on where it stopped")
	case err != nil && len(report.Folders) > 0:
		err = fmt.Errorf("%w; the same command goes on where the export stopped", err)
	case err == nil && report.LeftOut > 0:
		err = errors.New("not everything could be read: see what is listed as left out")
	}
	return errors.Join(err, mail.Close())
}
