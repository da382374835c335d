package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spike-by-spike/sbs/internal/dataset"
)

// summary counts over all images.
type summary struct {
	network *network
	model   string

	images, failed    int     // all, and those that could not be classified
	labelled, correct int     // of those that could
	confusion         [][]int // [label][class], nil without labels or with too many classes
	seconds           float64
}

func newSummary(n *network, model string) *summary {
	return &summary{network: n, model: model}
}

func (s *summary) add(r result) {
	s.images++
	if r.err != nil {
		s.failed++
		return
	}
	if r.label == dataset.Unlabelled {
		return
	}
	s.labelled++
	s.count(r.label, r.top[0].class)
	if r.label == r.top[0].class {
		s.correct++
	}
}

// maxConfusion is the number of classes up to which there is a confusion matrix,
// and maxPrinted the number up to which it fits on a screen.
const (
	maxConfusion = 1000
	maxPrinted   = 25
)

func (s *summary) count(label, class int) {
	if s.network.outputs > maxConfusion {
		return
	}
	if s.confusion == nil {
		s.confusion = make([][]int, s.network.outputs)
		for i := range s.confusion {
			s.confusion[i] = make([]int, s.network.outputs)
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
	fmt.Fprintf(out, "accuracy %.2f %% (%d of %d)\n", 100*s.accuracy(), s.correct, s.labelled)
	return s.printConfusion(out)
}

func (s *summary) printConfusion(out io.Writer) error {
	if len(s.confusion) == 0 || len(s.confusion) > maxPrinted {
		return nil
	}
	fmt.Fprintln(out, "\nconfusion matrix (rows: label, columns: class found)")
	t := tabwriter.NewWriter(out, 0, 0, 1, ' ', tabwriter.AlignRight)
	for c := range s.confusion {
		fmt.Fprintf(t, "\t%s", s.network.shown(c))
	}
	fmt.Fprintln(t, "\t")
	for label, row := range s.confusion {
		fmt.Fprint(t, s.network.shown(label))
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
