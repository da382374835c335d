package portmath

import "math"

// ExpSingle returns e**x in float32, with an error of less than 2 units in the last place. The
// result is 0 where e**x is less than the smallest normal number, 2^-126. It takes a small part
// of the time of Exp.
//
// It computes x = n*ln(2) + r with |r| <= ln(2)/2 and e**r by the first eight terms of its power
// series. The first omitted term, r^8/8!, is below 2^-27.
func ExpSingle(x float32) float32 {
	const (
		high  = 0x1.62e4p-1 // ln(2) in two parts; its product with an integer of 8 bits is exact
		low   = 0x1.7f7d1cf79abcap-20
		round = 0x1.8p23 // adding it to a small number rounds the number to an integer
	)
	if !(x >= -87.3365) { // ln(2^-126)
		if x != x {
			return x
		}
		return 0
	}
	if x > 88.7228 { // ln(2^128)
		return float32(math.Inf(1))
	}
	n := float32(x*(1/math.Ln2)) + round
	bits := math.Float32bits(n) // n in the low bits
	n -= round
	r := x - float32(n*high) - float32(n*low)
	p := float32(r*(1./5040)) + 1./720
	p = float32(p*r) + 1./120
	p = float32(p*r) + 1./24
	p = float32(p*r) + 1./6
	p = float32(p*r) + 0.5
	p = float32(float32(p*r)*r) + r
	scale := 1 + p
	if n == 128 { // 2^128 is no float32
		bits--
		scale *= 2
	}
	return scale * math.Float32frombits((bits+127)<<23)
}
