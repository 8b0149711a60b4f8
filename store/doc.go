// Package store keeps people's mail: mailboxes and the messages in them, to
// be delivered into, read, changed and watched.
//
// What always holds:
//
//   - What is acknowledged is on disk. When Deliver, Append, Copy, Move,
//     StoreFlags, Expunge or a change of the folders returns nil, files,
//     names and directories have been synced.
//
//   - A UID is on disk before anybody is shown it, and never names a second
//     message. UIDVALIDITY is never used again, not even by a mailbox that is
//     deleted and made anew.
//
//   - The Maildir++ tree is the truth, in the formats Dovecot reads and writes:
//     flags in file names, UIDs in dovecot-uidlist, keywords in
//     dovecot-keywords. letterbox.index, letterbox.data and letterbox.text are
//     caches; when they are missing or damaged they are made again from the
//     files and no UID, flag, keyword, date or identity changes.
//
//   - Other programs may deliver, change flags and remove files at the same
//     time. Every open compares the cache with the directories, and Run notices
//     such changes while a mailbox is watched.
//
//   - Sizes and offsets count the wire form: every line ends in CRLF, whatever
//     the file holds.
//
//   - No lock is held while a caller writes to a client. Watchers are woken
//     through a channel that they give room for one signal, and ask Changes
//     what happened; a slow one delays nobody.
//
//   - What a person holds is known as a sum that every change of an index adjusts
//     (usage.go). Room in the quota and above the floor of free space is promised
//     before a message is written (quota.go, floor.go), so that what comes at one
//     time cannot pass the limit together; only a delivery to several people that one
//     of them has room for passes it for the others. Reading, flags, moving and expunging
//     need no room.
//
//   - What is expunged, or goes with a deleted mailbox, is kept for a month
//     beside the Maildir (bin.go), counts in no quota, and is the first to go when room
//     runs short. What other programs remove is gone.
//
//   - A disk that is full or can only be read keeps nobody from reading. What
//     cannot be made durable is refused, not taken back later.
//
// # Where to begin
//
// Store (store.go) is a data directory, Account (account.go, folders.go) a
// person's mailboxes, Mailbox (mailbox.go) one of them, Message (message.go) an
// open message. A message comes in as an Incoming and goes by Deliver or
// Append to Mailbox.place (arrival.go); sync.go takes in what other programs
// did; uidlist.go keeps dovecot-uidlist, where UIDs and mod-sequences are made
// durable; notify.go and watch.go wake those who wait; expunged.go and undelete.go
// show and bring back what was expunged. Package maildir knows the files, package index the cache, package message what is in a message.
//
// # Search text
//
// What SEARCH looks through of a message (message.WriteSearchText) is made while
// the disk writes the message, before it is acknowledged: a delivery waits for the
// disk in any case, and a text made afterwards would need a second data entry. It
// costs a tenth of a millisecond of a letter on a PC, and some milliseconds on a
// router, where the disk takes longer than that too. COPY and MOVE take it along.
// Of other messages, and where it was lost, it is made when they are read for their
// structure, behind whoever waits (readahead.go). None of it is synced: a lost text
// costs the time to read the message.
//
// # Files
//
// In the data directory: lock (flock: one server at a time), calendar (the days on
// which mail was written: housekeeping.go), spool (for long
// messages being received, in files without names), mail/<person>/Maildir,
// mail/<person>/Expunged (what was expunged, by day and folder: maildir.Bin),
// mail/<person>/quota-warned (warning.go), mail/<person>/adopted and mail/.adopt-<person>
// (mail taken over from another server: adopt.go) and mail/.removed. In each folder, beside Dovecot's files, whose form is told
// in package maildir as are letterbox-folder, letterbox-intent.* and
// letterbox-rename: the caches letterbox.index, letterbox.data and letterbox.text,
// told in package index.
//
// # Locks
//
// In this order: Store.making, Account.counting, Store.mu, Account.mu, Mailbox.writeMu (of two
// mailboxes that of the one opened first), dovecot-uidlist.lock, disk.shedding, that of a person in Store.bins,
// Mailbox.mu. Under these, three are held over disk work: calendar.mu while the file is
// read or written, spare.mu of a tree while its spare file is made, and a turn of textMakers
// while a text is made; none but what reading a message needs is taken under them. Mailbox.queueMu, disk.mu and those of notifier,
// caretaker, clock, idleList, watchers, usage and index.Data are taken last, for moments.
package store
