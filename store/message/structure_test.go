package message

import "testing"

const nestedMessage = "Subject: outer\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n" +
	"--o\r\nX-Part: 1\r\n\r\nfirst\r\n" +
	"--o\r\nContent-Type: message/rfc822\r\nX-Part: 2\r\n\r\n" +
	"Subject: middle\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n" +
	"--i\r\nX-Part: 2.1\r\n\r\ninner one\r\n" +
	"--i\r\nContent-Type: message/rfc822\r\nX-Part: 2.2\r\n\r\nSubject: innermost\r\n\r\nbottom\r\n" +
	"--i--\r\n" +
	"--o--\r\n"

// Part numbers as RFC 9051, 6.4.5 has them in its own example.
func TestSection(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		message string
		path    []int
		what    Section
		want    string // "-": there is no such section
	}{
		{nestedMessage, nil, SectionBody, nestedMessage},
		{nestedMessage, nil, SectionHeader, "Subject: outer\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n"},
		{nestedMessage, nil, SectionMIME, "-"},
		{nestedMessage, []int{1}, SectionBody, "first"},
		{nestedMessage, []int{1}, SectionMIME, "X-Part: 1\r\n\r\n"},
		{nestedMessage, []int{1}, SectionHeader, "-"},
		{nestedMessage, []int{1}, SectionText, "-"},
		{nestedMessage, []int{1, 1}, SectionBody, "-"},
		{nestedMessage, []int{2}, SectionMIME, "Content-Type: message/rfc822\r\nX-Part: 2\r\n\r\n"},
		{nestedMessage, []int{2}, SectionHeader, "Subject: middle\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n"},
		{nestedMessage, []int{2, 1}, SectionBody, "inner one"},
		{nestedMessage, []int{2, 1}, SectionMIME, "X-Part: 2.1\r\n\r\n"},
		{nestedMessage, []int{2, 2}, SectionBody, "Subject: innermost\r\n\r\nbottom"},
		{nestedMessage, []int{2, 2}, SectionHeader, "Subject: innermost\r\n\r\n"},
		{nestedMessage, []int{2, 2}, SectionText, "bottom"},
		{nestedMessage, []int{2, 2, 1}, SectionBody, "bottom"},
		{nestedMessage, []int{2, 2, 1, 1}, SectionBody, "-"},
		{nestedMessage, []int{2, 2, 2}, SectionBody, "-"},
		{nestedMessage, []int{0}, SectionBody, "-"},
		{nestedMessage, []int{-1}, SectionBody, "-"},
		{nestedMessage, []int{3}, SectionBody, "-"},

		{"A: b\r\n\r\ntext\r\n", []int{1}, SectionBody, "text\r\n"},
		{"A: b\r\n\r\ntext\r\n", []int{1}, SectionMIME, "A: b\r\n\r\n"},
		{"A: b\r\n\r\ntext\r\n", []int{1, 1}, SectionBody, "-"},
		{"A: b\r\n\r\ntext\r\n", []int{2}, SectionBody, "-"},
		{"A: b\r\n\r\ntext\r\n", nil, SectionText, "text\r\n"},

		{"Content-Type: message/rfc822\r\n\r\nC: d\r\n\r\ntext", []int{1}, SectionBody, "C: d\r\n\r\ntext"},
		{"Content-Type: message/rfc822\r\n\r\nC: d\r\n\r\ntext", []int{1}, SectionHeader, "C: d\r\n\r\n"},
		{"Content-Type: message/rfc822\r\n\r\nC: d\r\n\r\ntext", []int{1, 1}, SectionBody, "text"},
		{"Content-Type: message/rfc822\r\n\r\nC: d\r\n\r\ntext", []int{1, 1, 1}, SectionBody, "-"},

		{"Content-Type: multipart/mixed; boundary=x\r\n\r\nno part", []int{1}, SectionBody, ""},
		{"Content-Type: multipart/mixed; boundary=x\r\n\r\nno part", []int{2}, SectionBody, "-"},
	} {
		got := "-"
		if r, ok := parse([]byte(c.message)).Section(c.path, c.what); ok {
			got = c.message[r.Offset:r.End()]
		}
		if got != c.want {
			t.Errorf("section %d of %v in %.40q: %q, want %q", c.what, c.path, c.message, got, c.want)
		}
	}
}

// Every part has exactly one part number, except the messages that are the
// body of another part.
func TestFindReachesEveryPart(t *testing.T) {
	t.Parallel()
	for _, m := range messages(t) {
		s := parse(m.Data)
		if len(s.Parts) > 200 {
			continue
		}
		reached := make(map[int]bool)
		var walk func(path []int)
		walk = func(path []int) {
			for n := 1; ; n++ {
				part, ok := s.Find(append(path, n))
				if !ok {
					return
				}
				reached[part] = true
				if p := &s.Parts[part]; p.IsMessage() {
					reached[int(p.First)] = true
				}
				if len(path) > 2*maxDepth {
					t.Fatalf("%s: no end of part numbers at %v", m.Name, path)
				}
				walk(append(path[:len(path):len(path)], n))
			}
		}
		reached[0] = true
		walk(nil)
		if len(reached) != len(s.Parts) {
			t.Errorf("%s: %d of %d parts have a number", m.Name, len(reached), len(s.Parts))
		}
	}
}
