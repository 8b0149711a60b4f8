package imapwire

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var loginTable = []parseCase[LoginArgs]{
	{in: ` ann secret`, want: LoginArgs{"ann", "secret"}},
	{in: `  ann   secret`, want: LoginArgs{"ann", "secret"}},
	{in: ` "ann" "se\"c\\ret"`, want: LoginArgs{"ann", `se"c\ret`}},
	{in: ` ann@example.org ""`, want: LoginArgs{"ann@example.org", ""}},
	{in: " {3}\r\nann {6+}\r\nse\r\net", want: LoginArgs{"ann", "se\r\net"}},
	{in: " {3+}\nann {0}\n", want: LoginArgs{"ann", ""}},
	{in: " ann \"p\xe4ss\"", want: LoginArgs{"ann", "p\xe4ss"}}, // Latin-1, as old clients send it
	{in: ` ann pass]word`, want: LoginArgs{"ann", "pass]word"}},
	{in: ``, err: "a space and then a user name, found the end of the line"},
	{in: ` ann`, err: "a space and then a password"},
	{in: ` ann `, err: "the password"},
	{in: ` ann secret word`, err: "the end of the command, found something else"},
	{in: ` "an\"n secret`, err: "the quotes of the user name are not closed"},
	{in: " \"an\\\"n\r\n\" x", err: "the quotes of the user name are not closed"},
	{in: " \"an\\\"\x00n\" x", err: "the user name holds a NUL"},
	{in: ` "ann secret`, err: "the quotes of the user name are not closed"},
	{in: " \"ann\r\n\" x", err: "the quotes of the user name are not closed"},
	{in: " \"an\x00n\" x", err: "the user name holds a NUL"},
	{in: " {3}\r\na\x00n x", err: "the user name holds a NUL"},
	{in: " {9}\r\nann", err: "the literal of the user name is cut short"},
	{in: " {99999999999999999999999}\r\nann", err: "cut short"},
	{in: " {3} ann", err: "a literal"},
	{in: " {}\r\n", err: "a literal"},
	{in: " {-1}\r\n", err: "a literal"},
	{in: " ~{3}\r\nann x", err: "a binary literal (~{}) is not allowed for the user name"},
	{in: ` "a\nn" x`, err: "a backslash in the user name"},
	{in: ` (ann) x`, err: "expected the user name"},
	{in: " \xc3\xa4nn x", err: "expected the user name"}, // 8-bit only in strings
}

func TestParseLogin(t *testing.T) { testParse(t, ParseLogin, loginTable) }

func TestLoginErrorsKeepThePassword(t *testing.T) {
	for _, in := range []string{` ann swordfish(`, ` ann sword fish`, ` ann "swordfish" x`, ` ann "swordfish`} {
		_, err := ParseLogin(NewDecoder([]byte(in), DecoderOptions{}))
		if err == nil || strings.Contains(err.Error(), "fish") {
			t.Errorf("%q: error %v", in, err)
		}
	}
}

var authenticateTable = []parseCase[AuthenticateArgs]{
	{in: ` plain`, want: AuthenticateArgs{Mechanism: "PLAIN"}},
	{in: ` SCRAM-SHA-256-PLUS`, want: AuthenticateArgs{Mechanism: "SCRAM-SHA-256-PLUS"}},
	{in: ` PLAIN AGFubgBzZWNyZXQ=`, want: AuthenticateArgs{"PLAIN", true, []byte("\x00ann\x00secret")}},
	{in: ` EXTERNAL =`, want: AuthenticateArgs{"EXTERNAL", true, nil}},
	{in: ` PLAIN AGFubgBzZWNyZXQ`, err: "the initial response is not valid base64"},
	{in: ` PLAIN ====`, err: "not valid base64"},
	{in: ` PLAIN AAAA AAAA`, err: "the end of the command"},
	{in: ``, err: "a mechanism"},
}

func TestParseAuthenticate(t *testing.T) { testParse(t, ParseAuthenticate, authenticateTable) }

