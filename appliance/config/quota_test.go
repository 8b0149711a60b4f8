package config

import "testing"

func TestQuota(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		household, person Quota
		octets, messages  int64
	}{
		{Quota{}, Quota{}, 0, 0},
		{Quota{5 * GB, 1000}, Quota{}, 5e9, 1000},
		{Quota{5 * GB, 1000}, Quota{7 * GB, 0}, 7e9, 1000},
		{Quota{5 * GB, 1000}, Quota{Unlimited, 2000}, 0, 2000},
		{Quota{5 * GB, 1000}, Quota{0, Unlimited}, 5e9, 0},
		{Quota{Unlimited, Unlimited}, Quota{}, 0, 0},
	} {
		octets, messages := Config{Limits: Limits{Quota: c.household}}.Quota(Person{Quota: c.person})
		if octets != c.octets || messages != c.messages {
			t.Errorf("%+v and %+v give %d octets and %d messages, not %d and %d", c.household, c.person, octets, messages, c.octets, c.messages)
		}
	}
}

func TestFreeSpace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text    string
		percent int
		octets  int64
		back    string // "": refused
	}{
		{"5 %", 5, 0, "5 %"},
		{"20%", 20, 0, "20 %"},
		{" 1  % ", 1, 0, "1 %"},
		{"500MB", 0, 500_000_000, "500 MB"},
		{"None", 0, 0, "none"},
		{"", 0, 0, ""},
		{"%", 0, 0, ""},
		{"0 %", 0, 0, ""},
		{"-5 %", 0, 0, ""},
		{"5.5 %", 0, 0, ""},
		{"5", 0, 0, ""},
		{"0 B", 0, 0, ""},
		{"5 % of it", 0, 0, ""},
	} {
		f, err := parseFreeSpace(c.text)
		if (err != nil) != (c.back == "") {
			t.Errorf("%q: %v, %v", c.text, f, err)
		}
		if err != nil {
			continue
		}
		if percent, octets := f.Floor(); f.String() != c.back || percent != c.percent || octets != c.octets {
			t.Errorf("%q is %+v, written %q", c.text, f, f)
		}
	}
	if percent, octets := (FreeSpace{}).Floor(); percent != 5 || octets != 10e9 {
		t.Errorf("without a word %d %%, %d octets are left free", percent, octets)
	}
	for _, f := range []FreeSpace{{Percent: 5, Size: GB}, {Percent: 5, None: true}, {Size: -1}, {Percent: -1}} {
		c := millers(t)
		c.Limits.FreeSpace = f
		if faults, ok := c.Validate().(Faults); !ok || faults.For("limits.free-space") == "" {
			t.Errorf("%+v is taken", f)
		}
	}
}

func FuzzParseFreeSpace(f *testing.F) {
	for _, s := range []string{"5 %", "20%", "500 MB", "none", "0 %", "-1 %", "%", "99999999999 %", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		free, err := parseFreeSpace(text)
		if err != nil {
			return
		}
		if again, err := parseFreeSpace(free.String()); err != nil || again != free {
			t.Fatalf("%q is %+v, which is written %q and read as %+v, %v", text, free, free, again, err)
		}
	})
}

func TestReadable(t *testing.T) {
	t.Parallel()
	for size, want := range map[Size]string{
		0: "0 B", 999: "999 B", 1000: "1 KB", 1049: "1 KB", 1050: "1.1 KB", 9_949: "9.9 KB", 99_940: "99.9 KB", 99_960: "100 KB", 999_400: "999 KB",
		999_600: "1 MB", 4_611_000_000: "4.6 GB", 5 * GB: "5 GB", 1500 * GB: "1500 GB", 50 * MiB: "52.4 MB",
	} {
		if got := size.Readable(); got != want {
			t.Errorf("%d octets are %q, not %q", int64(size), got, want)
		}
	}
}
