package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"letterbox/store/maildir"
)

// A Destination is where mail is brought to: the folders of one person.
type Destination interface {
	// Look tells about a folder, which need not exist, and calls known for every message in it: with the ID of one that an import
	// brought, with the KeptID of any other.
	Look(ctx context.Context, folder string, known func(ID)) (Place, error)
	// Append makes the folder where it is missing, and puts the messages that fill hands to add into it: all or, after an error,
	// none. They are durable when it returns nil. add reads octets to their end, and only then m.ID; where they fail, that
	// message is left out and add returns their error. fill has ended when Append returns; its error is Append's.
	Append(ctx context.Context, to Place, fill func(add func(m *Message, octets io.Reader) error) error) error
	// Lack tells what is lacking for so many messages of so many octets together, in all folders. It promises nothing.
	Lack(ctx context.Context, messages, octets int64) (Lack, error)
}

// A Place is what there is to know of a folder of a Destination.
type Place struct {
	Name         string // as it is called there, or would be
	Exists       bool
	MaxMessage   int64 // octets of the largest message that is taken
	Unsubscribed bool  // if it is made, it is not subscribed; for Append
}

// What goes into one batch.
const (
	batchMessages = 100
	batchOctets   = 8 << 20
)

// Import brings the messages of src that dst does not have yet to dst. Whatever ends it, the Report says what was done until then, and
// calling it again goes on there. p may be nil. *NoRoom: dst has no room for all of them, and nothing was done, or none for the next,
// where that could not be told before.
func Import(ctx context.Context, src Source, dst Destination, p *Progress) (Report, error) {
	p = orNone(p)
	folders, err := src.Folders(ctx)
	if err == nil {
		err = fits(ctx, src, folders, dst, p)
	}
	if err != nil {
		return Report{}, err
	}
	return bring(ctx, src, folders, dst, p, sendBatch)
}

// Plan reports what Import would do, and does nothing. *NoRoom: Import would refuse or, where that is Unsure, perhaps stop; the
// Report is whole.
func Plan(ctx context.Context, src Source, dst Destination, p *Progress) (Report, error) {
	p = orNone(p)
	folders, err := src.Folders(ctx)
	if err != nil {
		return Report{}, err
	}
	report, err := bring(ctx, src, folders, dst, p, pretendBatch)
	if err == nil {
		err = report.lacking(ctx, dst)
	}
	return report, err
}

// A run is one pass through a Source. It has one user.
type run struct {
	src      Source
	dst      Destination
	progress *Progress
	send     func(context.Context, *folderRun) error
	report   Report
}

func bring(ctx context.Context, src Source, folders []Folder, dst Destination, p *Progress, send func(context.Context, *folderRun) error) (Report, error) {
	r := &run{src: src, dst: dst, progress: p, send: send}
	defer p.end()
	p.begin(folders)
	for _, f := range folders {
		if err := r.folder(ctx, f); err != nil {
			return r.report, err
		}
	}
	return r.report, nil
}

// leave notes that something is left out. What the report has no room for is named at once.
func (r *run) leave(folder, message string, why error) {
	l := Left{folder, message, why.Error()}
	if r.report.LeftOut++; len(r.report.Left) < maxLeft {
		r.report.Left = append(r.report.Left, l)
		return
	}
	r.progress.Say("left out: " + l.String())
}

// passOver notes that something is passed over, as leave does.
func (r *run) passOver(l Left) {
	if len(r.report.PassedOver) < maxLeft {
		r.report.PassedOver = append(r.report.PassedOver, l)
		return
	}
	r.progress.Say("passed over: " + l.String())
}

// A folderRun is a folder under way.
type folderRun struct {
	*run
	from   Folder
	place  Place
	known  known
	batch  []Message
	octets int64 // of batch
	told   *FolderReport
}

