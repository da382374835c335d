package kernel

import "math"

// Summand says what Total and Accumulate add up.
type Summand int

// The summands.
const (
	Numbers    Summand = iota
	Magnitudes         // of the numbers
	Squares            // of the distances of the numbers from a center, or in Accumulate of the numbers
)

func (s Summand) of(v, center float64) float64 {
	switch s {
	case Magnitudes:
		return math.Abs(v)
	case Squares:
		v -= center
		return v * v
	}
	return v
}

// Total returns a sum of numbers in float64. Number i is part of partial sum i mod 32. Partial sums i
// and i+16 are added first, then i and i+8, and so on. center is for Squares.
func Total(s Summand, x []float32, center float64) float64 {
	if sum, ok := totalVectors(s, x, center); ok {
		return sum
	}
	var sums [partialSums]float64
	return addTo(&sums, s, x, center)
}

// partialSums is the number of partial sums of Total.
const partialSums = 32

// addTo adds the last numbers of a list to partial sums, whose number divides the index of the first
// one, and returns their sum.
func addTo(sums *[partialSums]float64, s Summand, x []float32, center float64) float64 {
	for i, v := range x {
		sums[i%partialSums] += float64(s.of(float64(v), center))
	}
	for half := partialSums / 2; half > 0; half /= 2 {
		for i := range half {
			sums[i] += sums[i+half]
		}
	}
	return sums[0]
}

// Product returns the product of numbers in float64. Number i is part of partial product i mod 32, and
// these are multiplied as Total adds partial sums. Fewer than 16 numbers are multiplied in their order.
func Product(x []float32) float64 {
	if len(x) < 16 {
		product := 1.0
		for _, v := range x {
			product *= float64(v)
		}
		return product
	}
	var partial [32]float64
	for i := range partial {
		partial[i] = 1
	}
	done := productVectors(&partial, x)
	for i, v := range x[done:] {
		partial[i%32] *= float64(v)
	}
	for half := 16; half > 0; half /= 2 {
		for i := range half {
			partial[i] *= partial[i+half]
		}
	}
	return partial[0]
}

// Accumulate adds numbers, their magnitudes or their squares to the sums, in float64.
func Accumulate(s Summand, sums []float64, x []float32) {
	x = x[:len(sums)]
	done := accumulateVectors(s, sums, x)
	for i, v := range x[done:] {
		sums[done+i] += float64(s.of(float64(v), 0))
	}
}

// AccumulateRows is Accumulate for each of some rows in turn. x begins with the first row, and stride is
// the distance between the first elements of adjacent rows. AccumulateRows panics if x is too short.
func AccumulateRows(s Summand, sums []float64, x []float32, rows, stride int) {
	if rows <= 0 || len(sums) == 0 {
		return
	}
	_ = x[(rows-1)*stride:][:len(sums)]
	done := accumulateRowsVectors(s, sums, x, rows, stride)
	if done == len(sums) {
		return
	}
	for r := range rows {
		row := x[r*stride:][:len(sums)]
		for i := done; i < len(row); i++ {
			sums[i] += float64(s.of(float64(row[i]), 0))
		}
	}
}

// Largest returns the largest of the numbers and of start, or NaN if one of them is NaN. Number i is
// compared in lane i mod 16; which one of equal zeros is returned follows from this.
func Largest(x []float32, start float32) float32 {
	if best, ok := extremeVectors(true, x, start); ok {
		return best
	}
	return extreme(x, start, larger)
}

// Smallest returns the smallest of the numbers and of start. See Largest.
func Smallest(x []float32, start float32) float32 {
	if best, ok := extremeVectors(false, x, start); ok {
		return best
	}
	return extreme(x, start, smaller)
}

func extreme(x []float32, start float32, better func(a, b float32) float32) float32 {
	var best [sumLanes]float32
	for i := range best {
		best[i] = start
	}
	for i, v := range x {
		best[i%sumLanes] = better(v, best[i%sumLanes])
	}
	return gather(&best, better)
}
