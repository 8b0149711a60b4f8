package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"letterbox/store/index"
	"letterbox/store/maildir"
)

const systemMask = Flags(1)<<KeywordBit - 1

// forwarded is the flag that is a keyword to Dovecot, and a flag with a letter of
// its own, P, to other programs. We read both, and write the keyword's letter as
// long as there is one to be had.
const forwarded = "$Forwarded"

// A letterTable maps between keyword bits and the letters of file names.
type letterTable struct {
	read      bool // it is that of a folder
	names     maildir.Keywords
	letter    [MaxKeywords]int8 // of keyword i; -1: none
	bit       [26]int8          // of letter i; -1: none
	forwarded uint32            // the letter of $Forwarded as in maildir.Name.Keywords; 0: none
}

func newLetterTable(names maildir.Keywords, keywords []string) letterTable {
	t := letterTable{read: true, names: names}
	for i := range t.letter {
		t.letter[i] = -1
	}
	for l, name := range names {
		t.bit[l] = -1
		if name == "" {
			continue
		}
		if strings.EqualFold(name, forwarded) {
			t.forwarded = 1 << l
		} else if i := indexFold(keywords, name); i >= 0 && t.letter[i] < 0 {
			t.letter[i], t.bit[l] = int8(l), int8(i)
		}
	}
	return t
}

func indexFold(list []string, name string) int {
	return slices.IndexFunc(list, func(s string) bool { return strings.EqualFold(s, name) })
}

// toLetters returns the keyword letters of f.
func (t *letterTable) toLetters(f Flags) uint32 {
	var letters uint32
	for k, i := f.Keywords(), 0; k != 0; k, i = k>>1, i+1 {
		if k&1 != 0 && t.letter[i] >= 0 {
			letters |= 1 << t.letter[i]
		}
	}
	if f.Has(Forwarded) {
		letters |= t.forwarded
	}
	return letters
}

// fromLetters returns the keywords that have these letters.
func (t *letterTable) fromLetters(letters uint32) Flags {
	var f Flags
	for l := range t.bit {
		if letters&(1<<l) != 0 && t.bit[l] >= 0 {
			f |= Keyword(int(t.bit[l]))
		}
	}
	if letters&t.forwarded != 0 {
		f |= Forwarded
	}
	return f
}

// known returns the letters that have a keyword.
func (t *letterTable) known() uint32 {
	k := t.forwarded
	for l := range t.bit {
		if t.bit[l] >= 0 {
			k |= 1 << l
		}
	}
	return k
}

// system returns the flags of f that have letters of their own.
func (t *letterTable) system(f Flags) maildir.Flags {
	if f &= systemMask; t.forwarded != 0 {
		f &^= Forwarded
	}
	return maildir.Flags(f)
}

// wants reports whether name could have a letter and has none.
func (t *letterTable) wants(name string) bool {
	return t.names.Index(name) < 0 && slices.Contains(t.names[:], "")
}

// withLetters returns the keywords that stand in file names.
func (t *letterTable) withLetters() Flags {
	var f Flags
	for i := range t.letter {
		if t.letter[i] >= 0 {
			f |= Keyword(i)
		}
	}
	return f
}

// Keywords returns the names of the mailbox's keywords: that of index i is the
// flag Keyword(i). The list only grows while the mailbox is open. It is a copy.
func (m *Mailbox) Keywords() []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.x == nil {
		return nil
	}
	return slices.Clone(m.x.Keywords)
}

// KeywordsFull reports whether no further keyword can be made.
func (m *Mailbox) KeywordsFull() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.x == nil || len(m.x.Keywords) >= MaxKeywords
}

// KeywordFlags returns the flags of IMAP names. Keywords that the mailbox does not have are
// made if create is set, durably, and left out otherwise. \Recent is left out.
// ErrBadKeyword: a name that cannot be a keyword; ErrTooManyKeywords: no room.
func (m *Mailbox) KeywordFlags(names []string, create bool) (Flags, error) {
	f, missing, err := m.findFlags(names)
	if err != nil || len(missing) == 0 || !create {
		return f, err
	}
	m.writeMu.Lock()
	defer m.writeMu.Unlock()
	if err := m.usable(); err != nil {
		return 0, err
	}
	return m.makeFlags(names)
}

