//go:build !purego

package kernel

type windowFunc func(k int, taps *int, x *float32, step, second int, w, start, out *float32, next int)

// windowsNEON holds the functions by windows and vectors of filters.
var windowsNEON = [][4]windowFunc{
	{windows1x4NEON, windows1x8NEON, windows1x12NEON, windows1x16NEON},
	{windows2x4NEON, windows2x8NEON, windows2x12NEON, windows2x16NEON},
	{windows3x4NEON, windows3x8NEON, windows3x12NEON, windows3x16NEON},
}

var neonWindows = windowTiling{
	pixels: len(windowsNEON), lanes: lanesNEON, vectors: 4,
	tile: func(pixels, width int, taps []int, x []float32, step, second int, w, start, out []float32, next int) {
		_, _, _ = w[len(taps)*width-1], start[width-1], out[next+pixels*width-1]
		windowsNEON[pixels-1][width/lanesNEON-1](len(taps), &taps[0], &x[0], step, second, &w[0], &start[0], &out[0], next)
	},
}

func windowsOf(t Tier) *windowTiling {
	if t == Portable {
		return &portableWindows
	}
	return &neonWindows
}

// weightVectors, meanVectors and maxVectors compute WeightTaps, MeanTaps and MaxTaps for as many
// numbers as fill whole vectors, and return how many these are.
func weightVectors(out, x []float32, taps []int, weights []float32, start float32) int {
	n := wholeVectors(len(out), lanesNEON)
	if n > 0 {
		weightTapsNEON(len(taps), &taps[0], &weights[0], &x[0], &out[0], n, start)
	}
	return n
}

func meanVectors(out, x []float32, taps []int, counts []float64) int {
	n := wholeVectors(len(out), lanesNEON)
	if n > 0 {
		meanTapsNEON(len(taps), &taps[0], &x[0], &out[0], &counts[0], n)
	}
	return n
}

func maxVectors(out, x []float32, taps []int, start float32) int {
	n := wholeVectors(len(out), lanesNEON)
	if n > 0 {
		maxTapsNEON(len(taps), &taps[0], &x[0], &out[0], n, start)
	}
	return n
}

// dealVectors is Deal for all pairs of numbers if they fill a vector. The last vector may overlap
// the one before.
func dealVectors(even, odd, x []float32) int {
	pairs := min(len(even), len(odd))
	n := wholeVectors(pairs, lanesNEON)
	if n == 0 {
		return 0
	}
	dealNEON(&even[0], &odd[0], &x[0], n)
	if last := pairs - lanesNEON; last > n-lanesNEON {
		dealNEON(&even[last], &odd[last], &x[2*last], lanesNEON)
	}
	return pairs
}

func standardizeVectors(v []float32, mean, factor, bias float64) int {
	n := wholeVectors(len(v), lanesNEON)
	if n > 0 {
		standardizeNEON(&v[0], n, mean, factor, bias)
	}
	return n
}
