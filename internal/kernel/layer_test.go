package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// task is a layer with some positions to compute.
type task struct {
	k, n           int
	weights        []float32
	eps            []float32
	places         int
	epsXY          [][]float32 // by position
	forgetting     float32
	lowDiscrepancy bool
	sums           [][]float32
	given          [][]int32 // nil to draw
}

func randomTask(r *rand.Rand) task {
	pick := func(v ...int) int { return v[r.IntN(len(v))] }
	c := task{
		k: pick(1, 2, 3, 16, 25, 31, 32, 33, 64, 200, 576, 800, 1024, 1500), n: 1 + r.IntN(pick(8, 16, 32, 64, 100, 130)),
	}
	spikes := pick(1, 2, 15, 16, 17, 100, 159, 160, 161, 320, 500)
	zeros := r.IntN(3) == 0
	c.weights = make([]float32, c.k*c.n)
	for i := range c.weights {
		c.weights[i] = 1e-4 + r.Float32()
		if zeros && r.IntN(2) == 0 {
			c.weights[i] = 0
		}
	}
	scale := 0.01 + 3*r.Float32()*r.Float32()
	c.eps = make([]float32, spikes)
	for i := range c.eps {
		c.eps[i] = scale * r.Float32()
	}
	if r.IntN(3) == 0 {
		c.forgetting = r.Float32()
	}
	if r.IntN(2) == 0 {
		c.places = pick(1, 4, 9, 25)
	}
	c.lowDiscrepancy = r.IntN(3) == 0
	positions := 1 + r.IntN(30)
	given := r.IntN(3) == 0
	for range positions {
		sums, p := make([]float32, c.k), make([]float32, c.k)
		for i := range p {
			if r.IntN(4) > 0 {
				p[i] = r.Float32()
			}
		}
		p[r.IntN(c.k)] = 1
		cumulate(sums, p)
		c.sums = append(c.sums, sums)
		epsXY := make([]float32, c.places)
		for i := range epsXY {
			epsXY[i] = 2 * r.Float32()
		}
		c.epsXY = append(c.epsXY, epsXY)
		var s []int32
		if given {
			s = make([]int32, spikes)
			for i := range s {
				s[i] = int32(r.IntN(c.k))
			}
		}
		c.given = append(c.given, s)
	}
	return c
}

// run computes the positions on the active tier, in groups that start at the
// given position of the first group.
func (c task) run(shift int) [][]float32 {
	l := NewLayer(c.weights, c.n, Schedule{
		Eps: c.eps, Places: c.places, MaxEpsXY: 2, Forgetting: c.forgetting, LowDiscrepancy: c.lowDiscrepancy,
	})
	s := l.NewScratch()
	out := make([][]float32, len(c.sums))
	for first := -shift % l.Positions(); first < len(out); first += l.Positions() {
		from, to := max(first, 0), min(first+l.Positions(), len(out))
		for i := from; i < to; i++ {
			if c.given[i] != nil {
				s.Give(i-from, c.given[i], c.epsXY[i])
			} else {
				s.Draw(i-from, append(c.sums[i], make([]float32, l.SumsLen()-c.k)...), Key(1, 2, 3, uint64(i)), c.epsXY[i])
			}
		}
		if to > from {
			s.Run(to - from)
		}
		h := make([]float32, c.n*(to-from))
		s.Store(h, to-from, 0, to-from)
		for i := from; i < to; i++ {
			for n := range c.n {
				out[i] = append(out[i], h[n*(to-from)+i-from])
			}
		}
	}
	return out
}

// TestTiers compares every tier with the portable one.
func TestTiers(t *testing.T) {
	const cases = 2000
	for seed := range uint64(cases) {
		compareTiers(t, seed)
	}
}

// FuzzTiers does so for as long as one likes.
func FuzzTiers(f *testing.F) {
	f.Add(uint64(0))
	f.Fuzz(func(t *testing.T, seed uint64) { compareTiers(t, seed) })
}

func compareTiers(t *testing.T, seed uint64) {
	c := randomTask(rand.New(rand.NewPCG(seed, 7)))
	var want [][]float32
	for _, tier := range Tiers() {
		undo := Use(tier)
		got, shifted := c.run(0), c.run(int(seed%5))
		undo()
		name := fmt.Sprintf("%v, seed %d: K %d, N %d, S %d, %d places, forgetting %v", tier, seed, c.k, c.n, len(c.eps), c.places, c.forgetting)
		require.Equal(t, got, shifted, "%s: the grouping must not matter", name)
		if want == nil {
			want = got // of the first, the portable
			continue
		}
		for i := range want {
			for n := range want[i] {
				require.InDelta(t, want[i][n], got[i][n], 1e-5, "%s: position %d, neuron %d", name, i, n)
			}
		}
	}
}

// BenchmarkLayer is one position of a layer, with drawing.
func BenchmarkLayer(b *testing.B) {
	for _, tier := range Tiers() {
		for _, size := range []struct{ k, n int }{{25, 32}, {800, 64}, {576, 96}, {96, 10}} {
			b.Run(fmt.Sprintf("%v/k=%d/n=%d", tier, size.k, size.n), func(b *testing.B) {
				defer Use(tier)()
				r := rand.New(rand.NewPCG(1, 1))
				weights, sums := make([]float32, size.k*size.n), make([]float32, size.k)
				for i := range weights {
					weights[i] = 0.01 + r.Float32()
				}
				cumulate(sums, ones(size.k))
				const spikes = 1600
				eps := make([]float32, spikes)
				for i := range eps {
					eps[i] = 0.1
				}
				l := NewLayer(weights, size.n, Schedule{Eps: eps})
				sums = append(sums, make([]float32, l.SumsLen()-size.k)...)
				s := l.NewScratch()
				for b.Loop() {
					for g := range l.Positions() {
						s.Draw(g, sums, uint64(g), nil)
					}
					s.Run(l.Positions())
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*spikes*l.Positions()), "ns/spike")
			})
		}
	}
}
