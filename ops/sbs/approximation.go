package sbs

import (
	"fmt"
	"math"
	"sync"

	"github.com/spike-by-spike/sbs/internal/portmath"
	"github.com/spike-by-spike/sbs/ops"
)

// Approximation chooses the products of an ApproxConv node. The package documentation says
// what the fields mean.
type Approximation struct {
	FracBits  int  // number_of_frac_bits, 1 to 32
	TruncBits int  // number_of_trunc_bits, 0 to 32
	Enabled   bool // approximation_enable
}

// Check returns an error that wraps ops.ErrAttribute if a number is out of range.
func (a Approximation) Check() error {
	switch {
	case a.FracBits < 1 || a.FracBits > 32:
		return fmt.Errorf("%w: %s is %d, want 1 to 32", ops.ErrAttribute, AttrFracBits, a.FracBits)
	case a.TruncBits < 0 || a.TruncBits > 32:
		return fmt.Errorf("%w: %s is %d, want 0 to 32", ops.ErrAttribute, AttrTruncBits, a.TruncBits)
	}
	return nil
}

// IsExact reports whether every product is the float32 product: all 24 bits of the factors are
// used, and no partial product that can be 1 is left out. The products differ only where a
// factor or the product is below the range of normal numbers, 2^-126, and not 0.
//
// With F >= 24, both significands end with F-24 zeros, so that a partial product of the bits i
// and j is 0 unless i+j >= 2*(F-24). None of those with i+j < T is then 1 if T <= 2*(F-24). If T
// is larger, two odd significands lose their lowest partial product, which changes the rounding
// of some products.
func (a Approximation) IsExact() bool {
	return a.FracBits >= significandBits && (!a.Enabled || a.TruncBits <= 2*(a.FracBits-significandBits))
}

// Product returns the approximate product of two numbers.
func (a Approximation) Product(x, w float32) float32 {
	m := newMultiplier(a)
	return m.product(x, w)
}

// The parts of a float32.
const (
	significandBits = 24 // with the leading one, which is not stored
	mantissaBits    = 23
	mantissaMask    = 1<<mantissaBits - 1
	exponentMask    = 0xff << mantissaBits
	signMask        = 1 << 31
	exponentBias    = 127
)

// multiplier computes the products of an Approximation.
//
// The zeros below bit 24 of longer significands are left out: with d = max(F-24, 0), the
// product of the significands and the sum E of the partial products to be subtracted have 2*d
// zeros at their end. A multiplier uses F-d for F, and T-2*d for T, and 2^(32-2*d) in place of
// the 2^32 at which E wraps around. The result is smaller by the factor 2^(2*d), and is rounded to
// float32 in the same way.
type multiplier struct {
	frac int
	cut  uint   // T: the number of columns that are left out, 0 if the approximation is disabled
	wrap uint64 // E counts modulo wrap+1

	// E is computed for 0, 8, 16 or 32 columns: at least cut. E of a and b is E of a<<pad and b
	// with pad more columns, divided by 2^pad.
	columns, pad uint

	// empty says that all products are 0, because all partial products are left out. That is so
	// if cut >= 2*frac-1, since E then has fewer than 33 bits. If cut is smaller, the product of
	// the leading bits, which are 1, remains, and no difference is 0. No difference is negative,
	// because E is a part of the product, or less where it wraps around.
	empty bool
}

// Reduced returns numbers that give the same products as F, T and the modulus 2^32 of E, with an F
// of at most 24, the length of a significand. T is 0 if the approximation is disabled.
func (a Approximation) Reduced() (frac, trunc int, modulus int64) {
	zeros := max(a.FracBits-significandBits, 0) // at the end of both significands
	if a.Enabled {
		trunc = max(a.TruncBits-2*zeros, 0)
	}
	return a.FracBits - zeros, trunc, 1 << (32 - 2*zeros)
}

func newMultiplier(a Approximation) multiplier {
	frac, trunc, modulus := a.Reduced()
	m := multiplier{frac: frac, cut: uint(trunc), wrap: uint64(modulus) - 1}
	for _, n := range []uint{0, 8, 16, 32} {
		if m.cut <= n {
			m.columns, m.pad = n, n-m.cut
			break
		}
	}
	m.empty = m.cut > 0 && int(m.cut) >= 2*m.frac-1
	return m
}

// significand returns the F leading bits of the significand of a number that is not 0.
func (m *multiplier) significand(bits uint32) uint32 {
	return (bits&mantissaMask | 1<<mantissaBits) >> (significandBits - m.frac)
}

// operand is the first factor of many products.
type operand struct {
	significand uint64
	padded      uint32        // the significand, shifted by pad
	rows        [4]*columnRow // of the bytes of padded
	scale       float32       // see factor
}

// operand prepares a number that is not 0.
func (m *multiplier) operand(v float32) operand {
	significand := m.significand(math.Float32bits(v))
	x := operand{significand: uint64(significand), padded: significand << m.pad}
	if m.columns > 0 {
		table := columnTable()
		for i := range x.rows {
			x.rows[i] = &table[x.padded>>(8*i)&0xff]
		}
	}
	return x
}