func (r *run) folder(ctx context.Context, f Folder) error {
	var passed *passedOver
	if errors.As(f.Fault, &passed) {
		r.passOver(Left{Folder: f.Name, Why: passed.why})
		f.Messages = max(f.Messages, 0)
	} else if f.Fault != nil {
		r.leave(f.Name, "", f.Fault)
	}
	if f.Fault != nil {
		r.progress.skip(f.Size, max(f.Messages, 0))
		return nil
	}
	fr := &folderRun{run: r, from: f}
	var err error
	if fr.place, err = r.dst.Look(ctx, maildir.CleanName(cmp.Or(f.To, f.Name)), fr.known.add); err != nil {
		return err
	}
	fr.place.Unsubscribed = f.Unsubscribed
	fr.known.ready()
	r.progress.folder(fr.place.Name)
	r.report.Folders = append(r.report.Folders, FolderReport{From: f.Name, To: fr.place.Name, Made: !fr.place.Exists})
	fr.told = &r.report.Folders[len(r.report.Folders)-1]
	err = r.src.Messages(ctx, f, func(m Message) error { return fr.message(ctx, m) })
	broken := isUnreadable(err)
	if broken {
		r.leave(f.Name, "", fmt.Errorf("the rest of it cannot be read: %w", err))
		err = nil
	}
	if err == nil && (len(fr.batch) > 0 || !fr.place.Exists && !broken) {
		err = fr.flush(ctx)
	}
	return err
}

// message decides what becomes of a message.
func (f *folderRun) message(ctx context.Context, m Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	switch {
	case errors.Is(m.Fault, errThrownAway):
		f.told.ThrownAway++
		f.passOver(Left{f.from.Name, m.Name, m.Fault.Error()})
	case errors.Is(m.Fault, errOther):
		f.told.Others++
	case m.Fault != nil:
		f.leave(f.from.Name, m.Name, m.Fault)
	case m.Size > f.place.MaxMessage:
		f.leave(f.from.Name, m.Name, f.tooLarge(m.Size))
	default:
		id, known := f.known.next(&m)
		if !known {
			m.ID, m.Flags = id, cleanFlags(m.Flags)
			return f.add(ctx, m)
		}
		f.told.Known++
	}
	f.progress.pass(m.Share)
	return nil
}

// add puts a message into the batch.
func (f *folderRun) add(ctx context.Context, m Message) error {
	f.batch = append(f.batch, m)
	f.octets += m.Size
	if len(f.batch) < batchMessages && f.octets < batchOctets {
		return nil
	}
	return f.flush(ctx)
}

// flush hands the batch over.
func (f *folderRun) flush(ctx context.Context) error {
	if err := f.send(ctx, f); err != nil {
		return err
	}
	f.progress.flowed()
	f.place.Exists = true
	f.batch, f.octets = f.batch[:0], 0
	return nil
}

// sendBatch hands a batch to the Destination, or so many of its messages as there is room for.
func sendBatch(ctx context.Context, f *folderRun) error {
	err := f.roomForBatch(ctx) // before a folder is made for it
	var no *NoRoom
	switch {
	case err == nil:
		return f.hand(ctx)
	case !errors.As(err, &no):
		return err
	case len(f.batch) == 1:
		return fmt.Errorf("%s, %s: %w", plain(f.from.Name), plain(f.batch[0].Name), err)
	}
	batch := f.batch
	for i := range batch {
		f.batch = batch[i : i+1]
		if err := sendBatch(ctx, f); err != nil {
			return err
		}
		f.place.Exists = true
	}
	f.batch = batch
	return nil
}

