//go:build !purego

package kernel

// The functions of this file have no assembly: the portable code takes all of their work.

func powVectors(_, _, _ []float32, _, _ int) int { return 0 }
