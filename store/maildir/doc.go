// Package maildir keeps one person's mail as a Maildir++ tree of plain files,
// in the formats that Dovecot 2.3 reads and writes: go-maildir made durable
// and confined, with dovecot-uidlist, dovecot-keywords and subscriptions. It
// holds files only, no cache.
//
// What always holds:
//
//   - Nothing is reported as done before it is on disk. Temp.Finish has synced
//     the message, Folder.Rename, Remove, SyncCur and SyncNew have synced the
//     directories, Bin.Keep and KeptFolder.MoveTo have synced both they are
//     about, UIDListLock.Append and Rewrite have synced the list.
//     Placing, linking and moving do not sync by themselves, so that many of
//     them can share one directory sync: the comment of each says so.
//   - A message file is never written over. Where the file system can, a
//     rename or link onto an existing name fails.
//   - Nothing outside the tree and the bin beside it is read or changed: every
//     access goes through an os.Root, and a symbolic link that leads out is
//     refused.
//   - A UID that stands in a list, damaged lines included, lies below the
//     UIDNext that is read from it, and Append refuses to write it again.
//   - A sync that has failed is not believed later: Doubtful lists are written
//     anew, and what an earlier process may have left is written again (Settle).
//   - What other programs wrote and we do not understand (flag letters, fields
//     of the list's head and records, lines of letterbox-folder) is kept.
//   - Nothing written depends on word size or byte order.
//   - A Reader changes nothing: it is for trees that are not ours, and for
//     reading beside a running server.
//
// # Beside Dovecot
//
// dovecot-uidlist.lock, dovecot-keywords.lock and subscriptions.lock are taken
// as Dovecot takes them: created exclusively, holding "pid:host"; a lock whose
// process is dead is removed at once, one that has not been touched for two
// minutes (subscriptions: half a minute) too. Waiting for one is a timer that
// backs off from 1 to 64 ms; inside this process nobody waits by timer. Who renames
// messages within a folder holds the lock of the list, too: a Dovecot that reads the
// directory meanwhile may take them for expunged.
//
// Verified against Dovecot 2.3.19 (interop_test.go): it keeps the field
// that we add to the head of its list (M, the mod-sequence ceiling) and the
// one that we add to records (D, SAVEDATE), also when it rewrites the list.
// Messages in new/ can carry flags, since doveadm changes flags there. While we
// hold the list's lock, Dovecot's deliveries do not wait: they leave messages
// in new/ without a line, for whoever opens the folder next to give a UID.
//
// # Folder names
//
// Outside, names are UTF-8 with "/" between the levels. On disk the folder
// Lists/go.dev is the directory ".Lists.go\2edev": modified UTF-7, and
// Dovecot's listescape for ".", "/", "\" and a "~" that begins a level. INBOX
// is the root itself, in any case of its letters; its children lie in
// ".INBOX.name". New names are normalised to NFC, and a name finds the folder
// that differs from it only in normalisation, so that no two such folders are
// made here. Where another program has made both, each is reached by its own
// exact name. A directory whose name is not valid modified UTF-7 is shown with
// the name as it stands on disk.
//
// # Files
//
// dovecot-uidlist is told in uidlist.go, dovecot-keywords in keywords.go,
// dovecot-uidvalidity in uidvalidity.go, subscriptions in subscriptions.go.
// Files of ours, all of them text:
//
//   - letterbox-folder, in a folder: see FolderFile.
//   - letterbox-intent.<26 letters>, in a folder: one line, what the base names of
//     an unfinished COPY or APPEND begin with; files of such names are removed
//     when the folder is opened (Intent).
//   - letterbox-rename, in the root: a line for each directory that is being
//     renamed, old name, tab, new name; finished when the tree is opened.
//   - letterbox-new.* and letterbox-removed.*, in the root and for a moment:
//     folders that come or go, without a leading dot, so folders to nobody.
//   - tmp/letterbox-*: messages being written; <name>.tmp-*: files being replaced.
//
// Beside the tree lies Expunged, with what was expunged: see Bin.
package maildir
