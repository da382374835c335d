package trainlog

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

const (
	redrawAfter = 100 * time.Millisecond // shortest time between two lines on a terminal
	plainAfter  = 30 * time.Second       // shortest time between two lines elsewhere
	rateOver    = 30 * time.Second       // time constant of the average rates
)

// Progress shows the progress of a training. On a terminal it updates one line in
// place; elsewhere it writes a line every 30 seconds. It is not safe for concurrent
// use.
type Progress struct {
	w        io.Writer
	terminal bool
	width    func() int // of the terminal, in characters
	now      func() time.Time
	total    int64 // number of the last update of the training
	last     Record
	time     time.Time // of the last record
	tested   Record    // the last one with a test
	images   rate
	updates  rate
	written  time.Time // time of the last line
	text     string    // the last line
	shown    int       // number of visible characters of the last line
}

// NewProgress returns the progress of a training that ends with update total. It
// shows it on w, usually os.Stderr. after is the last record of a training that is
// resumed, and the zero Record for a new training.
func NewProgress(w io.Writer, total int64, after Record) *Progress {
	p := &Progress{w: w, total: total, last: after, now: time.Now, tested: after}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.terminal = true
		p.width = func() int {
			width, _, err := term.GetSize(int(f.Fd()))
			if err != nil || width < 1 {
				return 80
			}
			return width
		}
	}
	p.start()
	return p
}

func (p *Progress) start() {
	p.time, p.written, p.text = p.now(), p.now(), p.line()
}

// Update shows a completed update.
func (p *Progress) Update(r Record) {
	now := p.now()
	seconds := now.Sub(p.time).Seconds()
	p.images.add(float64(r.Images-p.last.Images), seconds)
	p.updates.add(float64(r.Update-p.last.Update), seconds)
	tested := r.TestError != nil || r.TestLoss != nil
	if tested {
		p.tested = r
	}
	p.last, p.time = r, now
	p.show(p.line(), r.Update >= p.total || tested && !p.terminal)
}

// Phase shows, after the last update, the progress of a part of the next one. what
// is the name of the part, such as "testing", and done the number of images out of
// total that it has processed.
func (p *Progress) Phase(what string, done, total int) {
	p.show(fmt.Sprintf("%s  [%s %d/%d]", p.line(), what, done, total), false)
}

// Printf prints a line above the progress line.
func (p *Progress) Printf(format string, args ...any) {
	p.clear()
	fmt.Fprintf(p.w, strings.TrimSuffix(format, "\n")+"\n", args...)
	if p.terminal {
		p.write(p.text)
	}
}

// Done ends the progress. The last line remains on the terminal.
func (p *Progress) Done() {
	if p.line() != p.text {
		p.show(p.line(), true)
	}
	if p.shown > 0 {
		fmt.Fprintln(p.w)
		p.shown = 0
	}
}

// line returns the progress line for the last update.
func (p *Progress) line() string {
	line := fmt.Sprintf("update %d/%d", p.last.Update, p.total)
	if p.last.Update == 0 {
		return line
	}
	line += fmt.Sprintf("  epoch %d  loss %.4g", p.last.Epoch, p.last.Loss)
	if p.last.TrainError != nil {
		line += fmt.Sprintf("  accuracy %.2f%%", 100-*p.last.TrainError)
	}
	if p.tested.TestError != nil {
		line += fmt.Sprintf("  test %.2f%%", 100-*p.tested.TestError)
	} else if p.tested.TestLoss != nil {
		line += fmt.Sprintf("  test loss %.4g", *p.tested.TestLoss)
	}
	if v, ok := p.images.value(); ok {
		line += fmt.Sprintf("  %s images/s", digits(v))
	}
	if v, ok := p.updates.value(); ok && p.last.Update < p.total {
		line += "  " + duration(float64(p.total-p.last.Update)/v) + " left"
	}
	return line
}

// show writes a line if the last one is old enough or if force is set.
func (p *Progress) show(line string, force bool) {
	now, wait := p.now(), plainAfter
	if p.terminal {
		wait = redrawAfter
	}
	if !force && now.Sub(p.written) < wait {
		return
	}
	p.written, p.text = now, line
	if p.terminal {
		p.write(line)
		return
	}
	fmt.Fprintln(p.w, line)
}

// write replaces the last line on the terminal.
func (p *Progress) write(line string) {
	// Some terminals begin a new line after the last column.
	if most := p.width() - 1; utf8.RuneCountInString(line) > most {
		line = string([]rune(line)[:max(most, 0)])
	}
	n := utf8.RuneCountInString(line)
	// Blanks erase the old line on every terminal, unlike control sequences.
	fmt.Fprint(p.w, "\r"+line+strings.Repeat(" ", max(p.shown-n, 0)))
	p.shown = n
}

// clear removes the last line from the terminal.
func (p *Progress) clear() {
	if p.shown > 0 {
		p.write("")
		fmt.Fprint(p.w, "\r")
	}
}

// rate is an exponentially weighted average of the number of events per second.
type rate struct{ count, seconds float64 }

func (r *rate) add(count, seconds float64) {
	keep := math.Exp(-seconds / rateOver.Seconds())
	r.count, r.seconds = r.count*keep+count, r.seconds*keep+seconds
}

func (r *rate) value() (float64, bool) {
	v := r.count / r.seconds
	return v, r.seconds > 0 && v > 0
}

// digits formats a rate with at least two significant digits.
func digits(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// duration formats seconds as 45s, 3m05s, 2h07m or 3d04h.
func duration(seconds float64) string {
	s := int64(min(math.Round(seconds), 1e9))
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 24*3600:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
}
