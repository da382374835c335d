// Package fourier computes discrete Fourier transforms of any length n in O(n log n) steps.
// Its results are bit-identical on all processors.
//
// Lengths with prime factors up to 13 are transformed by Stockham's algorithm with mixed
// radices, and other lengths by Bluestein's: as a convolution whose length is a power of 2.
package fourier

import (
	"math"

	"github.com/spike-by-spike/sbs/internal/portmath"
)

// largestFactor is the largest prime factor that Stockham's algorithm handles.
const largestFactor = 13

// Plan holds what transforms of one length have in common. It is safe for concurrent use.
type Plan struct {
	n       int
	factors []int     // their product is n
	c, s    []float64 // cos and sin of 2*pi*k/n

	// For Bluestein's algorithm, inner is the plan of the convolution, and c and s are those
	// of pi*k^2/n. filterRe and filterIm are the transform of this chirp.
	inner              *Plan
	filterRe, filterIm []float64
}

// Check is called from time to time with the number of simple steps since the last call. A
// transform ends with the error that it returns.
type Check func(steps int) error

// convolution returns the length of the convolution for a length n, or 0 if n needs none.
func convolution(n int) int {
	if _, rest := factor(n); rest == 1 {
		return 0
	}
	m := 1
	for m < 2*n-1 {
		m *= 2
	}
	return m
}

// factor returns factors of n up to largestFactor, and the rest.
func factor(n int) (factors []int, rest int) {
	for _, f := range []int{4, 2, 3, 5, 7, 11, 13} {
		for n%f == 0 {
			factors = append(factors, f)
			n /= f
		}
	}
	return factors, n
}

// PlanBytes returns the memory that a plan of length n takes.
func PlanBytes(n int) int64 {
	if m := convolution(n); m > 0 {
		return 16*int64(n) + 16*int64(m) + PlanBytes(m) + 16*int64(m)
	}
	return 16 * int64(n)
}

// WorkLength returns the length of the temporary slices that Transform needs.
func WorkLength(n int) int {
	if m := convolution(n); m > 0 {
		return 2 * m
	}
	return n
}

// NewPlan returns a plan for transforms of length n, which must be at least 1.
func NewPlan(n int, check Check) (*Plan, error) {
	p := &Plan{n: n, c: make([]float64, n), s: make([]float64, n)}
	m := convolution(n)
	if m == 0 {
		p.factors, _ = factor(n)
		return p, p.units(check, n, func(k int) int { return k })
	}
	square := 0 // k*k modulo 2*n
	if err := p.units(check, 2*n, func(k int) int {
		if k > 0 {
			square = (square + 2*k - 1) % (2 * n)
		}
		return square
	}); err != nil {
		return nil, err
	}
	var err error
	if p.inner, err = NewPlan(m, check); err != nil {
		return nil, err
	}
	p.filterRe, p.filterIm = make([]float64, m), make([]float64, m)
	p.filterRe[0], p.filterIm[0] = 1, 0
	for k := 1; k < n; k++ {
		p.filterRe[k], p.filterIm[k] = p.c[k], p.s[k]
		p.filterRe[m-k], p.filterIm[m-k] = p.c[k], p.s[k]
	}
	return p, p.inner.Transform(check, p.filterRe, p.filterIm, make([]float64, m), make([]float64, m))
}

// units sets c and s to the points of the unit circle at the angles 2*pi*at(k)/n.
func (p *Plan) units(check Check, n int, at func(k int) int) error {
	for k := range p.c {
		p.c[k], p.s[k] = unit(at(k), n)
		if k%blockSize == blockSize-1 {
			if err := check(16 * blockSize); err != nil {
				return err
			}
		}
	}
	return nil
}

