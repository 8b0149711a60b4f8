// Package maildir keeps one person's mail as a Maildir++ tree of plain files
// in Dovecot's formats: go-maildir made durable and confined.
package maildir
