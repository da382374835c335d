package kernel

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// gemmTask is a product of random matrices with random strides.
type gemmTask struct {
	transA, transB, accumulate bool
	m, n, k, lda, ldb, ldc     int
	a, b, c                    []float32
}

// randomGemm returns a product of at most the given number of multiplications.
func randomGemm(r *rand.Rand, most int) gemmTask {
	size := func() int {
		return r.IntN([]int{2, 8, 20, 40, 70, 300, 900}[r.IntN(7)])
	}
	g := gemmTask{
		transA: r.IntN(2) == 0, transB: r.IntN(2) == 0, accumulate: r.IntN(2) == 0,
		m: size(), n: size(), k: size(),
	}
	for g.m*g.n*g.k > most {
		g.m, g.n, g.k = (g.m+1)/2, (g.n+1)/2, (g.k+1)/2
	}
	matrix := func(rows, columns int, transposed bool) ([]float32, int) {
		if transposed {
			rows, columns = columns, rows
		}
		stride := columns + r.IntN(2)*r.IntN(40)
		v := make([]float32, max(0, (rows-1)*stride+columns))
		if rows == 0 || columns == 0 {
			v = nil
		}
		for i := range v {
			v[i] = 2*r.Float32() - 1
		}
		return v, stride
	}
	g.a, g.lda = matrix(g.m, g.k, g.transA)
	g.b, g.ldb = matrix(g.k, g.n, g.transB)
	g.c, g.ldc = matrix(g.m, g.n, false)
	return g
}

func (g gemmTask) String() string {
	return fmt.Sprintf("%d x %d x %d, transA %v, transB %v, accumulate %v", g.m, g.n, g.k, g.transA, g.transB, g.accumulate)
}

// run computes rows i0 to i1-1 and columns j0 to j1-1 of the product in c.
func (g gemmTask) run(c []float32, i0, i1, j0, j1 int) {
	if i0 == i1 || j0 == j1 {
		_ = Gemm(context.Background(), g.transA, g.transB, i1-i0, j1-j0, g.k, g.a, g.lda, g.b, g.ldb, nil, g.ldc, g.accumulate)
		return
	}
	a, b := g.a, g.b
	if g.k > 0 {
		if g.transA {
			a = a[i0:]
		} else {
			a = a[i0*g.lda:]
		}
		if g.transB {
			b = b[j0*g.ldb:]
		} else {
			b = b[j0:]
		}
	}
	_ = Gemm(context.Background(), g.transA, g.transB, i1-i0, j1-j0, g.k, a, g.lda, b, g.ldb, c[i0*g.ldc+j0:], g.ldc, g.accumulate)
}

// entry returns entry (i, j) of the product, computed in float64, and the sum of the
// magnitudes of its terms.
func (g gemmTask) entry(i, j int) (sum, size float64) {
	if g.accumulate {
		sum = float64(g.c[i*g.ldc+j])
	}
	for t := range g.k {
		a, b := i*g.lda+t, t*g.ldb+j
		if g.transA {
			a = t*g.lda + i
		}
		if g.transB {
			b = j*g.ldb + t
		}
		p := float64(g.a[a]) * float64(g.b[b])
		sum += p
		size += math.Abs(p)
	}
	return sum, size
}

// TestGemm_EqualsTheDefinition compares every tier with the definition, for the
// whole product and for random parts of it, and checks that Gemm does not change
// numbers between the rows of C.
func TestGemm_EqualsTheDefinition(t *testing.T) {
	for seed := range cases(250) {
		compareGemm(t, seed, largeGemm)
	}
}

// largeGemm is the largest number of multiplications of the products of a test.
const largeGemm = 1 << 19

func compareGemm(t *testing.T, seed uint64, most int) {
	r := rand.New(rand.NewPCG(seed, 11))
	g := randomGemm(r, most)
	var portable []float32
	for _, tier := range Tiers() {
		undo := Use(tier)
		name := fmt.Sprintf("%v, seed %d: %v", tier, seed, g)
		got, pieces := slices.Clone(g.c), slices.Clone(g.c)
		g.run(got, 0, g.m, 0, g.n)
		i, j := r.IntN(g.m+1), r.IntN(g.n+1)
		g.run(pieces, 0, i, 0, j)
		g.run(pieces, i, g.m, 0, j)
		g.run(pieces, 0, i, j, g.n)
		g.run(pieces, i, g.m, j, g.n)
		undo()
		if !slices.Equal(got, pieces) { // faster than require.Equal
			require.Equal(t, got, pieces, "%s: in parts divided at %d, %d", name, i, j)
		}
		for at, v := range got {
			if i, j := at/g.ldc, at%g.ldc; j < g.n {
				want, size := g.entry(i, j)
				if !(math.Abs(want-float64(v)) <= 1e-6*(1+size)) {
					t.Fatalf("%s: entry %d, %d: want %v, got %v", name, i, j, want, v)
				}
			} else if v != g.c[at] {
				t.Fatalf("%s: number after row %d is %v, was %v", name, i, v, g.c[at])
			}
		}
		if tier == Portable {
			portable = got
		}
		require.Equal(t, portable, got, "%s: all tiers perform the same operations", name)
	}
}

