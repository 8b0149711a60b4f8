package imapd

import (
	"bytes"
	"strings"
)

// maxTrace is how much of one command or one piece of output is logged.
const maxTrace = 2 << 10

const redacted = "[redacted]"

// traceCommand logs a command as it came, without the secrets of LOGIN and
// AUTHENTICATE. Before sign-in everything after the name may be a secret.
func (c *conn) traceCommand(name string, cmd []byte) {
	text := clip(cmd)
	if c.state == notAuthenticated || name == "LOGIN" || name == "AUTHENTICATE" {
		fields := strings.Fields(text)
		if len(fields) > 2 {
			text = fields[0] + " " + fields[1] + " " + redacted
		}
	}
	c.log.Log(c.ctx, LevelTrace, "C", "text", text)
}

func (c *conn) traceOutput(b []byte) {
	c.log.Log(c.ctx, LevelTrace, "S", "text", clip(b), "octets", len(b))
}

func clip(b []byte) string {
	b = bytes.TrimRight(b, "\r\n")
	if len(b) <= maxTrace {
		return string(b)
	}
	return string(b[:maxTrace]) + "..."
}
