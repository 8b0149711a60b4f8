// Package appliance is the whole letterbox: it opens the parts, introduces them to one another, runs them, and applies configurations.
// It is the only package that knows all the others.
//
// # How a message flows
//
// Mail comes in through a listener of package listen to package smtpd: intake on port 25, submission on 465 and 587. smtpd asks
// package accounts, through the adapters in mailroom.go, who an address belongs to and who may send as it. The message goes into
// a store.Incoming while it arrives, and store.Deliver writes it into the Maildir of every recipient; the 250 follows when all of
// that is on disk. The mailbox wakes those who watch it, and package imapd, which serves ports 143 and 993 from the same store, tells its
// clients. Whether there is room, in a person's quota and above what is to be left free of the disk, is asked at RCPT and APPEND, and
// settled by the store before a message is written; quota.go tells it how much, and leaves a mail with whose mailbox is nearly full.
// Mail for elsewhere is refused at submission: nothing leaves the house yet.
//
// Mail from elsewhere is brought by the letterbox command (package transfer), which reads it where it lies and hands it over in batches
// through the control plane: importing.go puts each batch into a mailbox, whole or not at all.
//
// # How a configuration is applied
//
// There is one path, Update, for the set-up page, the control socket, SIGHUP and the start itself: a restart is the application of
// the saved configuration. Update changes a copy, checks it whole, prepares what is new (people's mailboxes, listeners,
// the certificate), saves it, and only then swaps it in and drains what it replaces. A failure before the swap leaves everything as it was;
// the mailboxes of people who were to be added may remain, empty and unknown to anybody.
//
// Without a configuration only the web UI runs, with a certificate made for the moment, and waits to be told whose letterbox it is.
//
// # The data directory
//
//	letterbox.toml  the configuration, with the hashes of the passwords (package config)
//	mail/           a Maildir++ tree for each person, and .removed (packages store and store/maildir)
//	spool/          long messages while they are received (package store)
//	lock            held by the one program that has the data open (package store)
//	tls/            the household's certificates and their keys (package certs)
//	control.sock    where the letterbox command reaches the running server (package control)
//	setup-code      a set-up code made before the server started, until it does
//
// # Who owns what
//
// One Appliance holds everything; there is no global state, and two of them run in one process. Open builds it and starts nothing. Run
// starts its parts and waits for every goroutine that it started. Updates are serialised by Appliance.updating; what they replace
// is read through atomic pointers.
package appliance