// factor is the second factor of many products, in the usual range: 0, or with an exponent that
// isUsual accepts. The product is that of the scales and of the integers, without over- or
// underflow on the way.
type factor struct {
	significand uint32
	scale       float32 // with the significand, the truncated number; 0 for 0
}

// Exponents of the factors of products that add can compute: the product is at least 2^-124 and
// below 2^124. The inputs of a network are 1e-20 where an image is black.
const (
	leastInput  = -80
	leastWeight = -44
	mostFactor  = 60
)

func isUsual(v float32, least int) bool {
	exponent := exponentOf(math.Float32bits(v)) - exponentBias
	return exponent >= least && exponent <= mostFactor
}

// scale returns the number by which the significand is multiplied, for a number in the usual
// range.
func (m *multiplier) scale(v float32) float32 {
	return math.Float32frombits(math.Float32bits(v)&(signMask|exponentMask) - uint32(m.frac-1)<<mantissaBits)
}

// difference8, difference16 and difference32 return the product of the significands of x and w
// minus E, with E computed for 8, 16 and 32 columns: the sum over i+j < columns of bit i of the
// padded significand times bit j of w times 2^(i+j), where w is below 2^24. With both split in
// halves of half the columns, the product of the low halves counts in full, and of the two mixed
// products the lower half of the columns.
func (m *multiplier) difference8(x *operand, w uint32) uint64 {
	return x.significand*uint64(w) - uint64(x.rows[0][uint8(w)])>>(m.pad&31)
}

func (m *multiplier) difference16(x *operand, w uint32) uint64 {
	mixed := uint64(x.rows[1][uint8(w)]) + uint64(x.rows[0][uint8(w>>8)])
	e := uint64(uint8(x.padded))*uint64(uint8(w)) + mixed<<8
	return x.significand*uint64(w) - e>>(m.pad&31)&m.wrap
}

func (m *multiplier) difference32(x *operand, w uint32) uint64 {
	low := x.padded & 0xffff
	e := uint64(low)*uint64(w&0xffff) + x.mixed32(low, w)<<16
	return x.significand*uint64(w) - e>>(m.pad&31)&m.wrap
}

func (x *operand) mixed32(low, w uint32) uint64 {
	mixed := uint64(x.rows[3][uint8(w)]) + uint64(x.rows[2][uint8(w>>8)]) + uint64(x.rows[1][uint8(w>>16)])
	return uint64(uint8(x.padded>>16))*uint64(uint8(w)) + uint64(uint8(low))*uint64(w>>16) + mixed<<8
}

func (m *multiplier) difference(x *operand, w uint32) uint64 {
	switch m.columns {
	case 8:
		return m.difference8(x, w)
	case 16:
		return m.difference16(x, w)
	case 32:
		return m.difference32(x, w)
	}
	return x.significand * uint64(w)
}

// add adds the products of v with weights to sums. All of them are in the usual range, and v is
// not 0.
func (m *multiplier) add(sums []float32, v float32, weights []factor) {
	x := m.operand(v)
	x.scale = m.scale(v)
	sums = sums[:len(weights)]
	switch m.columns {
	case 8:
		for i, w := range weights {
			sums[i] += x.times(m.difference8(&x, w.significand), w.scale)
		}
	case 16:
		for i, w := range weights {
			sums[i] += x.times(m.difference16(&x, w.significand), w.scale)
		}
	case 32:
		for i, w := range weights {
			sums[i] += x.times(m.difference32(&x, w.significand), w.scale)
		}
	}
}

// times returns the rounded integer r, which is below 2^48, times the scales. The scales are powers
// of 2, so that their products are exact.
func (x *operand) times(r uint64, scale float32) float32 {
	return float32(portmath.Single(int64(r)) * float32(x.scale*scale))
}

// product returns the product of any two numbers.
func (m *multiplier) product(x, w float32) float32 {
	bx, bw := math.Float32bits(x), math.Float32bits(w)
	sign := (bx ^ bw) & signMask
	switch {
	case !isFinite(x) || !isFinite(w):
		return x * w
	case x == 0 || w == 0 || m.empty:
		return math.Float32frombits(sign)
	}
	a := m.operand(x)
	f := math.Float32bits(portmath.Single(int64(m.difference(&a, m.significand(bw)))))
	exponent := exponentOf(bx) + exponentOf(bw) + exponentOf(f) - 2*(m.frac-1) - 2*exponentBias
	switch {
	case exponent >= exponentMask>>mantissaBits:
		return math.Float32frombits(sign | exponentMask)
	case exponent <= 0:
		return math.Float32frombits(sign)
	}
	return math.Float32frombits(sign | uint32(exponent)<<mantissaBits | f&mantissaMask)
}

// exponentOf returns the exponent bits.
func exponentOf(bits uint32) int { return int(bits & exponentMask >> mantissaBits) }

func isFinite(v float32) bool { return math.Float32bits(v)&exponentMask != exponentMask }

// columnRow holds E for 8 columns, for one byte and every other byte.
type columnRow [256]uint16

// columnTable returns the rows of all bytes.
var columnTable = sync.OnceValue(func() *[256]columnRow {
	var t [256]columnRow
	for a := range t {
		for b := range t[a] {
			for i := range 8 {
				if a>>i&1 == 1 {
					t[a][b] += uint16(b<<i) & 0xff
				}
			}
		}
	}
	return &t
})
