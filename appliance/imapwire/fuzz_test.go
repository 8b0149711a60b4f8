package imapwire

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// erased is a Parse function whose result may be of any type.
type erased func(*Decoder) (any, error)

func erase[T any](parse func(*Decoder) (T, error)) erased {
	return func(d *Decoder) (any, error) { return parse(d) }
}

// parsers are all commands by name; those that share a Parse function stand once.
func parsers() map[string]erased {
	return map[string]erased{
		"APPEND": erase(parseAppendUTC), "AUTHENTICATE": erase(ParseAuthenticate), "COPY": erase(ParseCopy), "CREATE": erase(ParseCreate),
		"DELETE": erase(ParseDelete), "ENABLE": erase(ParseEnable), "FETCH": erase(ParseFetch), "ID": erase(ParseID), "LIST": erase(ParseList),
		"LOGIN": erase(ParseLogin), "LSUB": erase(ParseLsub), "MOVE": erase(ParseMove), "NOOP": erase(parseNone), "RENAME": erase(ParseRename),
		"SEARCH": erase(ParseSearch), "SELECT": erase(ParseSelect), "STATUS": erase(ParseStatus), "STORE": erase(ParseStore),
		"SUBSCRIBE": erase(ParseSubscribe), "UID EXPUNGE": erase(ParseUIDExpunge), "SET": erase(parseSet),
	}
}

// FuzzCommand gives what a client may send to the Collector, ParseTag and the Parse function of the command.
func FuzzCommand(f *testing.F) {
	seeds(f, "APPEND", appendTable)
	seeds(f, "AUTHENTICATE", authenticateTable)
	seeds(f, "COPY", copyTable)
	seeds(f, "CREATE", createTable)
	seeds(f, "DELETE", deleteTable)
	seeds(f, "ENABLE", enableTable)
	seeds(f, "FETCH", fetchTable)
	seeds(f, "ID", idTable)
	seeds(f, "LIST", listTable)
	seeds(f, "LOGIN", loginTable)
	seeds(f, "LSUB", lsubTable)
	seeds(f, "NOOP", noneTable)
	seeds(f, "RENAME", renameTable)
	seeds(f, "SEARCH", searchTable)
	seeds(f, "SELECT", selectTable)
	seeds(f, "STATUS", statusTable)
	seeds(f, "STORE", storeTable)
	seeds(f, "SUBSCRIBE", subscribeTable)
	seeds(f, "UID EXPUNGE", expungeTable)
	all := parsers()
	f.Fuzz(func(t *testing.T, in []byte, utf8 bool) {
		before := bytes.Clone(in)
		checkCollector(t, in)
		tag, name, rest, err := ParseTag(in)
		if err != nil {
			checkError(t, err, tag)
			return
		}
		parse, ok := all[name]
		if !ok {
			return
		}
		o := DecoderOptions{Tag: tag, UTF8: utf8}
		checkResult(t, parse, rest, o)
		if !bytes.Equal(in, before) {
			t.Fatal("the input was written to")
		}
	})
}

// checkError looks whether err is one of the two kinds, and printable.
func checkError(t *testing.T, err error, tag string) {
	t.Helper()
	var syntax *SyntaxError
	var charset *BadCharsetError
	switch {
	case errors.As(err, &charset):
		if charset.Tag != tag {
			t.Fatalf("the tag is %q in the error, %q in the command", charset.Tag, tag)
		}
	case errors.As(err, &syntax):
		if syntax.Tag != tag {
			t.Fatalf("the tag is %q in the error, %q in the command", syntax.Tag, tag)
		}
	default:
		t.Fatalf("error %v is a %T", err, err)
	}
	if text := err.Error(); len(text) > 1000 || strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
		t.Fatalf("error text %q", text)
	}
}

// checkResult looks whether the result is the same with a line end more, and holds no reference to the input.
func checkResult(t *testing.T, parse erased, args []byte, o DecoderOptions) {
	t.Helper()
	got, err := parse(NewDecoder(args, o))
	if err != nil {
		checkError(t, err, o.Tag)
		return
	}
	copied := bytes.Clone(args)
	again, err := parse(NewDecoder(copied, o))
	if err != nil {
		t.Fatalf("%q is good once and then %v", args, err)
	}
	for i := range copied {
		copied[i] = 'x'
	}
	if !reflect.DeepEqual(got, again) {
		t.Fatalf("%q changes to %v when the input is reused, from %v", args, again, got)
	}
	if a, ok := got.(FetchArgs); ok {
		checkFetchNames(t, a)
	}
}

// checkFetchNames looks whether a client that asks for what it was answered asks for the same.
func checkFetchNames(t *testing.T, a FetchArgs) {
	t.Helper()
	for _, i := range a.Items {
		i.Partial, i.Peek = Partial{}, false
		name := i.AppendName([]byte(" 1 "))
		again, err := ParseFetch(NewDecoder(name, DecoderOptions{}))
		if err != nil || !reflect.DeepEqual(again.Items[0], i) {
			t.Fatalf("%+v is answered %q, which is %+v, %v", i, name, again.Items, err)
		}
	}
}

// checkCollector looks whether a Collector, given the input line by line, keeps all of it or says that it does not.
func checkCollector(t *testing.T, in []byte) {
	t.Helper()
	const limit = 300
	var c Collector
	c.Reset(limit)
	rest := in
	for {
		n := bytes.IndexByte(rest, '\n') + 1
		if n == 0 {
			return
		}
		l, more, err := c.AddLine(rest[:n])
		rest = rest[n:]
		c.MessageNext()
		if err != nil {
			if len(in)-len(rest) <= limit {
				t.Fatalf("refused after %d octets", len(in)-len(rest))
			}
			return
		}
		taken := in[:len(in)-len(rest)]
		if end, ok := bytes.CutPrefix(taken, c.Bytes()); !ok || string(end) != "\n" && string(end) != "\r\n" {
			t.Fatalf("collected %q of %q", c.Bytes(), taken)
		}
		if !more {
			return
		}
		room, err := c.AddLiteral(l)
		if err != nil || len(room) > len(rest) {
			return
		}
		rest = rest[copy(room, rest):]
	}
}

// TestEveryParserOnEveryLine runs each Parse function on the arguments of all others: none panics, each fails in words.
func TestEveryParserOnEveryLine(t *testing.T) {
	var lines []string
	for _, c := range fetchTable {
		lines = append(lines, c.in)
	}
	for _, c := range searchTable {
		lines = append(lines, c.in)
	}
	for _, c := range listTable {
		lines = append(lines, c.in)
	}
	for _, c := range storeTable {
		lines = append(lines, c.in)
	}
	for _, c := range appendTable {
		lines = append(lines, c.in)
	}
	for _, parse := range parsers() {
		for _, in := range lines {
			if len(in) < 200 {
				checkResult(t, parse, []byte(in), DecoderOptions{Tag: "a1"})
			}
		}
	}
}
