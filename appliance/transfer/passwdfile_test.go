package transfer

import (
	"fmt"
	"strings"
	"testing"
)

func TestReadPasswdFile(t *testing.T) {
	t.Parallel()
	const text = `# users of the house
ann@example.org:{SSHA256}abc=:5000:5000:Ann Müller,Room 1,,:/var/vmail/ann:/bin/false:userdb_mail=maildir:~/Maildir:LAYOUT=fs userdb_quota_rule=*:storage=1G

ben:$6$salt$hash
cleo:{PLAIN}with space:::Cleo::: nologin reason=gone
dan:whatever::::::nopassword
:{PLAIN}nobody
eve` + "\r\n"
	got, err := ReadPasswdFile(strings.NewReader(text))
	want := []PasswdEntry{
		{User: "ann@example.org", Password: "{SSHA256}abc=", FullName: "Ann Müller", Mail: "maildir:~/Maildir:LAYOUT=fs"},
		{User: "ben", Password: "$6$salt$hash"},
		{User: "cleo", Password: "{PLAIN}with space", FullName: "Cleo", NoLogin: true},
		{User: "dan"},
		{User: "eve"},
	}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("read\n%+v\nwant\n%+v, %v", got, want, err)
	}
	if _, err := ReadPasswdFile(strings.NewReader(strings.Repeat("x", maxPasswdLine+1))); err == nil {
		t.Error("a line without an end is read")
	}
	if _, err := ReadPasswdFile(strings.NewReader(strings.Repeat("x:y\n", maxPasswdEntries+1))); err == nil {
		t.Error("any number of lines is read")
	}
}

func TestForeignPassword(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, hash, plain string }{
		{"{PLAIN}geheim", "", "geheim"},
		{"{cleartext}geheim", "", "geheim"},
		{"{PLAIN.B64}Z2VoZWlt", "", "geheim"},
		{"{SSHA}S/U3s36elLwyKi6F3JaSzMazIG799fGH", "{SSHA}S/U3s36elLwyKi6F3JaSzMazIG799fGH", ""},
		{"{ssha.hex}4bf537b37e9e94bc322a2e85dc9692ccc6b3206efdf5f187", "{SSHA}S/U3s36elLwyKi6F3JaSzMazIG799fGH", ""},
		{"{SHA1}fYgB7jePDStr5AjElYUfTM/RX/w=", "{SHA}fYgB7jePDStr5AjElYUfTM/RX/w=", ""},
		{"{SHA}7d8801ee378f0d2b6be408c495851f4ccfd15ffc", "{SHA}fYgB7jePDStr5AjElYUfTM/RX/w=", ""},
		{"{PLAIN-MD5}0b83cb0e5d7b54e46435ddc43d2b4f95", "{LDAP-MD5}C4PLDl17VORkNd3EPStPlQ==", ""},
		{"{MD5}0b83cb0e5d7b54e46435ddc43d2b4f95", "{LDAP-MD5}C4PLDl17VORkNd3EPStPlQ==", ""},
		{"{MD5}$1$DyYxoBeI$jpy3IL2LaFRf04bIV3LXz.", "{MD5-CRYPT}$1$DyYxoBeI$jpy3IL2LaFRf04bIV3LXz.", ""},
		{"{HMAC-MD5}19ce1032ce1c7ec6d5ccb1db0e9fe5b4b6db11568ec4361f7fd78685070d94dc", "{CRAM-MD5}19ce1032ce1c7ec6d5ccb1db0e9fe5b4b6db11568ec4361f7fd78685070d94dc", ""},
		{"$6$salt$hash", "{SHA512-CRYPT}$6$salt$hash", ""},
		{"{CRYPT}$5$salt$hash", "{SHA256-CRYPT}$5$salt$hash", ""},
		{"{CRYPT}$2y$05$hash", "{BLF-CRYPT}$2y$05$hash", ""},
		{"$y$j9T$salt$hash", "{YESCRYPT}$y$j9T$salt$hash", ""},
		{"{CRYPT}ZdbwAXEMIm9TA", "{DES-CRYPT}ZdbwAXEMIm9TA", ""},
		{"*", "{LOCKED}*", ""},
		{"!$6$salt$hash", "{LOCKED}!$6$salt$hash", ""},
		{"{SOMETHING}else", "{SOMETHING}else", ""},
		{"", "{LOCKED}", ""},
	} {
		if hash, plain := ForeignPassword(tt.text); hash != tt.hash || plain != tt.plain {
			t.Errorf("%q is %q, %q; want %q, %q", tt.text, hash, plain, tt.hash, tt.plain)
		}
	}
}

// FuzzReadPasswdFile: whatever is read has a name, and a password in one of two forms.
func FuzzReadPasswdFile(f *testing.F) {
	f.Add("ann@example.org:{SSHA256}abc=:5000:5000:Ann Müller,Room 1,,:/var/vmail/ann:/bin/false:userdb_mail=maildir:~/Maildir")
	f.Add("ben:$6$salt$hash\ncleo:{PLAIN.HEX}00:::Cleo::: nologin")
	f.Add("x:{.B64}\ny:{SHA.HEX}zz\nz:{}")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ReadPasswdFile(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, e := range list {
			hash, plain := ForeignPassword(e.Password)
			if e.User == "" || hash != "" && (plain != "" || hash[0] != '{' || !strings.Contains(hash, "}")) {
				t.Errorf("%q: %q, %q, %q", text, e.User, hash, plain)
			}
		}
	})
}
