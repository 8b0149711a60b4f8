package maildir

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Settle makes durable what the list holds from an offset on, and its name,
// whoever wrote that: another program, or a process of ours that was killed. It
// writes the same once more and syncs it. To sync alone would not do: after a sync
// that has failed, of which a new process knows nothing, the kernel takes for
// written what it could not write. Who reads the list meanwhile sees nothing of it,
// and it needs no room on a full disk. Errors wrap ErrRewrite when the list is
// missing or Doubtful, which it is after a sync that fails.
func (l *UIDListLock) Settle(from int64) error {
	f, err := l.openInPlace()
	if err == nil {
		err = errors.Join(l.writeAgain(f, from), f.Close())
	}
	if err == nil {
		err = l.tree.sync(".")
	}
	if err != nil {
		return fmt.Errorf("writing the list of messages once more: %w", err)
	}
	return nil
}

// writeAgain writes what the file holds from an offset on over itself.
func (l *UIDListLock) writeAgain(f *os.File, from int64) error {
	b := make([]byte, writeChunk)
	for {
		n, err := f.ReadAt(b, from)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if n == 0 {
			return l.syncList(f)
		}
		if err := l.step(StepListSettle); err != nil {
			return err
		}
		if _, err := f.WriteAt(b[:n], from); err != nil {
			return err
		}
		from += int64(n)
	}
}
