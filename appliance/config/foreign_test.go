package config

import (
	"path/filepath"
	"strings"
	"testing"
)

var foreignHashes = []struct {
	hash  Secret
	kind  string
	fault string // part of it; "": there is none
}{
	{"{SHA}fYgB7jePDStr5AjElYUfTM/RX/w=", "SHA 0 0 0", ""},
	{"{SSHA}S/U3s36elLwyKi6F3JaSzMazIG799fGH", "SSHA 0 0 0", ""},
	{"{SSHA}fYgB7jePDStr5AjElYUfTM/RX/w=", "", "no hash of the scheme SSHA"}, // no salt
	{"{SHA}S/U3s36elLwyKi6F3JaSzMazIG799fGH", "", "no hash of the scheme SHA"},
	{"{SHA}fYgB7jePDStr5AjElYUfTM/RX", "", "no hash"},
	{"{MD5-CRYPT}$1$Z/UkrBRK$XvfgVnu9JcTl6e1UupTyz.", "MD5-CRYPT 0 0 0", ""},
	{"{MD5-CRYPT}$1$Z/UkrBRK1$XvfgVnu9JcTl6e1UupTyz.", "", "no hash"},
	{"{SHA256-CRYPT}$5$/0VqEwCbgERj3JmX$hE8gY01Je.8xs0lfVpaTSsMquTEVYDWiOxenWO7z1v9", "SHA256-CRYPT 5000 0 0", ""},
	{"{SHA512-CRYPT}$6$rounds=7000$HnUiqAej8PTDU0ru$dUwCaQfm9yPxjXhRzBhyc8tjQT2p2oWoUeYGfNua6SYiAIPjIOGdyS2xFiy/OSfbFkfVj.AHosSP7HST4O9cj0", "SHA512-CRYPT 7000 0 0", ""},
	{"{SHA512-CRYPT}$6$rounds=700001$HnUiqAej8PTDU0ru$dUwCaQfm9yPxjXhRzBhyc8tjQT2p2oWoUeYGfNua6SYiAIPjIOGdyS2xFiy/OSfbFkfVj.AHosSP7HST4O9cj0", "", "more work"},
	{"{SHA512-CRYPT}$6$rounds=999$HnUiqAej8PTDU0ru$dUwCaQfm9yPxjXhRzBhyc8tjQT2p2oWoUeYGfNua6SYiAIPjIOGdyS2xFiy/OSfbFkfVj.AHosSP7HST4O9cj0", "", "no hash"},
	{"{BLF-CRYPT}$2y$05$YjbhoMICVKnexY4IQWY6Cu6549JHcEmI1tINt8S.IYq3rNHg5Uk9y", "BLF-CRYPT 5 0 0", ""},
	{"{BLF-CRYPT}$2y$14$YjbhoMICVKnexY4IQWY6Cu6549JHcEmI1tINt8S.IYq3rNHg5Uk9y", "", "more work"},
	{"{BLF-CRYPT}$2y$99$YjbhoMICVKnexY4IQWY6Cu6549JHcEmI1tINt8S.IYq3rNHg5Uk9y", "", "no hash"},
	{"{CRAM-MD5}19ce1032ce1c7ec6d5ccb1db0e9fe5b4b6db11568ec4361f7fd78685070d94dc", "CRAM-MD5 0 0 0", ""},
	{"{CRAM-MD5}19ce1032", "", "no hash"},
	{"{PBKDF2}$1$xQNvBCEO8Q0mGe1P$5000$9410985715a82b2efa9aef2e4bc557af77f7a186", "PBKDF2 5000 0 0", ""},
	{"{PBKDF2}$1$xQNvBCEO8Q0mGe1P$99999999$9410985715a82b2efa9aef2e4bc557af77f7a186", "", "more work"},
	{"{PBKDF2}$2$xQNvBCEO8Q0mGe1P$5000$9410985715a82b2efa9aef2e4bc557af77f7a186", "", "no hash"},
	{"{SCRAM-SHA-256}4096,hpfTPiMfexEBLB+3fLDCOQ==,+NOUHr4egOyuXZ2oPrAN8yaG0EO+J2j6IqFkKzwabs8=,GVLWkxs5udl55uMzfFW/kQxQdOJ6M0mg6dCvgo6WKus=", "SCRAM-SHA-256 4096 0 0", ""},
	{"{SCRAM-SHA-256}-1,hpfTPiMfexEBLB+3fLDCOQ==,+NOUHr4egOyuXZ2oPrAN8yaG0EO+J2j6IqFkKzwabs8=,GVLWkxs5udl55uMzfFW/kQxQdOJ6M0mg6dCvgo6WKus=", "", "no hash"},
	{"{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$VO4No59V4vg7hgZP1ltcBQ$KemdsLieFMTLVAM+d/erpd7lhjVfKbRA1GfoIW3XbN8", "ARGON2ID 3 65536 1", ""},
	{"{ARGON2ID}$argon2id$v=19$m=65537,t=3,p=1$VO4No59V4vg7hgZP1ltcBQ$KemdsLieFMTLVAM+d/erpd7lhjVfKbRA1GfoIW3XbN8", "", "more work"},
	{"{ARGON2ID}$argon2id$v=19$m=65536,t=9,p=1$VO4No59V4vg7hgZP1ltcBQ$KemdsLieFMTLVAM+d/erpd7lhjVfKbRA1GfoIW3XbN8", "", "more work"},
	{"{ARGON2ID}$argon2i$v=19$m=65536,t=3,p=1$VO4No59V4vg7hgZP1ltcBQ$KemdsLieFMTLVAM+d/erpd7lhjVfKbRA1GfoIW3XbN8", "", "no hash"},
	{"{ARGON2ID}$argon2id$v=19$m=65536,t=0,p=1$VO4No59V4vg7hgZP1ltcBQ$KemdsLieFMTLVAM+d/erpd7lhjVfKbRA1GfoIW3XbN8", "", "no hash"},
	{"{DES-CRYPT}ZdbwAXEMIm9TA", "", "scheme DES-CRYPT, which cannot be checked"},
	{"{PLAIN}secret", "", "scheme PLAIN, which cannot be checked"},
	{"{ssha}S/U3s36elLwyKi6F3JaSzMazIG799fGH", "", "cannot be checked"},
	{"{SSHA", "", "in the form {SCHEME}hash"},
	{"SSHA}S/U3s36elLwyKi6F3JaSzMazIG799fGH", "", "in the form {SCHEME}hash"},
	{"{SSHA}S/U3s36elLwyKi6F3JaSzMazIG799fGH ", "", "no hash"},
	{"{MD5-CRYPT}$1$Z\x00UkrBRK$XvfgVnu9JcTl6e1UupTyz.", "", "no hash"},
}