func TestParseSASLResponse(t *testing.T) {
	for _, c := range []struct {
		in, want       string
		cancelled, bad bool
	}{
		{in: "YW5u\r\n", want: "ann"},
		{in: "YW5u", want: "ann"},
		{in: "\r\n"},
		{in: "*\r\n", cancelled: true},
		{in: "**\r\n", bad: true},
		{in: "YW5\r\n", bad: true},
		{in: "YW5u YW5u\r\n", bad: true},
	} {
		got, cancelled, err := ParseSASLResponse([]byte(c.in))
		if string(got) != c.want || cancelled != c.cancelled || (err != nil) != c.bad {
			t.Errorf("%q: %q %v %v", c.in, got, cancelled, err)
		}
	}
}

func TestIsDone(t *testing.T) {
	for in, want := range map[string]bool{
		"DONE\r\n": true, "done": true, "Done \r\n": true, "DONE\n": true,
		"": false, "DON": false, "DONEX": false, "a DONE": false, "DONE x": false, " DONE": false,
	} {
		if IsDone([]byte(in)) != want {
			t.Errorf("IsDone(%q) is %v", in, !want)
		}
	}
}

var noneTable = []parseCase[struct{}]{
	{in: ``},
	{in: ` x`, err: "expected the end of the command, found \"x\""},
	{in: ` a very long rest of a line`, err: `found "a very long rest of "...`},
	{in: "\r\nb NOOP", err: "a line end stands within the command"},
}

func parseNone(d *Decoder) (struct{}, error) { return struct{}{}, ParseNone(d) }

func TestParseNone(t *testing.T) { testParse(t, parseNone, noneTable) }

var idTable = []parseCase[IDArgs]{
	{in: ` NIL`},
	{in: ` nil`},
	{in: ` ()`},
	{in: ` ("name" "phone" "version" NIL)`, want: IDArgs{[]IDParam{{"name", "phone"}, {"version", ""}}}},
	{in: ` ( "name" {5}` + "\r\nphone )", want: IDArgs{[]IDParam{{"name", "phone"}}}},
	{in: ` ("name")`, err: "its value"},
	{in: ` ("name" "a""b" "c")`, err: "a space or a closing parenthesis after the ID list"},
	{in: ` ("name" "a"`, err: "the ID list"},
	{in: ` name`, err: "the ID list in parentheses"},
	{in: ` (` + strings.Repeat(`"a" "b" `, 101) + `)`, err: "more than 100 entries"},
}

func TestParseID(t *testing.T) { testParse(t, ParseID, idTable) }

var enableTable = []parseCase[EnableArgs]{
	{in: ` CONDSTORE`, want: EnableArgs{[]string{"CONDSTORE"}}},
	{in: ` imap4rev2 utf8=accept`, want: EnableArgs{[]string{"IMAP4REV2", "UTF8=ACCEPT"}}},
	{in: ``, err: "a capability"},
	{in: ` (CONDSTORE)`, err: "a capability"},
	{in: strings.Repeat(" X", 101), err: "more than 100 capabilities"},
}

func TestParseEnable(t *testing.T) { testParse(t, ParseEnable, enableTable) }

