package kernel

import (
	"context"
	"fmt"
	"sync"
	"unsafe"
)

// Gemm computes C = A*B, or C += A*B if accumulate is set, for row-major matrices.
// C is (m, n). A is (m, k), or (k, m) if transA is set, and B is (k, n), or (n, k) if
// transB is set; Gemm multiplies by the transpose then. lda, ldb and ldc are the
// distances between the first elements of adjacent rows. C must not overlap A or B.
// Gemm panics if a slice is too short.
//
// Each entry of C is a sum in float32, in ascending order of k, that starts with
// the old entry if accumulate is set and with 0 otherwise. It is therefore the same,
// bit for bit, if the product is computed in parts of the rows and columns.
//
// Gemm stops soon after ctx is done. It returns the error of ctx then, and C is incomplete.
func Gemm(ctx context.Context, transA, transB bool, m, n, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, accumulate bool) error {
	aRows, aCols, bRows, bCols := m, k, k, n
	if transA {
		aRows, aCols = k, m
	}
	if transB {
		bRows, bCols = n, k
	}
	checkMatrix("A", aRows, aCols, len(a), lda)
	checkMatrix("B", bRows, bCols, len(b), ldb)
	checkMatrix("C", m, n, len(c), ldc)
	if m == 0 || n == 0 {
		return nil
	}
	if k > 0 {
		done, err := tilingOf(active()).inPlace(ctx, transA, transB, m, n, k, a, lda, b, ldb, c, ldc, accumulate)
		if done || err != nil {
			return err
		}
	}
	f, err := filters(ctx, 1, m, k, a, lda, transA)
	if err != nil {
		return err
	}
	defer f.Release()
	stepTap, stepColumn := ldb, 1
	if transB {
		stepTap, stepColumn = 1, ldb
	}
	columns := columnPool.Get().(*Columns)
	defer columns.Release()
	columns.own.taps = multiples(columns.own.taps, 0, k, stepTap)
	for first := 0; first < n; first += maxColumns {
		last := min(first+maxColumns, n)
		columns.own.offsets = multiples(columns.own.offsets, first, last, stepColumn)
		columns.own.places = multiples(columns.own.places, first, last, 1)
		columns.prepare(columns.own.taps, columns.own.offsets, columns.own.places)
		if err := f.multiply(ctx, 0, columns, b, nil, c, ldc, accumulate); err != nil {
			return err
		}
	}
	return nil
}

func checkMatrix(name string, rows, columns, length, stride int) {
	if rows < 0 || columns < 0 {
		panic(fmt.Sprintf("kernel: matrix %s has the negative size (%d, %d)", name, rows, columns))
	}
	if rows > 0 && columns > 0 && (stride < columns || (length-columns)/stride < rows-1 || length < columns) {
		panic(fmt.Sprintf("kernel: matrix %s (%d, %d) with stride %d does not fit into %d numbers", name, rows, columns, stride, length))
	}
}

// multiples returns first*step to (last-1)*step, in the memory of into if it is
// large enough.
func multiples(into []int, first, last, step int) []int {
	into = into[:0]
	for i := first; i < last; i++ {
		into = append(into, i*step)
	}
	return into
}

// Filters holds matrices A of the same shape (m, k) in the memory layout of a tier.
type Filters struct {
	t       *tiling
	m, k    int
	panels  int // number of panels of rows per matrix
	packed  []float32
	taps    []int
	rows    []int
	packing packing
}

var filterPool = sync.Pool{New: func() any { return new(Filters) }}

// NewTransposed returns Filters of the transpose of a matrix A (k, m): a matrix (m, k). It behaves
// like NewFilters otherwise.
func NewTransposed(ctx context.Context, m, k int, a []float32) (*Filters, error) {
	checkMatrix("A", k, m, len(a), m)
	return filters(ctx, 1, m, k, a, m, true)
}

// NewFilters returns Filters of count matrices A (m, k), which are consecutive in
// a. They use the tier that is active at the time of the call. NewFilters panics if a
// is too short. It returns the error of ctx soon after ctx is done.
func NewFilters(ctx context.Context, count, m, k int, a []float32) (*Filters, error) {
	checkMatrix("A", count*m, k, len(a), k)
	return filters(ctx, count, m, k, a, k, false)
}

// FiltersBytes returns roughly the memory of Filters of count matrices A (m, k).
func FiltersBytes(count, m, k int) int64 {
	t := tilingOf(active())
	return 4*int64(count)*int64((m+t.rows-1)/t.rows)*int64(k)*int64(t.left) + 8*int64(m+k)
}

// Active reports whether the filters have the layout of the active tier.
func (f *Filters) Active() bool { return f.t == tilingOf(active()) }

// Release allows later Filters to use the memory of f. f must not be used after it.
func (f *Filters) Release() { filterPool.Put(f) }

