package config

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// NoPassword stands in place of a password hash for somebody who cannot sign in before they are given a password.
const NoPassword Secret = "none"

// Foreign is a password hash that another mail server made, in the form that Dovecot gives it: "{SCHEME}" and the hash. It
// stays until the person signs in for the first time.
type Foreign struct {
	Scheme string // as in the braces
	Hash   string // what stands behind them
	Rounds int    // of the computation; of BLF-CRYPT 2 to the power of Rounds
	Memory uint32 // KiB, only of ARGON2I and ARGON2ID
	Lanes  uint8  // likewise
	Salt   []byte // as the schemes have them that are not of crypt(3)
	Key    []byte
}

// Kind is the same for hashes that cost the same to check.
func (f Foreign) Kind() string {
	return fmt.Sprintf("%s %d %d %d", f.Scheme, f.Rounds, f.Memory, f.Lanes)
}

// Secret writes what ParseForeign reads.
func (f Foreign) Secret() Secret { return Secret("{" + f.Scheme + "}" + f.Hash) }

// What a foreign hash may ask of a small box, about a second of a large one.
const (
	maxForeignRounds   = 700_000
	maxForeignBlowfish = 13
	maxForeignArgon    = 8 * maxArgonMemory // KiB times passes
)

// MaxForeignKinds is how many kinds of foreign hashes a household may have: each is computed at each attempt to sign in.
const MaxForeignKinds = 8

// errNoForeign says that a text has no scheme in front.
var errNoForeign = errors.New("is not a password hash in the form {SCHEME}hash")

// ParseForeign reads a password hash in one of the forms that can be checked. It refuses those that ask for more than a small box
// can bear. Errors are ends of sentences.
func ParseForeign(s Secret) (Foreign, error) {
	scheme, hash, ok := strings.Cut(strings.TrimPrefix(s.Reveal(), "{"), "}")
	if !ok || !strings.HasPrefix(s.Reveal(), "{") {
		return Foreign{}, errNoForeign
	}
	parse, ok := foreignSchemes[scheme]
	if !ok {
		return Foreign{}, fmt.Errorf("is of the scheme %s, which cannot be checked here", scheme)
	}
	f := Foreign{Scheme: scheme, Hash: hash}
	if strings.ContainsFunc(hash, func(r rune) bool { return r <= ' ' || r > '~' }) || !parse(&f) {
		return Foreign{}, fmt.Errorf("is no hash of the scheme %s", scheme)
	}
	if f.tooDear() {
		return Foreign{}, fmt.Errorf("asks for more work than this program allows for the scheme %s", scheme)
	}
	return f, nil
}

func (f Foreign) tooDear() bool {
	switch f.Scheme {
	case "BLF-CRYPT":
		return f.Rounds > maxForeignBlowfish
	case "ARGON2I", "ARGON2ID":
		return f.Memory > maxArgonMemory || uint64(f.Memory)*uint64(f.Rounds) > maxForeignArgon || f.Lanes > maxArgonLanes
	}
	return f.Rounds > maxForeignRounds
}

// foreignSchemes says how the hashes of each scheme are read. It never changes.
var foreignSchemes = map[string]func(*Foreign) bool{
	"MD5-CRYPT":     func(f *Foreign) bool { return md5Crypt.MatchString(f.Hash) },
	"SHA256-CRYPT":  func(f *Foreign) bool { return f.shaCrypt(sha256Crypt) },
	"SHA512-CRYPT":  func(f *Foreign) bool { return f.shaCrypt(sha512Crypt) },
	"BLF-CRYPT":     (*Foreign).blowfish,
	"LDAP-MD5":      func(f *Foreign) bool { return f.digest(16, false) },
	"SHA":           func(f *Foreign) bool { return f.digest(20, false) },
	"SHA256":        func(f *Foreign) bool { return f.digest(32, false) },
	"SHA512":        func(f *Foreign) bool { return f.digest(64, false) },
	"SMD5":          func(f *Foreign) bool { return f.digest(16, true) },
	"SSHA":          func(f *Foreign) bool { return f.digest(20, true) },
	"SSHA256":       func(f *Foreign) bool { return f.digest(32, true) },
	"SSHA512":       func(f *Foreign) bool { return f.digest(64, true) },
	"CRAM-MD5":      (*Foreign).cramMD5,
	"PBKDF2":        (*Foreign).pbkdf2,
	"SCRAM-SHA-1":   func(f *Foreign) bool { return f.scram(20) },
	"SCRAM-SHA-256": func(f *Foreign) bool { return f.scram(32) },
	"ARGON2I":       func(f *Foreign) bool { return f.argon2("argon2i") },
	"ARGON2ID":      func(f *Foreign) bool { return f.argon2("argon2id") },
}

