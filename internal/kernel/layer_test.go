package kernel

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// task is a layer and several positions to compute.
type task struct {
	k, n           int
	weights        []float32
	eps            []float32
	places         int
	epsXY          [][]float32 // by position
	forgetting     float32
	lowDiscrepancy bool
	sums           [][]float32
	given          [][]int32 // the spikes by position, nil to draw them
	partial        bool      // positions may have fewer spikes
}

// sizes holds the sizes from which random tasks are chosen.
type sizes struct {
	k, n, spikes []int
	positions    int
}

var (
	largeSizes = sizes{
		k: []int{1, 2, 3, 16, 25, 31, 32, 33, 64, 200, 576, 800, 1024, 1500}, n: []int{8, 16, 32, 64, 100, 130, 700},
		spikes: []int{1, 2, 15, 16, 17, 100, 159, 160, 161, 320, 500}, positions: 30,
	}
	// Most of these tasks take some microseconds.
	smallSizes = sizes{
		k: []int{1, 2, 3, 5, 8, 9, 16, 25, 31, 33, 40, 70}, n: []int{2, 4, 8, 9, 16, 16, 17, 32, 33, 50, 70, 140},
		spikes: []int{1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 20, 40, 170}, positions: 2,
	}
)

// cases returns the number of random cases: with -short, which emulated processors need, a tenth of n.
func cases(n uint64) uint64 {
	if testing.Short() {
		return n / 10
	}
	return n
}

// randomTask returns a task with one of the given numbers of entries and spikes, and
// at most one of the given numbers of neurons and positions.
func randomTask(r *rand.Rand, z sizes) task {
	pick := func(v ...int) int { return v[r.IntN(len(v))] }
	c := task{k: pick(z.k...), n: 1 + r.IntN(pick(z.n...))}
	spikes := pick(z.spikes...)
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
	positions := 1 + r.IntN(z.positions)
	given := r.IntN(3) == 0
	c.partial = r.IntN(3) == 0
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
		if given || c.partial && r.IntN(8) > 0 {
			number := spikes
			if c.partial {
				number = r.IntN(1 + r.IntN(1+spikes))
			}
			s = make([]int32, number)
			for i := range s {
				s[i] = int32(r.IntN(c.k))
			}
		}
		c.given = append(c.given, s)
	}
	return c
}

