// Package message reads mail as it comes: it finds the parts of any message in
// one pass, makes the answers that mail programs ask for, and decodes what
// people search for.
//
// What always holds:
//
//   - Nothing is refused. Every sequence of octets is a message with a
//     structure, an ENVELOPE and a BODYSTRUCTURE that are valid IMAP.
//   - The pass takes time linear in the message and bounded memory: it keeps no
//     line and no body. See limits.go for what it keeps; past a limit the rest
//     of the message is one application/octet-stream leaf, whose size is right,
//     or a text is cut.
//   - BODYSTRUCTURE and the parts by offset agree: number, octets, lines.
//   - A part lies within its parent, and parts of one parent do not overlap.
//   - Nothing depends on how the message was cut into writes.
//
// # Wire form
//
// All sizes and offsets count the message as IMAP and SMTP send it, with CRLF
// at line ends. A file may hold bare LF, as programs on Unix write it; each is
// served as CRLF (WireReader). A bare CR is no line end and is served as it
// is. So what comes back by BODY[] differs from the file in two things only:
//
//   - A bare LF has become CRLF: RFC 5322, 2.3 has no other line end.
//   - A NUL has become 0x80 (NewNULReader): RFC 9051, 4.3 and 9 forbid
//     NUL in a literal, and clients written in C stop reading there. The octet
//     is one that Dovecot uses too; sizes stay equal. BINARY[] sends literal8,
//     where NUL is allowed, and sends it as it is.
//
// # Parts
//
// A line that begins with "--" and the boundary is a delimiter, whatever follows
// (RFC 2046, 5.1.1); where two open multiparts qualify, the one that makes up the
// whole line wins, then the longer boundary, then the inner multipart. The line
// end before a delimiter belongs to the delimiter, except that of a header. A
// delimiter that is the unfinished last line of a message starts no part.
//
// A header ends at the first empty line. Lines in it that are no field,
// such as an mbox "From " line, are part of it and have no meaning. A delimiter
// ends a header too; the line end before it stays with the header.
//
// A multipart without a part, or without a boundary, has one empty text part,
// since BODYSTRUCTURE cannot say otherwise. A message/rfc822 is always looked
// into, also where it claims to be encoded, which RFC 2046, 5.2.1 forbids.
// A message/global is a leaf, for clients of RFC 3501 know no other form.
//
// # ENVELOPE and BODYSTRUCTURE
//
// They are made of the raw text of the header: encoded words, dates and
// charsets come out as they went in. A line end and the white space after it
// become one space. Strings with octets above 127, CR, or more than 1,000
// octets are literals, all others are quoted strings. Of a field that comes
// twice the first counts, but To, Cc and Bcc add up (RFC 5322, 4.5.3).
//
// The halves of an address that are not there read MISSING_MAILBOX and
// MISSING_DOMAIN, since NIL would make it a group. Source routes are kept. An
// address without a name takes its comment for one.
//
// A Content-Type that cannot be read is text/plain (RFC 2045, 5.2), half of one
// becomes multipart/mixed or application/octet-stream. Pieces of RFC 2231
// parameters are put together, their percent-encoding is left. Text without a
// charset says us-ascii.
//
// # Search text
//
// What SEARCH looks through is text without differences of case and of
// composition, in segments: header fields, decoded, and texts of parts, decoded.
// A needle is found within a segment, never across two. WriteSearchText makes
// that text, for a cache, and Needle looks for its segments in the message
// itself: both go through them in one way (textWalk), so that a cache and the
// message give the same answer.
//
// # Differences from Dovecot
//
// All of this was compared with the answers of Dovecot 2.3 to the messages under
// testdata. They agree, also on the case of letters, except for these:
//
//   - Dovecot takes the last Date, Subject and Message-ID and joins all From
//     fields; here the first counts.
//   - Dovecot gives up on an address list at the first fault; here commas are
//     found that were forgotten, semicolons are commas, brackets and quotes
//     that are not closed end at the comma. A list without an address is NIL,
//     and a Sender or Reply-To without one has that of From.
//   - Dovecot answers a broken Content-Type with "" "".
//   - Dovecot's message/rfc822 whose message ends with a closed multipart counts
//     the line end before the next delimiter; RFC 2046, 5.1.1 does not.
//   - A header whose message or part has no body keeps its last line end and
//     blank line; HEADER.FIELDS adds no blank line where the message has none
//     (RFC 9051, 6.4.5).
//   - Boundaries are compared over 200 octets, not 80; an empty one is none.
//   - File names without quotes may hold spaces; "8-bit" reads 8bit; other
//     encodings that are followed by something keep their name.
//   - Runs of spaces within a Subject stay; a bare CR in it stays.
//   - A NUL in a header reads 0x80 there too, not U+FFFD.
package message
