package kernel

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRight_EqualsGemm compares products with a prepared matrix with those of Gemm, for all columns
// at once and in parts.
func TestRight_EqualsGemm(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 12))
		g := randomGemm(r, largeGemm)
		for _, tier := range Tiers() {
			undo := Use(tier)
			name := fmt.Sprintf("%v, seed %d: %v", tier, seed, g)
			want := slices.Clone(g.c)
			g.run(want, 0, g.m, 0, g.n)
			b, err := NewRight(context.Background(), g.transB, g.k, g.n, g.b, g.ldb)
			require.NoError(t, err, name)
			require.Len(t, b.packed, int(RightBytes(g.k, g.n)/4), name)
			got, parts := slices.Clone(g.c), slices.Clone(g.c)
			require.NoError(t, b.Multiply(context.Background(), g.transA, g.m, g.a, g.lda, 0, g.n, got, g.ldc, g.accumulate), name)
			require.Equal(t, want, got, name)
			step := PanelColumns * (1 + r.IntN(4))
			for j := 0; j < g.n; j += step {
				require.NoError(t, b.Multiply(context.Background(), g.transA, g.m, g.a, g.lda, j, min(j+step, g.n), parts, g.ldc, g.accumulate), name)
			}
			require.Equal(t, want, parts, name)
			undo()
		}
	}
}

func TestRight_RefusesColumnsThatItDoesNotHave(t *testing.T) {
	r, err := NewRight(context.Background(), false, 1, 40, make([]float32, 40), 40)
	require.NoError(t, err)
	multiply := func(from, to int) func() {
		return func() {
			_ = r.Multiply(context.Background(), false, 1, []float32{1}, 1, from, to, make([]float32, 40), 40, false)
		}
	}
	require.NotPanics(t, multiply(32, 40))
	require.Panics(t, multiply(16, 40), "within a panel of some tiers")
	require.Panics(t, multiply(0, 41))
	require.Panics(t, multiply(-32, 8))
}

func TestRight_StopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	b := make([]float32, 100*100)
	r, err := NewRight(ctx, false, 100, 100, b, 100)
	require.NoError(t, err)
	cancel()
	_, err = NewRight(ctx, false, 100, 100, b, 100)
	require.ErrorIs(t, err, context.Canceled)
	for _, rows := range []int{1, 100} {
		require.ErrorIs(t, r.Multiply(ctx, false, rows, b, 100, 0, 100, make([]float32, 100*100), 100, false), context.Canceled)
	}
}

// BenchmarkRight multiplies few rows by a prepared matrix, in the shapes of fully connected layers.
func BenchmarkRight(b *testing.B) {
	for _, shape := range [][3]int{{1, 1536, 128}, {1, 128, 512}, {4, 512, 512}, {40, 120, 6625}} {
		m, k, n := shape[0], shape[1], shape[2]
		for _, tier := range Tiers()[1:] {
			b.Run(fmt.Sprintf("%v/%dx%dx%d", tier, m, k, n), func(b *testing.B) {
				defer Use(tier)()
				x, w, c := make([]float32, m*k), make([]float32, k*n), make([]float32, m*n)
				r, err := NewRight(b.Context(), false, k, n, w, n)
				require.NoError(b, err)
				for b.Loop() {
					_ = r.Multiply(b.Context(), false, m, x, k, 0, n, c, n, false)
				}
				b.ReportMetric(2*float64(m*k*n)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
			})
		}
	}
}