var selectTable = []parseCase[SelectArgs]{
	{in: ` inbox`, want: SelectArgs{Mailbox: "INBOX"}},
	{in: ` "iNbOx"`, want: SelectArgs{Mailbox: "INBOX"}},
	{in: " {5}\r\nInbox", want: SelectArgs{Mailbox: "INBOX"}},
	{in: ` inbox/Lists`, want: SelectArgs{Mailbox: "INBOX/Lists"}},
	{in: ` Inboxes`, want: SelectArgs{Mailbox: "Inboxes"}},
	{in: ` "a b"`, want: SelectArgs{Mailbox: "a b"}},
	{in: ` "~/x[1]#"`, want: SelectArgs{Mailbox: "~/x[1]#"}},
	{in: ` ~x`, want: SelectArgs{Mailbox: "~x"}},
	{in: ` ""`, want: SelectArgs{}},
	{in: ` Entw&APw-rfe`, want: SelectArgs{Mailbox: "Entwürfe"}},
	{in: ` "Entw&APw-rfe"`, want: SelectArgs{Mailbox: "Entw&APw-rfe"}, utf8: true},
	{in: ` "Entwürfe"`, want: SelectArgs{Mailbox: "Entwürfe"}, utf8: true},
	{in: " {9}\r\nEntwürfe", want: SelectArgs{Mailbox: "Entwürfe"}, utf8: true},
	{in: ` INBOX (CONDSTORE)`, want: SelectArgs{Mailbox: "INBOX", CondStore: true}},
	{in: ` INBOX  ( condstore )`, want: SelectArgs{Mailbox: "INBOX", CondStore: true}},
	{in: ` INBOX ()`, want: SelectArgs{Mailbox: "INBOX"}},
	{in: ``, err: "a mailbox name"},
	{in: ` `, err: "the mailbox name, found the end of the line"},
	{in: ` a*`, err: "the end of the command"},
	{in: ` "Entwürfe"`, want: SelectArgs{Mailbox: "Entwürfe"}},
	{in: ` "R&D für alle"`, want: SelectArgs{Mailbox: "R&D für alle"}},
	{in: ` "R&-D für alle"`, want: SelectArgs{Mailbox: "R&D für alle"}},
	{in: " \"\xff\"", err: "it is not valid UTF-8"},
	{in: ` Entw&rfe`, err: "is not valid modified UTF-7"},
	{in: ` &AGE-`, err: "is not valid modified UTF-7"},
	{in: " \"\xff\"", err: "the mailbox name is not valid UTF-8", utf8: true},
	{in: ` INBOX (FOO)`, err: "FOO is not known in the SELECT parameters"},
	{in: ` INBOX (CONDSTORE`, err: "a closing parenthesis"},
	{in: ` INBOX CONDSTORE`, err: "the SELECT parameters in parentheses"},
	{in: ` INBOX(CONDSTORE)`, err: "the end of the command"},
	{in: ` "INBOX"x`, err: "the end of the command"},
	{in: ` INBOX (CONDSTORE)x`, err: "the end of the command"},
}

func TestParseSelect(t *testing.T) { testParse(t, ParseSelect, selectTable) }

var createTable = []parseCase[CreateArgs]{
	{in: ` Lists/go.dev/`, want: CreateArgs{Mailbox: "Lists/go.dev/"}},
	{in: ` Gesendet (USE (\Sent))`, want: CreateArgs{"Gesendet", []string{`\Sent`}}},
	{in: ` x (use (\drafts \IMPORTANT \Foo))`, want: CreateArgs{"x", []string{`\Drafts`, `\Important`, `\Foo`}}},
	{in: ` x (USE ())`, want: CreateArgs{Mailbox: "x"}},
	{in: ` x (USE)`, err: "a list of special uses"},
	{in: ` x (FOO (\Sent))`, err: "FOO is not known in the CREATE parameters"},
	{in: ` x (USE (\Sent)`, err: "a closing parenthesis"},
}

func TestParseCreate(t *testing.T) { testParse(t, ParseCreate, createTable) }

var deleteTable = []parseCase[DeleteArgs]{
	{in: ` x`, want: DeleteArgs{"x"}},
	{in: ` x y`, err: "the end of the command"},
	{in: ``, err: "a mailbox name"},
}

func TestParseDelete(t *testing.T) { testParse(t, ParseDelete, deleteTable) }

var renameTable = []parseCase[RenameArgs]{
	{in: ` inbox Old`, want: RenameArgs{"INBOX", "Old"}},
	{in: " {1}\r\na {3+}\r\nb c", want: RenameArgs{"a", "b c"}},
	{in: ` a`, err: "the new name"},
	{in: ` a &`, err: "the new name is wrong"},
}

func TestParseRename(t *testing.T) { testParse(t, ParseRename, renameTable) }

