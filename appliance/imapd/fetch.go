package imapd

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/emersion/go-imap/v2"

	"letterbox/appliance/imapwire"
	"letterbox/store"
)

// fetch is FETCH (RFC 9051, 6.4.5).
func (c *conn) fetch(r *request) error { return c.fetchMessages(r, false) }

// uidFetch is UID FETCH (RFC 9051, 6.4.9).
func (c *conn) uidFetch(r *request) error { return c.fetchMessages(r, true) }

// A fetchJob is one FETCH while it runs.
type fetchJob struct {
	c          *conn
	cached     []imapwire.FetchItem // answered from the index
	sections   []imapwire.FetchItem // answered from the message itself, last
	setSeen    bool
	nameFlag   bool         // FLAGS was asked for
	nameModSeq bool         // MODSEQ was asked for, or is implied
	since      store.ModSeq // CHANGEDSINCE; 0: none
	seen       []store.UID  // of the batch: marked \Seen by this FETCH, ascending
	gone       bool         // a message is no longer there
	fault      error        // the first message that could not be read, and why
}

func (c *conn) fetchMessages(r *request, byUID bool) error {
	a, err := imapwire.ParseFetch(r.args)
	if err != nil {
		return err
	}
	spans, err := c.spans(a.Set, byUID)
	if err != nil {
		return err
	}
	job := c.newFetchJob(a, byUID)
	if err := batches(spans, batchSize, job.batch); err != nil {
		return err
	}
	switch {
	case job.fault != nil:
		return job.fault
	case job.gone && !byUID:
		return no(codeExpungeIssued, "some of the messages are no longer there")
	}
	return nil
}

func (c *conn) newFetchJob(a imapwire.FetchArgs, byUID bool) *fetchJob {
	job := &fetchJob{c: c, since: store.ModSeq(a.ChangedSince)}
	hasUID := false
	for _, item := range a.Items {
		switch item.Kind {
		case imapwire.FetchUID:
			hasUID = true
		case imapwire.FetchModSeq:
			job.nameModSeq = true
		case imapwire.FetchFlags:
			job.nameFlag = true
		}
		job.setSeen = job.setSeen || item.SetsSeen() && !c.view.readOnly
		if fromMessage(item.Kind) {
			job.sections = append(job.sections, item)
		} else {
			job.cached = append(job.cached, item)
		}
	}
	if byUID && !hasUID {
		// RFC 9051, 6.4.9: UID is part of every answer to UID FETCH.
		job.cached = append([]imapwire.FetchItem{{Kind: imapwire.FetchUID}}, job.cached...)
	}
	if job.nameModSeq || a.HasChangedSince {
		c.enableCondStore()
	}
	if a.HasChangedSince && !job.nameModSeq {
		// RFC 7162, 3.1.4.1: CHANGEDSINCE implies MODSEQ.
		job.nameModSeq = true
		job.cached = append(job.cached, imapwire.FetchItem{Kind: imapwire.FetchModSeq})
	}
	return job
}

// fromMessage reports whether an item needs the message's file.
func fromMessage(k imapwire.FetchKind) bool {
	switch k {
	case imapwire.FetchSection, imapwire.FetchBinary, imapwire.FetchBinarySize,
		imapwire.FetchRFC822, imapwire.FetchRFC822Header, imapwire.FetchRFC822Text:
		return true
	}
	return false
}

// batch answers for the messages from index lo up to hi of the view.
func (j *fetchJob) batch(lo, hi int) error {
	c, v := j.c, j.c.view
	metas := v.box.Lookup(c.scratch.metas[:0], v.uids[lo:hi])
	c.scratch.metas = metas
	j.gone = j.gone || len(metas) < hi-lo
	if j.setSeen {
		if err := j.markSeen(metas); err != nil {
			return err
		}
		// Again: what has been pulled may be newer.
		metas = v.box.Lookup(metas[:0], v.uids[lo:hi])
		c.scratch.metas = metas
	}
	if j.nameFlag || j.setSeen {
		c.sayKeywords()
	}
	i := lo
	for m := range metas {
		meta := &metas[m]
		if meta.ModSeq <= j.since && j.since != 0 {
			continue
		}
		for v.uids[i] != meta.UID {
			i++
		}
		if err := j.message(i+1, meta, j.hasMarked(meta.UID)); err != nil {
			j.tellRest(metas[m:])
			return err
		}
		if c.out.err != nil || len(j.sections) > 0 && c.ending() {
			return c.interrupted()
		}
	}
	if c.ending() {
		return c.interrupted()
	}
	return nil
}

// interrupted is the error of a long command that gives up.
func (c *conn) interrupted() error {
	if c.out.err != nil {
		return c.out.err
	}
	return errEnded
}

// markSeen sets \Seen where it is missing, once for a whole batch. RFC 9051,
// 6.4.5: the change is told in the same FETCH response.
func (j *fetchJob) markSeen(metas []store.Meta) error {
	c, v := j.c, j.c.view
	j.seen = j.seen[:0]
	for i := range metas {
		if !metas[i].Flags.Has(store.Seen) && (j.since == 0 || metas[i].ModSeq > j.since) {
			j.seen = append(j.seen, metas[i].UID)
		}
	}
	if len(j.seen) == 0 {
		return nil
	}
	changed, _, err := v.box.StoreFlags(j.seen, store.AddFlags, store.Seen, 0)
	if err != nil {
		// The message can still be read, and that is what was asked for.
		c.log.Warn("marking as read", "person", c.person, "mailbox", v.box.Name(), "err", err)
		j.seen = j.seen[:0]
		return nil
	}
	return c.pull(false, changed)
}

