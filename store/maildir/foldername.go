package maildir

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// ErrBadName is wrapped by every refusal of a folder name.
var ErrBadName = errors.New("this folder name cannot be used")

// Inbox is the name of the root of the tree as a folder.
const Inbox = "INBOX"

// maxDirName is the longest directory entry on the file systems we accept
// (Probe checks it).
const maxDirName = 255

// escapeName gives the directory of a folder: "Lists/go.dev" lies in
// ".Lists.go\2edev", INBOX in ".". It is exactly what Dovecot 2.3 makes of the
// name with listescape and the separator "/". Errors wrap ErrBadName and say
// what is wrong. It does not normalise: see Normalize.
func escapeName(path string) (dir string, err error) {
	if err := checkName(path); err != nil {
		return "", err
	}
	dir = encodeName(path)
	if len(dir) > maxDirName {
		return "", badName(path, "it is too long")
	}
	return dir, nil
}

// Normalize gives a name the form that new folders get: NFC (RFC 5198, 3;
// RFC 9051, 5.1), and INBOX in capitals where it is the first level.
func Normalize(path string) string {
	path = norm.NFC.String(path)
	first, rest, nested := strings.Cut(path, "/")
	if !strings.EqualFold(first, Inbox) {
		return path
	}
	if !nested {
		return Inbox
	}
	return Inbox + "/" + rest
}

func badName(name, why string) error {
	if len(name) > 80 {
		name = strings.ToValidUTF8(name[:80], "") + "..."
	}
	return fmt.Errorf("%w: %q: %s", ErrBadName, name, why)
}

// checkName refuses what no new folder may be called.
func checkName(path string) error {
	switch {
	case path == "":
		return badName(path, "it is empty")
	case !utf8.ValidString(path):
		return badName(path, "it is not UTF-8")
	}
	for _, r := range path {
		if forbidden(r) {
			return badName(path, "it has a control character in it")
		}
	}
	for level := range strings.SplitSeq(path, "/") {
		switch level {
		case "":
			return badName(path, "a level of it is empty")
		case ".", "..":
			return badName(path, "a level of it is only dots")
		}
	}
	return nil
}

// forbidden: RFC 5198, 2 and RFC 6855, 3: no control characters, no line separators.
func forbidden(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError
}

// CleanName makes of any text a name that a new folder can have, in NFC: what
// cannot be in one becomes "_", levels without a name are left out, and what is
// too long is cut and gets a mark made of all of it. A name that is fine already
// stays as it is.
func CleanName(path string) string {
	levels := strings.Split(strings.ToValidUTF8(path, "_"), "/")
	levels = slices.DeleteFunc(levels, func(level string) bool { return level == "" })
	for i, level := range levels {
		levels[i] = cleanLevel(level)
	}
	if len(levels) == 0 {
		return "_"
	}
	name := Normalize(strings.Join(levels, "/"))
	if len(encodeName(name)) <= maxDirName {
		return name
	}
	sum := sha256.Sum256([]byte(path))
	mark := "-" + hex.EncodeToString(sum[:4])
	runes := []rune(name)
	runes = runes[:min(len(runes), maxDirName)]
	for len(encodeName(string(runes)+mark)) > maxDirName {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + mark
}

func cleanLevel(level string) string {
	level = strings.Map(func(r rune) rune {
		if forbidden(r) {
			return '_'
		}
		return r
	}, level)
	if level == "." || level == ".." {
		return strings.Repeat("_", len(level))
	}
	return level
}

// DecodeLevel gives the name to show for a directory that is one level of a
// name, in trees whose folders lie in one another (Dovecot's LAYOUT=fs, mbsync):
// modified UTF-7 where it is that, else as it stands. "" when it is no level.
func DecodeLevel(dir string) string { return decodeLevel(dir) }

// encodeName writes any name, without judging it.
func encodeName(path string) string {
	if strings.EqualFold(path, Inbox) {
		return "."
	}
	first, rest, nested := strings.Cut(path, "/")
	if nested && strings.EqualFold(first, Inbox) {
		path = Inbox + "/" + rest
	}
	return "." + storageName(path)
}

// storageName joins the encoded levels with dots: the name as Dovecot's
// subscriptions of version 1 have it.
func storageName(path string) string {
	var b []byte
	for level := range strings.SplitSeq(path, "/") {
		if b != nil {
			b = append(b, '.')
		} else {
			b = make([]byte, 0, len(path)+16)
		}
		b = appendEscaped(b, encodeUTF7(level))
	}
	return string(b)
}

// appendEscaped writes one level with Dovecot's listescape.
func appendEscaped(dst []byte, level string) []byte {
	const hex = "0123456789abcdef"
	for i := range len(level) {
		c := level[i]
		if c == '.' || c == '/' || c == '\\' || c == '~' && i == 0 {
			dst = append(dst, '\\', hex[c>>4], hex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// decodeName gives the name to show for a directory, "" if it is no folder's.
func decodeName(dir string) string {
	if len(dir) < 2 || dir[0] != '.' {
		return ""
	}
	return decodeStorageName(dir[1:])
}

// decodeStorageName undoes storageName; "" when a level would be empty.
func decodeStorageName(name string) string {
	levels := strings.Split(name, ".")
	for i, level := range levels {
		if levels[i] = decodeLevel(level); levels[i] == "" {
			return ""
		}
	}
	return strings.Join(levels, "/")
}

// decodeLevel undoes the escape and modified UTF-7 of one level. What is not
// valid modified UTF-7, or would hide what it is, stays as it is, so that the
// folder can still be read. "" when it is no level.
func decodeLevel(raw string) string {
	level := unescape(raw)
	if text, ok := decodeUTF7(level); ok {
		level = text
	}
	if utf8.ValidString(level) && !strings.ContainsFunc(level, unshowable) {
		return level
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unshowable(r) {
			return '?'
		}
		return r
	}, raw)
}

// unshowable reports whether r cannot stand in a level that others see.
func unshowable(r rune) bool { return r == '/' || unicode.IsControl(r) }

// unescape undoes `\` and two hex digits; anything else stays.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+2 < len(s) {
			hi, okHi := hexDigit(s[i+1])
			lo, okLo := hexDigit(s[i+2])
			if okHi && okLo {
				b = append(b, hi<<4|lo)
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
