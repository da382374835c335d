package train

import (
	"fmt"
	"math"
)

// Optimizer names an optimizer.
type Optimizer string

// The optimizers of PyTorch-SbS.
const (
	// Adam is PyTorch's, with betas 0.9 and 0.999 and eps 1e-8 (D. P. Kingma and
	// J. Ba, "Adam: a method for stochastic optimization", 2015).
	Adam Optimizer = "Adam"

	// SGD is plain stochastic gradient descent.
	SGD Optimizer = "SGD"
)

const (
	beta1   = 0.9
	beta2   = 0.999
	adamEps = 1e-8
)

// Check returns an error unless the optimizer is known.
func (o Optimizer) Check() error {
	if o != Adam && o != SGD {
		return fmt.Errorf("train: unknown optimizer %q, known are %q and %q", o, Adam, SGD)
	}
	return nil
}

// moments is what an optimizer keeps of one parameter from step to step.
type moments struct {
	Steps  int
	First  []float32 // running mean of the gradient; nil before the first step
	Second []float32 // and of its square
}

// step changes the values by one step along the gradient. With d the direction,
// which is the gradient for SGD and m-hat/(sqrt(v-hat)+eps) for Adam, a value
// becomes value - rate*d, or, when multiplicative, as dialect 2 does with the
// weights of SbS layers, value * ((1+tanh(-rate*d))*0.5 + 0.5): it stays
// positive.
func (o Optimizer) step(m *moments, values, gradient []float32, rate float64, multiplicative bool) {
	m.Steps++
	if o == Adam && m.First == nil {
		m.First, m.Second = make([]float32, len(values)), make([]float32, len(values))
	}
	correct1 := 1 - math.Pow(beta1, float64(m.Steps))
	correct2 := math.Sqrt(1 - math.Pow(beta2, float64(m.Steps)))
	for i, g := range gradient {
		d := float64(g)
		if o == Adam {
			m.First[i] += (g - m.First[i]) * (1 - beta1)
			m.Second[i] = m.Second[i]*beta2 + g*g*(1-beta2)
			d = float64(m.First[i]) / correct1 / (math.Sqrt(float64(m.Second[i]))/correct2 + adamEps)
		}
		if multiplicative {
			values[i] *= float32((1+math.Tanh(-rate*d))*0.5 + 0.5)
		} else {
			values[i] -= float32(rate * d)
		}
	}
}

// normalize makes every column of a matrix of n columns sum to 1. A column whose
// sum is 0 stays. As in the original, one whose sum is below 0, which a large
// step can bring about, changes its signs.
func normalize(w []float32, n int) {
	sums := make([]float64, n)
	for row := 0; row < len(w); row += n {
		for i, v := range w[row:][:n] {
			sums[i] += float64(v)
		}
	}
	for row := 0; row < len(w); row += n {
		for i, v := range w[row:][:n] {
			if sums[i] != 0 {
				w[row+i] = float32(float64(v) / sums[i])
			}
		}
	}
}

// atLeast raises values below lowest, and NaN, to lowest.
func atLeast(values []float32, lowest float32) {
	for i, v := range values {
		if !(v >= lowest) {
			values[i] = lowest
		}
	}
}

// average makes every value the mean of all.
func average(values []float32) {
	var sum float64
	for _, v := range values {
		sum += float64(v)
	}
	mean := float32(sum / float64(len(values)))
	for i := range values {
		values[i] = mean
	}
}
