package control

import (
	"context"
	"fmt"
	"testing"
)

func (h *household) Deleted(_ context.Context, person string, which Which, after string) (DeletedList, error) {
	if after == "there" {
		return DeletedList{Messages: []Deleted{}}, nil
	}
	return DeletedList{Messages: []Deleted{{ID: "x", Folder: which.Folder, Subject: fmt.Sprint(person, which)}}, Next: "there"}, nil
}

func (h *household) Undelete(_ context.Context, _ string, which Which) (int, error) {
	return len(which.IDs), nil
}

func (h *household) Purge(_ context.Context, _ string, which Which) (Purged, error) {
	return Purged{len(which.IDs), 7}, nil
}

func TestUndelete(t *testing.T) {
	both(t, func(t *testing.T, _ *household, c *Client) {
		ctx := t.Context()
		list, err := c.Deleted(ctx, "Ann", Which{Folder: "Späße & more", Since: "2026-11-01", Until: "2026-11-02"}, "")
		if err != nil || len(list.Messages) != 1 || list.Messages[0].Subject != "ann{Späße & more 2026-11-01 2026-11-02 []}" {
			t.Errorf("%+v, %v", list, err)
		}
		if list, err = c.Deleted(ctx, "ann", Which{}, list.Next); err != nil || len(list.Messages) != 0 || list.Next != "" {
			t.Errorf("%+v, %v", list, err)
		}
		if n, err := c.Undelete(ctx, "ann", Which{IDs: []string{"a", "b"}}); n != 2 || err != nil {
			t.Error(n, err)
		}
		if p, err := c.Purge(ctx, "ann", Which{IDs: []string{"a"}}); p != (Purged{1, 7}) || err != nil {
			t.Error(p, err)
		}
		_, err = c.Deleted(ctx, "ann", Which{Since: "yesterday"}, "")
		refused(t, err, 422, "since", "no date")
		_, err = c.Undelete(ctx, "ann", Which{Until: "2026-02-30"})
		refused(t, err, 422, "until", "no date")
		_, err = c.Purge(ctx, "cleo", Which{})
		refused(t, err, 404, "", "nobody called")
		_, err = c.Undelete(ctx, "../ann", Which{})
		refused(t, err, 404, "", "nobody called")
	})
}
