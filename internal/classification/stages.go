package classification

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spike-by-spike/sbs/classify"
)

// counts counts classified images, for example those that left at one stage.
type counts struct {
	images, labeled, correct int
	updates                  int64 // of all images together
}

// add counts a result.
func (c *counts) add(r result) {
	c.images++
	c.updates += r.Updates
	if r.Label == classify.Unlabeled {
		return
	}
	c.labeled++
	if r.Label == r.class() {
		c.correct++
	}
}

// total counts the images of all stages.
func (s *summary) total() counts {
	var t counts
	for _, c := range s.stages {
		t.images += c.images
		t.labeled += c.labeled
		t.correct += c.correct
		t.updates += c.updates
	}
	return t
}

// ratio returns a divided by b, or nil if b is 0.
func ratio[T int | int64](a T, b int) *float64 {
	if b == 0 {
		return nil
	}
	r := float64(a) / float64(b)
	return &r
}

// printStages writes a table of the stages of a model, if it has stages: how many images left
// at each, how many of them have the right class, and how many spike updates they took.
func (s *summary) printStages(out io.Writer) error {
	total := s.total()
	if total.images == 0 {
		return nil
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "stage\timages\taccuracy\tupdates per image")
	for i, c := range s.stages {
		c.print(t, fmt.Sprint(i+1), total.images)
	}
	total.print(t, "all", total.images)
	return t.Flush()
}

// print writes a row of the table of the stages. all is the number of images of all stages.
func (c *counts) print(out io.Writer, name string, all int) {
	accuracy, updates := "-", "-"
	if a := ratio(c.correct, c.labeled); a != nil {
		accuracy = fmt.Sprintf("%.2f%% (%d of %d)", 100**a, c.correct, c.labeled)
	}
	if u := ratio(c.updates, c.images); u != nil {
		updates = fmt.Sprintf("%.0f", *u)
	}
	fmt.Fprintf(out, "%s\t%d (%.1f%%)\t%s\t%s\n", name, c.images, 100*float64(c.images)/float64(all), accuracy, updates)
}
