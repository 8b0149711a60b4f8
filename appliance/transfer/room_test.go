package transfer

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// bounded is a keeper that holds so many messages and octets.
func bounded(messages, octets int64) *keeper {
	k := newKeeper()
	k.lack = func(m, o int64) Lack {
		for _, list := range k.folders {
			for _, one := range list {
				m, o = m+1, o+int64(len(one.text))
			}
		}
		return Lack{Messages: max(0, m-messages), Octets: max(0, o-octets)}
	}
	return k
}

// sized are folders that tell what is in them.
func sized(folders ...listFolder) list {
	for i := range folders {
		f := &folders[i]
		f.Folder.Messages, f.Folder.Size = int64(len(f.messages)), 0
		for _, m := range f.messages {
			f.Folder.Size += m.Size
		}
	}
	return folders
}

// TestNoRoom: what does not fit is known before anything is done, and nothing is.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		src             list
		messages, bytes int64 // that there is room for
		want            string
	}{
		"messages":        {sized(listFolder{Folder: Folder{Name: "A"}, messages: letters(10, 120)}), 100, 1 << 30, "there is no room for 120 messages of 1.8 KB: the quota is 20 messages too small"},
		"octets":          {sized(listFolder{Folder: Folder{Name: "A"}, messages: letters(10, 90)}, listFolder{Folder: Folder{Name: "B"}, messages: letters(10, 10)}), 1000, 1400, "there is no room for 100 messages of 1.5 KB: the quota is 100 octets too small"},
		"both":            {sized(listFolder{Folder: Folder{Name: "A"}, messages: letters(10, 90)}), 89, 1300, "there is no room for 90 messages of 1.4 KB: the quota is 50 octets too small, and the quota is 1 message too small"},
		"sizes not known": {list{{Folder: Folder{Name: "A", Messages: Unknown, Size: Unknown}, messages: letters(10, 90)}}, 1000, 1349, "there is no room for 90 messages of 1.4 KB: the quota is 1 octets too small"},
		"just":            {sized(listFolder{Folder: Folder{Name: "A"}, messages: letters(10, 90)}), 90, 1350, ""},
		"unknown, just":   {list{{Folder: Folder{Name: "A", Messages: Unknown, Size: Unknown}, messages: letters(10, 90)}}, 90, 1350, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := bounded(c.messages, c.bytes)
			said := func(err error) string {
				var no *NoRoom
				if err != nil && !errors.As(err, &no) {
					t.Errorf("%v is no *NoRoom", err)
				}
				return strings.Replace(fmt.Sprint(err), "<nil>", "", 1)
			}
			report, err := Plan(t.Context(), c.src, k, nil)
			if added, _ := report.Added(); said(err) != c.want || added == 0 {
				t.Errorf("planned are %d messages, %v", added, err)
			}
			report, err = Import(t.Context(), c.src, k, nil)
			if said(err) != c.want {
				t.Errorf("imported with %v, not %q", err, c.want)
			}
			if added, _ := report.Added(); c.want != "" && (added > 0 || len(k.folders) > 1 || k.batches > 0) || c.want == "" && added != 90 {
				t.Errorf("%d messages came, into %v", added, slices.Sorted(maps.Keys(k.folders)))
			}
		})
	}
}

// TestRoomForTheRest: what is here already needs no room.
func TestRoomForTheRest(t *testing.T) {
	t.Parallel()
	k := bounded(100, 1<<30)
	bringAll(t, sized(listFolder{Folder: Folder{Name: "A"}, messages: letters(0, 95)}), k)
	bringAll(t, sized(listFolder{Folder: Folder{Name: "A"}, messages: letters(0, 100)}), k)
	if n := len(k.folders["A"]); n != 100 {
		t.Errorf("there are %d messages", n)
	}
	_, err := Import(t.Context(), sized(listFolder{Folder: Folder{Name: "A"}, messages: letters(0, 102)}), k, nil)
	if want := "there is no room for 2 messages of 32 octets: the quota is 2 messages too small"; fmt.Sprint(err) != want {
		t.Errorf("%v, not %s", err, want)
	}
}

