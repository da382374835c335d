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
)

// Line shows the progress of a command. On a terminal it updates one line in place; elsewhere
// it writes a line every 30 seconds. It is not safe for concurrent use.
type Line struct {
	w        io.Writer
	terminal bool
	width    func() int // of the terminal, in characters
	now      func() time.Time
	written  time.Time // time of the last line
	text     string    // the last line
	shown    int       // number of visible characters of the last line
}

// NewLine returns a line on w, usually os.Stderr.
func NewLine(w io.Writer) *Line {
	l := &Line{w: w, now: time.Now}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		l.terminal = true
		l.width = func() int {
			width, _, err := term.GetSize(int(f.Fd()))
			if err != nil || width < 1 {
				return 80
			}
			return width
		}
	}
	l.written = l.now()
	return l
}

// Show writes a line if the last one is old enough or if force is set.
func (l *Line) Show(line string, force bool) {
	now, wait := l.now(), plainAfter
	if l.terminal {
		wait = redrawAfter
	}
	if !force && now.Sub(l.written) < wait {
		return
	}
	l.written, l.text = now, line
	if l.terminal {
		l.write(line)
		return
	}
	fmt.Fprintln(l.w, line)
}

// Printf prints a line above the progress line.
func (l *Line) Printf(format string, args ...any) {
	l.clear()
	fmt.Fprintf(l.w, strings.TrimSuffix(format, "\n")+"\n", args...)
	if l.terminal {
		l.write(l.text)
	}
}

// End ends the progress. The last line remains on the terminal.
func (l *Line) End() {
	if l.shown > 0 {
		fmt.Fprintln(l.w)
		l.shown = 0
	}
}

// write replaces the last line on the terminal.
func (l *Line) write(line string) {
	// Some terminals begin a new line after the last column.
	if most := l.width() - 1; utf8.RuneCountInString(line) > most {
		line = string([]rune(line)[:max(most, 0)])
	}
	n := utf8.RuneCountInString(line)
	// Blanks erase the old line on every terminal, unlike control sequences.
	fmt.Fprint(l.w, "\r"+line+strings.Repeat(" ", max(l.shown-n, 0)))
	l.shown = n
}

// clear removes the last line from the terminal.
func (l *Line) clear() {
	if l.shown > 0 {
		l.write("")
		fmt.Fprint(l.w, "\r")
	}
}

// Duration formats seconds as 45s, 3m05s, 2h07m or 3d04h.
func Duration(seconds float64) string {
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
