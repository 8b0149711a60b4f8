package imapwire

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func searchFor(k SearchKey) SearchArgs { return SearchArgs{Key: k} }

func and(keys ...SearchKey) SearchKey   { return SearchKey{Op: SearchAnd, Keys: keys} }
func anyOf(keys ...SearchKey) SearchKey { return SearchKey{Op: SearchOr, Keys: keys} }
func flagged(name string) SearchKey     { return SearchKey{Op: SearchFlag, Text: name} }
func header(field, text string) SearchKey {
	return SearchKey{Op: SearchHeader, Field: field, Text: text}
}

var (
	allMessages = SearchKey{Op: SearchAll}
	recentOnes  = SearchKey{Op: SearchRecent}
)

var searchTable = []parseCase[SearchArgs]{
	{in: ` ALL`, want: searchFor(allMessages)},
	{in: ` answered`, want: searchFor(flagged(`\Answered`))},
	{in: ` DELETED DRAFT FLAGGED SEEN`, want: searchFor(and(flagged(`\Deleted`), flagged(`\Draft`), flagged(`\Flagged`), flagged(`\Seen`)))},
	{in: ` UNANSWERED UNDELETED UNDRAFT UNFLAGGED UNSEEN`, want: searchFor(and(not(flagged(`\Answered`)), not(flagged(`\Deleted`)),
		not(flagged(`\Draft`)), not(flagged(`\Flagged`)), not(flagged(`\Seen`))))},
	{in: ` NEW`, want: searchFor(and(recentOnes, not(flagged(`\Seen`))))},
	{in: ` OLD RECENT`, want: searchFor(and(not(recentOnes), recentOnes))},
	{in: ` KEYWORD $Junk UNKEYWORD b`, want: searchFor(and(flagged("$Junk"), not(flagged("b"))))},
	{in: ` FROM "Smith" to x CC y bcc z SUBJECT ""`, want: searchFor(and(header("from", "Smith"), header("to", "x"), header("cc", "y"),
		header("bcc", "z"), header("subject", "")))},
	{in: ` HEADER Message-ID <a@b>`, want: searchFor(header("message-id", "<a@b>"))},
	{in: ` HEADER "X-Y" {3}` + "\r\na b", want: searchFor(header("x-y", "a b"))},
	{in: ` BODY x TEXT "grüß"`, want: searchFor(and(SearchKey{Op: SearchBody, Text: "x"}, SearchKey{Op: SearchText, Text: "grüß"}))},
	{in: ` BEFORE 1-Feb-1994 ON "01-feb-1994" SINCE 28-FEB-2000`, want: searchFor(and(SearchKey{Op: SearchBefore, Date: day(1994, 2, 1)},
		SearchKey{Op: SearchOn, Date: day(1994, 2, 1)}, SearchKey{Op: SearchSince, Date: day(2000, 2, 28)}))},
	{in: ` SENTBEFORE 1-Jan-2000 SENTON 29-Feb-2000 SENTSINCE 31-Dec-1999`, want: searchFor(and(
		SearchKey{Op: SearchSentBefore, Date: day(2000, 1, 1)}, SearchKey{Op: SearchSentOn, Date: day(2000, 2, 29)},
		SearchKey{Op: SearchSentSince, Date: day(1999, 12, 31)}))},
	{in: ` LARGER 0 SMALLER 9223372036854775807`, want: searchFor(and(SearchKey{Op: SearchLarger}, SearchKey{Op: SearchSmaller, Number: 1<<63 - 1}))},
	{in: ` OLDER 60 YOUNGER 3600`, want: searchFor(and(SearchKey{Op: SearchOlder, Number: 60}, SearchKey{Op: SearchYounger, Number: 3600}))},
	{in: ` 1:3,7 UID 5:* $ *`, want: searchFor(and(SearchKey{Op: SearchSeq, Set: nums(NumRange{1, 3}, NumRange{7, 7})},
		SearchKey{Op: SearchUID, Set: nums(NumRange{5, 0})}, SearchKey{Op: SearchSeq, Set: NumSet{Saved: true}},
		SearchKey{Op: SearchSeq, Set: nums(NumRange{0, 0})}))},
	{in: ` UID $`, want: searchFor(SearchKey{Op: SearchUID, Set: NumSet{Saved: true}})},
	{in: ` MODSEQ 620162338`, want: searchFor(SearchKey{Op: SearchModSeq, ModSeq: 620162338})},
	{in: ` MODSEQ "/flags/\\draft" all 0`, want: searchFor(SearchKey{Op: SearchModSeq})},
	{in: ` NOT SEEN`, want: searchFor(not(flagged(`\Seen`)))},
	{in: ` NOT (SEEN NOT DRAFT)`, want: searchFor(not(and(flagged(`\Seen`), not(flagged(`\Draft`)))))},
	{in: ` OR SEEN DRAFT`, want: searchFor(anyOf(flagged(`\Seen`), flagged(`\Draft`)))},
	{in: ` OR SEEN OR DRAFT OR 1 ALL`, want: searchFor(anyOf(flagged(`\Seen`), flagged(`\Draft`), SearchKey{Op: SearchSeq, Set: one}, allMessages))},
	{in: ` OR OR SEEN DRAFT ALL`, want: searchFor(anyOf(anyOf(flagged(`\Seen`), flagged(`\Draft`)), allMessages))},
	{in: ` OR (SEEN DRAFT) ALL UNSEEN`, want: searchFor(and(anyOf(and(flagged(`\Seen`), flagged(`\Draft`)), allMessages), not(flagged(`\Seen`))))},
	{in: ` ( ( ALL ) )`, want: searchFor(allMessages)},
	{in: ` CHARSET utf-8 ALL`, want: searchFor(allMessages)},
	{in: ` CHARSET "US-ASCII" ALL`, want: searchFor(allMessages)},
	{in: ` RETURN () ALL`, want: SearchArgs{Extended: true, Return: SearchReturn{All: true}, Key: allMessages}},
	{in: ` RETURN (MIN max) charset UTF-8 ALL`, want: SearchArgs{Extended: true, Return: SearchReturn{Min: true, Max: true}, Key: allMessages}},
	{in: ` return (ALL COUNT SAVE) ALL`, want: SearchArgs{Extended: true, Return: SearchReturn{All: true, Count: true, Save: true}, Key: allMessages}},

	{in: ``, err: "a search key"},
	{in: ` `, err: "a search key"},
	{in: ` ()`, err: "a search key"},
	{in: ` FOO`, err: "there is no search key FOO"},
	{in: ` UNALL`, err: "there is no search key UNALL"},
	{in: ` UNUNSEEN`, err: "there is no search key"},
	{in: ` (ALL`, err: "a parenthesis that closes"},
	{in: ` (ALL)(ALL)`, err: "the end of the command"},
	{in: ` ALL)`, err: "the end of the command"},
	{in: ` NOT`, err: "a search key after NOT"},
	{in: ` OR SEEN`, err: "a second search key after OR"},
	{in: ` OR`, err: "two search keys after OR"},
	{in: ` FROM`, err: "an argument of FROM"},
	{in: " FROM \"\xff\"", err: "the string after FROM is not valid UTF-8"},
	{in: ` HEADER a`, err: "a string after the header field"},
	{in: ` KEYWORD \Seen`, err: "a keyword does not begin with a backslash"},
	{in: ` BEFORE 30-Feb-1994`, err: `the date "30-Feb-1994" of BEFORE is not one like 17-Jul-1996`},
	{in: ` BEFORE 1994-02-01`, err: "is not one like"},
	{in: ` BEFORE 1-Foo-1994`, err: "is not one like"},
	{in: ` BEFORE 0-Jan-1994`, err: "is not one like"},
	{in: ` BEFORE 1-ANF-1994`, err: "is not one like"},
	{in: ` LARGER -1`, err: "the size after LARGER"},
	{in: ` LARGER 9223372036854775808`, err: "too large"},
	{in: ` OLDER 0`, err: "must not be 0"},
	{in: ` MODSEQ "x" all 1`, err: "must begin with /flags/"},
	{in: ` MODSEQ "/flags/x" some 1`, err: "priv, shared or all"},
	{in: ` UID x`, err: "a message number"},
	{in: ` RETURN (FOO) ALL`, err: "FOO is not known in the SEARCH return options"},
	{in: ` RETURN (MIN)`, err: "a search key"},
	{in: ` RETURN MIN ALL`, err: "in parentheses"},
	{in: strings.Repeat(" ALL", 2001), err: "more than 2000 keys"},
	{in: strings.Repeat(" OR ALL", 2001) + " ALL", err: "more than 2000 keys"},
	{in: " " + strings.Repeat("NOT ", 501) + "ALL", err: "more than 500 deep"},
	{in: " " + strings.Repeat("(", 100000), err: "more than 500 deep"},
}

