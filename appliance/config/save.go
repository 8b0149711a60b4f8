package config

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"letterbox/store/atomicfile"
)

// Save checks c and writes it to path, readable for its owner alone. The file is
// replaced whole and synced before Save returns nil; otherwise the old one is still there.
func Save(path string, c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if err := atomicfile.WriteFile(path, encode(c), 0o600); err != nil {
		return fmt.Errorf("save the configuration: %w", err)
	}
	return nil
}

// Equal tells whether c and o, which Validate has accepted, are saved as the same file.
func (c Config) Equal(o Config) bool { return bytes.Equal(encode(c), encode(o)) }

// encode writes a valid configuration as TOML for people: what differs from the
// defaults as it is, the rest as comments.
func encode(c Config) []byte {
	w := &writer{}
	w.line("# Letterbox: the configuration of this household.")
	w.line("#")
	w.line("# The program writes this file anew whenever something is changed in the browser or")
	w.line("# with the letterbox command; what you write by hand stays in force, but comments")
	w.line("# are not kept. It holds secrets: keep it to yourself.")
	w.line("")
	w.line("version = %d", c.Version)
	if c.DeviceKey != "" {
		w.line("")
		w.line("# The key of all device passwords. Without it they stop working.")
		w.text("device-key", c.DeviceKey.Reveal())
	}
	w.household(c.Household)
	w.domains(c.Domains)
	w.people(c.People)
	w.aliases(c.Aliases)
	w.listen(c.Listen)
	w.limits(c.Limits)
	return []byte(w.b.String())
}

type writer struct{ b strings.Builder }

func (w *writer) line(format string, args ...any) {
	fmt.Fprintf(&w.b, format, args...)
	w.b.WriteByte('\n')
}

// header starts a table: a blank line, a comment if there is one, the brackets.
func (w *writer) header(comment, brackets string) {
	w.line("")
	if comment != "" {
		w.line("# %s", comment)
	}
	w.line("%s", brackets)
}

// text writes a text, unless it is empty.
func (w *writer) text(key, value string) {
	if value != "" {
		w.line("%s = %s", key, quote(value))
	}
}

// number writes a number, or its default as a comment.
func (w *writer) number(key string, value, standard int) {
	if value != 0 {
		w.line("%s = %d", key, value)
	} else {
		w.line("# %s = %d", key, standard)
	}
}

func (w *writer) boolean(key string, value bool) {
	if value {
		w.line("%s = true", key)
	}
}

func (w *writer) texts(key string, values []string) {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = quote(v)
	}
	w.line("%s = [%s]", key, strings.Join(quoted, ", "))
}

func (w *writer) household(h Household) {
	w.header("Whose letterbox this is, and the name of this server.", "[household]")
	w.text("name", h.Name)
	if h.Hostname == "" {
		w.line(`# hostname = "mail.example.org"`)
	}
	w.text("hostname", string(h.Hostname))
}

func (w *writer) domains(list []Domain) {
	for i, d := range list {
		w.header(first(i, "What stands behind the @; the first domain is the main one. The catch-all gets mail for unknown names."), "[[domain]]")
		w.text("name", string(d.Name))
		w.text("catch-all", d.CatchAll)
	}
}

func (w *writer) people(list []Person) {
	for i, p := range list {
		w.header(first(i, "Who has a mailbox here. Mail for postmaster and abuse goes to the first one."), "[[person]]")
		w.text("name", p.Name)
		w.text("full-name", p.FullName)
		w.text("password", p.Password.Reveal())
		w.boolean("disabled", p.Disabled)
		w.quota(p.Quota)
		for _, d := range p.Devices {
			w.header("", "[[person.device]]")
			w.text("name", d.Name)
			if !d.Created.IsZero() {
				w.line("created = %s", d.Created.UTC().Format(time.RFC3339Nano))
			}
			w.text("hash", d.Hash.Reveal())
		}
	}
}

func (w *writer) aliases(list []Alias) {
	for i, a := range list {
		w.header(first(i, "Further addresses, and whom their mail is for."), "[[alias]]")
		w.text("address", a.Address.String())
		w.texts("to", a.To)
	}
}

func (w *writer) listen(l Listen) {
	w.header("Where the servers listen: IP addresses (none: all), and what is added to every standard port.", "[listen]")
	if len(l.Address) == 0 {
		w.line(`# address = ["192.168.1.2"]`)
	} else {
		w.texts("address", l.Address)
	}
	w.number("port-offset", l.PortOffset, 0)
	w.boolean("plaintext-loopback", l.PlaintextLoopback)
	comment := "A port of its own for a service; public-port is what clients use where a router forwards; off = true closes it."
	for _, s := range Services() {
		p := *l.Port(s)
		if p == (Port{}) {
			continue
		}
		w.header(comment, "[listen."+string(s)+"]")
		comment = ""
		w.number("port", p.Listen, s.StandardPort()+l.PortOffset)
		if p.Public != 0 {
			w.line("public-port = %d", p.Public)
		}
		w.boolean("off", p.Off)
	}
}

func (w *writer) limits(l Limits) {
	w.header("What this box has to bear at most.", "[limits]")
	if l.MaxMessage == 0 {
		w.line("# max-message = %s", quote(defaultMaxMessage.String()))
	} else {
		w.text("max-message", l.MaxMessage.String())
	}
	w.number("connections", l.Connections, defaultConnections)
	w.number("connections-per-address", l.ConnectionsPerAddress, defaultConnectionsPerAddress)
	w.line("# What one person's mail may take, unless it is said for the person: quota = \"5 GB\", quota-messages = 100000.")
	w.quota(l.Quota)
	w.line("# How much of the disk is left free for everything else: a share, a size, or \"none\".")
	if l.FreeSpace == (FreeSpace{}) {
		w.line("# free-space = \"%d %%\"   and no more than %s", defaultFreePercent, defaultFreeAtMost)
	}
	w.text("free-space", l.FreeSpace.String())
}

// first is the comment for the first of several tables.
func first(i int, comment string) string {
	if i > 0 {
		return ""
	}
	return comment
}

// quote writes a TOML basic string.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
