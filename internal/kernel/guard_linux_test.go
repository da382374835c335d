//go:build (amd64 || arm64) && !purego

package kernel

import (
	"context"
	"math/rand/v2"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// guarded moves a slice to memory that is surrounded by inaccessible pages. The
// second one begins immediately after the last element.
func guarded[T float32 | float64 | uint32 | int64 | int32 | uint16 | uint8](t testing.TB, v *[]T) {
	t.Helper()
	if len(*v) == 0 {
		return
	}
	page := syscall.Getpagesize()
	size := len(*v) * int(unsafe.Sizeof((*v)[0]))
	room := (size + page - 1) / page * page
	m, err := syscall.Mmap(-1, 0, room+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Munmap(m) })
	require.NoError(t, syscall.Mprotect(m[:page], syscall.PROT_NONE))
	require.NoError(t, syscall.Mprotect(m[page+room:], syscall.PROT_NONE))
	moved := unsafe.Slice((*T)(unsafe.Pointer(&m[page+room-size])), len(*v))
	copy(moved, *v)
	*v = moved
}

// TestLayer_StaysWithinItsBuffers runs random layers with buffers between
// inaccessible pages.
func TestLayer_StaysWithinItsBuffers(t *testing.T) {
	for _, tier := range Tiers() {
		t.Run(tier.String(), func(t *testing.T) {
			defer Use(tier)()
			for seed := range cases(300) {
				c := randomTask(rand.New(rand.NewPCG(seed, 8)), largeSizes)
				l := newLayer(c.weights, c.n, Schedule{
					Eps: c.eps, Places: c.places, MaxEpsXY: 2, Forgetting: c.forgetting, LowDiscrepancy: c.lowDiscrepancy, Partial: c.partial,
				})
				guarded(t, &l.weights)
				for i := range l.runs {
					guarded(t, &l.runs[i].num)
				}
				s := l.NewScratch()
				for _, v := range []*[]float32{&s.h, &s.eps, &s.scales} {
					guarded(t, v)
				}
				for _, v := range []*[]uint32{&s.offsets, &s.thresholds, &s.coarse} {
					guarded(t, v)
				}
				for g := range l.Positions() {
					i := g % len(c.sums)
					sums := append(c.sums[i][:c.k:c.k], make([]float32, l.SumsLen()-c.k)...)
					guarded(t, &sums)
					if c.partial && c.given[i] != nil {
						s.Give(g, c.given[i], c.epsXY[i])
					} else {
						s.Draw(g, sums, uint64(g), c.epsXY[i])
					}
				}
				_ = s.Run(context.Background(), l.Positions())
				h := make([]float32, c.n*l.Positions())
				guarded(t, &h)
				s.Store(h, l.Positions(), 0, l.Positions())
			}
		})
	}
}

// TestProducts_StayWithinTheirBuffers runs Gemm, Convolve, MaxPool2, MeanPool2
// and Relu with random data between inaccessible pages.
func TestProducts_StayWithinTheirBuffers(t *testing.T) {
	for _, tier := range Tiers()[1:] {
		t.Run(tier.String(), func(t *testing.T) {
			defer Use(tier)()
			for seed := range cases(300) {
				r := rand.New(rand.NewPCG(seed, 12))
				g := randomGemm(r, largeGemm)
				for _, v := range []*[]float32{&g.a, &g.b, &g.c} {
					guarded(t, v)
				}
				g.run(g.c, 0, g.m, 0, g.n)
				thin := thinGemm(r)
				for _, v := range []*[]float32{&thin.a, &thin.b, &thin.c} {
					guarded(t, v)
				}
				thin.run(thin.c, 0, thin.m, 0, thin.n)
				b, err := NewRight(context.Background(), g.transB, g.k, g.n, g.b, g.ldb)
				require.NoError(t, err)
				guarded(t, &b.packed)
				require.NoError(t, b.Multiply(context.Background(), g.transA, g.m, g.a, g.lda, 0, g.n, g.c, g.ldc, g.accumulate))
				c := randomProduct(r)
				for _, v := range []*[]float32{&c.filters, &c.x, &c.bias, &c.out} {
					guarded(t, v)
				}
				c.run(c.out, 0, len(c.columns))
				rows, n := 1+r.IntN(3), 1+r.IntN(40)
				x, out := randomPixels(r, 4*rows*n), make([]float32, rows*n)
				guarded(t, &x)
				guarded(t, &out)
				MaxPool2(out, x, rows, n, 2*n)
				MeanPool2(out, x, rows, n, 2*n)
				Relu(out, x[len(x)-len(out):])
			}
		})
	}
}

func TestGradientKernels_StayWithinTheirBuffers(t *testing.T) {
	for _, tier := range Tiers() {
		undo := Use(tier)
		for n := range 70 {
			r := rand.New(rand.NewPCG(uint64(n), 18))
			v := [5][]float32{randomPixels(r, n), randomPixels(r, n), randomPixels(r, n), randomPixels(r, n), randomPixels(r, n)}
			for i := range v {
				guarded(t, &v[i])
			}
			Ratios(v[0], v[1], v[2], v[3])
			Factors(v[3], v[1], v[4])
			Quotients(v[0], v[1], v[2], 1)
			Grow(v[0], v[1], v[2], 1, 1)
			Products(v[0], v[1], v[2])
		}
		undo()
	}
}

