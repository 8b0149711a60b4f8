// Command letterbox is the letterbox of a house: it receives, keeps and serves a household's mail.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Set by the linker.
var (
	version   = "unknown"
	buildDate string // RFC 3339
)

// built is when this program was made, as far as it is known.
func built() time.Time {
	t, err := time.Parse(time.RFC3339, buildDate)
	if err != nil {
		return time.Time{}
	}
	return t
}

// Exit codes.
const (
	exitFault = 1 // it could not be done; standard error says why
	exitUsage = 2 // the words on the command line are off
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], console{in: os.Stdin, out: os.Stdout, err: os.Stderr})
	stop()
	var usage usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "letterbox: %v\n", err)
		os.Exit(exitUsage)
	default:
		fmt.Fprintf(os.Stderr, "letterbox: %v\n", err)
		os.Exit(exitFault)
	}
}

// console is where a command reads and writes.
type console struct {
	in       *os.File
	out, err io.Writer
}

// usageError is a fault in the words on the command line.
type usageError string

func (e usageError) Error() string { return string(e) }

// command is one word on the command line, or two ("user add").
type command struct {
	name    string
	args    string // what follows, for the help
	summary string
	run     func(ctx context.Context, args []string, c console) error
}

func commands() []command {
	return []command{
		{"serve", "--data DIR [--listen ADDR] [--port-offset N] [--verbose] [--trace]", "run the mail server", serve},
		{"init", "--data DIR --domain NAME --user NAME [--household TEXT] [--full-name TEXT] [--password-file FILE] [--listen ADDR] [--port-offset N]", "set up a household without a browser", initialize},
		{"setup-code", "--data DIR", "show the address of the set-up page and a new one-time code", setupCode},
		{"user add", "--data DIR [--full-name TEXT] [--password-file FILE] NAME", "add a person", userAdd},
		{"user list", "--data DIR", "list the people, and how much mail they have", userList},
		{"user passwd", "--data DIR [--password-file FILE] NAME", "give a person a new password", userPasswd},
		{"user remove", "--data DIR NAME", "remove a person; their mail is set aside, not deleted", userRemove},
		{"user quota", "--data DIR [--messages N] NAME SIZE", "say how much mail a person may have: 5GB, none, or default (that of the household)", userQuota},
		{"device add", "--data DIR PERSON DEVICE", "make a password for one mail program", deviceAdd},
		{"device list", "--data DIR PERSON", "list a person's device passwords", deviceList},
		{"device revoke", "--data DIR PERSON DEVICE", "make a device password void", deviceRevoke},
		{"import mbox", "--data DIR [--folder NAME] [--dry-run] PERSON PATH...", "bring in mbox files, as Thunderbird, Apple Mail and Google Takeout have them", importMbox},
		{"import maildir", "--data DIR [--folder NAME] [--dry-run] PERSON PATH...", "bring in Maildirs, of what a copy or an export of this mailbox holds only what is missing here", importMaildir},
		{"import eml", "--data DIR [--folder NAME] [--dry-run] PERSON PATH...", "bring in files that are a message each, .eml", importEML},
		{"undelete", "--data DIR [--folder NAME] [--since DATE] [--until DATE] [--all] [--list] PERSON [ID...]", "bring back, or show, what a person has deleted in the last 30 days", undelete},
		{"purge", "--data DIR [--folder NAME] [--since DATE] [--until DATE] [--all] PERSON [ID...]", "remove for good what a person has deleted", purge},
		{"check", "--data DIR [--repair] [PERSON...]", "read all mail and say whether it is as it should be", check},
		{"import imap", "--data DIR --server HOST[:PORT] --user NAME [--password-file FILE] [--ca FILE | --fingerprint HEX | --unencrypted] [--folder NAME]... [--exclude NAME]... [--keep-names] [--dry-run] PERSON", "bring in the mail that lies at another IMAP server, where nothing is changed; run again, it brings what is new there", importIMAP},
		{"import dovecot", "--data DIR [--passwd FILE] [--domain NAME] [--user NAME] [--skip NAME]... [--rename OLD=NEW]... [--dry-run] DIR", "take over people, passwords and mail of a Dovecot server, so that mail programs download nothing again", importDovecot},
		{"export mbox", "--data DIR [--folder NAME] PERSON DIR", "write a person's mail into a folder, an mbox file for each folder of it", exportMbox},
		{"export maildir", "--data DIR [--folder NAME] PERSON DIR", "write a person's mail into a folder as a Maildir", exportMaildir},
		{"export dovecot", "--data DIR [--dry-run] DIR", "write everybody's mail and passwords into a folder from which a Dovecot server goes on", exportDovecot},
		{"demo", "[--port-offset N]", "try it: a fresh household in a temporary folder on loopback ports", demo},
		{"version", "", "show the version", showVersion},
	}
}

// run does what args say and returns when it is done or ctx has ended.
func run(ctx context.Context, args []string, c console) error {
	if len(args) == 0 {
		help(c.err, commands())
		return usageError("no command was given; 'letterbox help' lists the commands")
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		return helpOn(ctx, args[1:], c)
	}
	if cmd, rest, ok := find(args); ok {
		return cmd.run(ctx, rest, c)
	}
	if group := under(args[0]); len(group) > 0 {
		help(c.err, group)
		if len(args) == 1 {
			return usageError(fmt.Sprintf("%q needs a second word", args[0]))
		}
		return usageError(fmt.Sprintf("there is no command %q", args[0]+" "+args[1]))
	}
	if strings.HasPrefix(args[0], "-") {
		return usageError(fmt.Sprintf("the command comes first, and %s behind it; 'letterbox help' lists the commands", args[0]))
	}
	return usageError(fmt.Sprintf("there is no command %q; 'letterbox help' lists the commands", args[0]))
}

