package message

import (
	"strconv"
	"strings"
	"time"
)

// maxDate is how much of a Date field is looked at.
const maxDate = 512

// Date reads the date of a Date field (RFC 5322, 3.3 and 4.3) and forgives
// what real mail needs: comments, missing weekdays, seconds or zones, years of
// two digits, names of zones, the order of C's ctime, hyphens between day,
// month and year, and ISO 8601. A time that makes no sense is midnight, an
// unknown zone is UTC. The result is in the zone of the message; it is false
// where no day, month and year can be made out.
func Date(raw string) (time.Time, bool) {
	d := dateParser{day: -1, year: -1}
	for word := range dateWords(raw[:min(len(raw), maxDate)]) {
		d.word(word)
	}
	if d.day < 1 || d.month == 0 || d.year < 0 {
		return time.Time{}, false
	}
	t := time.Date(d.year, d.month, d.day, d.hour, d.minute, d.second, 0, time.FixedZone("", d.zone))
	if t.Day() != d.day {
		return time.Time{}, false // February 30th
	}
	return t, true
}

// dateWords yields what stands between white space, commas and comments.
func dateWords(s string) func(func(string) bool) {
	return func(yield func(string) bool) {
		start := 0
		for i := 0; i <= len(s); {
			next := i + 1
			switch {
			case i == len(s):
			case s[i] == '(':
				next = commentEnd(s, i)
			case strings.IndexByte(" \t\r\n,;\"", s[i]) < 0:
				i++
				continue
			}
			if i > start && !yield(s[start:i]) {
				return
			}
			start, i = next, next
		}
	}
}

type dateParser struct {
	day, year            int
	month                time.Month
	hour, minute, second int
	zone                 int // seconds east of UTC
	hasTime, hasZone     bool
}

func (d *dateParser) word(w string) {
	switch {
	case strings.Contains(w, ":"):
		if date, clock, ok := cutISO(w); ok {
			d.date(date)
			w = clock
		}
		d.clock(w)
	case (w[0] == '+' || w[0] == '-') && len(w) > 1:
		d.offset(w)
	case isDigit(w[0]):
		if strings.ContainsAny(w, "-/.") {
			d.date(w)
		} else {
			d.number(w)
		}
	case d.month == 0 && monthOf(w) != 0:
		d.month = monthOf(w)
	case d.hasTime || d.year >= 0:
		d.zoneName(w)
	}
}

// number takes a day or a year.
func (d *dateParser) number(w string) {
	n, err := strconv.Atoi(strings.TrimRight(w, "stndrh")) // 1st, 2nd, 3rd, 4th
	if err != nil {
		return
	}
	if d.day < 0 && len(w) <= 4 && n >= 1 && n <= 31 {
		d.day = n
		return
	}
	d.setYear(n, len(w))
}

// setYear takes a year written with some digits.
func (d *dateParser) setYear(n, digits int) {
	switch {
	case d.year >= 0 || digits > 4:
		return
	case digits <= 2 && n < 50: // RFC 5322, 4.3
		n += 2000
	case digits <= 3:
		n += 1900
	}
	d.year = n
}

// date takes 23-Nov-2026 or 2026-11-23, and nothing whose order is unclear.
func (d *dateParser) date(w string) {
	f := strings.FieldsFunc(w, func(r rune) bool { return r == '-' || r == '/' || r == '.' })
	if len(f) != 3 || d.day > 0 {
		return
	}
	if m := monthOf(f[1]); m != 0 {
		d.month = m
		d.number(f[0])
		d.number(f[2])
		return
	}
	year, err1 := strconv.Atoi(f[0])
	month, err2 := strconv.Atoi(f[1])
	day, err3 := strconv.Atoi(f[2])
	if err1 != nil || err2 != nil || err3 != nil || len(f[0]) != 4 || month < 1 || month > 12 || day > 31 {
		return
	}
	d.year, d.month, d.day = year, time.Month(month), day
}

// cutISO splits 2026-11-23T15:40:40.
func cutISO(w string) (date, clock string, ok bool) {
	if len(w) > 11 && w[4] == '-' && w[7] == '-' && (w[10] == 'T' || w[10] == 't') {
		return w[:10], w[11:], true
	}
	return "", w, false
}

// clock takes 15:40, 15:40:40, also with a fraction and a zone at its end.
func (d *dateParser) clock(w string) {
	if d.hasTime {
		return
	}
	end := strings.IndexFunc(w, func(r rune) bool { return r != ':' && r != '.' && (r < '0' || r > '9') })
	zone := ""
	if end >= 0 {
		w, zone = w[:end], w[end:]
	}
	w, _, _ = strings.Cut(w, ".")
	var n [3]int
	f := strings.Split(w, ":")
	if len(f) > 3 {
		return
	}
	for i, s := range f {
		v, err := strconv.Atoi(s)
		if err != nil {
			return
		}
		n[i] = v
	}
	if n[0] > 23 || n[1] > 59 || n[2] > 60 {
		return
	}
	d.hour, d.minute, d.second = n[0], n[1], min(n[2], 59) // RFC 5322, 3.3: 60 is a leap second
	d.hasTime = true
	switch {
	case zone == "":
	case zone[0] == '+' || zone[0] == '-':
		d.offset(zone)
	default:
		d.zoneName(zone)
	}
}

// offset takes +0130 or +01:30, and +1 for what it means.
func (d *dateParser) offset(w string) {
	digits := strings.Replace(w[1:], ":", "", 1)
	n, err := strconv.Atoi(digits)
	if err != nil || d.hasZone || !isDigit(digits[0]) {
		return
	}
	if len(digits) <= 2 {
		n *= 100
	}
	if n/100 > 14 || n%100 > 59 {
		return
	}
	d.hasZone = true
	d.zone = (n/100*60 + n%100) * 60
	if w[0] == '-' {
		d.zone = -d.zone
	}
}

// zoneName takes the names of RFC 5322, 4.3, and some more that are in use.
// RFC 5322: military letters and unknown names count as -0000.
func (d *dateParser) zoneName(w string) {
	if d.hasZone {
		return
	}
	hours := 0
	switch strings.ToUpper(w) {
	case "UT", "UTC", "GMT", "Z", "WET":
	case "EDT":
		hours = -4
	case "EST", "CDT":
		hours = -5
	case "CST", "MDT":
		hours = -6
	case "MST", "PDT":
		hours = -7
	case "PST":
		hours = -8
	case "BST", "CET", "MET", "WEST":
		hours = 1
	case "CEST", "MEST", "EET":
		hours = 2
	case "EEST", "MSK":
		hours = 3
	case "JST", "KST":
		hours = 9
	default:
		return
	}
	d.zone, d.hasZone = hours*3600, true
}

func monthOf(w string) time.Month {
	if len(w) < 3 {
		return 0
	}
	i := strings.Index("janfebmaraprmayjunjulaugsepoctnovdec", strings.ToLower(w[:3]))
	if i < 0 || i%3 != 0 {
		return 0
	}
	return time.Month(i/3 + 1)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