// TestRoomGoes: where room goes while an import is under way, it stops at the message that has none, and makes no folder for it.
func TestRoomGoes(t *testing.T) {
	t.Parallel()
	k := bounded(1000, 1<<30)
	src := sized(listFolder{Folder: Folder{Name: "A"}, messages: letters(0, 250)}, listFolder{Folder: Folder{Name: "B"}, messages: letters(0, 5)})
	for _, c := range []struct {
		after, room int
		want        string
	}{
		{1, 130, "A, message 130: there is no room for 1 message of 16 octets: the quota is 1 message too small"},
		{2, 250, "B, message 0: there is no room for 1 message of 14 octets: the quota is 1 message too small"},
	} {
		n := 0
		roomy := k.lack
		k.fail = func() error {
			if n++; n == c.after {
				k.lack = bounded(int64(c.room), 1<<30).lackOf(k)
			}
			return nil
		}
		report, err := Import(t.Context(), src, k, nil)
		if fmt.Sprint(err) != c.want {
			t.Errorf("%v, not %s", err, c.want)
		}
		if len(k.folders["A"]) != c.room || len(k.folders) != 2 {
			t.Errorf("%d messages came, into %v", len(k.folders["A"]), slices.Sorted(maps.Keys(k.folders)))
		}
		if added, _ := report.Added(); added == 0 {
			t.Errorf("reported is %+v", report)
		}
		k.lack = roomy
	}
	k.fail = func() error { return nil }
	bringAll(t, src, k)
	if len(k.folders["A"]) != 250 || len(k.folders["B"]) != 5 {
		t.Errorf("there are %d and %d messages", len(k.folders["A"]), len(k.folders["B"]))
	}
}

// lackOf is what is lacking in another one with the bounds of k.
func (k *keeper) lackOf(other *keeper) func(messages, octets int64) Lack {
	return func(messages, octets int64) Lack {
		k.folders = other.folders
		return k.lack(messages, octets)
	}
}

// TestGuess: whatever a server says, what is guessed is a number that can be asked about.
func TestGuess(t *testing.T) {
	t.Parallel()
	var folders []Folder
	for range 10_000 {
		folders = append(folders, Folder{Messages: 1<<63 - 1, Size: 1<<63 - 1}, Folder{Messages: Unknown, Size: Unknown})
	}
	if g := guess(folders); g != (guessed{manyMessages, manyOctets, manyMessages}) {
		t.Errorf("%+v", g)
	}
	folders = []Folder{{Messages: 10, Size: 1000}, {Messages: Unknown, Size: 480_000}, {Messages: 99, Size: 1, Fault: errLink}}
	if g := guess(folders); g != (guessed{127, 529_100, 20_010}) {
		t.Errorf("%+v", g)
	}
}

// TestUnsureRoom: of a server that numbered a folder anew nobody knows beforehand what of it is here already. It is tried.
func TestUnsureRoom(t *testing.T) {
	t.Parallel()
	k := bounded(100, 1<<30)
	bringAll(t, sized(listFolder{Folder: Folder{Name: "A"}, messages: letters(0, 100)}), k)
	anew := letters(0, 100)
	for i := range anew {
		anew[i].ID = placeID("anew", fmt.Sprint(i))
	}
	src := sized(listFolder{Folder: Folder{Name: "A"}, messages: anew})
	report, err := Plan(t.Context(), src, k, nil)
	if want := "there may be no room for 100 messages of 1.5 KB: the quota is 100 messages too small"; fmt.Sprint(err) != want || report.Folders[0].Unsure != 100 {
		t.Errorf("%v, not %s", err, want)
	}
	if report := bringAll(t, src, k); report.Folders[0].Known != 100 {
		t.Errorf("done was %+v", report)
	}
}
