// Package imapreader reads mail that lies at somebody else's IMAP server (RFC 3501, RFC 9051), and changes nothing there.
//
// What always holds:
//
//   - Folders are opened with EXAMINE, and octets asked for with BODY.PEEK[]: no flag changes, nothing is written.
//   - Octets are read as they come: memory does not grow with a message or an answer. What is kept of a folder is 4 octets a message.
//   - Whatever a server says, there is an end to it and to what is kept of it: who goes past a limit is told by an *Excess.
//   - Passwords go over TLS, or to this very machine.
//   - Of what a server says, only what is needed is understood, and all else is passed over. What makes no sense ends the connection
//     with an error.
//
// go-imap's client was tried first: it adds 330 KB to the program, gives a message five minutes and no more, and ends the connection at
// the first word it does not know.
package imapreader
