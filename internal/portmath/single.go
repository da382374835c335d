package portmath

import (
	"math"
	"strconv"
)

// Single returns v as the nearest float32. On processors of 32 bits, the conversion of Go 1.26 (uint64tofloat32 in
// package runtime) rounds some integers from 2^46 to 2^47 to the wrong neighbor. Integers below 2^53 are exact
// as float64, whose conversion is right everywhere.
func Single[T int64 | uint64 | float64](v T) float32 {
	if f := float64(v); strconv.IntSize == 32 && math.Abs(f) < 1<<53 {
		return float32(f)
	}
	return float32(v)
}
