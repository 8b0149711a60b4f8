package transfer

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// readMbox lists what an mbox holds: for each message its flags and text, and at last the error.
func readMbox(data string) (texts []string, flags []string, err error) {
	r := newMboxReader(strings.NewReader(data), int64(len(data)))
	for {
		if err := r.Next(); err != nil {
			if err == io.EOF {
				err = nil
			}
			return texts, flags, err
		}
		text, err := io.ReadAll(r)
		if err != nil {
			return texts, flags, err
		}
		f, thrownAway := r.meta.flags()
		if thrownAway {
			f = append(f, "thrown away")
		}
		texts, flags = append(texts, string(text)), append(flags, strings.Join(f, " "))
	}
}

const from = "From ann@example.org Sat Jan  3 01:05:34 1996\n"

func TestMboxReader(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3*mboxBuffer)
	for name, tt := range map[string]struct {
		data string
		want []string
	}{
		"two":                        {from + "Subject: 1\n\none\n\n" + from + "Subject: 2\n\ntwo\n\n", []string{"Subject: 1\n\none\n", "Subject: 2\n\ntwo\n"}},
		"CRLF":                       {strings.ReplaceAll(from+"Subject: 1\n\none\n\n"+from+"Subject: 2\n\ntwo\n\n", "\n", "\r\n"), []string{"Subject: 1\r\n\r\none\r\n", "Subject: 2\r\n\r\ntwo\r\n"}},
		"no line end at the end":     {from + "Subject: 1\n\none", []string{"Subject: 1\n\none"}},
		"no empty line at the end":   {from + "Subject: 1\n\none\n", []string{"Subject: 1\n\none\n"}},
		"no empty line between":      {from + "Subject: 1\n\none\n" + from + "Subject: 2\n\ntwo\n", []string{"Subject: 1\n\none\n", "Subject: 2\n\ntwo\n"}},
		"empty lines are kept":       {from + "Subject: 1\n\n\n\none\n\n\n\n" + from + "Subject: 2\n\n\n", []string{"Subject: 1\n\n\n\none\n\n\n", "Subject: 2\n\n"}},
		"header only":                {from + "Subject: 1\n\n\n" + from + "Subject: 2\n\n" + from + "Subject: 3", []string{"Subject: 1\n\n", "Subject: 2\n", "Subject: 3"}},
		"nothing":                    {from, []string{""}},
		"nothing twice":              {from + from, []string{"", ""}},
		"empty file":                 {"", nil},
		"only empty lines":           {"\n\r\n\n", nil},
		"empty lines and BOM before": {"\ufeff\n\n" + from + "\nx\n", []string{"\nx\n"}},
		"quotes":                     {from + "\n>From here\n>>From there\n>From\n>> From\n From x\n> From\n", []string{"\nFrom here\n>From there\n>From\n>> From\n From x\n> From\n"}},
		"quote in the header":        {from + ">From x Sat Jan  3 01:05:34 1996\nSubject: 1\n\nx\n", []string{"From x Sat Jan  3 01:05:34 1996\nSubject: 1\n\nx\n"}},
		"From without date":          {from + "\nFrom here it is far\n\nFrom there\n", []string{"\nFrom here it is far\n\nFrom there\n"}},
		"long lines":                 {from + "Subject: " + long + "\n\n" + long + "\n" + long + "\n\n" + from + "\nx\n", []string{"Subject: " + long + "\n\n" + long + "\n" + long + "\n", "\nx\n"}},
		"NUL":                        {from + "\n\x00\n\x00\x00", []string{"\n\x00\n\x00\x00"}},
		"Content-Length":             {from + "Content-Length: 52\n\nx\n\n" + from + "\nx\n\n" + from + "Content-Length: 2\n\ny\n", []string{"Content-Length: 52\n\nx\n\n" + from + "\nx\n", "Content-Length: 2\n\ny\n"}},
		"a sender's Content-Length":  {from + "\nw\n\n" + from + "Content-Length: 52\n\nx\n\n" + from + "\nx\n\n" + from + "Content-Length: 2\n\ny\n", []string{"\nw\n", "Content-Length: 52\n\nx\n", "\nx\n", "Content-Length: 2\n\ny\n"}},
		"that of the first sender":   {from + "Content-Length: 52\n\nx\n\n" + from + "\nx\n\n" + from + "\ny\n", []string{"Content-Length: 52\n\nx\n", "\nx\n", "\ny\n"}},
		"lengths, and a wrong one":   {from + "Content-Length: 2\n\nw\n\n" + from + "Content-Length: 3\n\nwwwww\n\n" + from + "Content-Length: 52\n\nx\n\n" + from + "\nx\n\n" + from + "Content-Length: 2\n\ny\n", []string{"Content-Length: 2\n\nw\n", "Content-Length: 3\n\nwwwww\n", "Content-Length: 52\n\nx\n", "\nx\n", "Content-Length: 2\n\ny\n"}},
		"Content-Length to the end":  {from + "Content-Length: 52\n\nx\n\n" + from + "\nx\n", []string{"Content-Length: 52\n\nx\n\n" + from + "\nx\n"}},
		"wrong Content-Length":       {from + "Content-Length: 50\n\nx\n\n" + from + "\nx\n\n" + from + "\ny\n", []string{"Content-Length: 50\n\nx\n", "\nx\n", "\ny\n"}},
		"huge Content-Length":        {from + "Content-Length: 9223372036854775807\n\nx\n\n" + from + "\nx\n", []string{"Content-Length: 9223372036854775807\n\nx\n", "\nx\n"}},
		"metadata":                   {from + "Status: RO\nX-Status: AF\nX-Keywords: a b\n c\nSubject: 1\nX-UID: 7\n more\nX-IMAPbase: 1 2\n\nStatus: R\n", []string{"Subject: 1\n\nStatus: R\n"}},
		"metadata in lower case":     {from + "status:R\nx-mozilla-keys:   \n\tx  \nSubject: 1\n\n", []string{"Subject: 1\n"}},
		"long metadata":              {from + "X-Keywords: " + long + "\n" + " " + long + "\nSubject: 1\n\nx\n", []string{"Subject: 1\n\nx\n"}},
		"without sender and date":    {"From \r\nSubject: 1\r\n\r\none\r\n\r\nFrom \r\nX-Mozilla-Status: 0001\r\nSubject: 2\r\n\r\ntwo\r\n>From \r\nTo: x\r\n", []string{"Subject: 1\r\n\r\none\r\n", "Subject: 2\r\n\r\ntwo\r\nFrom \r\nTo: x\r\n"}},
		"a dash alone":               {"From -\nSubject: 1\n\none\nFrom -\nSubject: 2\n\ntwo\n", []string{"Subject: 1\n\none\n", "Subject: 2\n\ntwo\n"}},
		"with date and without":      {from + "Subject: 1\n\none\n\nFrom \nSubject: 2\n\ntwo\n\n" + from + "Subject: 3\n\n", []string{"Subject: 1\n\none\n", "Subject: 2\n\ntwo\n", "Subject: 3\n"}},
		"From before text":           {from + "\nFrom \nhere to there: far\n\nFrom \n\nFrom -\n" + long + ": x\nFrom ", []string{"\nFrom \nhere to there: far\n\nFrom \n\nFrom -\n" + long + ": x\nFrom "}},
		"BOM before From alone":      {"\ufeffFrom \r\nSubject: 1\r\n\r\n", []string{"Subject: 1\r\n"}},
		"cut off":                    {from + "Subject: 1\n\nx\n\nFrom ann@example.org Sat Ja", []string{"Subject: 1\n\nx\n\nFrom ann@example.org Sat Ja"}},
	} {
		got, _, err := readMbox(tt.data)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %.300q, %v\nwant %.300q", name, got, err, tt.want)
		}
	}
	for _, data := range []string{"x", "From ", "From \nhere it is\n", "From here", "Subject: x\n\n", "\n\n>From x", "From me at noon\n", "\x00\x01", strings.Repeat("x", 100_000)} {
		if got, _, err := readMbox(data); err != errNoMbox {
			t.Errorf("%.20q is read as %q, %v", data, got, err)
		}
	}
}