// run computes the positions with the active tier, in groups. The first position is
// position shift of its group.
func (c task) run(shift int) [][]float32 {
	l := newLayer(c.weights, c.n, Schedule{
		Eps: c.eps, Places: c.places, MaxEpsXY: 2, Forgetting: c.forgetting, LowDiscrepancy: c.lowDiscrepancy, Partial: c.partial,
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
			_ = s.Run(context.Background(), to-from)
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

// reference computes the positions one by one with the samplers and applySpikes.
func (c task) reference() [][]float32 {
	out := make([][]float32, len(c.sums))
	thresholds := make([]uint32, c.k)
	for i, sums := range c.sums {
		spikes := c.given[i]
		if spikes == nil {
			spikes = make([]int32, len(c.eps))
			Thresholds(thresholds, sums)
			if c.lowDiscrepancy {
				SampleLowDiscrepancy(spikes, thresholds, Key(1, 2, 3, uint64(i)))
			} else {
				Sample(spikes, thresholds, Key(1, 2, 3, uint64(i)))
			}
		}
		h := make([]float32, c.n)
		for n := range h {
			h[n] = 1 / float32(c.n)
		}
		applySpikes(h, c.weights, spikes, c.eps, c.epsXY[i], c.forgetting)
		out[i] = h
	}
	return out
}

func (c task) String() string {
	return fmt.Sprintf("K %d, N %d, S %d, %d places, forgetting %v", c.k, c.n, len(c.eps), c.places, c.forgetting)
}

// TestTiers_AgreeWithTheReference compares every tier with the reference.
func TestTiers_AgreeWithTheReference(t *testing.T) {
	for seed := range cases(2000) {
		compareTiers(t, seed, largeSizes)
	}
}

// FuzzTiers is TestTiers_AgreeWithTheReference for more seeds and small layers, of which it
// tries more.
func FuzzTiers(f *testing.F) {
	f.Add(uint64(0))
	f.Fuzz(func(t *testing.T, seed uint64) { compareTiers(t, seed, smallSizes) })
}

// casesVariable is the environment variable that sets the number of cases of
// TestTiersOften_AgreeWithTheReference.
const casesVariable = "SBS_KERNEL_CASES"

// TestTiersOften_AgreeWithTheReference compares every tier with the reference for
// many small layers.
func TestTiersOften_AgreeWithTheReference(t *testing.T) {
	n := cases(20_000)
	if v := os.Getenv(casesVariable); v != "" {
		var err error
		n, err = strconv.ParseUint(v, 10, 64)
		require.NoError(t, err, casesVariable)
	}
	var worst float64
	for seed := range n {
		worst = max(worst, compareTiers(t, seed, smallSizes))
	}
	t.Logf("%d cases, largest difference %.2g", n, worst)
}

// TestTiers_AgreeForEveryNumberOfNeurons compares small layers of all sizes and kinds for which there is
// assembly, with 1 to 9 positions and 1 to 5 spikes. The last kind skips spikes: some rows of its weights are 0.
func TestTiers_AgreeForEveryNumberOfNeurons(t *testing.T) {
	for n := 1; n <= 130; n++ {
		for kind := range 4 {
			r := rand.New(rand.NewPCG(uint64(n), uint64(kind)))
			c := randomTask(r, sizes{k: []int{5}, n: []int{1}, spikes: []int{1 + (n/2+kind)%5}, positions: 1})
			c.n, c.weights = n, uniform(rand.New(rand.NewPCG(uint64(n), 9)), c.k*n)
			c.places, c.forgetting = min(kind, 1), float32(kind/2)*0.25
			if kind == 3 {
				clear(c.weights[:2*n])
				c.forgetting *= float32(n % 2)
			}
			c.partial, c.given[0], c.epsXY[0] = false, nil, constants(c.places, 0.5)
			for range (n + 2*kind) % 9 {
				c.sums, c.given, c.epsXY = append(c.sums, c.sums[0]), append(c.given, nil), append(c.epsXY, c.epsXY[0])
			}
			compareTask(t, uint64(kind), c)
		}
	}
}

// compareTiers is compareTask for a random task.
func compareTiers(t *testing.T, seed uint64, z sizes) (worst float64) {
	return compareTask(t, seed, randomTask(rand.New(rand.NewPCG(seed, 7)), z))
}

// compareTask compares every tier with the reference, and with the portable tier bit by
// bit. It returns the largest difference from the reference.
func compareTask(t *testing.T, seed uint64, c task) (worst float64) {
	want := c.reference()
	var portable [][]float32
	for _, tier := range Tiers() {
		undo := Use(tier)
		got := c.run(0)
		if tier == Portable {
			portable = got
		}
		requireEqualBits(t, portable, got, "%v, seed %d: %v", tier, seed, c)
		if seed%8 == 0 {
			require.Equal(t, got, c.run(int(1+seed/8%5)), "%v, seed %d: %v: results must not depend on the groups", tier, seed, c)
		}
		undo()
		for i := range want {
			for n, w := range want[i] {
				d := math.Abs(float64(w) - float64(got[i][n]))
				if !(d <= 1e-5) {
					t.Fatalf("%v, seed %d: %v: position %d, neuron %d is %v, want %v", tier, seed, c, i, n, got[i][n], w)
				}
				worst = max(worst, d)
			}
		}
	}
	return worst
}

// TestScratch_TakesGivenAndDrawnSpikes compares groups in which some positions are given the
// spikes that the others draw, also after a group that was prepared and not run.
func TestScratch_TakesGivenAndDrawnSpikes(t *testing.T) {
	for _, tier := range Tiers() {
		for _, z := range []struct {
			k, n, spikes, places int
			forgetting           float32
			zero                 bool
		}{{1, 3, 5, 0, 0, false}, {25, 32, 400, 0, 0, false}, {25, 33, 400, 5, 0.1, false}, {70, 130, 400, 0, 0, true}, {9, 60, 170, 9, 0, false}} {
			undo := Use(tier)
			r := rand.New(rand.NewPCG(1, 2))
			w := uniform(r, z.k*z.n)
			if z.zero {
				w[3] = 0
			}
			l := newLayer(w, z.n, Schedule{Eps: constants(z.spikes, 0.3), Places: z.places, MaxEpsXY: 1, Forgetting: z.forgetting})
			sums, thresholds := make([]float32, l.SumsLen()), make([]uint32, z.k)
			cumulate(sums[:z.k], uniform(r, z.k))
			Thresholds(thresholds, sums[:z.k])
			give := func(s *Scratch, g int) {
				spikes := make([]int32, z.spikes)
				Sample(spikes, thresholds, uint64(g))
				s.Give(g, spikes, constants(z.places, 0.5))
			}
			run := func(s *Scratch, n int, given bool) []float32 {
				for g := range n {
					if given && g%3 != 1 {
						give(s, g)
					} else {
						s.Draw(g, sums, uint64(g), constants(z.places, 0.5))
					}
				}
				_ = s.Run(context.Background(), n)
				h := make([]float32, z.n*n)
				s.Store(h, n, 0, n)
				return h
			}
			for n := 1; n <= l.Positions(); n++ {
				want, s := run(l.NewScratch(), n, false), l.NewScratch()
				require.Equal(t, want, run(s, n, true), "%v, %+v: %d positions", tier, z, n)
				require.Equal(t, want, run(s, n, false), "%v, %+v: %d positions, after given spikes", tier, z, n)
				for g := range n {
					s.Give(g, make([]int32, z.spikes), constants(z.places, 0.1))
				}
				require.Equal(t, want, run(s, n, false), "%v, %+v: %d positions, after a group that was not run", tier, z, n)
			}
			undo()
		}
	}
}

// TestScratch_GivesPositionsTheirOwnNumberOfSpikes compares the positions of a partial layer with
// layers that have as many spikes, bit for bit. Zero weights make layers that skip spikes, which
// is what partial layers do with those that are missing.
func TestScratch_GivesPositionsTheirOwnNumberOfSpikes(t *testing.T) {
	for _, tier := range Tiers() {
		undo := Use(tier)
		for _, z := range []struct {
			k, n, spikes, places int
			forgetting           float32
		}{{4, 3, 5, 0, 0}, {25, 32, 400, 0, 0}, {25, 33, 400, 5, 0.1}, {70, 130, 400, 7, 0}, {9, 60, 170, 0, 0.3}} {
			r := rand.New(rand.NewPCG(3, 4))
			w := uniform(r, z.k*z.n)
			w[0] = 0
			schedule := Schedule{Eps: constants(z.spikes, 0.3), Places: z.places, MaxEpsXY: 1, Forgetting: z.forgetting, Partial: true}
			l := newLayer(w, z.n, schedule)
			s := l.NewScratch()
			epsXY := uniform(r, z.places)
			counts := []int{z.spikes, 0, 1, z.spikes / 2, 160, 161, 320}
			positions := l.Positions()
			spikes := make([][]int32, positions)
			for g := range spikes {
				spikes[g] = make([]int32, min(z.spikes, counts[r.IntN(len(counts))]))
				for i := range spikes[g] {
					spikes[g][i] = int32(r.IntN(z.k))
				}
				if len(spikes[g]) == 0 {
					spikes[g] = nil
				}
				s.Give(g, spikes[g], epsXY)
			}
			require.NoError(t, s.Run(t.Context(), positions))
			got := make([]float32, z.n*positions)
			s.Store(got, positions, 0, positions)
			for g, list := range spikes {
				want := constants(z.n, 1/float32(z.n))
				if len(list) > 0 {
					whole := schedule
					whole.Eps, whole.Partial = schedule.Eps[:len(list)], false
					one := newLayer(w, z.n, whole).NewScratch()
					one.Give(0, list, epsXY)
					require.NoError(t, one.Run(t.Context(), 1))
					one.Store(want, 1, 0, 1)
				}
				for n, v := range want {
					require.Equal(t, v, got[n*positions+g], "%v, %+v: position %d with %d spikes", tier, z, g, len(list))
				}
			}
		}
		undo()
	}
}

// requireEqualBits checks that two results are the same, bit by bit.
func requireEqualBits(t *testing.T, want, got [][]float32, format string, args ...any) {
	t.Helper()
	for i := range want {
		for n, w := range want[i] {
			if g := got[i][n]; math.Float32bits(w) != math.Float32bits(g) {
				t.Fatalf("%s: position %d, neuron %d: %v is not the same number as %v", fmt.Sprintf(format, args...), i, n, g, w)
			}
		}
	}
}

func TestTiers_AgreeForLargePatches(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{3, 100} {
		c := randomTask(r, sizes{k: []int{70_000}, n: []int{1}, spikes: []int{200}, positions: 3})
		c.n = n
		c.weights = make([]float32, c.k*n)
		for i := range c.weights {
			c.weights[i] = 1e-4 + r.Float32()
		}
		want := c.reference()
		var portable [][]float32
		for _, tier := range Tiers() {
			undo := Use(tier)
			got := c.run(0)
			undo()
			if tier == Portable {
				portable = got
			}
			requireEqualBits(t, portable, got, "%v: %v", tier, c)
			for i := range want {
				require.InDeltaSlice(t, want[i], got[i], 1e-5, "%v: %v", tier, c)
			}
		}
	}
}

// newLayer is NewLayer without a context that ends.
func newLayer(weights []float32, n int, s Schedule) *Layer {
	l, err := NewLayer(context.Background(), weights, n, s)
	if err != nil {
		panic(err)
	}
	return l
}

// TestScratchRun_StopsSoon lets a layer with many spikes, and one with many neurons, draw
// until the context ends.
func TestScratchRun_StopsSoon(t *testing.T) {
	for _, size := range []struct{ k, n, spikes int }{{4, 5, 1 << 20}, {2, maxUpdates / 4, 20}} {
		l := newLayer(constants(size.k*size.n, 0.5), size.n, Schedule{Eps: constants(size.spikes, 0.1)})
		s := l.NewScratch()
		sums := make([]float32, l.SumsLen())
		for i := range size.k {
			sums[i] = float32(i + 1)
		}
		for g := range l.Positions() {
			s.Draw(g, sums, 1, nil)
		}
		ctx := canceling{t.Context(), 3}
		require.ErrorIs(t, s.Run(&ctx, l.Positions()), context.Canceled)
		require.Equal(t, -1, ctx.left)
	}
}

// canceling is a context that is canceled when its error has been looked at some times.
type canceling struct {
	context.Context
	left int
}

func (c *canceling) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}
