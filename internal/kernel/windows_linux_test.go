//go:build (amd64 || arm64) && !purego

package kernel

import (
	"math/rand/v2"
	"testing"
)

func TestWindows_StayWithinTheirBuffers(t *testing.T) {
	for _, tier := range Tiers()[1:] {
		undo := Use(tier)
		for seed := range uint64(100) {
			r := rand.New(rand.NewPCG(seed, 44))
			c := randomWindowsTask(r)
			guarded(t, &c.x)
			guarded(t, &c.a)
			guarded(t, &c.bias)
			c.run(t, func(v *[]float32) { guarded(t, v) })
			d := randomTaps(r)
			out := make([]float32, d.n)
			for _, v := range []*[]float32{&d.x, &d.weights, &out} {
				guarded(t, v)
			}
			guarded(t, &d.counts)
			WeightTaps(out, d.x, d.taps, d.weights, d.start)
			MeanTaps(out, d.x, d.taps, d.counts)
			MaxTaps(out, d.x, d.taps, d.start)
			Standardize(out, 1, 2, 3)
			even, odd := make([]float32, (d.n+1)/2), make([]float32, d.n/2)
			guarded(t, &even)
			guarded(t, &odd)
			Deal(even, odd, out)
		}
		undo()
	}
}
