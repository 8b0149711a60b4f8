package maildir

import (
	"strconv"
	"strings"

	gomaildir "github.com/emersion/go-maildir"
)

// Flags are the flags that have a letter of their own in Maildir.
type Flags uint8

const (
	Seen Flags = 1 << iota
	Answered
	Flagged
	Deleted
	Draft
	Passed // forwarded: IMAP's $Forwarded
)

// letterOf has the letter of each bit of Flags.
func letterOf(bit int) byte {
	return [...]byte{
		byte(gomaildir.FlagSeen), byte(gomaildir.FlagReplied), byte(gomaildir.FlagFlagged),
		byte(gomaildir.FlagTrashed), byte(gomaildir.FlagDraft), byte(gomaildir.FlagPassed),
	}[bit]
}

// flagOf is the flag with a letter, 0 if there is none.
func flagOf(letter byte) Flags {
	switch gomaildir.Flag(letter) {
	case gomaildir.FlagSeen:
		return Seen
	case gomaildir.FlagReplied:
		return Answered
	case gomaildir.FlagFlagged:
		return Flagged
	case gomaildir.FlagTrashed:
		return Deleted
	case gomaildir.FlagDraft:
		return Draft
	case gomaildir.FlagPassed:
		return Passed
	}
	return 0
}

// Name is the name of a message file, taken apart.
type Name struct {
	Base     string // without the info: the message's key in dovecot-uidlist
	Flags    Flags
	Keywords uint32 // bit i is the letter 'a'+i
	Unknown  string // letters that mean nothing to us, and what follows a comma: kept
	HasInfo  bool   // an info (":2,") is there
}

// ParseName takes any file name apart, whoever wrote it. Letters may stand in
// any order and more than once; ParseName(file).File() is the name with them
// in order. An info of another kind than "2," is read as no flags.
func ParseName(file string) Name {
	base, info, hasInfo := strings.Cut(file, ":")
	n := Name{Base: base, HasInfo: hasInfo}
	letters, ok := strings.CutPrefix(info, "2,")
	if !ok {
		return n
	}
	for i := range len(letters) {
		c := letters[i]
		switch f := flagOf(c); {
		case f != 0:
			n.Flags |= f
		case 'a' <= c && c <= 'z':
			n.Keywords |= 1 << (c - 'a')
		case c == ',':
			n.Unknown += letters[i:]
			return n
		case strings.IndexByte(n.Unknown, c) < 0:
			n.Unknown += letters[i : i+1]
		}
	}
	return n
}

// CanBeListed reports whether dovecot-uidlist can hold the base name. A file
// whose name it cannot is no message to anybody.
func (n Name) CanBeListed() bool {
	return n.Base != "" && n.Base[0] != '.' && len(n.Base) <= maxDirName && !strings.ContainsAny(n.Base, "/:\n\x00")
}

// File is the file name: base, ":2," and the letters in the order of ASCII, as
// Dovecot and go-maildir write them. Without HasInfo, flags and letters it is
// the base alone, as in new/.
func (n Name) File() string {
	if !n.HasInfo && n.Flags == 0 && n.Keywords == 0 && n.Unknown == "" {
		return n.Base
	}
	letters, rest := n.Unknown, ""
	if i := strings.IndexByte(letters, ','); i >= 0 {
		letters, rest = letters[:i], letters[i:]
	}
	b := make([]byte, 0, len(n.Base)+3+32+len(n.Unknown))
	b = append(b, n.Base...)
	b = append(b, ":2,"...)
	start := len(b)
	for bit := range 6 {
		if n.Flags&(1<<bit) != 0 {
			b = insertSorted(b, start, letterOf(bit))
		}
	}
	for i := range 26 {
		if n.Keywords&(1<<i) != 0 {
			b = append(b, 'a'+byte(i))
		}
	}
	for i := range len(letters) {
		b = insertSorted(b, start, letters[i])
	}
	return string(append(b, rest...))
}

// insertSorted puts c into b[start:], which is in order.
func insertSorted(b []byte, start int, c byte) []byte {
	i := len(b)
	b = append(b, c)
	for ; i > start && b[i-1] > c; i-- {
		b[i] = b[i-1]
	}
	b[i] = c
	return b
}

// Sizes of a message file: Physical counts its bytes, Virtual counts every
// line end as CRLF. -1 is unknown.
type Sizes struct{ Physical, Virtual int64 }

// Sizes reads ",S=" and ",W=" from the base name.
func (n Name) Sizes() Sizes {
	s := Sizes{-1, -1}
	_, fields, _ := strings.Cut(n.Base, ",")
	for field := range strings.SplitSeq(fields, ",") {
		if v, ok := strings.CutPrefix(field, "S="); ok {
			s.Physical = parseSize(v)
		} else if v, ok := strings.CutPrefix(field, "W="); ok {
			s.Virtual = parseSize(v)
		}
	}
	return s
}

// parseSize reads a count of bytes, -1 when it is none.
func parseSize(s string) int64 {
	v, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return -1
	}
	return int64(v)
}
