package kernel

import (
	"fmt"

	"github.com/spike-by-spike/sbs/internal/portmath"
)

// WeightTaps computes neighboring windows with one filter: out[i] is the sum of start and of all
// weights[t]*x[taps[t]+i], which are added in ascending order of t, each with a fused multiply-add.
// There is at least one tap. It panics if x or weights is too short.
func WeightTaps(out, x []float32, taps []int, weights []float32, start float32) {
	checkTaps(out, x, taps)
	weights = weights[:len(taps)]
	done := weightVectors(out, x, taps, weights, start)
	for i := done; i < len(out); i++ {
		sum := start
		for t, tap := range taps {
			sum = portmath.FMA(weights[t], x[tap+i], sum)
		}
		out[i] = sum
	}
}

// MeanTaps sets out[i] to the sum of all x[taps[t]+i], which are added in ascending order of t,
// divided by counts[i], all in float64. It panics if x or counts is too short.
func MeanTaps(out, x []float32, taps []int, counts []float64) {
	checkTaps(out, x, taps)
	counts = counts[:len(out)]
	done := meanVectors(out, x, taps, counts)
	for i := done; i < len(out); i++ {
		sum := 0.0
		for _, tap := range taps {
			sum += float64(x[tap+i])
		}
		out[i] = float32(sum / counts[i])
	}
}

// MaxTaps sets out[i] to the maximum of start and of all x[taps[t]+i]. NaN counts as larger than
// all numbers. Of zeros with different signs, the first one counts. It panics if x is too short.
func MaxTaps(out, x []float32, taps []int, start float32) {
	checkTaps(out, x, taps)
	done := maxVectors(out, x, taps, start)
	for i := done; i < len(out); i++ {
		top := start
		for _, tap := range taps {
			if v := x[tap+i]; v > top || v != v {
				top = v
			}
		}
		out[i] = top
	}
}

func checkTaps(out, x []float32, taps []int) {
	if last := largest("tap", taps) + len(out); last > len(x) || len(taps) == 0 {
		panic(fmt.Sprintf("kernel: %d taps of %d windows do not fit into an input of %d numbers", len(taps), len(out), len(x)))
	}
}

// Deal copies x[2*i] to even[i] and x[2*i+1] to odd[i]. The length of x is the sum of the lengths
// of even and odd; even may have one number more than odd. Deal panics otherwise. The slices must not overlap.
func Deal(even, odd, x []float32) {
	if len(x) != len(even)+len(odd) || len(even)-len(odd) < 0 || len(even)-len(odd) > 1 {
		panic(fmt.Sprintf("kernel: %d numbers are dealt to slices of %d and %d", len(x), len(even), len(odd)))
	}
	for i := dealVectors(even, odd, x); i < len(even); i++ {
		even[i] = x[2*i]
		if i < len(odd) {
			odd[i] = x[2*i+1]
		}
	}
}

// Standardize replaces v[i] by (v[i]-mean)*factor + bias, computed in float64.
func Standardize(v []float32, mean, factor, bias float64) {
	done := standardizeVectors(v, mean, factor, bias)
	for i, x := range v[done:] {
		v[done+i] = float32(float64((float64(x)-mean)*factor) + bias)
	}
}
