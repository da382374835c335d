// Package portmath provides a float32 fused multiply-add whose results are the same bits
// on every processor. Only the bits of a NaN are not specified.
package portmath