func TestParseSearch(t *testing.T) { testParse(t, ParseSearch, searchTable) }

func TestSearchBadCharset(t *testing.T) {
	_, err := ParseSearch(NewDecoder([]byte(" CHARSET ISO-8859-1 FROM x"), DecoderOptions{Tag: "a1"}))
	var bad *BadCharsetError
	if !errors.As(err, &bad) || bad.Charset != "ISO-8859-1" || bad.Tag != "a1" || !strings.Contains(err.Error(), "ISO-8859-1") {
		t.Errorf("error %v", err)
	}
}

// A chain of ORs, as clients write to find many messages, is one key and not a tower.
func TestSearchLongOr(t *testing.T) {
	in := strings.Repeat(" OR HEADER Message-ID a", 600) + " ALL"
	a, err := ParseSearch(NewDecoder([]byte(in), DecoderOptions{}))
	if err != nil || len(a.Key.Keys) != 601 {
		t.Errorf("%d keys, %v", len(a.Key.Keys), err)
	}
}

func TestDateTime(t *testing.T) {
	for in, want := range map[string]string{
		`"17-Jul-1996 02:44:25 -0700"`:      "1996-07-17T02:44:25-07:00",
		`" 7-jul-1996 02:44:25 +0545"`:      "1996-07-07T02:44:25+05:45",
		`"07-JUL-1996 02:44:25 +0000"`:      "1996-07-07T02:44:25Z",
		`"7-Jul-1996 23:59:60 +0000"`:       "1996-07-08T00:00:00Z",
		`"29-Feb-2000 00:00:00 -2359"`:      "2000-02-29T00:00:00-23:59",
		`"29-Feb-1900 00:00:00 +0000"`:      "",
		`"17-Jul-1996 24:00:00 +0000"`:      "",
		`"17-Jul-1996 02:60:00 +0000"`:      "",
		`"17-Jul-1996 02:44:25 GMT"`:        "",
		`"17-Jul-1996 02:44:25 00000"`:      "",
		`"17-Jul-1996 02:44:25 +0060"`:      "",
		`"17-Jul-96 02:44:25 +0000"`:        "",
		`"17-Jul-1996"`:                     "",
		`""`:                                "",
		`"Wed, 17 Jul 1996 02:44:25 -0700"`: "",
	} {
		d := NewDecoder([]byte(in), DecoderOptions{})
		got := d.dateTime()
		if (d.err == nil) != (want != "") {
			t.Errorf("%s: %v", in, d.err)
		} else if want != "" && got.Format(time.RFC3339) != want {
			t.Errorf("%s: %s, want %s", in, got.Format(time.RFC3339), want)
		}
	}
}
