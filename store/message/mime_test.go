package message

import (
	"strings"
	"testing"
)

func TestContentType(t *testing.T) {
	t.Parallel()
	const usASCII = ` ("charset" "us-ascii")`
	for field, want := range map[string]string{
		"text/html; charset=utf-8":                  `"text" "html" ("charset" "utf-8")`,
		"TEXT/Html":                                 `"TEXT" "Html"` + usASCII,
		" text / html ; charset = utf-8 ":           `"text" "html" ("charset" "utf-8")`,
		"text/plain; charset=us-ascii (Plain text)": `"text" "plain" ("charset" "us-ascii")`,
		"":                                             `"text" "plain"` + usASCII,
		"text":                                         `"text" "plain"` + usASCII,
		"text/":                                        `"text" "plain"` + usASCII,
		"???":                                          `"text" "plain"` + usASCII,
		"image; name=x":                                `"application" "octet-stream" ("name" "x")`,
		"message":                                      `"application" "octet-stream" NIL`,
		"application/pdf; name=my plan.pdf; x=1":       `"application" "pdf" ("name" "my plan.pdf" "x" "1")`,
		`application/pdf; name="a;b\"c"`:               `"application" "pdf" ("name" "a;b\"c")`,
		"application/x; a; =b; c=d;; e = f ;":          `"application" "x" ("c" "d" "e" "f")`,
		`application/x; a="unclosed; b=c`:              `"application" "x" ("a" "unclosed; b=c")`,
		"application/x; n*0=a; n*1=b; n*2=c":           `"application" "x" ("n" "abc")`,
		"application/x; n*1*=%20b; x=y; n*0=1%":        `"application" "x" ("x" "y" "n*" "1%25%20b")`,
		"application/x; n*0=a; n*2=c":                  `"application" "x" ("n" "a" "n*2" "c")`,
		"application/x; n*1=a; n*2=c":                  `"application" "x" ("n*1" "a" "n*2" "c")`,
		"application/x; n*=utf-8''%C3%A9":              `"application" "x" ("n*" "utf-8''%C3%A9")`,
		"application/" + strings.Repeat("x", 200):      `"application" "` + strings.Repeat("x", maxToken) + `" NIL`,
		"text/plain; charset=utf-8 format=flowed":      `"text" "plain" ("charset" "utf-8")`,
		"application/octet-stream; name=\xe9t\xe9.txt": "\"application\" \"octet-stream\" (\"name\" {7}\r\n\xe9t\xe9.txt)",
	} {
		s := parse([]byte("Content-Type: " + field + "\r\n\r\n"))
		got, _, _ := strings.Cut(s.Parts[0].fields, ` NIL NIL "7bit"`)
		if got != want {
			t.Errorf("%s:\n%s\nwant\n%s", field, got, want)
		}
	}
}

func TestBoundary(t *testing.T) {
	t.Parallel()
	for field, want := range map[string]string{
		`multipart/mixed; boundary=abc`:                       "abc",
		`multipart/mixed; boundary="a b "`:                    "a b",
		`multipart/mixed; boundary==_Part(1)?`:                "=_Part(1)?",
		`multipart/mixed; boundary*0=a; boundary*1=b`:         "ab",
		`multipart/mixed; boundary=""; boundary=second`:       "second",
		`multipart/mixed; boundary`:                           "",
		`text/plain; boundary=abc`:                            "",
		`multipart; boundary=abc`:                             "abc",
		`multipart/mixed; Boundary="abc" ; charset="us-ascii`: "abc",
	} {
		h := header{}
		h.seen[fieldType], h.texts[fieldType] = true, field
		if got := h.mime().boundary; got != want {
			t.Errorf("%s: %q, want %q", field, got, want)
		}
	}
}

func TestTransferEncodingField(t *testing.T) {
	t.Parallel()
	for field, want := range map[string]struct {
		text string
		enc  Encoding
	}{
		"base64":                {`"base64"`, EncodingBase64},
		"BASE64 ":               {`"BASE64"`, EncodingBase64},
		"(why) base64; x":       {`"base64"`, EncodingBase64},
		`"quoted-printable"`:    {`"quoted-printable"`, EncodingQuotedPrintable},
		"8-bit":                 {`"8bit"`, Encoding8Bit},
		"":                      {`"7bit"`, Encoding7Bit},
		"x-uuencode":            {`"x-uuencode"`, EncodingOther},
		"binary":                {`"binary"`, EncodingBinary},
		"\xfcber":               {"{4}\r\n\xfcber", EncodingOther},
		strings.Repeat("y", 99): {`"` + strings.Repeat("y", maxToken) + `"`, EncodingOther},
	} {
		p := &parse([]byte("Content-Transfer-Encoding: " + field + "\r\n\r\n")).Parts[0]
		if !strings.HasSuffix(p.fields, " "+want.text) || p.Encoding != want.enc {
			t.Errorf("%s: %s, %v", field, p.fields, p.Encoding)
		}
	}
}

func TestDisposition(t *testing.T) {
	t.Parallel()
	for field, want := range map[string]string{
		"attachment":                     `("attachment" NIL)`,
		"inline; filename=x":             `("inline" ("filename" "x"))`,
		"":                               "NIL",
		"; filename=x":                   `("attachment" ("filename" "x"))`,
		"filename=x":                     `("filename" NIL)`,
		`attachment; filename="a b.txt"`: `("attachment" ("filename" "a b.txt"))`,
	} {
		if got := string(appendDisposition(nil, field)); got != want {
			t.Errorf("%s: %s, want %s", field, got, want)
		}
	}
	if got := string(appendLanguage(nil, "en, de (Swiss),, x-klingon ")); got != `("en" "de" "x-klingon")` {
		t.Error(got)
	}
}
