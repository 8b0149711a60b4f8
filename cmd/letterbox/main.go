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

func (e usageError) Error() string { return string(e) + "; 'letterbox help' lists the commands" }

// command is one word on the command line, or two ("user add").
type command struct {
	name    string
	args    string // what follows, for the help
	summary string
	run     func(ctx context.Context, args []string, c console) error
}

func commands() []command {
	return []command{
		{"serve", "--data DIR [--listen ADDR] [--port-offset N] [--verbose]", "run the mail server", serve},
		{"init", "--data DIR --domain NAME --user NAME [--password-file FILE] [--listen ADDR] [--port-offset N]", "set up a household without a browser", initialize},
		{"setup-code", "--data DIR", "show the address of the set-up page and a new one-time code", setupCode},
		{"user add", "--data DIR [--full-name TEXT] [--password-file FILE] NAME", "add a person", userAdd},
		{"user list", "--data DIR", "list the people", userList},
		{"user passwd", "--data DIR [--password-file FILE] NAME", "give a person a new password", userPasswd},
		{"user remove", "--data DIR NAME", "remove a person; their mail is set aside, not deleted", userRemove},
		{"device add", "--data DIR PERSON DEVICE", "make a password for one mail program", deviceAdd},
		{"device list", "--data DIR PERSON", "list a person's device passwords", deviceList},
		{"device revoke", "--data DIR PERSON DEVICE", "make a device password void", deviceRevoke},
		{"demo", "[--port-offset N]", "try it: a fresh household in a temporary folder on loopback ports", demo},
		{"version", "", "show the version", showVersion},
	}
}

// run does what args say and returns when it is done or ctx has ended.
func run(ctx context.Context, args []string, c console) error {
	if len(args) == 0 {
		help(c.err)
		return usageError("no command was given")
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		help(c.out)
		return nil
	}
	for words := min(2, len(args)); words > 0; words-- {
		name := args[0]
		if words == 2 {
			name += " " + args[1]
		}
		for _, cmd := range commands() {
			if cmd.name == name {
				return cmd.run(ctx, args[words:], c)
			}
		}
	}
	return usageError(fmt.Sprintf("there is no command %q", args[0]))
}

func help(w io.Writer) {
	fmt.Fprintf(w, "Letterbox is the letterbox of a house: it receives, keeps and serves a household's mail.\n\n")
	for _, cmd := range commands() {
		fmt.Fprintf(w, "  letterbox %s %s\n        %s\n", cmd.name, cmd.args, cmd.summary)
	}
	fmt.Fprintf(w, "\nWithout --data, the folder named by LETTERBOX_DATA is used, or else %s.\n", defaultData)
}

// flags are the flags of one command, with the one that all of them share.
type flags struct {
	*flag.FlagSet
	data *string
}

// defaultData is where packages keep the mail.
const defaultData = "/var/lib/letterbox"

func newFlags(name string, c console) flags {
	f := flags{FlagSet: flag.NewFlagSet("letterbox "+name, flag.ContinueOnError)}
	f.SetOutput(c.err)
	dir := os.Getenv("LETTERBOX_DATA")
	if dir == "" {
		dir = defaultData
	}
	f.data = f.String("data", dir, "`folder` that holds the configuration and the mail")
	return f
}

// parse reads args, whose words after the flags must be as many as names, and returns those words.
func (f flags) parse(args []string, names ...string) ([]string, error) {
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil, err
	} else if err != nil {
		return nil, usageError(err.Error())
	}
	if f.NArg() < len(names) {
		return nil, usageError(fmt.Sprintf("%s: %s is missing", f.Name(), names[f.NArg()]))
	}
	if f.NArg() > len(names) {
		return nil, usageError(fmt.Sprintf("%s: there is no place for %q", f.Name(), f.Arg(len(names))))
	}
	return f.Args(), nil
}

func showVersion(_ context.Context, args []string, c console) error {
	if _, err := newFlags("version", c).parse(args); err != nil {
		return err
	}
	_, err := fmt.Fprintln(c.out, "letterbox", version)
	return err
}
