package imapd

import (
	"slices"

	"letterbox/appliance/imapwire"
	"letterbox/store"
)

// store is STORE (RFC 9051, 6.4.6; RFC 7162, 3.1.3).
func (c *conn) store(r *request) error { return c.storeFlags(r, false) }

// uidStore is UID STORE (RFC 9051, 6.4.9).
func (c *conn) uidStore(r *request) error { return c.storeFlags(r, true) }

// A storeJob is one STORE while it runs.
type storeJob struct {
	c        *conn
	args     imapwire.StoreArgs
	op       store.FlagOp
	flags    store.Flags
	modified []store.UID // failed UNCHANGEDSINCE
	gone     bool        // a message is no longer there
}

func (c *conn) storeFlags(r *request, byUID bool) error {
	a, err := imapwire.ParseStore(r.args)
	if err != nil {
		return err
	}
	spans, err := c.spans(a.Set, byUID)
	if err != nil {
		return err
	}
	if c.view.readOnly {
		return errReadOnly
	}
	if a.HasUnchangedSince {
		c.enableCondStore()
	}
	job := &storeJob{c: c, args: a, op: storeOp(a.Op)}
	// Taking a keyword away makes none.
	if job.flags, err = c.view.box.KeywordFlags(a.Flags, a.Op != imapwire.StoreRemove); err != nil {
		return err
	}
	if err := batches(spans, storeBatch, job.batch); err != nil {
		return err
	}
	if len(job.modified) > 0 {
		r.code = c.modifiedCode(job.modified, byUID)
		r.text = "some of the messages had been changed"
	}
	if job.gone && !byUID {
		return no(codeExpungeIssued, "some of the messages are no longer there")
	}
	return nil
}

func storeOp(op imapwire.StoreOp) store.FlagOp {
	switch op {
	case imapwire.StoreAdd:
		return store.AddFlags
	case imapwire.StoreRemove:
		return store.RemoveFlags
	}
	return store.SetFlags
}

// batch changes the messages from index lo up to hi of the view.
func (j *storeJob) batch(lo, hi int) error {
	c, v := j.c, j.c.view
	if j.args.HasUnchangedSince && j.args.UnchangedSince == 0 {
		// RFC 7162, 3.1.3: every message has a greater mod-sequence.
		for _, m := range v.box.Lookup(nil, v.uids[lo:hi]) {
			j.modified = append(j.modified, m.UID)
		}
		return nil
	}
	// What others did is told first: .SILENT leaves the client to work out the
	// flags from those it knows (RFC 9051, 6.4.6).
	if err := c.pull(false, nil); err != nil {
		return err
	}
	before := v.modSeq
	changed, modified, err := v.box.StoreFlags(v.uids[lo:hi], j.op, j.flags, store.ModSeq(j.args.UnchangedSince))
	if err != nil {
		return err
	}
	j.modified = append(j.modified, modified...)
	own := changed
	if j.args.Silent && len(changed) > 0 && changed[0].ModSeq != before+1 {
		own = nil // somebody was quicker after all: tell everything
	}
	// Again what others did, and only then the flags as they are now: told the
	// other way round, an older state would be the last one told.
	if err := c.pull(false, own); err != nil {
		return err
	}
	c.sayKeywords()
	return batches([]imapwire.Span{{Lo: lo, Hi: hi}}, batchSize, func(lo, hi int) error {
		return j.tellBatch(lo, hi, modified)
	})
}

// tellBatch tells of the messages from index lo up to hi, but for those that
// were left alone.
func (j *storeJob) tellBatch(lo, hi int, modified []store.UID) error {
	c, v := j.c, j.c.view
	metas := v.box.Lookup(c.scratch.metas[:0], v.uids[lo:hi])
	c.scratch.metas = metas
	j.gone = j.gone || len(metas) < hi-lo
	i := lo
	for m := range metas {
		meta := &metas[m]
		if _, left := slices.BinarySearch(modified, meta.UID); left {
			continue
		}
		for v.uids[i] != meta.UID {
			i++
		}
		j.tell(i+1, meta)
	}
	if c.out.err != nil || c.ending() {
		return c.interrupted()
	}
	return nil
}

// tell writes the FETCH response to a change: flags unless .SILENT was given;
// the mod-sequence always where CONDSTORE is in use (RFC 7162, 3.1.3).
func (j *storeJob) tell(n int, m *store.Meta) {
	c := j.c
	condStore := c.enabled&featCondStore != 0
	if j.args.Silent && !condStore {
		return
	}
	c.out.begin()
	b := appendFetchHead(c.out.buf, n)
	b = append(b, "UID "...)
	b = appendUID(b, m.UID)
	if condStore {
		b = append(b, ' ')
		b = appendModSeq(b, m.ModSeq)
	}
	if !j.args.Silent {
		b = append(b, ' ')
		b = c.view.appendFlags(b, m.Flags)
	}
	c.out.buf = append(b, ")\r\n"...)
	c.out.done()
}

// modifiedCode is the response code MODIFIED (RFC 7162, 3.1.3): sequence
// numbers, or UIDs for UID STORE.
func (c *conn) modifiedCode(uids []store.UID, byUID bool) string {
	if !byUID {
		for k, uid := range uids {
			i, _ := c.view.index(uid)
			uids[k] = store.UID(i + 1)
		}
	}
	return "MODIFIED " + string(imapwire.AppendNumSet(nil, uids))
}
