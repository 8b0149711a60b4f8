package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
)

// A Lack is what is lacking for messages in a Destination; zero: there is room.
type Lack struct {
	Messages, Octets int64 // in the quota
	Disk             int64 // octets on the disk
}

// A NoRoom says that messages do not fit. For an import that is known before it does anything it is the whole of them, and nothing was
// changed; else the one at which it stopped.
type NoRoom struct {
	Messages, Octets int64 // that were to come
	Lack             Lack
	Unsure           bool // some of them may turn out to be here already, and then it may fit
}

// Quota reports whether it is a quota that is too small.
func (n *NoRoom) Quota() bool { return n.Lack.Messages > 0 || n.Lack.Octets > 0 }

func (n *NoRoom) Error() string {
	var lacks []string
	if n.Lack.Octets > 0 {
		lacks = append(lacks, fmt.Sprintf("the quota is %s too small", Octets(n.Lack.Octets)))
	}
	if n.Lack.Messages > 0 {
		lacks = append(lacks, fmt.Sprintf("the quota is %s too small", Messages(n.Lack.Messages)))
	}
	if n.Lack.Disk > 0 {
		lacks = append(lacks, fmt.Sprintf("the disk has %s too little that may be used", Octets(n.Lack.Disk)))
	}
	does := "there is no room for"
	if n.Unsure {
		does = "there may be no room for"
	}
	return fmt.Sprintf("%s %s of %s: %s", does, Messages(n.Messages), Octets(n.Octets), strings.Join(lacks, ", and "))
}

// Where a Source does not tell how much there is before it is looked at.
const (
	manyOctets   = 1 << 52 // more than any quota or disk has
	manyMessages = 1 << 40
	usualMessage = 4 << 10 // octets of a message of an mbox file, as a rule: the disk counts in these
	leastMessage = 24      // and at least: "From " and a date
	lineEnds     = 10      // what CRLF adds to files that end their lines with LF, at most, as a rule: one part in so many
)

// fits returns *NoRoom where the messages of folders that are missing in dst have no room there. Where there is room for all that the
// folders may hold, they are not looked at.
func fits(ctx context.Context, src Source, folders []Folder, dst Destination, p *Progress) error {
	room, err := guess(folders).hasRoom(ctx, dst)
	if room || err != nil {
		return err
	}
	p.Say("looking first how much is to come, and whether there is room for it")
	report, err := bring(ctx, src, folders, dst, p, pretendBatch)
	p.again()
	if err == nil {
		err = report.lacking(ctx, dst)
	}
	var no *NoRoom
	if errors.As(err, &no) && no.Unsure {
		return nil // it may go well, and stops where it does not
	}
	return err
}

// guessed is how much there is in folders that have not been looked at, rather more than less.
type guessed struct {
	messages, octets int64
	most             int64 // messages, if they are as short as can be
}

func guess(folders []Folder) (g guessed) {
	for i := range folders {
		f := &folders[i]
		if f.Fault != nil {
			continue
		}
		size := min(f.Size, manyOctets) // a server may say anything
		if size < 0 {
			size = manyOctets
		}
		usual, most := min(f.Messages, manyMessages), min(f.Messages, manyMessages)
		if usual < 0 {
			usual, most = size/usualMessage, size/leastMessage
		}
		g.octets = min(manyOctets, g.octets+size+size/lineEnds)
		g.messages, g.most = min(manyMessages, g.messages+usual), min(manyMessages, g.most+most)
	}
	return g
}

// hasRoom reports whether there is room for all of it.
func (g guessed) hasRoom(ctx context.Context, dst Destination) (bool, error) {
	lack, err := dst.Lack(ctx, g.messages, g.octets)
	if err != nil || lack != (Lack{}) {
		return false, err
	}
	lack, err = dst.Lack(ctx, g.most, 0)
	return lack.Messages == 0, err
}

// lacking returns *NoRoom where dst has no room for what this plan would bring.
func (r *Report) lacking(ctx context.Context, dst Destination) error {
	messages, octets := r.Added()
	all, err := roomFor(ctx, dst, messages, octets)
	if all == nil || err != nil {
		return err
	}
	for i := range r.Folders { // what is sure to come is in folders of which every message is known to be missing
		if f := &r.Folders[i]; f.Unsure > 0 {
			messages, octets = messages-f.Added, octets-f.Octets
		}
	}
	sure, err := roomFor(ctx, dst, messages, octets)
	if sure == nil {
		all.Unsure = true
		return cmp.Or(err, error(all))
	}
	return cmp.Or(err, error(sure))
}

// roomFor asks whether dst has room for messages; nil: it has.
func roomFor(ctx context.Context, dst Destination, messages, octets int64) (*NoRoom, error) {
	if messages == 0 {
		return nil, nil
	}
	lack, err := dst.Lack(ctx, messages, octets)
	if err != nil || lack == (Lack{}) {
		return nil, err
	}
	return &NoRoom{Messages: messages, Octets: octets, Lack: lack}, nil
}

// roomForBatch returns *NoRoom where there is none for the batch. Where reading may tell that some of it is here already, it is read.
func (f *folderRun) roomForBatch(ctx context.Context) error {
	var octets int64
	for i := range f.batch {
		if f.batch[i].ID.unread() && f.known.left > 0 {
			return nil
		}
		octets += f.batch[i].Size
	}
	no, err := roomFor(ctx, f.dst, int64(len(f.batch)), octets)
	if no != nil {
		return no
	}
	return err
}
