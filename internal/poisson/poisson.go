// Package poisson draws numbers with the Poisson distribution. Equal arguments give the same
// number on every processor.
package poisson

import (
	"math"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/portmath"
)

// Rates below smallRate draw a count by inversion, others by transformed rejection.
const smallRate = 10

// Count draws a count with the Poisson distribution of a rate from 0 to 2^50, with the random
// numbers that internal/kernel has for a key.
func Count(rate float64, key uint64) int64 {
	switch {
	case rate < 0x1p-53: // exp(-rate) is 1
		return 0
	case rate < smallRate:
		return smallCount(rate, uniform(key, 0))
	}
	return largeCount(rate, key)
}

// uniform returns number i of a key as a multiple of 2^-53 in [0, 1).
func uniform(key uint64, i int) float64 {
	word := uint64(kernel.Random(key, 2*i)) | uint64(kernel.Random(key, 2*i+1))<<32
	return float64(word>>11) * 0x1p-53
}

// smallCount returns the smallest k whose cumulative probability is above u.
func smallCount(rate, u float64) int64 {
	const most = 200 // a larger count has a probability below 1e-170
	p := portmath.Exp(-rate)
	k := 0
	for ; u >= p && k < most; k++ {
		u -= p
		p = float64(p*rate) / float64(k+1)
	}
	return int64(k)
}

// largeCount draws a count by the transformed rejection with squeeze of W. Hörmann, "The
// transformed rejection method for generating Poisson random variables", Insurance: Mathematics
// and Economics 12 (1993), algorithm PTRS, whose symbols the names follow. It takes 1.1 to 1.3
// pairs of random numbers on average.
func largeCount(rate float64, key uint64) int64 {
	b := 0.931 + float64(2.53*math.Sqrt(rate))
	a := -0.059 + float64(0.02483*b)
	inverseAlpha := 1.1239 + 1.1328/(b-3.4)
	vr := 0.9277 - 3.6224/(b-2)
	for i := 0; ; i += 2 {
		u, v := uniform(key, i)-0.5, uniform(key, i+1)
		us := 0.5 - math.Abs(u)
		k := math.Floor(float64((2*a/us+b)*u) + rate + 0.43)
		switch {
		case us >= 0.07 && v <= vr:
			return int64(k)
		case k < 0 || us < 0.013 && v > us:
		case portmath.Log(v*inverseAlpha/(a/float64(us*us)+b)) <= logProbability(k, rate):
			return int64(k)
		}
	}
}

// Inverse returns the smallest k whose cumulative probability, with the Poisson distribution of
// a rate, is above u, and the number of steps that this took: at most 32*sqrt(rate) + 64.
func Inverse(rate float64, u float32) (count int64, steps int) {
	if u == 0 {
		return 0, 1
	}
	// The probability of counts below the first one, at most exp(-16*16/2), is less than any u.
	reach := float64(16 * math.Sqrt(rate))
	k, most := max(0, math.Ceil(rate-reach)), rate+reach+64
	p := portmath.Exp(logProbability(k, rate))
	for sum := p; sum <= float64(u) && k < most; sum += p {
		k++
		steps++
		p = float64(p*rate) / k
	}
	return int64(k), steps + 1
}

// logProbability returns the logarithm of the probability rate^k/k! * exp(-rate) of an integer
// k >= 0. Its error is about 1e-14, plus 1e-16 relative to the result.
func logProbability(k, rate float64) float64 {
	switch {
	case k == 0:
		return -rate
	case k < float64(len(factorials)):
		return float64(k*portmath.Log(rate)) - rate - portmath.Log(factorials[int(k)])
	}
	return -(deviance(k, rate) + stirlingRest(k)) - float64(portmath.Log(2*math.Pi*k)/2)
}

// deviance returns k*log(k/rate) + rate - k. With v = (k-rate)/(k+rate), log(k/rate) is
// 2*(v + v^3/3 + v^5/5 + ...). The formula would lose all digits if k is near the rate; the
// series does not, as k*2*v + rate - k is v*(k-rate).
func deviance(k, rate float64) float64 {
	d := k - rate
	v := d / (k + rate)
	if math.Abs(v) > 0.1 {
		return float64(k*portmath.Log(k/rate)) - d
	}
	square := float64(v * v)
	power, sum := float64(v*square), 0.0
	for n := 3.0; ; n += 2 {
		next := sum + power/n
		if next == sum {
			break
		}
		sum = next
		power *= square
	}
	return float64(v*d) + float64(2*k*sum)
}

// stirlingRest returns log(k!) - ((k+1/2)*log(k) - k + log(2*pi)/2) by the series of Stirling.
// For k >= 16 the next term of the series is below 1e-16.
func stirlingRest(k float64) float64 {
	s := 1 / float64(k*k)
	r := 1.0 / 1188
	for _, c := range [...]float64{-1.0 / 1680, 1.0 / 1260, -1.0 / 360, 1.0 / 12} {
		r = c + float64(s*r)
	}
	return r / k
}

// factorials holds k! for the k for which the series of Stirling is not accurate.
var factorials = [...]float64{
	1, 1, 2, 6, 24, 120, 720, 5040, 40320, 362880, 3628800, 39916800, 479001600, 6227020800, 87178291200, 1307674368000,
}
