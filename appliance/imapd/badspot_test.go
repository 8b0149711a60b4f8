//go:build interop

package imapd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"letterbox/store/disktest"
)

// TestInteropBadSpot: a message with a bad spot is served up to it, filled up with blanks, and the answer is NO; the session goes on, as do
// other messages and what lies behind the spot.
func TestInteropBadSpot(t *testing.T) {
	t.Parallel()
	disk := disktest.New(t).NewDisk()
	f := newFixtureIn(t, filepath.Join(disk.Path, "data"), nil)
	long := "Subject: long\r\n\r\n" + strings.Repeat("Much to be said.\r\n", 10_000)
	for _, text := range []string{"Subject: first\r\n\r\none\r\n", long, "Subject: third\r\n\r\nthree\r\n"} {
		f.deliver("INBOX", []byte(text), time.Unix(1_000_000_000, 0))
	}
	name := ""
	files, err := os.ReadDir(filepath.Join(f.dir, "mail", "ann", "Maildir", "cur"))
	for _, file := range files {
		if strings.Contains(file.Name(), fmt.Sprint(",S=", len(long))) {
			name = file.Name()
		}
	}
	if err != nil || name == "" {
		t.Fatal(files, err)
	}
	disk.SetBadSpot(func(path string, from, to int64) bool {
		return strings.HasSuffix(path, "/"+name) && from < 100_001 && 100_000 < to
	})
	p := f.dialPipe(t)
	p.signIn()
	p.send("a SELECT INBOX")
	p.until("a OK")
	p.send("b FETCH 1:3 (UID BODY.PEEK[])")
	p.want("* 1 FETCH (UID 1 BODY[] {")
	head := fmt.Sprintf("* 2 FETCH (UID 2 BODY[] {%d}\r\n", len(long))
	got := strings.TrimPrefix(p.want(head), head)
	const spot = 100_000 / 4096 * 4096
	if len(got) < len(long) || got[:spot] != long[:spot] || strings.Trim(got[spot:len(long)], " ") != "" {
		t.Errorf("of the message there is %d octets, %.40q behind the bad spot", len(got), got[min(spot, len(got)):])
	}
	p.want("* 3 FETCH (UID 3 BODY[] {")
	p.want("b NO ")
	p.send("c FETCH 2 (RFC822.SIZE ENVELOPE BODY.PEEK[]<110000.50>)")
	if got := p.want(fmt.Sprintf("* 2 FETCH (RFC822.SIZE %d ENVELOPE (NIL \"long\"", len(long))); !strings.Contains(got, "{50}\r\n"+long[110_000:110_050]) {
		t.Errorf("behind the bad spot: %q", got)
	}
	p.want("c OK ")
	p.conn.Close()
	f.shutdown()
}
