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
	for seed := range cases(600) {
		compareWithPanels(t, thinGemm(rand.New(rand.NewPCG(seed, 31))), direct)
	}
	for m := 1; m <= 15; m++ { // all sizes of tiles
		for n := 1; n <= 66; n++ {
			r := rand.New(rand.NewPCG(uint64(m), uint64(n)))
			k := 1 + r.IntN(6)
			compareWithPanels(t, gemmTask{
				transA: r.IntN(2) == 0, accumulate: (m+n+n/16)%2 == 0,
				m: m, n: n, k: k, lda: max(m, k), ldb: n, ldc: n,
				a: randomPixels(r, max(m, k)*max(m, k)), b: randomPixels(r, k*n), c: randomPixels(r, m*n),
			}, direct)
		}
	}
	for _, tier := range Tiers() {
		require.NotZero(t, direct[tier], tier)
	}
}

// compareWithPanels counts the products that are computed without panels, by the tier.
func compareWithPanels(t *testing.T, g gemmTask, direct map[Tier]int) {
	t.Helper()
	var portable []float32
	for _, tier := range Tiers() {
		undo := Use(tier)
		name := fmt.Sprintf("%v: %v", tier, g)
		want, got, again, convolved := slices.Clone(g.c), slices.Clone(g.c), slices.Clone(g.c), slices.Clone(g.c)
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
		if !g.accumulate {
			stepTap, stepColumn := g.ldb, 1
			if g.transB {
				stepTap, stepColumn = 1, g.ldb
			}
			columns := NewColumns(multiples(nil, 0, g.k, stepTap), multiples(nil, 0, g.n, stepColumn), multiples(nil, 0, g.n, 1))
			require.NoError(t, f.Convolve(t.Context(), 0, columns, g.b, nil, convolved, g.ldc), name)
			requireSameBits(t, want, convolved, name, want)
		}
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
