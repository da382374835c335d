package measure

import (
	"math"
	"strconv"
)

// Rounded returns a number with a number of decimals.
func Rounded(v float64, digits int) float64 {
	v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'f', digits, 64), 64)
	return v
}

// Wilson returns the 95% interval of Wilson (1927) for a share, given how many of n have the
// property.
func Wilson(count, n int) (low, high float64) {
	const z = 1.959963984540054 // the 97.5% quantile of the standard normal distribution
	total, p := float64(n), float64(count)/float64(n)
	square := z * z / total
	// float64 around a product forces its rounding: see package noise.
	center := p + float64(square/2)
	half := float64(z * math.Sqrt(float64(p*(1-p))/total+float64(square/(4*total))))
	// Rounding errors must not exclude a share of 0 or 1.
	return min(max((center-half)/(1+square), 0), p), max(min((center+half)/(1+square), 1), p)
}
