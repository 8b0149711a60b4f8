package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"

	"golang.org/x/term"

	"letterbox/appliance"
	"letterbox/appliance/config"
	"letterbox/appliance/control"
)

// connect reaches the control plane of the data folder: that of the running server, or else one of our own over the data itself.
// disconnect ends it.
func connect(dir string, c console) (client *control.Client, disconnect func() error, err error) {
	client, err = control.Dial(filepath.Join(dir, control.SocketName))
	if err == nil {
		return client, client.Close, nil
	}
	if !errors.Is(err, control.ErrNotRunning) {
		return nil, nil, err
	}
	if err := mayOpen(dir); err != nil {
		return nil, nil, err
	}
	a, err := appliance.Open(dir, appliance.Options{Log: newLogger(c, slog.LevelWarn), Version: version, BuildDate: built()})
	if err != nil {
		return nil, nil, err
	}
	return a.Client(), a.Close, nil
}

// mayOpen tells whether the household in dir is there, and is this user's to change without a server: root would leave files there
// that the server, which runs as somebody else, cannot read.
func mayOpen(dir string) error {
	info, err := os.Stat(filepath.Join(dir, config.FileName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("no letterbox is running on %s, and there is no household in it; 'letterbox serve' or 'letterbox init' begins one", dir)
	case err != nil:
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 || owner.Uid == 0 {
		return nil
	}
	name := "#" + strconv.FormatUint(uint64(owner.Uid), 10)
	if known, err := user.LookupId(name[1:]); err == nil {
		name = known.Username
	}
	return fmt.Errorf("no letterbox is running on %s, and the household in it belongs to the user %s: start the server first, or do this as that user (sudo -u '%s' letterbox ...)", dir, name, name)
}

// withClient parses the flags, whose words must be as many as names, and hands words and control plane to do.
func withClient(f flags, args []string, c console, names []string, do func(words []string, client *control.Client) error) error {
	words, err := f.parse(args, names...)
	if err != nil {
		return err
	}
	client, disconnect, err := connect(*f.data, c)
	if err != nil {
		return err
	}
	return errors.Join(do(words, client), disconnect())
}

// withPassword is withClient for a command about one person and a password. The data is looked at before, so that nobody types a
// password in vain, and given back while somebody types: a server may start meanwhile.
func withPassword(f flags, args []string, c console, passwordFile *string, do func(name, password string, client *control.Client) error) error {
	words, err := f.parse(args, "NAME")
	if err != nil {
		return err
	}
	_, disconnect, err := connect(*f.data, c)
	if err != nil {
		return err
	}
	if err := disconnect(); err != nil {
		return err
	}
	password, err := readPassword(*passwordFile, c)
	if err != nil {
		return err
	}
	client, disconnect, err := connect(*f.data, c)
	if err != nil {
		return err
	}
	return errors.Join(do(words[0], password, client), disconnect())
}

func setupCode(ctx context.Context, args []string, c console) error {
	return withClient(newDataFlags("setup-code", c), args, c, nil, func(_ []string, client *control.Client) error {
		info, err := client.SetupCode(ctx)
		if err != nil {
			return err
		}
		status, err := client.Status(ctx)
		if err != nil {
			return err
		}
		if status.Started.IsZero() {
			fmt.Fprintln(c.out, "The set-up page opens when the server starts: letterbox serve")
		}
		printSetup(c.out, info)
		return nil
	})
}

// printSetup tells how to reach the set-up page and how to know that it is the right one.
func printSetup(w io.Writer, info control.SetupInfo) {
	for _, url := range info.URLs {
		fmt.Fprintf(w, "Set-up page:  %s\n", url)
	}
	fmt.Fprintf(w, "Code:         %s (until %s)\n", info.Code, info.Expires.Local().Format("15:04"))
	if info.Fingerprint != "" {
		fmt.Fprintf(w, "Certificate:  SHA-256 %s\n", info.Fingerprint)
	}
	if info.RootFingerprint != "" {
		fmt.Fprintf(w, "Household CA: SHA-256 %s\n", info.RootFingerprint)
	}
}

func userAdd(ctx context.Context, args []string, c console) error {
	f := newDataFlags("user add", c)
	fullName := f.String("full-name", "", "the person's `name` as others see it")
	file := f.passwordFile()
	return withPassword(f, args, c, file, func(name, password string, client *control.Client) error {
		if err := client.AddPerson(ctx, control.NewPerson{Name: name, FullName: *fullName, Password: password}); err != nil {
			return err
		}
		return say(c, "%s has a mailbox now.", config.FoldName(name))
	})
}

func userList(ctx context.Context, args []string, c console) error {
	return withClient(newDataFlags("user list", c), args, c, nil, func(_ []string, client *control.Client) error {
		people, err := client.People(ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		for _, p := range people {
			addresses := strings.Join(p.Addresses, " ")
			if p.Disabled {
				addresses += " (switched off)"
			}
			if p.NoPassword {
				addresses += " (no password yet: letterbox user passwd)"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", p.Name, p.FullName, addresses, told(p))
		}
		return w.Flush()
	})
}

func userPasswd(ctx context.Context, args []string, c console) error {
	f := newDataFlags("user passwd", c)
	file := f.passwordFile()
	return withPassword(f, args, c, file, func(name, password string, client *control.Client) error {
		if err := client.SetPassword(ctx, name, password); err != nil {
			return err
		}
		return say(c, "%s has a new password.", config.FoldName(name))
	})
}

func userRemove(ctx context.Context, args []string, c console) error {
	return withClient(newDataFlags("user remove", c), args, c, []string{"NAME"}, func(words []string, client *control.Client) error {
		if err := client.RemovePerson(ctx, words[0]); err != nil {
			return err
		}
		return say(c, "%s has no mailbox any more; the mail is set aside in the data folder.", config.FoldName(words[0]))
	})
}

func deviceAdd(ctx context.Context, args []string, c console) error {
	return withClient(newDataFlags("device add", c), args, c, []string{"PERSON", "DEVICE"}, func(words []string, client *control.Client) error {
		d, err := client.AddDevice(ctx, words[0], words[1])
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(c.out, d.Password)
		return err
	})
}

func deviceList(ctx context.Context, args []string, c console) error {
	return withClient(newDataFlags("device list", c), args, c, []string{"PERSON"}, func(words []string, client *control.Client) error {
		devices, err := client.Devices(ctx, words[0])
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		for _, d := range devices {
			fmt.Fprintf(w, "%s\t%s\n", d.Name, d.Created.Local().Format("2006-01-02 15:04"))
		}
		return w.Flush()
	})
}

func deviceRevoke(ctx context.Context, args []string, c console) error {
	return withClient(newDataFlags("device revoke", c), args, c, []string{"PERSON", "DEVICE"}, func(words []string, client *control.Client) error {
		if err := client.RevokeDevice(ctx, words[0], words[1]); err != nil {
			return err
		}
		return say(c, "The password of %q is void.", words[1])
	})
}

// say tells what was done.
func say(c console, format string, args ...any) error {
	_, err := fmt.Fprintf(c.out, format+"\n", args...)
	return err
}

func (f flags) passwordFile() *string {
	return f.String("password-file", "", "`file` whose first line is the password, - for standard input; without it, you are asked")
}

// maxPasswordFile bounds what is read of a password file.
const maxPasswordFile = 4096

// readPassword returns the password: the first line of file, or what the person at the terminal types twice.
func readPassword(file string, c console) (string, error) {
	switch file {
	case "":
		return askPassword(c)
	case "-":
		return firstLine(c.in)
	}
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	defer f.Close()
	return firstLine(f)
}

func firstLine(r io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxPasswordFile))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	return strings.TrimSuffix(string(line), "\r"), nil
}

func askPassword(c console) (string, error) {
	terminal := int(c.in.Fd())
	if !term.IsTerminal(terminal) {
		return "", usageError("there is no terminal to ask for the password: use --password-file")
	}
	var typed [2]string
	for i, prompt := range []string{"Password: ", "Once more: "} {
		fmt.Fprint(c.err, prompt)
		b, err := term.ReadPassword(terminal)
		fmt.Fprintln(c.err)
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		typed[i] = string(b)
	}
	if typed[0] != typed[1] {
		return "", errors.New("the two passwords differ; nothing was changed")
	}
	return typed[0], nil
}
