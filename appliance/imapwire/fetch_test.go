package imapwire

import (
	"math"
	"reflect"
	"strings"
	"testing"
)

func items(kinds ...FetchKind) []FetchItem {
	var out []FetchItem
	for _, k := range kinds {
		out = append(out, FetchItem{Kind: k})
	}
	return out
}

// section is the item BODY.PEEK[...], or BODY[...].
func section(peek bool, spec SectionSpec, part ...int) []FetchItem {
	return []FetchItem{{Kind: FetchSection, Peek: peek, Section: Section{Part: part, Spec: spec}}}
}

var one = nums(NumRange{1, 1})

var fetchTable = []parseCase[FetchArgs]{
	{in: ` 1 ALL`, want: FetchArgs{Set: one, Items: items(FetchFlags, FetchInternalDate, FetchSize, FetchEnvelope)}},
	{in: ` 1 fast`, want: FetchArgs{Set: one, Items: items(FetchFlags, FetchInternalDate, FetchSize)}},
	{in: ` 1 Full`, want: FetchArgs{Set: one, Items: items(FetchFlags, FetchInternalDate, FetchSize, FetchEnvelope, FetchBody)}},
	{in: ` 1:* FLAGS`, want: FetchArgs{Set: nums(NumRange{1, 0}), Items: items(FetchFlags)}},
	{in: ` $ (UID FLAGS)`, want: FetchArgs{Set: NumSet{Saved: true}, Items: items(FetchUID, FetchFlags)}},
	{in: ` 1 ( uid  flags UID )`, want: FetchArgs{Set: one, Items: items(FetchUID, FetchFlags)}},
	{in: ` 1 (INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE MODSEQ EMAILID THREADID SAVEDATE)`, want: FetchArgs{Set: one,
		Items: items(FetchInternalDate, FetchSize, FetchEnvelope, FetchBody, FetchBodyStructure, FetchModSeq, FetchEmailID,
			FetchThreadID, FetchSaveDate)}},
	{in: ` 1 (PREVIEW UID)`, want: FetchArgs{Set: one, Items: items(FetchPreview, FetchUID)}},
	{in: ` 1 (PREVIEW (LAZY) UID)`, want: FetchArgs{Set: one, Items: []FetchItem{{Kind: FetchPreview, Peek: true}, {Kind: FetchUID}}}},
	{in: ` 1 PREVIEW (CHANGEDSINCE 7)`, want: FetchArgs{Set: one, Items: items(FetchPreview, FetchModSeq), HasChangedSince: true, ChangedSince: 7}},
	{in: ` 1 PREVIEW (LAZY) (CHANGEDSINCE 7)`, want: FetchArgs{Set: one, Items: []FetchItem{{Kind: FetchPreview, Peek: true}, {Kind: FetchModSeq}},
		HasChangedSince: true, ChangedSince: 7}},
	{in: ` 1 (RFC822 RFC822.HEADER RFC822.TEXT)`, want: FetchArgs{Set: one, Items: items(FetchRFC822, FetchRFC822Header, FetchRFC822Text)}},
	{in: ` 1 rfc822.peek`, want: FetchArgs{Set: one, Items: []FetchItem{{Kind: FetchRFC822, Peek: true}}}},
	{in: ` 1 (RFC822.TEXT.PEEK RFC822.TEXT)`, want: FetchArgs{Set: one, Items: []FetchItem{{Kind: FetchRFC822Text}}}},
	{in: ` 1 BODY[]`, want: FetchArgs{Set: one, Items: section(false, SectionAll)}},
	{in: ` 1 body.peek[header]`, want: FetchArgs{Set: one, Items: section(true, SectionHeader)}},
	{in: ` 1 BODY[TEXT]`, want: FetchArgs{Set: one, Items: section(false, SectionText)}},
	{in: ` 1 BODY[1]`, want: FetchArgs{Set: one, Items: section(false, SectionAll, 1)}},
	{in: ` 1 BODY[4.2.2.MIME]`, want: FetchArgs{Set: one, Items: section(false, SectionMIME, 4, 2, 2)}},
	{in: ` 1 BODY[3.TEXT]`, want: FetchArgs{Set: one, Items: section(false, SectionText, 3)}},
	{in: ` 1 (BODY.PEEK[] BODY[])`, want: FetchArgs{Set: one, Items: section(false, SectionAll)}},
	{in: ` 1 (BODY.PEEK[HEADER.FIELDS (Date "from")] UID)`, want: FetchArgs{Set: one, Items: []FetchItem{
		{Kind: FetchSection, Peek: true, Section: Section{Spec: SectionHeaderFields, Fields: []string{"Date", "from"}}}, {Kind: FetchUID}}}},
	{in: " 1 BODY[2.HEADER.FIELDS.NOT ({4}\r\nDate)]", want: FetchArgs{Set: one, Items: []FetchItem{
		{Kind: FetchSection, Section: Section{Part: []int{2}, Spec: SectionHeaderFieldsNot, Fields: []string{"Date"}}}}}},
	{in: ` 1 BODY[]<0.65536>`, want: FetchArgs{Set: one, Items: []FetchItem{
		{Kind: FetchSection, Partial: Partial{true, 0, 65536}}}}},
	{in: ` 1 (BODY[1]<0.5> BODY[1]<5.5>)`, want: FetchArgs{Set: one, Items: []FetchItem{
		{Kind: FetchSection, Section: Section{Part: []int{1}}, Partial: Partial{true, 0, 5}},
		{Kind: FetchSection, Section: Section{Part: []int{1}}, Partial: Partial{true, 5, 5}}}}},
	{in: ` 1 BODY[]<9223372036854775807.9223372036854775807>`, want: FetchArgs{Set: one, Items: []FetchItem{
		{Kind: FetchSection, Partial: Partial{true, math.MaxInt64, 0}}}}},
	{in: ` 1 (BINARY[1.2] BINARY.PEEK[]<3.4> BINARY.SIZE[7])`, want: FetchArgs{Set: one, Items: []FetchItem{
		{Kind: FetchBinary, Section: Section{Part: []int{1, 2}}},
		{Kind: FetchBinary, Peek: true, Partial: Partial{true, 3, 4}},
		{Kind: FetchBinarySize, Section: Section{Part: []int{7}}}}}},
	{in: ` 1 FLAGS (CHANGEDSINCE 12345)`, want: FetchArgs{Set: one, Items: items(FetchFlags, FetchModSeq),
		HasChangedSince: true, ChangedSince: 12345}},
	{in: ` 1 (MODSEQ) (changedsince 0)`, want: FetchArgs{Set: one, Items: items(FetchModSeq), HasChangedSince: true}},
	{in: ` 1 FLAGS (FOO)`, err: "FOO is not known in the FETCH modifiers"},
	{in: ` 1 FLAGS (CHANGEDSINCE 18446744073709551615)`, err: "too large"},
	{in: ` 1 FLAGS UID`, err: "the FETCH modifiers in parentheses"},
	{in: ` 1`, err: "data items"},
	{in: ` FLAGS`, err: "a message number, * or $, found \"FLAGS\""},
	{in: ` 1 ()`, err: "the list of data items is empty"},
	{in: ` 1 (ALL)`, err: "ALL must stand alone"},
	{in: ` 1 (FLAGS`, err: "a closing parenthesis"},
	{in: ` 1 (FLAGS,UID)`, err: "a space or a closing parenthesis"},
	{in: ` 1 FOO`, err: "there is no data item FOO"},
	{in: ` 1 BODY.PEEK`, err: "a section in brackets after BODY.PEEK"},
	{in: ` 1 BODY.PEEK []`, err: "a section in brackets after BODY.PEEK, found a space"},
	{in: ` 1 BODY[`, err: "a section text"},
	{in: ` 1 BODY[FOO]`, err: "there is no section FOO"},
	{in: ` 1 BODY[MIME]`, err: "MIME needs a part number"},
	{in: ` 1 BODY[0]`, err: "0 is not a part number"},
	{in: ` 1 BODY[1.]`, err: "a section text"},
	{in: ` 1 BODY[1TEXT]`, err: "a bracket that closes the section"},
	{in: ` 1 BODY[1..2]`, err: "there is no section .2"},
	{in: ` 1 BODY[4294967296]`, err: "too large"},
	{in: ` 1 BODY[TEXT`, err: "a bracket that closes"},
	{in: ` 1 BODY[` + strings.Repeat("1.", 101) + `1]`, err: "more than 100 part numbers"},
	{in: ` 1 BODY[HEADER.FIELDS]`, err: "a list of header fields"},
	{in: ` 1 BODY[HEADER.FIELDS ()]`, err: "the list of header fields is empty"},
	{in: " 1 BODY[HEADER.FIELDS ({2}\r\n\r\n)]", err: "characters that no field has"},
	{in: ` 1 BODY[]<0>`, err: "a dot in <offset.length>"},
	{in: ` 1 BODY[]<0.0>`, err: "must not be 0"},
	{in: ` 1 BODY[]<.1>`, err: "the offset"},
	{in: ` 1 BODY[]<1.1`, err: "a closing >"},
	{in: ` 1 BODY[]<9223372036854775808.1>`, err: "too large"},
	{in: ` 1 BINARY`, err: "a part number in brackets after BINARY"},
	{in: ` 1 BINARY[1.TEXT]`, err: "nothing but a part number"},
	{in: ` 1 BINARY.SIZE[1]<0.1>`, err: "the end of the command"},
	{in: ` 1 (` + strings.Repeat("UID ", 201) + `)`, err: "more than 200 entries"},
}

