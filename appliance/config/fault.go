package config

import (
	"fmt"
	"strings"
)

// Fault is one thing that is wrong in a configuration.
type Fault struct {
	File   string // base name of the file; empty for a Config that came from elsewhere
	Line   int    // 1 is the first; 0: no line is known
	Field  string // where: "person[0].password"; empty: the file as a whole
	Reason string // a sentence without a capital and without a full stop
}

// Error writes "letterbox.toml:12: person[0].password: reason", without what is not known.
func (f Fault) Error() string {
	var b strings.Builder
	if f.File != "" {
		b.WriteString(f.File)
		if f.Line > 0 {
			fmt.Fprintf(&b, ":%d", f.Line)
		}
		b.WriteString(": ")
	}
	if f.Field != "" {
		b.WriteString(f.Field + ": ")
	}
	b.WriteString(f.Reason)
	return b.String()
}

// Faults is every fault of a configuration, in the order of its lines or, without
// lines, of its fields. Use errors.As to get at them.
type Faults []Fault

// Error writes one fault a line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].Error()
	}
	return strings.Join(lines, "\n")
}

// For returns the reason of the first fault of this field, or "".
func (f Faults) For(field string) string {
	for i := range f {
		if f[i].Field == field {
			return f[i].Reason
		}
	}
	return ""
}
