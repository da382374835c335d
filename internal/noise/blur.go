package noise

import (
	"github.com/spike-by-spike/sbs/internal/portmath"
)

// blur computes the weighted means of columns, and of these the weighted means of rows.
func blur(p picture, sigma float64) {
	weights := bell(sigma)
	columns := make([]float64, p.height*p.width)
	for c := range p.channels {
		for y := range p.height {
			for x := range p.width {
				columns[y*p.width+x] = weightedMean(weights, y, p.height, func(y int) float64 {
					return float64(p.pixels[p.index(c, y, x)])
				})
			}
		}
		for y := range p.height {
			row := columns[y*p.width:][:p.width]
			for x := range p.width {
				p.set(p.index(c, y, x), weightedMean(weights, x, p.width, func(x int) float64 { return row[x] }))
			}
		}
	}
}

// bell returns the weights exp(-k*k/(2*sigma*sigma)) for the distances k = 0, 1, 2 and so on, up
// to 4*sigma, rounded. The sum of all weights, at both sides, is 1.
func bell(sigma float64) []float64 {
	weights := make([]float64, int(float64(4*sigma)+0.5)+1)
	weights[0] = 1
	sum := 1.0
	for k := 1; k < len(weights); k++ {
		z := float64(k) / sigma
		weights[k] = portmath.Exp(-float64(z*z) / 2)
		sum += float64(2 * weights[k])
	}
	for k := range weights {
		weights[k] /= sum
	}
	return weights
}

// weightedMean returns the weighted mean of n values around value i. Values beyond the first and
// the last one repeat these.
func weightedMean(weights []float64, i, n int, value func(int) float64) float64 {
	sum := float64(weights[0] * value(i))
	for k := 1; k < len(weights); k++ {
		sum += float64(weights[k] * (value(inside(i-k, n)) + value(inside(i+k, n))))
	}
	return sum
}