func filters(ctx context.Context, count, m, k int, a []float32, lda int, transposed bool) (*Filters, error) {
	f := filterPool.Get().(*Filters)
	t := tilingOf(active())
	f.t, f.m, f.k, f.panels = t, m, k, (m+t.rows-1)/t.rows
	stepRow, stepTap := lda, 1
	if transposed {
		stepRow, stepTap = 1, lda
	}
	f.rows, f.taps = multiples(f.rows, 0, m, stepRow), multiples(f.taps, 0, k, stepTap)
	f.packed = withRoom(f.packed, count*f.size())
	f.packing.along = follow(f.taps)
	for p := range f.panels {
		first, last := part(m, f.panels, p)
		t.plan(&f.packing, f.rows[first:last])
		for g := range count {
			for b := range depths(k) {
				lo, hi := part(k, depths(k), b)
				t.packRows(f.panel(g, p, lo, hi), a[g*m*lda:], f.taps[lo:hi], &f.packing, 0, last-first)
				if err := ctx.Err(); err != nil {
					f.Release()
					return nil, err
				}
			}
		}
	}
	return f, nil
}

// size returns the length of one matrix in f.packed.
func (f *Filters) size() int { return f.panels * f.k * f.t.left }

// panel returns taps lo to hi-1, one of the parts of k, of a panel of rows.
func (f *Filters) panel(group, panel, lo, hi int) []float32 {
	n := (hi - lo) * f.t.left
	return f.packed[group*f.size()+lo*f.panels*f.t.left+panel*n:][:n]
}

// Columns describes where Convolve reads the matrix B and writes the matrix C: entry
// (t, j) of B is x[taps[t]+offsets[j]], and entry (i, j) of C is
// out[i*stride+places[j]]. The product is a convolution if the taps are the
// positions in a window, and the offsets the positions of the window in an image.
// Columns is immutable and safe for concurrent use.
type Columns struct {
	t         *tiling
	taps      []int
	packing   packing
	runs      []run
	starts    []int // index of the first run of each panel, and the number of runs
	lastPlace int
	lastPixel int
	own       struct{ taps, offsets, places []int } // memory for Gemm
}

var columnPool = sync.Pool{New: func() any { return new(Columns) }}

// NewColumns returns Columns that use the tier that is active at the time of the
// call. It panics if the numbers of offsets and places differ, or if a number is
// negative. The slices must not change until Release.
func NewColumns(taps, offsets, places []int) *Columns {
	c := columnPool.Get().(*Columns)
	c.prepare(taps, offsets, places)
	return c
}

// Bytes returns the memory of the Columns, with that of the offsets and places.
func (c *Columns) Bytes() int64 {
	return c.packing.bytes() + int64(cap(c.runs))*int64(unsafe.Sizeof(run{})) + 8*int64(cap(c.starts)+2*len(c.packing.offsets))
}

// Release allows later Columns to use the memory of c. c must not be used after it.
func (c *Columns) Release() { columnPool.Put(c) }

func (c *Columns) prepare(taps, offsets, places []int) {
	if len(places) != len(offsets) {
		panic(fmt.Sprintf("kernel: %d places for %d offsets", len(places), len(offsets)))
	}
	c.t = tilingOf(active())
	c.taps = taps
	c.lastPlace = largest("place", places)
	c.lastPixel = largest("tap", taps) + largest("offset", offsets)
	c.packing.along = follow(taps)
	c.t.plan(&c.packing, offsets)
	c.runs, c.starts = split(c.runs[:0], c.starts[:0], places, c.t.columns)
}

// largest returns the largest number of v, or 0 if v is empty. It panics if a number
// is negative.
func largest(name string, v []int) int {
	top := 0
	for _, n := range v {
		if n < 0 {
			panic(fmt.Sprintf("kernel: %s %d is negative", name, n))
		}
		top = max(top, n)
	}
	return top
}

// Convolve computes C = A*B + bias for matrix number group of f. The bias holds a
// number per row of A; nil stands for 0. Convolve panics if a slice is too short.
//
// Each entry of C is a sum in float32 that starts with the bias and adds the
// products in ascending order of the taps. As with Gemm, it does not depend on
// which other entries are computed. Convolve is safe for concurrent use. Soon after ctx
// is done, it returns the error of ctx, and C is incomplete.
func (f *Filters) Convolve(ctx context.Context, group int, c *Columns, x, bias, out []float32, stride int) error {
	if bias != nil {
		bias = bias[:f.m]
	}
	return f.multiply(ctx, group, c, x, bias, out, stride, false)
}

// The matrices are multiplied in parts of B that fit into the second-level cache.
const (
	maxDepth   = 512 // rows of B in a part
	maxColumns = 128 // columns of B in a part
)

// depths returns the number of parts into which k rows of B are divided.
func depths(k int) int { return (k + maxDepth - 1) / maxDepth }

// part returns the bounds of part i if n items are divided into nearly equal parts.
func part(n, parts, i int) (lo, hi int) { return n * i / parts, n * (i + 1) / parts }

// withRoom returns a slice of length n, in the memory of v if it is large enough. Its
// content is undefined.
func withRoom(v []float32, n int) []float32 {
	if cap(v) < n {
		return aligned(n)
	}
	return v[:n]
}
