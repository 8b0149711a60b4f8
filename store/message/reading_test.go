package message

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"letterbox/store/message/corpus"
)

func TestDecodeTransfer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		enc      Encoding
		in, want string
	}{
		{EncodingBase64, "SGVsbG8=", "Hello"},
		{EncodingBase64, "SGVs\r\nbG8=\r\n", "Hello"},
		{EncodingBase64, "S G!V*s-b_G8", "Hello"},
		{EncodingBase64, "SGk=SGk=", "HiHi"},
		{EncodingBase64, "SGVsbG", "Hell"},
		{EncodingBase64, "SGVsb", "Hel"},
		{EncodingBase64, "====", ""},
		{EncodingBase64, "", ""},
		{EncodingQuotedPrintable, "caf=C3=A9 =3d=3D\r\n", "caf\xc3\xa9 ==\r\n"},
		{EncodingQuotedPrintable, "soft=\r\nbreak=\nagain= \t\r\nend=", "softbreakagainend"},
		{EncodingQuotedPrintable, "trailing \t\r\nkept=20\r\n", "trailing\r\nkept \r\n"},
		{EncodingQuotedPrintable, "=ZZ =4 =", "=ZZ =4 "},
		{EncodingQuotedPrintable, strings.Repeat(" ", 600) + "x", strings.Repeat(" ", 600) + "x"},
		{EncodingQuotedPrintable, "=" + strings.Repeat(" ", 600) + "x", "=" + strings.Repeat(" ", 600) + "x"},
		{Encoding8Bit, "\xe9\x00=20", "\xe9\x00=20"},
	} {
		for _, r := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in)), iotest.DataErrReader(strings.NewReader(c.in))} {
			if got, err := io.ReadAll(DecodeTransfer(r, c.enc)); err != nil || string(got) != c.want {
				t.Errorf("%v %.40q: %.60q, %v, want %.60q", c.enc, c.in, got, err, c.want)
			}
		}
		if err := iotest.TestReader(DecodeTransfer(strings.NewReader(c.in), c.enc), []byte(c.want)); err != nil {
			t.Errorf("%v %.40q: %v", c.enc, c.in, err)
		}
	}
	long := bytes.Repeat([]byte("0123456789abcde"), 10_000)
	if err := iotest.TestReader(DecodeTransfer(strings.NewReader(base64.StdEncoding.EncodeToString(long)), EncodingBase64), long); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(DecodeTransfer(strings.NewReader("x"), EncodingOther)); !errors.Is(err, ErrUnknownEncoding) {
		t.Error(err)
	}
}

func TestDecodeHeaderText(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"":                                   "",
		"plain text":                         "plain text",
		"folded\r\n text":                    "folded text",
		"=?utf-8?Q?Gr=C3=BC=C3=9Fe?=":        "Grüße",
		"=?UTF-8?b?R3LDvMOfZQ==?=":           "Grüße",
		"=?utf-8?B?R3LDvMOfZQ?=":             "Grüße",
		"=?iso-8859-1?Q?a_b?= =?utf-8?Q?c?=": "a bc",
		"=?utf-8?Q?a?= \t =?utf-8?Q?b?= c":   "ab c",
		"=?utf-8?Q?a?= x =?utf-8?Q?b?=":      "a x b",
		"=?utf-8?B?w?= =?utf-8?Q?=C3?= =?utf-8?Q?=A9?=": "é",
		"=?US-ASCII*EN?Q?Keith?=":                       "Keith",
		`"=?utf-8?Q?in_quotes?="`:                       `"in quotes"`,
		"a=?utf-8?Q?stuck?=b":                           "astuckb",
		"=?utf-8?Q?with spaces in it?=":                 "with spaces in it",
		"=?utf-8?Q??=":                                  "",
		"=?utf-8?X?abc?=":                               "=?utf-8?X?abc?=",
		"=?utf-8?Q?no end":                              "=?utf-8?Q?no end",
		"=?":                                            "=?",
		"=?=?=?=?utf-8?Q?x?=":                           "=?=?=?x",
		"a =? b =?utf-8?Q?x?= c":                        "a =? b x c",
		"=?nonsense-99?Q?=E4?=":                         "ä",
		"raw \xe4\xf6 latin":                            "raw äö latin",
		"raw \xc3\xa4 utf-8":                            "raw ä utf-8",
		"=?koi8-r?B?8NLJ18XU?=":                         "Привет",
		"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=":            "日本",
		"=?gb2312?B?1tC5+g==?=":                         "中国",
		"=?windows-1252?Q?=80?=":                        "€",
		"=?utf-8?Q?=FF=C3=A9?=":                         "ÿé",
		"=?utf-8?Q?=4?= =?utf-8?Q?=ZZ?=":                "=4=ZZ",
	} {
		if got := DecodeHeaderText([]byte(raw)); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}