// FuzzGemm is TestGemm_EqualsTheDefinition for more seeds and small products.
func FuzzGemm(f *testing.F) {
	f.Add(uint64(0))
	f.Fuzz(func(t *testing.T, seed uint64) { compareGemm(t, seed, 1<<11) })
}

func TestGemm_PanicsIfASliceIsTooShort(t *testing.T) {
	v := make([]float32, 12)
	require.PanicsWithValue(t, "kernel: matrix A (3, 4) with stride 5 does not fit into 12 numbers",
		func() { _ = Gemm(context.Background(), false, false, 3, 1, 4, v, 5, v, 1, v, 1, false) })
	require.PanicsWithValue(t, "kernel: matrix B (4, 3) with stride 2 does not fit into 12 numbers",
		func() { _ = Gemm(context.Background(), false, false, 3, 3, 4, v, 4, v, 2, v, 3, false) })
	require.PanicsWithValue(t, "kernel: matrix C (3, 5) with stride 5 does not fit into 12 numbers",
		func() { _ = Gemm(context.Background(), false, false, 3, 5, 1, v, 1, v, 5, v, 5, false) })
	require.PanicsWithValue(t, "kernel: matrix A has the negative size (-1, 4)",
		func() { _ = Gemm(context.Background(), false, false, -1, 1, 4, v, 4, v, 1, v, 1, false) })
}

func TestConvolve_PanicsIfColumnsDoNotFit(t *testing.T) {
	v := make([]float32, 12)
	f, _ := NewFilters(context.Background(), 1, 2, 3, v[:6])
	convolve := func(taps, offsets, places []int) func() {
		return func() { _ = f.Convolve(context.Background(), 0, NewColumns(taps, offsets, places), v, nil, v, 2) }
	}
	taps := []int{0, 1, 2}
	require.PanicsWithValue(t, "kernel: tap and offset 12 is outside of an input of 12 numbers", convolve(taps, []int{0, 10}, []int{0, 1}))
	require.PanicsWithValue(t, "kernel: offset -1 is negative", convolve(taps, []int{0, -1}, []int{0, 1}))
	require.PanicsWithValue(t, "kernel: place 10 of 2 rows with stride 2 is outside of an output of 12 numbers", convolve(taps, []int{0, 9}, []int{0, 10}))
	require.PanicsWithValue(t, "kernel: columns of 2 taps, filters of 3, or made for different tiers", convolve(taps[1:], []int{0, 9}, []int{0, 1}))
	require.PanicsWithValue(t, "kernel: 1 places for 2 offsets", convolve(taps, []int{0, 9}, []int{0}))
}

// BenchmarkGemm reports the floating-point operations per second. The limit of most
// processors is 2 fused multiply-adds of 8 numbers per cycle and core.
func BenchmarkGemm(b *testing.B) {
	for _, tier := range Tiers() {
		for _, s := range []struct {
			m, n, k int
			transB  bool
		}{{64, 256, 800, false}, {512, 512, 512, false}, {512, 512, 512, true}, {64, 1024, 1024, true}, {1, 1024, 1024, true}, {32, 400, 25, false}} {
			b.Run(fmt.Sprintf("%v/m=%d/n=%d/k=%d/transB=%v", tier, s.m, s.n, s.k, s.transB), func(b *testing.B) {
				defer Use(tier)()
				x, y, c := slices.Repeat([]float32{1}, s.m*s.k), slices.Repeat([]float32{1}, s.k*s.n), make([]float32, s.m*s.n)
				ldb := s.n
				if s.transB {
					ldb = s.k
				}
				for b.Loop() {
					_ = Gemm(context.Background(), false, s.transB, s.m, s.n, s.k, x, s.k, y, ldb, c, s.n, false)
				}
				b.ReportMetric(2*float64(s.m)*float64(s.n)*float64(s.k)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
			})
		}
	}
}
