package trials

import (
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spike-by-spike/sbs/internal/chart"
)

// group is a configuration: the trials that differ in the seed only.
type group struct {
	values  []string // of the axes apart from the seed
	rows    []row    // those that are there
	trials  int      // of the group
	several bool     // it or another configuration has several trials
}

// groups returns the configurations, in the order of their first trials.
func (m *manifest) groups(rows []row) []*group {
	var all []*group
	byTrial := map[int]row{}
	for _, r := range rows {
		byTrial[r.Trial] = r
	}
	byValues := map[string]*group{}
	several := false
	for i, t := range m.Trials {
		values := t.Values[:len(m.Axes)-1]
		key := strings.Join(values, "\x00")
		g := byValues[key]
		if g == nil {
			g = &group{values: values}
			byValues[key], all = g, append(all, g)
		}
		g.trials++
		several = several || g.trials > 1
		if r, ok := byTrial[i+1]; ok {
			g.rows = append(g.rows, r)
		}
	}
	for _, g := range all {
		g.several = several
	}
	return all
}

// The images with which networks are measured.
type images struct {
	name string // in tables
	long string // in charts
	of   func(*row) *share
}

var (
	onHeldBack = images{"held back", "images held back", func(r *row) *share { return r.HeldBack }}
	onTraining = images{"training", "training images of the last epoch", func(r *row) *share { return r.Training }}
	onTest     = images{"test", "test images", func(r *row) *share { return r.Test }}
)

// kinds returns the images with which a trial was measured.
func kinds(rows []row) (list []images) {
	for _, k := range []images{onHeldBack, onTraining, onTest} {
		if slices.ContainsFunc(rows, func(r row) bool { return k.of(&r) != nil }) {
			list = append(list, k)
		}
	}
	return list
}

// spread is a mean over seeds, with the smallest and the largest value or, if no configuration has several
// seeds, the 95% interval. Shares are in percent.
type spread struct {
	mean, low, high float64
	n               int
}

// of returns the accuracies of a configuration, or the losses if its network has no classes. The trials
// that have stopped have none.
func (g *group) of(m *manifest, k images) spread {
	s := spread{low: math.Inf(1), high: math.Inf(-1)}
	for i := range g.rows {
		v := k.of(&g.rows[i])
		if v == nil || g.rows[i].Status == statusStopped {
			continue
		}
		value, low, high := float64(100*v.Accuracy), float64(100*v.Low), float64(100*v.High)
		if m.reconstructs(g.rows[i].Trial) {
			value = *v.Loss
		}
		if g.several || m.reconstructs(g.rows[i].Trial) {
			low, high = value, value
		}
		s.mean, s.low, s.high, s.n = s.mean+value, min(s.low, low), max(s.high, high), s.n+1
	}
	s.mean /= float64(s.n)
	return s
}

// dash takes the place of a value that does not exist.
const dash = "-"

// shown returns the axes that a table shows: those with several values, without the seed.
func (m *manifest) shown() (list []int) {
	for i, a := range m.Axes[:len(m.Axes)-1] {
		if len(a.Values) > 1 {
			list = append(list, i)
		}
	}
	if len(list) == 0 {
		return []int{0}
	}
	return list
}

