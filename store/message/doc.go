// Package message reads mail as it comes: it finds the MIME structure of any
// sequence of bytes in one bounded pass.
package message
