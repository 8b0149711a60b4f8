package maildir

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"time"
)

// Scaffold: bodies move to their own files.

var errScaffold = errors.New("not built yet")

// ErrBadName is wrapped by every refusal of a folder name.
var ErrBadName = errors.New("this folder name cannot be used")

// Options are what a Root needs from its owner.
type Options struct {
	// Step, when set, is called before every step that changes the disk, with the step's name (see Steps). An error
	// ends the operation there, as if the step itself had failed. For failure tests; nil in production.
	Step func(name string) error
	// Host goes into file names; empty means os.Hostname.
	Host string
}

// Abilities is what Probe found out.
type Abilities struct {
	HardLinks   bool
	Granularity time.Duration
	Notes       []string
}

func Probe(dir string) (Abilities, error) { return Abilities{}, errScaffold }

// --- folder names

func EscapeName(path string) (dir string, err error)   { return "", errScaffold }
func UnescapeName(dir string) (path string, err error) { return "", errScaffold }

// --- message file names

type Flags uint8

const (
	Seen Flags = 1 << iota
	Answered
	Flagged
	Deleted
	Draft
	Passed
)

type Name struct {
	Base     string // without info: the message's key in dovecot-uidlist
	Flags    Flags
	Keywords uint32 // bit i is the letter 'a'+i
	Unknown  string // letters and text behind ":2," that mean nothing to us, kept
	HasInfo  bool
}

func ParseName(file string) Name                         { return Name{} }
func (n Name) File() string                              { return "" }
func (n Name) Sizes() (physical, virtual int64, ok bool) { return 0, 0, false } // of ,S= and ,W=; -1 where missing

// Sizes: -1 is unknown.
type Sizes struct{ Physical, Virtual int64 }

// A Namer makes the base names of one operation; all begin with Prefix, which no other file name ever does.
type Namer struct{}

func NewNamer(now time.Time, host string) *Namer { return nil }
func (n *Namer) Prefix() string                  { return "" }
func (n *Namer) Next(s Sizes) string             { return "" }

// --- the tree

type Root struct{}

func CreateRoot(dir string, o Options) (*Root, error)                          { return nil, errScaffold } // makes it if missing, durable
func OpenRoot(dir string, o Options) (*Root, error)                            { return nil, errScaffold } // finishes an interrupted Rename
func (r *Root) Close() error                                                   { return nil }
func (r *Root) Path() string                                                   { return "" }       // for inotify and messages
func (r *Root) FS() *os.Root                                                   { return nil }      // confined; for caches
func (r *Root) NewNamer(now time.Time) *Namer                                  { return nil }      // with the Root's host name
func (r *Root) Folders() ([]string, error)                                     { return nil, nil } // "INBOX" first, then sorted; only real Maildirs
func (r *Root) Lookup(name string) (canonical string, ok bool, err error)      { return "", false, nil }
func (r *Root) Create(name string) (canonical string, err error)               { return "", nil } // fs.ErrExist, ErrBadName
func (r *Root) Remove(name string) error                                       { return nil }     // this one, not its children; fs.ErrNotExist
func (r *Root) Rename(old, new string) error                                   { return nil }     // with children; fs.ErrExist, fs.ErrNotExist
func (r *Root) Folder(name string) (*Folder, error)                            { return nil, nil }
func (r *Root) Subscriptions() ([]string, error)                               { return nil, nil }
func (r *Root) Subscribe(ctx context.Context, name string, on bool) error      { return nil }
func (r *Root) RenameSubscriptions(ctx context.Context, old, new string) error { return nil }
func (r *Root) NextUIDValidity(now time.Time) (uint32, error)                  { return 0, nil }

// --- one folder

type Folder struct{}

func (f *Folder) Close() error { return nil }
func (f *Folder) Name() string { return "" }
func (f *Folder) Path() string { return "" }  // for inotify and messages
func (f *Folder) FS() *os.Root { return nil } // confined; for caches

// Entry is a message file found by Scan.
type Entry struct {
	File  string // as it is on disk
	Name  Name
	InNew bool
}

// A Ref says where a message file lies.
type Ref struct {
	InNew bool
	File  string
}

func (e Entry) Ref() Ref { return Ref{e.InNew, e.File} }

func (f *Folder) Scan(fn func(Entry) error) error  { return nil }          // new first, then cur; any order; what is renamed meanwhile may be missed: see Stamp
func (f *Folder) Find(base string) (Entry, error)  { return Entry{}, nil } // by reading the directories; fs.ErrNotExist
func (f *Folder) Open(at Ref) (*os.File, error)    { return nil, nil }     // regular files only
func (f *Folder) Stat(at Ref) (os.FileInfo, error) { return nil, nil }

// Stamp is comparable: equal stamps mean that nothing was added, renamed or removed between, except within the file system's time granularity (Fresh tells).
type Stamp struct {
	New, Cur, UIDList, Keywords FileStamp
}
type FileStamp struct {
	Inode   uint64
	Size    int64
	ModTime int64 // nanoseconds
}

func (f *Folder) Stamp() (Stamp, error)    { return Stamp{}, nil }
func (s Stamp) Settled(now time.Time) bool { return false } // old enough that a later change must show in it

// Temp is a message file being written in tmp/.
type Temp struct{}

func (f *Folder) NewTemp() (*Temp, error)           { return nil, nil }
func (t *Temp) Write(b []byte) (int, error)         { return 0, nil }
func (t *Temp) ReadFrom(r io.Reader) (int64, error) { return 0, nil } // copy_file_range where possible
func (t *Temp) Size() int64                         { return 0 }
func (t *Temp) Finish(mtime time.Time) error        { return nil } // mtime = INTERNALDATE, then fsync and close
func (t *Temp) Place(to Ref) error                  { return nil } // after Finish; not durable before SyncCur/SyncNew
func (t *Temp) Discard() error                      { return nil } // removes it; nothing after Place

