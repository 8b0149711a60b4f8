//go:build interop

package imapd

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// corpusItems are what is fetched of every message of the corpus, the three of
// BINARY last.
var corpusItems = []string{
	"RFC822.SIZE", "ENVELOPE", "BODY", "BODYSTRUCTURE", "BODY.PEEK[]", "BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]", "BODY.PEEK[]<0.100>",
	"BODY.PEEK[]<50.100000>", "BODY.PEEK[]<1000000.1>", "BODY.PEEK[1]", "BODY.PEEK[1.MIME]", "BODY.PEEK[1.2]", "BODY.PEEK[1.HEADER]",
	"BODY.PEEK[1.TEXT]", "BODY.PEEK[2]", "BODY.PEEK[2.MIME]", "BODY.PEEK[2.HEADER]", "BODY.PEEK[2.TEXT]", "BODY.PEEK[2.2]", "BODY.PEEK[3]",
	"BODY.PEEK[HEADER.FIELDS (SUBJECT FROM)]", "BODY.PEEK[HEADER.FIELDS.NOT (RECEIVED)]", "BODY.PEEK[2]<3.5>", "BINARY.PEEK[1]", "BINARY.PEEK[2]", "BINARY.SIZE[1]",
}

// TestInteropCorpusBesideDovecot fetches every message of the corpus from both
// servers: all items at once, and one by one where the answers differ.
// testdata/dovecot/corpus.differences has those that we mean: a line
// "!= reason", then a line for each, "item message" or "* message".
func TestInteropCorpusBesideDovecot(t *testing.T) {
	t.Parallel()
	meant, seen := corpusDifferences(t), make(map[string]bool)
	files, err := filepath.Glob(filepath.Join(corpus, "*"))
	if err != nil || len(files) < 80 {
		t.Fatalf("the corpus has only %d messages (%v)", len(files), err)
	}
	k := newTalk(t)
	k.say("", "s", "s SELECT INBOX\r\n")
	for i, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) == 0 {
			text = []byte("\r\n") // Dovecot takes no empty message
		}
		binary := ""
		if bytes.IndexByte(text, 0) >= 0 {
			binary = "~"
		}
		k.say("", "a", fmt.Sprintf("a APPEND INBOX (\\Seen) %s{%d+}\r\n%s\r\n", binary, len(text), text))
		items := corpusItems
		if strings.HasPrefix(filepath.Base(file), "text-base64") {
			items = items[:len(items)-3] // Dovecot ends the connection when BINARY finds no padding
		}
		if ours, theirs := k.say("", "f", fmt.Sprintf("f FETCH %d (%s)\r\n", i+1, strings.Join(items, " "))); ours == theirs {
			continue
		}
		for _, item := range items {
			ours, theirs := k.say("", "f", fmt.Sprintf("f FETCH %d %s\r\n", i+1, item))
			if ours == theirs {
				continue
			}
			one, all := item+" "+filepath.Base(file), "* "+filepath.Base(file)
			_, knownOne := meant[one]
			_, knownAll := meant[all]
			if !knownOne && !knownAll {
				t.Errorf("%s\n%s", one, compared(ours, theirs))
			}
			seen[one], seen[all] = true, true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(meant)) {
		if !seen[key] {
			t.Errorf("%s: there is no such difference", key)
		}
	}
}

// corpusDifferences reads the differences that we mean: "item message" and the
// reason.
func corpusDifferences(t *testing.T) map[string]string {
	b, err := os.ReadFile("testdata/dovecot/corpus.differences")
	if err != nil {
		t.Fatal(err)
	}
	meant := make(map[string]string)
	reason := ""
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if why, ok := strings.CutPrefix(line, "!= "); ok {
			reason = why
		} else if line != "" && !strings.HasPrefix(line, "#") {
			meant[line] = reason
		}
	}
	return meant
}