// TestIntegers_StayWithinTheirBuffers runs products, convolutions and conversions of integers
// between inaccessible pages.
func TestIntegers_StayWithinTheirBuffers(t *testing.T) {
	eachDots(func(*dots) {
		for seed := range uint64(100) {
			r := rand.New(rand.NewPCG(seed, 35))
			c := randomIntegers(r, 1<<16)
			guarded(t, &c.a.data)
			guarded(t, &c.b.data)
			c.run(t, r, func(rows *IntegerRows, columns *IntegerColumns, out *[]int32) {
				guarded(t, &rows.packed)
				guarded(t, &columns.packed)
				guarded(t, &columns.sums)
				guarded(t, out)
			})
			w := randomWindows(r)
			guarded(t, &w.x.data)
			w.run(t, func(words *[]uint32, out *[]int32) {
				guarded(t, words)
				guarded(t, out)
			})
			x, weights, out := make([]uint8, 10+IntegerRoom), []int32{1, 2}, make([]int32, IntegerRoom)
			guarded(t, &x)
			guarded(t, &weights)
			guarded(t, &out)
			Depthwise(out, x, NewTaps([]int{0, 10}), weights, 1)
			MakeUnsigned(x)
		}
	})
	for _, tier := range Tiers() {
		undo := Use(tier)
		for seed := range uint64(100) {
			q := quantization(rand.New(rand.NewPCG(seed, 36)))
			guarded(t, &q.sums)
			guarded(t, &q.scales)
			guarded(t, &q.numbers)
			guarded(t, &q.bytes)
			out, back := make([]uint8, len(q.sums)), make([]float32, len(q.sums))
			guarded(t, &out)
			guarded(t, &back)
			Split(out[:(len(out)+1)/2], out[(len(out)+1)/2:], q.bytes)
			Requantize(out, q.sums, q.scales, q.quantum)
			Quantize(out, q.numbers, q.scales[0], q.quantum)
			Dequantize(back, Bytes{data: q.bytes, signed: true}, q.scales[0], 1)
			Bounds(q.numbers, 0, 0)
			long := make([]int64, len(q.sums))
			guarded(t, &long)
			Longs(long, q.sums)
			Singles(back, q.sums)
			Narrow(out, q.sums)
			TruncateBytes(out, q.numbers, Quantum{})
			Truncate(q.sums, q.numbers)
		}
		undo()
	}
}

// TestTranspose_StaysWithinItsBuffers transposes matrices between inaccessible pages.
func TestTranspose_StaysWithinItsBuffers(t *testing.T) {
	for _, tier := range Tiers()[1:] {
		undo := Use(tier)
		for _, rows := range []int{1, 8, 16, 19, 33} {
			for _, cols := range []int{3, 8, 15, 16, 40} {
				x, y := make([]float32, rows*cols), make([]float32, rows*cols)
				guarded(t, &x)
				guarded(t, &y)
				Transpose(y, rows, x, cols, rows, cols)
				AddRows(y, cols, x, cols, rows, cols)
			}
		}
		undo()
	}
}

// TestLists_StayWithinTheirBuffers runs the functions of lists of numbers between inaccessible pages.
func TestLists_StayWithinTheirBuffers(t *testing.T) {
	for _, tier := range Tiers()[1:] {
		undo := Use(tier)
		for n := range 70 {
			r := rand.New(rand.NewPCG(uint64(n), 67))
			v := [4][]float32{randomPixels(r, n), randomPixels(r, n), randomPixels(r, n), randomPixels(r, n)}
			p := []float32{1, 2, 3, 4}
			for i := range v {
				guarded(t, &v[i])
			}
			guarded(t, &p)
			for f := range functionCount {
				Map(f, v[0], v[1], p)
			}
			p = p[:3]
			guarded(t, &p)
			NormalizeRow(v[0], v[1], v[2], v[3], p)
			Softmax(v[0], v[1], max(1, n))
			LogSoftmax(v[0], v[1], max(1, n))
			ExpSum(v[0], v[1], 2)
			ExpTotal(v[1], 2)
			ExpColumns(v[0], v[1], v[2], v[3])
			one := []float32{1}
			guarded(t, &one)
			bytes, halves := make([]uint8, n), make([]uint16, n)
			guarded(t, &bytes)
			guarded(t, &halves)
			sums := make([]float64, n)
			guarded(t, &sums)
			for i, a := range [][]float32{one, v[0]} {
				for j, b := range [][]float32{one, v[1]} {
					for op := range pairCount {
						Combine(op, v[2], a, b, i, j)
					}
					Pow(v[2], a, b, i, j)
					if n > 0 {
						flags := unsafe.Slice((*bool)(unsafe.Pointer(&bytes[0])), n)
						for op := Less; op <= Equal; op++ {
							Compare(op, flags, a, b, i, j)
						}
						Select(v[2], flags, a, b, i, j)
					}
				}
			}
			for kind := Numbers; kind <= Squares; kind++ {
				Total(kind, v[0], 1)
				Accumulate(kind, sums, v[0])
				AccumulateRows(kind, sums[len(sums)-n/2:], v[0], 2, n/2)
			}
			Product(v[0])
			Largest(v[0], 0)
			Smallest(v[0], 0)
			ToHalf(halves, v[0])
			FromHalf(v[0], halves)
		}
		undo()
	}
}
