package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// drawn returns the spikes that position g of a group draws. The positions before it
// draw the same spikes.
func drawn(l *Layer, g int, sums []float32, key uint64, epsXY []float32) []int32 {
	s := l.NewScratch()
	sums = append(sums[:l.k:l.k], make([]float32, l.SumsLen()-l.k)...)
	for i := range g + 1 {
		s.Draw(i, sums, key, epsXY)
	}
	s.live = g + 1
	row := uint32(4 * l.width) // the offsets are in bytes
	if l.up.rows {
		row = 1
	}
	var spikes []int32
	for first := 0; first < l.spikes; first += chunk {
		s.fill(first, l.spikes, g+1)
		for _, o := range s.offsets[g*chunk:][:min(chunk, l.spikes-first)] {
			spikes = append(spikes, int32(o/row))
		}
	}
	return spikes
}

// TestLayer_DrawsTheSpikesOfTheSamplers checks that a layer of any number of spikes
// draws, with every tier, the first spikes of Sample or SampleLowDiscrepancy, which
// do not depend on the number of spikes either.
func TestLayer_DrawsTheSpikesOfTheSamplers(t *testing.T) {
	numbers := []int{1, 2, 3, 8, 15, 16, 17, 100, 159, 160, 161, 319, 320, 321, 500, 1000}
	most := numbers[len(numbers)-1]
	for name, sample := range map[string]func([]int32, []uint32, uint64){"independent": Sample, "low discrepancy": SampleLowDiscrepancy} {
		for _, k := range []int{1, 2, 3, 25, 31, 32, 33, 96, 500, 800, 1500, 5000} {
			r := rand.New(rand.NewPCG(uint64(k), 21))
			p, sums, thresholds := make([]float32, k), make([]float32, k), make([]uint32, k)
			for i := range p {
				p[i] = max(0, r.Float32()-0.3)
			}
			p[r.IntN(k)] = 1
			cumulate(sums, p)
			Thresholds(thresholds, sums)
			key := r.Uint64()
			want := make([]int32, most)
			sample(want, thresholds, key)
			for _, n := range numbers {
				first := make([]int32, n)
				sample(first, thresholds, key)
				require.Equal(t, want[:n], first, "%s, K %d: the first %d spikes", name, k, n)
			}
			for _, tier := range Tiers() {
				requireFirstSpikes(t, tier, name, want, numbers, sums, key)
			}
		}
	}
}

// requireFirstSpikes checks the spikes of layers with the given numbers of spikes.
func requireFirstSpikes(t *testing.T, tier Tier, sampler string, want []int32, numbers []int, sums []float32, key uint64) {
	t.Helper()
	defer Use(tier)()
	k := len(sums)
	for _, n := range numbers {
		for _, places := range []int{0, min(k, 25)} {
			l := newLayer(constants(3*k, 1), 3, Schedule{
				Eps: constants(n, 0.1), Places: places, MaxEpsXY: 1, LowDiscrepancy: sampler == "low discrepancy",
			})
			g := n % l.Positions()
			got := drawn(l, g, sums, key, constants(places, 1))
			require.Equal(t, want[:n], got, fmt.Sprintf("%v, %s, K %d, %d places, position %d: %d spikes", tier, sampler, k, places, g, n))
		}
	}
}

