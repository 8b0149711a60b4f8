package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Argon2id is a password hash with all that is needed to compute it again (RFC 9106).
type Argon2id struct {
	Memory uint32 // KiB
	Time   uint32 // passes
	Lanes  uint8
	Salt   []byte
	Key    []byte
}

// What Argon2id may ask of a small box, and the least that protects anybody.
const (
	maxArgonMemory = 64 << 10 // KiB
	maxArgonTime   = 20
	maxArgonLanes  = 4
	maxArgonBytes  = 64
	minArgonBytes  = 8
)

var errNotArgon2id = errors.New("is not a password hash in the form $argon2id$v=19$m=...,t=...,p=...$salt$key")

// ParseArgon2id reads the PHC string form. It refuses parameters that a small box could
// not bear, so that a hash in the file can never exhaust its memory.
func ParseArgon2id(s Secret) (Argon2id, error) {
	h, err := scanArgon2("argon2id", s.Reveal())
	if err != nil || h.PHC() != s {
		return Argon2id{}, errNotArgon2id
	}
	if h.Memory > maxArgonMemory || h.Time > maxArgonTime || h.Lanes > maxArgonLanes {
		return Argon2id{}, fmt.Errorf("asks for more than this program allows (at most m=%d, t=%d, p=%d)", maxArgonMemory, maxArgonTime, maxArgonLanes)
	}
	return h, nil
}

// scanArgon2 reads the PHC string form of a variant of Argon2, whatever it asks for.
func scanArgon2(variant, text string) (h Argon2id, err error) {
	var rest string
	if _, err := fmt.Sscanf(text, "$"+variant+"$v=19$m=%d,t=%d,p=%d$%s", &h.Memory, &h.Time, &h.Lanes, &rest); err != nil {
		return Argon2id{}, errNotArgon2id
	}
	if h.Salt, h.Key, err = splitPHC(rest); err != nil {
		return Argon2id{}, err
	}
	if h.Time < 1 || h.Lanes < 1 || h.Memory < 8*uint32(h.Lanes) {
		return Argon2id{}, errNotArgon2id
	}
	return h, nil
}

// PHC writes the PHC string form.
func (h Argon2id) PHC() Secret {
	enc := base64.RawStdEncoding
	return Secret(fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", h.Memory, h.Time, h.Lanes, enc.EncodeToString(h.Salt), enc.EncodeToString(h.Key)))
}

func splitPHC(text string) (salt, key []byte, err error) {
	enc := base64.RawStdEncoding.Strict()
	a, b, _ := strings.Cut(text, "$")
	if salt, err = enc.DecodeString(a); err != nil {
		return nil, nil, err
	}
	if key, err = enc.DecodeString(b); err != nil {
		return nil, nil, err
	}
	for _, n := range []int{len(salt), len(key)} {
		if n < minArgonBytes || n > maxArgonBytes {
			return nil, nil, errNotArgon2id
		}
	}
	return salt, key, nil
}