// makeFlags returns the flags of names, making what is missing. The caller holds writeMu.
func (m *Mailbox) makeFlags(names []string) (Flags, error) {
	_, missing, err := m.findFlags(names)
	if err != nil {
		return 0, err
	}
	if len(missing) > 0 {
		if err := m.makeKeywords(missing); err != nil {
			return 0, err
		}
	}
	f, _, err := m.findFlags(names)
	return f, err
}

// makeSomeFlags is makeFlags for as many keywords as there is room for. The caller
// holds writeMu.
func (m *Mailbox) makeSomeFlags(names []string) (Flags, error) {
	_, missing, err := m.findFlags(names)
	if err != nil {
		return 0, err
	}
	if room := MaxKeywords - len(m.x.Keywords); room > 0 && room < len(missing) {
		if err := m.makeKeywords(missing[:room]); err != nil {
			return 0, err
		}
	}
	f, _, err := m.findFlags(names)
	return f, err
}

func (m *Mailbox) findFlags(names []string) (f Flags, missing []string, err error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.x == nil {
		return 0, nil, m.closedErr()
	}
	for _, name := range names {
		if sys, ok := SystemFlag(name); ok {
			if f |= sys; sys == Forwarded && m.letters.wants(forwarded) && indexFold(missing, forwarded) < 0 {
				missing = append(missing, forwarded)
			}
		} else if strings.EqualFold(name, `\Recent`) {
			continue
		} else if !validKeyword(name) {
			return 0, nil, fmt.Errorf("%w: %q", ErrBadKeyword, name)
		} else if i := indexFold(m.x.Keywords, name); i >= 0 {
			f |= Keyword(i)
		} else if indexFold(missing, name) < 0 {
			missing = append(missing, name)
		}
	}
	return f, missing, nil
}

