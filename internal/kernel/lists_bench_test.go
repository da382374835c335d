package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// BenchmarkLists measures operations on lists that fit into the caches, in cycles per number of the result.
func BenchmarkLists(b *testing.B) {
	const n, side = 2048, 64
	x, y := uniform(rand.New(rand.NewPCG(1, 1)), 4*n), make([]float32, 4*n)
	bytes, half := make([]uint8, n), make([]uint16, n)
	var total float64
	operations := []struct {
		name    string
		results int
		run     func()
	}{
		{"exp", n, func() { Map(Exp, y[:n], x[:n], nil) }},
		{"sigmoid", n, func() { Map(Sigmoid, y[:n], x[:n], nil) }},
		{"tanh", n, func() { Map(Tanh, y[:n], x[:n], nil) }},
		{"erf", n, func() { Map(Erf, y[:n], x[:n], nil) }},
		{"gelu", n, func() { Map(Gelu, y[:n], x[:n], nil) }},
		{"relu", n, func() { Relu(y[:n], x[:n]) }},
		{"maximum of 2 x 2", n, func() { MaxPool2(y, x, side/2, side, 2*side) }},
		{"mean of 2 x 2", n, func() { MeanPool2(y, x, side/2, side, 2*side) }},
		{"quantize", n, func() { Quantize(bytes, x[:n], 0.01, Quantum{}) }},
		{"dequantize", n, func() { Dequantize(y[:n], Uint8s(bytes), 0.01, 3) }},
		{"softmax", n, func() { Softmax(y[:n], x[:n], side) }},
		{"add", n, func() { Combine(Add, y[:n], x[:n], x[n:2*n], 1, 1) }},
		{"sum in float64", n, func() { total += Total(Numbers, x[:n], 0) }},
		{"largest", n, func() { total += float64(Largest(x[:n], 0)) }},
		{"transpose", side * side / 2, func() { Transpose(y, side, x, side, side, side/2) }},
		{"float16 to float32", n, func() { FromHalf(y[:n], half) }},
	}
	for _, tier := range Tiers() {
		for _, o := range operations {
			if o.name == "float16 to float32" && tier == Portable {
				continue // package minifloat has the portable code
			}
			b.Run(tier.String()+"/"+o.name, func(b *testing.B) {
				defer Use(tier)()
				for b.Loop() {
					o.run()
				}
				ns := float64(b.Elapsed().Nanoseconds()) / float64(b.N) / float64(o.results)
				b.ReportMetric(ns*cyclesPerNanosecond(), "cycles/number")
			})
		}
	}
	sink ^= math.Float64bits(total) // so that the compiler keeps the sums
}
