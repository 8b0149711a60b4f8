// Package transfer brings a person's mail in from elsewhere and takes it out again.
//
// What always holds:
//
//   - Nothing is written to where mail comes from.
//   - A message is in once its batch is, and a batch is in whole or not at all. Whenever an import ends, by a fault, by Ctrl-C, by a
//     power cut, the same command goes on where it stopped.
//   - Nothing is left out in silence: what could not be taken is named in the Report.
//   - What has no room is told before anything is done, as far as it can be known then (room.go), and no folder is made for it.
//   - Memory does not grow with a message or a folder, but for some 70 octets for each message of the folder at hand.
//   - An export changes nothing in the household, writes nothing over a file that is not its own, and what it has finished is on the
//     disk.
//
// # What was imported already
//
// Every message that is imported gets an identity (ID), which stays with it as its EMAILID. So the mailbox itself tells which messages
// an earlier import brought; no file keeps count beside it. The first half of an identity is made of the octets of the message in
// wire form. The second is made of all its octets as well, or, where it comes from an IMAP server, of where it lies there: what came
// from there before is not read again. A message of which only the octets are the same as of one that is here (because the server
// numbered a folder anew, or an mbox file brought it) does not come again either, but that is known only when it has been read.
//
// Messages that no import brought have an EMAILID of their own. A Maildir that is a copy of the folder, from an export or a backup,
// bears it still, in the file's name or in dovecot-uidlist: of that, what is here with the same EMAILID and size does not come.
//
// A message that comes several times in one folder of the source comes as often. Its second and third copy have identities of their
// own.
//
// What is here already stays as it is: flags that were changed at the source since do not come along, because it is here that the
// mail lives now.
//
// It is the same folder that counts. A message that somebody has deleted since, or put into another folder, comes again when the
// import is run again; one that lies in two folders of the source lies in two folders here, with one EMAILID.
// Two imports into one folder at the same time may both bring a message.
//
// # Dovecot
//
// A whole household comes from a Dovecot server (dovecot.go, passwdfile.go) and goes to one (dovecotexport.go, dovecotfiles.go): trees are
// copied file by file with the lists in them, so that every number and identity stays, and mail programs notice nothing. A tree may
// be copied again while it is not used, and is then as the one that it comes from: what went away there goes here.
//
// # The parts
//
// A Source (source.go) shows folders and messages: mbox.go and mboxreader.go, maildir.go, eml.go. Import (import.go) compares them with
// what a Destination has (known.go) and has room for (room.go), and hands over what is missing, a batch at a time. A Progress (progress.go) shows how far it is, a Report
// (report.go) says how it went.
package transfer
