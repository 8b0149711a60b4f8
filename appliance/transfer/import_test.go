package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// keeper is a Destination in memory.
type keeper struct {
	folders map[string][]kept
	hidden  []string // folders made without a subscription
	max     int64
	batches int
	fail    func() error // before a batch is taken
	lack    func(messages, octets int64) Lack
}

type kept struct {
	Message
	text string
}

func newKeeper() *keeper {
	return &keeper{folders: map[string][]kept{"INBOX": nil}, max: 1 << 20, fail: func() error { return nil }, lack: func(int64, int64) Lack { return Lack{} }}
}

func (k *keeper) Lack(_ context.Context, messages, octets int64) (Lack, error) {
	return k.lack(messages, octets), nil
}

func (k *keeper) Look(_ context.Context, folder string, known func(ID)) (Place, error) {
	list, ok := k.folders[folder]
	for _, m := range list {
		known(m.ID)
	}
	return Place{Name: folder, Exists: ok, MaxMessage: k.max}, nil
}

func (k *keeper) Append(_ context.Context, to Place, fill func(add func(*Message, io.Reader) error) error) error {
	k.batches++
	var batch []kept
	err := fill(func(m *Message, octets io.Reader) error {
		text, err := io.ReadAll(octets)
		if err == nil {
			batch = append(batch, kept{*m, string(text)})
		}
		return err
	})
	if err == nil {
		err = k.fail()
	}
	if err == nil {
		if _, there := k.folders[to.Name]; !there && to.Unsubscribed {
			k.hidden = append(k.hidden, to.Name)
		}
		k.folders[to.Name] = append(k.folders[to.Name], batch...)
	}
	return err
}

// texts are those of a folder.
func (k *keeper) texts(folder string) []string {
	var list []string
	for _, m := range k.folders[folder] {
		list = append(list, m.text)
	}
	return list
}

// list is a Source in memory.
type list []listFolder

type listFolder struct {
	Folder
	messages []listMessage
	err      error // behind the last message
}

type listMessage struct {
	Message
	octets func() io.Reader
}

func (l list) Folders(context.Context) ([]Folder, error) {
	var folders []Folder
	for i := range l {
		f := l[i].Folder
		f.Key = i
		folders = append(folders, f)
	}
	return folders, nil
}

func (l list) Messages(_ context.Context, f Folder, found func(Message) error) error {
	for i, m := range l[f.Key.(int)].messages {
		m.Key = i
		if err := found(m.Message); err != nil {
			return err
		}
	}
	return l[f.Key.(int)].err
}

func (l list) Fetch(_ context.Context, f Folder, msgs []Message, take func(int, io.Reader) error) error {
	for i, m := range msgs {
		if err := take(i, l[f.Key.(int)].messages[m.Key.(int)].octets()); err != nil {
			return err
		}
	}
	return nil
}

// idOf is made of the octets of a message.
func idOf(text string) ID {
	id, _, err := contentID(context.Background(), strings.NewReader(text), make([]byte, 100))
	if err != nil {
		panic(err)
	}
	return id
}

// letters are n messages with their numbers from first on.
func letters(first, n int) []listMessage {
	var all []listMessage
	for i := first; i < first+n; i++ {
		text := fmt.Sprintf("Subject: %d\r\n\r\n", i)
		all = append(all, listMessage{Message{Name: fmt.Sprint("message ", i), ID: idOf(text), Size: int64(len(text)), Share: int64(len(text))},
			func() io.Reader { return strings.NewReader(text) }})
	}
	return all
}