func TestParseFetch(t *testing.T) { testParse(t, ParseFetch, fetchTable) }

// What a FETCH response names an item is what a client could ask for it with.
func TestFetchItemName(t *testing.T) {
	for in, want := range map[string]string{
		"uid": "UID", "RFC822.PEEK": "RFC822", "body": "BODY", "preview (lazy)": "PREVIEW",
		"body.peek[]":                            "BODY[]",
		"BODY[1.2.mime]<3.4>":                    "BODY[1.2.MIME]<3>",
		"BODY[header.fields (Date \"x y\" nil)]": `BODY[HEADER.FIELDS (Date "x y" "nil")]`,
		"BODY.PEEK[3.HEADER.FIELDS.NOT (a)]":     "BODY[3.HEADER.FIELDS.NOT (a)]",
		"BINARY.PEEK[1]<0.9>":                    "BINARY[1]<0>",
		"binary.size[1.2]":                       "BINARY.SIZE[1.2]",
		"RFC822.HEADER":                          "RFC822.HEADER",
	} {
		a, err := ParseFetch(NewDecoder([]byte(" 1 "+in), DecoderOptions{}))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got := string(a.Items[0].AppendName(nil)); got != want {
			t.Errorf("%s is answered as %s, want %s", in, got, want)
		}
	}
}

