package store

import (
	"errors"
	"fmt"
	"syscall"
)

// What can go wrong, for errors.Is.
var (
	ErrNoAccount         = errors.New("there is no such account")
	ErrNoMailbox         = errors.New("there is no such mailbox")
	ErrMailboxExists     = errors.New("a mailbox of this name exists already")
	ErrBadName           = errors.New("the name cannot be used for a mailbox")
	ErrBadPerson         = errors.New("the name cannot be used for an account")
	ErrBadKeyword        = errors.New("the keyword is not valid")
	ErrHasChildren       = errors.New("the mailbox has mailboxes below it")
	ErrInboxUndeletable  = errors.New("INBOX cannot be deleted")
	ErrOverQuota         = errors.New("the mailbox is full")
	ErrDiskFull          = errors.New("the disk is full")
	ErrReadOnlyDisk      = errors.New("the disk can only be read")
	ErrTooManyKeywords   = errors.New("the mailbox can hold no more keywords")
	ErrExpunged          = errors.New("the message is gone")
	ErrLocked            = errors.New("another letterbox is using this data directory")
	ErrClosed            = errors.New("the mailbox or the store is closed")
	ErrNoSpecialUse      = errors.New("the special use is unknown or taken")
	ErrTooManyMailboxes  = errors.New("there are too many mailboxes")
	ErrMailboxOutOfUIDs  = errors.New("the mailbox has used all its UIDs")
	ErrSubscriptionLimit = errors.New("there are too many subscriptions")
)

// diskError gives an error of the file system its place among the errors
// above, and keeps it.
func diskError(err error) error {
	switch {
	case err == nil, errors.Is(err, ErrDiskFull), errors.Is(err, ErrOverQuota), errors.Is(err, ErrReadOnlyDisk):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT): // EDQUOT: the share of the user we run as
		return fmt.Errorf("%w: %w", ErrDiskFull, err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: %w", ErrReadOnlyDisk, err)
	}
	return err
}

// noRoom reports whether an error says that nothing can be written now, so that
// what is there can still be read.
func noRoom(err error) bool {
	err = diskError(err)
	return errors.Is(err, ErrDiskFull) || errors.Is(err, ErrReadOnlyDisk)
}
