package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// maxName is the length of a person's name in octets: that of a local part (RFC 5321, 4.5.3.1.1).
const maxName = 64

var (
	nameForm = regexp.MustCompile(`^[a-z][a-z0-9._-]*$`)

	// dosDevice matches what Windows and file servers for it take for a device,
	// whatever its extension: people look at their mail folders from there.
	dosDevice = regexp.MustCompile(`^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)`)
)

// reservedNames lists addresses and identifiers that mean something else: RFC 2142 for
// postmaster and its like, RFC 4314 for anyone.
func reservedNames() []string {
	return []string{"postmaster", "abuse", "hostmaster", "webmaster", "mailer-daemon", "anyone", "anonymous", "nobody", "root"}
}

// CheckPersonName returns nil if somebody may have this name for signing in, or else a
// sentence. A name is a folder's name and the local part of an address as well.
func CheckPersonName(name string) error {
	switch {
	case name == "":
		return errors.New("a name is missing")
	case len(name) > maxName:
		return fmt.Errorf("the name is longer than %d letters", maxName)
	case name != strings.ToLower(name):
		return errors.New("the name must be in small letters")
	case !nameForm.MatchString(name):
		return errors.New("a name begins with a letter from a to z and goes on with letters from a to z, digits, dots, hyphens or underscores")
	case strings.HasSuffix(name, ".") || strings.Contains(name, ".."):
		return errors.New("a dot may not stand at the end of a name or beside another dot")
	case dosDevice.MatchString(name):
		return fmt.Errorf("%q is the name of a device on some systems: choose another name", name)
	case slices.Contains(reservedNames(), name):
		return fmt.Errorf("%q is reserved: choose another name", name)
	}
	return nil
}
