package transfer

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// placed are messages that are known by their place alone until they are read: text by place.
func placed(server string, texts ...string) []listMessage {
	var all []listMessage
	for i, text := range texts {
		all = append(all, listMessage{Message{Name: fmt.Sprint("UID ", i), ID: placeID(server, fmt.Sprint(i)), Size: 1}, // an odd server: all have the size 1
			func() io.Reader { return strings.NewReader(text) }})
	}
	return all
}

// TestKnownByPlaceAndOctets: what came from the same place is not read again, and what came from elsewhere with the same octets does not
// come a second time.
func TestKnownByPlaceAndOctets(t *testing.T) {
	t.Parallel()
	k := newKeeper()
	read := 0
	from := func(messages []listMessage) list {
		for i := range messages {
			octets := messages[i].octets
			messages[i].octets = func() io.Reader { read++; return octets() }
		}
		return list{{Folder: Folder{Name: "Sent Items", To: "Sent", Unsubscribed: true}, messages: messages}}
	}
	step := func(what string, src list, wantRead int, wantAdded, wantKnown, unsure int64) {
		t.Helper()
		planned, err := Plan(t.Context(), src, k, nil)
		if err != nil || planned.Folders[0].Unsure != unsure {
			t.Errorf("%s: the plan is %+v, %v", what, planned, err)
		}
		read = 0
		r := bringAll(t, src, k)
		if f := r.Folders[0]; read != wantRead || f.Added != wantAdded || f.Known != wantKnown || r.LeftOut != 0 {
			t.Errorf("%s: %d were read, %+v", what, read, r)
		}
	}
	same := []string{"a\r\n", "b\n", "a\n", "c\r\n"}
	step("the first time", from(placed("one", same...)), 4, 4, 0, 0)
	step("the second time", from(placed("one", append(slices.Clone(same), "d")...)), 1, 1, 4, 0)
	if got := k.texts("Sent"); !slices.Equal(got, []string{"a\r\n", "b\r\n", "a\r\n", "c\r\n", "d"}) || !slices.Equal(k.hidden, []string{"Sent"}) {
		t.Errorf("there are %q, not subscribed %q", got, k.hidden)
	}
	if size := k.folders["Sent"][1].Size; size != 3 {
		t.Errorf("the size of a message is told as %d", size)
	}
	step("numbered anew", from(placed("two", "a\r\n", "a\r\n", "a\r\n", "new")), 4, 2, 2, 4)
	step("numbered anew, again", from(placed("two", "a\r\n", "a\r\n", "a\r\n", "new")), 2, 0, 4, 2)
	step("from a file", list{{Folder: Folder{Name: "Sent"}, messages: letters(0, 2)}}, 0, 2, 0, 0)
	step("from a server afterwards", from(placed("three", "Subject: 0\n\n", "Subject: 1\n\n", "Subject: 1\n\n")), 3, 1, 2, 3)
	step("from a file again", list{{Folder: Folder{Name: "Sent"}, messages: letters(1, 1)}}, 0, 0, 1, 0)
	seen := make(map[ID]bool)
	for _, m := range k.folders["Sent"] {
		if m.ID.unread() || seen[m.ID] {
			t.Errorf("a message has the identity %s", m.ID)
		}
		seen[m.ID] = true
	}
}

// TestKnownByEmailID: each message here stands for one at the source.
func TestKnownByEmailID(t *testing.T) {
	t.Parallel()
	k := known{}
	for _, id := range []ID{KeptID("one", 5), KeptID("one", 5), KeptID("two", 7), idOf("text")} {
		k.add(id)
	}
	k.ready()
	if k.left != 1 {
		t.Errorf("%d messages came by an import, not 1", k.left)
	}
	for i, c := range []struct {
		kept ID
		text string
		has  bool
	}{
		{KeptID("one", 5), "a", true}, {KeptID("one", 6), "a", false}, {KeptID("one", 5), "a", true}, {KeptID("one", 5), "a", false},
		{KeptID("three", 7), "text", true}, {KeptID("two", 7), "text", true}, {ID{}, "text", false},
	} {
		if _, has := k.next(&Message{ID: idOf(c.text), Kept: c.kept}); has != c.has {
			t.Errorf("the message %d is here: %v", i, has)
		}
	}
}

// TestKnownByGUID: Dovecot gives mail that it has replicated GUIDs that look like the IDs of imports. A copy of the folder shows them in
// dovecot-uidlist.
func TestKnownByGUID(t *testing.T) {
	t.Parallel()
	const guid = "00ff2233445566778899aabbccddeeff"
	dir := tree(t, map[string]string{
		"cur/1700000001.z.host:2,S": "Subject: z\n\n",
		"cur/1700000002.y.host:2,":  "Subject: y\n\n",
		"dovecot-uidlist":           "3 V77 N90 G00112233445566778899aabbccddeeff\n5 G" + guid + " :1700000001.z.host\n6 :1700000002.y.host\n",
	})
	src, err := OpenMaildir([]string{dir}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	folders, err := src.Folders(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	k := known{}
	k.add(KeptID(guid, 99)) // whatever the size: who looks does not ask
	k.ready()
	var has []bool
	err = src.Messages(t.Context(), folders[0], func(m Message) error {
		_, here := k.next(&m)
		has = append(has, here)
		return nil
	})
	if err != nil || !slices.Equal(has, []bool{true, false}) {
		t.Errorf("here are %v, %v", has, err)
	}
}
