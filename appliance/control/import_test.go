package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// importer keeps what is imported in memory.
type importer struct {
	mu      sync.Mutex
	folders map[string][]importedMessage
}

type importedMessage struct {
	ImportMessage
	text string
}

const pageSize = 3

func (h *household) ImportFolder(_ context.Context, person, folder string, after uint32) (ImportFolder, error) {
	h.imported.mu.Lock()
	defer h.imported.mu.Unlock()
	list, ok := h.imported.folders[person+" "+folder]
	told := ImportFolder{Name: folder, Exists: ok, MaxMessage: 1000}
	for i := int(after); i < len(list) && len(told.IDs) < pageSize; i++ {
		told.IDs = append(told.IDs, list[i].ID)
		told.Next = uint32(i + 1)
	}
	if int(told.Next) == len(list) {
		told.Next = 0
	}
	return told, nil
}

// Lack: there is room for ten messages of 1,000 octets.
func (h *household) Lack(_ context.Context, person string, more Usage) (Lack, error) {
	if person != "ann" {
		return Lack{}, errors.New("the disk is on fire")
	}
	return Lack{Messages: max(0, more.Messages-10), Bytes: max(0, more.Bytes-1000)}, nil
}

func (h *household) Import(_ context.Context, person string, to ImportTarget, next func() (*ImportMessage, io.Reader, error)) error {
	var batch []importedMessage
	for {
		m, octets, err := next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if slices.Contains(m.Flags, "refuse") {
			return &Error{Status: http.StatusInsufficientStorage, Reason: "the disk is full"}
		}
		if slices.Contains(m.Flags, "skip") {
			continue
		}
		text, err := io.ReadAll(octets)
		if Withdrawn(err) {
			continue
		}
		if err != nil {
			return err
		}
		batch = append(batch, importedMessage{*m, string(text)})
	}
	h.imported.mu.Lock()
	defer h.imported.mu.Unlock()
	if h.imported.folders == nil {
		h.imported.folders = make(map[string][]importedMessage)
	}
	key := person + " " + to.Folder
	if to.Unsubscribed {
		key += " unsubscribed"
	}
	h.imported.folders[key] = append(h.imported.folders[key], batch...)
	return nil
}

