package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"letterbox/appliance/mailaddr"
)

// TestSaveAndLoadAnything saves and loads configurations of every kind: what comes back
// is what went in.
func TestSaveAndLoadAnything(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		want := anyConfig().Draw(t, "config")
		path := filepath.Join(dir, FileName)
		if err := os.WriteFile(path, encode(want), 0o600); err != nil { // Save without its syncing
			t.Fatal(err)
		}
		if err := want.Validate(); err != nil {
			t.Fatalf("not valid: %v", err)
		}
		got, err := Load(path)
		if err != nil {
			t.Fatalf("%v in\n%s", err, encode(want))
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("loaded %#v\nsaved %#v\n%s", got, want, encode(want))
		}
	})
}

// anyConfig draws configurations that Validate accepts.
func anyConfig() *rapid.Generator[Config] {
	return rapid.Custom(func(t *rapid.T) Config {
		c := Config{Version: Version}
		c.Household.Name = words(t, "household")
		if rapid.Bool().Draw(t, "named") {
			c.Household.Hostname = anyDomain().Draw(t, "hostname")
		}
		names := rapid.SliceOfNDistinct(anyName(), 1, 4, rapid.ID[string]).Draw(t, "names")
		for _, d := range rapid.SliceOfNDistinct(anyDomain(), 1, 3, rapid.ID[mailaddr.Domain]).Draw(t, "domains") {
			c.Domains = append(c.Domains, Domain{Name: d, CatchAll: rapid.SampledFrom(append(names, "")).Draw(t, "catch-all")})
		}
		for i, name := range names {
			c.People = append(c.People, anyPerson(t, name, i))
		}
		for i := range rapid.IntRange(0, 3).Draw(t, "aliases") {
			local := strings.TrimSpace(fmt.Sprintf("Alias %s %d", rapid.StringMatching(`[a-zA-Z"\\+é@ ]*`).Draw(t, "local"), i))
			address, err := mailaddr.New(local, rapid.SampledFrom(c.Domains).Draw(t, "domain").Name)
			if err != nil {
				continue
			}
			to := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, len(names), rapid.ID[string]).Draw(t, "to")
			c.Aliases = append(c.Aliases, Alias{Address: address, To: to})
		}
		c.Listen = anyListen(t)
		c.Limits.MaxMessage = Size(rapid.Int64Range(int64(minMessage), int64(maxMessage)).Draw(t, "size"))
		if rapid.Bool().Draw(t, "limited") {
			c.Limits.Connections = rapid.IntRange(minConnections, maxConnections).Draw(t, "connections")
			c.Limits.ConnectionsPerAddress = rapid.IntRange(0, c.Limits.Connections).Draw(t, "per address")
		}
		c.Limits.Quota = anyQuota(t)
		c.Limits.FreeSpace = rapid.SampledFrom([]FreeSpace{
			{}, {None: true},
			{Percent: rapid.IntRange(1, maxFreePercent).Draw(t, "percent")},
			{Size: Size(rapid.Int64Range(int64(minFreeSize), int64(maxQuota)).Draw(t, "free"))},
		}).Draw(t, "free space")
		c.DeviceKey = anyKey(t, "key", 99)
		return c
	})
}

