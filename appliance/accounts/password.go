package accounts

import (
	"crypto/rand"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"letterbox/appliance/config"
)

// argonCost is what a password costs: the least memory among OWASP's equal choices for
// argon2id, for a first Raspberry Pi has 256 MB for everything.
func argonCost() config.Argon2id { return config.Argon2id{Memory: 7 << 10, Time: 5, Lanes: 1} }

// Octets of a salt and of a key.
const (
	argonSalt = 16
	argonKey  = 32
)

// What a person's own password may be.
const (
	minPassword = 10  // characters
	maxPassword = 256 // octets
)

// HashPassword makes the hash of a new password that CheckPassword has accepted. It
// takes a few MiB, and up to seconds on a small box.
func HashPassword(password string) (config.Secret, error) {
	h := argonCost()
	h.Salt = make([]byte, argonSalt)
	if _, err := rand.Read(h.Salt); err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	h.Key = derive(h, password, argonKey)
	debug.FreeOSMemory()
	return h.PHC(), nil
}

// CheckPassword returns nil if this is good enough as the person's own password, or
// else a sentence that says what is wrong with it.
func CheckPassword(person, password string) error {
	folded := strings.ToLower(password)
	switch {
	case !utf8.ValidString(password):
		return errors.New("the password holds bytes that are no text")
	case strings.ContainsFunc(password, unicode.IsControl):
		return errors.New("the password holds a line break or another control character")
	case utf8.RuneCountInString(password) < minPassword:
		return fmt.Errorf("the password is too short: it needs at least %d characters", minPassword)
	case len(normalize(password)) > maxPassword || len(password) > maxPassword:
		return fmt.Errorf("the password is too long: it may have at most %d bytes", maxPassword)
	case password != strings.TrimSpace(password):
		return errors.New("the password begins or ends with a space, which is easily lost")
	case isMostly(folded, strings.ToLower(person)):
		return errors.New("the password is little more than the name")
	case isWorst(folded) || distinct(folded) < 4:
		return errors.New("the password is one of the first that anybody would guess")
	}
	return nil
}

// isMostly says whether little is left of a password without the name.
func isMostly(password, name string) bool {
	const little = 6
	return name != "" && strings.Contains(password, name) && len(strings.ReplaceAll(password, name, "")) < little
}

func distinct(s string) int {
	seen := map[rune]bool{}
	for _, r := range s {
		seen[r] = true
	}
	return len(seen)
}

// isWorst says whether a folded password is among the worst of those long enough: one
// of these words, with nothing but digits and signs behind it, or a row of keys.
func isWorst(password string) bool {
	word := strings.TrimRightFunc(password, func(r rune) bool { return !unicode.IsLetter(r) })
	switch word {
	case "password", "passwort", "passw0rd", "motdepasse", "wachtwoord", "letterbox", "letmein", "welcome", "changeme", "iloveyou", "qwerty", "administrator", "admin":
		return true
	}
	for _, row := range []string{"1234567890123456789", "9876543210987654321", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop[]", "qwertzuiopü+", "azertyuiop", "1q2w3e4r5t6y7u8i9o0p", "1qaz2wsx3edc4rfv"} {
		if strings.HasPrefix(row, password) {
			return true
		}
	}
	return false
}

// normalize gives a password one form, whatever keyboard it was typed on: RFC 8265,
// 4.2.2 (OpaqueString), as far as no password that was accepted is changed in meaning.
func normalize(password string) string {
	if !utf8.ValidString(password) {
		return password
	}
	return norm.NFC.String(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Zs, r) {
			return ' '
		}
		return r
	}, password))
}

func derive(h config.Argon2id, password string, length int) []byte {
	return argon2.IDKey([]byte(normalize(password)), h.Salt, h.Time, h.Memory, h.Lanes, uint32(length))
}
