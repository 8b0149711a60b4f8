package message

import (
	"slices"
	"strconv"
	"strings"
)

// param is one parameter of a Content-* field, as it came, except that the
// pieces of RFC 2231, 3 are put together.
type param struct{ name, value string }

const usASCII = "us-ascii" // RFC 2045, 5.2: the charset of text that names none

// mimeFields is what the Content-* fields of one header say.
type mimeFields struct {
	h             *header
	typ, subtype  string // as they came
	params        []param
	encodingToken string
	encoding      Encoding
	boundary      string // only of multiparts
	charset       string // only of text
}

// mime reads the Content-* fields, whatever is in them.
func (h *header) mime() *mimeFields {
	m := &mimeFields{h: h, typ: h.typ, subtype: h.subtype}
	if h.seen[fieldType] {
		m.contentType(h.texts[fieldType])
	}
	m.encodingToken = "7bit"
	if h.seen[fieldEncoding] {
		l := lexer{s: h.texts[fieldEncoding]}
		l.space()
		l.quote()
		if t := l.token(); t != "" {
			m.encodingToken = limitToken(t)
		}
	}
	m.encoding = parseEncoding(m.encodingToken)
	if name := m.encoding.String(); m.encoding != EncodingOther && !strings.EqualFold(m.encodingToken, name) {
		m.encodingToken = name // a known misspelling
	}
	switch upper(m.typ) {
	case "TEXT":
		if !m.has("charset") {
			// RFC 2045, 5.2. The answer says it outright, as Dovecot's does.
			m.params = append(m.params, param{"charset", usASCII})
		}
		m.charset = m.charsetParam()
	case "MULTIPART":
		m.boundary = strings.TrimRight(m.param("boundary"), " \t\r")
	}
	return m
}

// contentType reads a Content-Type. RFC 2045, 5.2 suggests text/plain where
// the syntax is broken; a half that can be read is used where that is safe.
func (m *mimeFields) contentType(s string) {
	l := lexer{s: s}
	l.space()
	m.typ = limitToken(l.token())
	l.space()
	m.subtype = ""
	if l.take('/') {
		l.space()
		m.subtype = limitToken(l.token())
	}
	m.params = l.params()
	if m.typ != "" && m.subtype != "" {
		return
	}
	switch upper(m.typ) {
	case "MULTIPART":
		m.typ, m.subtype = "multipart", "mixed" // RFC 2046, 5.1.3
	case "APPLICATION", "IMAGE", "AUDIO", "VIDEO", "FONT", "MODEL", "MESSAGE":
		m.typ, m.subtype = "application", "octet-stream" // RFC 2046, 4: unrecognized subtypes
	default:
		m.typ, m.subtype = "text", "plain"
	}
}

// makeOpaque makes the part a leaf whose body is not looked into.
func (m *mimeFields) makeOpaque() {
	m.typ, m.subtype = "application", "octet-stream"
	m.params, m.boundary, m.charset = nil, "", ""
}

// param returns the value of a parameter, "" if there is none. RFC 2231's
// percent-encoding is left.
func (m *mimeFields) param(name string) string {
	for _, p := range m.params {
		if isParam(p.name, name) && p.value != "" {
			return p.value
		}
	}
	return ""
}

func (m *mimeFields) has(name string) bool {
	return slices.ContainsFunc(m.params, func(p param) bool { return isParam(p.name, name) })
}

func isParam(got, name string) bool {
	return strings.EqualFold(strings.TrimSuffix(got, "*"), name)
}

// charsetParam returns the charset of a text part.
func (m *mimeFields) charsetParam() string {
	if c := m.param("charset"); c != "" {
		return c
	}
	return usASCII
}