func TestParseForeign(t *testing.T) {
	t.Parallel()
	for _, tt := range foreignHashes {
		f, err := ParseForeign(tt.hash)
		if tt.fault != "" {
			if err == nil || !strings.Contains(err.Error(), tt.fault) {
				t.Errorf("%q: %v, want %q", tt.hash.Reveal(), err, tt.fault)
			}
			continue
		}
		if err != nil || f.Kind() != tt.kind || f.Secret() != tt.hash {
			t.Errorf("%q: kind %q, %v", tt.hash.Reveal(), f.Kind(), err)
		}
	}
}

// FuzzParseForeign: whatever is accepted can be kept in the file, is read again as it was, and does not ask for too much.
func FuzzParseForeign(f *testing.F) {
	for _, tt := range foreignHashes {
		f.Add(tt.hash.Reveal())
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, err := ParseForeign(Secret(text))
		if err != nil {
			return
		}
		if h.Secret().Reveal() != text || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("%q is %q", text, h.Secret().Reveal())
		}
		if h.Rounds > maxForeignRounds || uint64(h.Memory)*uint64(h.Rounds) > maxForeignArgon || h.Memory > maxArgonMemory {
			t.Errorf("%q asks for %d rounds and %d KiB", text, h.Rounds, h.Memory)
		}
	})
}

func TestValidateForeignPasswords(t *testing.T) {
	t.Parallel()
	c := millers(t)
	c.People[0].Password = "{SSHA}S/U3s36elLwyKi6F3JaSzMazIG799fGH"
	c.People = append(c.People, Person{Name: "zoe", Password: NoPassword})
	if err := c.Validate(); err != nil {
		t.Errorf("%v", err)
	}
	path := filepath.Join(t.TempDir(), FileName)
	if err := Save(path, c); err != nil {
		t.Fatal(err)
	}
	back, err := Load(path)
	if err != nil || !back.Equal(c) || back.People[0].Password != c.People[0].Password {
		t.Errorf("read back: %v", err)
	}
	for i := range 10 {
		c.People = append(c.People, Person{Name: "kind" + string(rune('a'+i)), Password: Secret("{PBKDF2}$1$salt$500" + string(rune('0'+i)) + "$9410985715a82b2efa9aef2e4bc557af77f7a186")})
	}
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "kinds of hashes") {
		t.Errorf("eleven kinds of hashes: %v", err)
	}
}
