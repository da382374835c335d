package train

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/internal/portmath"
)

// Optimizer names an optimizer.
type Optimizer string

// The optimizers of PyTorch-SbS.
const (
	// Adam is the method of D. P. Kingma and J. Ba, "Adam: a method for stochastic
	// optimization", 2015, with PyTorch's defaults: betas 0.9 and 0.999, eps 1e-8.
	Adam Optimizer = "Adam"

	// SGD is stochastic gradient descent without momentum.
	SGD Optimizer = "SGD"
)

const (
	beta1   = 0.9
	beta2   = 0.999
	adamEps = 1e-8
)

// Check returns an error if the optimizer is unknown.
func (o Optimizer) Check() error {
	if o != Adam && o != SGD {
		return fmt.Errorf("unknown optimizer %q, want %q or %q", o, Adam, SGD)
	}
	return nil
}

// moments is the state of an optimizer for one parameter. The fields are exported for gob.
type moments struct {
	Steps  int
	First  []float32 // running mean of the gradient; nil before the first step
	Second []float32 // running mean of the squared gradient; nil before the first step
}

// step makes one step of the optimizer. The direction d is the gradient for SGD, and
// m-hat/(sqrt(v-hat)+eps) for Adam. A step changes a value to value - rate*d. A
// multiplicative step, which dialect 2 uses for the weights of SbS layers, changes it to
// value * ((1+tanh(-rate*d))*0.5 + 0.5), which keeps its sign.
func (o Optimizer) step(m *moments, values, gradient []float32, rate float64, multiplicative bool) {
	m.Steps++
	if o == Adam && m.First == nil {
		m.First, m.Second = make([]float32, len(values)), make([]float32, len(values))
	}
	correct1 := 1 - portmath.Pow(beta1, float64(m.Steps))
	correct2 := math.Sqrt(1 - portmath.Pow(beta2, float64(m.Steps)))
	for i, g := range gradient {
		d := float64(g)
		if o == Adam {
			m.First[i] += float32((g - m.First[i]) * (1 - beta1))
			m.Second[i] = float32(m.Second[i]*beta2) + float32(g*g*(1-beta2))
			d = float64(m.First[i]) / correct1 / (math.Sqrt(float64(m.Second[i]))/correct2 + adamEps)
		}
		if multiplicative {
			values[i] *= float32(float64((1+portmath.Tanh(-rate*d))*0.5) + 0.5)
		} else {
			values[i] -= float32(rate * d)
		}
	}
}

// normalize divides every column of a matrix with n columns by its sum. A column with sum
// 0 stays unchanged. As in PyTorch-SbS, a column with a negative sum, which is possible
// after a large step, changes its signs.
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

// average sets every value to the mean of all values.
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