// validKeyword: RFC 9051, 9: flag-keyword is an atom.
func validKeyword(name string) bool {
	if name == "" || len(name) > maxKeywordLen {
		return false
	}
	for _, c := range []byte(name) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\]`, c) >= 0 {
			return false
		}
	}
	return true
}

// makeKeywords gives the mailbox new keywords: letters as long as there are any,
// lines in letterbox-folder for the rest. The caller holds writeMu.
func (m *Mailbox) makeKeywords(names []string) error {
	count := len(m.x.Keywords) + len(names)
	if slices.Contains(names, forwarded) {
		count--
	}
	if count > MaxKeywords {
		return fmt.Errorf("%w: %d at most", ErrTooManyKeywords, MaxKeywords)
	}
	letters, full, err := m.folder.AddKeywords(context.Background(), names)
	if err != nil {
		return diskError(fmt.Errorf("adding keywords to %s: %w", m.name, err))
	}
	full = slices.DeleteFunc(full, func(name string) bool { return name == forwarded }) // it has P
	if len(full) > 0 {
		ff := m.extra
		ff.Keywords = slices.Clone(ff.Keywords)
		for _, name := range full {
			ff.Keywords = append(ff.Keywords, maildir.ExtraKeyword{Name: name, UIDValidity: m.x.UIDValidity})
		}
		if err := m.setFolderFile(ff); err != nil {
			return err
		}
	}
	if err := m.adoptKeywords(letters); err != nil {
		return err
	}
	m.resign()
	m.flush()
	m.wake()
	return nil
}

// loadKeywords reads which keywords the folder has. The caller holds writeMu.
func (m *Mailbox) loadKeywords() error {
	letters, err := m.folder.Keywords()
	if err != nil {
		return fmt.Errorf("reading the keywords of %s: %w", m.name, err)
	}
	if m.extra, err = m.folder.FolderFile(); err != nil {
		return fmt.Errorf("reading letterbox-folder of %s: %w", m.name, err)
	}
	return m.adoptKeywords(letters)
}

// adoptKeywords gives bits to the keywords of letters and of extra that have none yet.
// The caller holds writeMu.
func (m *Mailbox) adoptKeywords(letters maildir.Keywords) error {
	if m.letters.read && m.letters.forwarded == 0 && letters.Index(forwarded) >= 0 {
		if err := m.keepForwardedNames(); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	adopt := func(name string) {
		if _, system := SystemFlag(name); system {
			return
		}
		if name != "" && len(m.x.Keywords) < MaxKeywords && validKeyword(name) && indexFold(m.x.Keywords, name) < 0 {
			m.x.AddKeyword(name)
		}
	}
	for _, name := range letters {
		adopt(name)
	}
	for _, k := range m.extra.Keywords {
		adopt(k.Name)
	}
	m.letters = newLetterTable(letters, m.x.Keywords)
	return nil
}

// keepForwardedNames notes the names of files with the letter P, which a letter of
// $Forwarded in the table would make others. The caller holds writeMu.
func (m *Mailbox) keepForwardedNames() error {
	names := map[uint32]string{}
	for i := range m.x.Records {
		r := &m.x.Records[i]
		if !Flags(r.Flags).Has(Forwarded) || r.Bits&(index.InNew|index.Odd) != 0 {
			continue
		}
		ref, _, err := m.ref(r)
		if errors.Is(err, index.ErrNoData) {
			continue // whoever wants it looks for it
		}
		if err != nil {
			return err
		}
		names[r.UID] = ref.File
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.x.Records {
		r := m.x.Records[i]
		if name, ok := names[r.UID]; ok {
			r.Bits |= index.Odd
			m.x.SetOdd(r.UID, name)
			m.x.Put(r)
		}
	}
	return nil
}

func (m *Mailbox) setFolderFile(ff maildir.FolderFile) error {
	if err := m.folder.SetFolderFile(ff); err != nil {
		return diskError(fmt.Errorf("writing letterbox-folder of %s: %w", m.name, err))
	}
	m.extra = ff
	return nil
}

// extraFlags returns the keywords without a letter that message uid has.
func (m *Mailbox) extraFlags(uid uint32) Flags {
	var f Flags
	for i := range m.extra.Keywords {
		k := &m.extra.Keywords[i]
		if k.UIDValidity != m.x.UIDValidity || !inRanges(k.UIDs, uid) {
			continue
		}
		if bit := indexFold(m.x.Keywords, k.Name); bit >= 0 && m.letters.letter[bit] < 0 {
			f |= Keyword(bit)
		}
	}
	return f
}

func inRanges(rs []maildir.UIDRange, uid uint32) bool {
	_, found := slices.BinarySearchFunc(rs, uid, func(r maildir.UIDRange, uid uint32) int {
		switch {
		case r.Last < uid:
			return -1
		case r.First > uid:
			return 1
		}
		return 0
	})
	return found
}

// saveExtra writes which messages have the keywords without a letter, given
// that changes holds the new flags of some messages. Nothing is written if
// nothing of it changed. The caller holds writeMu.
func (m *Mailbox) saveExtra(changes map[uint32]Flags) error {
	withLetter := m.letters.withLetters()
	var touched Flags
	for uid, f := range changes {
		old := Flags(0)
		if i, ok := m.x.Find(uid); ok {
			old = Flags(m.x.Records[i].Flags)
		}
		touched |= (old ^ f) &^ withLetter &^ systemMask
	}
	if touched == 0 {
		return nil
	}
	added := make([]uint32, 0, len(changes))
	for uid := range changes {
		if _, ok := m.x.Find(uid); !ok {
			added = append(added, uid)
		}
	}
	slices.Sort(added)
	ff := m.extra
	ff.Keywords = slices.Clone(ff.Keywords)
	for bit := range m.x.Keywords {
		if !touched.Has(Keyword(bit)) {
			continue
		}
		k := maildir.ExtraKeyword{Name: m.x.Keywords[bit], UIDValidity: m.x.UIDValidity}
		add := func(uid uint32, f Flags) {
			if !f.Has(Keyword(bit)) {
				return
			}
			if n := len(k.UIDs); n > 0 && k.UIDs[n-1].Last+1 == uid {
				k.UIDs[n-1].Last = uid
				return
			}
			k.UIDs = append(k.UIDs, maildir.UIDRange{First: uid, Last: uid})
		}
		for i := range m.x.Records {
			r := &m.x.Records[i]
			f, changed := changes[r.UID]
			if !changed {
				f = Flags(r.Flags)
			}
			add(r.UID, f)
		}
		for _, uid := range added { // new ones have the highest UIDs
			add(uid, changes[uid])
		}
		i := slices.IndexFunc(ff.Keywords, func(e maildir.ExtraKeyword) bool { return strings.EqualFold(e.Name, k.Name) })
		if i < 0 {
			ff.Keywords = append(ff.Keywords, k)
		} else {
			ff.Keywords[i] = k
		}
	}
	return m.setFolderFile(ff)
}
