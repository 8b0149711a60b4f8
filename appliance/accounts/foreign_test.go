package accounts

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"letterbox/appliance/config"
)

// dovecotHashes are what Dovecot 2.3.19 (doveadm pw) made of foreignPassword.
var dovecotHashes = []config.Secret{
	"{SHA}fYgB7jePDStr5AjElYUfTM/RX/w=",
	"{SHA256}0lxjobMhL61ICus/+lU3gUg6gjJjcpFt8mNnEbf3hwg=",
	"{SHA512}4PxgreEtXv7HlcbgrfVbOoKPhKdrRyUw8gGGvoYTFmeeohIB4XPgy2CcEDQe4Tcq3IFa75HLGOx8mzF5V1eGuQ==",
	"{SMD5}NmKBjYQI2u+TapO6eS4L6Ogkph0=",
	"{SSHA}S/U3s36elLwyKi6F3JaSzMazIG799fGH",
	"{SSHA256}1OpcmJSR0k1g212RUxhxwDuHO5R1pc6LVRGtRAi8mGYV/dRv",
	"{SSHA512}kCeIsFxGDb2q8KDsCRj/QRN1voCE2xTV8VE/cdBrGQJSQdfW4XDL7iyHllPfVKXYnozxMjB/UHS5H30RFC/dXbdrSfk=",
	"{LDAP-MD5}C4PLDl17VORkNd3EPStPlQ==",
	"{CRAM-MD5}19ce1032ce1c7ec6d5ccb1db0e9fe5b4b6db11568ec4361f7fd78685070d94dc",
	"{MD5-CRYPT}$1$Z/UkrBRK$XvfgVnu9JcTl6e1UupTyz.",
	"{SHA256-CRYPT}$5$/0VqEwCbgERj3JmX$hE8gY01Je.8xs0lfVpaTSsMquTEVYDWiOxenWO7z1v9",
	"{SHA512-CRYPT}$6$osEj.B5NuOEUflIN$p2kNDTCS5zVSRJp72lIiJ5iwZI5bvIYcOdkw7EgXC9NxllU2/EK7urJpMeJiX53p2RdDNaZfssmaVpwJoOMWK.",
	"{BLF-CRYPT}$2y$05$YjbhoMICVKnexY4IQWY6Cu6549JHcEmI1tINt8S.IYq3rNHg5Uk9y",
	"{PBKDF2}$1$xQNvBCEO8Q0mGe1P$5000$9410985715a82b2efa9aef2e4bc557af77f7a186",
	"{SCRAM-SHA-1}4096,i2z5I4buF+yukE6Wp39mkA==,GahNCwlQ4Vrqhi6TrHdXm6NGMfE=,cvaORuTv7wTH5edpt9oZSGtHuHE=",
	"{SCRAM-SHA-256}4096,hpfTPiMfexEBLB+3fLDCOQ==,+NOUHr4egOyuXZ2oPrAN8yaG0EO+J2j6IqFkKzwabs8=,GVLWkxs5udl55uMzfFW/kQxQdOJ6M0mg6dCvgo6WKus=",
	"{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$6BOT51z4bMauUWoXjRSS+A$hKWPELXmjqxd5BFmZhykBGyjcuFzKUJIBJeJ6usGfcI",
	"{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$VO4No59V4vg7hgZP1ltcBQ$KemdsLieFMTLVAM+d/erpd7lhjVfKbRA1GfoIW3XbN8",
}

const foreignPassword = "Gänse füßchen"

func TestForeignHashes(t *testing.T) {
	t.Parallel()
	for _, hash := range dovecotHashes {
		f, err := config.ParseForeign(hash)
		if err != nil {
			t.Errorf("%s: %v", hash.Reveal(), err)
			continue
		}
		t.Run(f.Scheme, func(t *testing.T) {
			t.Parallel()
			for password, want := range map[string]bool{
				foreignPassword:             true,
				"gänse füßchen":             false,
				foreignPassword + " ":       false,
				"":                          false,
				"Ga\u0308nse fu\u0308ßchen": false, // other octets: the other server did not know better
			} {
				if got := fits(f, password); got != want {
					t.Errorf("%q: %v", password, got)
				}
			}
		})
	}
}

// TestLongForeignPassword: what HMAC and Blowfish do with more than a block of theirs (doveadm pw).
func TestLongForeignPassword(t *testing.T) {
	t.Parallel()
	const long = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, hash := range []config.Secret{
		longCRAM,
		longBlowfish,
	} {
		f, err := config.ParseForeign(hash)
		if err != nil || !fits(f, long) || fits(f, long[1:]) {
			t.Errorf("%s: %v", hash.Reveal(), err)
		}
	}
}

const (
	longCRAM     = "{CRAM-MD5}8bed2108a05104a9e18939e47b4abfb79804207e26b229ab03ffbdeb6e3ed4fb"
	longBlowfish = "{BLF-CRYPT}$2y$04$AX3HPpRjz3ox0d4ILra.JOKks6K2zRFfnEut09UYK/aeBFudiBI/u"
)

