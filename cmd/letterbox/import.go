package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"letterbox/appliance/config"
	"letterbox/appliance/control"
	"letterbox/appliance/transfer"
)

// fileSource is a source of mail in files.
type fileSource interface {
	transfer.Source
	io.Closer
}

func importMbox(ctx context.Context, args []string, c console) error {
	return importFiles(ctx, "import mbox", args, c, func(paths []string, folder string) (fileSource, error) { return transfer.OpenMbox(paths, folder) })
}

func importMaildir(ctx context.Context, args []string, c console) error {
	return importFiles(ctx, "import maildir", args, c, func(paths []string, folder string) (fileSource, error) {
		return transfer.OpenMaildir(paths, folder)
	})
}

func importEML(ctx context.Context, args []string, c console) error {
	return importFiles(ctx, "import eml", args, c, func(paths []string, folder string) (fileSource, error) { return transfer.OpenEML(paths, folder) })
}

// importFiles imports what open opens, for the command of this name.
func importFiles(ctx context.Context, name string, args []string, c console, open func(paths []string, folder string) (fileSource, error)) error {
	f := newDataFlags(name, c)
	folder := f.String("folder", "", "`name` of the folder to bring it to, or below which to bring folders; otherwise they are called as there")
	dryRun := f.dryRun()
	words, err := f.parse(args, "PERSON", "PATH...")
	if err != nil {
		return err
	}
	src, err := open(words[1:], *folder)
	if err != nil {
		return err
	}
	return errors.Join(bring(ctx, *f.data, words[0], src, *dryRun, progressOn(c), c), src.Close())
}

func (f flags) dryRun() *bool {
	return f.Bool("dry-run", false, "say what would be done, and do nothing")
}

// bring imports what src has for a person, or says what that would be, and reports on it.
func bring(ctx context.Context, data, person string, src transfer.Source, dryRun bool, progress *transfer.Progress, c console) error {
	client, disconnect, err := connect(data, c)
	if err != nil {
		return err
	}
	do, headline := transfer.Import, "%s came into the mailbox of %s, %s."
	if dryRun {
		do, headline = transfer.Plan, "%s would come into the mailbox of %s, %s. Nothing was changed."
	}
	report, err := do(ctx, src, personalMail{client, person}, progress)
	messages, octets := report.Added()
	if len(report.Folders) > 0 || err == nil {
		_, werr := report.WriteTo(c.out)
		err = errors.Join(err, werr, say(c, headline, transfer.Messages(messages), config.FoldName(person), transfer.Octets(octets)))
	}
	var no *transfer.NoRoom
	if errors.As(err, &no) && no.Quota() {
		err = fmt.Errorf("%w; 'letterbox user quota %s' changes that", err, config.FoldName(person))
	}
	switch {
	case errors.Is(err, context.Canceled):
		err = errors.New("the import was stopped; the same command goes on where it stopped")
	case err != nil && messages > 0 && !dryRun:
		err = fmt.Errorf("%w; the same command goes on where the import stopped", err)
	case err == nil && report.LeftOut > 0:
		err = errors.New("not everything could be taken: see what is listed as left out")
	}
	return errors.Join(err, disconnect())
}

// progressOn shows progress where errors go: on a terminal in place, else in lines.
func progressOn(c console) *transfer.Progress {
	if f, ok := c.err.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return transfer.ProgressOnTerminal(f)
	}
	return transfer.ProgressInLog(c.err)
}

// personalMail is the mail of a person as an import sees it, through the control plane.
type personalMail struct {
	client *control.Client
	person string
}

func (p personalMail) Look(ctx context.Context, folder string, known func(transfer.ID)) (transfer.Place, error) {
	var place transfer.Place
	for after := uint32(0); ; {
		told, err := p.client.ImportFolder(ctx, p.person, folder, after)
		if err != nil {
			return place, err
		}
		for _, text := range told.IDs {
			id, err := transfer.ParseID(text)
			if err != nil {
				return place, err
			}
			known(id)
		}
		place = transfer.Place{Name: told.Name, Exists: told.Exists, MaxMessage: told.MaxMessage}
		if after = told.Next; after == 0 {
			return place, nil
		}
	}
}

func (p personalMail) Lack(ctx context.Context, messages, octets int64) (transfer.Lack, error) {
	l, err := p.client.Lack(ctx, p.person, control.Usage{Messages: messages, Bytes: octets})
	return transfer.Lack{Messages: l.Messages, Octets: l.Bytes, Disk: l.Disk}, err
}

func (p personalMail) Append(ctx context.Context, to transfer.Place, fill func(add func(*transfer.Message, io.Reader) error) error) error {
	target := control.ImportTarget{Folder: to.Name, Unsubscribed: to.Unsubscribed}
	return p.client.Import(ctx, p.person, target, func(add func(*control.ImportMessage, io.Reader) error) error {
		return fill(func(m *transfer.Message, octets io.Reader) error {
			in := &control.ImportMessage{Flags: m.Flags, Date: m.Date}
			return add(in, &identityReader{octets, m, in})
		})
	})
}

// identityReader reads a message, and passes its identity on when that is there, at the end.
type identityReader struct {
	octets io.Reader
	from   *transfer.Message
	to     *control.ImportMessage
}

func (r *identityReader) Read(b []byte) (int, error) {
	n, err := r.octets.Read(b)
	if err == io.EOF {
		r.to.ID = r.from.ID.String()
	}
	return n, err
}
