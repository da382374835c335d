package kernel

import (
	"fmt"
	"sync"
)

// Gemm computes C = A*B, or C += A*B when accumulate, for row-major matrices: A
// is (m, k), or (k, m) when transA; B is (k, n), or (n, k) when transB; C is
// (m, n). lda, ldb and ldc are the distances from row to row. It panics when a
// slice is too short.
//
// An entry of C is summed up in the order of k, in float32, starting from what C
// has when accumulate and from 0 otherwise: it is the same, bit for bit, in any
// part of the rows and columns that is computed at once. C must not overlap A or
// B.
func Gemm(transA, transB bool, m, n, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, accumulate bool) {
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
		return
	}
	f := filters(1, m, k, a, lda, transA)
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
		f.multiply(0, columns, b, nil, c, ldc, accumulate)
	}
}

func checkMatrix(name string, rows, columns, length, stride int) {
	if rows < 0 || columns < 0 {
		panic(fmt.Sprintf("kernel: %s is (%d, %d)", name, rows, columns))
	}
	if rows > 0 && columns > 0 && (stride < columns || (length-columns)/stride < rows-1 || length < columns) {
		panic(fmt.Sprintf("kernel: %s is (%d, %d) with %d numbers from row to row, but has %d", name, rows, columns, stride, length))
	}
}

// multiples returns the multiples of step from first to last-1, in the slice if
// it has room.
func multiples(into []int, first, last, step int) []int {
	into = into[:0]
	for i := first; i < last; i++ {
		into = append(into, i*step)
	}
	return into
}

// Filters holds matrices A of one shape (m, k), rearranged for the active tier.
type Filters struct {
	t       *tiling
	m, k    int
	panels  int // of rows, of one matrix
	packed  []float32
	taps    []int
	rows    []int
	packing packing
}

var filterPool = sync.Pool{New: func() any { return new(Filters) }}

// NewFilters makes count matrices A (m, k), which lie behind each other, ready
// for Convolve on the active tier. Release gives back the memory.
func NewFilters(count, m, k int, a []float32) *Filters {
	checkMatrix("A", count*m, k, len(a), k)
	return filters(count, m, k, a, k, false)
}

// Release makes the memory free for other filters. f is not usable any more.
func (f *Filters) Release() { filterPool.Put(f) }

func filters(count, m, k int, a []float32, lda int, transposed bool) *Filters {
	f := filterPool.Get().(*Filters)
	t := tilingOf(active())
	f.t, f.m, f.k, f.panels = t, m, k, (m+t.rows-1)/t.rows
	stepRow, stepTap := lda, 1
	if transposed {
		stepRow, stepTap = 1, lda
	}
	f.rows, f.taps = multiples(f.rows, 0, m, stepRow), multiples(f.taps, 0, k, stepTap)
	f.packed = withRoom(f.packed, count*f.size())
	for p := range f.panels {
		first, last := part(m, f.panels, p)
		t.plan(&f.packing, f.rows[first:last])
		for g := range count {
			for b := range depths(k) {
				lo, hi := part(k, depths(k), b)
				t.packRows(f.panel(g, p, lo, hi), a[g*m*lda:], f.taps[lo:hi], &f.packing, 0, last-first)
			}
		}
	}
	return f
}

// size returns the room that one matrix takes.
func (f *Filters) size() int { return f.panels * f.k * f.t.left }

// panel returns the columns lo to hi, one of the parts of k, of a panel of rows.
func (f *Filters) panel(group, panel, lo, hi int) []float32 {
	n := (hi - lo) * f.t.left
	return f.packed[group*f.size()+lo*f.panels*f.t.left+panel*n:][:n]
}

// Columns describes matrices B that filters A are multiplied by, and where C
// goes: entry (t, j) of B is x[taps[t]+offsets[j]], and entry (i, j) of C is
// out[i*stride+places[j]]. That is a convolution when a tap is a place in the
// window and an offset a place of the window. It is immutable and safe for
// concurrent use.
type Columns struct {
	t         *tiling
	taps      []int
	packing   packing
	runs      []run
	starts    []int // of each panel in runs
	lastPlace int
	lastPixel int
	own       struct{ taps, offsets, places []int } // memory of Gemm
}

var columnPool = sync.Pool{New: func() any { return new(Columns) }}

// NewColumns makes columns ready for Convolve on the active tier. It panics when
// there are not as many places as offsets or a number is negative. The slices
// must not change until Release.
func NewColumns(taps, offsets, places []int) *Columns {
	c := columnPool.Get().(*Columns)
	c.prepare(taps, offsets, places)
	return c
}

// Release makes the memory free for other columns. c is not usable any more.
func (c *Columns) Release() { columnPool.Put(c) }

func (c *Columns) prepare(taps, offsets, places []int) {
	if len(places) != len(offsets) {
		panic(fmt.Sprintf("kernel: %d places for %d columns", len(places), len(offsets)))
	}
	c.t = tilingOf(active())
	c.taps = taps
	c.lastPlace = largest("place", places)
	c.lastPixel = largest("tap", taps) + largest("offset", offsets)
	c.t.plan(&c.packing, offsets)
	c.runs, c.starts = split(c.runs[:0], c.starts[:0], places, c.t.columns)
}

// largest returns the largest number.
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

// Convolve computes C = A*B + bias for matrix A of the given number: bias has a
// number for each row, or is nil. It panics when a slice is too short. As with
// Gemm, an entry does not depend on the others that are computed with it: it is
// bias + sum over t, in order. It is safe for concurrent use.
func (f *Filters) Convolve(group int, c *Columns, x, bias, out []float32, stride int) {
	if bias != nil {
		bias = bias[:f.m]
	}
	f.multiply(group, c, x, bias, out, stride, false)
}

// The matrices are multiplied part by part: so many entries along k and so many
// columns of B, which stay in the second-level cache.
const (
	maxDepth   = 512
	maxColumns = 128
)

// depths returns the number of parts of k.
func depths(k int) int { return (k + maxDepth - 1) / maxDepth }

// part returns the bounds of part i of n things in a number of nearly equal
// parts.
func part(n, parts, i int) (lo, hi int) { return n * i / parts, n * (i + 1) / parts }

func withRoom(v []float32, n int) []float32 {
	if cap(v) < n {
		return aligned(n)
	}
	return v[:n]
}