// withForeign is the household with dan, eve and finn, who come from another server.
func withForeign(t testing.TB) config.Config {
	t.Helper()
	c := millers(t)
	for name, hash := range map[string]config.Secret{
		"dan":  "{SHA512-CRYPT}$6$osEj.B5NuOEUflIN$p2kNDTCS5zVSRJp72lIiJ5iwZI5bvIYcOdkw7EgXC9NxllU2/EK7urJpMeJiX53p2RdDNaZfssmaVpwJoOMWK.",
		"eve":  "{SSHA}S/U3s36elLwyKi6F3JaSzMazIG799fGH",
		"finn": "{SHA512-CRYPT}$6$HnUiqAej8PTDU0ru$" + config.Secret(strings.Repeat(".", 86)),
		"gina": config.NoPassword,
	} {
		c.People = append(c.People, config.Person{Name: name, Password: hash})
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestForeignWorkIsTheSame: whoever signs in, known or not, a hash of each kind is computed.
func TestForeignWorkIsTheSame(t *testing.T) {
	t.Parallel()
	a := millersAccounts(t)
	a.Apply(withForeign(t))
	var computed []string
	a.hasher.fits = func(f config.Foreign, password string) bool {
		computed = append(computed, f.Scheme)
		return fits(f, password)
	}
	for login, want := range map[string]error{
		"dan": nil, "eve": nil, "finn": ErrCredentials, "gina": ErrCredentials, "ann": ErrCredentials, "nobody": ErrCredentials, "dan@example.org": nil,
	} {
		computed = nil
		a.Apply(withForeign(t)) // nothing is known from before
		if _, err := a.SignIn(t.Context(), login, foreignPassword, home); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", login, err, want)
		}
		if slices.Sort(computed); !slices.Equal(computed, []string{"SHA512-CRYPT", "SSHA"}) {
			t.Errorf("for %s the hashes computed are %q", login, computed)
		}
	}
}

// renewing runs a's renewals, and hands them to replace.
func renewing(t *testing.T, a *Accounts, replace func(person string, was, now config.Secret)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx, replace) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestForeignHashIsRenewed once, at the first sign-in, and what was signed in to stays right whenever the hash changes.
func TestForeignHashIsRenewed(t *testing.T) {
	t.Parallel()
	a := millersAccounts(t)
	c := withForeign(t)
	a.Apply(c)
	replaced := make(chan string, 10)
	renewing(t, a, func(person string, was, now config.Secret) {
		i, _ := c.Person(person)
		if c.People[i].Password != was {
			t.Errorf("%s had another hash", person)
		}
		c = c.Clone()
		c.People[i].Password = now
		a.Apply(c)
		replaced <- person
	})
	var signing sync.WaitGroup
	for range 8 { // a mail program opens several connections at once
		signing.Go(func() {
			if person, err := a.SignIn(t.Context(), "Dan", foreignPassword, home); person != "dan" || err != nil {
				t.Errorf("%q, %v", person, err)
			}
		})
	}
	if got := <-replaced; got != "dan" {
		t.Errorf("%s has a new hash", got)
	}
	signing.Wait()
	i, _ := c.Person("dan")
	if _, err := config.ParseArgon2id(c.People[i].Password); err != nil {
		t.Errorf("the new hash %v", err)
	}
	if _, err := a.SignIn(t.Context(), "dan", foreignPassword, home); err != nil {
		t.Error(err)
	}
	if _, err := a.SignIn(t.Context(), "dan", "something else", home); !errors.Is(err, ErrCredentials) {
		t.Errorf("another password: %v", err)
	}
	if _, err := a.SignIn(t.Context(), "eve", foreignPassword, home); err != nil {
		t.Error(err)
	}
	if got := <-replaced; got != "eve" {
		t.Errorf("%s has a new hash; dan's was replaced again", got)
	}
	if n := len(a.people.Load().foreign); n != 1 {
		t.Errorf("%d kinds of hashes are left, want finn's", n)
	}
}

// TestRenewedWhileSigningIn: between the check of the old hash and the end of it the new one comes.
func TestRenewedWhileSigningIn(t *testing.T) {
	t.Parallel()
	a := millersAccounts(t)
	c := withForeign(t)
	a.Apply(c)
	renewed := c.Clone()
	i, _ := c.Person("eve")
	renewed.People[i].Password = cheap(foreignPassword)
	changed := c.Clone()
	changed.People[i].Password = cheap("of another kind")
	for _, next := range []struct {
		config config.Config
		want   error
	}{{renewed, nil}, {changed, ErrCredentials}} {
		a.Apply(c)
		once := sync.OnceFunc(func() { a.Apply(next.config) })
		a.hasher.fits = func(f config.Foreign, password string) bool {
			right := fits(f, password)
			once()
			return right
		}
		if _, err := a.SignIn(t.Context(), "eve", foreignPassword, home); !errors.Is(err, next.want) {
			t.Errorf("%v, want %v", err, next.want)
		}
	}
}

// TestNotRenewed: a wrong password changes nothing, nor does one that was replaced meanwhile.
func TestNotRenewed(t *testing.T) {
	t.Parallel()
	a := millersAccounts(t)
	a.Apply(withForeign(t))
	if _, err := a.SignIn(t.Context(), "dan", "wrong", home); !errors.Is(err, ErrCredentials) {
		t.Error(err)
	}
	if _, err := a.SignIn(t.Context(), "ann", annPassword, home); err != nil {
		t.Error(err)
	}
	if n := len(a.renewer.waiting); n != 0 {
		t.Errorf("%d hashes wait to be replaced", n)
	}
	if _, err := a.SignIn(t.Context(), "eve", foreignPassword, home); err != nil {
		t.Error(err)
	}
	c := withForeign(t)
	i, _ := c.Person("eve")
	c.People[i].Password = cheap("given to her just now")
	a.Apply(c)
	if _, err := a.SignIn(t.Context(), "dan", foreignPassword, home); err != nil {
		t.Error(err)
	}
	replaced := make(chan string, 2)
	renewing(t, a, func(person string, _, _ config.Secret) { replaced <- person })
	if got := <-replaced; got != "dan" {
		t.Errorf("%s, whose password is another now, got a hash of the old one", got)
	}
}
