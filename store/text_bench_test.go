package store

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"letterbox/store/index"
)

// written is how many octets this process has had written to disks.
func written(t testing.TB) (n int64) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var v int64
		if _, err := fmt.Sscanf(line, "write_bytes: %d", &v); err == nil {
			n += v
		}
		if _, err := fmt.Sscanf(line, "cancelled_write_bytes: %d", &v); err == nil {
			n -= v
		}
	}
	return n
}

// sizedLetter is a letter of about so many octets: words up to 16 KB, then an attachment.
func sizedLetter(rnd *rand.Rand, size int) []byte {
	var b strings.Builder
	b.WriteString("From: Ben <ben@example.org>\r\nTo: ann@example.org\r\nSubject: a letter\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n")
	for b.Len() < min(size, 16<<10) {
		for range 1 + rnd.IntN(9) {
			b.WriteByte("eeetaoinshrdlucmfwypvbgkqjxz"[rnd.IntN(4+rnd.IntN(24))])
		}
		b.WriteByte(' ')
		if rnd.IntN(12) == 0 {
			b.WriteString("\r\n")
		}
	}
	b.WriteString("\r\n--x\r\nContent-Type: image/jpeg\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	line := make([]byte, 57)
	for b.Len() < size {
		for i := range line {
			line[i] = byte(rnd.Uint32())
		}
		b.WriteString(base64.StdEncoding.EncodeToString(line) + "\r\n")
	}
	return []byte(b.String() + "--x--\r\n")
}

// BenchmarkDeliverWritten measures what a delivery has written to the disk beyond
// the message and its packed text, where TMPDIR is on one.
func BenchmarkDeliverWritten(b *testing.B) {
	for _, size := range []int{2 << 10, 8 << 10, 60 << 10, 100 << 10, 2 << 20} {
		b.Run(fmt.Sprint(size>>10, "KB"), func(b *testing.B) {
			s := open(b, b.TempDir())
			mail := sizedLetter(rand.New(rand.NewPCG(1, 2)), size)
			deliverBytes(b, s, mail)
			text := filepath.Join(s.accountDir("ann"), index.TextName)
			before, err := os.Stat(text)
			if err != nil {
				b.Fatal(err)
			}
			start := written(b)
			for b.Loop() {
				deliverBytes(b, s, mail)
			}
			all := float64(written(b)-start) / float64(b.N)
			after, err := os.Stat(text)
			if err != nil {
				b.Fatal(err)
			}
			packed := float64(after.Size()-before.Size()) / float64(b.N)
			b.ReportMetric(packed, "text-B/op")
			b.ReportMetric(all-packed-float64(len(mail)), "over-B/op")
			b.ReportMetric(all/float64(len(mail)), "times-size")
		})
	}
}
