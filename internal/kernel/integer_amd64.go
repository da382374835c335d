//go:build !purego

package kernel

import "golang.org/x/sys/cpu"

type dotsFunc func(words int, a *uint32, stride int, b *uint32, offsets *int, c *int32, ldc int, start, more *int32)

// dotsTiers returns the dots for the instructions that the machine has, in ascending order of
// speed. They differ within a tier because few processors have all instructions for integers.
func dotsTiers() []*dots {
	all := []*dots{&portableDots}
	tiers := Tiers()
	if tiers[len(tiers)-1] < AVX2 {
		return all
	}
	all = append(all, &avx2Dots)
	if cpu.X86.HasAVXVNNI {
		all = append(all, &vnniDots)
	}
	if tiers[len(tiers)-1] >= AVX512 && cpu.X86.HasAVX512VNNI {
		all = append(all, &vnni512Dots)
	}
	return all
}

// dotsOf returns the fastest dots of a tier.
func dotsOf(t Tier) *dots {
	switch {
	case t == AVX512 && cpu.X86.HasAVX512VNNI:
		return &vnni512Dots
	case t >= AVX2 && cpu.X86.HasAVXVNNI:
		return &vnniDots
	case t >= AVX2:
		return &avx2Dots
	}
	return &portableDots
}

var (
	avx2Dots = dots{
		name: "avx2", rows: 6, columns: 16, lanes: 8, per: 2, tile: tileOf(dotsAVX2, 8),
		row: rowOfWords, interleave: interleaver(interleave2AVX2, nil, 2, 0x00800080), depthwise: depthwiser(depthwiseAVX2),
	}
	vnniDots = dots{
		name: "avx-vnni", rows: 6, columns: 16, lanes: 8, per: 4, tile: tileOf(dotsVNNI, 8),
		row: rowOfBytes, interleave: interleaver(interleave4AVX2, nil, 4, 0x80808080), depthwise: depthwiser(depthwiseAVX2),
	}
	vnni512Dots = dots{
		name: "avx512-vnni", rows: 14, columns: 32, lanes: 16, per: 4, tile: tileOf(dotsVNNI512, 16),
		row: rowOfBytes, interleave: interleaver(interleave4AVX2, interleave4AVX512, 4, 0x80808080), depthwise: depthwiser(depthwiseVNNI512),
	}
)

func tileOf(run [][2]dotsFunc, lanes int) func(rows, columns int, a []uint32, stride int, b []uint32, offsets []int, c []int32, ldc int, start, more []int32) {
	return func(rows, columns int, a []uint32, stride int, b []uint32, offsets []int, c []int32, ldc int, start, more []int32) {
		_, _ = a[(rows-1)*stride+len(offsets)-1], c[(rows-1)*ldc+columns-1]
		var s, m *int32
		if start != nil {
			s = &start[:rows][0]
		}
		if more != nil {
			m = &more[:columns][0]
		}
		run[rows-1][columns/lanes-1](len(offsets), &a[0], stride, &b[0], &offsets[0], &c[0], ldc, s, m)
	}
}

type interleaveFunc func(dst *uint32, x *uint8, starts *[4]int, n int, flip uint32)

// interleaver uses functions for 8 and, unless it is nil, 16 words at once. The last words of a
// row are computed twice, because their number is not a multiple of that of the vector.
func interleaver(eight, sixteen interleaveFunc, rows int, flips uint32) func(dst []uint32, x []uint8, starts *[4]int, n int, flip bool) {
	return func(dst []uint32, x []uint8, starts *[4]int, n int, flip bool) {
		var mask uint32
		if flip {
			mask = flips
		}
		run, lanes := eight, 8
		if sixteen != nil && n >= 16 {
			run, lanes = sixteen, 16
		}
		if n < lanes {
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
		run(&dst[0], &x[0], starts, n/lanes*lanes, mask)
		if n%lanes > 0 {
			run(&dst[n-lanes], &x[n-lanes], starts, lanes, mask)
		}
	}
}

// rowOfWords is rowOfPairs.
func rowOfWords(dst []uint32, x []uint8, flip bool) {
	n := len(x) &^ 15
	if n > 0 {
		_ = dst[n/2-1]
		widenAVX2(&dst[0], &x[0], n, uint32(flipOf(flip))*0x01010101)
	}
	rowOfPairs(dst[n/2:], x[n:], flip)
}

// rowOfBytes stores four integers in a word.
func rowOfBytes(dst []uint32, x []uint8, flip bool) {
	n := 0
	if !flip {
		for f := uint32(0); n+4 <= len(x); n += 4 {
			dst[n/4] = f ^ (uint32(x[n]) | uint32(x[n+1])<<8 | uint32(x[n+2])<<16 | uint32(x[n+3])<<24)
		}
	} else if n = len(x) &^ 31; n > 0 {
		_ = dst[n/4-1]
		flipWordsAVX2(&dst[0], &x[0], n)
	}
	f := flipOf(flip)
	for i := n; i < len(x); i++ {
		if i%4 == 0 {
			dst[i/4] = 0
		}
		dst[i/4] |= uint32(x[i]^f) << (i % 4 * 8)
	}
}

func depthwiser(run func(dst *int32, x *uint8, offsets *int, weights *int32, taps, n int, start int32)) func(dst []int32, x []uint8, offsets []int, weights []int32, start int32) {
	return func(dst []int32, x []uint8, offsets []int, weights []int32, start int32) {
		run(&dst[0], &x[0], &offsets[0], &weights[:len(offsets)][0], len(offsets), len(dst), start)
	}
}

// sumVectors returns the sum of the first n bytes, with the bits of flip inverted.
func sumVectors(x []uint8, flip uint8) (n, sum int) {
	if n = len(x) &^ 31; n == 0 || active() < AVX2 {
		return 0, 0
	}
	return n, sumBytesAVX2(&x[0], n, uint32(flip)*0x01010101)
}

// flipVectors inverts the highest bits of the first n bytes of x.
func flipVectors(dst, x []uint8) (n int) {
	if n = len(x) &^ 31; n == 0 || active() < AVX2 {
		return 0
	}
	flipAVX2(&dst[0], &x[0], n)
	return n
}

// splitVectors is Split for the first pairs, or for all of them: the last ones are computed twice then.
func splitVectors(even, odd, x []uint8) int {
	n := len(odd)
	if n < 32 || active() < AVX2 {
		return 0
	}
	splitAVX2(&even[0], &odd[0], &x[0], n&^31)
	if at := n - 32; n%32 > 0 {
		splitAVX2(&even[at], &odd[at], &x[2*at], 32)
	}
	return n
}