// hasMarked reports whether this FETCH has set \Seen of a message of the batch.
func (j *fetchJob) hasMarked(uid store.UID) bool {
	_, ok := slices.BinarySearch(j.seen, uid)
	return ok
}

// tellRest tells of those that have been marked and will not be answered for.
func (j *fetchJob) tellRest(metas []store.Meta) {
	for i := range metas {
		if j.hasMarked(metas[i].UID) {
			j.c.sayFlags(&metas[i])
		}
	}
}

// message writes one FETCH response.
func (j *fetchJob) message(n int, m *store.Meta, told bool) error {
	c := j.c
	var msg *openMessage
	if len(j.sections) > 0 {
		var err error
		if msg, err = c.openMessage(m.UID); err != nil {
			return j.skip(m, told, err)
		}
		defer msg.Close()
		if err := msg.checkEncodings(j.sections); err != nil {
			return err
		}
	}
	c.out.begin()
	start := len(c.out.buf)
	c.out.buf = appendFetchHead(c.out.buf, n)
	for _, item := range j.cached {
		if err := j.item(item, m); err != nil {
			c.out.buf = c.out.buf[:start]
			return j.skip(m, told, err)
		}
		c.out.buf = append(c.out.buf, ' ')
	}
	if told {
		j.tellSeen(m)
	}
	for _, item := range j.sections {
		if err := c.section(msg, item); err != nil {
			if isLinkError(err) {
				return err
			}
			j.note(m, err) // what was promised has been filled up
		}
		c.out.buf = append(c.out.buf, ' ')
	}
	c.endResponse()
	return nil
}

// tellSeen adds to a response what the client must know of a change: the flags,
// and the mod-sequence where CONDSTORE is in use (RFC 7162, 3.1).
func (j *fetchJob) tellSeen(m *store.Meta) {
	c := j.c
	if !j.nameFlag {
		c.out.buf = append(c.view.appendFlags(c.out.buf, m.Flags), ' ')
	}
	if !j.nameModSeq && c.enabled&featCondStore != 0 {
		c.out.buf = append(appendModSeq(c.out.buf, m.ModSeq), ' ')
	}
}

// endResponse replaces the blank behind the last item by the end of the
// response.
func (c *conn) endResponse() {
	c.out.begin()
	if n := len(c.out.buf); n > 0 && c.out.buf[n-1] == ' ' {
		c.out.buf = c.out.buf[:n-1]
	}
	c.out.buf = append(c.out.buf, ")\r\n"...)
	c.out.done()
}

// skip leaves a message out that cannot be read.
func (j *fetchJob) skip(m *store.Meta, told bool, err error) error {
	if errors.Is(err, store.ErrExpunged) {
		j.gone = true
		return nil
	}
	if told {
		j.c.sayFlags(m)
	}
	j.note(m, err)
	return nil
}

// note keeps the first fault; the other messages are answered first.
func (j *fetchJob) note(m *store.Meta, err error) {
	if j.fault == nil {
		j.fault = &messageError{m.UID, err}
	}
}

// A messageError says which message could not be read.
type messageError struct {
	uid store.UID
	err error
}

func (e *messageError) Error() string {
	return "message " + strconv.FormatUint(uint64(e.uid), 10) + ": " + e.err.Error()
}
func (e *messageError) Unwrap() error { return e.err }

// item appends a data item that needs no file.
func (j *fetchJob) item(item imapwire.FetchItem, m *store.Meta) (err error) {
	box, b := j.c.view.box, j.c.out.buf
	switch item.Kind {
	case imapwire.FetchUID:
		b = append(b, "UID "...)
		b = strconv.AppendUint(b, uint64(m.UID), 10)
	case imapwire.FetchFlags:
		b = j.c.view.appendFlags(b, m.Flags)
	case imapwire.FetchInternalDate:
		b = append(b, "INTERNALDATE "...)
		b = imapwire.AppendDateTime(b, time.Unix(m.InternalDate, 0).UTC())
	case imapwire.FetchSize:
		if m.Size < 0 {
			if m.Size, err = box.Size(m.UID); err != nil {
				return err
			}
		}
		b = append(b, "RFC822.SIZE "...)
		b = strconv.AppendInt(b, m.Size, 10)
	case imapwire.FetchModSeq:
		b = appendModSeq(b, m.ModSeq)
	case imapwire.FetchEnvelope:
		b, err = box.AppendEnvelope(append(b, "ENVELOPE "...), m.UID)
	case imapwire.FetchBodyStructure:
		b, err = box.AppendBodyStructure(append(b, "BODYSTRUCTURE "...), m.UID)
	case imapwire.FetchBody:
		b, err = box.AppendBody(append(b, "BODY "...), m.UID)
	case imapwire.FetchSaveDate: // RFC 8514, 4.2
		if m.SaveDate != 0 {
			b = append(b, "SAVEDATE "...)
			b = imapwire.AppendDateTime(b, time.Unix(m.SaveDate, 0).UTC())
		} else {
			b = append(b, "SAVEDATE NIL"...)
		}
	case imapwire.FetchEmailID: // RFC 8474, 5.1
		var id string
		id, err = box.EmailID(m.UID)
		b = append(append(append(b, "EMAILID ("...), id...), ')')
	case imapwire.FetchThreadID: // RFC 8474, 5.2: NIL where threads are not known
		b = append(b, "THREADID NIL"...)
	default:
		return no(imap.ResponseCodeCannot, "this data item is not known here")
	}
	j.c.out.buf = b
	return err
}
