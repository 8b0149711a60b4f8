package accounts

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"letterbox/appliance/config"
)

// Device passwords are 28 characters of 5 random bits each, 140 bits in all, shown as
// seven groups of four. The alphabet is Crockford's base 32: no letter in it looks like
// another, or like a digit.
const (
	deviceAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"
	deviceLength   = 28
	deviceGroup    = 4
)

var errNoDevicePassword = errors.New("this has not the form of a device password")

// NewDevice makes a device with a random password, which is returned for showing it
// once; only its hash, made with the key (Config.DeviceKey), is in the device.
func NewDevice(key config.Secret, name string, now time.Time) (d config.Device, password string, err error) {
	random := make([]byte, deviceLength)
	if _, err := rand.Read(random); err != nil {
		return config.Device{}, "", fmt.Errorf("make a device password: %w", err)
	}
	var b strings.Builder
	for i, r := range random {
		if i > 0 && i%deviceGroup == 0 {
			b.WriteByte(' ')
		}
		b.WriteByte(deviceAlphabet[r%32])
	}
	hash, err := hashDevice(key, b.String())
	if err != nil {
		return config.Device{}, "", fmt.Errorf("make a device password: %w", err)
	}
	return config.Device{Name: name, Created: now.UTC().Truncate(time.Second), Hash: hash}, b.String(), nil
}

// hashDevice makes the hash by which a device password is found. It needs no salt and
// no cost: nobody guesses 140 random bits.
func hashDevice(key config.Secret, password string) (config.Secret, error) {
	plain, ok := foldDevice(password)
	if !ok {
		return "", errNoDevicePassword
	}
	k, err := hex.DecodeString(key.Reveal())
	if err != nil || len(k) != sha256.Size {
		return "", errors.New("the configuration has no key for device passwords")
	}
	mac := hmac.New(sha256.New, k)
	mac.Write([]byte("letterbox device password\x00" + plain))
	return config.Secret(hex.EncodeToString(mac.Sum(nil))), nil
}

// foldDevice brings what somebody typed into the one form of a device password: no
// spaces or hyphens, small letters, and what looks like a digit read as that digit.
func foldDevice(password string) (string, bool) {
	if len(password) > 4*deviceLength {
		return "", false
	}
	plain := strings.Map(func(r rune) rune {
		switch {
		case r == ' ' || r == '\u00a0' || r == '-' || r == '\t':
			return -1
		case 'A' <= r && r <= 'Z':
			r += 'a' - 'A'
		}
		switch r {
		case 'o':
			return '0'
		case 'i', 'l':
			return '1'
		}
		return r
	}, password)
	alien := strings.ContainsFunc(plain, func(r rune) bool { return !strings.ContainsRune(deviceAlphabet, r) })
	return plain, len(plain) == deviceLength && !alien
}
