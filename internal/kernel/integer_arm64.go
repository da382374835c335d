//go:build !purego

package kernel

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

type dotsFunc func(words int, a *uint32, stride int, b *uint32, offsets *int, c *int32, ldc int, start, more *int32)

// dotsTiers returns the dots for the instructions that the machine has, in ascending order of
// speed.
func dotsTiers() []*dots {
	all := []*dots{&portableDots, &neonDots}
	if cpu.ARM64.HasASIMDDP {
		all = append(all, &dotDots)
	}
	return all
}

// dotsOf returns the fastest dots of a tier.
func dotsOf(t Tier) *dots {
	switch {
	case t == Portable:
		return &portableDots
	case cpu.ARM64.HasASIMDDP:
		return &dotDots
	}
	return &neonDots
}

// The functions by rows and by 8 and 16 columns.
var (
	neonDots = dots{
		name: "neon", rows: 4, columns: 16, lanes: 8, per: 2, tile: tileOf([][2]dotsFunc{
			{dots1x8NEON, dots1x16NEON}, {dots2x8NEON, dots2x16NEON}, {dots3x8NEON, dots3x16NEON}, {dots4x8NEON, dots4x16NEON},
		}),
		row: rowOfWords, interleave: interleaver(interleave2NEON, 2, 0x00800080), depthwise: depthwiseVectors,
	}
	dotDots = dots{
		name: "neon-dot", rows: 6, columns: 16, lanes: 8, per: 4, signed: true, tile: tileOf([][2]dotsFunc{
			{dots1x8DOT, dots1x16DOT}, {dots2x8DOT, dots2x16DOT}, {dots3x8DOT, dots3x16DOT},
			{dots4x8DOT, dots4x16DOT}, {dots5x8DOT, dots5x16DOT}, {dots6x8DOT, dots6x16DOT},
		}),
		row: rowOfBytes, interleave: interleaver(interleave4NEON, 4, 0x80808080), depthwise: depthwiseVectors,
	}
)

func tileOf(run [][2]dotsFunc) func(rows, columns int, a []uint32, stride int, b []uint32, offsets []int, c []int32, ldc int, start, more []int32) {
	return func(rows, columns int, a []uint32, stride int, b []uint32, offsets []int, c []int32, ldc int, start, more []int32) {
		_, _ = a[(rows-1)*stride+len(offsets)-1], c[(rows-1)*ldc+columns-1]
		var s, m *int32
		if start != nil {
			s = &start[:rows][0]
		}
		if more != nil {
			m = &more[:columns][0]
		}
		run[rows-1][columns/8-1](len(offsets), &a[0], stride, &b[0], &offsets[0], &c[0], ldc, s, m)
	}
}

// bytesNEON is the number of bytes of a vector.
const bytesNEON = 16

// interleaver returns dots.interleave for a function for a number of rows. The last words of a row
// are computed twice, because their number is not a multiple of that of the vector.
func interleaver(run func(dst *uint32, x *uint8, starts *[4]int, n int, flip uint32), rows int, flips uint32) func(dst []uint32, x []uint8, starts *[4]int, n int, flip bool) {
	return func(dst []uint32, x []uint8, starts *[4]int, n int, flip bool) {
		if n < bytesNEON {
			var mask uint32
			if flip {
				mask = flips
			}
			bits := 32 / rows
			for i := range dst[:n] {
				w := mask
				for r := range rows {
					w ^= uint32(x[starts[r]+i]) << (bits * r)
				}
				dst[i] = w
			}
			return
		}
		mask := uint32(flipOf(flip))
		run(&dst[0], &x[0], starts, n/bytesNEON*bytesNEON, mask)
		if n%bytesNEON > 0 {
			run(&dst[n-bytesNEON], &x[n-bytesNEON], starts, bytesNEON, mask)
		}
	}
}

// rowOfWords is rowOfPairs.
func rowOfWords(dst []uint32, x []uint8, flip bool) {
	n := len(x) / bytesNEON * bytesNEON
	if n > 0 {
		_ = dst[n/2-1]
		widenNEON(&dst[0], &x[0], n, uint32(flipOf(flip)))
	}
	rowOfPairs(dst[n/2:], x[n:], flip)
}

// rowOfBytes stores four integers in a word.
func rowOfBytes(dst []uint32, x []uint8, flip bool) {
	f, n := flipOf(flip), len(x)/bytesNEON*bytesNEON
	if n > 0 {
		_ = dst[n/4-1]
		flipNEON((*uint8)(unsafe.Pointer(&dst[0])), &x[0], n, uint32(f))
	}
	for i := n; i < len(x); i++ {
		if i%4 == 0 {
			dst[i/4] = 0
		}
		dst[i/4] |= uint32(x[i]^f) << (i % 4 * 8)
	}
}

func depthwiseVectors(dst []int32, x []uint8, offsets []int, weights []int32, start int32) {
	depthwiseNEON(&dst[0], &x[0], &offsets[0], &weights[:len(offsets)][0], len(offsets), len(dst), start)
}

// sumVectors returns the sum of the first n bytes, with the bits of flip inverted.
func sumVectors(x []uint8, flip uint8) (n, sum int) {
	all := wholeVectors(len(x), bytesNEON)
	for n < all {
		part := min(all-n, 1<<24) // more could overflow
		sum += sumBytesNEON(&x[n], part, uint32(flip))
		n += part
	}
	return n, sum
}

// flipVectors inverts the highest bits of the first n bytes of x.
func flipVectors(dst, x []uint8) (n int) {
	n = wholeVectors(len(x), bytesNEON)
	if n > 0 {
		flipNEON(&dst[0], &x[0], n, 0x80)
	}
	return n
}

// splitVectors is Split for the first pairs, or for all of them: the last ones are computed twice then.
func splitVectors(even, odd, x []uint8) int {
	n := wholeVectors(len(odd), bytesNEON)
	if n == 0 {
		return 0
	}
	splitNEON(&even[0], &odd[0], &x[0], n)
	if at := len(odd) - bytesNEON; len(odd) > n {
		splitNEON(&even[at], &odd[at], &x[2*at], bytesNEON)
	}
	return len(odd)
}
