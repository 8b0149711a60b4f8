package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"unicode"

	"letterbox/appliance/config"
	"letterbox/appliance/control"
	"letterbox/appliance/transfer"
)

// which are the flags that choose among deleted messages.
type which struct {
	flags
	folder, since, until *string
	all                  *bool
}

func (f flags) which(all string) which {
	return which{
		flags:  f,
		folder: f.String("folder", "", "only what was in the folder of this `name`"),
		since:  f.String("since", "", "only what was deleted on this `date` or later, as in 2026-11-28"),
		until:  f.String("until", "", "only what was deleted on this `date` or earlier"),
		all:    f.Bool("all", false, all),
	}
}

// chosen is what flags and IDs choose; some is false where they choose nothing.
func (w which) chosen(ids []string) (chosen control.Which, some bool) {
	chosen = control.Which{Folder: *w.folder, Since: *w.since, Until: *w.until, IDs: ids}
	return chosen, *w.all || chosen.Folder != "" || chosen.Since != "" || chosen.Until != "" || len(ids) > 0
}

// allFound says what is wrong where not all that was chosen was found.
func allFound(chosen control.Which, found int, person string) error {
	ids := make(map[string]bool)
	for _, id := range chosen.IDs {
		ids[id] = true
	}
	switch {
	case found == 0 && !everything(chosen):
		return fmt.Errorf("nothing like that is kept: 'letterbox undelete --list %s' shows what is", config.FoldName(person))
	case found < len(ids):
		return fmt.Errorf("not every ID names something that is kept: 'letterbox undelete --list %s' shows what is", config.FoldName(person))
	}
	return nil
}

// everything reports whether nothing was chosen in particular.
func everything(w control.Which) bool {
	return w.Folder == "" && w.Since == "" && w.Until == "" && len(w.IDs) == 0
}

// undelete brings back what a person has deleted, or lists it.
func undelete(ctx context.Context, args []string, c console) error {
	f := newDataFlags("undelete", c)
	list := f.Bool("list", false, "only show what there is, with the IDs to bring back single messages by")
	w := f.which("bring back everything")
	return withClient(f, args, c, []string{"PERSON", "[ID...]"}, func(words []string, client *control.Client) error {
		chosen, some := w.chosen(words[1:])
		switch {
		case *list:
			return listDeleted(ctx, c, client, words[0], chosen)
		case !some:
			return f.wrong("say what is to come back: IDs, --folder, --since, --until or --all; --list shows what there is")
		}
		n, err := client.Undelete(ctx, words[0], chosen)
		if err != nil {
			return err
		}
		if n > 0 || everything(chosen) {
			err = say(c, "%s came back to %s.", transfer.Messages(int64(n)), config.FoldName(words[0]))
		}
		return errors.Join(err, allFound(chosen, n, words[0]))
	})
}

// purge removes what a person has deleted for good.
func purge(ctx context.Context, args []string, c console) error {
	f := newDataFlags("purge", c)
	w := f.which("remove everything that was deleted")
	return withClient(f, args, c, []string{"PERSON", "[ID...]"}, func(words []string, client *control.Client) error {
		chosen, some := w.chosen(words[1:])
		if !some {
			return f.wrong("say what is to go for good: IDs, --folder, --since, --until or --all; 'letterbox undelete --list' shows what there is")
		}
		done, err := client.Purge(ctx, words[0], chosen)
		if err != nil {
			return err
		}
		if done.Messages > 0 || everything(chosen) {
			err = say(c, "%s of %s went for good; %s are free.", transfer.Messages(int64(done.Messages)), config.FoldName(words[0]), transfer.Octets(done.Octets))
		}
		return errors.Join(err, allFound(chosen, done.Messages, words[0]))
	})
}

func listDeleted(ctx context.Context, c console, client *control.Client, person string, chosen control.Which) error {
	messages, octets := 0, int64(0)
	for after := ""; ; {
		part, err := client.Deleted(ctx, person, chosen, after)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		for _, m := range part.Messages {
			messages, octets = messages+1, octets+m.Octets
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", m.ID, m.Deleted, shown(m.Folder, 30), transfer.Octets(m.Octets), shown(m.From, 30), shown(m.Subject, 60))
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if after = part.Next; after == "" {
			break
		}
	}
	if messages == 0 {
		return say(c, "Nothing that was deleted is kept.")
	}
	return say(c, "%s (%s) can come back.", transfer.Messages(int64(messages)), transfer.Octets(octets))
}

// shown is a text from somebody else's message as a terminal may have it, cut to so
// many letters.
func shown(text string, length int) string {
	letters := []rune(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text))
	if len(letters) > length {
		letters = append(letters[:length-1], '…')
	}
	return string(letters)
}
