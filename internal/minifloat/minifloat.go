// Package minifloat converts the floating-point formats of 16 and fewer bits that ONNX
// has to and from float64, which holds all of their numbers exactly.
//
// The formats are those of IEEE 754 (binary16), bfloat16, the 8-bit formats of "FP8 Formats
// for Deep Learning" (arXiv 2209.05433) and "8-bit Numerical Formats for Deep Neural
// Networks" (arXiv 2206.02915), and those of the OCP Microscaling Formats specification
// (MX v1.0: E2M1, E8M0).
package minifloat

import "math"

// Format describes a format: a sign, an exponent, and a mantissa, from high to low bits.
type Format struct {
	exponent, mantissa int // bits
	bias               int
	special            special
	smallest           float64   // the smallest number above 0
	decoded            []float64 // by bits; nil for 16-bit formats
}

// special says which bits are infinities and NaN.
type special int

const (
	ieee      special = iota // the largest exponent has infinities and NaN
	oneNaN                   // all bits but the sign set are NaN, and there are no infinities
	zeroNaN                  // the bits of -0 are NaN, and there are no infinities
	noSpecial                // all bits are numbers
)

// The formats.
var (
	Float16        = newFormat(5, 10, 15, ieee)
	BFloat16       = newFormat(8, 7, 127, ieee)
	Float8E4M3FN   = newFormat(4, 3, 7, oneNaN)
	Float8E4M3FNUZ = newFormat(4, 3, 8, zeroNaN)
	Float8E5M2     = newFormat(5, 2, 15, ieee)
	Float8E5M2FNUZ = newFormat(5, 2, 16, zeroNaN)
	Float4E2M1     = newFormat(2, 1, 1, noSpecial)
)

func newFormat(exponent, mantissa, bias int, s special) *Format {
	f := &Format{exponent: exponent, mantissa: mantissa, bias: bias, special: s}
	f.smallest = math.Ldexp(1, 1-f.bias-f.mantissa)
	if width := 1 + exponent + mantissa; width <= 8 {
		decoded := make([]float64, 1<<width)
		for b := range decoded {
			decoded[b] = f.Decode(uint16(b))
		}
		f.decoded = decoded
	}
	return f
}

// sign returns the bit of the sign.
func (f *Format) sign() uint16 { return 1 << (f.exponent + f.mantissa) }

// nan returns the bits of NaN, without the sign. The format must have a NaN.
func (f *Format) nan() uint16 {
	switch f.special {
	case ieee: // a quiet NaN
		return f.infinity() | 1<<(f.mantissa-1)
	case oneNaN:
		return f.sign() - 1
	}
	return f.sign()
}

// infinity returns the bits of the infinity of an IEEE format.
func (f *Format) infinity() uint16 { return f.sign() - 1<<f.mantissa }

// largest returns the bits of the largest number.
func (f *Format) largest() uint16 {
	switch f.special {
	case ieee:
		return f.infinity() - 1
	case oneNaN:
		return f.sign() - 2
	}
	return f.sign() - 1
}

// Decode returns the number that bits stand for.
func (f *Format) Decode(bits uint16) float64 {
	if f.decoded != nil {
		return f.decoded[int(bits)&(len(f.decoded)-1)]
	}
	magnitude := bits & (f.sign() - 1)
	negative := bits&f.sign() != 0
	switch {
	case f.special == ieee && magnitude > f.infinity(), f.special == oneNaN && magnitude == f.nan(), f.special == zeroNaN && bits == f.sign():
		return math.NaN()
	case f.special == ieee && magnitude == f.infinity():
		return math.Inf(sign(negative))
	}
	exponent, fraction := int(magnitude>>f.mantissa), int(magnitude)&(1<<f.mantissa-1)
	var v float64
	if exponent == 0 { // a subnormal number
		v = float64(fraction) * f.smallest
	} else {
		v = math.Float64frombits(uint64(exponent-f.bias+bias)<<mantissa | uint64(fraction)<<(mantissa-f.mantissa))
	}
	if negative {
		return -v
	}
	return v
}

// The format of float64.
const mantissa, bias = 52, 1023

// DecodeFloat16 is Float16.Decode, but faster.
func DecodeFloat16(bits uint16) float64 {
	magnitude := bits & 0x7fff
	if magnitude >= 0x7c00 {
		return Float16.Decode(bits)
	}
	// The exponent of float32 is 112 larger, also that of subnormal numbers.
	v := float64(math.Float32frombits(uint32(magnitude)<<13)) * 0x1p112
	if bits != magnitude {
		return -v
	}
	return v
}

