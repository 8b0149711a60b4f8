package accounts

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding"
	"encoding/binary"
	"hash"

	"github.com/GehirnInc/crypt/md5_crypt"
	"github.com/GehirnInc/crypt/sha256_crypt"
	"github.com/GehirnInc/crypt/sha512_crypt"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"letterbox/appliance/config"
)

// fits says whether the password fits a hash that another server made. It takes the octets of the password as they are, as that
// server did. The time that it takes depends on f.Kind and on the password.
func fits(f config.Foreign, password string) bool {
	p := []byte(password)
	switch f.Scheme {
	case "MD5-CRYPT":
		return md5_crypt.New().Verify(f.Hash, p) == nil
	case "SHA256-CRYPT":
		return sha256_crypt.New().Verify(f.Hash, p) == nil
	case "SHA512-CRYPT":
		return sha512_crypt.New().Verify(f.Hash, p) == nil
	case "BLF-CRYPT":
		return bcrypt.CompareHashAndPassword([]byte(f.Hash), p) == nil
	case "CRAM-MD5":
		return same(hmacMD5States(p), f.Key)
	case "LDAP-MD5", "SMD5":
		return same(digest(md5.New(), p, f.Salt), f.Key)
	case "SHA", "SSHA":
		return same(digest(sha1.New(), p, f.Salt), f.Key)
	case "SHA256", "SSHA256":
		return same(digest(sha256.New(), p, f.Salt), f.Key)
	case "SHA512", "SSHA512":
		return same(digest(sha512.New(), p, f.Salt), f.Key)
	case "PBKDF2":
		key, err := pbkdf2.Key(sha1.New, password, f.Salt, f.Rounds, len(f.Key))
		return err == nil && same(key, f.Key)
	case "SCRAM-SHA-1":
		return same(scramStoredKey(sha1.New, password, f), f.Key)
	case "SCRAM-SHA-256":
		return same(scramStoredKey(sha256.New, password, f), f.Key)
	case "ARGON2I":
		return same(argon2.Key(p, f.Salt, uint32(f.Rounds), f.Memory, f.Lanes, uint32(len(f.Key))), f.Key)
	case "ARGON2ID":
		return same(argon2.IDKey(p, f.Salt, uint32(f.Rounds), f.Memory, f.Lanes, uint32(len(f.Key))), f.Key)
	}
	return false
}

func same(a, b []byte) bool { return len(b) > 0 && subtle.ConstantTimeCompare(a, b) == 1 }

func digest(h hash.Hash, password, salt []byte) []byte {
	h.Write(password)
	h.Write(salt)
	return h.Sum(nil)
}

// scramStoredKey computes StoredKey (RFC 5802, 3); nil if that cannot be.
func scramStoredKey(h func() hash.Hash, password string, f config.Foreign) []byte {
	salted, err := pbkdf2.Key(h, password, f.Salt, f.Rounds, len(f.Key))
	if err != nil {
		return nil
	}
	mac := hmac.New(h, salted)
	mac.Write([]byte("Client Key"))
	stored := h()
	stored.Write(mac.Sum(nil))
	return stored.Sum(nil)
}

// hmacMD5States computes what a server for CRAM-MD5 keeps: the states of MD5 behind the outer and the inner pad of HMAC-MD5
// (RFC 2195, 2), each four words with the lowest octet first.
func hmacMD5States(password []byte) []byte {
	if len(password) > md5.BlockSize {
		sum := md5.Sum(password)
		password = sum[:]
	}
	var states []byte
	for _, pad := range []byte{0x5c, 0x36} {
		block := bytes.Repeat([]byte{pad}, md5.BlockSize)
		subtle.XORBytes(block, block, password)
		h := md5.New()
		h.Write(block)
		state, err := h.(encoding.BinaryAppender).AppendBinary(nil)
		if err != nil || len(state) < 4+md5.Size {
			return nil
		}
		for words := state[4 : 4+md5.Size]; len(words) > 0; words = words[4:] { // behind four letters that say what it is
			states = binary.LittleEndian.AppendUint32(states, binary.BigEndian.Uint32(words))
		}
	}
	return states
}