// fill puts the fields into a part. Without details it keeps only the type.
func (m *mimeFields) fill(p *Part, details bool) {
	p.Type, p.Subtype = upper(m.typ), upper(m.subtype)
	p.Encoding = m.encoding
	p.Charset = m.charset
	if p.Charset != usASCII {
		p.Charset = strings.Clone(p.Charset) // a slice of it would keep the whole field
	}
	if p.IsMultipart() {
		p.Encoding = Encoding7Bit // RFC 2045, 6.4: a multipart cannot be encoded
	}
	if !details {
		m.h, m.params = &header{}, nil
		if p.Type == "TEXT" {
			p.Charset = limitToken(m.charset)
			m.params = []param{{"charset", p.Charset}}
		}
	}
	b := make([]byte, 0, 128)
	if p.IsMultipart() {
		b = appendString(b, m.subtype)
		b = append(b, ' ')
		p.fields = string(appendParams(b, m.params))
		p.ext = string(m.appendExt(nil))
		return
	}
	b = appendString(b, m.typ)
	b = append(b, ' ')
	b = appendString(b, m.subtype)
	b = append(b, ' ')
	b = appendParams(b, m.params)
	b = append(b, ' ')
	b = m.appendField(b, fieldID)
	b = append(b, ' ')
	b = m.appendField(b, fieldDescription)
	b = append(b, ' ')
	p.fields = string(appendString(b, m.encodingToken))
	b = m.appendField(b[:0], fieldMD5)
	b = append(b, ' ')
	p.ext = string(m.appendExt(b))
}

func (m *mimeFields) appendField(dst []byte, f field) []byte {
	return appendNString(dst, m.h.texts[f], m.h.texts[f] != "")
}

// appendExt appends disposition, language and location.
func (m *mimeFields) appendExt(dst []byte) []byte {
	dst = appendDisposition(dst, m.h.texts[fieldDisposition])
	dst = append(dst, ' ')
	dst = appendLanguage(dst, m.h.texts[fieldLanguage])
	dst = append(dst, ' ')
	return m.appendField(dst, fieldLocation)
}

func appendParams(dst []byte, params []param) []byte {
	if len(params) == 0 {
		return append(dst, "NIL"...)
	}
	for i, p := range params {
		dst = append(dst, " ("[b2i(i == 0)])
		dst = appendString(dst, p.name)
		dst = append(dst, ' ')
		dst = appendString(dst, p.value)
	}
	return append(dst, ')')
}

func appendDisposition(dst []byte, s string) []byte {
	l := lexer{s: s}
	l.space()
	kind := limitToken(l.token())
	params := l.params()
	if kind == "" {
		if len(params) == 0 {
			return append(dst, "NIL"...)
		}
		kind = "attachment" // RFC 2183, 2.8: what is not understood is an attachment
	}
	dst = append(dst, '(')
	dst = appendString(dst, kind)
	dst = append(dst, ' ')
	dst = appendParams(dst, params)
	return append(dst, ')')
}

