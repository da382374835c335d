package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spike-by-spike/sbs/classify"
)

// summary counts over all images.
type summary struct {
	names []string // of the classes
	model string

	images, failed    int     // all images, and those that could not be classified
	labelled, correct int     // of the classified images
	confusion         [][]int // [label][class], nil without labels or with too many classes
	seconds           float64
}

func newSummary(names []string, model string) *summary {
	return &summary{names: names, model: model}
}

func (s *summary) add(r classify.FileResult) {
	s.images++
	if r.Err != nil {
		s.failed++
		return
	}
	if r.Label == classify.Unlabeled {
		return
	}
	s.labelled++
	s.count(r.Label, r.Class)
	if r.Label == r.Class {
		s.correct++
	}
}

// maxConfusion is the largest number of classes with a confusion matrix, and maxPrinted
// the largest number whose matrix fits on a screen.
const (
	maxConfusion = 1000
	maxPrinted   = 25
)

func (s *summary) count(label, class int) {
	if len(s.names) > maxConfusion {
		return
	}
	if s.confusion == nil {
		s.confusion = make([][]int, len(s.names))
		for i := range s.confusion {
			s.confusion[i] = make([]int, len(s.names))
		}
	}
	s.confusion[label][class]++
}

func (s *summary) accuracy() float64 { return float64(s.correct) / float64(s.labelled) }

// print writes the summary as text.
func (s *summary) print(out io.Writer) error {
	fmt.Fprintf(out, "\n%d images in %.1f s, %.0f images/s", s.images, s.seconds, float64(s.images)/max(s.seconds, 1e-6))
	if s.failed > 0 {
		fmt.Fprintf(out, ", %d could not be classified", s.failed)
	}
	fmt.Fprintln(out)
	if s.labelled == 0 {
		return nil
	}
	fmt.Fprintf(out, "accuracy %.2f%% (%d of %d)\n", 100*s.accuracy(), s.correct, s.labelled)
	return s.printConfusion(out)
}

func (s *summary) printConfusion(out io.Writer) error {
	if len(s.confusion) == 0 || len(s.confusion) > maxPrinted {
		return nil
	}
	fmt.Fprintln(out, "\nconfusion matrix (rows: label, columns: predicted class)")
	t := tabwriter.NewWriter(out, 0, 0, 1, ' ', tabwriter.AlignRight)
	for c := range s.confusion {
		fmt.Fprintf(t, "\t%s", oneLine(s.names[c]))
	}
	fmt.Fprintln(t, "\t")
	for label, row := range s.confusion {
		fmt.Fprint(t, oneLine(s.names[label]))
		for _, n := range row {
			if n == 0 {
				fmt.Fprint(t, "\t.")
			} else {
				fmt.Fprintf(t, "\t%d", n)
			}
		}
		fmt.Fprintln(t, "\t")
	}
	return t.Flush()
}