func TestFetchItemSetsSeen(t *testing.T) {
	for in, want := range map[string]bool{
		"BODY[]": true, "BODY[1.MIME]": true, "BODY[HEADER]": true, "BINARY[1]": true, "RFC822": true, "RFC822.TEXT": true,
		"BODY.PEEK[]": false, "BINARY.PEEK[1]": false, "BINARY.SIZE[1]": false, "RFC822.HEADER": false, "RFC822.PEEK": false,
		"BODY": false, "BODYSTRUCTURE": false, "ENVELOPE": false, "PREVIEW": false,
	} {
		a, err := ParseFetch(NewDecoder([]byte(" 1 "+in), DecoderOptions{}))
		if err != nil || a.Items[0].SetsSeen() != want {
			t.Errorf("%s: SetsSeen is not %v (%v)", in, want, err)
		}
	}
}

func TestResultsHoldNoInput(t *testing.T) {
	in := []byte(" 1 (BODY[HEADER.FIELDS (Date \"From\" {2}\r\nTo)])")
	got, err := ParseFetch(NewDecoder(in, DecoderOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	for i := range in {
		in[i] = 'x'
	}
	if want := []string{"Date", "From", "To"}; !reflect.DeepEqual(got.Items[0].Section.Fields, want) {
		t.Errorf("the fields are %q after the input was reused", got.Items[0].Section.Fields)
	}
}