var subscribeTable = []parseCase[SubscribeArgs]{
	{in: ` "x y"`, want: SubscribeArgs{"x y"}},
	{in: ``, err: "a mailbox name"},
}

func TestParseSubscribe(t *testing.T) { testParse(t, ParseSubscribe, subscribeTable) }

var lsubTable = []parseCase[LsubArgs]{
	{in: ` "" *`, want: LsubArgs{"", "*"}},
	{in: ` "#news." "comp.mail.*"`, want: LsubArgs{"#news.", "comp.mail.*"}},
	{in: ` "" (a b)`, err: "the mailbox pattern"},
}

func TestParseLsub(t *testing.T) { testParse(t, ParseLsub, lsubTable) }

var listTable = []parseCase[ListArgs]{
	{in: ` "" ""`, want: ListArgs{Patterns: []string{""}}},
	{in: ` "" *`, want: ListArgs{Patterns: []string{"*"}}},
	{in: ` "" %/%]`, want: ListArgs{Patterns: []string{"%/%]"}}},
	{in: ` ~/Mail/ "%"`, want: ListArgs{Reference: "~/Mail/", Patterns: []string{"%"}}},
	{in: " {0}\r\n {1}\r\n*", want: ListArgs{Patterns: []string{"*"}}},
	{in: ` "" Entw&APw-*`, want: ListArgs{Patterns: []string{"Entwü*"}}},
	{in: ` "" "Entwü*"`, want: ListArgs{Patterns: []string{"Entwü*"}}, utf8: true},
	{in: ` "" &*`, want: ListArgs{Patterns: []string{"&*"}}},
	{in: ` () "" ()`, err: "the list of patterns is empty"},
	{in: ` () "" *`, want: ListArgs{Extended: true, Patterns: []string{"*"}}},
	{in: ` "" (INBOX "a b" "Sent*")`, want: ListArgs{Extended: true, Patterns: []string{"INBOX", "a b", "Sent*"}}},
	{in: ` (SUBSCRIBED remote recursivematch special-use) "" %`, want: ListArgs{
		Extended: true, Select: ListSelect{true, true, true, true}, Patterns: []string{"%"}}},
	{in: ` "" % RETURN ()`, want: ListArgs{Extended: true, Patterns: []string{"%"}}},
	{in: ` "" % return (Subscribed CHILDREN SPECIAL-USE STATUS (MESSAGES UNSEEN))`, want: ListArgs{
		Extended: true, Patterns: []string{"%"},
		Return: ListReturn{true, true, true, []StatusItem{StatusMessages, StatusUnseen}}}},
	{in: ` (RECURSIVEMATCH) "" %`, err: "RECURSIVEMATCH needs another selection option"},
	{in: ` (REMOTE RECURSIVEMATCH) "" %`, err: "RECURSIVEMATCH needs another selection option"},
	{in: ` (FOO) "" %`, err: "FOO is not known in the LIST selection options"},
	{in: ` "" % RETURN (FOO)`, err: "FOO is not known in the LIST return options"},
	{in: ` "" % RETURN (STATUS)`, err: "a list of status items"},
	{in: ` "" % RETURN (STATUS ())`, err: "the list of status items is empty"},
	{in: ` "" % RETURN`, err: "a list of return options"},
	{in: ` "" % FOO`, err: "RETURN or the end of the command"},
	{in: ` ""`, err: "a mailbox pattern"},
	{in: ` "" (` + strings.Repeat("a ", 101) + `)`, err: "more than 100 entries"},
	{in: ` "" ` + strings.Repeat("*", 1025), err: "longer than 1024 octets"},
}

func TestParseList(t *testing.T) { testParse(t, ParseList, listTable) }

