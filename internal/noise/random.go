package noise

import (
	"math"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/portmath"
)

// layer takes the place of the seed of a layer in the keys of the random numbers. The
// spikes of an SbS layer use the number of the layer plus the --seed of sbs-convert there,
// so that noise and spikes have different keys. The value is "noise" in ASCII.
const layer = 0x6e6f697365

// numbers are the random numbers of one kind of noise for one image. Random number i
// depends on the key and i only.
type numbers struct{ key uint64 }

// uniform returns random number i, uniformly distributed over the multiples of 2^-32 in
// [0, 1).
func (n numbers) uniform(i int) float64 { return float64(kernel.Random(n.key, i)) / (1 << 32) }

// below returns a whole number from 0 to most-1, made of random number i.
func (n numbers) below(i, most int) int {
	return int(uint64(kernel.Random(n.key, i)) * uint64(most) >> 32)
}

// normal returns a number with the standard normal distribution, made of random numbers
// 2*i and 2*i+1. Its absolute value is below 6.8.
func (n numbers) normal(i int) float64 {
	return boxMuller(kernel.Random(n.key, 2*i), kernel.Random(n.key, 2*i+1))
}

// boxMuller makes a number with the standard normal distribution of two uniformly
// distributed numbers.
func boxMuller(r1, r2 uint32) float64 {
	u1 := (float64(r1) + 0.5) / (1 << 32) // above 0, so that the logarithm is finite
	u2 := float64(r2) / (1 << 32)
	return math.Sqrt(-2*portmath.Log(u1)) * portmath.Cos(2*math.Pi*u2)
}