// appendLanguage appends the tags of a Content-Language (RFC 3282).
func appendLanguage(dst []byte, s string) []byte {
	l := lexer{s: s}
	n := 0
	for {
		l.space()
		if tag := l.token(); tag != "" {
			dst = append(dst, " ("[b2i(n == 0)])
			dst = appendString(dst, tag)
			n++
		} else if l.i < len(l.s) {
			l.i++
		} else {
			break
		}
	}
	if n == 0 {
		return append(dst, "NIL"...)
	}
	return append(dst, ')')
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// lexer reads the tokens of RFC 2045, 5.1, and goes on whatever it meets.
type lexer struct {
	s      string
	i      int
	closed bool // the last quoted string had its closing quote
}

// space passes over white space and comments.
func (l *lexer) space() {
	for l.i < len(l.s) {
		switch l.s[l.i] {
		case ' ', '\t', '\r':
			l.i++
		case '(':
			l.i = commentEnd(l.s, l.i)
		default:
			return
		}
	}
}

// commentEnd returns the index after the comment that starts at s[i].
func commentEnd(s string, i int) int {
	depth := 0
	for ; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}

func (l *lexer) take(c byte) bool {
	if l.i < len(l.s) && l.s[l.i] == c {
		l.i++
		return true
	}
	return false
}

// quote passes over a quote where none belongs.
func (l *lexer) quote() { l.take('"') }

// token reads a token of RFC 2045; octets above 127 may be in it.
func (l *lexer) token() string {
	start := l.i
	for l.i < len(l.s) && l.s[l.i] > ' ' && l.s[l.i] != 0x7f && strings.IndexByte(`()<>@,;:\"/[]?=`, l.s[l.i]) < 0 {
		l.i++
	}
	return l.s[start:l.i]
}

// params reads "; name=value" as often as it comes. What is none is passed
// over up to the next semicolon.
func (l *lexer) params() []param {
	var list []param
	for {
		l.untilSemicolon()
		if !l.take(';') || len(list) >= maxParams {
			return joinPieces(list)
		}
		l.space()
		name := l.token()
		l.space()
		if name == "" || !l.take('=') {
			continue
		}
		l.space()
		list = append(list, param{name, l.value(name)})
	}
}

// joinPieces puts together what RFC 2231, 3 cut: title*0, title*1 become title,
// and title* if one of them is percent-encoded, as title*0* is. Many mail
// programs cannot do it themselves. Pieces that miss one stay as they are.
func joinPieces(list []param) []param {
	drop := make([]bool, len(list))
	for i, p := range list {
		base, encoded, ok := piece(p.name, 0)
		if !ok || drop[i] {
			continue
		}
		pieces := []int{i}
		for n := 1; ; n++ {
			j := slices.IndexFunc(list, func(p param) bool {
				b, _, ok := piece(p.name, n)
				return ok && strings.EqualFold(b, base)
			})
			if j < 0 {
				break
			}
			pieces = append(pieces, j)
			encoded = encoded || strings.HasSuffix(list[j].name, "*")
			drop[j] = true
		}
		list[i] = join(list, pieces, base, encoded)
	}
	var whole []param
	for i, p := range list {
		if !drop[i] {
			whole = append(whole, p)
		}
	}
	return whole
}

func join(list []param, pieces []int, base string, encoded bool) param {
	var whole strings.Builder
	for _, j := range pieces {
		v := list[j].value
		if encoded && !strings.HasSuffix(list[j].name, "*") {
			v = strings.ReplaceAll(v, "%", "%25") // this piece means it literally
		}
		whole.WriteString(v)
	}
	if encoded {
		base += "*"
	}
	return param{base, whole.String()}
}

// piece splits title*1 or title*1* for n = 1.
func piece(name string, n int) (base string, encoded, ok bool) {
	name, encoded = strings.CutSuffix(name, "*")
	base, ok = strings.CutSuffix(name, "*"+strconv.Itoa(n))
	return base, encoded, ok && base != ""
}

// untilSemicolon passes over everything before the next semicolon that is in
// no quoted string.
func (l *lexer) untilSemicolon() {
	for l.i < len(l.s) && l.s[l.i] != ';' {
		if l.s[l.i] == '"' {
			l.quoted()
		} else {
			l.i++
		}
	}
}

// value reads a quoted string, or everything up to the next semicolon: many
// programs forget the quotes.
func (l *lexer) value(name string) string {
	if l.i < len(l.s) && l.s[l.i] == '"' {
		return l.quoted()
	}
	start := l.i
	for l.i < len(l.s) && l.s[l.i] != ';' {
		l.i++
	}
	v := strings.Trim(l.s[start:l.i], " \t\r")
	if strings.EqualFold(name, "name") || strings.EqualFold(name, "filename") {
		return v // a file name without quotes, spaces and all
	}
	if i := strings.IndexAny(v, " \t\r"); i >= 0 {
		v = v[:i]
	}
	return v
}

// quoted reads a quoted string, without its quotes and backslashes.
func (l *lexer) quoted() string {
	l.i++
	start, escaped := l.i, false
	for l.i < len(l.s) && l.s[l.i] != '"' {
		if l.s[l.i] == '\\' {
			escaped = true
			l.i++
		}
		l.i++
	}
	l.i = min(l.i, len(l.s))
	s := l.s[start:l.i]
	l.closed = l.take('"')
	if escaped {
		s = unescape(s)
	}
	return s
}

// unescape removes the backslashes of RFC 5322's quoted-pairs.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
