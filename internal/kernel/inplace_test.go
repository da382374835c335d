package kernel

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// thinGemm returns a product with few rows or columns, or of small matrices. The way without panels
// computes most of them.
func thinGemm(r *rand.Rand) gemmTask {
	g := randomGemm(r, 1<<16)
	few := 1 + r.IntN([]int{1, 4, 14}[r.IntN(3)])
	many, k := 1+r.IntN([]int{40, 150}[r.IntN(2)]), 1+r.IntN([]int{5, 20, 1100}[r.IntN(3)])
	g.m, g.n, g.k = few, many, k
	if r.IntN(2) == 0 {
		g.m, g.n = g.n, g.m
	}
	matrix := func(rows, columns int, transposed bool) ([]float32, int) {
		if transposed {
			rows, columns = columns, rows
		}
		stride := columns + r.IntN(2)*r.IntN(40)
		return randomPixels(r, (rows-1)*stride+columns), stride
	}
	g.a, g.lda = matrix(g.m, g.k, g.transA)
	g.b, g.ldb = matrix(g.k, g.n, g.transB)
	g.c, g.ldc = matrix(g.m, g.n, false)
	return g
}

// TestGemm_OfThinMatricesEqualsThatWithPanels compares products that are computed without panels with
// Right and Filters, which use them.
func TestGemm_OfThinMatricesEqualsThatWithPanels(t *testing.T) {
	direct := map[Tier]int{}
	for seed := range uint64(600) {
		r := rand.New(rand.NewPCG(seed, 31))
		g := thinGemm(r)
		var portable []float32
		for _, tier := range Tiers() {
			undo := Use(tier)
			name := fmt.Sprintf("%v, seed %d: %v", tier, seed, g)
			want, got, again := slices.Clone(g.c), slices.Clone(g.c), slices.Clone(g.c)
			b, err := NewRight(t.Context(), g.transB, g.k, g.n, g.b, g.ldb)
			require.NoError(t, err, name)
			f, err := filters(t.Context(), 1, g.m, g.k, g.a, g.lda, g.transA)
			require.NoError(t, err, name)
			if !g.accumulate {
				for i := range g.m {
					clear(want[i*g.ldc:][:g.n])
				}
			}
			require.NoError(t, b.multiplyTiles(t.Context(), f, 0, g.n, want, g.ldc), name)
			g.run(got, 0, g.m, 0, g.n)
			requireSameBits(t, want, got, name, want)
			done, err := tilingOf(tier).inPlace(t.Context(), g.transA, g.transB, g.m, g.n, g.k, g.a, g.lda, g.b, g.ldb, again, g.ldc, g.accumulate)
			require.NoError(t, err, name)
			if done {
				requireSameBits(t, want, again, name, want)
				direct[tier]++
			}
			if tier == Portable {
				portable = got
			}
			requireSameBits(t, portable, got, name, want)
			undo()
		}
	}
	for _, tier := range Tiers() {
		require.NotZero(t, direct[tier], tier)
	}
}

func TestGemm_OfThinMatricesStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	v := make([]float32, 1000)
	for _, tier := range Tiers() {
		undo := Use(tier)
		for _, transB := range []bool{false, true} {
			for _, m := range []int{1, 2, 10} {
				require.ErrorIs(t, Gemm(ctx, false, transB, m, 10, 10, v, 10, v, 10, make([]float32, 100), 10, false), context.Canceled, "%v, %d rows", tier, m)
			}
		}
		undo()
	}
}
