// Package store keeps people's mail: mailboxes and the messages in them, to
// be delivered into, read, changed and watched.
//
// What always holds:
//
//   - What is acknowledged is on disk. When Deliver, Append, Copy, Move,
//     StoreFlags, Expunge or a change of the folders returns nil, files,
//     names and directories have been synced.
//   - A UID is on disk before anybody is shown it, and never names a second
//     message. UIDVALIDITY is never used again, not even by a mailbox that is
//     deleted and made anew.
//   - The Maildir++ tree is the truth, in the formats Dovecot reads and writes:
//     flags in file names, UIDs in dovecot-uidlist, keywords in
//     dovecot-keywords. letterbox.index and letterbox.data are caches; when
//     they are missing or damaged they are made again from the files and
//     no UID, flag, keyword, date or identity changes.
//   - Other programs may deliver, change flags and remove files at the same
//     time. Every open compares the cache with the directories, and Run notices
//     such changes while a mailbox is watched.
//   - Sizes and offsets count the wire form: every line ends in CRLF, whatever
//     the file holds.
//   - No lock is held while a caller writes to a client. Watchers are woken
//     through a channel that they give room for one signal, and ask Changes
//     what happened; a slow one delays nobody.
//
// Order of locks: Account.mu, then Mailbox.writeMu (of two mailboxes the one
// with the lesser path first), then dovecot-uidlist.lock, then Mailbox.mu.
package store
