package imapwire

import (
	"strings"
	"time"
)

// dateTime reads the date-time of APPEND: "17-Jul-1996 02:44:25 -0700" in quotes. A single digit of the day stands behind a
// space or a zero (RFC 9051, 9: date-day-fixed); a client that writes neither is understood as well.
func (d *Decoder) dateTime() time.Time {
	s := d.quoted("the date")
	if d.err != nil {
		return time.Time{}
	}
	t, ok := ParseDateTime(s)
	if !ok {
		d.fail("the date %+.40q is not one like \"17-Jul-1996 02:44:25 -0700\"", s)
	}
	return t
}

// ParseDateTime reads a date-time without its quotes.
func ParseDateTime(s string) (t time.Time, ok bool) {
	date, clock, _ := strings.Cut(strings.TrimPrefix(s, " "), " ")
	day, ok := parseDate(date)
	since, zone, clockOK := parseClock(clock)
	if !ok || !clockOK {
		return time.Time{}, false
	}
	return day.Add(since - zone).In(time.FixedZone("", int(zone/time.Second))), true
}

// searchDate reads the date of a search key, 1-Feb-1994, with quotes or without, and returns its midnight in UTC.
func (d *Decoder) searchDate(key string) time.Time {
	s := d.astring("the date of " + key)
	day, ok := parseDate(s)
	if !ok {
		d.fail("the date %+.40q of %s is not one like 17-Jul-1996", s, key)
	}
	return day
}

const months = "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"

// parseDate reads d-Mon-yyyy, with one digit or two for the day.
func parseDate(s string) (day time.Time, ok bool) {
	if len(s) == len("1-Jan-2006") {
		s = "0" + s
	}
	if len(s) != len("01-Jan-2006") || s[2] != '-' || s[6] != '-' {
		return time.Time{}, false
	}
	month := strings.Index(months, strings.ToUpper(s[3:6]))
	d, dayOK := parseDigits(s[:2])
	y, yearOK := parseDigits(s[7:])
	if !dayOK || !yearOK || month < 0 || month%3 != 0 {
		return time.Time{}, false
	}
	day = time.Date(y, time.Month(month/3+1), d, 0, 0, 0, 0, time.UTC)
	return day, day.Day() == d && d > 0
}

// parseClock reads hh:mm:ss +hhmm.
func parseClock(s string) (since, zone time.Duration, ok bool) {
	if len(s) != len("15:04:05 -0700") || s[2] != ':' || s[5] != ':' || s[8] != ' ' {
		return 0, 0, false
	}
	hour, ok1 := parseDigits(s[:2])
	minute, ok2 := parseDigits(s[3:5])
	second, ok3 := parseDigits(s[6:8]) // 60 in a leap second
	zoneHour, ok4 := parseDigits(s[10:12])
	zoneMinute, ok5 := parseDigits(s[12:14])
	if !(ok1 && ok2 && ok3 && ok4 && ok5) || hour > 23 || minute > 59 || second > 60 || zoneHour > 23 || zoneMinute > 59 {
		return 0, 0, false
	}
	since = time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second
	zone = time.Duration(zoneHour)*time.Hour + time.Duration(zoneMinute)*time.Minute
	switch s[9] {
	case '-':
		zone = -zone
	case '+':
	default:
		return 0, 0, false
	}
	return since, zone, true
}

// parseDigits is the number that s, digits and nothing else, stands for.
func parseDigits(s string) (n int, ok bool) {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}