// unit returns the cosine and the sine of 2*pi*k/n, for k from 0 to n-1. It reduces the angle
// to at most pi/4 by exact arithmetic.
func unit(k, n int) (c, s float64) {
	signC, signS := 1.0, 1.0
	if 2*k > n {
		k, signS = n-k, -1
	}
	a := 2 * k // the angle is pi*a/n, and a is 0 to n
	if 2*a > n {
		a, signC = n-a, -1
	}
	swapped := 4*a > n
	angle := math.Pi * (float64(a) / float64(n))
	if swapped {
		angle = math.Pi / 2 * (float64(n-2*a) / float64(n))
	}
	c, s = portmath.Cos(angle), portmath.Cos(math.Pi/2-angle)
	if angle == 0 {
		s = 0
	}
	if swapped {
		c, s = s, c
	}
	return signC * c, signS * s
}

// Transform replaces the complex numbers re + i*im by their transform: number k becomes the
// sum of number j times e^(-2*pi*i*j*k/n), over all j. All slices but the work slices have
// length n, and those have WorkLength(n). To invert a transform, exchange re and im and
// divide by n.
func (p *Plan) Transform(check Check, re, im, workRe, workIm []float64) error {
	if p.inner != nil {
		return p.bluestein(check, re, im, workRe, workIm)
	}
	fromRe, fromIm, toRe, toIm := re, im, workRe[:p.n], workIm[:p.n]
	stride := 1
	for _, radix := range p.factors {
		for lo := 0; lo < p.n/radix; lo += blockSize {
			hi := min(lo+blockSize, p.n/radix)
			q := pass{p: p, radix: radix, stride: stride, xr: fromRe, xi: fromIm, yr: toRe, yi: toIm}
			q.run(lo, hi)
			if err := check((hi - lo) * radix * radix); err != nil {
				return err
			}
		}
		stride *= radix
		fromRe, fromIm, toRe, toIm = toRe, toIm, fromRe, fromIm
	}
	if len(p.factors)%2 != 0 {
		for lo := 0; lo < p.n; lo += blockSize {
			hi := min(lo+blockSize, p.n)
			copy(re[lo:hi], fromRe[lo:hi])
			copy(im[lo:hi], fromIm[lo:hi])
			if err := check(hi - lo); err != nil {
				return err
			}
		}
	}
	return nil
}

// blockSize is the number of butterflies between two checks.
const blockSize = 1 << 10

// bluestein uses j*k = (j^2 + k^2 - (k-j)^2) / 2: the transform is the convolution of the
// numbers, times a chirp, with the inverse of the chirp.
func (p *Plan) bluestein(check Check, re, im, workRe, workIm []float64) error {
	m := p.inner.n
	ar, ai, br, bi := workRe[:m], workIm[:m], workRe[m:2*m], workIm[m:2*m]
	for lo := 0; lo < m; lo += blockSize {
		for k := lo; k < min(lo+blockSize, m); k++ {
			ar[k], ai[k] = 0, 0
			if k < p.n {
				ar[k], ai[k] = times(re[k], im[k], p.c[k], -p.s[k])
			}
		}
		if err := check(blockSize); err != nil {
			return err
		}
	}
	if err := p.inner.Transform(check, ar, ai, br, bi); err != nil {
		return err
	}
	for lo := 0; lo < m; lo += blockSize {
		for k := lo; k < min(lo+blockSize, m); k++ {
			ar[k], ai[k] = times(ar[k], ai[k], p.filterRe[k], p.filterIm[k])
		}
		if err := check(blockSize); err != nil {
			return err
		}
	}
	if err := p.inner.Transform(check, ai, ar, bi, br); err != nil { // the inverse
		return err
	}
	scale := 1 / float64(m) // a power of 2
	for lo := 0; lo < p.n; lo += blockSize {
		for k := lo; k < min(lo+blockSize, p.n); k++ {
			re[k], im[k] = times(ar[k]*scale, ai[k]*scale, p.c[k], -p.s[k])
		}
		if err := check(blockSize); err != nil {
			return err
		}
	}
	return nil
}

// times returns the product of two complex numbers.
func times(ar, ai, br, bi float64) (re, im float64) {
	return float64(ar*br) - float64(ai*bi), float64(ar*bi) + float64(ai*br)
}
