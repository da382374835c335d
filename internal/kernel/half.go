package kernel

import "unsafe"

// FromHalf converts as many float16, given by their bits, as fill whole vectors of the tier, and
// returns how many these are.
func FromHalf[T ~uint16](out []float32, x []T) int { return fromHalfVectors(out, words(x[:len(out)])) }

// ToHalf converts as many numbers to the bits of float16 as fill whole vectors of the tier, rounded
// half to even, and returns how many these are.
func ToHalf[T ~uint16](out []T, x []float32) int { return toHalfVectors(words(out), x[:len(out)]) }

// words returns the same memory as numbers of 16 bits.
func words[T ~uint16](x []T) []uint16 {
	return unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(x))), len(x))
}