func (f *Folder) SyncCur() error { return nil }
func (f *Folder) SyncNew() error { return nil }

// Renaming is one file's move inside the folder.
type Renaming struct{ From, To Ref }

// Rename does them in order without replacing anything it did not name, and syncs each directory touched once. done[i]==nil... errs has one entry each (nil: done; fs.ErrNotExist: gone).
func (f *Folder) Rename(rs []Renaming) (errs []error, err error) { return nil, nil }

// Remove removes them and syncs; a file that is gone is no error.
func (f *Folder) Remove(at []Ref) error { return nil }

// LinkFrom gives the file at src in another folder of the same Root a second name at dst; where hard links lack, it copies (tmp, sync, rename, same mtime). Not durable before SyncCur.
func (f *Folder) LinkFrom(src *Folder, at Ref, dst Ref) error { return nil }

// MoveFrom renames the file at src of another folder of the same Root. Not durable before SyncCur here and there.
func (f *Folder) MoveFrom(src *Folder, at Ref, dst Ref) error { return nil }

// CleanTmp removes files in tmp/ not touched for 36 hours.
func (f *Folder) CleanTmp(now time.Time) error { return nil }

// --- intents: an operation that is undone when it was not finished

type Intent struct{ Prefix string }

func (f *Folder) BeginIntent(n *Namer) (*Intent, error)  { return nil, nil } // durable when it returns
func (f *Folder) EndIntent(i *Intent) error              { return nil }      // durable when it returns
func (f *Folder) Recover() (removed []string, err error) { return nil, nil } // undoes every intent found: removes the files whose base has its prefix

// --- dovecot-uidlist

// GUID is a mailbox's id, hex in the file.
type GUID [16]byte

func NewGUID() GUID           { return GUID{} }
func (g GUID) String() string { return "" }

type UIDHeader struct {
	UIDValidity, UIDNext uint32 // UIDNext: at least one more than every UID in the list, damaged lines included
	GUID                 GUID
	ModSeqCeiling        uint64   // ours; 0 when missing
	Unknown              []string // fields of others, kept
}

type UIDRecord struct {
	UID      uint32
	Base     string
	GUID     string // EMAILID where it is not the base name; "" when missing
	Physical int64  // S; -1 when missing
	Virtual  int64  // W; -1 when missing
	SaveDate int64  // ours, unix seconds; 0 when missing
	Unknown  []string
}

// Mark remembers how far a list was read.
type Mark struct {
	inode  uint64
	offset int64
	uid    uint32
	tail   uint64
}

// UIDListReader streams the records, strictly ascending, damaged lines left out.
type UIDListReader struct{}

func (f *Folder) ReadUIDList(since Mark) (*UIDListReader, error) { return nil, nil }    // fs.ErrNotExist; ErrUIDListDamaged when the header is lost
func (u *UIDListReader) Header() UIDHeader                       { return UIDHeader{} } // UIDNext is final after the last Next
func (u *UIDListReader) Resumed() bool                           { return false }       // only what was added behind since follows
func (u *UIDListReader) Next() (UIDRecord, bool)                 { return UIDRecord{}, false }
func (u *UIDListReader) Err() error                              { return nil }
func (u *UIDListReader) Damage() []string                        { return nil } // sentences; rewrite the list when there are any
func (u *UIDListReader) Mark() Mark                              { return Mark{} }
func (u *UIDListReader) Close() error                            { return nil }

var ErrUIDListDamaged = errors.New("the head of dovecot-uidlist cannot be read")

// UIDListLock is dovecot-uidlist.lock, held.
type UIDListLock struct{}

func (f *Folder) LockUIDList(ctx context.Context) (*UIDListLock, error)    { return nil, nil }
func (l *UIDListLock) Append(recs []UIDRecord) error                       { return nil } // one write, one fsync; refuses a UID not above the last
func (l *UIDListLock) Rewrite(h UIDHeader, recs iter.Seq[UIDRecord]) error { return nil } // atomic, durable
func (l *UIDListLock) SetModSeqCeiling(v uint64) error                     { return nil } // in place, fsync; ErrRewrite when the header has no room for it
func (l *UIDListLock) Touch() error                                        { return nil } // every minute of a long hold
func (l *UIDListLock) Unlock() error                                       { return nil }

var ErrRewrite = errors.New("dovecot-uidlist must be rewritten first")

// --- dovecot-keywords

// Keywords: index i is the letter 'a'+i; "" is free.
type Keywords [26]string

func (f *Folder) Keywords() (Keywords, error) { return Keywords{}, nil }

// AddKeywords gives each name a letter, under dovecot-keywords.lock; full is what found none.
func (f *Folder) AddKeywords(ctx context.Context, names []string) (k Keywords, full []string, err error) {
	return Keywords{}, nil, nil
}

// --- letterbox-folder

type FolderFile struct {
	SpecialUse string // "\\Drafts"; "" none
	Keywords   []ExtraKeyword
	Unknown    []string // lines of later versions, kept
}

// ExtraKeyword is a keyword past the 26 letters and who has it.
type ExtraKeyword struct {
	Name        string
	UIDValidity uint32
	UIDs        []UIDRange
}
type UIDRange struct{ First, Last uint32 }

func (f *Folder) FolderFile() (FolderFile, error) { return FolderFile{}, nil } // zero when there is none
func (f *Folder) SetFolderFile(FolderFile) error  { return nil }