func TestMboxFlags(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"":                                        "",
		"Status: O\n":                             "",
		"Status: RO\n":                            `\Seen`,
		"Status: R\nX-Status: AFDT\n":             `\Seen \Answered \Flagged \Draft`,
		"X-Keywords:   blue $Label1    \n":        "blue $Label1",
		"X-Mozilla-Status: 0001\n":                `\Seen`,
		"X-Mozilla-Status: 1007\n":                `\Seen \Answered \Flagged $Forwarded`,
		"X-Mozilla-Status: 0009\n":                `\Seen thrown away`,
		"X-Mozilla-Status: nonsense\n":            "",
		"X-Mozilla-Keys: $label1 work\n\t junk\n": "$label1 work junk",
		"Received: x\nX-Mozilla-Status: 0009\nX-Mozilla-Keys: x\n":                                                                                 "",
		"X-Account-Key: a\nX-UIDL: 1\n 2\nX-Mozilla-Status: 0001\nX-Mozilla-Status2: 00000000\nX-Mozilla-Keys: x\nTo: a\nX-Mozilla-Status: 0008\n": `\Seen x`,
		"Status: D\nX-Status: D\n": "",
		"Status: O\nStatus: R\n":   `\Seen`,
	} {
		_, got, err := readMbox(from + header + "Subject: x\n\nX-Status: D\n")
		if err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%q gives the flags %q, %v; want %q", header, got, err, want)
		}
	}
}