func anyPerson(t *rapid.T, name string, n int) Person {
	salt := rapid.SliceOfN(rapid.Byte(), minArgonBytes, maxArgonBytes).Draw(t, "salt")
	key := rapid.SliceOfN(rapid.Byte(), minArgonBytes, maxArgonBytes).Draw(t, "key")
	p := Person{
		Name:     name,
		FullName: words(t, "full name"),
		Password: Argon2id{Memory: 8 << 10, Time: 3, Lanes: 1, Salt: salt, Key: key}.PHC(),
		Disabled: rapid.Bool().Draw(t, "disabled"),
		Quota:    anyQuota(t),
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "devices") {
		d := Device{Name: fmt.Sprint(i, strings.TrimSpace(words(t, "device"))), Hash: anyKey(t, "hash", n*10+i)}
		if rapid.Bool().Draw(t, "dated") {
			d.Created = time.Unix(rapid.Int64Range(-1e10, 1e11).Draw(t, "created"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC()
		}
		p.Devices = append(p.Devices, d)
	}
	return p
}

func anyQuota(t *rapid.T) Quota {
	return Quota{
		Bytes:    rapid.SampledFrom([]Size{0, Unlimited, Size(rapid.Int64Range(int64(minQuota), int64(maxQuota)).Draw(t, "octets"))}).Draw(t, "bytes"),
		Messages: rapid.SampledFrom([]int{0, Unlimited, rapid.IntRange(minQuotaMessages, maxQuotaMessages).Draw(t, "n")}).Draw(t, "messages"),
	}
}

func anyListen(t *rapid.T) Listen {
	l := Listen{
		PortOffset:        rapid.IntRange(0, 20000).Draw(t, "offset"),
		PlaintextLoopback: rapid.Bool().Draw(t, "plaintext"),
		Address:           rapid.SampledFrom([][]string{nil, {"::1"}, {"127.0.0.1", "fe80::1%eth0"}}).Draw(t, "addresses"),
	}
	for i, s := range Services() {
		if rapid.Bool().Draw(t, "moved") {
			*l.Port(s) = Port{
				Listen: rapid.SampledFrom([]int{0, AnyPort, 30000 + i}).Draw(t, "port"),
				Public: rapid.IntRange(0, 65535).Draw(t, "public"),
				Off:    rapid.Bool().Draw(t, "off"),
			}
		}
	}
	return l
}

// anyKey draws a key that no other n gives.
func anyKey(t *rapid.T, label string, n int) Secret {
	return Secret(hex.EncodeToString(append(rapid.SliceOfN(rapid.Byte(), 31, 31).Draw(t, label), byte(n))))
}

func anyName() *rapid.Generator[string] {
	return rapid.StringMatching(`[a-z][a-z0-9._-]{0,20}`).Filter(func(s string) bool { return CheckPersonName(s) == nil })
}

func anyDomain() *rapid.Generator[mailaddr.Domain] {
	return rapid.Map(rapid.StringMatching(`[a-z][a-z0-9]{0,10}(\.[a-z]{1,5}){0,3}`), func(s string) mailaddr.Domain {
		return mailaddr.Domain(s)
	})
}

// words draws a line of text without control characters.
func words(t *rapid.T, label string) string {
	return rapid.StringOfN(rapid.RuneFrom([]rune("ab \"'\\#[]={}\u00e9\u20ac\U0001f4ee\u2028\u202e\ufeff")), 0, 20, -1).Draw(t, label)
}

// TestLinesOfEverything looks every field of a written file up by its path.
func TestLinesOfEverything(t *testing.T) {
	t.Parallel()
	text := string(encode(millers(t)))
	at := scanLines(text)
	rows := strings.Split(text, "\n")
	for path, want := range map[string]string{
		"version":                   "version = 1",
		"household":                 "[household]",
		"household.hostname":        `hostname = "mail.example.org"`,
		"domain[1].name":            `name = "xn--bcher-kva.example"`,
		"domain[1].catch-all":       "[[domain]]", // missing: its table
		"person[0].device[1].name":  `name = "Printer"`,
		"person[0].device[0].hash":  `hash = "` + someKey.Reveal() + `"`,
		"person[1].name":            `name = "ben"`,
		"alias[0].to[1]":            `to = ["ann", "ben"]`,
		"listen.imaps.port":         "port = 1993",
		"limits.max-message":        `max-message = "25 MB"`,
		"limits.something[3].other": "[limits]",
	} {
		n := at.of(path)
		if n == 0 || rows[n-1] != want {
			t.Errorf("%s: line %d, %q; want %q", path, n, rows[max(n, 1)-1], want)
		}
	}
	if n := at.of("nowhere"); n != 0 {
		t.Errorf("nowhere is on line %d", n)
	}
}

func TestLinesOfOddTOML(t *testing.T) {
	t.Parallel()
	const text = `a = """ # no comment
b = 1
\""" c = 2 """""
d = [ # ]
  "]", '''
e = 3''', { f = 4 }
]
"g" . h = 5 # i = 6
[ j . 'k' ] # [l]
m = 'n\'
[[ j.o ]]
p = { q = 7 }
[[j.o]]
[j.o.r]
s = 8
`
	at := scanLines(text)
	for path, want := range map[string]int{
		"a": 1, "b": 0, "c": 0, "d": 4, "d[2]": 4, "e": 0, "g.h": 8, "i": 0, "j.k": 9, "j.k.m": 10,
		"j.o[0]": 11, "j.o[0].p": 12, "j.o[0].p.q": 12, "j.o[1]": 13, "j.o[1].r.s": 15,
	} {
		if got := at.of(path); got != want {
			t.Errorf("%s: line %d, want %d", path, got, want)
		}
	}
}

// FuzzLoad feeds anything to the parser. It must come to an end; what it takes, it must
// take again after saving; what it refuses, it must explain.
func FuzzLoad(f *testing.F) {
	f.Add(encode(millers(f)))
	files, err := filepath.Glob(filepath.Join("testdata", "bad", "*.toml"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, filepath.Join("testdata", "good.toml")) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parse(FileName, data)
		if err != nil {
			var faults Faults
			if !errors.As(err, &faults) || len(faults) == 0 {
				t.Fatalf("not explained: %v", err)
			}
			for _, fault := range faults {
				if fault.Reason == "" || fault.File != FileName {
					t.Fatalf("not explained: %#v", fault)
				}
			}
			return
		}
		again, err := parse(FileName, encode(c))
		if err != nil {
			t.Fatalf("taken, but not after saving: %v\n%s", err, encode(c))
		}
		if !reflect.DeepEqual(again.Clone(), c.Clone()) {
			t.Fatalf("changed by saving: %#v\n%#v", c, again)
		}
	})
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"50 MB", "50MiB", " 1 b ", "0 B", "9223372036854775807 B", "9223372036854775807 KB", "-1 MB", "MB", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		size, err := ParseSize(text)
		if err != nil {
			return
		}
		if again, err := ParseSize(size.String()); err != nil || again != size || size < 0 {
			t.Fatalf("%q is %d, which is written %q and read as %d, %v", text, int64(size), size, int64(again), err)
		}
	})
}

