package transfer

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// A Progress shows on a console how far a transfer is: messages, octets, speed and the time that is left. It draws when something
// happens, never by a timer. It has one user at a time.
type Progress struct {
	w     io.Writer
	now   func() time.Time
	every time.Duration // between two drawings
	start string        // before each drawing
	stop  string        // after it
	width int           // of the longest drawing that is still to be seen, 0 on a console that keeps all

	done, total           int64 // octets; total Unknown
	flowing               int64 // octets of messages that are not done with
	messages, allMessages int64 // allMessages Unknown
	name                  string
	expected              bool // all of it was told at the beginning

	began    time.Time
	drawn    time.Time
	measured time.Time // the last time that the speed was
	mark     [2]int64  // done and messages then
	speed    [2]float64
	on       bool // something is drawn on the last line
}

// How often it is drawn, and over how long a time the speed is averaged.
const (
	drawOnTerminal = 200 * time.Millisecond
	drawInLog      = 30 * time.Second
	measureEvery   = time.Second
	smoothing      = 15 * time.Second
)

// ProgressOnTerminal draws on the last line of a terminal, again and again.
func ProgressOnTerminal(w io.Writer) *Progress {
	return &Progress{w: w, now: time.Now, every: drawOnTerminal, start: "\r", width: 1}
}

// ProgressInLog writes a line now and then.
func ProgressInLog(w io.Writer) *Progress {
	return &Progress{w: w, now: time.Now, every: drawInLog, stop: "\n"}
}

// orNone is p, or one that shows nothing.
func orNone(p *Progress) *Progress {
	if p == nil {
		return ProgressInLog(io.Discard)
	}
	return p
}

// again forgets what was done, before it is done once more.
func (p *Progress) again() {
	p.clear()
	*p = Progress{w: p.w, now: p.now, every: p.every, start: p.start, stop: p.stop, width: min(p.width, 1)}
}

// Expect takes in what there is to do in several transfers together, which do not count for themselves then.
func (p *Progress) Expect(messages, octets int64) {
	p.begin([]Folder{{Messages: messages, Size: octets}})
	p.expected = true
}

// begin takes in what there is to do.
func (p *Progress) begin(folders []Folder) {
	if p.expected {
		return
	}
	p.began = p.now()
	p.drawn, p.measured = p.began, p.began
	for i := range folders {
		p.total = addKnown(p.total, folders[i].Size)
		p.allMessages = addKnown(p.allMessages, folders[i].Messages)
	}
}

func addKnown(a, b int64) int64 {
	if a < 0 || b < 0 {
		return Unknown
	}
	return a + b
}

// maxShownName is how many letters of a folder's name are shown.
const maxShownName = 30

// folder notes which folder is at hand.
func (p *Progress) folder(name string) {
	letters := []rune(plain(name))
	if len(letters) > maxShownName {
		letters = append(letters[:maxShownName-3], []rune("...")...)
	}
	p.name = string(letters)
}

// pass notes that a message is done with.
func (p *Progress) pass(octets int64) {
	p.done += octets
	p.flowing = max(0, p.flowing-octets)
	p.messages++
	p.tick()
}

// flow notes that octets of a message are there that is not done with.
func (p *Progress) flow(octets int64) {
	p.flowing += octets
	p.tick()
}

// flowed notes that all messages of which octets were there are done with.
func (p *Progress) flowed() { p.flowing = 0 }

// tick draws if it is time.
func (p *Progress) tick() {
	now := p.now()
	p.measure(now)
	if now.Sub(p.drawn) >= p.every {
		p.draw(now)
	}
}

// skip takes a folder out of what there is to do.
func (p *Progress) skip(octets, messages int64) {
	if p.total >= 0 {
		p.total -= max(octets, 0)
	}
	if p.allMessages >= 0 {
		p.allMessages -= messages
	}
}

// measure brings the speed up to date: the average of the last while, in which what is longer ago counts less.
func (p *Progress) measure(now time.Time) {
	dt := now.Sub(p.measured)
	if dt < measureEvery {
		return
	}
	weight := 1 - math.Exp(-dt.Seconds()/smoothing.Seconds())
	if p.measured.Equal(p.began) {
		weight = 1
	}
	for i, v := range [2]int64{p.done + p.flowing, p.messages} {
		p.speed[i] += weight * (float64(v-p.mark[i])/dt.Seconds() - p.speed[i])
	}
	p.measured, p.mark = now, [2]int64{p.done + p.flowing, p.messages}
}

func (p *Progress) draw(now time.Time) {
	p.drawn = now
	line := p.line()
	pad := ""
	if p.width > 0 {
		pad = strings.Repeat(" ", max(0, p.width-len(line)))
		p.width = len(line)
	}
	fmt.Fprint(p.w, p.start, line, pad, p.stop)
	p.on = p.width > 0
}

// line is what is drawn.
func (p *Progress) line() string {
	var b strings.Builder
	done := p.done + p.flowing
	b.WriteString(p.name + ": " + count(p.messages))
	if p.allMessages >= 0 {
		b.WriteString(" of " + count(p.allMessages))
	}
	b.WriteString(" messages, " + Octets(done))
	if p.total > 0 {
		fmt.Fprintf(&b, " of %s (%d %%)", Octets(p.total), min(100, 100*done/p.total))
	}
	fmt.Fprintf(&b, ", %s/s", Octets(int64(p.speed[0])))
	if left, ok := p.left(); ok {
		b.WriteString(", " + left + " left")
	}
	return b.String()
}

// left is the time that is left in words, if that can be told.
func (p *Progress) left() (string, bool) {
	var seconds float64
	switch {
	case p.total > 0 && p.speed[0] > 0:
		seconds = float64(max(0, p.total-p.done-p.flowing)) / p.speed[0]
	case p.total < 0 && p.allMessages > 0 && p.speed[1] > 0:
		seconds = float64(max(0, p.allMessages-p.messages)) / p.speed[1]
	default:
		return "", false
	}
	return span(seconds), true
}

// span is a time in words, of the unit that fits.
func span(seconds float64) string {
	for _, u := range []struct {
		name    string
		seconds float64
	}{{"second", 1}, {"minute", 60}, {"hour", 3600}} {
		n := math.Ceil(seconds / u.seconds)
		if n > 90 && u.seconds < 3600 {
			continue
		}
		if n == 1 {
			return "1 " + u.name
		}
		return count(int64(min(n, 1e6))) + " " + u.name + "s"
	}
	return ""
}

// Say writes a line that stays. It may be called by the Source at work.
func (p *Progress) Say(line string) {
	p.clear()
	fmt.Fprintln(p.w, plain(line))
}

// end takes away what was drawn on a terminal.
func (p *Progress) end() { p.clear() }

func (p *Progress) clear() {
	if p.on {
		fmt.Fprint(p.w, "\r", strings.Repeat(" ", p.width), "\r")
		p.on = false
	}
}
