package transfer

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
)

// A Report says how a transfer went.
type Report struct {
	Folders    []FolderReport
	PassedOver []Left // the first of folders that nobody wants by default, or did not want, and of messages that were thrown away
	LeftOut    int64  // what was left out, messages and whole folders
	Left       []Left // the first of it
}

// A FolderReport says how it went with one folder.
type FolderReport struct {
	From, To   string // what it is called there, and here
	Made       bool   // it was not here before
	Added      int64  // messages
	Octets     int64  // of those
	Unsure     int64  // of Added in a plan, which may turn out to be here already when their octets are read
	Known      int64  // messages that were here already
	ThrownAway int64  // messages that were deleted at the source, and only not cleared away there
	Others     int64  // files that are no messages
}

// Left is something that was left out.
type Left struct {
	Folder  string // of the source
	Message string // "" if it is the folder, or the rest of it
	Why     string
}

func (l Left) String() string {
	if l.Message == "" {
		return plain(l.Folder + ": " + l.Why)
	}
	return plain(l.Folder + ", " + l.Message + ": " + l.Why)
}

// maxPlain bounds a line that shows what others named, in octets.
const maxPlain = 1000

// plain makes text that others wrote fit to be shown.
func plain(s string) string {
	if len(s) > maxPlain {
		s = s[:maxPlain] + "..."
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// maxLeft bounds Report.Left.
const maxLeft = 1000

// Added counts the messages that came in, and their octets.
func (r *Report) Added() (messages, octets int64) {
	for i := range r.Folders {
		messages += r.Folders[i].Added
		octets += r.Folders[i].Octets
	}
	return messages, octets
}

// WriteTo writes the report for people, what was done to a folder on a line and then what was left out.
func (r *Report) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	for i := range r.Folders {
		b.WriteString(r.Folders[i].String() + "\n")
	}
	if len(r.PassedOver) > 0 {
		b.WriteString("passed over:\n")
		for _, l := range r.PassedOver {
			b.WriteString("  " + l.String() + "\n")
		}
	}
	writeLeft(&b, r.LeftOut, r.Left)
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// writeLeft writes what was left out: so many, the first of them by name.
func writeLeft(b *strings.Builder, n int64, left []Left) {
	if n == 0 {
		return
	}
	fmt.Fprintf(b, "left out (%s):\n", count(n))
	for _, l := range left {
		b.WriteString("  " + l.String() + "\n")
	}
	if more := n - int64(len(left)); more > 0 {
		fmt.Fprintf(b, "  and %s more, named above as they came\n", count(more))
	}
}

// String is the line of a folder.
func (f *FolderReport) String() string {
	var b strings.Builder
	b.WriteString(f.To)
	var about []string
	if f.From != f.To {
		about = append(about, fmt.Sprintf("there called %q", f.From))
	}
	if f.Made {
		about = append(about, "new")
	}
	if len(about) > 0 {
		b.WriteString(" (" + strings.Join(about, ", ") + ")")
	}
	fmt.Fprintf(&b, ": %s, %s", Messages(f.Added), Octets(f.Octets))
	if f.Unsure > 0 {
		fmt.Fprintf(&b, "; %s of them may be here already, which only reading them can tell", count(f.Unsure))
	}
	if f.Known > 0 {
		fmt.Fprintf(&b, "; %s here already", count(f.Known))
	}
	if f.ThrownAway > 0 {
		fmt.Fprintf(&b, "; %s passed over, because deleted there and only not cleared away", count(f.ThrownAway))
	}
	switch {
	case f.Others == 1:
		b.WriteString("; 1 file is no message")
	case f.Others > 1:
		fmt.Fprintf(&b, "; %s files are no messages", count(f.Others))
	}
	return b.String()
}

// Messages is a number of messages in words.
func Messages(n int64) string {
	if n == 1 {
		return "1 message"
	}
	return count(n) + " messages"
}

// count writes a number with commas between the thousands.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Octets writes a size with the unit that fits.
func Octets(n int64) string {
	const unit = 1000
	if n < unit {
		return strconv.FormatInt(n, 10) + " octets"
	}
	names := []string{"KB", "MB", "GB", "TB"}
	v := float64(n) / unit
	for len(names) > 1 && v >= unit-0.5 {
		v, names = v/unit, names[1:]
	}
	if v < 10 {
		return fmt.Sprintf("%.1f %s", v, names[0])
	}
	return fmt.Sprintf("%.0f %s", v, names[0])
}
