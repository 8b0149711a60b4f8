package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"letterbox/appliance/mailaddr"
)

var update = flag.Bool("update", false, "write the .want files anew")

const (
	someHash = Secret("$argon2id$v=19$m=7168,t=5,p=1$c29tZXNhbHRzb21lc2FsdA$YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY")
	someKey  = Secret("abababababababababababababababababababababababababababababababab")
	otherKey = Secret("cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd")
)

func addr(t testing.TB, s string) mailaddr.Addr {
	t.Helper()
	a, err := mailaddr.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// millers is a household with something in every field.
func millers(t testing.TB) Config {
	t.Helper()
	return Config{
		Version:   Version,
		Household: Household{Name: `The "Millers" \ Söhne`, Hostname: "mail.example.org"},
		Domains:   []Domain{{Name: "example.org", CatchAll: "ann"}, {Name: "xn--bcher-kva.example"}},
		People: []Person{
			{Name: "ann", FullName: "Ann Miller", Password: someHash, Devices: []Device{
				{Name: "Ann's phone", Created: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC), Hash: someKey},
				{Name: "Printer", Hash: otherKey},
			}},
			{Name: "ben", Password: someHash, Disabled: true, Quota: Quota{Bytes: 5 * GB, Messages: Unlimited}},
		},
		Aliases: []Alias{{Address: addr(t, "us@example.org"), To: []string{"ann", "ben"}}},
		Listen: Listen{
			Address:           []string{"192.168.1.2", "fd00::2"},
			PortOffset:        10000,
			IMAPS:             Port{Listen: 1993, Public: 993},
			SMTP:              Port{Off: true},
			PlaintextLoopback: true,
		},
		Limits: Limits{
			MaxMessage: 25 * MB, Connections: 40, ConnectionsPerAddress: 20,
			Quota: Quota{Bytes: Unlimited, Messages: 100_000}, FreeSpace: FreeSpace{Percent: 7},
		},
		DeviceKey: otherKey,
	}
}

func TestSaveAndLoad(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), FileName)
	want := millers(t)
	if err := Save(path, want); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v", info.Mode())
	}
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("loaded %#v\nsaved %#v", got, want)
	}
}

func TestSavedFileIsReadable(t *testing.T) {
	t.Parallel()
	golden(t, filepath.Join("testdata", "millers.toml"), encode(millers(t)))
}

func TestSaveRefusesFaults(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), FileName)
	var faults Faults
	if err := Save(path, Default()); !errors.As(err, &faults) {
		t.Errorf("Save: %v", err)
	}
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load of a file that is not there: %v", err)
	}
}

func TestLoadHugeFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), FileName)
	if err := os.WriteFile(path, bytes.Repeat([]byte("#\n"), maxFile/2+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "larger than 4 MiB") {
		t.Errorf("Load: %v", err)
	}
}

// TestBad loads every testdata/bad/NN-name.toml and compares all that is said about it
// with NN-name.want.
func TestBad(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "bad", "*.toml"))
	if err != nil || len(files) < 25 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".toml")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = parse(FileName, data)
			var faults Faults
			if !errors.As(err, &faults) {
				t.Fatalf("not refused with faults: %v", err)
			}
			golden(t, strings.TrimSuffix(file, ".toml")+".want", []byte(faults.Error()+"\n"))
		})
	}
}

