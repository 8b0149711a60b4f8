package imapwire

import "fmt"

// SyntaxError says what is wrong with a command, in words for the person who reads the mail program's log.
// The answer is BAD.
type SyntaxError struct {
	Tag  string // the command's tag, or "" if none could be read: the answer is untagged then
	Text string // what is wrong; it may repeat some of the client's words, quoted and in US-ASCII
}

func (e *SyntaxError) Error() string { return e.Text }

// BadCharsetError is for a search in a charset other than UTF-8 and US-ASCII. The answer is
// NO [BADCHARSET (UTF-8 US-ASCII)] (RFC 9051, 7.1).
type BadCharsetError struct {
	Tag     string // the command's tag
	Charset string
}

func (e *BadCharsetError) Error() string {
	return fmt.Sprintf("the charset %+.40q is not known here, UTF-8 and US-ASCII are", e.Charset)
}
