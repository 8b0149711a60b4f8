// Package smtpd receives mail by SMTP: from other servers on port 25 (intake), and from the household's own mail programs
// on ports 465 and 587 (submission).
//
//   - 250 is answered after Mailroom.Deliver returned nil, never before: from then on the mail is ours to keep.
//   - Intake takes mail for the household and for nobody else. Submission takes mail from people who have signed in,
//     who send as addresses of their own.
//   - A recipient whose mailbox has no room, for the size that MAIL announces or for any mail, is refused by itself, at RCPT; an address
//     of several people when none of them has room. Every recipient is refused while the disk has none.
//   - What was accepted at RCPT shares one answer after the message (RFC 5321, 4.2.5), and a no would have the sender bring it a second time
//     to those who have it, or never to those who have room. So a mailbox that turns out to be full then takes this one message
//     all the same, if one of the other recipients has room. If none has, it is kept for none.
//   - Passwords are taken over TLS only; an option allows plaintext from this very machine. They are never logged.
//   - A message ends at <CRLF>.<CRLF> or at its last BDAT octet, and nowhere else (RFC 5321, 4.1.1.4). A bare CR or
//     a bare LF is content, passed on as it came: the line after a bare LF is not the start of a line, neither for the final
//     dot nor for the doubled one. A command line that holds one is refused. (SMTP smuggling lives on servers that
//     disagree on this.) The Mailroom writes a bare LF as CRLF, after the end of the message is known.
//   - No message is ever whole in memory here, and no line either; everything that a peer can repeat has a limit, which is
//     answered in the protocol.
//
// # How a message flows
//
// Server accepts and tracks connections. A peer is one of them: deadlines, output buffer, TLS, shutting down. For each of its
// two phases, before and after STARTTLS, a wire reads its lines, and screens them: what is wrong in form or order is answered
// there. The lines that remain go to go-smtp, which speaks the dialog and calls session: Mail, Rcpt, Data. A receipt copies the
// message through headerScan into an Incoming; then its finish, which knows the envelope and the header, judges the message as a
// whole, and delivers it.
//
// # What go-smtp leaves to this package
//
// go-smtp v0.25.1 loses the dot and the CR of a line ".<CR>X", does not end a message after <CR><CRLF>, unquotes local parts so
// that addresses become ambiguous, knows no <postmaster>, sets one deadline for a whole message, leaves after the fourth
// bad command, and its Shutdown cannot be told that time is up. After a BDAT message given up by RSET, its next message may get the
// answer of the one before. So it never sees message octets (session.Data reads them from the wire, BDAT is answered before
// it), sees addresses that are parsed already, and its Shutdown is called only when its connection has ended.
package smtpd
