package classify

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/spike-by-spike/sbs/internal/metadata"
	"github.com/spike-by-spike/sbs/internal/portmath"
	"github.com/spike-by-spike/sbs/runtime"
)

// Result is the classification of one image.
type Result struct {
	Guess // the most probable class

	// Probabilities holds the probability of every class. It belongs to the caller.
	Probabilities []float32

	// Stage is the number of the stage at which the image left, from 1, in a model with
	// stages. It is 0 in a model without stages: see runtime.Stage.
	Stage int

	// Updates is the number of spike updates that the image took, in all stages that it
	// went through. A spike updates one output position of one Spike-By-Spike layer.
	Updates int64

	// Inverted is true if the image was inverted: see Invert. Blank is true for a picture, not
	// from an array, in which all pixels have nearly the same value. Run leaves both false.
	Inverted, Blank bool

	names []string
}

// Margin returns the probability of the most probable class minus that of the second most
// probable one. In a model with stages, an image leaves at the first stage at which its
// margin is at least the threshold of the stage.
func (r Result) Margin() float64 { return runtime.Margin(r.Probabilities) }

// Guess is a class with its probability.
type Guess struct {
	Class       int    // number of the class, from 0
	Name        string // name of the class, or the number if the names are unknown
	Probability float32
}

// Top returns the n most probable classes, the most probable first; classes of equal
// probability are in the order of their numbers. Top returns all classes if the
// network has fewer than n.
func (r Result) Top(n int) []Guess {
	all := make([]Guess, len(r.Probabilities))
	for i, p := range r.Probabilities {
		all[i] = Guess{i, nameOf(r.names, i), p}
	}
	slices.SortStableFunc(all, func(a, b Guess) int { return cmp.Compare(b.Probability, a.Probability) })
	return all[:min(max(n, 0), len(all))]
}

// setResult sets r to the output of the model for one image, which it keeps.
func (c *Classifier) setResult(r *Result, out output, names []string) error {
	for i, v := range out.values {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return fmt.Errorf("the model's output for the image is not finite: %v for class %d", v, i)
		}
	}
	r.Probabilities, r.Stage, r.Updates, r.names = c.probabilities(out.values), out.stage, out.updates, names
	best := 0
	for i, p := range r.Probabilities {
		if p > r.Probabilities[best] {
			best = i
		}
	}
	r.Guess = Guess{best, nameOf(names, best), r.Probabilities[best]}
	return nil
}

// nameOf returns the name of a class, or its number if there are no names.
func nameOf(names []string, class int) string {
	if names != nil {
		return names[class]
	}
	return strconv.Itoa(class)
}

// probabilities turns the output for one image into probabilities, in place.
func (c *Classifier) probabilities(v []float32) []float32 {
	if c.output == metadata.Probabilities || c.output != metadata.Logits && isDistribution(v) {
		return v
	}
	largest := slices.Max(v)
	var sum float64
	for i, x := range v {
		e := portmath.Exp(float64(x - largest))
		v[i] = float32(e)
		sum += e
	}
	for i := range v {
		v[i] = float32(float64(v[i]) / sum)
	}
	return v
}

func isDistribution(v []float32) bool {
	var sum float64
	for _, x := range v {
		if !(x >= 0) {
			return false
		}
		sum += float64(x)
	}
	return math.Abs(sum-1) < 1e-3
}
