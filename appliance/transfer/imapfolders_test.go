package transfer

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// TestIMAPFolders: which folders come, what they are called here, and why others are passed over.
func TestIMAPFolders(t *testing.T) {
	t.Parallel()
	courier := "* LIST (\\HasChildren) \".\" INBOX\r\n* LIST () \".\" \"INBOX.Sent Items\"\r\n* LIST () \".\" \"INBOX.Sent Items.2019\"\r\n* LIST () \".\" \"INBOX.a/b\"\r\n* LIST () \".\" INBOX.Entw&APw-rfe\r\n* LIST (\\Noselect) \".\" INBOX.x\r\n"
	gmail := "* LIST () \"/\" INBOX\r\n* LIST (\\Noselect) \"/\" \"[Gmail]\"\r\n* LIST (\\All) \"/\" \"[Gmail]/All Mail\"\r\n* LIST (\\Sent) \"/\" \"[Gmail]/Sent Mail\"\r\n" +
		"* LIST (\\Flagged) \"/\" \"[Gmail]/Starred\"\r\n* LIST (\\Trash) \"/\" {12}\r\n[Gmail]/Bin1\r\n* LIST () NIL \"Sent\"\r\n* LIST () \"/\" \"Sp\xc3\xa4\xc3\x9fe &- \\\"x\\\"\" (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n"
	shared := "* LIST () \"/\" inbox\r\n* LIST () \"/\" \"INBOX/Sub\"\r\n* LIST () \"/\" \"user/bob\"\r\n* LIST () \"/\" \"Bad &name\"\r\n"
	for name, test := range map[string]struct {
		caps, list, lsub, namespace string
		account                     IMAPAccount
		want                        []string // NAME -> TO, and ! for passed over, - for not subscribed
		fault                       string
	}{
		"Courier": {
			caps: "NAMESPACE", list: courier, lsub: strings.ReplaceAll(courier[:strings.Index(courier, "* LIST () \".\" INBOX.Entw")], "LIST", "LSUB"), namespace: `(("INBOX." ".")) NIL (("#shared." ".")("shared." "."))`,
			want: []string{"INBOX -> INBOX", "INBOX.Sent Items -> Sent", "INBOX.Sent Items.2019 -> Sent/2019", "INBOX.a/b -> a_b", "INBOX.Entwürfe -> Drafts -"},
		},
		"one that tells no namespace": {
			list: courier,
			want: []string{"INBOX -> INBOX", "INBOX.Sent Items -> Sent", "INBOX.Sent Items.2019 -> Sent/2019", "INBOX.a/b -> a_b", "INBOX.Entwürfe -> Drafts"},
		},
		"names kept": {
			list: courier, account: IMAPAccount{KeepNames: true},
			want: []string{"INBOX -> INBOX", "INBOX.Sent Items -> Sent Items", "INBOX.Sent Items.2019 -> Sent Items/2019", "INBOX.a/b -> a_b", "INBOX.Entwürfe -> Entwürfe"},
		},
		"Gmail": {
			caps: "NAMESPACE SPECIAL-USE", list: gmail, namespace: `(("" "/")) NIL NIL`,
			want: []string{"INBOX -> INBOX", "[Gmail]/All Mail -> [Gmail]/All Mail !", "[Gmail]/Sent Mail -> Sent", "[Gmail]/Starred -> [Gmail]/Starred !", "[Gmail]/Bin1 -> Trash", "Sent -> Sent", `Späße & "x" -> Späße & "x"`},
		},
		"chosen": {
			list: gmail, account: IMAPAccount{Folders: []string{"[Gmail]"}, Exclude: []string{"Trash"}},
			want: []string{"[Gmail]/All Mail -> [Gmail]/All Mail !", "[Gmail]/Sent Mail -> Sent", "[Gmail]/Starred -> [Gmail]/Starred !", "[Gmail]/Bin1 -> Trash !"},
		},
		"chosen by name": {
			list: gmail, account: IMAPAccount{Folders: []string{"[Gmail]/All Mail"}},
			want: []string{"[Gmail]/All Mail -> [Gmail]/All Mail"},
		},
		"other people's": {
			caps: "NAMESPACE", list: shared, namespace: `(("" "/")) (("user/" "/")) NIL`,
			want: []string{"INBOX -> INBOX", "INBOX/Sub -> INBOX/Sub", "user/bob -> user/bob !", "Bad &name -> Bad &name"},
		},
		"one that is not there": {list: shared, account: IMAPAccount{Folders: []string{"INBOX", "Nope"}}, fault: `there is no folder "Nope" at the server`},
		"none":                  {fault: "the server shows no folders"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startOdd(t, func(_ int, command string, w io.Writer) string {
				switch word, _, _ := strings.Cut(command, " "); word {
				case "CAPABILITY":
					io.WriteString(w, "* CAPABILITY IMAP4rev1 "+test.caps+"\r\n")
				case "LIST":
					if strings.Contains(command, "SPECIAL-USE") {
						return "BAD no"
					}
					io.WriteString(w, test.list)
				case "LSUB":
					io.WriteString(w, test.lsub)
				case "NAMESPACE":
					io.WriteString(w, "* NAMESPACE "+test.namespace+"\r\n")
				case "STATUS":
					io.WriteString(w, "* STATUS x (MESSAGES 3 SIZE 70)\r\n")
				}
				return "OK"
			})
			account := s.account()
			account.Folders, account.Exclude, account.KeepNames = test.account.Folders, test.account.Exclude, test.account.KeepNames
			list, err := openOdd(t, account).Folders(t.Context())
			if test.fault != "" {
				if err == nil || err.Error() != test.fault {
					t.Errorf("%v, %v", list, err)
				}
				return
			}
			var got []string
			for _, f := range list {
				line := f.Name + " -> " + f.To
				if f.Fault != nil {
					line += " !"
				} else if f.Messages != 3 || f.Size != 70 {
					t.Errorf("%s has %d messages, %d octets", f.Name, f.Messages, f.Size)
				}
				if f.Unsubscribed {
					line += " -"
				}
				got = append(got, line)
			}
			if fmt.Sprint(got) != fmt.Sprint(test.want) || err != nil {
				t.Errorf("the folders are\n%q, not\n%q; %v", got, test.want, err)
			}
		})
	}
}
