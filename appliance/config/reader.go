package config

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"letterbox/appliance/mailaddr"
)

// A reader collects the faults found while values are taken out of decoded TOML.
type reader struct{ faults Faults }

func (r *reader) fault(field, reason string) {
	r.faults = append(r.faults, Fault{Field: field, Reason: reason})
}

// without drops from err, which may be Faults, those of fields that the reader has
// complained about already: a password that is a number is not missing as well.
func (r *reader) without(err error) error {
	found, ok := err.(Faults)
	if !ok {
		return err
	}
	found = slices.DeleteFunc(found, func(f Fault) bool { return r.faults.For(f.Field) != "" })
	if len(found) == 0 {
		return nil
	}
	return found
}

// A table is one TOML table that is being read. Each method takes a key out and returns
// its value, or zero where the key is missing or has the wrong type, which is a fault.
type table struct {
	r      *reader
	path   string // of the table: "person[0]"; empty: the root
	values map[string]any
	asked  *[]string // the keys that have been asked for, once there are any
}

func (t *table) field(key string) string {
	if t.path == "" {
		return key
	}
	return t.path + "." + key
}

// take returns the value of a key and whether it is there.
func (t *table) take(key string) (any, bool) {
	if t.asked == nil {
		t.asked = new([]string)
	}
	*t.asked = append(*t.asked, key)
	v, ok := t.values[key]
	return v, ok
}

// done complains about every key that nobody has asked for.
func (t *table) done() {
	for _, key := range slices.Sorted(maps.Keys(t.values)) {
		if !slices.Contains(*t.asked, key) {
			t.r.fault(t.field(key), "there is no such setting here; known are "+strings.Join(*t.asked, ", "))
		}
	}
}

func (t *table) wrong(key string, v any, want string) {
	t.r.fault(t.field(key), fmt.Sprintf("is %s, but must be %s", kind(v), want))
}

// kind says in words what type a TOML value has.
func kind(v any) string {
	switch v.(type) {
	case string:
		return "text"
	case int64, float64:
		return "a number"
	case bool:
		return "true or false"
	case time.Time:
		return "a date"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	case []map[string]any:
		return "a list of tables"
	}
	return "something else"
}

// get takes a value of one type out of a table; want says in words which.
func get[T any](t *table, key, want string) T {
	v, ok := t.take(key)
	got, fits := v.(T)
	if ok && !fits {
		t.wrong(key, v, want)
	}
	return got
}

func (t *table) text(key string) string  { return get[string](t, key, `text in quotes`) }
func (t *table) boolean(key string) bool { return get[bool](t, key, "true or false") }

func (t *table) time(key string) time.Time {
	at := get[time.Time](t, key, "a date and time such as 2026-01-31T12:00:00Z")
	if at.IsZero() {
		return time.Time{}
	}
	return instant(at)
}

func (t *table) integer(key string) int {
	n := get[int64](t, key, "a whole number")
	if n > math.MaxInt32 || n < math.MinInt32 { // int is 32 bits wide on small boxes
		t.r.fault(t.field(key), fmt.Sprintf("%d is out of any range", n))
		return 0
	}
	return int(n)
}

// size reads "50 MB".
func (t *table) size(key string) Size {
	text := get[string](t, key, `a size such as "50 MB"`)
	if text == "" {
		return 0
	}
	s, err := ParseSize(text)
	if err != nil {
		t.r.fault(t.field(key), err.Error())
	}
	return s
}

// address reads a mail address.
func (t *table) address(key string) mailaddr.Addr {
	text := t.text(key)
	if text == "" {
		return mailaddr.Addr{}
	}
	a, err := mailaddr.Parse(text)
	if err != nil {
		t.r.fault(t.field(key), err.Error())
	}
	return a
}

// texts reads a list of texts.
func (t *table) texts(key string) []string {
	v, ok := t.take(key)
	items, isList := v.([]any)
	if ok && !isList {
		t.wrong(key, v, `a list of texts such as ["one", "two"]`)
	}
	var texts []string
	for i, item := range items {
		text, fits := item.(string)
		if !fits {
			t.wrong(key+index(i), item, "text in quotes")
			continue
		}
		texts = append(texts, text)
	}
	return texts
}

func (t *table) table(key string) (table, bool) {
	v, ok := t.take(key)
	values, fits := v.(map[string]any)
	if ok && !fits {
		t.wrong(key, v, fmt.Sprintf("a table, [%s]", bare(t.field(key))))
	}
	return table{r: t.r, path: t.field(key), values: values}, ok && fits
}

func (t *table) tables(key string) []table {
	v, ok := t.take(key)
	var list []table
	add := func(i int, values map[string]any) {
		list = append(list, table{r: t.r, path: t.field(key) + index(i), values: values})
	}
	switch v := v.(type) {
	case []map[string]any:
		for i, values := range v {
			add(i, values)
		}
		return list
	case []any: // inline: person = [{...}, {...}]
		for i, item := range v {
			values, fits := item.(map[string]any)
			if !fits {
				t.wrong(key+index(i), item, "a table")
				continue
			}
			add(i, values)
		}
		return list
	}
	if ok {
		t.wrong(key, v, fmt.Sprintf("written with two pairs of brackets, [[%s]]", bare(t.field(key))))
	}
	return nil
}

func index(i int) string { return "[" + strconv.Itoa(i) + "]" }

// bare is a field path without indexes, as TOML's headers name it.
func bare(path string) string {
	for {
		before, rest, ok := strings.Cut(path, "[")
		if !ok {
			return path
		}
		_, after, _ := strings.Cut(rest, "]")
		path = before + after
	}
}
