package accounts

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"letterbox/appliance/config"
)

func TestHashPassword(t *testing.T) {
	t.Parallel()
	hash, err := HashPassword("Zürich am See") // composed
	if err != nil {
		t.Fatal(err)
	}
	h, err := config.ParseArgon2id(hash)
	if err != nil {
		t.Fatal(err)
	}
	if h.Memory != 7168 || h.Time != 5 || h.Lanes != 1 || len(h.Salt) != 16 || len(h.Key) != 32 {
		t.Errorf("the hash has other parameters: m=%d,t=%d,p=%d", h.Memory, h.Time, h.Lanes)
	}
	for password, want := range map[string]bool{
		"Zürich am See":             true,
		"Zu\u0308rich am See":       true, // decomposed, as some keyboards type it
		"Zürich\u00a0am\u2003See":   true, // other spaces
		"zürich am See":             false,
		"Zürich am See ":            false,
		"":                          false,
		"Z\xfcrich am See":          false, // Latin-1
		"Zurich am See":             false,
		"Zürich am See\x00and then": false,
	} {
		if got := newHasher().verify(hash, nil, password); got != want {
			t.Errorf("%q: %v", password, got)
		}
	}
	again, err := HashPassword("Zürich am See")
	if err != nil || again == hash {
		t.Errorf("the same hash again, %v", err)
	}
}

// TestKnownHash keeps passwords working that earlier versions have stored.
func TestKnownHash(t *testing.T) {
	t.Parallel()
	const hash = "$argon2id$v=19$m=7168,t=5,p=1$AAECAwQFBgcICQoLDA0ODw$tFWBGYVQWYldJs55Ny3C/FemDveHTqsi/Dpxz7sjU0Y"
	if !newHasher().verify(hash, nil, "correct horse battery") {
		t.Error("the password does not fit its hash")
	}
}

func TestEmptyHashFitsNothing(t *testing.T) {
	t.Parallel()
	for _, hash := range []config.Secret{"", "nonsense"} {
		for _, password := range []string{"", "x", string(make([]byte, 32))} {
			if newHasher().verify(hash, nil, password) {
				t.Errorf("%q fits %q", password, hash.Reveal())
			}
		}
	}
}

func TestCheckPassword(t *testing.T) {
	t.Parallel()
	tests := []struct {
		person, password string
		fault            string // part of the sentence; "": accepted
	}{
		{"ann", "correct horse battery", ""},
		{"ann", "Qx7!mZ2#pL", ""},
		{"ann", "Öl im Getriebe", ""},
		{"ann", "banana split", ""}, // ann is in it, but much else
		{"ann", strings.Repeat("words and ", 25) + "words", ""},
		{"ann", "", "too short"},
		{"ann", "123456789", "too short"},
		{"ann", "öööööüüüü", "too short"}, // nine characters, eighteen octets
		{"ann", strings.Repeat("long words ", 24), "too long"},
		{"ann", "annannann1", "the name"},
		{"josephine", "Josephine-01", "the name"},
		{"ann", "1234567890", "guess"},
		{"ann", "Password123", "guess"},
		{"ann", "passwort!!", "guess"},
		{"ann", "letterbox2026", "guess"},
		{"ann", "qwertyuiop", "guess"},
		{"ann", "aaaaaaaaaaaa", "guess"},
		{"ann", "abababababab", "guess"},
		{"ann", "correct horse\n", "control"},
		{"ann", "correct\x00horse", "control"},
		{"ann", " correct horse", "space"},
		{"ann", "correct horse ", "space"},
		{"ann", "correct h\xffrse", "no text"},
		{"", "correct horse battery", ""},
	}
	for _, test := range tests {
		t.Run(test.password, func(t *testing.T) {
			t.Parallel()
			err := CheckPassword(test.person, test.password)
			if test.fault == "" && err == nil {
				return
			}
			if err == nil || test.fault == "" || !strings.Contains(err.Error(), test.fault) {
				t.Errorf("%v, want %q", err, test.fault)
			}
		})
	}
}

// TestKnownDevice keeps device passwords working that earlier versions have made.
func TestKnownDevice(t *testing.T) {
	t.Parallel()
	hash, err := hashDevice(deviceKey, "0123 4567 89ab cdef ghjk mnpq rstv")
	if err != nil {
		t.Fatal(err)
	}
	if want := "429b4a749d07da2be2cc1fc9111e627f310fc9d0f34086b3fa608a68f6c02aac"; hash.Reveal() != want {
		t.Errorf("the hash is %s, want %s", hash.Reveal(), want)
	}
}

func TestNewDevice(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 31, 12, 0, 0, 500, time.FixedZone("", 3600))
	d, password, err := NewDevice(deviceKey, "Ann's phone", now)
	if err != nil {
		t.Fatal(err)
	}
	if d.Name != "Ann's phone" || !d.Created.Equal(now.Truncate(time.Second)) || d.Created.Location() != time.UTC {
		t.Errorf("%+v", d)
	}
	if len(password) != 34 || len(strings.Fields(password)) != 7 {
		t.Errorf("the password is %q", password)
	}
	other, _, err := NewDevice(deviceKey, "Ann's phone", now)
	if err != nil || other.Hash == d.Hash {
		t.Errorf("the same password twice, %v", err)
	}
	if _, _, err := NewDevice("", "Ann's phone", now); err == nil {
		t.Error("a device was made without a key")
	}
}

// TestTypingDevicePasswords types device passwords in all the ways people do.
func TestTypingDevicePasswords(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.StringOfN(rapid.RuneFrom([]rune(deviceAlphabet)), deviceLength, deviceLength, -1).Draw(t, "password")
		var typed strings.Builder
		for _, r := range plain {
			switch rapid.IntRange(0, 5).Draw(t, "how") {
			case 0:
				typed.WriteString(strings.ToUpper(string(r)))
			case 1:
				typed.WriteString(" " + string(r))
			case 2:
				typed.WriteString(string(r) + "-")
			case 3:
				typed.WriteString(strings.NewReplacer("0", "O", "1", "l").Replace(string(r)))
			case 4:
				typed.WriteString(strings.NewReplacer("0", "o", "1", "I").Replace(string(r)))
			default:
				typed.WriteRune(r)
			}
		}
		if got, ok := foldDevice(typed.String()); !ok || got != plain {
			t.Fatalf("%q was read as %q, %v", typed.String(), got, ok)
		}
	})
	for _, alien := range []string{"", "0123", strings.Repeat("0", 27), strings.Repeat("0", 29), strings.Repeat("u", 28), strings.Repeat("é", 14), strings.Repeat(" ", 1<<20)} {
		if _, ok := foldDevice(alien); ok {
			t.Errorf("%.40q is taken for a device password", alien)
		}
	}
}
