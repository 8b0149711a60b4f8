package store

import (
	"fmt"
	"strings"
)

// checkPerson refuses names that could not be a directory of their own under
// mail/ on every file system: people are named as in the configuration, in
// lower-case letters, digits, ".", "_" and "-".
func checkPerson(name string) error {
	bad := name == "" || len(name) > 64 || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "-") || strings.HasSuffix(name, ".")
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			bad = true
		}
	}
	if bad {
		return fmt.Errorf("%w: %q", ErrBadPerson, name)
	}
	return nil
}
