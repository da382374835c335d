package kernel

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestRatiosAndFactors_EqualTheDefinition has numbers of all sizes, zeros, infinities and NaN.
func TestRatiosAndFactors_EqualTheDefinition(t *testing.T) {
	for n := range 100 {
		r := rand.New(rand.NewPCG(uint64(n), 17))
		weighted, mean, sums, patch := randomPixels(r, n), randomPixels(r, n), randomPixels(r, n), randomPixels(r, n)
		for i := range sums {
			if r.IntN(3) == 0 {
				sums[i] *= 1e-12 // its square is about as large as what keeps the quotient defined
			}
		}
		ratios, first, second := make([]float32, n), make([]float32, n), make([]float32, n)
		for i := range n {
			ratios[i] = (weighted[i] + float32(mean[i]*sums[i])) / (sums[i] + 1e-20)
			q := patch[i] / (float32(sums[i]*sums[i]) + 1e-20)
			first[i], second[i] = -(q * weighted[i]), q*sums[i]
		}
		for _, tier := range Tiers() {
			undo := Use(tier)
			got := make([]float32, n)
			Ratios(got, weighted, mean, sums)
			s, w := slices.Clone(sums), slices.Clone(weighted)
			Factors(s, w, patch)
			undo()
			requireSame(t, ratios, got, tier.String()+" ratios")
			requireSame(t, first, s, tier.String()+" first factors")
			requireSame(t, second, w, tier.String()+" second factors")
		}
	}
}

// TestQuotientsGrowAndProducts_EqualTheDefinition has numbers of all sizes, zeros, infinities and
// NaN.
func TestQuotientsGrowAndProducts_EqualTheDefinition(t *testing.T) {
	for n := range 100 {
		r := rand.New(rand.NewPCG(uint64(n), 19))
		p, v, h, sums := randomPixels(r, n), randomPixels(r, n), randomPixels(r, n), randomPixels(r, n)
		least, keep, scale := r.Float32()*1e-6, float32(r.IntN(2)), r.Float32()
		quotients, grown, added, products := make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
		for i := range n {
			quotients[i] = p[i] / (v[i] + least)
			grown[i] = float32(keep*h[i]) + float32(scale*float32(h[i]*v[i]))
			added[i] = sums[i] + grown[i]
			products[i] = p[i] * h[i]
		}
		for _, tier := range Tiers() {
			undo := Use(tier)
			q, g, s, m := make([]float32, n), slices.Clone(v), slices.Clone(sums), make([]float32, n)
			Quotients(q, p, v, least)
			Grow(g, h, s, keep, scale)
			Products(m, p, h)
			undo()
			requireSame(t, quotients, q, tier.String()+" quotients")
			requireSame(t, grown, g, tier.String()+" grown")
			requireSame(t, added, s, tier.String()+" sums")
			requireSame(t, products, m, tier.String()+" products")
		}
	}
}
