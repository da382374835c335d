package classification

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spike-by-spike/sbs/classify"
)

// summary counts the results of all images.
type summary struct {
	classes []string // names of the classes
	model   string   // path of the model
	noise   string   // noise that was added to the images, "" for none

	images, failed   int     // numbers of all images, and of images that could not be classified
	labeled, correct int     // numbers of classified images with a label, and of images with the right class
	confusion        [][]int // [label][class], nil without labels or with too many classes
	inverted         int
	blank            []string // names of the images
	seconds          float64

	stages []counts // of the images that left at each stage, nil for a model without stages
}

func newSummary(classes []string, model, noise string, stages int) *summary {
	s := &summary{classes: classes, model: model, noise: noise}
	if stages > 0 {
		s.stages = make([]counts, stages)
	}
	return s
}

// add counts the result of an image.
func (s *summary) add(r result) {
	s.images++
	if r.failed() {
		s.failed++
		return
	}
	if r.Inverted {
		s.inverted++
	}
	if r.Blank {
		s.blank = append(s.blank, oneLine(r.Image))
	}
	if r.Stage > 0 {
		s.stages[r.Stage-1].add(r)
	}
	if r.Label == classify.Unlabeled {
		return
	}
	s.labeled++
	s.count(r.Label, r.class())
	if r.Label == r.class() {
		s.correct++
	}
}

// failure returns the error of the run if images could not be classified.
func (s *summary) failure() error {
	if s.failed == 0 {
		return nil
	}
	return &failedImages{s.failed, s.images}
}

// Limits of the confusion matrix.
const (
	maxConfusion = 1000 // classes; with more, the matrix takes too much memory
	maxPrinted   = 25   // classes; with more, the matrix does not fit on a screen
)

// count adds an image to the confusion matrix.
func (s *summary) count(label, class int) {
	if len(s.classes) > maxConfusion {
		return
	}
	if s.confusion == nil {
		s.confusion = make([][]int, len(s.classes))
		for i := range s.confusion {
			s.confusion[i] = make([]int, len(s.classes))
		}
	}
	s.confusion[label][class]++
}

// accuracy returns the part of the labeled images that have the right class.
func (s *summary) accuracy() float64 { return float64(s.correct) / float64(s.labeled) }

// print writes the summary as text.
func (s *summary) print(out io.Writer) error {
	images := "images"
	if s.images == 1 {
		images = "image"
	}
	if s.noise != "" {
		images += " with noise " + s.noise
	}
	fmt.Fprintf(out, "\n%d %s in %.1f s, %.0f images/s", s.images, images, s.seconds, float64(s.images)/max(s.seconds, 1e-6))
	if s.failed > 0 {
		fmt.Fprintf(out, ", %d could not be classified", s.failed)
	}
	fmt.Fprintln(out)
	if err := s.printStages(out); err != nil {
		return err
	}
	if s.labeled == 0 {
		return nil
	}
	fmt.Fprintf(out, "accuracy %.2f%% (%d of %d)\n", 100*s.accuracy(), s.correct, s.labeled)
	return s.printConfusion(out)
}

func (s *summary) printConfusion(out io.Writer) error {
	if len(s.confusion) == 0 || len(s.confusion) > maxPrinted {
		return nil
	}
	fmt.Fprintln(out, "\nconfusion matrix (rows: label, columns: predicted class)")
	t := tabwriter.NewWriter(out, 0, 0, 1, ' ', tabwriter.AlignRight)
	for c := range s.confusion {
		fmt.Fprintf(t, "\t%s", oneLine(s.classes[c]))
	}
	fmt.Fprintln(t, "\t")
	for label, row := range s.confusion {
		fmt.Fprint(t, oneLine(s.classes[label]))
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
