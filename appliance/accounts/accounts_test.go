package accounts

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"letterbox/appliance/config"
	"letterbox/appliance/mailaddr"
)

const (
	annPassword = "correct horse battery"
	benPassword = "staple, with a comma"
	deviceKey   = config.Secret("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
)

var home = netip.MustParseAddr("192.168.1.20")

// cheap makes a hash that costs next to nothing.
func cheap(password string) config.Secret {
	h := config.Argon2id{Memory: 8, Time: 1, Lanes: 1, Salt: []byte("some salt for " + password)}
	h.Key = derive(h, password, 32)
	return h.PHC()
}

func address(t testing.TB, s string) mailaddr.Addr {
	t.Helper()
	a, err := mailaddr.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// millers is a household: ann, ben and cleo, who is switched off.
func millers(t testing.TB) config.Config {
	t.Helper()
	c := config.Default()
	c.DeviceKey = deviceKey
	c.Domains = []config.Domain{{Name: "example.org"}, {Name: "xn--bcher-kva.example", CatchAll: "ben"}}
	c.People = []config.Person{
		{Name: "ann", Password: cheap(annPassword)},
		{Name: "ben", Password: cheap(benPassword)},
		{Name: "cleo", Password: cheap("asleep until spring"), Disabled: true},
	}
	c.Aliases = []config.Alias{
		{Address: address(t, "us@example.org"), To: []string{"ann", "ben"}},
		{Address: address(t, "Boss@example.org"), To: []string{"ann"}},
		{Address: address(t, "ann+shop@example.org"), To: []string{"ben"}},
		{Address: address(t, "abuse@xn--bcher-kva.example"), To: []string{"ben"}},
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return c
}

func millersAccounts(t testing.TB) *Accounts {
	t.Helper()
	a := New(Options{})
	a.hasher.nobody.Memory, a.hasher.nobody.Time = 8, 1
	a.Apply(millers(t))
	return a
}

// withDevice adds a device to somebody and returns its password.
func withDevice(t testing.TB, c *config.Config, person int) string {
	t.Helper()
	d, password, err := NewDevice(deviceKey, "phone", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c.People[person].Devices = append(c.People[person].Devices, d)
	return password
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	c := millers(t)
	annDevice, cleoDevice := withDevice(t, &c, 0), withDevice(t, &c, 2)
	a := New(Options{})
	a.Apply(c)
	tests := []struct {
		name, login, password string
		person                string
		err                   error
	}{
		{"name", "ann", annPassword, "ann", nil},
		{"name in capitals, with spaces", " ANN ", annPassword, "ann", nil},
		{"main address", "ann@example.org", annPassword, "ann", nil},
		{"main address in capitals", "Ann@Example.ORG", annPassword, "ann", nil},
		{"address in the second domain", "ann@bücher.example", annPassword, "ann", nil},
		{"an alias of her own", "boss@example.org", annPassword, "ann", nil},
		{"a shared alias", "us@example.org", annPassword, "", ErrCredentials},
		{"with a detail", "ann+x@example.org", annPassword, "", ErrCredentials},
		{"somebody else's password", "ann", benPassword, "", ErrCredentials},
		{"no password", "ann", "", "", ErrCredentials},
		{"the hash as password", "ann", cheap(annPassword).Reveal(), "", ErrCredentials},
		{"a password with more behind it", "ann", annPassword + "x", "", ErrCredentials},
		{"a huge password", "ann", strings.Repeat("x", 1<<20), "", ErrCredentials},
		{"nobody", "dora", annPassword, "", ErrCredentials},
		{"nobody, and no password", "", "", "", ErrCredentials},
		{"an address elsewhere", "ann@example.com", annPassword, "", ErrCredentials},
		{"a huge login", strings.Repeat("x", 1<<20), "x", "", ErrCredentials},
		{"switched off", "cleo", "asleep until spring", "", ErrDisabled},
		{"switched off, wrong password", "cleo", "awake in the winter", "", ErrCredentials},
		{"device", "ann", annDevice, "ann", nil},
		{"device, by address", "ann@example.org", annDevice, "ann", nil},
		{"device, in capitals without spaces", "ann", strings.ToUpper(strings.ReplaceAll(annDevice, " ", "")), "ann", nil},
		{"device, with hyphens", "ann", strings.ReplaceAll(annDevice, " ", "-"), "ann", nil},
		{"device, one letter short", "ann", annDevice[:len(annDevice)-1], "", ErrCredentials},
		{"somebody else's device", "ben", annDevice, "", ErrCredentials},
		{"device of nobody", "dora", annDevice, "", ErrCredentials},
		{"device of somebody switched off", "cleo", cleoDevice, "", ErrDisabled},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			peer := netip.AddrFrom4([4]byte{10, 0, byte(i), 1}) // a network each: nobody waits
			person, err := a.SignIn(t.Context(), test.login, test.password, peer)
			if person != test.person || !errors.Is(err, test.err) {
				t.Errorf("signed in as %q, %v", person, err)
			}
		})
	}
}

func TestSignInBeforeSetUp(t *testing.T) {
	t.Parallel()
	a := New(Options{})
	if person, err := a.SignIn(t.Context(), "ann", "", netip.Addr{}); !errors.Is(err, ErrCredentials) {
		t.Errorf("signed in as %q, %v", person, err)
	}
	for _, to := range []mailaddr.Addr{address(t, "ann@example.org"), mailaddr.Postmaster(), {}} {
		if people, err := a.Recipients(to); !errors.Is(err, ErrNotOurs) {
			t.Errorf("<%s> is for %v, %v", to, people, err)
		}
	}
	if a.MaySendAs("", mailaddr.Addr{}) || a.MaySendAs("ann", address(t, "ann@example.org")) {
		t.Error("somebody may send")
	}
}

func TestApplyIsInForceAtOnce(t *testing.T) {
	t.Parallel()
	c := millers(t)
	device := withDevice(t, &c, 0)
	a := New(Options{})
	a.Apply(c)
	signIn := func(login, password string) error {
		_, err := a.SignIn(t.Context(), login, password, home)
		return err
	}
	if err := errors.Join(signIn("ann", annPassword), signIn("ann", device), signIn("ben", benPassword)); err != nil {
		t.Fatal(err)
	}
	c.People[0].Password, c.People[0].Devices = cheap("another password"), nil // the accounts have a copy
	if err := errors.Join(signIn("ann", annPassword), signIn("ann", device)); err != nil {
		t.Fatal(err)
	}
	c.People = c.People[:1]
	a.Apply(c)
	for _, old := range [][2]string{{"ann", annPassword}, {"ann", device}, {"ben", benPassword}} {
		if err := signIn(old[0], old[1]); !errors.Is(err, ErrCredentials) {
			t.Errorf("%s with a password that is no more: %v", old[0], err)
		}
	}
	if err := signIn("ann", "another password"); err != nil {
		t.Error(err)
	}
	c.People[0].Disabled = true
	a.Apply(c)
	if err := signIn("ann", "another password"); !errors.Is(err, ErrDisabled) {
		t.Errorf("switched off: %v", err)
	}
}

func TestRecipients(t *testing.T) {
	t.Parallel()
	a := millersAccounts(t)
	tests := []struct {
		to   string
		want string // names, or an error
	}{
		{"ann@example.org", "ann"},
		{"ANN@EXAMPLE.ORG", "ann"},
		{"ann@bücher.example", "ann"},
		{`"ann"@example.org`, "ann"},
		{"ann+lists.go@example.org", "ann"},
		{"ann+@example.org", "ann"},
		{"ann+SHOP@example.org", "ben"}, // an alias of its own
		{"ann+shop@bücher.example", "ann"},
		{"us@example.org", "ann ben"},
		{"us+x@example.org", "ann ben"},
		{"us@bücher.example", "ben"}, // the catch-all
		{"boss@example.org", "ann"},
		{"cleo@example.org", "cleo"}, // switched off, but mail is kept
		{"dora@example.org", ErrUnknown.Error()},
		{"dora+x@example.org", ErrUnknown.Error()},
		{"+ann@example.org", ErrUnknown.Error()},
		{"dora@bücher.example", "ben"},
		{"Postmaster@example.org", "ann"},
		{"abuse@example.org", "ann"},
		{"postmaster+x@example.org", "ann"},
		{"abuse@bücher.example", "ben"}, // an alias goes first
		{"hostmaster@example.org", ErrUnknown.Error()},
		{"ann@example.com", ErrNotOurs.Error()},
		{"ann@mail.example.org", ErrNotOurs.Error()},
		{"ann@[192.168.1.2]", ErrNotOurs.Error()},
	}
	for _, test := range tests {
		t.Run(test.to, func(t *testing.T) {
			t.Parallel()
			people, err := a.Recipients(address(t, test.to))
			got := strings.Join(people, " ")
			if err != nil {
				got += err.Error()
			}
			if got != test.want {
				t.Errorf("for %q, want %q", got, test.want)
			}
		})
	}
	if people, err := a.Recipients(mailaddr.Postmaster()); err != nil || !slices.Equal(people, []string{"ann"}) {
		t.Errorf("<postmaster> is for %v, %v", people, err)
	}
	if people, err := a.Recipients(mailaddr.Addr{}); !errors.Is(err, ErrNotOurs) {
		t.Errorf("<> is for %v, %v", people, err)
	}
}

func TestRecipientsAreACopy(t *testing.T) {
	t.Parallel()
	a := millersAccounts(t)
	for range 2 {
		people, err := a.Recipients(address(t, "us@example.org"))
		if err != nil || people[0] != "ann" {
			t.Fatalf("%v, %v", people, err)
		}
		people[0] = "eve"
	}
}

func TestMaySendAs(t *testing.T) {
	t.Parallel()
	a := millersAccounts(t)
	tests := []struct {
		person, from string
		want         bool
	}{
		{"ann", "ann@example.org", true},
		{"ann", "Ann@Example.org", true},
		{"ann", "ann@bücher.example", true},
		{"ann", "ann+anything@example.org", true},
		{"ann", "us@example.org", true},
		{"ann", "us+x@example.org", true},
		{"ann", "boss@example.org", true},
		{"ben", "us@example.org", true},
		{"ben", "ann+shop@example.org", true}, // his alias
		{"ben", "boss@example.org", false},
		{"ben", "ann@example.org", false},
		{"ben", "ann+x@example.org", false},
		{"ben", "dora@bücher.example", false}, // what he catches is not his
		{"ann", "ann@example.com", false},
		{"ann", "us@bücher.example", false},
		{"ann", "postmaster@example.org", false},
		{"cleo", "cleo@example.org", false}, // switched off
		{"dora", "dora@example.org", false},
		{"ann@example.org", "ann@example.org", false}, // not the name of a person
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.person, " as ", test.from), func(t *testing.T) {
			t.Parallel()
			if got := a.MaySendAs(test.person, address(t, test.from)); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
	if a.MaySendAs("ann", mailaddr.Addr{}) {
		t.Error("ann may send as <>")
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	var got []string
	for _, a := range Addresses(millers(t), "ben") {
		got = append(got, a.Unicode())
	}
	want := "ben@example.org ben@bücher.example us@example.org ann+shop@example.org abuse@bücher.example"
	if strings.Join(got, " ") != want {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestStrangersAreLikePeople: a name and the same name at a domain of the household are counted, and found wrong, as one
// login whether somebody has that name or not. Else two attempts with one password would tell.
func TestStrangersAreLikePeople(t *testing.T) {
	t.Parallel()
	s := newSnapshot(millers(t))
	for _, name := range []string{"ann", "zoe"} {
		for _, login := range []string{name, name + "@example.org", strings.ToUpper(name) + "@EXAMPLE.org", name + "@bücher.example"} {
			if account, _ := s.secret(foldLogin(login)); account != name {
				t.Errorf("%s is counted as %q", login, account)
			}
		}
		for _, login := range []string{name + "@elsewhere.example", name + "@"} {
			if account, hash := s.secret(foldLogin(login)); account == name || hash != "" {
				t.Errorf("%s is counted as %q", login, account)
			}
		}
	}
}
