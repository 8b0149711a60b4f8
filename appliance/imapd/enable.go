package imapd

import (
	"strings"

	"letterbox/appliance/imapwire"
)

// features are what ENABLE knows.
var features = []struct {
	name string
	feat feature
}{
	{"CONDSTORE", featCondStore},
	{"UTF8=ACCEPT", featUTF8Accept},
	{"IMAP4rev2", featIMAP4rev2},
}

// enable is ENABLE (RFC 5161; RFC 9051, 6.3.1). What is unknown is ignored. What
// has been enabled before is told again, as by Dovecot: a program that asked
// for HIGHESTMODSEQ has enabled CONDSTORE already and waits for it here.
func (c *conn) enable(r *request) error {
	a, err := imapwire.ParseEnable(r.args)
	if err != nil {
		return err
	}
	c.out.begin()
	c.out.buf = append(c.out.buf, "* ENABLED"...)
	var now feature
	for _, name := range a.Capabilities {
		for _, f := range features {
			if strings.EqualFold(f.name, name) && now&f.feat == 0 {
				now |= f.feat
				c.out.buf = append(append(c.out.buf, ' '), f.name...)
			}
		}
	}
	c.out.line()
	if now&featCondStore != 0 {
		c.enableCondStore()
	}
	c.enabled |= now
	return nil
}

// enableCondStore is called for each CONDSTORE-enabling command. RFC 7162,
// 3.1: the first tells HIGHESTMODSEQ if a mailbox is selected.
func (c *conn) enableCondStore() {
	if c.enabled&featCondStore != 0 {
		return
	}
	c.enabled |= featCondStore
	if c.view != nil {
		c.sayHighestModSeq()
	}
}
