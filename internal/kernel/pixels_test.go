package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// randomPixels returns numbers of both signs, including zeros, infinities and NaN.
func randomPixels(r *rand.Rand, n int) []float32 {
	special := []float32{0, float32(math.Copysign(0, -1)), float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN())}
	v := make([]float32, n)
	for i := range v {
		v[i] = 2*r.Float32() - 1
		if r.IntN(8) == 0 {
			v[i] = special[r.IntN(len(special))]
		}
	}
	return v
}

// requireSame checks that two slices hold the same numbers; NaN equals NaN.
func requireSame(t *testing.T, want, got []float32, name string) {
	t.Helper()
	require.Len(t, got, len(want))
	for i, w := range want {
		if g := got[i]; w != g && (w == w || g == g) {
			t.Fatalf("%s: number %d: want %v, got %v", name, i, w, g)
		}
	}
}

func TestRelu_EqualsTheDefinition(t *testing.T) {
	for n := range 100 {
		x := randomPixels(rand.New(rand.NewPCG(uint64(n), 14)), n)
		want := make([]float32, n)
		for i, v := range x {
			want[i] = v
			if v <= 0 {
				want[i] = 0
			}
		}
		for _, tier := range Tiers() {
			got := make([]float32, n)
			undo := Use(tier)
			Relu(got, x)
			undo()
			requireSame(t, want, got, tier.String())
			for i, v := range got {
				require.False(t, v == 0 && math.Signbit(float64(v)), "%v: number %d is -0", tier, i)
			}
		}
	}
}

func TestMaxPool2_EqualsTheDefinition(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 15))
		rows, n := r.IntN(4), r.IntN(70)
		width := 2*n + r.IntN(4)
		x := randomPixels(r, 2*rows*width)
		var want []float32
		for i := range rows {
			for j := range n {
				at := 2*i*width + 2*j
				top := x[at]
				for _, v := range []float32{x[at+1], x[at+width], x[at+width+1]} {
					if v > top || v != v {
						top = v
					}
				}
				want = append(want, top)
			}
		}
		for _, tier := range Tiers() {
			undo := Use(tier)
			got := make([]float32, rows*n)
			MaxPool2(got, x, rows, n, width)
			undo()
			requireSame(t, want, got, tier.String())
		}
	}
}

// TestMeanPool2_EqualsTheDefinition compares with the mean in float64, and all tiers bit by
// bit.
func TestMeanPool2_EqualsTheDefinition(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 16))
		rows, n := r.IntN(4), r.IntN(70)
		width := 2*n + r.IntN(4)
		x := randomPixels(r, 2*rows*width)
		var portable []float32
		for _, tier := range Tiers() {
			undo := Use(tier)
			got := make([]float32, rows*n)
			MeanPool2(got, x, rows, n, width)
			undo()
			if tier == Portable {
				portable = got
			}
			requireSame(t, portable, got, tier.String())
			for at, v := range got {
				var want, size float64
				for _, i := range []int{0, 1, width, width + 1} {
					p := float64(x[2*(at/n)*width+2*(at%n)+i])
					want, size = want+p/4, size+math.Abs(p)
				}
				if want == want && !math.IsInf(want, 0) {
					requireNear(t, want, v, size, "%v, seed %d: mean %d", tier, seed, at)
				} else {
					require.Equal(t, fmt.Sprint(want), fmt.Sprint(v))
				}
			}
		}
	}
}

func TestMeanPool2_DoesNotOverflow(t *testing.T) {
	for _, tier := range Tiers() {
		undo := Use(tier)
		got := make([]float32, 20)
		MeanPool2(got, constants(80, math.MaxFloat32), 1, 20, 40)
		undo()
		require.Equal(t, constants(20, math.MaxFloat32), got, tier)
	}
}

func TestMaxPool2_PanicsIfASliceIsTooShort(t *testing.T) {
	require.PanicsWithValue(t, "kernel: 1 x 3 windows of 2 x 2 pixels do not fit into rows of 5 pixels",
		func() { MaxPool2(make([]float32, 9), make([]float32, 9), 1, 3, 5) })
	require.Panics(t, func() { MaxPool2(make([]float32, 2), make([]float32, 7), 1, 2, 4) })
	require.Panics(t, func() { MaxPool2(make([]float32, 1), make([]float32, 8), 1, 2, 4) })
}
