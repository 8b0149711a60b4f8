package appliance

import (
	"testing"

	"letterbox/appliance/config"
)

// TestLimits: the services share the connections that there may be, and mail coming in has a part of its own.
func TestLimits(t *testing.T) {
	t.Parallel()
	for _, l := range []config.Limits{{}, {Connections: 10}, {Connections: 400, ConnectionsPerAddress: 50}, {Connections: 10000, ConnectionsPerAddress: 9999}, {Connections: 11, ConnectionsPerAddress: 1}} {
		intake, rest := limitOf(config.SMTP, l), limitOf(config.IMAPS, l)
		if rest != limitOf(config.Submission, l) || intake == rest || intake == webLimit {
			t.Errorf("%+v: mail programs have %+v and %+v, intake has %+v", l, rest, limitOf(config.Submission, l), intake)
		}
		if sum := intake.connections + rest.connections; sum != l.MaxConnections() {
			t.Errorf("%+v: all have %d connections", l, sum)
		}
		for _, one := range []limit{intake, rest} {
			if one.perAddress < 1 || one.perAddress > one.connections || one.perAddress > l.MaxConnectionsPerAddress() {
				t.Errorf("%+v: %+v", l, one)
			}
		}
	}
}