// DecodeBFloat16 is BFloat16.Decode, but faster: the bits are the upper half of those of
// float32.
func DecodeBFloat16(bits uint16) float64 {
	if bits&0x7fff > 0x7f80 {
		return math.NaN()
	}
	return float64(math.Float32frombits(uint32(bits) << 16))
}

func sign(negative bool) int {
	if negative {
		return -1
	}
	return 1
}

// Encode returns the bits of the number that is nearest to v; of two that are equally near,
// the one with an even mantissa. A number beyond the largest one becomes the largest one if
// saturate is set or the format has nothing else, and otherwise infinity or, in formats
// without it, NaN. So does an infinity.
func (f *Format) Encode(v float64, saturate bool) uint16 {
	var s uint16
	if math.Signbit(v) {
		s = f.sign()
	}
	switch {
	case v != v && f.special == noSpecial:
		return f.sign() // as ONNX does: NaN has no bits here, and becomes -0
	case v != v && f.special == zeroNaN:
		return f.nan()
	case v != v:
		return s | f.nan()
	}
	magnitude, ok := f.round(math.Abs(v))
	switch {
	case ok && magnitude == 0 && f.special == zeroNaN:
		return 0 // there is no -0
	case ok:
		return s | magnitude
	case saturate || f.special == noSpecial:
		return s | f.largest()
	case f.special == ieee:
		return s | f.infinity()
	case f.special == zeroNaN:
		return f.nan()
	}
	return s | f.nan()
}

// round returns the bits of the nearest number to v, which is not negative, and false if it
// is beyond the largest one.
func (f *Format) round(v float64) (bits uint16, ok bool) {
	b := math.Float64bits(v)
	exponent := int(b>>mantissa) - bias + f.bias
	if exponent >= 1<<f.exponent {
		return 0, false
	}
	fraction := b & (1<<mantissa - 1)
	drop := mantissa - f.mantissa
	if exponent < 1 { // subnormal: the fraction includes the leading bit
		if b>>mantissa != 0 {
			fraction |= 1 << mantissa
		}
		drop += 1 - exponent
		exponent = 0
	}
	if drop > mantissa+2 {
		return 0, true
	}
	kept := fraction >> drop
	rest, half := fraction&(1<<drop-1), uint64(1)<<(drop-1)
	if rest > half || rest == half && kept&1 == 1 {
		kept++
	}
	// A carry out of the fraction makes the exponent larger.
	magnitude := uint64(exponent)<<f.mantissa + kept
	return uint16(magnitude), magnitude <= uint64(f.largest())
}

// E8M0 has powers of two alone, without a sign and without 0: bits b stand for 2^(b-127),
// and 255 is NaN.
type E8M0 struct{}

// Rounding selects the power of two that E8M0 rounds a number to.
type Rounding int

// The values of Rounding.
const (
	Up Rounding = iota
	Down
	Nearest // ties round up
)

const (
	e8m0NaN  = 255
	e8m0Bias = 127
)

// Decode returns the number that bits stand for.
func (E8M0) Decode(bits uint8) float64 {
	if bits == e8m0NaN {
		return math.NaN()
	}
	return math.Ldexp(1, int(bits)-e8m0Bias)
}

// Encode returns the bits for the magnitude of v. A number out of range becomes the nearest
// one in range if saturate is set, and otherwise NaN.
func (E8M0) Encode(v float64, saturate bool, mode Rounding) uint8 {
	if v != v || math.IsInf(v, 0) && !saturate {
		return e8m0NaN
	}
	fraction, exponent := math.Frexp(math.Abs(v)) // fraction in [0.5, 1), or 0
	exponent--
	switch {
	case v == 0:
		exponent = math.MinInt16
	case math.IsInf(v, 0):
		exponent = math.MaxInt16
	case mode == Up && fraction > 0.5, mode == Nearest && fraction >= 0.75:
		exponent++
	}
	bits := exponent + e8m0Bias
	if bits >= 0 && bits < e8m0NaN {
		return uint8(bits)
	}
	if !saturate {
		return e8m0NaN
	}
	return uint8(max(0, min(bits, e8m0NaN-1)))
}
