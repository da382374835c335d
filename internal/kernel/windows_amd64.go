//go:build !purego

package kernel

type windowFunc func(k int, taps *int, x *float32, step, second int, w, start, out *float32, next int)

var (
	avx2Windows = windowTiling{pixels: 3, lanes: 8, vectors: 2, tile: windowTiles([][2]windowFunc{
		{windows1x8AVX2, windows1x16AVX2}, {windows2x8AVX2, windows2x16AVX2}, {windows3x8AVX2, windows3x16AVX2},
	}, 8)}
	avx512Windows = windowTiling{pixels: 7, lanes: 16, vectors: 2, tile: windowTiles([][2]windowFunc{
		{windows1x16AVX512, windows1x32AVX512}, {windows2x16AVX512, windows2x32AVX512}, {windows3x16AVX512, windows3x32AVX512},
		{windows4x16AVX512, windows4x32AVX512}, {windows5x16AVX512, windows5x32AVX512}, {windows6x16AVX512, windows6x32AVX512},
		{windows7x16AVX512, windows7x32AVX512},
	}, 16)}
)

func windowsOf(t Tier) *windowTiling {
	switch t {
	case AVX512:
		return &avx512Windows
	case AVX2:
		return &avx2Windows
	}
	return &portableWindows
}

// windowTiles returns the tile function of functions by pixels and vectors.
func windowTiles(functions [][2]windowFunc, lanes int) func(pixels, width int, taps []int, x []float32, step, second int, w, start, out []float32, next int) {
	return func(pixels, width int, taps []int, x []float32, step, second int, w, start, out []float32, next int) {
		_, _, _ = w[len(taps)*width-1], start[width-1], out[next+pixels*width-1]
		functions[pixels-1][width/lanes-1](len(taps), &taps[0], &x[0], step, second, &w[0], &start[0], &out[0], next)
	}
}

// weightVectors, meanVectors and maxVectors compute WeightTaps, MeanTaps and MaxTaps for as many
// numbers as fill whole vectors, and return how many these are.
func weightVectors(out, x []float32, taps []int, weights []float32, start float32) int {
	tier, n := wholeVectors(len(out))
	switch {
	case n == 0:
	case tier == AVX512:
		weightTapsAVX512(len(taps), &taps[0], &weights[0], &x[0], &out[0], n, start)
	default:
		weightTapsAVX2(len(taps), &taps[0], &weights[0], &x[0], &out[0], n, start)
	}
	return n
}

func meanVectors(out, x []float32, taps []int, counts []float64) int {
	tier, n := active(), len(out)&^7
	switch {
	case n == 0 || tier == Portable:
		return 0
	case tier == AVX512:
		meanTapsAVX512(len(taps), &taps[0], &x[0], &out[0], &counts[0], n)
	default:
		meanTapsAVX2(len(taps), &taps[0], &x[0], &out[0], &counts[0], n)
	}
	return n
}

func maxVectors(out, x []float32, taps []int, start float32) int {
	tier, n := wholeVectors(len(out))
	switch {
	case n == 0:
	case tier == AVX512:
		maxTapsAVX512(len(taps), &taps[0], nil, &x[0], &out[0], n, start)
	default:
		maxTapsAVX2(len(taps), &taps[0], nil, &x[0], &out[0], n, start)
	}
	return n
}

// dealVectors is Deal for all pairs of numbers if they fill a vector. The last vector may overlap
// the one before.
func dealVectors(even, odd, x []float32) int {
	pairs := min(len(even), len(odd))
	tier, n := wholeVectors(pairs)
	if n == 0 {
		return 0
	}
	deal, lanes := dealAVX2, 8
	if tier == AVX512 {
		deal, lanes = dealAVX512, 16
	}
	deal(&even[0], &odd[0], &x[0], n)
	if last := pairs - lanes; last > n-lanes {
		deal(&even[last], &odd[last], &x[2*last], lanes)
	}
	return pairs
}

func standardizeVectors(v []float32, mean, factor, bias float64) int {
	tier := active()
	if tier == Portable || len(v) < 8 {
		return 0
	}
	n := len(v) &^ 7
	if tier == AVX512 {
		standardizeAVX512(&v[0], n, mean, factor, bias)
	} else {
		standardizeAVX2(&v[0], n, mean, factor, bias)
	}
	return n
}
