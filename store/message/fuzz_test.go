package message

import (
	"bytes"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"letterbox/store/message/corpus"
)

func seed(f *testing.F, add func(data []byte)) {
	f.Helper()
	list, err := corpus.Read("testdata/corpus")
	if err != nil {
		f.Fatal(err)
	}
	for _, m := range list {
		add(m.Data)
	}
}

// FuzzParser: whatever comes, the structure holds together and does not
// depend on how the bytes are cut.
func FuzzParser(f *testing.F) {
	seed(f, func(data []byte) { f.Add(data, uint16(7)) })
	f.Fuzz(func(t *testing.T, data []byte, cut uint16) {
		s := parse(data)
		if err := verify(s, data); err != nil {
			t.Fatal(err)
		}
		p := NewParser()
		n := min(int(cut), len(data))
		p.Write(data[:n])
		for _, c := range data[n:min(n+64, len(data))] {
			p.Write([]byte{c})
		}
		p.Write(data[min(n+64, len(data)):])
		if again := p.Close(); !reflect.DeepEqual(s, again) {
			t.Fatalf("cut at %d: %+v\nwhole: %+v", n, again, s)
		}
		for i := range s.Parts {
			part := &s.Parts[i]
			if part.Charset != "" && !utf8.ValidString(DecodeHeaderText([]byte(part.Charset))) {
				t.Errorf("no UTF-8: %q", part.Charset)
			}
		}
	})
}

// FuzzDecode: a damaged cache is an error, or a structure that holds together.
func FuzzDecode(f *testing.F) {
	seed(f, func(data []byte) { f.Add(parse(data).AppendBinary(nil)) })
	f.Fuzz(func(t *testing.T, b []byte) {
		StoredEnvelope(b) // whatever it is
		AppendStoredBodyStructure(nil, b)
		s, err := Decode(b)
		if err != nil {
			return
		}
		for _, ext := range []bool{false, true} {
			if err := verifyAnswer(s, ext); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := EnvelopeFields(s.AppendEnvelope(nil)); err != nil {
			t.Fatal(err)
		}
		s.Section([]int{1, 1}, SectionHeader)
		if err := verifyBinary(s); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzHeader: HEADER.FIELDS and HEADER.FIELDS.NOT together are the header.
func FuzzHeader(f *testing.F) {
	seed(f, func(data []byte) { f.Add(data, "subject") })
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		var with, without bytes.Buffer
		if err := FilterHeader(&with, bytes.NewReader(data), []string{name}, false); err != nil {
			t.Fatal(err)
		}
		if err := FilterHeader(&without, bytes.NewReader(data), []string{name}, true); err != nil {
			t.Fatal(err)
		}
		header := wireForm(data)[:parse(data).Parts[0].Header.Len]
		size := len(wireForm(with.Bytes())) + len(wireForm(without.Bytes()))
		if last := header[bytes.LastIndexByte(bytes.TrimSuffix(header, []byte("\n")), '\n')+1:]; bytes.HasSuffix(last, []byte("\n")) && len(bytes.Trim(last, "\r\n")) == 0 {
			size -= len(last) // the blank line is in both
		}
		if size != len(header) {
			t.Errorf("header of %d octets, %d with and %d without", len(header), with.Len(), without.Len())
		}
		err := ScanHeader(bytes.NewReader(data), func(name string, value []byte) bool {
			if len(value) > maxScanned || name == "" {
				t.Errorf("%q: %d octets", name, len(value))
			}
			if text := DecodeHeaderText(value); !utf8.ValidString(text) {
				t.Errorf("no UTF-8: %q", text)
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzDate: a date that was read can be written and read again.
func FuzzDate(f *testing.F) {
	for _, raw := range []string{"Mon, 2 Nov 2026 09:30:00 +0100", "2026-11-02T09:30:00Z", "Mon Nov  2 09:30:00 PST 26", "2-Nov-70 1:2:3 (x"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		date, ok := Date(raw)
		if !ok || date.Year() < 1900 {
			return
		}
		again, ok := Date(date.Format(time.RFC1123Z))
		if !ok || !again.Equal(date) {
			t.Errorf("%q: %v, again %v", raw, date, again)
		}
	})
}

// FuzzText: decoding ends, and gives UTF-8.
func FuzzText(f *testing.F) {
	f.Add([]byte("SGVsbG8="), byte(EncodingBase64), "utf-8")
	f.Add([]byte("=C3=A9= \r\n"), byte(EncodingQuotedPrintable), "iso-8859-1")
	for _, charset := range []string{"iso-2022-jp", "gb18030", "utf-16", "hz-gb-2312", "utf-7", "shift_jis", "x-unknown", "big5", "euc-kr", "koi8-r"} {
		f.Add([]byte("\x1b$B\x80\xff~{<:"), byte(Encoding8Bit), charset)
	}
	f.Fuzz(func(t *testing.T, data []byte, enc byte, charset string) {
		text, err := io.ReadAll(NewTextReader(bytes.NewReader(data), Encoding(enc%6), charset))
		if err != nil {
			t.Fatal(err)
		}
		if !utf8.Valid(text) {
			t.Errorf("no UTF-8: %q", text)
		}
		DecodeHeaderText(append([]byte("=?"+charset+"?b?"), data...))
		DecodeHeaderText(append([]byte("=?"+charset+"?q?"), append(data, "?="...)...))
		appendAddresses(nil, strings.ReplaceAll(string(data), "\x00", ""), 1000)
	})
}
