// Package portmath provides elementary functions and a float32 fused multiply-add whose
// results are the same bits on every processor. Only the bits of a NaN are not specified.
//
// The functions of package math do not have this property: some have different code for
// different processors, and where a processor can fuse a multiplication and an addition,
// the compiler does so in the others. An explicit conversion of the product, such as
// float64(x*y) + z, prevents this (see "Floating-point operators" in the specification of
// Go). Operations on single numbers are exactly rounded on every processor.
package portmath
