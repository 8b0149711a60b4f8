package config

import "strings"

// lines says on which line of a file each field stands, by its path: "person[0].name".
type lines map[string]int

// of returns the line of a field or, if it is missing, of what it belongs to; 0 if
// nothing is known of either.
func (l lines) of(path string) int {
	for path != "" {
		if n, ok := l[path]; ok {
			return n
		}
		path = path[:max(strings.LastIndexByte(path, '.'), strings.LastIndexByte(path, '['), 0)]
	}
	return 0
}

// scanLines finds the lines of all headers and keys in TOML that is known to be valid.
// Keys within inline tables and array elements have no entry of their own. What the
// decoder tells of positions is not enough: it knows those of syntax errors only.
func scanLines(text string) lines {
	s := lineScanner{text: text, line: 1, found: lines{}, counts: map[string]int{}}
	for s.skipBlank(); s.pos < len(s.text); s.skipBlank() {
		if s.text[s.pos] == '[' {
			s.header()
		} else {
			s.keyValue()
		}
	}
	return s.found
}

// maxDepth is how deep brackets, and keys with dots, may be nested. Settings need four.
const maxDepth = 16

// tooDeep looks for nesting that no configuration needs, and says on which line it is.
// The decoder's memory grows with its square: 30 KB of braces would take gigabytes.
func tooDeep(text string) (line int, deep bool) {
	s := lineScanner{text: text, line: 1}
	depth, dots := 0, 0
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case '"', '\'':
			s.skipString()
			continue
		case '#':
			s.skipLine()
			continue
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case '.':
			dots++
		case '\n', '=', ',':
			dots = 0
		}
		if depth > maxDepth || dots > maxDepth {
			return s.line, true
		}
		s.next()
	}
	return 0, false
}

type lineScanner struct {
	text   string
	pos    int
	line   int
	prefix string // path of the table that keys belong to
	found  lines
	counts map[string]int // tables seen so far in each array of tables, by path
}

// next moves over one octet, counting lines.
func (s *lineScanner) next() {
	if s.text[s.pos] == '\n' {
		s.line++
	}
	s.pos++
}

func (s *lineScanner) skipWhile(set string) {
	for s.pos < len(s.text) && strings.IndexByte(set, s.text[s.pos]) >= 0 {
		s.next()
	}
}

func (s *lineScanner) skipLine() {
	for s.pos < len(s.text) && s.text[s.pos] != '\n' {
		s.pos++
	}
}

func (s *lineScanner) skipBlank() {
	s.skipWhile(" \t\r\n")
	for s.pos < len(s.text) && s.text[s.pos] == '#' {
		s.skipLine()
		s.skipWhile(" \t\r\n")
	}
}

// header reads [a.b] or [[a.b]].
func (s *lineScanner) header() {
	line, array := s.line, strings.HasPrefix(s.text[s.pos:], "[[")
	s.skipWhile("[ \t")
	keys := s.keys()
	path := ""
	for i, key := range keys {
		path = join(path, key)
		s.note(path, line)
		switch n := s.counts[path]; {
		case array && i == len(keys)-1:
			s.counts[path] = n + 1
			path += index(n)
			s.note(path, line)
		case n > 0:
			path += index(n - 1)
		}
	}
	s.prefix = path
	s.skipLine()
}

// keyValue reads key = value.
func (s *lineScanner) keyValue() {
	line, path := s.line, s.prefix
	start := s.pos
	for _, key := range s.keys() {
		path = join(path, key)
		s.note(path, line)
	}
	s.skipValue()
	if s.pos == start { // not TOML after all: never stand still
		s.next()
	}
}

func (s *lineScanner) note(path string, line int) {
	if _, ok := s.found[path]; !ok {
		s.found[path] = line
	}
}

// keys reads a dotted key and stops at what ends it, an = or a bracket. Escapes in
// quoted keys stay as they are: no key that means anything has one.
func (s *lineScanner) keys() []string {
	var keys []string
	for s.pos < len(s.text) {
		s.skipWhile(" \t.")
		start := s.pos
		for s.pos < len(s.text) && strings.IndexByte(" \t.=]\r\n\"'", s.text[s.pos]) < 0 {
			s.pos++
		}
		key := s.text[start:s.pos]
		if key == "" && s.pos < len(s.text) && (s.text[s.pos] == '"' || s.text[s.pos] == '\'') {
			start = s.pos
			s.skipString()
			key = strings.Trim(s.text[start:s.pos], `"'`)
		} else if key == "" {
			break
		}
		keys = append(keys, key)
	}
	return keys
}

// skipValue moves to the end of the line on which the value ends.
func (s *lineScanner) skipValue() {
	for depth := 0; s.pos < len(s.text); {
		switch c := s.text[s.pos]; c {
		case '"', '\'':
			s.skipString()
			continue
		case '#':
			s.skipLine()
			continue
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case '\n':
			if depth <= 0 {
				return
			}
		}
		s.next()
	}
}

// skipString moves behind a string of any of the four kinds.
func (s *lineScanner) skipString() {
	quote := s.text[s.pos : s.pos+1]
	escapes := quote == `"`
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(s.text[s.pos:], triple) {
		quote = triple
	}
	s.pos += len(quote)
	for s.pos < len(s.text) {
		switch {
		case escapes && s.text[s.pos] == '\\':
			s.next()
			if s.pos < len(s.text) {
				s.next()
			}
		case strings.HasPrefix(s.text[s.pos:], quote):
			s.pos += len(quote)
			if len(quote) == 3 { // up to two more may stand before the end: """a"""""
				s.skipWhile(quote[:1])
			}
			return
		default:
			s.next()
		}
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
