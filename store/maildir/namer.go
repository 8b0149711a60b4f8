package maildir

import (
	"crypto/rand"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// A Namer makes the base names of one operation. All begin with one prefix,
// which no other name ever begins with, so that what an interrupted operation
// left can be found. A Namer may be used by several goroutines.
type Namer struct {
	prefix string
	host   string
	n      atomic.Int64
}

// newNamer starts with the time of an operation, from the caller's monotone
// clock. Names order by time, then by random, then by count.
func newNamer(now time.Time, host string) *Namer {
	// Unique without a process id: 16 of rand.Text's letters are 80 random bits.
	// "M", "R" and "Q" are the fields of the Maildir specification for
	// microseconds, randomness and the count of deliveries.
	prefix := strconv.FormatInt(now.Unix(), 10) + ".M" + strconv.Itoa(now.Nanosecond()/1000) + "R" + rand.Text()[:randomLetters] + "Q"
	return &Namer{prefix: prefix, host: cleanHost(host)}
}

const randomLetters = 16

// Next makes a base name that holds the sizes that are known.
func (n *Namer) Next(s Sizes) string {
	b := make([]byte, 0, 128)
	b = append(b, n.prefix...)
	b = strconv.AppendInt(b, n.n.Add(1), 10)
	b = append(b, '.')
	b = append(b, n.host...)
	if s.Physical >= 0 {
		b = strconv.AppendInt(append(b, ",S="...), s.Physical, 10)
	}
	if s.Virtual >= 0 {
		b = strconv.AppendInt(append(b, ",W="...), s.Virtual, 10)
	}
	return string(b)
}

// isPrefix reports whether s can be the prefix of a Namer. Recovery removes
// files by it, so that it must be whole.
func isPrefix(s string) bool {
	seconds, rest, ok := strings.Cut(s, ".M")
	if !ok || !digits(strings.TrimPrefix(seconds, "-")) {
		return false
	}
	micros, rest, ok := strings.Cut(rest, "R")
	if !ok || !digits(micros) || len(rest) != randomLetters+1 || rest[randomLetters] != 'Q' {
		return false
	}
	for i := range randomLetters {
		if c := rest[i]; (c < 'A' || c > 'Z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// cleanHost keeps of a host name what any program can have in a file name.
func cleanHost(host string) string {
	b := make([]byte, 0, len(host))
	for i := range len(host) {
		switch c := host[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_':
			b = append(b, c)
		default:
			b = append(b, '-')
		}
	}
	if b = b[:min(len(b), 40)]; len(b) == 0 {
		return "localhost"
	}
	return string(b)
}

// hostname is this machine's name, "" when it has none.
func hostname() string {
	host, err := os.Hostname()
	if err != nil {
		return ""
	}
	return host
}
