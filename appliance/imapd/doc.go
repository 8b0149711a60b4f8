// Package imapd lets mail programs read and change a person's mail over IMAP:
// sessions over the store, one file for each command.
//
// What always holds:
//
//   - A session shows its client a view: the messages it has told of, by sequence
//     number. The view changes only where RFC 9051, 7.5.1 allows it, and costs
//     4 octets a message.
//   - Everything else is asked of the store at the moment it is answered. Nothing
//     the store locks is held while something is written to a client, and nobody
//     waits for a slow client but itself.
//   - OK to APPEND, COPY, MOVE, STORE, EXPUNGE and to changes of the folders
//     comes after the store has synced them to disk.
//   - No answer is ever whole in memory, and no message: bodies are copied by
//     offset in pieces of 16 KiB. What must be measured before it is sent (header
//     fields, decoded parts) and does not fit a buffer is made twice.
//   - A literal that is refused is thrown away or never asked for; it is
//     never run as commands.
//   - EXAMINE changes nothing.
//
// # A connection
//
// One goroutine serves a connection: it reads a command (input, Collector), runs
// it (the command table in command.go), announces what others did to the
// mailbox (announce.go) and gives the tagged answer (faults.go maps errors to
// answers). Output is collected in a buffer (output) and written when 16 KiB have
// come together or before waiting for the client. While it waits, a
// connection holds neither a read buffer nor a write buffer: some 10 KB on the heap,
// most of it TLS's, and 10 KB of stacks, also after a large answer.
//
// News comes by waking, then pulling: while IDLE a second, tiny goroutine waits
// for the mailbox's signal and interrupts the read (link.wake); the connection's
// goroutine asks Changes since the last mod-sequence it pulled, says what is
// new and waits again. Without IDLE, the same pull happens at the end of each
// command. Changes that the session made itself are not told twice.
//
// A command is one file and one line in the table. Its arguments, limits on
// them and their syntax are imapwire's.
//
// # Limits
//
//	before sign-in       60 s in all, TLS handshake and slowed-down passwords included;
//	                     4 KiB a command; 10 bad commands in a row
//	signed in            30 minutes of silence (RFC 9051, 5.4); 50 bad commands in a row
//	a command            256 KiB, literals included; imapwire limits what it may hold: 20,000 ranges in a set
//	a refused line       drained up to 16 MiB, then BYE
//	a refused literal    drained up to four times the append limit, 16 MiB at least, then BYE
//	a message            Options.AppendLimit; a synchronising literal is refused before it comes
//	a write              5 minutes for 16 KiB
//	SEARCH               a bit for each message of the view, and 100 KiB while text is searched
//
// # Searching text
//
// SEARCH TEXT, BODY and HEADER look for text without regard to case, in any script,
// and however accented letters are composed, within a header field or the text of
// a part (package message tells). The store answers from the text that it keeps of a
// message; where it has none, or only the beginning, the message is read and looked
// through. Both give the same answer. FROM, TO, CC, BCC and SUBJECT are looked for
// in ENVELOPE.
//
// # Dovecot
//
// Mail programs are tested with Dovecot. Where an RFC leaves room, the answers are
// Dovecot's: testdata/dovecot has what is said to both in a test, with a
// reason for each answer that is meant to differ. So a part that does not exist is
// an empty literal and not NIL, SUBSCRIBE wants a mailbox that is there, and
// ENABLE tells also what has been enabled before.
//
// # Standards
//
//	RFC 9051  IMAP4rev2               yes
//	RFC 3501  IMAP4rev1               yes; \Recent is never set, as in rev2: a session that
//	                                  claims it would have to write to the disk
//	RFC 2177  IDLE                    yes
//	RFC 2342  NAMESPACE               yes: one personal namespace, "/" between levels
//	RFC 2971  ID                      yes
//	RFC 3348  CHILDREN                yes
//	RFC 3516  BINARY                  yes; APPEND ~{n} keeps NUL, FETCH BODY[] shows 0x80 for it
//	RFC 3691  UNSELECT                yes
//	RFC 4315  UIDPLUS                 yes
//	RFC 4616  AUTH=PLAIN              yes, for oneself only
//	RFC 4731  ESEARCH                 yes
//	RFC 4959  SASL-IR                 yes
//	RFC 5032  WITHIN                  yes
//	RFC 5161  ENABLE                  yes, also while a mailbox is selected
//	RFC 5182  SEARCHRES               yes
//	RFC 5256  SORT, THREAD            no
//	RFC 5258  LIST-EXTENDED           yes; REMOTE changes nothing, there are no remote mailboxes
//	RFC 5267  CONTEXT, ESORT          no
//	RFC 5464  METADATA                no
//	RFC 5465  NOTIFY                  no
//	RFC 5530  response codes          yes
//	RFC 5819  LIST-STATUS             yes
//	RFC 6154  SPECIAL-USE, CREATE-SPECIAL-USE  yes, one use a mailbox
//	RFC 6851  MOVE                    yes
//	RFC 6855  UTF8=ACCEPT             yes; messages are served as they are also to clients
//	                                  that have not enabled it, rather than not at all
//	RFC 7162  CONDSTORE               yes
//	RFC 7162  QRESYNC                 no
//	RFC 7888  LITERAL+                yes
//	RFC 7889  APPENDLIMIT             yes, one for all mailboxes
//	RFC 8314  implicit TLS            yes
//	RFC 8437  UNAUTHENTICATE          no
//	RFC 8438  STATUS=SIZE             yes
//	RFC 8474  OBJECTID                partial, not advertised: MAILBOXID, EMAILID; THREADID is always NIL
//	RFC 8508  REPLACE                 no
//	RFC 8514  SAVEDATE                yes for FETCH; not for SEARCH, so it is not advertised
//	RFC 8970  PREVIEW                 no
//	RFC 9208  QUOTA                   no
//	RFC 9394  PARTIAL                 no
//
// What is "no" is not advertised and answered with BAD.
package imapd