func TestImport(t *testing.T) {
	both(t, func(t *testing.T, h *household, c *Client) {
		if f, err := c.ImportFolder(t.Context(), "ann", "A/B & ü?", 0); err != nil || fmt.Sprint(f) != "{A/B & ü? false 1000 [] 0}" {
			t.Errorf("a folder that is not there: %v, %v", f, err)
		}
		long := bytes.Repeat([]byte("A long line\r\n0\n-\n"), 100_000)
		rand.NewChaCha8([32]byte{}).Read(long[1000:50_000])
		texts := []string{"", "short", "0\n", string(long), "last"}
		date := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
		broken := errors.New("the disk of the source is broken")
		err := c.Import(t.Context(), "ann", ImportTarget{Folder: "A/B & ü?"}, func(add func(*ImportMessage, io.Reader) error) error {
			for i, text := range texts {
				if err := add(&ImportMessage{ID: fmt.Sprint(i), Flags: []string{`\Seen`, "blue"}, Date: date}, strings.NewReader(text)); err != nil {
					return err
				}
				torn := io.MultiReader(strings.NewReader(text), errReader{broken})
				if err := add(&ImportMessage{ID: "torn"}, torn); !errors.Is(err, broken) {
					t.Errorf("a message that cannot be read: %v", err)
				}
				if err := add(&ImportMessage{ID: "skip", Flags: []string{"skip"}}, strings.NewReader(text)); err != nil { // its reader does not read it
					return err
				}
			}
			// A message that is cut short must not pass for a whole one.
			if err := add(&ImportMessage{ID: "short"}, io.MultiReader(strings.NewReader("half"), errReader{io.ErrUnexpectedEOF})); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("a message that is cut short: %v", err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		got := h.imported.folders["ann A/B & ü?"]
		if len(got) != len(texts) {
			t.Fatalf("%d messages came in", len(got))
		}
		for i, m := range got {
			if m.text != texts[i] || m.ID != fmt.Sprint(i) || !slices.Equal(m.Flags, []string{`\Seen`, "blue"}) || !m.Date.Equal(date) {
				t.Errorf("message %d came in as %+v", i, m.ImportMessage)
			}
		}
		var ids []string
		for after := uint32(0); ; {
			f, err := c.ImportFolder(t.Context(), "ann", "A/B & ü?", after)
			if err != nil || !f.Exists {
				t.Fatalf("%+v, %v", f, err)
			}
			ids = append(ids, f.IDs...)
			if after = f.Next; after == 0 {
				break
			}
		}
		if fmt.Sprint(ids) != "[0 1 2 3 4]" {
			t.Errorf("identities %q", ids)
		}
	})
}

func TestLack(t *testing.T) {
	both(t, func(t *testing.T, h *household, c *Client) {
		for more, want := range map[Usage]Lack{
			{}: {}, {1000, 10}: {}, {1200, 11}: {Bytes: 200, Messages: 1}, {mostBytes, mostMessages}: {Bytes: mostBytes - 1000, Messages: mostMessages - 10},
		} {
			if got, err := c.Lack(t.Context(), "Ann", more); err != nil || got != want {
				t.Errorf("for %+v %+v is lacking, %v, not %+v", more, got, err, want)
			}
		}
		_, err := c.Lack(t.Context(), "ann", Usage{Messages: -1})
		refused(t, err, http.StatusBadRequest, "messages", `messages="-1" is no number of messages`)
		_, err = c.Lack(t.Context(), "ann", Usage{Bytes: mostBytes + 1})
		refused(t, err, http.StatusBadRequest, "bytes", "is no number of bytes")
		_, err = c.Lack(t.Context(), "nobody", Usage{})
		refused(t, err, http.StatusNotFound, "", "nobody")
	})
}

// TestImportIDBehindOctets: what identifies a message may be made of its octets. What a new folder is to be is told.
func TestImportIDBehindOctets(t *testing.T) {
	both(t, func(t *testing.T, h *household, c *Client) {
		err := c.Import(t.Context(), "ann", ImportTarget{Folder: "Old", Unsubscribed: true}, func(add func(*ImportMessage, io.Reader) error) error {
			m := &ImportMessage{Flags: []string{"blue"}}
			return add(m, io.MultiReader(strings.NewReader("text"), readerFunc(func([]byte) (int, error) {
				m.ID = "made"
				return 0, io.EOF
			})))
		})
		if got := h.imported.folders["ann Old unsubscribed"]; err != nil || len(got) != 1 || got[0].ID != "made" || got[0].text != "text" {
			t.Errorf("%+v came in, %v", h.imported.folders, err)
		}
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// TestImportGivenUp: what goes wrong on either side ends the batch, of which nothing comes in, and is told.
func TestImportGivenUp(t *testing.T) {
	both(t, func(t *testing.T, h *household, c *Client) {
		large := strings.Repeat("x", 3<<20)
		err := c.Import(t.Context(), "ann", ImportTarget{Folder: "INBOX"}, func(add func(*ImportMessage, io.Reader) error) error {
			for _, word := range []string{"1", "refuse", "2", "3"} { // much is sent after the refusal
				if err := add(&ImportMessage{Flags: []string{word}}, strings.NewReader(large)); err != nil {
					return err
				}
			}
			return nil
		})
		refused(t, err, http.StatusInsufficientStorage, "", "the disk is full")

		lost := errors.New("the connection to the source is lost")
		err = c.Import(t.Context(), "ann", ImportTarget{Folder: "INBOX"}, func(add func(*ImportMessage, io.Reader) error) error {
			if err := add(&ImportMessage{ID: "1"}, strings.NewReader(large)); err != nil {
				return err
			}
			return lost
		})
		if !errors.Is(err, lost) {
			t.Errorf("the source breaks: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		err = c.Import(ctx, "ann", ImportTarget{Folder: "INBOX"}, func(add func(*ImportMessage, io.Reader) error) error {
			cancel()
			return errors.Join(add(&ImportMessage{ID: "1"}, strings.NewReader(large)), ctx.Err())
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("given up: %v", err)
		}
		err = c.Import(t.Context(), "nobody", ImportTarget{Folder: "INBOX"}, func(func(*ImportMessage, io.Reader) error) error { return nil })
		refused(t, err, http.StatusNotFound, "", "nobody")
		_, err = c.ImportFolder(t.Context(), "nobody", "INBOX", 0)
		refused(t, err, http.StatusNotFound, "", "nobody")
		if got := h.imported.folders; len(got) != 0 {
			t.Errorf("%v came in", got)
		}
	})
}

func TestImportFrames(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"":                                    "",
		"{}\n= a\n":                           "a:",
		"{}\n3\nabc2\nde= a\n{}\n= b\n":       "a:abcde b:",
		"{}\n3\nabc-\n":                       "withdrawn",
		"{}\n3\nabc":                          "error",
		"{}\n4\nabc":                          "error",
		"{}\n":                                "error",
		"{}\n= a":                             "error",
		"{}":                                  "error",
		"no JSON\n= a\n":                      "error",
		"{}\n-1\n":                            "error",
		"{}\n0\n= a\n":                        "error",
		"{}\n03\nabc= a\n":                    "error",
		"{}\n99999999\nabc= a\n":              "error",
		strings.Repeat(" ", maxHead+1) + "\n": "error",
	} {
		f := newFrameReader(strings.NewReader(body))
		var got []string
		for {
			m, octets, err := f.next()
			if err == io.EOF {
				break
			}
			if err != nil {
				got = append(got, "error")
				break
			}
			text, err := io.ReadAll(octets)
			if Withdrawn(err) {
				got = append(got, "withdrawn")
				continue
			}
			if err != nil {
				got = append(got, "error")
				break
			}
			got = append(got, m.ID+":"+string(text))
		}
		if fmt.Sprint(got) != "["+want+"]" {
			t.Errorf("%.40q is read as %q, want %q", body, got, want)
		}
	}
}

// FuzzImportFrames: whatever a peer sends, no reading fails in another way than with an error, and what is written is read back.
func FuzzImportFrames(f *testing.F) {
	f.Add([]byte("{}\n3\nabc2\nde= a\n"), "text", 2)
	f.Add([]byte("{}\n3\nabc-\n"), "", 0)
	f.Fuzz(func(t *testing.T, body []byte, text string, failAt int) {
		r := newFrameReader(bytes.NewReader(body))
		for {
			_, octets, err := r.next()
			if err != nil {
				break
			}
			if _, err := io.Copy(io.Discard, octets); err != nil && !Withdrawn(err) {
				if _, _, again := r.next(); again == nil || again == io.EOF {
					t.Fatalf("after %v it went on: %v", err, again)
				}
				break
			}
		}
		var b bytes.Buffer
		w := newFrameWriter(&b)
		lost := errors.New("lost")
		if failAt >= 0 && failAt < len(text) {
			if err := w.add(&ImportMessage{Flags: []string{"lost"}}, io.MultiReader(strings.NewReader(text[:failAt]), errReader{lost})); err != lost {
				t.Fatal(err)
			}
		}
		if err := w.add(&ImportMessage{ID: text}, strings.NewReader(text)); err != nil {
			return // it cannot be an ID
		}
		if err := w.flush(); err != nil {
			t.Fatal(err)
		}
		r = newFrameReader(&b)
		m, octets, err := r.next()
		if err == nil && m.Flags != nil {
			if _, err := io.ReadAll(octets); !Withdrawn(err) {
				t.Fatal(err)
			}
			m, octets, err = r.next()
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(octets); err != nil || string(got) != text || m.ID != text {
			t.Fatalf("%q was read as %q, %q, %v", text, got, m.ID, err)
		}
	})
}

// TestFrameHead: a message with more flags than a head has room for goes with fewer, and the next one goes too.
func TestFrameHead(t *testing.T) {
	t.Parallel()
	few := make([]string, 200)
	for i := range few {
		few[i] = strings.Repeat("<", 250)
	}
	many := slices.Concat(few, few, few)
	var b bytes.Buffer
	w := newFrameWriter(&b)
	for _, flags := range [][]string{few, many, nil} {
		if err := w.add(&ImportMessage{ID: "1", Flags: flags}, strings.NewReader("text")); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.flush(); err != nil {
		t.Fatal(err)
	}
	r := newFrameReader(&b)
	for i, want := range []int{200, 150, 0} {
		m, octets, err := r.next()
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(octets); err != nil || string(text) != "text" || len(m.Flags) != want {
			t.Errorf("message %d is %q with %d flags, %v", i, text, len(m.Flags), err)
		}
	}
}
