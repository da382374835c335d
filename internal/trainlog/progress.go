package trainlog

import (
	"fmt"
	"io"
	"math"
	"time"
)

const rateOver = 30 * time.Second // time constant of the average rates

// Progress shows the progress of a training. On a terminal it updates one line in
// place; elsewhere it writes a line every 30 seconds. It is not safe for concurrent
// use.
type Progress struct {
	Line
	total   int64 // number of the last update of the training
	last    Record
	time    time.Time // of the last record
	tested  Record    // the last one with a test
	images  rate
	updates rate
	watch   func(Record) // may be nil
}

// NewProgress returns the progress of a training that ends with update total. It
// shows it on w, usually os.Stderr. after is the last record of a training that is
// resumed, and the zero Record for a new training.
func NewProgress(w io.Writer, total int64, after Record) *Progress {
	p := &Progress{Line: *NewLine(w), total: total, last: after, tested: after}
	p.start()
	return p
}

func (p *Progress) start() {
	p.time, p.written, p.text = p.now(), p.now(), p.line()
}

// Watch calls f with the record of every update.
func (p *Progress) Watch(f func(Record)) { p.watch = f }

// Update shows a completed update.
func (p *Progress) Update(r Record) {
	if p.watch != nil {
		p.watch(r)
	}
	now := p.now()
	seconds := now.Sub(p.time).Seconds()
	p.images.add(float64(r.Images-p.last.Images), seconds)
	p.updates.add(float64(r.Update-p.last.Update), seconds)
	tested := r.TestError != nil || r.TestLoss != nil
	if tested {
		p.tested = r
	}
	p.last, p.time = r, now
	p.Show(p.line(), r.Update >= p.total || tested && !p.terminal)
}

// Phase shows, after the last update, the progress of a part of the next one. what
// is the name of the part, such as "testing", and done the number of images out of
// total that it has processed.
func (p *Progress) Phase(what string, done, total int) {
	p.Show(fmt.Sprintf("%s  [%s %d/%d]", p.line(), what, done, total), false)
}

// Done ends the progress. The last line remains on the terminal.
func (p *Progress) Done() {
	if p.line() != p.text {
		p.Show(p.line(), true)
	}
	p.End()
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
		line += "  " + Duration(float64(p.total-p.last.Update)/v) + " left"
	}
	return line
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
