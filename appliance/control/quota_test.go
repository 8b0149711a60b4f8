package control

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"testing"

	"letterbox/appliance/config"
)

// Usage: ann holds something, and nobody knows what others hold.
func (h *household) Usage(ctx context.Context, person string) (Usage, error) {
	if person != "ann" {
		return Usage{}, errors.New("the disk is on fire")
	}
	return Usage{Bytes: 1234, Messages: 5}, ctx.Err()
}

func TestQuota(t *testing.T) {
	t.Parallel()
	h := newHousehold(t)
	c := serve(t, h, filepath.Join(t.TempDir(), SocketName))
	n := func(n int64) *int64 { return &n }
	const gb = int64(config.GB)
	for _, step := range []struct {
		person string
		change QuotaChange
		kept   config.Quota
		told   Quota
		status int
		field  string
		reason string
	}{
		{"ann", QuotaChange{}, config.Quota{}, Quota{}, 0, "", ""},
		{"ann", QuotaChange{Bytes: n(5 * gb)}, config.Quota{Bytes: 5 * config.GB}, Quota{Bytes: 5 * gb}, 0, "", ""},
		{"Ann", QuotaChange{Messages: n(1000)}, config.Quota{Bytes: 5 * config.GB, Messages: 1000}, Quota{5 * gb, 1000}, 0, "", ""},
		{"ann", QuotaChange{Bytes: n(NoQuota), Messages: n(DefaultQuota)}, config.Quota{Bytes: config.Unlimited}, Quota{}, 0, "", ""},
		{"ann", QuotaChange{Bytes: n(5 * gb), Messages: n(3)}, config.Quota{}, Quota{}, http.StatusUnprocessableEntity, "person[0].quota-messages", `the number of messages must be between 100 and 1000000000, or "none"`},
		{"ann", QuotaChange{Bytes: n(-2)}, config.Quota{}, Quota{}, http.StatusUnprocessableEntity, "bytes", ""},
		{"ann", QuotaChange{Bytes: n(1000)}, config.Quota{}, Quota{}, http.StatusUnprocessableEntity, "person[0].quota", `the size must be between 1 MB and 1000000 GB, or "none"`},
		{"ann", QuotaChange{Messages: n(1 << 40)}, config.Quota{}, Quota{}, http.StatusUnprocessableEntity, "messages", ""},
		{"cleo", QuotaChange{Bytes: n(5 * gb)}, config.Quota{}, Quota{}, http.StatusNotFound, "", ""},
	} {
		before, _ := h.Config()
		err := c.SetQuota(t.Context(), step.person, step.change)
		if step.status != 0 {
			refused(t, err, step.status, step.field, step.reason)
			if now, _ := h.Config(); !now.Equal(before) {
				t.Errorf("%+v was refused and changed something", step.change)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if now, _ := h.Config(); now.People[0].Quota != step.kept {
			t.Errorf("kept %+v, not %+v", now.People[0].Quota, step.kept)
		}
		people, err := c.People(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if ann := people[0]; ann.Quota != step.told || ann.Used == nil || *ann.Used != (Usage{1234, 5}) {
			t.Errorf("told %+v, used %+v", ann.Quota, ann.Used)
		}
		if people[1].Used != nil {
			t.Errorf("nobody knows what ben has, but %+v", people[1].Used)
		}
	}
}
