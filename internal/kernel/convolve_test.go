package kernel

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// productTask is a task for Convolve. Its taps and offsets are those of a
// convolution or random, and its places are in ascending or random order.
type productTask struct {
	taps, columns, places []int
	filters, x, bias, out []float32
	count, group, m       int
	stride                int
}

func randomProduct(r *rand.Rand) productTask {
	c := productTask{count: 1 + r.IntN(3), m: r.IntN(40)}
	c.group = r.IntN(c.count)
	random := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = 2*r.Float32() - 1
		}
		return v
	}
	// offsets returns n offsets in rows with gaps, or random ones.
	offsets := func(n int) []int {
		row, step, gap := 1+r.IntN(24), 1+r.IntN(3), r.IntN(40)
		v := make([]int, n)
		for i := range v {
			v[i] = i*step + i/row*gap
			if gap == 7 {
				v[i] = r.IntN(1000)
			}
		}
		return v
	}
	c.taps, c.columns = offsets(r.IntN(3)*r.IntN(260)), offsets(r.IntN(400))
	top := 0
	for _, v := range [][]int{c.taps, c.columns} {
		if len(v) > 0 {
			top += slices.Max(v)
		}
	}
	c.x = random(top + 1)
	c.places = offsets(0)
	gap := r.IntN(50)
	for j := range c.columns {
		c.places = append(c.places, j+j/(1+gap)*gap)
	}
	if r.IntN(3) == 0 {
		r.Shuffle(len(c.places), func(i, j int) { c.places[i], c.places[j] = c.places[j], c.places[i] })
	}
	size := 0
	if len(c.places) > 0 {
		size = slices.Max(c.places) + 1
	}
	c.stride = size + r.IntN(9)
	c.out = random(max(0, (c.m-1)*c.stride+size))
	c.filters = random(c.count * c.m * len(c.taps))
	if r.IntN(2) == 0 {
		c.bias = random(c.m)
	}
	return c
}

// run computes columns lo to hi-1 in out.
func (c productTask) run(out []float32, lo, hi int) {
	f, _ := NewFilters(context.Background(), c.count, c.m, len(c.taps), c.filters)
	defer f.Release()
	columns := NewColumns(c.taps, c.columns[lo:hi], c.places[lo:hi])
	defer columns.Release()
	_ = f.Convolve(context.Background(), c.group, columns, c.x, c.bias, out, c.stride)
}

// TestConvolve_EqualsTheDefinition compares every tier with the definition, for all
// columns at once and in two parts.
func TestConvolve_EqualsTheDefinition(t *testing.T) {
	for seed := range cases(250) {
		r := rand.New(rand.NewPCG(seed, 13))
		c := randomProduct(r)
		want, sizes := make([]float64, len(c.out)), make([]float64, len(c.out))
		for i, v := range c.out {
			want[i] = float64(v) // numbers between the entries do not change
		}
		k := len(c.taps)
		for i := range c.m {
			for j, place := range c.places {
				sum, size := 0.0, 0.0
				if c.bias != nil {
					sum = float64(c.bias[i])
				}
				for tap, offset := range c.taps {
					p := float64(c.filters[(c.group*c.m+i)*k+tap]) * float64(c.x[offset+c.columns[j]])
					sum += p
					size += math.Abs(p)
				}
				want[i*c.stride+place], sizes[i*c.stride+place] = sum, size
			}
		}
		var portable []float32
		for _, tier := range Tiers() {
			undo := Use(tier)
			got, pieces := slices.Clone(c.out), slices.Clone(c.out)
			n := len(c.columns)
			c.run(got, 0, n)
			middle := r.IntN(n + 1)
			c.run(pieces, 0, middle)
			c.run(pieces, middle, n)
			undo()
			require.Equal(t, got, pieces, "%v, seed %d: in parts divided at %d of %d", tier, seed, middle, n)
			if tier == Portable {
				portable = got
			}
			require.Equal(t, portable, got, "%v, seed %d: all tiers perform the same operations", tier, seed)
			for i := range want {
				requireNear(t, want[i], got[i], sizes[i], "%v, seed %d, %d", tier, seed, i)
			}
		}
	}
}

// requireNear checks a sum of float32 numbers whose magnitudes add up to size. It
// does not use require.InDelta, which would take most of the time of the tests.
func requireNear(t *testing.T, want float64, got float32, size float64, format string, args ...any) {
	if !(math.Abs(want-float64(got)) <= 1e-6*(1+size)) {
		t.Helper() // not for every number: it takes most of the time
		t.Fatalf("want %v, got %v: "+format, append([]any{want, got}, args...)...)
	}
}
