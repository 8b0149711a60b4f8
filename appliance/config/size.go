package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of octets. In the file it is text that people read: "50 MB".
type Size int64

// Units of Size.
const (
	Byte Size = 1
	KB        = 1000 * Byte
	MB        = 1000 * KB
	GB        = 1000 * MB
	KiB       = 1024 * Byte
	MiB       = 1024 * KiB
	GiB       = 1024 * MiB
)

// units are the words for units, the best to write first: of those that divide a
// size without remainder, String takes the first.
var units = [...]struct {
	name string
	size Size
}{
	{"GiB", GiB}, {"GB", GB}, {"MiB", MiB}, {"MB", MB}, {"KiB", KiB}, {"KB", KB}, {"B", Byte},
}

// String writes the size exactly, with the largest unit that fits: "50 MB".
func (s Size) String() string {
	for _, u := range units {
		if s != 0 && s%u.size == 0 {
			return fmt.Sprintf("%d %s", int64(s/u.size), u.name)
		}
	}
	return "0 B"
}

// Readable writes about the size, in decimal units and with two or three digits, for people: "4.6 GB".
func (s Size) Readable() string {
	unit, name := Byte, "B"
	for _, u := range []struct {
		size Size
		name string
	}{{KB, "KB"}, {MB, "MB"}, {GB, "GB"}} {
		if s >= u.size-u.size/2000 { // what would be written as 1000 of the unit below
			unit, name = u.size, u.name
		}
	}
	n := float64(s) / float64(unit)
	if unit == Byte || n >= 99.95 {
		return fmt.Sprintf("%.0f %s", n, name)
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", n), ".0") + " " + name
}

// ParseSize reads what String writes: "50 MB". The space and the case do not matter.
func ParseSize(text string) (Size, error) {
	text = strings.TrimSpace(text)
	digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
	n, err := strconv.ParseInt(text[:digits], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a size such as \"50 MB\"", text)
	}
	unit, ok := unitNamed(strings.TrimSpace(text[digits:]))
	if !ok {
		return 0, fmt.Errorf("%q has no unit that is known here: B, KB, MB, GB, KiB, MiB or GiB", text)
	}
	if n > math.MaxInt64/int64(unit) {
		return 0, fmt.Errorf("%q is too large", text)
	}
	return Size(n) * unit, nil
}

func unitNamed(name string) (Size, bool) {
	for _, u := range units {
		if strings.EqualFold(name, u.name) {
			return u.size, true
		}
	}
	return 0, false
}