// The forms of crypt(3).
var (
	md5Crypt    = regexp.MustCompile(`^\$1\$[^$:]{1,8}\$[./0-9A-Za-z]{22}$`)
	sha256Crypt = regexp.MustCompile(`^\$5\$(?:rounds=([1-9][0-9]{3,8})\$)?[^$:]{1,16}\$[./0-9A-Za-z]{43}$`)
	sha512Crypt = regexp.MustCompile(`^\$6\$(?:rounds=([1-9][0-9]{3,8})\$)?[^$:]{1,16}\$[./0-9A-Za-z]{86}$`)
	blfCrypt    = regexp.MustCompile(`^\$2[aby]\$([0-3][0-9])\$[./0-9A-Za-z]{53}$`)
)

// shaCryptRounds is how many rounds SHA-crypt has unless the hash says another number.
const shaCryptRounds = 5000

func (f *Foreign) shaCrypt(form *regexp.Regexp) bool {
	match := form.FindStringSubmatch(f.Hash)
	f.Rounds = shaCryptRounds
	return match != nil && (match[1] == "" || f.readRounds(match[1]))
}

func (f *Foreign) blowfish() bool {
	match := blfCrypt.FindStringSubmatch(f.Hash)
	return match != nil && f.readRounds(match[1]) && f.Rounds >= 4
}

// readRounds reads a decimal number that is not 0.
func (f *Foreign) readRounds(digits string) bool {
	n, err := strconv.ParseUint(digits, 10, 31)
	f.Rounds = int(n)
	return err == nil && n > 0
}

// maxForeignSalt bounds a salt, in octets.
const maxForeignSalt = 64

// digest reads the base 64 of a digest of so many octets, and of a salt behind it if the scheme has one.
func (f *Foreign) digest(octets int, salted bool) bool {
	b, err := base64.StdEncoding.DecodeString(f.Hash)
	if err != nil || len(b) < octets || len(b)-octets > maxForeignSalt || salted != (len(b) > octets) {
		return false
	}
	f.Key, f.Salt = b[:octets], b[octets:]
	return true
}

// cramMD5 reads the two states of MD5 that HMAC-MD5 begins with, in hexadecimal.
func (f *Foreign) cramMD5() bool {
	b, err := hex.DecodeString(f.Hash)
	f.Key = b
	return err == nil && len(b) == 32
}

// pbkdf2 reads $1$salt$rounds$key, the key in hexadecimal.
func (f *Foreign) pbkdf2() bool {
	parts := strings.Split(f.Hash, "$")
	if len(parts) != 5 || parts[0] != "" || parts[1] != "1" || parts[2] == "" || len(parts[2]) > maxForeignSalt {
		return false
	}
	key, err := hex.DecodeString(parts[4])
	f.Salt, f.Key = []byte(parts[2]), key
	return err == nil && len(key) == 20 && f.readRounds(parts[3])
}

// scram reads rounds,salt,stored key,server key, the last three in base 64 (RFC 5803, 2 in other clothes).
func (f *Foreign) scram(octets int) bool {
	parts := strings.Split(f.Hash, ",")
	if len(parts) != 4 || !f.readRounds(parts[0]) {
		return false
	}
	salt, err1 := base64.StdEncoding.DecodeString(parts[1])
	stored, err2 := base64.StdEncoding.DecodeString(parts[2])
	f.Salt, f.Key = salt, stored
	return err1 == nil && err2 == nil && len(salt) > 0 && len(salt) <= maxForeignSalt && len(stored) == octets
}

// argon2 reads the PHC string form of a variant of Argon2.
func (f *Foreign) argon2(variant string) bool {
	h, err := scanArgon2(variant, f.Hash)
	f.Memory, f.Rounds, f.Lanes, f.Salt, f.Key = h.Memory, int(h.Time), h.Lanes, h.Salt, h.Key
	return err == nil && h.Time < 1<<31
}
