package transfer

import (
	"bufio"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// A PasswdEntry is a line of Dovecot's passwd-file: user:password:uid:gid:gecos:home:shell:extra fields.
type PasswdEntry struct {
	User     string // as it stands there, with or without a domain
	Password string // as it stands there; "": there is none
	FullName string // of gecos, what stands before the first comma
	Mail     string // userdb_mail or mail of the extra fields, "" for none
	NoLogin  bool   // the extra field nologin
}

// maxPasswdLine and maxPasswdEntries bound what is read of a passwd-file.
const (
	maxPasswdLine    = 64 << 10
	maxPasswdEntries = 10_000
)

// ReadPasswdFile reads a passwd-file. Lines without a user's name are left out.
func ReadPasswdFile(in io.Reader) ([]PasswdEntry, error) {
	var list []PasswdEntry
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxPasswdLine)
	for lines.Scan() {
		e, ok := parsePasswdLine(strings.TrimRight(lines.Text(), "\r"))
		if !ok {
			continue
		}
		if list = append(list, e); len(list) > maxPasswdEntries {
			return nil, fmt.Errorf("the passwd-file has more than %d lines", maxPasswdEntries)
		}
	}
	return list, lines.Err()
}

func parsePasswdLine(line string) (e PasswdEntry, ok bool) {
	if strings.HasPrefix(line, "#") {
		return e, false
	}
	fields := strings.SplitN(line, ":", 8)
	field := func(i int) string {
		if i < len(fields) {
			return fields[i]
		}
		return ""
	}
	e.User, e.Password = strings.TrimSpace(field(0)), field(1)
	e.FullName, _, _ = strings.Cut(field(4), ",")
	e.FullName = strings.TrimSpace(e.FullName)
	for extra := range strings.FieldsSeq(field(7)) {
		name, value, _ := strings.Cut(extra, "=")
		switch name {
		case "userdb_mail", "mail":
			e.Mail = value
		case "nologin":
			e.NoLogin = true
		case "nopassword", "userdb_nopassword": // whoever knows the name gets in: not here
			e.Password = ""
		}
	}
	return e, e.User != ""
}

// ForeignPassword brings a password of a passwd-file into one form: "{SCHEME}" and the hash, the scheme in capitals under the name
// by which it is known best, the hash as that scheme has it. plain is the password itself where it is not hashed.
func ForeignPassword(text string) (hash, plain string) {
	scheme, rest := splitScheme(text)
	scheme, encoding, _ := strings.Cut(scheme, ".")
	var raw []byte
	switch encoding {
	case "B64", "BASE64":
		raw, _ = base64.StdEncoding.DecodeString(rest)
	case "HEX":
		raw, _ = hex.DecodeString(rest)
	}
	switch scheme {
	case "PLAIN", "CLEAR", "CLEARTEXT", "PLAIN-TRUNC":
		if encoding != "" {
			rest = string(raw)
		}
		return "", rest
	case "CRYPT", "MD5":
		return cryptForm(scheme, rest), ""
	case "SHA1":
		scheme = "SHA"
	case "HMAC-MD5":
		scheme = "CRAM-MD5"
	case "PLAIN-MD5":
		scheme = "LDAP-MD5"
	}
	return "{" + scheme + "}" + formOf(scheme, rest, raw), ""
}

// splitScheme: without braces the scheme is CRYPT, as in every passwd-file of Dovecot's unless its configuration says otherwise.
func splitScheme(text string) (scheme, hash string) {
	if scheme, hash, ok := strings.Cut(strings.TrimPrefix(text, "{"), "}"); ok && strings.HasPrefix(text, "{") {
		return strings.ToUpper(scheme), hash
	}
	return "CRYPT", text
}

// cryptForm names the scheme that a string of crypt(3) is of.
func cryptForm(scheme, hash string) string {
	for _, known := range []struct{ prefix, scheme string }{
		{"$1$", "MD5-CRYPT"}, {"$5$", "SHA256-CRYPT"}, {"$6$", "SHA512-CRYPT"}, {"$2", "BLF-CRYPT"}, {"$y$", "YESCRYPT"}, {"$7$", "SCRYPT"},
	} {
		if strings.HasPrefix(hash, known.prefix) {
			return "{" + known.scheme + "}" + hash
		}
	}
	if scheme == "MD5" {
		return "{LDAP-MD5}" + formOf("LDAP-MD5", hash, nil)
	}
	if strings.ContainsAny(hash, "*!") || len(hash) < 13 {
		return "{LOCKED}" + hash
	}
	return "{DES-CRYPT}" + hash
}

// digestLength has the digests that are written in base 64, or in hexadecimal where the length says so.
var digestLength = map[string]int{"LDAP-MD5": 16, "SHA": 20, "SHA256": 32, "SHA512": 64, "SMD5": 16, "SSHA": 20, "SSHA256": 32, "SSHA512": 64}

// formOf writes a hash as its scheme has it; raw is it decoded, if an encoding was named.
func formOf(scheme, hash string, raw []byte) string {
	length, digest := digestLength[scheme]
	switch {
	case !digest && raw == nil:
		return hash
	case scheme == "CRAM-MD5":
		return hex.EncodeToString(raw)
	case !digest:
		return string(raw)
	}
	if raw == nil && len(hash) == 2*length {
		raw, _ = hex.DecodeString(hash)
	}
	if raw == nil {
		return hash
	}
	return base64.StdEncoding.EncodeToString(raw)
}