// hand hands the batch over.
func (f *folderRun) hand(ctx context.Context) error {
	faults := make(map[int]error)
	err := f.dst.Append(ctx, f.place, func(add func(*Message, io.Reader) error) error {
		if len(f.batch) == 0 {
			return nil
		}
		return f.src.Fetch(ctx, f.from, f.batch, func(i int, octets io.Reader) error {
			watched := &watchedReader{ctx: ctx, r: f.examined(&f.batch[i], octets)}
			err := add(&f.batch[i], watched)
			if watched.err != nil && isUnreadable(watched.err) {
				faults[i] = watched.err
				return nil
			}
			if watched.err != nil {
				return watched.err
			}
			return err
		})
	})
	if err != nil && !isUnreadable(err) {
		return err
	}
	for i := range f.batch {
		m := &f.batch[i]
		if fault := cmp.Or(err, faults[i]); errors.Is(fault, errKnown) {
			f.told.Known++
		} else if fault != nil {
			f.leave(f.from.Name, m.Name, fault)
		} else {
			f.told.Added++
			f.told.Octets += m.Size
		}
		f.progress.pass(m.Share)
	}
	return nil
}

// errKnown ends the octets of a message when they turn out to be those of one that is there already.
var errKnown = errors.New("it is here already")

// examined reads a message of the batch, and completes what is told of it: its ID and its size, which the source may not know right.
func (f *folderRun) examined(m *Message, octets io.Reader) io.Reader {
	if m.ID.unread() {
		octets = identified(octets, func(read ID) error {
			if f.known.hasOctets(read) {
				return &Unreadable{errKnown}
			}
			m.ID = m.ID.withOctets(read)
			return nil
		})
	}
	m.Size = 0
	return &measuredReader{f: f, m: m, r: octets}
}

// measuredReader measures a message on its way, and shows that it is coming.
type measuredReader struct {
	f *folderRun
	m *Message
	r io.Reader
}

func (r *measuredReader) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	r.f.progress.flow(int64(n))
	if r.m.Size += int64(n); r.m.Size > r.f.place.MaxMessage {
		return 0, &Unreadable{r.f.tooLarge(r.m.Size)}
	}
	return n, err
}

func (f *folderRun) tooLarge(octets int64) error {
	return fmt.Errorf("it has %s, and the largest message that is taken has %s", Octets(octets), Octets(f.place.MaxMessage))
}

// pretendBatch counts a batch.
func pretendBatch(_ context.Context, f *folderRun) error {
	for i := range f.batch {
		if f.batch[i].ID.unread() && f.told.Unsure < f.known.left {
			f.told.Unsure++
		}
		f.told.Added++
		f.told.Octets += f.batch[i].Size
		f.progress.pass(f.batch[i].Share)
	}
	return nil
}

// watchedReader reads until ctx ends, and remembers the error of its reader.
type watchedReader struct {
	ctx context.Context
	r   io.Reader
	err error // but io.EOF
}

func (w *watchedReader) Read(b []byte) (int, error) {
	if w.err = w.ctx.Err(); w.err != nil {
		return 0, w.err
	}
	n, err := w.r.Read(b)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

// systemFlags are the flags with a backslash that can be kept (RFC 9051, 2.3.2).
var systemFlags = []string{`\Seen`, `\Answered`, `\Flagged`, `\Deleted`, `\Draft`}

// maxKeyword is the longest keyword that a mailbox takes.
const maxKeyword = 250

// What a message has of flags at most: more are left out. A sender can write as many into a header.
const (
	maxFlags      = 64
	maxFlagOctets = 8 << 10 // of all of them
)

// cleanFlags leaves out what cannot be a flag in IMAP (RFC 9051, 9: flag-keyword is an atom), what comes twice, and what is too much.
func cleanFlags(flags []string) []string {
	var clean []string
	octets := 0
	for _, f := range flags {
		f, ok := cleanFlag(f)
		if !ok || slices.Contains(clean, f) || octets+len(f) > maxFlagOctets {
			continue
		}
		if clean = append(clean, f); len(clean) == maxFlags {
			break
		}
		octets += len(f)
	}
	return clean
}

// cleanFlag gives a system flag its usual form.
func cleanFlag(f string) (string, bool) {
	for _, s := range systemFlags {
		if strings.EqualFold(f, s) {
			return s, true
		}
	}
	return f, f != "" && len(f) <= maxKeyword && !strings.ContainsFunc(f, noAtom)
}

func noAtom(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`(){%*"\]`, r) }