// find takes the command off the front of args.
func find(args []string) (cmd command, rest []string, ok bool) {
	for words := min(2, len(args)); words > 0; words-- {
		name := strings.Join(args[:words], " ")
		for _, cmd := range commands() {
			if cmd.name == name {
				return cmd, args[words:], true
			}
		}
	}
	return command{}, nil, false
}

// under lists the commands whose first word is this one.
func under(word string) []command {
	return slices.DeleteFunc(commands(), func(cmd command) bool {
		first, _, _ := strings.Cut(cmd.name, " ")
		return first != word
	})
}

// helpOn answers "help" and what stands behind it.
func helpOn(ctx context.Context, words []string, c console) error {
	if len(words) == 0 {
		fmt.Fprintf(c.out, "Letterbox is the letterbox of a house: it receives, keeps and serves a household's mail.\n\n")
		help(c.out, commands())
		_, err := fmt.Fprintf(c.out, "\nWithout --data, the folder named by LETTERBOX_DATA is used, or else %s.\n'letterbox help' and a command tell more.\n", defaultData)
		return err
	}
	if cmd, _, ok := find(words); ok {
		return cmd.run(ctx, []string{"--help"}, c)
	}
	group := under(words[0])
	if len(group) == 0 {
		return usageError(fmt.Sprintf("there is no command %q; 'letterbox help' lists the commands", strings.Join(words, " ")))
	}
	help(c.out, group)
	return nil
}

func help(w io.Writer, list []command) {
	for _, cmd := range list {
		fmt.Fprintf(w, "  %s\n        %s\n", cmd.synopsis(), cmd.summary)
	}
}

// synopsis is how the command is written.
func (cmd command) synopsis() string {
	return strings.TrimRight("letterbox "+cmd.name+" "+cmd.args, " ")
}

// flags are the flags of one command.
type flags struct {
	*flag.FlagSet
	data *string // nil for a command without a data folder
	out  io.Writer
}

// defaultData is where packages keep the mail.
const defaultData = "/var/lib/letterbox"

func newFlags(name string, c console) flags {
	f := flags{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError), out: c.out}
	f.SetOutput(io.Discard) // parse says what is wrong, once
	f.Usage = func() {}
	return f
}

// newDataFlags are the flags of a command that works on a data folder.
func newDataFlags(name string, c console) flags {
	f := newFlags(name, c)
	dir := os.Getenv("LETTERBOX_DATA")
	if dir == "" {
		dir = defaultData
	}
	f.data = f.String("data", dir, "`folder` that holds the configuration and the mail")
	return f
}

// parse reads args: flags and words in any order, the words as many as names, or more if the last name has "..." in it, which
// may be none if it stands in brackets. It returns the words.
func (f flags) parse(args []string, names ...string) (words []string, err error) {
	for {
		err := f.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			f.help()
			return nil, err
		}
		if err != nil {
			return nil, f.wrong(strings.Replace(err.Error(), "flag provided but not defined: -", "there is no flag --", 1))
		}
		rest := f.Args()
		if read := len(args) - len(rest); len(rest) == 0 || read > 0 && args[read-1] == "--" {
			words = append(words, rest...)
			break
		}
		words, args = append(words, rest[0]), rest[1:]
	}
	open := len(names) > 0 && strings.Contains(names[len(names)-1], "...")
	if open && names[len(names)-1][0] == '[' {
		names = names[:len(names)-1]
	}
	if len(words) < len(names) {
		return nil, f.wrong(names[len(words)] + " is missing")
	}
	if len(words) > len(names) && !open {
		return nil, f.wrong(fmt.Sprintf("there is no place for %q", words[len(names)]))
	}
	return words, nil
}

// wrong is a fault in the words behind the command.
func (f flags) wrong(what string) usageError {
	cmd, _, _ := find(strings.Fields(f.Name()))
	return usageError(f.Name() + ": " + what + "; write " + cmd.synopsis())
}

// help tells all about the command.
func (f flags) help() {
	cmd, _, _ := find(strings.Fields(f.Name()))
	help(f.out, []command{cmd})
	fmt.Fprintln(f.out)
	f.VisitAll(func(one *flag.Flag) {
		kind, usage := flag.UnquoteUsage(one)
		fmt.Fprintf(f.out, "  %s\n        %s", strings.TrimRight("--"+one.Name+" "+strings.ToUpper(kind), " "), usage)
		if one.DefValue != "" && one.DefValue != "0" && one.DefValue != "false" {
			fmt.Fprintf(f.out, " (otherwise %s)", one.DefValue)
		}
		fmt.Fprintln(f.out)
	})
}

func showVersion(_ context.Context, args []string, c console) error {
	if _, err := newFlags("version", c).parse(args); err != nil {
		return err
	}
	_, err := fmt.Fprintln(c.out, "letterbox", version)
	return err
}
