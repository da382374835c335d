package kernel

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// windowsTask is a task for WindowFilters.Convolve.
type windowsTask struct {
	grid        Grid
	taps        []int
	x, a, bias  []float32
	count, m, k int
	group       int
}

func randomWindowsTask(r *rand.Rand) windowsTask {
	c := windowsTask{
		count: 1 + r.IntN(2), m: 1 + r.IntN(70), k: 1 + r.IntN(30),
		grid: Grid{Rows: 1 + r.IntN(5), Cols: 1 + r.IntN(40), ColStep: r.IntN(4)},
	}
	c.grid.RowStep = c.grid.Cols*c.grid.ColStep + r.IntN(2)*r.IntN(9)
	c.group = r.IntN(c.count)
	last := 0
	for range c.k {
		c.taps = append(c.taps, r.IntN(200))
		last = max(last, c.taps[len(c.taps)-1])
	}
	c.x = randomNumbers(r, last+(c.grid.Rows-1)*c.grid.RowStep+(c.grid.Cols-1)*c.grid.ColStep+1)
	c.a = randomNumbers(r, c.count*c.m*c.k)
	if r.IntN(2) == 0 {
		c.bias = randomNumbers(r, c.m)
	}
	return c
}

func randomNumbers(r *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = 2*r.Float32() - 1
	}
	return v
}

// run returns the sums of all windows, and those of each window are the rows.
func (c windowsTask) run(t *testing.T, guard func(*[]float32)) []float32 {
	f, err := NewWindowFilters(t.Context(), c.count, c.m, c.k, c.a)
	require.NoError(t, err)
	if guard != nil {
		guard(&f.packed)
	}
	windows := c.grid.Rows * c.grid.Cols
	all := make([]float32, windows*c.m)
	for p := range f.Panels() {
		first, last := f.Panel(p)
		out := make([]float32, windows*f.Width(p))
		if guard != nil {
			guard(&out)
		}
		require.NoError(t, f.Convolve(t.Context(), c.group, p, NewTaps(c.taps), c.x, c.bias, c.grid, out))
		for i := range windows {
			copy(all[i*c.m+first:][:last-first], out[i*f.Width(p):])
		}
	}
	return all
}

func TestWindowFilters_EqualTheDefinition(t *testing.T) {
	for seed := range uint64(200) {
		c := randomWindowsTask(rand.New(rand.NewPCG(seed, 40)))
		var portable []float32
		for _, tier := range Tiers() {
			undo := Use(tier)
			got := c.run(t, nil)
			undo()
			if tier == Portable {
				portable = got
			}
			require.Equal(t, portable, got, "%v, seed %d: all tiers perform the same operations", tier, seed)
		}
		for i, v := range portable {
			window, filter := i/c.m, i%c.m
			var sum, size float64
			if c.bias != nil {
				sum = float64(c.bias[filter])
			}
			for tap, at := range c.taps {
				p := float64(c.a[(c.group*c.m+filter)*c.k+tap]) * float64(c.x[at+window/c.grid.Cols*c.grid.RowStep+window%c.grid.Cols*c.grid.ColStep])
				sum, size = sum+p, size+math.Abs(p)
			}
			requireNear(t, sum, v, size, "seed %d, sum %d", seed, i)
		}
	}
}

// TestWindowFilters_EqualFilters compares with Filters.Convolve, which has another memory layout.
func TestWindowFilters_EqualFilters(t *testing.T) {
	for seed := range uint64(50) {
		compareWithFilters(t, randomWindowsTask(rand.New(rand.NewPCG(seed, 41))))
	}
	for m := 1; m <= MaxWidth; m++ { // all sizes of tiles
		for cols := 1; cols <= 8; cols++ {
			r := rand.New(rand.NewPCG(uint64(m), uint64(cols)))
			c := windowsTask{count: 1, m: m, k: 2, taps: []int{0, 1}, grid: Grid{Rows: 2, Cols: cols, RowStep: cols + 1, ColStep: 1}}
			c.a, c.x = randomNumbers(r, 2*m), randomNumbers(r, 2*cols+2)
			compareWithFilters(t, c)
		}
	}
}

