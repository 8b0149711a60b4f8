package transfer

import (
	"io"
	"strings"
	"time"

	"letterbox/store/message"
)

// maxHeaderRead is how much of a header is read for a date.
const maxHeaderRead = 1 << 20

// dateOf finds out when a message came, from its header: when the last server before its folder received it, or else when it was
// written. Zero: it does not tell, or nonsense.
func dateOf(header io.Reader) time.Time {
	var received, written time.Time
	first := true
	err := message.ScanHeader(io.LimitReader(header, maxHeaderRead), func(name string, value []byte) bool {
		switch {
		case first && strings.EqualFold(name, "Received"): // RFC 5321, 4.4: the newest comes first
			first = false
			text := string(value)
			received = sensible(text[strings.LastIndexByte(text, ';')+1:])
		case written.IsZero() && strings.EqualFold(name, "Date"):
			written = sensible(string(value))
		}
		return received.IsZero()
	})
	if err == nil && !received.IsZero() {
		return received
	}
	return written
}

// sensible reads a date, zero where it is before there was mail or in the future.
func sensible(text string) time.Time {
	t, ok := message.Date(text)
	if !ok || t.Year() < 1971 || t.After(time.Now().Add(48*time.Hour)) {
		return time.Time{}
	}
	return t
}
