package imapd

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain: every goroutine that a test starts has ended when all is over.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
