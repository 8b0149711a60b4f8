package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Unlimited is the bound of a Quota that bounds nothing. In the file it is "none".
const Unlimited = -1

const none = "none"

// Quota bounds what one person's mailboxes hold. Zero is the default: for a person the
// household's, for the household no bound.
type Quota struct {
	Bytes    Size
	Messages int
}

// Quota returns what the mailboxes of p may hold: octets and messages, 0 where there
// is no bound.
func (c Config) Quota(p Person) (octets, messages int64) {
	octets, messages = int64(p.Quota.Bytes), int64(p.Quota.Messages)
	if octets == 0 {
		octets = int64(c.Limits.Quota.Bytes)
	}
	if messages == 0 {
		messages = int64(c.Limits.Quota.Messages)
	}
	return max(octets, 0), max(messages, 0)
}

// FreeSpace is how much of the file system that mail lies on is left free for everything
// else. One of the fields is set, or none: that is the default, 5 % but no more than
// 10 GB.
type FreeSpace struct {
	Percent int
	Size    Size
	None    bool // nothing is left free; in the file "none"
}

// What zero means in FreeSpace. A share alone would keep hundreds of gigabytes of a large
// disk from ever being used.
const (
	defaultFreePercent = 5
	defaultFreeAtMost  = 10 * GB
)

// Floor returns what is left free: a share of the file system in percent, and a number
// of octets. If both are given the smaller counts; none: nothing.
func (f FreeSpace) Floor() (percent int, octets int64) {
	switch f {
	case FreeSpace{}:
		return defaultFreePercent, int64(defaultFreeAtMost)
	case FreeSpace{None: true}:
		return 0, 0
	}
	return f.Percent, int64(f.Size)
}

// String writes "5 %", "500 MB" or "none"; the default is "".
func (f FreeSpace) String() string {
	switch {
	case f.None:
		return none
	case f.Percent != 0:
		return strconv.Itoa(f.Percent) + " %"
	case f.Size != 0:
		return f.Size.String()
	}
	return ""
}

// parseFreeSpace reads what String writes. The space and the case do not matter.
func parseFreeSpace(text string) (FreeSpace, error) {
	if strings.EqualFold(strings.TrimSpace(text), none) {
		return FreeSpace{None: true}, nil
	}
	if number, ok := strings.CutSuffix(strings.TrimSpace(text), "%"); ok {
		n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 31)
		if err != nil || n == 0 {
			return FreeSpace{}, fmt.Errorf("%q is not a share such as \"5 %%\"", text)
		}
		return FreeSpace{Percent: int(n)}, nil
	}
	size, err := ParseSize(text)
	if err == nil && size == 0 {
		err = fmt.Errorf("%q leaves nothing free: write \"none\" if that is meant", text)
	}
	return FreeSpace{Size: size}, err
}

// quota reads quota and quota-messages.
func (t *table) quota() Quota {
	return Quota{Bytes: t.quotaBytes("quota"), Messages: t.quotaMessages("quota-messages")}
}

func (t *table) quotaBytes(key string) Size {
	text := get[string](t, key, `a size such as "5 GB", or "none"`)
	if strings.EqualFold(strings.TrimSpace(text), none) {
		return Unlimited
	}
	if text == "" {
		return 0
	}
	size, err := ParseSize(text)
	if err == nil && size == 0 {
		err = fmt.Errorf("%q would let nobody have anything: write \"none\" for no bound", text)
	}
	if err != nil {
		t.r.fault(t.field(key), err.Error())
	}
	return size
}

func (t *table) quotaMessages(key string) int {
	if text, ok := t.values[key].(string); ok && strings.EqualFold(strings.TrimSpace(text), none) {
		t.take(key)
		return Unlimited
	}
	n := t.integer(key)
	if _, given := t.values[key].(int64); given && n <= 0 && t.r.faults.For(t.field(key)) == "" {
		t.r.fault(t.field(key), fmt.Sprintf("%d would let nobody have anything: write \"none\" for no bound", n))
	}
	return n
}

// freeSpace reads "5 %", "500 MB" or "none".
func (t *table) freeSpace(key string) FreeSpace {
	text := get[string](t, key, `a share such as "5 %", a size such as "500 MB", or "none"`)
	if text == "" {
		return FreeSpace{}
	}
	f, err := parseFreeSpace(text)
	if err != nil {
		t.r.fault(t.field(key), err.Error())
	}
	return f
}

// What a Quota and FreeSpace may be.
const (
	minQuota         = 1 * MB
	maxQuota         = 1_000_000 * GB
	minQuotaMessages = 100
	maxQuotaMessages = 1_000_000_000
	maxFreePercent   = 50
	minFreeSize      = 1 * MB
)

func (v *validator) quota(path string, q Quota) {
	if b := q.Bytes; b != 0 && b != Unlimited && (b < minQuota || b > maxQuota) {
		v.fault(path+".quota", "must be between %s and %s, or \"none\"", minQuota, maxQuota)
	}
	if n := q.Messages; n != 0 && n != Unlimited && (n < minQuotaMessages || n > maxQuotaMessages) {
		v.fault(path+".quota-messages", "must be between %d and %d, or \"none\"", minQuotaMessages, maxQuotaMessages)
	}
}

func (v *validator) freeSpace(f FreeSpace) {
	const field = "limits.free-space"
	switch {
	case f == FreeSpace{Percent: f.Percent}:
		if f.Percent < 0 || f.Percent > maxFreePercent {
			v.fault(field, "must be between 1 %% and %d %%", maxFreePercent)
		}
	case f == FreeSpace{Size: f.Size}:
		if f.Size < minFreeSize || f.Size > maxQuota {
			v.fault(field, "must be between %s and %s", minFreeSize, maxQuota)
		}
	case f != FreeSpace{None: true}:
		v.fault(field, "must be a share, a size or none, not several of them")
	}
}

// quota writes what is not the default.
func (w *writer) quota(q Quota) {
	switch q.Bytes {
	case 0:
	case Unlimited:
		w.text("quota", none)
	default:
		w.text("quota", q.Bytes.String())
	}
	switch q.Messages {
	case 0:
	case Unlimited:
		w.text("quota-messages", none)
	default:
		w.line("quota-messages = %d", q.Messages)
	}
}
