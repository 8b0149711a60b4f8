package index

import (
	"errors"
	"os"
)

// minDataRewrite is how many octets of a file are dead at least before it is
// written anew.
const minDataRewrite = 1 << 20

// mostlyDead reports whether so many octets of a file are dead that it is to be
// written anew.
func mostlyDead(dead, size int64) bool { return dead > minDataRewrite && dead > size/2 }

// A compaction is what is in use of the data and text files, on its way into new
// ones.
type compaction struct {
	root     *os.Root
	data     *Data
	text     *Text
	offsets  []int64      // of the new entries, in the order of the records; 0: the old one cannot be read
	textless map[int]bool // records whose text cannot be read
}

// worn reports whether most of the data or of the text is dead.
func (x *Index) worn() bool {
	return mostlyDead(x.dead.data, x.data.Size()) || mostlyDead(x.dead.text, x.text.Size())
}

// Worn reports whether most of the files is of messages that are gone, so that Renew
// makes them small, and how many octets are not: that is what Renew copies.
func (x *Index) Worn() (worn bool, live int64) {
	if x.file.broken {
		return false, 0
	}
	return x.worn(), x.data.Size() - x.dead.data + x.text.Size() - x.dead.text
}

// Renew does for an index that stays open what Close does for its files. Readers may
// go on until it calls alone, which calls what it is given while there are none.
func (x *Index) Renew(alone func(adopt func() error) error) error {
	err := x.compact(alone)
	if serr := x.writeSnapshot(); serr != nil {
		return x.fail(errors.Join(err, serr))
	}
	return err
}

// compact writes what is in use of data and text to new files. Where they cannot
// be written the old ones stay.
func (x *Index) compact(alone func(adopt func() error) error) error {
	c, err := newCompaction(x.file.root, len(x.Records))
	if err != nil {
		return err
	}
	for i := range x.Records {
		if err := c.copy(x, i); err != nil {
			return errors.Join(err, c.discard())
		}
	}
	return alone(func() error {
		// A crash after the first of these renames costs the texts, one after the
		// second everything, until the index that belongs to them is there.
		err := c.root.Rename(TextName+temporary, TextName)
		if err == nil {
			err = c.root.Rename(DataName+temporary, DataName)
		}
		if err != nil {
			return errors.Join(err, c.discard())
		}
		return c.adopt(x)
	})
}

func newCompaction(root *os.Root, records int) (*compaction, error) {
	c := &compaction{root: root, offsets: make([]int64, records), textless: map[int]bool{}}
	var err error
	if c.data, err = createData(root, DataName+temporary, newGeneration()); err != nil {
		return nil, err
	}
	if c.text, err = createText(root, TextName+temporary); err != nil {
		return nil, errors.Join(err, c.data.close(), removeIfThere(root, DataName+temporary))
	}
	return c, nil
}

// copy writes what is kept of Records[i]. What cannot be read is left out.
func (c *compaction) copy(x *Index, i int) error {
	r := &x.Records[i]
	var e Entry
	for s := range Section(sections) {
		var err error
		if e[s], err = x.data.AppendSection(nil, r.Offset(), r.UID, s); err != nil {
			return nil
		}
	}
	place, err := c.copyText(x, r, e[TextPlace])
	if err != nil {
		return err
	}
	if e[TextPlace] = place; place == nil && r.Bits&HasText != 0 {
		c.textless[i] = true
	}
	c.offsets[i], err = c.data.Append(r.UID, &e)
	return err
}

// copyText writes a message's text and returns its new place, nil if there is none.
func (c *compaction) copyText(x *Index, r *Record, place []byte) ([]byte, error) {
	if r.Bits&HasText == 0 {
		return nil, nil
	}
	place, err := c.text.AppendFrom(x.text, place, r.UID, r.UID)
	if errors.Is(err, ErrNoData) {
		return nil, nil
	}
	return place, err
}

// adopt makes the new files those of x.
func (c *compaction) adopt(x *Index) error {
	for i := range x.Records {
		r := &x.Records[i]
		r.SetOffset(c.offsets[i])
		if c.offsets[i] == 0 {
			r.Bits &^= Parsed | HasText
		}
		if c.textless[i] {
			r.Bits &^= HasText
		}
	}
	err := errors.Join(x.data.close(), x.text.close())
	x.data, x.text, x.textID, x.dead = c.data, c.text, c.text.id, deadOctets{}
	return err
}

func (c *compaction) discard() error {
	return errors.Join(c.data.close(), c.text.close(), removeIfThere(c.root, DataName+temporary), removeIfThere(c.root, TextName+temporary))
}