var statusTable = []parseCase[StatusArgs]{
	{in: ` inbox (messages)`, want: StatusArgs{"INBOX", []StatusItem{StatusMessages}}},
	{in: ` "a b" (UIDNEXT MESSAGES UIDNEXT RECENT UIDVALIDITY UNSEEN DELETED SIZE HIGHESTMODSEQ APPENDLIMIT MAILBOXID)`,
		want: StatusArgs{"a b", []StatusItem{StatusUIDNext, StatusMessages, StatusRecent, StatusUIDValidity, StatusUnseen,
			StatusDeleted, StatusSize, StatusHighestModSeq, StatusAppendLimit, StatusMailboxID}}},
	{in: ` a ()`, err: "the list of status items is empty"},
	{in: ` a`, err: "a list of status items"},
	{in: ` a MESSAGES`, err: "the list of status items in parentheses"},
	{in: ` a (FOO)`, err: "there is no status item FOO"},
	{in: ` a (MESSAGES`, err: "a closing parenthesis"},
}

func TestParseStatus(t *testing.T) { testParse(t, ParseStatus, statusTable) }

var copyTable = []parseCase[CopyArgs]{
	{in: ` 2:4 Meeting`, want: CopyArgs{nums(NumRange{2, 4}), "Meeting"}},
	{in: ` $ "a b"`, want: CopyArgs{NumSet{Saved: true}, "a b"}},
	{in: ` 1`, err: "a mailbox name"},
	{in: ` Meeting 1`, err: "a message number, * or $"},
}

func TestParseCopy(t *testing.T) { testParse(t, ParseCopy, copyTable) }

func TestParseMove(t *testing.T) {
	testParse(t, ParseMove, []parseCase[MoveArgs]{
		{in: ` * inbox`, want: MoveArgs{nums(NumRange{0, 0}), "INBOX"}},
		{in: ` * `, err: "the mailbox name"},
	})
}

var expungeTable = []parseCase[ExpungeArgs]{
	{in: ` 3:*`, want: ExpungeArgs{nums(NumRange{3, 0})}},
	{in: ``, err: "a set of UIDs"},
}

func TestParseUIDExpunge(t *testing.T) { testParse(t, ParseUIDExpunge, expungeTable) }

var storeTable = []parseCase[StoreArgs]{
	{in: ` 1 FLAGS ()`, want: StoreArgs{Set: nums(NumRange{1, 1}), Flags: []string{}}},
	{in: ` 2:4 +FLAGS (\Deleted)`, want: StoreArgs{Set: nums(NumRange{2, 4}), Op: StoreAdd, Flags: []string{`\Deleted`}}},
	{in: ` 1 -flags.silent \seen $Forwarded`, want: StoreArgs{Set: nums(NumRange{1, 1}), Op: StoreRemove, Silent: true,
		Flags: []string{`\Seen`, "$Forwarded"}}},
	{in: ` 1 FLAGS (\seen \SEEN foo FOO)`, want: StoreArgs{Set: nums(NumRange{1, 1}), Flags: []string{`\Seen`, "foo"}}},
	{in: ` 1 (UNCHANGEDSINCE 0) FLAGS \Draft`, want: StoreArgs{Set: nums(NumRange{1, 1}), Flags: []string{`\Draft`},
		HasUnchangedSince: true}},
	{in: ` $ (unchangedsince 9223372036854775807) FLAGS \Draft`, want: StoreArgs{Set: NumSet{Saved: true}, Flags: []string{`\Draft`},
		HasUnchangedSince: true, UnchangedSince: 1<<63 - 1}},
	{in: ` 1 (UNCHANGEDSINCE 9223372036854775808) FLAGS \Draft`, err: "too large"},
	{in: ` 1 (UNCHANGEDSINCE) FLAGS \Draft`, err: "a mod-sequence"},
	{in: ` 1 (FOO 1) FLAGS \Draft`, err: "FOO is not known in the STORE modifiers"},
	{in: ` 1 FLAGS`, err: "a space and then flags"},
	{in: ` 1 FLAGS `, err: "a flag"},
	{in: ` 1 FLAGS \Recent`, err: `there is no flag \Recent that a client may set`},
	{in: ` 1 FLAGS (\Foo)`, err: `there is no flag \Foo`},
	{in: ` 1 FLAGS (\*)`, err: `a flag`},
	{in: ` 1 FLAGS (\Seen`, err: `a closing parenthesis`},
	{in: ` 1 FLAGS ("x")`, err: `a flag`},
	{in: ` 1 FLAGS (a(b))`, err: `a closing parenthesis`},
	{in: ` 1 FLAGS.LOUD (a)`, err: "not FLAGS.LOUD"},
	{in: ` 1 =FLAGS (a)`, err: "expected FLAGS"},
	{in: ` 1 FLAGS (a` + strings.Repeat(" a", 500) + `)`, err: "more than 500 entries"},
	{in: ` 1 FLAGS` + manyKeywords(501), err: "more than 500 flags"},
	{in: ` 1 FLAGS ` + strings.Repeat("k", 256), err: "longer than 255 octets"},
}