// The text parts of the corpus, as SEARCH reads them.
func TestTextReader(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"header-8bit-sjis":      "本文です。表示",
		"header-8bit-gb":        "中文正文",
		"header-8bit-big5":      "繁體中文許功蓋",
		"header-iso2022jp":      "これは JIS です。",
		"text-koi8-r":           "Привет, мир",
		"text-windows-1250":     "Příliš žluťoučký kůň",
		"text-windows-1251":     "Привет, мир",
		"text-windows-1252":     "“smart” quotes – 5 €",
		"text-iso-8859-15":      "5 € für Œuvre",
		"text-euc-jp":           "日本語",
		"text-cp437":            "│ box ─ drawing ┘",
		"text-lying-ascii":      "Größe in UTF-8",
		"text-lying-utf8":       "Größe in Latin-1",
		"text-utf-16-base64":    "wide text, encoded: öäü",
		"text-base64-rubbish":   "Hello, world.",
		"text-qp":               "café soft break = equals, trailing space \r\ntrailing blanks",
		"text-qp-broken":        "=ZZ =4 é == x = y",
		"type-unknown-charset":  "café",
		"type-empty-charset":    "body",
		"type-encoding-garbage": "body",
	}
	list, err := corpus.Read("testdata/corpus")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		wire := wireForm(m.Data)
		s := parse(m.Data)
		var got strings.Builder
		for i := range s.Parts {
			p := &s.Parts[i]
			if p.Type != "TEXT" {
				continue
			}
			body := bytes.NewReader(wire[p.Body.Offset:p.Body.End()])
			text, err := io.ReadAll(NewTextReader(body, p.Encoding, p.Charset))
			if err != nil {
				t.Errorf("%s, part %d: %v", m.Name, i, err)
			}
			got.Write(text)
		}
		if w, ok := want[m.Name]; ok && !strings.HasPrefix(got.String(), w) {
			t.Errorf("%s: %q, want %q", m.Name, got.String(), w)
		}
		delete(want, m.Name)
	}
	for name := range want {
		t.Errorf("the corpus has no %s", name)
	}
}

func TestEnvelopeFields(t *testing.T) {
	t.Parallel()
	s := parse([]byte("From: G: \"A \\\"q\\\"\" <a@x>, root;\r\nSubject: \xe4\r\nTo: <@r:b@y>\r\nMessage-ID: <1@x>\r\nIn-Reply-To:\r\n\r\n"))
	e, err := EnvelopeFields(s.AppendEnvelope(nil))
	if err != nil {
		t.Fatal(err)
	}
	if e.Subject != "\xe4" || e.MessageID != "<1@x>" || e.HasDate || !e.HasInReplyTo || e.InReplyTo != "" {
		t.Errorf("%+v", e)
	}
	from := []Address{{Mailbox: "G", Group: true}, {Name: `A "q"`, Mailbox: "a", Host: "x"}, {Mailbox: "root"}, {Group: true}}
	for _, list := range [][]Address{e.From, e.Sender, e.ReplyTo} {
		if len(list) != len(from) {
			t.Fatalf("%+v", list)
		}
		for i := range from {
			if list[i] != from[i] {
				t.Errorf("%+v, want %+v", list[i], from[i])
			}
		}
	}
	if len(e.To) != 1 || e.To[0] != (Address{Route: "@r", Mailbox: "b", Host: "y"}) || e.Cc != nil {
		t.Errorf("%+v %+v", e.To, e.Cc)
	}
	for _, bad := range []string{"", "(", "NIL", "()", nilEnvelope + " ", strings.Replace(nilEnvelope, "NIL", "NI", 1), strings.Replace(nilEnvelope, "NIL", "{9}\r\nx", 1), strings.Replace(nilEnvelope, "NIL", `"x`, 1)} {
		if _, err := EnvelopeFields([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestReferences(t *testing.T) {
	t.Parallel()
	s := parse([]byte("References: <a@x>\r\n\t<b@x>\r\nReferences: <c@x>\r\nContent-Type: message/rfc822\r\n\r\nReferences: <d@x>\r\n\r\n"))
	if s.References != "<a@x> <b@x>" {
		t.Errorf("%q", s.References)
	}
}

// A cache with one octet wrong is refused, or still holds together.
func TestDecodeDamaged(t *testing.T) {
	t.Parallel()
	whole := parse([]byte(nestedMessage)).AppendBinary(nil)
	for i := range whole {
		if _, err := Decode(whole[:i]); err == nil {
			t.Errorf("the first %d octets are no error", i)
		}
		for _, c := range []byte{0, 1, 0x7f, 0x80, 0xff, whole[i] ^ 1} {
			damaged := bytes.Clone(whole)
			damaged[i] = c
			if s, err := Decode(damaged); err == nil {
				if err := verifyAnswer(s, true); err != nil {
					t.Errorf("octet %d as %#x: %v", i, c, err)
				}
			}
		}
	}
	if _, err := Decode(append(whole, 0)); err == nil {
		t.Error("an octet too many is no error")
	}
}