func compareWithFilters(t *testing.T, c windowsTask) {
	t.Helper()
	var offsets, places []int
	for i := range c.grid.Rows * c.grid.Cols {
		offsets = append(offsets, i/c.grid.Cols*c.grid.RowStep+i%c.grid.Cols*c.grid.ColStep)
		places = append(places, i)
	}
	for _, tier := range Tiers() {
		undo := Use(tier)
		f, err := NewFilters(t.Context(), c.count, c.m, c.k, c.a)
		require.NoError(t, err)
		columns := NewColumns(c.taps, offsets, places)
		want := make([]float32, len(places)*c.m)
		require.NoError(t, f.Convolve(t.Context(), c.group, columns, c.x, c.bias, want, len(places)))
		got := make([]float32, len(want))
		Transpose(got, len(places), c.run(t, nil), c.m, len(places), c.m)
		undo()
		require.Equal(t, want, got, "%v: %d filters, %v", tier, c.m, c.grid)
	}
}

func TestWindowFilters_PanicIfASliceIsTooShort(t *testing.T) {
	v := make([]float32, 12)
	f, err := NewWindowFilters(t.Context(), 1, 2, 3, v[:6])
	require.NoError(t, err)
	convolve := func(taps []int, g Grid, out int) func() {
		return func() { _ = f.Convolve(context.Background(), 0, 0, NewTaps(taps), v, nil, g, make([]float32, out)) }
	}
	taps := []int{0, 1, 2}
	require.PanicsWithValue(t, "kernel: pixel 12 is outside of an input of 12 numbers", convolve(taps, Grid{2, 3, 8, 1}, 1000))
	require.PanicsWithValue(t, "kernel: windows of 2 taps, filters of 3, or made for different tiers", convolve(taps[1:], Grid{1, 1, 1, 1}, 1000))
	require.PanicsWithValue(t, "kernel: offset -1 is negative", convolve([]int{0, -1, 2}, Grid{1, 1, 1, 1}, 1000))
	require.Panics(t, convolve(taps, Grid{1, 4, 4, 1}, 4*f.Width(0)-1))
	require.Panics(t, func() { Transpose(v, 3, v, 4, 4, 4) })
}

func TestWindowFilters_StopWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f, err := NewWindowFilters(ctx, 1, 1, 1, []float32{1})
	require.NoError(t, err)
	cancel()
	require.ErrorIs(t, f.Convolve(ctx, 0, 0, NewTaps([]int{0}), []float32{1}, nil, Grid{1, 1, 1, 1}, make([]float32, MaxWidth)), context.Canceled)
	_, err = NewWindowFilters(ctx, 1, 1, 1, []float32{1})
	require.ErrorIs(t, err, context.Canceled)
}

// TestWindowFilters_LookAtTheContextWithinARow has rows of windows with many products.
func TestWindowFilters_LookAtTheContextWithinARow(t *testing.T) {
	const k, windows = 1 << 15, 64
	f, err := NewWindowFilters(t.Context(), 1, 8, k, make([]float32, 8*k))
	require.NoError(t, err)
	width := f.Width(0)
	for rows := 1; rows <= 2; rows++ {
		const many = 1 << 20
		ctx := canceling{t.Context(), many}
		g := Grid{Rows: rows, Cols: windows, RowStep: 1, ColStep: 1}
		require.NoError(t, f.Convolve(&ctx, 0, 0, NewTaps(make([]int, k)), make([]float32, windows+1), nil, g, make([]float32, rows*windows*width)))
		tiles := rows * windows / (2 * f.t.pixels)
		require.GreaterOrEqual(t, many-ctx.left, min(tiles, rows*windows*width*k/windowProducts/2))
	}
}

// tapsTask is a task for WeightTaps, MeanTaps and MaxTaps.
type tapsTask struct {
	taps       []int
	x, weights []float32
	counts     []float64
	start      float32
	n          int
}