func manyKeywords(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " k%d", i)
	}
	return b.String()
}

func TestParseStore(t *testing.T) { testParse(t, ParseStore, storeTable) }

var appendTable = []parseCase[AppendArgs]{
	{in: ` saved-messages {310}`, want: AppendArgs{Mailbox: "saved-messages", Message: Literal{Size: 310, Len: 5}}},
	{in: ` "a b" (\seen \FLAGGED foo) {310+}`, want: AppendArgs{Mailbox: "a b", Flags: []string{`\Seen`, `\Flagged`, "foo"},
		Message: Literal{Size: 310, NonSync: true, Len: 6}}},
	{in: ` inbox () ~{0}`, want: AppendArgs{Mailbox: "INBOX", Flags: []string{}, Message: Literal{Binary: true, Len: 4}}},
	{in: " {5}\r\ninbox \" 7-Feb-1994 21:52:25 -0800\" {1}", want: AppendArgs{Mailbox: "INBOX",
		Date: time.Date(1994, 2, 8, 5, 52, 25, 0, time.UTC), Message: Literal{Size: 1, Len: 3}}},
	{in: ` a UTF8 (~{12}`, want: AppendArgs{Mailbox: "a", UTF8: true, Message: Literal{Size: 12, Binary: true, Len: 5}}},
	{in: ` a () utf8 (~{12+}`, want: AppendArgs{Mailbox: "a", Flags: []string{}, UTF8: true,
		Message: Literal{Size: 12, NonSync: true, Binary: true, Len: 6}}},
	{in: ` a UTF8 ({12}`, err: "must be a binary literal"},
	{in: ` a UTF8 ~{12}`, err: "a parenthesis after UTF8"},
	{in: ` a`, err: "flags, a date or the message"},
	{in: ` a `, err: "the message as a literal"},
	{in: ` a (\Recent) {1}`, err: `\Recent`},
	{in: ` a "x" {1}`, err: `the date "x" is not one like`},
	{in: ` a {1} {2}`, err: "the message as a literal"},
	{in: " {1}\r\n", err: "cut short"},
	{in: " {3}\r\na {1}", err: "a space and then flags"},
}

func TestParseAppend(t *testing.T) { testParseEnds(t, parseAppendUTC, appendTable, "\r\n", "\n") }

// parseAppendUTC is ParseAppend with a date that can be compared: the zone is lost.
func parseAppendUTC(d *Decoder) (AppendArgs, error) {
	a, err := ParseAppend(d)
	if !a.Date.IsZero() {
		a.Date = a.Date.UTC()
	}
	return a, err
}

func TestParseAppendEnd(t *testing.T) {
	for _, c := range []struct {
		in   string
		utf8 bool
		ok   bool
	}{
		{"\r\n", false, true}, {"", false, true}, {")\r\n", true, true}, {" ) \r\n", true, true},
		{")\r\n", false, false}, {"\r\n", true, false}, {"x\r\n", false, false}, {"))\r\n", true, false},
	} {
		err := ParseAppendEnd(NewDecoder([]byte(c.in), DecoderOptions{}), AppendArgs{UTF8: c.utf8})
		if (err == nil) != c.ok {
			t.Errorf("%q, UTF8 %v: %v", c.in, c.utf8, err)
		}
	}
}
