package maildir

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// FolderFile is what is true of a folder and has no place in Dovecot's files:
// the file letterbox-folder, text that a person can read, a fact a line, the
// word that says which first:
//
//	letterbox-folder 1
//	special-use \Drafts
//	keyword 1795448887 $MDNSent 1:5,9
//
// A keyword line is one past the 26 that have letters: the folder's
// UIDVALIDITY, the keyword, and the UIDs that have it. Lines that begin
// otherwise belong to later versions and are kept.
type FolderFile struct {
	SpecialUse string // as in RFC 6154: "\Drafts"; "" for none
	Keywords   []ExtraKeyword
	Unknown    []string // lines, kept
}

// ExtraKeyword is a keyword past the 26 and the messages that have it. Where
// the UIDVALIDITY is not the folder's any more, the UIDs mean nothing.
type ExtraKeyword struct {
	Name        string
	UIDValidity uint32
	UIDs        []UIDRange // ascending, not touching
}

// UIDRange is First to Last, both included.
type UIDRange struct{ First, Last uint32 }

const (
	folderFileName = "letterbox-folder"
	folderFileHead = "letterbox-folder 1"
	maxFolderFile  = 64 << 20
)

// FolderFile reads the file; zero when there is none.
func (f *Folder) FolderFile() (FolderFile, error) {
	in, err := f.readSmall(folderFileName, maxFolderFile)
	if err != nil {
		return FolderFile{}, fmt.Errorf("reading %s of the folder %q: %w", folderFileName, f.name, err)
	}
	return parseFolderFile(string(in)), nil
}

// FolderFile reads the file of a folder without opening the folder.
func (r *Root) FolderFile(name string) (FolderFile, error) {
	dir, canonical, err := r.find(name)
	if err != nil {
		return FolderFile{}, err
	}
	text, err := r.readSmall(dir+"/"+folderFileName, maxFolderFile)
	if err != nil {
		return FolderFile{}, fmt.Errorf("reading %s of the folder %q: %w", folderFileName, canonical, err)
	}
	return parseFolderFile(string(text)), nil
}

// SetFolderFile replaces the file, atomically and durably. The zero value
// removes it.
func (f *Folder) SetFolderFile(file FolderFile) error {
	err := file.check()
	if err == nil && file.isZero() {
		if err = f.remove(StepFileRemove, folderFileName); err == nil {
			err = f.sync(".")
		}
	} else if err == nil {
		err = f.replace(folderFileName, file.write)
	}
	if err != nil {
		return fmt.Errorf("writing %s of the folder %q: %w", folderFileName, f.name, err)
	}
	return nil
}

func (file FolderFile) isZero() bool {
	return file.SpecialUse == "" && len(file.Keywords) == 0 && len(file.Unknown) == 0
}

func parseFolderFile(text string) (file FolderFile) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		word, value, _ := strings.Cut(line, " ")
		switch {
		case word == "" || line == folderFileHead:
		case word == "special-use" && file.SpecialUse == "" && strings.HasPrefix(value, `\`) && !strings.Contains(value, " "):
			file.SpecialUse = value
		case word == "keyword":
			if k, ok := parseExtraKeyword(value); ok {
				file.Keywords = append(file.Keywords, k)
				continue
			}
			file.Unknown = append(file.Unknown, line)
		default:
			file.Unknown = append(file.Unknown, line)
		}
	}
	return file
}

func parseExtraKeyword(value string) (k ExtraKeyword, ok bool) {
	fields := strings.Fields(value)
	if len(fields) < 2 || len(fields) > 3 || checkKeyword(fields[1]) != nil {
		return k, false
	}
	k.UIDValidity, k.Name = parseUID(fields[0]), fields[1]
	if k.UIDValidity == 0 {
		return k, false
	}
	if len(fields) == 3 {
		k.UIDs, ok = parseUIDRanges(fields[2])
		return k, ok
	}
	return k, true
}

func parseUIDRanges(s string) ([]UIDRange, bool) {
	var ranges []UIDRange
	for part := range strings.SplitSeq(s, ",") {
		first, last, isRange := strings.Cut(part, ":")
		if !isRange {
			last = first
		}
		r := UIDRange{parseUID(first), parseUID(last)}
		if r.First == 0 || r.Last < r.First || len(ranges) > 0 && r.First <= ranges[len(ranges)-1].Last {
			return nil, false
		}
		ranges = append(ranges, r)
	}
	return ranges, true
}

// check refuses what would not be read back as it is.
func (file FolderFile) check() error {
	if use := file.SpecialUse; use != "" && (use[0] != '\\' || strings.ContainsFunc(use, func(r rune) bool { return r <= ' ' })) {
		return fmt.Errorf("%q is no special use", use)
	}
	for _, k := range file.Keywords {
		if err := checkKeyword(k.Name); err != nil {
			return err
		}
		last := uint32(0)
		for _, r := range k.UIDs {
			if r.First <= last || r.Last < r.First {
				return fmt.Errorf("the UIDs of the keyword %s do not ascend", k.Name)
			}
			last = r.Last
		}
		if k.UIDValidity == 0 {
			return fmt.Errorf("the keyword %s has no UIDVALIDITY", k.Name)
		}
	}
	if slices.ContainsFunc(file.Unknown, func(line string) bool {
		return line == "" || strings.Contains(line, "\n") || strings.HasSuffix(line, "\r")
	}) {
		return errors.New("a line has a line end in it")
	}
	return nil
}

func (file FolderFile) write(out io.Writer) error {
	w := bufio.NewWriter(out)
	w.WriteString(folderFileHead + "\n")
	if file.SpecialUse != "" {
		w.WriteString("special-use " + file.SpecialUse + "\n")
	}
	for _, k := range file.Keywords {
		w.WriteString("keyword " + strconv.FormatUint(uint64(k.UIDValidity), 10) + " " + k.Name)
		between := " "
		for _, r := range k.UIDs {
			w.WriteString(between + strconv.FormatUint(uint64(r.First), 10))
			if r.Last > r.First {
				w.WriteString(":" + strconv.FormatUint(uint64(r.Last), 10))
			}
			between = ","
		}
		w.WriteByte('\n')
	}
	for _, line := range file.Unknown {
		w.WriteString(line + "\n")
	}
	return w.Flush() // reports any error before
}
