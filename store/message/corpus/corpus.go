// Package corpus hands the messages that tests share to them: mail as bad as
// real mail gets. Only tests use it.
package corpus

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Message is one message as a file or a sender holds it: line ends may be
// bare, octets may be anything.
type Message struct {
	Name string
	Data []byte
}

// Read returns the messages of a directory, NAME.eml each, in order of their
// names. The directory is store/message/testdata/corpus, named from where the
// test runs.
func Read(dir string) ([]Message, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.eml"))
	if err != nil {
		return nil, fmt.Errorf("listing the corpus: %w", err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s holds no message", dir)
	}
	var list []Message
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading the corpus: %w", err)
		}
		list = append(list, Message{strings.TrimSuffix(filepath.Base(file), ".eml"), data})
	}
	return list, nil
}

// Huge returns the messages that are made from a rule since they are too big
// to be kept: up to 5 MB each.
func Huge() []Message {
	const head = "From: ann@example.org\r\nTo: ben@example.org\r\nSubject: huge\r\n"
	return []Message{
		{"huge-header-line", repeat("Subject: ", "long ", 200_000, "\r\nFrom: ann@example.org\r\n\r\nbody\r\n")},
		{"huge-header-address", repeat("From: ann@example.org\r\nTo: ", "ben@example.org, ", 60_000, "\r\n\r\nbody\r\n")},
		{"huge-header-folds", repeat(head+"X-Folded: a", "\r\n b", 200_000, "\r\n\r\nbody\r\n")},
		{"huge-header-fields", repeat(head, "X-Field: value\r\n", 60_000, "\r\nbody\r\n")},
		{"huge-header-name", repeat("", "X-Name-", 150_000, ": value\r\n"+head+"\r\nbody\r\n")},
		{"huge-header-blank-folds", repeat(head+"Cc: ", "\r\n ", 300_000, "\r\n\r\nbody\r\n")},
		{"huge-body-line", repeat(head+"\r\n", "0123456789", 500_000, "")},
		{"huge-body-newlines", repeat(head+"\r\n", "\n", 500_000, "")},
		{"huge-body-dashes", repeat(head+"Content-Type: multipart/mixed; boundary=-\r\n\r\n", "--\r\n", 300_000, "")},
		{"huge-nul", repeat(head+"\r\n", "\x00", 1_000_000, "")},
		{"deep-rfc822", repeat(head, "Content-Type: message/rfc822\r\n\r\n", 10_000, "Subject: bottom\r\n\r\nbottom\r\n")},
		{"deep-multipart", nested(10_000)},
		{"deep-digest", repeat(head, "Content-Type: multipart/digest; boundary=x\r\n\r\n--x\r\n\r\n", 5_000, "bottom")},
		{"many-parts", repeat(head+"Content-Type: multipart/mixed; boundary=x\r\n\r\n", "--x\r\n\r\npart\r\n", 20_000, "--x--\r\n")},
		{"many-rfc822", repeat(head+"Content-Type: multipart/mixed; boundary=x\r\n\r\n",
			"--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: "+strings.Repeat("s", 400)+"\r\n\r\npart\r\n", 8_000, "--x--\r\n")},
		{"many-long-params", repeat(head+"Content-Type: multipart/mixed; boundary=x\r\n\r\n",
			"--x\r\nContent-Type: text/plain; name=\""+strings.Repeat("n", 2000)+"\"\r\n\r\npart\r\n", 1_000, "--x--\r\n")},
	}
}

func repeat(before, what string, n int, after string) []byte {
	return []byte(before + strings.Repeat(what, n) + after)
}

// nested makes multiparts in each other whose boundaries look alike.
func nested(depth int) []byte {
	var b bytes.Buffer
	for i := range depth {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=\"b%d\"\r\n\r\n--b%d\r\n", i, i)
	}
	b.WriteString("\r\nbottom\r\n")
	for i := depth - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "--b%d--\r\n", i)
	}
	return b.Bytes()
}
