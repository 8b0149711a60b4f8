// Package imapwire reads what a mail program says to an IMAP server and writes what it is told:
// the grammar of RFC 9051 (IMAP4rev2), RFC 3501 (IMAP4rev1) and their extensions, bytes in and
// values out, with no I/O.
//
// How a connection uses it: a [Collector] gathers the lines and literals of one command under a limit;
// [ParseTag] splits off tag and name; [NewDecoder] reads the rest; the Parse function of the command
// returns its arguments. Answers are built with the Append functions.
//
// Invariants:
//
//   - Nothing panics, whatever the bytes. Every error of a Parse function is a [*SyntaxError] (answer BAD
//     with its text) or a [*BadCharsetError] (answer NO [BADCHARSET]).
//   - A Parse function takes the whole of its input or fails: bytes left over are an error.
//   - What is returned holds no reference to the input, which may be reused at once.
//   - Sets are kept as ranges and never expanded. Their number, the depth and size of search programs and
//     of every other list are limited (see limits.go), so that a command costs no more than its bytes.
//   - Append functions allocate nothing when dst has room.
//   - Mailbox names are UTF-8 here, with "/" or whatever else the server uses left alone. On the wire they are
//     modified UTF-7, or UTF-8 once the client has enabled IMAP4rev2 or UTF8=ACCEPT. Any spelling of INBOX
//     comes out as "INBOX", also as the first level of a name ("inbox/a" is "INBOX/a").
//
// Forgiving, where clients need it and it cannot change the meaning:
//
//   - Everything but the content of strings is read without regard to case; a bare LF ends a line.
//   - More spaces than one between arguments, within parentheses and before the end of a command. None are allowed
//     where the grammar has none: "BODY.PEEK [" is refused, and so is "INBOX(CONDSTORE)".
//   - Strings, in quotes or as literals, may hold 8-bit octets without UTF8=ACCEPT, as Dovecot has it too; never NUL, and in
//     quotes neither CR nor LF. In mailbox names, which are modified UTF-7 then, they are refused; search strings must be
//     UTF-8; user names and passwords come out as they are.
//   - RFC822.PEEK and RFC822.TEXT.PEEK, which RFC 1730 had; CHANGEDSINCE 0; the charsets UTF8 and ASCII; days of one digit.
//   - A LIST pattern need not be valid modified UTF-7.
//
// To add an extension: a command is a file with its arguments and its Parse function; a parameter of SELECT or CREATE, a
// modifier of FETCH or STORE and an option of LIST or SEARCH is a case in the method that knows their names, and those not
// known there are refused by name.
package imapwire