// TestSampler_DrawsTheSpikesOfTheSamplers compares with Sample and SampleLowDiscrepancy, also in
// several calls and for one distribution after the other. The distributions have entries of 0 and
// very different entries.
func TestSampler_DrawsTheSpikesOfTheSamplers(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	for _, k := range []int{1, 2, 3, 31, 784, 5000, 1 << 17} {
		s := NewSampler(k)
		sums, thresholds := make([]float32, k), make([]uint32, k)
		for key := range uint64(10) {
			p := uniform(r, k)
			for i := range p {
				switch r.IntN(4) {
				case 0:
					p[i] = 0
				case 1:
					p[i] *= 1e-20
				}
			}
			p[r.IntN(k)] = 1
			cumulate(sums, p)
			Thresholds(thresholds, sums)
			s.Prepare(sums)
			want, got := make([]int32, 1001), make([]int32, 1001)
			for _, lowDiscrepancy := range []bool{false, true} {
				Sample(want, thresholds, key)
				if lowDiscrepancy {
					SampleLowDiscrepancy(want, thresholds, key)
				}
				s.Draw(got[:500], 0, key, lowDiscrepancy)
				s.Draw(got[500:], 500, key, lowDiscrepancy)
				require.Equal(t, want, got, "%d entries, key %d, %t", k, key, lowDiscrepancy)
			}
		}
	}
}

// TestSamplers_SelectNoImpossibleEntryWithARandomNumberOfZero draws with a key whose first random
// number is 0, with every sampler and every tier, from distributions that start with zeros.
func TestSamplers_SelectNoImpossibleEntryWithARandomNumberOfZero(t *testing.T) {
	key := ^uint64(gamma) + 1 // counter(key, 0) is 0
	require.Zero(t, Random(key, 0))
	for _, k := range []int{2, 3, 16, 17, 33, 64, 65, 100, 784, 1500, 5000} {
		for _, zeros := range []int{1, k / 2, k - 1} {
			p, sums := constants(k, 0.5), make([]float32, k)
			clear(p[:zeros])
			cumulate(sums, p)
			require.Equal(t, int32(zeros), Invert(sums, 0))
			require.Equal(t, int32(zeros), Invert(sums, 1e-40))
			thresholds := make([]uint32, k)
			Thresholds(thresholds, sums)
			sampler := NewSampler(k)
			sampler.Prepare(sums)
			for name, sample := range map[string]func([]int32, []uint32, uint64){"independent": Sample, "low discrepancy": SampleLowDiscrepancy} {
				want, got := make([]int32, 3), make([]int32, 3)
				sample(want, thresholds, key)
				require.Equal(t, int32(zeros), want[0], "%s, %d of %d", name, zeros, k)
				sampler.Draw(got, 0, key, name != "independent")
				require.Equal(t, want, got, "%s, %d of %d", name, zeros, k)
				for _, tier := range Tiers() {
					requireFirstSpikes(t, tier, name, want, []int{3}, sums, key)
				}
			}
		}
	}
}

func TestScratch_PanicsForAWrongNumberOfGivenSpikes(t *testing.T) {
	give := func(n int, partial bool) func() {
		l := newLayer(constants(6, 1), 3, Schedule{Eps: constants(4, 0.1), Partial: partial})
		return func() { l.NewScratch().Give(0, make([]int32, n), nil) }
	}
	require.PanicsWithValue(t, "kernel: 3 spikes are given to a layer with 4", give(3, false))
	require.PanicsWithValue(t, "kernel: 5 spikes are given to a layer with 4", give(5, false))
	require.PanicsWithValue(t, "kernel: 5 spikes are given to a layer with 4", give(5, true))
	require.NotPanics(t, give(3, true))
	require.NotPanics(t, give(4, false))
}

// TestLayer_DrawsRowsOfWWithoutADistribution checks that no spike lies outside of W if the sum of a patch
// is not a positive number.
func TestLayer_DrawsRowsOfWWithoutADistribution(t *testing.T) {
	for _, tier := range Tiers() {
		undo := Use(tier)
		for _, total := range []float32{0, float32(math.NaN()), float32(math.Inf(1))} {
			for _, k := range []int{1, 10, 100, 1000} {
				l := newLayer(constants(3*k, 1), 3, Schedule{Eps: constants(100, 0.1)})
				sums := constants(k, total)
				sums[0] = min(total, 1)
				for _, spike := range drawn(l, 0, sums, 7, nil) {
					require.Less(t, int(spike), k, "%v: sum %v of %d entries", tier, total, k)
				}
			}
		}
		undo()
	}
}