func TestSize(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		size Size
		back string // "": refused
	}{
		{"50 MB", 50_000_000, "50 MB"},
		{"50MiB", 52_428_800, "50 MiB"},
		{"1000 mb", 1_000_000_000, "1 GB"},
		{"1536 KiB", 1_572_864, "1536 KiB"},
		{"12345 B", 12345, "12345 B"},
		{"0 GB", 0, "0 B"},
		{"50", 0, ""},
		{"", 0, ""},
		{"MB", 0, ""},
		{"-5 MB", 0, ""},
		{"1.5 MB", 0, ""},
		{"5 m", 0, ""},
		{"9223372036854775807 KB", 0, ""},
		{"99999999999999999999 B", 0, ""},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			t.Parallel()
			size, err := ParseSize(test.text)
			if (err != nil) != (test.back == "") || size != test.size {
				t.Fatalf("%d, %v", int64(size), err)
			}
			if err == nil && size.String() != test.back {
				t.Errorf("written %q", size)
			}
		})
	}
}

func TestCheckPersonName(t *testing.T) {
	t.Parallel()
	good := []string{"ann", "ann.b-c_d2", "a", "con-rad", "nulla", "com", "com10", "conny.con", strings.Repeat("a", 64)}
	for _, name := range good {
		if err := CheckPersonName(name); err != nil {
			t.Errorf("%q is refused: %v", name, err)
		}
	}
	bad := []string{"", "Ann", "änn", "1ann", ".ann", "-ann", "ann.", "a..b", "a b", "a/b", `a\b`, "a+b", "a@b", "a\x00b", "ann\n",
		"con", "nul.txt", "lpt1", "com0.a.b", "postmaster", "abuse", "anyone", strings.Repeat("a", 65)}
	for _, name := range bad {
		if CheckPersonName(name) == nil {
			t.Errorf("%q is taken", name)
		}
	}
}

func TestParseArgon2id(t *testing.T) {
	t.Parallel()
	h, err := ParseArgon2id(someHash)
	if err != nil {
		t.Fatal(err)
	}
	if h.Memory != 7168 || h.Time != 5 || h.Lanes != 1 || string(h.Salt) != "somesaltsomesalt" || len(h.Key) != 32 {
		t.Errorf("%+v", h)
	}
	good := someHash.Reveal()
	for _, bad := range []string{
		"", "x", good + "!", good + "$", good + " ", " " + good, strings.Replace(good, "m=7168", "m=07168", 1),
		strings.Replace(good, "argon2id", "argon2i", 1), strings.Replace(good, "v=19", "v=16", 1),
		strings.Replace(good, "t=5", "t=0", 1), strings.Replace(good, "p=1", "p=0", 1), strings.Replace(good, "p=1", "p=256", 1),
		strings.Replace(good, "m=7168", "m=4", 1), strings.Replace(good, "m=7168", "m=4294967297", 1),
		strings.Replace(good, "t=5", "t=21", 1), strings.Replace(good, "$c29t", "$", 1)[:40], good[:len(good)-40],
	} {
		if _, err := ParseArgon2id(Secret(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