func TestFromLine(t *testing.T) {
	t.Parallel()
	utc := time.Date(1996, 1, 3, 1, 5, 34, 0, time.UTC)
	for line, want := range map[string]time.Time{
		"From ann@example.org Wed Jan  3 01:05:34 1996":                         utc,
		"From ann@example.org  Wed Jan 03 01:05:34 1996\r":                      utc,
		"From - Wed Jan 03 01:05:34 1996":                                       utc,
		"From ???@??? Wed Jan 03 01:05:34 1996":                                 utc,
		"From MAILER-DAEMON Wed Jan  3 01:05 1996":                              utc.Truncate(time.Minute),
		"From 1465353634872734593@xxx Wed Jan 03 01:05:34 +0000 1996":           utc,
		"From ann@example.org Wed Jan  3 01:05:34 1996 +0100":                   utc.Add(-time.Hour),
		"From ann@example.org Wed Jan  3 01:05:34 PST 1996":                     utc.Add(8 * time.Hour),
		"From ann@example.org Wed Jan  3 01:05:34 1996 remote from example.org": utc,
		"From \"Ann of the Sun\"@example.org Wed Jan  3 01:05:34 1996":          utc,
		"From  Wed Jan  3 01:05:34 1996":                                        utc,
		"From ann@example.org Wed, 3 Jan 1996 01:05:34 +0000":                   utc,
		"From ann@example.org Wed, 3 Jan 1996 01:05:34 +0100 (CET)":             utc.Add(-time.Hour),
	} {
		got, ok := parseFromLine([]byte(line + "\n"))
		if !ok || !got.Equal(want) {
			t.Errorf("%q is read as %v, %v", line, got, ok)
		}
	}
	for _, line := range []string{
		"From", "From ", "From here to there", "From ann@example.org", "from - Wed Jan 03 01:05:34 1996", ">From - Wed Jan 03 01:05:34 1996",
		"From Mon to Fri at 10:00 in 1996 or so", "From the Sun one morning at 8:00 in the year 1996", "From ann Wed Jan  3 1996", "From ann Wed Jan  3 01:05:34",
		"From ann Wed Foo  3 01:05:34 1996", "From ann Wed Feb 31 01:05:34 1996", "From x" + strings.Repeat("x", 1000) + " Wed Jan  3 01:05:34 1996",
	} {
		if got, ok := parseFromLine([]byte(line + "\n")); ok {
			t.Errorf("%q begins a message of %v", line, got)
		}
	}
}

// FuzzMbox: whatever a file holds, no octet of a message gets lost between messages, memory is bounded, and a message is the same when it
// is read by its place.
func FuzzMbox(f *testing.F) {
	f.Add([]byte(from+"Subject: 1\n\none\n\n"+from+"Subject: 2\n\n>From two\n"), uint8(1))
	f.Add([]byte(from+"Content-Length: 52\nStatus: RO\n\nx\n\n"+from+"\nx\n\n"+from+"Content-Length: 2\n\ny\n"), uint8(7))
	f.Add([]byte(from+"\r\n\r\n\n\nFrom x"), uint8(3))
	f.Add([]byte("From \r\nTo: x\r\n\r\nx\r\nFrom -\nTo: y\n\nFrom \n"), uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, step uint8) {
		r := newMboxReader(bytes.NewReader(data), int64(len(data)))
		var end int64
		for n := 0; ; n++ {
			err := r.Next()
			if err == io.EOF || err == errNoMbox {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(slowly{r, int(step)})
			if err != nil {
				t.Fatal(err)
			}
			at, length := r.Span()
			if at != end && n > 0 || length < int64(len("From ")) || at+length > int64(len(data)) {
				t.Fatalf("message %d lies at %d, %d octets, behind %d", n, at, length, end)
			}
			end = at + length
			if int64(len(text)) > length {
				t.Fatalf("message %d grew from %d to %d octets", n, length, len(text))
			}
			again := newMboxReader(io.NewSectionReader(bytes.NewReader(data), at, length), length)
			if err := again.Next(); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(again); err != nil || !bytes.Equal(got, text) {
				t.Fatalf("message %d is %q, and read again %q, %v", n, text, got, err)
			}
			if fmt.Sprint(again.meta.flags()) != fmt.Sprint(r.meta.flags()) {
				t.Fatalf("message %d has other flags when it is read again", n)
			}
		}
	})
}

// slowly reads few octets at a time.
type slowly struct {
	r io.Reader
	n int
}

func (s slowly) Read(b []byte) (int, error) { return s.r.Read(b[:min(len(b), s.n+1)]) }