func TestGood(t *testing.T) {
	t.Parallel()
	c, err := Load(filepath.Join("testdata", "good.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if i, ok := c.Person(" BEN "); !ok || i != 1 {
		t.Errorf("ben is person %d, %v", i, ok)
	}
}

func TestValidateNeedsNoFile(t *testing.T) {
	t.Parallel()
	c := millers(t)
	c.People[0].Password = ""
	c.Household.Hostname = "Mail.Example.org"
	var faults Faults
	if !errors.As(c.Validate(), &faults) || len(faults) != 2 {
		t.Fatalf("faults: %v", faults)
	}
	if got := faults.For("person[0].password"); got != "a password is missing" {
		t.Errorf("password: %q", got)
	}
	if got := faults.For("household.hostname"); got != `"Mail.Example.org" must be written "mail.example.org"` {
		t.Errorf("hostname: %q", got)
	}
	if got := faults.For("household.name"); got != "" {
		t.Errorf("name: %q", got)
	}
}

func TestZeroValuesAreDefaults(t *testing.T) {
	t.Parallel()
	c := Config{Version: Version, Domains: []Domain{{Name: "example.org"}}, People: []Person{{Name: "ann", Password: someHash}}}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if c.Hostname() != "mail.example.org" || c.MainDomain() != "example.org" {
		t.Errorf("hostname %q, domain %q", c.Hostname(), c.MainDomain())
	}
	if c.Limits.MessageSize() != 50<<20 || c.Limits.MaxConnections() != 500 || c.Limits.MaxConnectionsPerAddress() != 100 {
		t.Errorf("limits: %d, %d, %d", c.Limits.MessageSize(), c.Limits.MaxConnections(), c.Limits.MaxConnectionsPerAddress())
	}
	c.Limits.Connections = 20
	if c.Limits.MaxConnectionsPerAddress() != 20 {
		t.Errorf("one address may hold more connections than there are: %d", c.Limits.MaxConnectionsPerAddress())
	}
}

func TestPorts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name         string
		listen       Listen
		service      Service
		port, public int
		addresses    string
	}{
		{"standard", Listen{}, IMAPS, 993, 993, "[:993]"},
		{"offset", Listen{PortOffset: 10000}, SMTP, 10025, 10025, "[:10025]"},
		{"own port, not moved by the offset", Listen{PortOffset: 10000, HTTPS: Port{Listen: 8443}}, HTTPS, 8443, 8443, "[:8443]"},
		{"forwarded by a router", Listen{PortOffset: 10000, Submissions: Port{Public: 465}}, Submissions, 10465, 465, "[:10465]"},
		{"off", Listen{HTTP: Port{Off: true}}, HTTP, 80, 80, "[]"},
		{"any free port", Listen{Submission: Port{Listen: AnyPort}}, Submission, 0, 0, "[:0]"},
		{"addresses", Listen{Address: []string{"127.0.0.1", "fe80::1%eth0"}}, IMAP, 143, 143, "[127.0.0.1:143 [fe80::1%eth0]:143]"},
		{"no service", Listen{}, Service("gopher"), 0, 0, "[]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l, s := test.listen, test.service
			if got := l.listenPort(s); got != test.port {
				t.Errorf("listening port %d, want %d", got, test.port)
			}
			if got := l.PublicPort(s); got != test.public {
				t.Errorf("public port %d, want %d", got, test.public)
			}
			if got := fmt.Sprint(l.Addresses(s)); got != test.addresses {
				t.Errorf("addresses %s, want %s", got, test.addresses)
			}
		})
	}
}

func TestServicesHavePorts(t *testing.T) {
	t.Parallel()
	var l Listen
	for _, s := range Services() {
		if s.StandardPort() == 0 || l.Port(s) == nil || !l.On(s) {
			t.Errorf("%s has no port", s)
		}
	}
}

func TestCloneSharesNothing(t *testing.T) {
	t.Parallel()
	c := millers(t)
	d := c.Clone()
	if !reflect.DeepEqual(c, d) {
		t.Fatal("the clone differs")
	}
	d.Domains[0].Name = "example.com"
	d.People[0].Name = "x"
	d.People[0].Devices[0].Name = "x"
	d.Aliases[0].To[0] = "x"
	d.Listen.Address[0] = "x"
	if !reflect.DeepEqual(c, millers(t)) {
		t.Error("changing the clone changed the original")
	}
}

func TestSecretIsNotShown(t *testing.T) {
	t.Parallel()
	c := millers(t)
	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %+v %#v %s %q %x", c, c, c, c.DeviceKey, c.DeviceKey, c.DeviceKey)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "config", c, "key", c.DeviceKey)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "config", c, "key", c.DeviceKey)
	if err := json.NewEncoder(&out).Encode(c); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []Secret{someHash, someKey, otherKey} {
		if strings.Contains(out.String(), secret.Reveal()) || strings.Contains(out.String(), fmt.Sprintf("%x", secret.Reveal())) {
			t.Errorf("a secret can be seen in %s", out.String())
		}
	}
	if c.DeviceKey.Reveal() != string(otherKey) {
		t.Error("Reveal does not reveal")
	}
}

func TestNewDeviceKey(t *testing.T) {
	t.Parallel()
	a, err := NewDeviceKey()
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewDeviceKey()
	if err != nil {
		t.Fatal(err)
	}
	if a == b || !isKey(a) {
		t.Errorf("keys %q, %q", a.Reveal(), b.Reveal())
	}
}

// golden compares got with the file, or writes the file under -update.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}