// text formats a value.
func (s spread) text(v float64, loss bool) string {
	switch {
	case s.n == 0:
		return dash
	case loss:
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// summarize prints a table with a line per configuration.
func summarize(w io.Writer, m *manifest, rows []row) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(fields ...string) { _, _ = fmt.Fprintln(t, strings.Join(fields, "\t")) } // a tabwriter reports errors when it is flushed
	all, measured := m.groups(rows), kinds(rows)
	loss := m.reconstructs(1)
	what := "accuracy in %"
	if loss {
		what = "loss per image"
	}
	between := "95% interval"
	if all[0].several {
		what += ", mean over the seeds"
		between = "smallest to largest"
	}
	line(what)
	line()
	var header []string
	for _, i := range m.shown() {
		header = append(header, m.Axes[i].Name)
	}
	header = append(header, "trials")
	for _, k := range measured {
		if header = append(header, k.name); k.name != onTraining.name {
			header = append(header, between)
		}
	}
	stops := slices.ContainsFunc(rows, func(r row) bool { return r.Status != statusOK })
	if header = append(header, "loss"); stops {
		header = append(header, "status")
	}
	line(header...)
	for _, g := range all {
		line(g.fields(m, measured, stops)...)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprint(w, m.best(all, rows))
	return err
}

// fields returns the line of a configuration.
func (g *group) fields(m *manifest, measured []images, stops bool) []string {
	var fields []string
	loss := m.reconstructs(1)
	for _, i := range m.shown() {
		fields = append(fields, g.values[i])
	}
	if count := strconv.Itoa(g.trials); len(g.rows) == g.trials {
		fields = append(fields, count)
	} else {
		fields = append(fields, fmt.Sprintf("%d of %s", len(g.rows), count))
	}
	for _, k := range measured {
		s := g.of(m, k)
		if fields = append(fields, s.text(s.mean, loss)); k.name == onTraining.name {
			continue
		}
		if s.n == 0 {
			fields = append(fields, dash)
			continue
		}
		fields = append(fields, s.text(s.low, loss)+" to "+s.text(s.high, loss))
	}
	mean, n := 0.0, 0
	counts := map[string]int{}
	for _, r := range g.rows {
		counts[r.Status]++
		if r.Training != nil && r.Training.Loss != nil && r.Status != statusStopped {
			mean, n = mean+*r.Training.Loss, n+1
		}
	}
	fields = append(fields, spread{n: n}.text(mean/float64(n), true))
	if stops {
		var words []string
		for _, status := range []string{statusOK, statusWorse, statusStopped} {
			if c := counts[status]; c > 0 {
				words = append(words, fmt.Sprintf("%d %s", c, status))
			}
		}
		fields = append(fields, strings.Join(words, ", "))
	}
	return fields
}

// criterion returns the images by which the best configuration is found: those held back or, without
// any or with others for some trials, the training images. Test images choose nothing.
func (m *manifest) criterion() images {
	for _, t := range m.Trials {
		if t.HeldBack == 0 || t.HeldBack != m.Trials[0].HeldBack {
			return onTraining
		}
	}
	return onHeldBack
}

// best names the configuration that is best by the criterion, and its best trial. It returns "" unless
// there are several trials, all of which are there.
func (m *manifest) best(all []*group, rows []row) string {
	k, loss := m.criterion(), m.reconstructs(1)
	better := func(a, b float64) bool { return !loss && a > b || loss && a < b }
	var first *group
	var value spread
	for _, g := range all {
		if len(g.rows) < g.trials {
			return ""
		}
		if s := g.of(m, k); s.n == g.trials && (first == nil || better(s.mean, value.mean)) {
			first, value = g, s
		}
	}
	if first == nil || len(rows) < 2 {
		return ""
	}
	trial, at := 0, 0.0
	for i := range first.rows {
		one := &group{rows: first.rows[i : i+1], trials: 1}
		if s := one.of(m, k); trial == 0 || better(s.mean, at) {
			trial, at = first.rows[i].Trial, s.mean
		}
	}
	where := "on the training images of the last epoch (--holdout N would hold back images to choose with)"
	if k.name == onHeldBack.name {
		where = fmt.Sprintf("on the %d images held back", first.rows[0].HeldBack.Images)
	}
	var words []string
	for _, i := range m.shown() {
		words = append(words, m.Axes[i].Name+"="+first.values[i])
	}
	text := fmt.Sprintf("\nbest %s: %s, %s", where, strings.Join(words, " "), value.text(value.mean, loss))
	if first.trials > 1 {
		text += fmt.Sprintf(" (trial %d: %s)", trial, value.text(at, loss))
	}
	return text + fmt.Sprintf(", in %s\n", m.folder(trial))
}

// conclude prints the table and draws the charts. It names these files and others that were written.
func conclude(folder string, m *manifest, rows []row, stdout io.Writer, others ...string) error {
	if err := summarize(stdout, m, rows); err != nil {
		return err
	}
	names, err := drawCharts(folder, m, rows)
	if err != nil {
		return err
	}
	for _, name := range slices.Concat(others, names) {
		if _, err := fmt.Fprintf(stdout, "wrote %s\n", filepath.Join(folder, name)); err != nil {
			return err
		}
	}
	return nil
}

// point returns the point of a spread in a chart.
func (s spread) point(x float64) chart.Point {
	return chart.Point{X: x, Mean: s.mean, Low: s.low, High: s.high}
}