func randomTaps(r *rand.Rand) tapsTask {
	c := tapsTask{n: r.IntN(300), start: r.Float32()}
	for range 1 + r.IntN(12) {
		c.taps = append(c.taps, r.IntN(100))
	}
	for range c.n {
		c.counts = append(c.counts, float64(1+r.IntN(9)))
	}
	c.x, c.weights = randomPixels(r, slices.Max(c.taps)+c.n), randomNumbers(r, len(c.taps))
	return c
}

func TestTaps_EqualTheDefinition(t *testing.T) {
	for seed := range uint64(300) {
		c := randomTaps(rand.New(rand.NewPCG(seed, 42)))
		want, got := [3][]float32{}, [3][]float32{}
		for _, tier := range Tiers() {
			undo := Use(tier)
			for i := range got {
				got[i] = make([]float32, c.n)
			}
			WeightTaps(got[0], c.x, c.taps, c.weights, c.start)
			MeanTaps(got[1], c.x, c.taps, c.counts)
			MaxTaps(got[2], c.x, c.taps, c.start)
			undo()
			if tier == Portable {
				want = got
				for i := range c.n {
					requireWindow(t, c, i, [3]float32{got[0][i], got[1][i], got[2][i]})
				}
			}
			for i, w := range want {
				requireSame(t, w, got[i], tier.String())
				for j := range w {
					if w[j] == w[j] { // the sign of NaN has no meaning
						require.Equal(t, math.Signbit(float64(w[j])), math.Signbit(float64(got[i][j])), "%v, %d", tier, j)
					}
				}
			}
		}
	}
}

// requireWindow compares the results of window i with float64.
func requireWindow(t *testing.T, c tapsTask, i int, got [3]float32) {
	weighted, mean, top := float64(c.start), 0.0, float64(c.start)
	size := 1.0
	for tap, at := range c.taps {
		v := float64(c.x[at+i])
		weighted, mean, top = weighted+v*float64(c.weights[tap]), mean+v/c.counts[i], max(top, v)
		size += math.Abs(v)
	}
	for j, want := range []float64{weighted, mean, top} {
		if math.IsInf(want, 0) || want != want {
			require.True(t, want == float64(got[j]) || want != want && got[j] != got[j], "%d: want %v, got %v", j, want, got[j])
		} else {
			requireNear(t, want, got[j], size, "result %d", j)
		}
	}
}

func TestDeal_SeparatesEvenFromOdd(t *testing.T) {
	for n := range 150 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(i)
		}
		for _, tier := range Tiers() {
			undo := Use(tier)
			even, odd := make([]float32, (n+1)/2), make([]float32, n/2)
			Deal(even, odd, x)
			undo()
			for i, v := range even {
				require.Equal(t, float32(2*i), v, tier)
			}
			for i, v := range odd {
				require.Equal(t, float32(2*i+1), v, tier)
			}
		}
	}
	require.Panics(t, func() { Deal(make([]float32, 2), make([]float32, 2), make([]float32, 3)) })
}

func TestStandardize_EqualsTheDefinition(t *testing.T) {
	for n := range 80 {
		x := randomPixels(rand.New(rand.NewPCG(uint64(n), 43)), n)
		for _, tier := range Tiers() {
			undo := Use(tier)
			got := slices.Clone(x)
			Standardize(got, 0.3, 1.7, -0.2)
			undo()
			want := make([]float32, n)
			for i, v := range x {
				want[i] = float32(float64((float64(v)-0.3)*1.7) + -0.2)
			}
			requireSame(t, want, got, tier.String())
		}
	}
}

func TestTaps_PanicIfASliceIsTooShort(t *testing.T) {
	v := make([]float32, 10)
	require.PanicsWithValue(t, "kernel: 2 taps of 8 windows do not fit into an input of 10 numbers", func() { MaxTaps(v[:8], v, []int{0, 3}, 0) })
	require.PanicsWithValue(t, "kernel: tap -1 is negative", func() { MaxTaps(v[:8], v, []int{-1}, 0) })
	require.Panics(t, func() { MaxTaps(v[:8], v, nil, 0) })
	require.Panics(t, func() { MeanTaps(v[:2], v, []int{0}, make([]float64, 1)) })
	require.Panics(t, func() { WeightTaps(v[:8], v, []int{0, 1}, v[:1:1], 0) })
}
