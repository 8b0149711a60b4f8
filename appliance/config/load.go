package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"letterbox/appliance/mailaddr"
)

// maxFile is the largest configuration read, in octets.
const maxFile = 4 << 20

// Load reads the file at path. If anything in it is wrong it returns Faults: all there
// are, or the first alone where the file is not TOML. A missing file is fs.ErrNotExist.
func Load(path string) (Config, error) {
	data, err := readFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read the configuration: %w", err)
	}
	return parse(filepath.Base(path), data)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d MiB", path, maxFile>>20)
	}
	return data, nil
}

// parse reads a configuration from data, which came from the file of this name.
func parse(file string, data []byte) (Config, error) {
	r := reader{}
	if line, deep := tooDeep(string(data)); deep {
		return Config{}, Faults{{File: file, Line: line, Reason: "this is nested too deeply"}}
	}
	var values map[string]any
	if _, err := toml.Decode(string(data), &values); err != nil {
		return Config{}, Faults{syntaxFault(file, err)}
	}
	root := table{r: &r, values: values}
	c, err := parseVersion(root)
	if err == nil && len(r.faults) == 0 {
		return c, nil
	}
	faults := r.faults
	var found Faults
	if errors.As(err, &found) {
		faults = append(faults, found...)
	}
	return Config{}, place(faults, file, scanLines(string(data)))
}

// parseVersion reads whichever version of the format this is. A later version of this
// program adds a case for each format before its own, which brings it up to date.
func parseVersion(root table) (Config, error) {
	const field = "version"
	if _, given := root.values[field]; !given {
		return Config{}, Faults{{Field: field, Reason: fmt.Sprintf("is missing: write \"version = %d\" at the top", Version)}}
	}
	version := root.integer(field)
	switch {
	case len(root.r.faults) > 0: // no number at all
		return Config{}, nil
	case version == 1:
		c := readConfig(root)
		return c, root.r.without(c.Validate())
	case version > Version:
		return Config{}, Faults{{Field: field, Reason: fmt.Sprintf("this file was written for version %d by a newer Letterbox, and this one knows versions up to %d", version, Version)}}
	default:
		return Config{}, Faults{{Field: field, Reason: fmt.Sprintf("there is no version %d of this file", version)}}
	}
}

func syntaxFault(file string, err error) Fault {
	f := Fault{File: file, Reason: err.Error()}
	var p toml.ParseError
	if errors.As(err, &p) {
		f.Line = max(p.Position.Line, 1)
		f.Reason = strings.TrimSuffix(strings.TrimSpace(p.Message), ".")
		if f.Reason == "" {
			_, f.Reason, _ = strings.Cut(p.Error(), ": ")
		}
	}
	return f
}

// place gives the faults their lines and puts them in the order of the file.
func place(faults Faults, file string, at lines) Faults {
	for i := range faults {
		faults[i].File = file
		faults[i].Line = at.of(faults[i].Field)
	}
	slices.SortStableFunc(faults, func(a, b Fault) int { return cmp.Compare(a.Line, b.Line) })
	return faults
}

// readConfig reads version 1; root has been asked for its version already.
func readConfig(root table) Config {
	c := Config{Version: 1, DeviceKey: Secret(root.text("device-key"))}
	if t, ok := root.table("household"); ok {
		c.Household = Household{Name: t.text("name"), Hostname: domain(t.text("hostname"))}
		t.done()
	}
	for _, t := range root.tables("domain") {
		c.Domains = append(c.Domains, Domain{Name: domain(t.text("name")), CatchAll: t.text("catch-all")})
		t.done()
	}
	for _, t := range root.tables("person") {
		c.People = append(c.People, readPerson(t))
	}
	for _, t := range root.tables("alias") {
		c.Aliases = append(c.Aliases, Alias{Address: t.address("address"), To: t.texts("to")})
		t.done()
	}
	if t, ok := root.table("listen"); ok {
		c.Listen = readListen(t)
	}
	if t, ok := root.table("limits"); ok {
		c.Limits = Limits{
			MaxMessage:            t.size("max-message"),
			Connections:           t.integer("connections"),
			ConnectionsPerAddress: t.integer("connections-per-address"),
			Quota:                 t.quota(),
			FreeSpace:             t.freeSpace("free-space"),
		}
		t.done()
	}
	root.done()
	return c
}

func readPerson(t table) Person {
	p := Person{
		Name:     t.text("name"),
		FullName: t.text("full-name"),
		Password: Secret(t.text("password")),
		Disabled: t.boolean("disabled"),
		Quota:    t.quota(),
	}
	for _, d := range t.tables("device") {
		p.Devices = append(p.Devices, Device{Name: d.text("name"), Created: d.time("created"), Hash: Secret(d.text("hash"))})
		d.done()
	}
	t.done()
	return p
}

func readListen(t table) Listen {
	l := Listen{
		Address:           t.texts("address"),
		PortOffset:        t.integer("port-offset"),
		PlaintextLoopback: t.boolean("plaintext-loopback"),
	}
	for _, s := range Services() {
		if p, ok := t.table(string(s)); ok {
			*l.Port(s) = Port{Listen: p.integer("port"), Public: p.integer("public-port"), Off: p.boolean("off")}
			p.done()
		}
	}
	t.done()
	return l
}

// domain brings a name into its one form. What is no domain stays as it is, for
// Validate to complain about.
func domain(text string) mailaddr.Domain {
	if d, err := mailaddr.ParseDomain(text); err == nil {
		return d
	}
	return mailaddr.Domain(text)
}

// instant is t as it is kept: in UTC and without a monotonic reading.
func instant(t time.Time) time.Time { return t.Round(0).UTC() }
