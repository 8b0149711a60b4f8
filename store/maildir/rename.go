package maildir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// renameIntent lists, while a folder with children is being renamed, which
// directory becomes which: a line each, old and new with a tab between. The
// directories of a folder and its children are siblings in Maildir++, so that
// no single rename moves them all.
const renameIntent = "letterbox-rename"

// dirRename is one directory's part of a Rename.
type dirRename struct{ from, to string }

// Rename gives a folder and all folders below it another name, durably. Only
// folders below it need to exist. After a crash OpenRoot finishes it. Folders
// that are open stay usable; errors tell their old names. Errors wrap ErrBadName
// (also for INBOX, which the store empties instead, RFC 9051, 6.3.6),
// fs.ErrExist and fs.ErrNotExist; whatever the error, each message is in one
// of the two places.
func (r *Root) Rename(old, new string) error {
	r.renaming.Lock()
	defer r.renaming.Unlock()
	if err := r.finishRename(); err != nil {
		return fmt.Errorf("finishing an interrupted rename: %w", err)
	}
	plan, err := r.planRename(old, new)
	if err != nil {
		return err
	}
	if err := r.carryOut(plan); err != nil {
		return fmt.Errorf("renaming the folder %q: %w", old, err)
	}
	return nil
}

// planRename checks everything that can be checked before anything moves.
func (r *Root) planRename(old, new string) ([]dirRename, error) {
	_, oldName, err := r.find(old)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		oldName = Normalize(old) // may exist by its children only
	case err != nil:
		return nil, err
	case oldName == Inbox:
		return nil, badName(oldName, "INBOX cannot be renamed")
	}
	newName := Normalize(new)
	if strings.HasPrefix(newName+"/", Normalize(oldName)+"/") && newName != Normalize(oldName) {
		return nil, badName(new, "it lies inside the folder that is to be renamed")
	}
	var plan []dirRename
	err = r.folderDirs(func(dir, name string) error {
		rest, inside := cutLevels(name, oldName)
		if !inside {
			return nil
		}
		to, _, err := r.free(newName + rest)
		plan = append(plan, dirRename{dir, to})
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(plan) == 0 {
		return nil, fmt.Errorf("the folder %q: %w", old, fs.ErrNotExist)
	}
	slices.SortFunc(plan, func(a, b dirRename) int { return strings.Compare(a.from, b.from) })
	return plan, nil
}

// cutLevels gives what stands behind parent in name, beginning with "/" or
// empty, if name is parent or lies below it. Names are compared normalised.
func cutLevels(name, parent string) (rest string, inside bool) {
	levels := strings.Count(parent, "/") + 1
	end := 0
	for ; levels > 0; levels-- {
		i := strings.IndexByte(name[end:], '/')
		if i < 0 {
			end = len(name)
			if levels > 1 {
				return "", false
			}
			break
		}
		end += i
		if levels > 1 {
			end++
		}
	}
	return name[end:], sameName(name[:end], parent)
}

func (r *Root) carryOut(plan []dirRename) error {
	if len(plan) == 1 {
		if err := r.rename(StepPlaceFolder, plan[0].from, plan[0].to); err != nil {
			return err
		}
		return r.sync(".")
	}
	err := r.replace(renameIntent, func(w io.Writer) error {
		for _, d := range plan {
			if _, err := fmt.Fprintf(w, "%s\t%s\n", d.from, d.to); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return r.finish(plan)
}

// finishRename carries out what letterbox-rename still asks for. The caller
// holds r.renaming.
func (r *Root) finishRename() error {
	text, err := r.readSmall(renameIntent, 64<<20)
	if err != nil || text == nil {
		return err
	}
	var plan []dirRename
	for line := range strings.Lines(string(text)) {
		from, to, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if ok && decodeName(from) != "" && decodeName(to) != "" && !strings.Contains(from+to, "/") {
			plan = append(plan, dirRename{from, to})
		}
	}
	return r.finish(plan)
}

// finish renames what is not renamed yet, then forgets the intent.
func (r *Root) finish(plan []dirRename) error {
	for _, d := range plan {
		if !r.isFolder(d.from) || r.isFolder(d.to) {
			continue
		}
		if err := r.rename(StepPlaceFolder, d.from, d.to); err != nil {
			return err
		}
	}
	if err := r.sync("."); err != nil {
		return err
	}
	if err := r.remove(StepFileRemove, renameIntent); err != nil {
		return err
	}
	return r.sync(".")
}