func bringAll(t *testing.T, src Source, dst Destination) Report {
	t.Helper()
	r, err := Import(t.Context(), src, dst, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestImportTwice: what is there already does not come again, and what comes twice in a folder comes twice.
func TestImportTwice(t *testing.T) {
	t.Parallel()
	k := newKeeper()
	twice := slices.Concat(letters(0, 250), letters(3, 2), letters(3, 1))
	src := list{{Folder: Folder{Name: "INBOX"}, messages: twice}, {Folder: Folder{Name: "A\tB"}, messages: letters(0, 3)}, {Folder: Folder{Name: "Empty"}}}
	planned, err := Plan(t.Context(), src, k, nil)
	if err != nil || k.batches > 0 || len(k.folders) > 1 {
		t.Errorf("a plan did something: %v, %v", k.folders, err)
	}
	r := bringAll(t, src, k)
	if fmt.Sprint(r) != fmt.Sprint(planned) {
		t.Errorf("planned was\n%+v\nbut done\n%+v", planned, r)
	}
	if got := len(k.folders["INBOX"]); got != 253 || len(k.folders["A_B"]) != 3 || k.folders["Empty"] != nil || len(k.folders) != 3 {
		t.Errorf("INBOX has %d messages, the folders are %v", got, slices.Sorted(maps.Keys(k.folders)))
	}
	want := "INBOX: 253 messages, 3.9 KB\nA_B (there called \"A\\tB\", new): 3 messages, 42 octets\nEmpty (new): 0 messages, 0 octets\n"
	var b strings.Builder
	r.WriteTo(&b)
	if b.String() != want {
		t.Errorf("the report is\n%s\nnot\n%s", b.String(), want)
	}
	batches := k.batches
	r = bringAll(t, src, k)
	if added, _ := r.Added(); added != 0 || r.Folders[0].Known != 253 || k.batches != batches {
		t.Errorf("the second time %+v", r)
	}
	// One copy went away, and a new message came.
	k.folders["INBOX"] = slices.DeleteFunc(k.folders["INBOX"], func(m kept) bool { return m.ID == idOf("Subject: 3\r\n\r\n").copyOf(1) })
	src[0].messages = append(src[0].messages, letters(1000, 1)...)
	r = bringAll(t, src, k)
	if added, _ := r.Added(); added != 2 || len(k.folders["INBOX"]) != 254 {
		t.Errorf("the third time %+v", r)
	}
	seen := make(map[ID]bool)
	for _, m := range k.folders["INBOX"] {
		if seen[m.ID] {
			t.Errorf("two messages have the identity %s", m.ID)
		}
		seen[m.ID] = true
	}
}

// TestImportStopped: wherever an import is stopped, by whatever, the next one goes on there.
func TestImportStopped(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(src list, k *keeper) (undo func()){
		"the destination refuses": func(_ list, k *keeper) func() {
			was := k.fail
			n := 0
			k.fail = func() error {
				if n++; n > 1 {
					return errors.New("full")
				}
				return nil
			}
			return func() { k.fail = was }
		},
		"the connection to the source breaks": func(src list, k *keeper) func() {
			was := src[0].messages[170].octets
			src[0].messages[170].octets = func() io.Reader { return iotest.ErrReader(errors.New("connection reset")) }
			return func() { src[0].messages[170].octets = was }
		},
		"the listing breaks": func(src list, k *keeper) func() {
			src[0].err = errors.New("connection reset")
			return func() { src[0].err = nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKeeper()
			src := list{{Folder: Folder{Name: "INBOX"}, messages: letters(0, 350)}}
			undo := stop(src, k)
			r, err := Import(t.Context(), src, k, nil)
			if err == nil {
				t.Error("it was not stopped")
			}
			if added, _ := r.Added(); added == 0 || int(added) != len(k.folders["INBOX"]) || r.LeftOut != 0 {
				t.Errorf("reported are %d messages, there are %d", added, len(k.folders["INBOX"]))
			}
			undo()
			bringAll(t, src, k)
			want := list{{messages: letters(0, 350)}}
			for i, m := range k.folders["INBOX"] {
				if m.ID != want[0].messages[i].ID {
					t.Fatalf("message %d is %q", i, m.text)
				}
			}
			if len(k.folders["INBOX"]) != 350 {
				t.Errorf("there are %d messages", len(k.folders["INBOX"]))
			}
		})
	}
}

// TestImportCancelled: the end of ctx ends it anywhere.
func TestImportCancelled(t *testing.T) {
	t.Parallel()
	k := newKeeper()
	ctx, cancel := context.WithCancel(t.Context())
	all := letters(0, 350)
	all[120].octets = func() io.Reader {
		cancel()
		return strings.NewReader("never read")
	}
	r, err := Import(ctx, list{{Folder: Folder{Name: "INBOX"}, messages: all}}, k, nil)
	if added, _ := r.Added(); !errors.Is(err, context.Canceled) || added != 100 || len(k.folders["INBOX"]) != 100 {
		t.Errorf("%d messages, %v", added, err)
	}
}

// TestLeftOut: what cannot be taken is named, and all else comes.
func TestLeftOut(t *testing.T) {
	t.Parallel()
	k := newKeeper()
	k.max = 1000
	all := letters(0, 6)
	all[1].Size = 1001
	all[2].octets = func() io.Reader {
		return io.MultiReader(strings.NewReader("Subject"), iotest.ErrReader(&Unreadable{errors.New("input/output error")}))
	}
	all[5].octets = func() io.Reader { return strings.NewReader(strings.Repeat("x", 1001)) } // more than it was said to have
	all[3].Message = Message{Name: "message \x1b[31m3", Fault: errors.New("permission denied")}
	all[4].Fault = errThrownAway
	src := list{
		{Folder: Folder{Name: "INBOX"}, messages: all, err: &Unreadable{errors.New("bad sector")}},
		{Folder: Folder{Name: "Secret", Fault: errors.New("permission denied")}},
		{Folder: Folder{Name: "All", Fault: &passedOver{"it shows what is elsewhere"}}},
		{Folder: Folder{Name: "Broken"}, err: &Unreadable{errors.New("bad sector")}},
		{Folder: Folder{Name: "Last"}, messages: letters(10, 1)},
	}
	r := bringAll(t, src, k)
	var b strings.Builder
	r.WriteTo(&b)
	want := `INBOX: 1 message, 14 octets; 1 passed over, because deleted there and only not cleared away
Broken (new): 0 messages, 0 octets
Last (new): 1 message, 15 octets
passed over:
  INBOX, message 4: it was deleted already
  All: it shows what is elsewhere
left out (7):
  INBOX, message 1: it has 1.0 KB, and the largest message that is taken has 1.0 KB
  INBOX, message ?[31m3: permission denied
  INBOX: the rest of it cannot be read: bad sector
  INBOX, message 2: input/output error
  INBOX, message 5: it has 1.0 KB, and the largest message that is taken has 1.0 KB
  Secret: permission denied
  Broken: the rest of it cannot be read: bad sector
`
	if b.String() != want {
		t.Errorf("the report is\n%s\nnot\n%s", b.String(), want)
	}
	if _, made := k.folders["Broken"]; made || len(k.folders["INBOX"]) != 1 || len(k.folders["Last"]) != 1 {
		t.Errorf("the folders are %v", k.folders)
	}
}

func TestCleanFlags(t *testing.T) {
	t.Parallel()
	got := cleanFlags([]string{`\seen`, `\Recent`, `\*`, "$Forwarded", "NonJunk", "two words", "ümlaut", "", "(x", strings.Repeat("k", 251), `\Draft`})
	if fmt.Sprint(got) != `[\Seen $Forwarded NonJunk \Draft]` {
		t.Errorf("%q", got)
	}
}

// clock is a time that tests set.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func TestProgress(t *testing.T) {
	t.Parallel()
	c := &clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	var b strings.Builder
	p := ProgressInLog(&b)
	p.now = c.now
	p.begin([]Folder{{Size: 60_000_000, Messages: 3000}, {Size: 40_000_000, Messages: 2000}, {Size: 500, Messages: 1}})
	p.folder("INBOX")
	p.skip(500, 1)
	for range 600 { // ten a second
		c.t = c.t.Add(100 * time.Millisecond)
		p.pass(20_000)
	}
	p.Say("left out: x")
	p.end()
	want := "INBOX: 300 of 5,000 messages, 6.0 MB of 100 MB (6 %), 200 KB/s, 8 minutes left\n" +
		"INBOX: 600 of 5,000 messages, 12 MB of 100 MB (12 %), 200 KB/s, 8 minutes left\n" +
		"left out: x\n"
	if b.String() != want {
		t.Errorf("shown is\n%s\nnot\n%s", b.String(), want)
	}

	b.Reset()
	p = ProgressOnTerminal(&b)
	p.now = c.now
	p.begin([]Folder{{Size: Unknown, Messages: 30}})
	p.folder(strings.Repeat("x", 40))
	for range 15 {
		c.t = c.t.Add(time.Second)
		p.pass(999)
	}
	p.end()
	shown := strings.Split(b.String(), "\r")
	last := shown[len(shown)-3]
	if want := strings.Repeat("x", 27) + "...: 15 of 30 messages, 15 KB, 999 octets/s, 15 seconds left"; strings.TrimRight(last, " ") != want {
		t.Errorf("on a terminal is shown\n%q\nnot\n%q", last, want)
	}
	if cleared := shown[len(shown)-2]; len(cleared) < len(strings.TrimRight(last, " ")) || strings.TrimSpace(cleared) != "" {
		t.Errorf("at the end it is cleared by %q", cleared)
	}
	for seconds, want := range map[float64]string{0.2: "1 second", 90: "90 seconds", 91: "2 minutes", 5400: "90 minutes", 5401: "2 hours", 1e9: "277,778 hours"} {
		if got := span(seconds); got != want {
			t.Errorf("%v seconds are %q, want %q", seconds, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 octets", 999: "999 octets", 1000: "1.0 KB", 999_499: "999 KB", 999_501: "1.0 MB", 123e9: "123 GB", 5e15: "5000 TB"} {
		if got := Octets(n); got != want {
			t.Errorf("%d octets are %q, want %q", n, got, want)
		}
	}
}

// TestTooManyFlags: a message has no more flags than can be kept, whatever stands in its header.
func TestTooManyFlags(t *testing.T) {
	t.Parallel()
	if got, want := cleanFlags([]string{`\seen`, "blue", "", "a b", `\Seen`, "blue", `\Recent`, "<x>&"}), []string{`\Seen`, "blue", "<x>&"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	var short, long []string
	for i := range 5000 {
		short = append(short, fmt.Sprint("k", i))
		long = append(long, fmt.Sprint(strings.Repeat("<", 240), i))
	}
	if got := cleanFlags(short); !slices.Equal(got, short[:maxFlags]) {
		t.Errorf("of many flags stay %d", len(got))
	}
	if got := strings.Join(cleanFlags(long), ""); len(got) == 0 || len(got) > maxFlagOctets {
		t.Errorf("of long flags stay %d octets", len(got))
	}
}
