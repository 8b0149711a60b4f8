package maildir

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// EmailID makes an EMAILID of what identifies a message: its GUID in
// dovecot-uidlist or else its base name. RFC 8474, 4: 1 to 255 of the characters
// A-Z a-z 0-9 _ - . What is one already stays as it is.
func EmailID(guid string) string {
	ok := guid != "" && len(guid) <= 255
	for _, c := range []byte(guid) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-')
	}
	if ok {
		return guid
	}
	sum := sha256.Sum256([]byte(guid))
	return "M" + hex.EncodeToString(sum[:16])
}

// A binName is the name of a message file in the bin: that which it had, with
// what its line in dovecot-uidlist and letterbox-folder said of it behind the
// base name, since the line does not come along:
//
//	<base>[,K=<hex>],G=<guid>:2,<letters>
//
// Most files have neither field and keep their name as it was.
type binName struct {
	Name         // as it was in the folder
	GUID  string // "": the base name identifies the message
	Extra uint64 // keywords without a letter: bit i is the keyword of line i in the bin's letterbox-folder
}

const (
	binGUID  = ",G="
	binExtra = ",K="
)

// file is the name in the bin; not ok when it would be too long. A GUID that
// cannot stand in a name, or makes it too long, becomes the EMAILID that it
// stands for.
func (n binName) file() (file string, ok bool) {
	out := n.Name
	out.HasInfo = true
	if n.GUID == "" && n.Extra == 0 && !strings.Contains(n.Base, binGUID) {
		file = out.File()
		return file, len(file) <= maxDirName
	}
	if n.Extra != 0 || strings.Contains(n.Base, binExtra) {
		out.Base += binExtra + strconv.FormatUint(n.Extra, 16)
	}
	guid := n.GUID
	if guid == "" {
		guid = EmailID(n.Base)
	}
	plain := out.Base
	out.Base = plain + binGUID + guid
	if file = out.File(); len(file) > maxDirName || strings.Contains(guid, binGUID) || strings.ContainsFunc(guid, notInNames) {
		out.Base = plain + binGUID + EmailID(guid)
		file = out.File()
	}
	return file, len(file) <= maxDirName
}

func notInNames(r rune) bool { return r == '/' || r == ':' || r < ' ' || r == 0x7f }

// anew is n with a short base name that no other file has.
func (n binName) anew() binName {
	if n.GUID == "" {
		n.GUID = n.Base
	}
	sizes := n.Sizes()
	digits := n.Base[:len(n.Base)-len(strings.TrimLeft(n.Base, "0123456789"))]
	n.Base = digits[:min(len(digits), 18)] + ".R" + rand.Text()
	if sizes.Physical >= 0 {
		n.Base += ",S=" + strconv.FormatInt(sizes.Physical, 10)
	}
	if sizes.Virtual >= 0 {
		n.Base += ",W=" + strconv.FormatInt(sizes.Virtual, 10)
	}
	return n
}

// parseBinName undoes file.
func parseBinName(file string) binName {
	n := binName{Name: ParseName(file)}
	i := strings.LastIndex(n.Base, binGUID)
	if i < 0 {
		return n
	}
	base, guid := n.Base[:i], n.Base[i+len(binGUID):]
	if i := strings.LastIndex(base, binExtra); i >= 0 {
		if bits, err := strconv.ParseUint(base[i+len(binExtra):], 16, 64); err == nil {
			base, n.Extra = base[:i], bits
		}
	}
	n.Base, n.GUID = base, guid
	return n
}
