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
	s := scratches.Get().(*gemmScratch)
	defer scratches.Put(s)
	stepTap, stepColumn := ldb, 1
	if transB {
		stepTap, stepColumn = 1, ldb
	}
	s.taps = multiples(s.taps, 0, k, stepTap)
	for first := 0; first < n; first += maxColumns {
		last := min(first+maxColumns, n)
		s.columns = multiples(s.columns, first, last, stepColumn)
		s.places = multiples(s.places, first, last, 1)
		f.multiply(s, 0, Product{X: b, Taps: s.taps, Columns: s.columns, Out: c, Stride: ldc, Places: s.places}, accumulate)
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
	offsets []int
	taps    []int
}

var filterPool = sync.Pool{New: func() any { return new(Filters) }}

// NewFilters makes count matrices A (m, k), which lie behind each other, ready
// for Convolve. Release gives back the memory.
func NewFilters(count, m, k int, a []float32) *Filters {
	checkMatrix("A", count*m, k, len(a), k)
	return filters(count, m, k, a, k, false)
}

// Release makes the memory free for other filters. f is not usable any more.
func (f *Filters) Release() { filterPool.Put(f) }

func filters(count, m, k int, a []float32, lda int, transposed bool) *Filters {
	f := filterPool.Get().(*Filters)
	t := tilingOf(active)
	f.t, f.m, f.k, f.panels = t, m, k, (m+t.rows-1)/t.rows
	stepRow, stepTap := lda, 1
	if transposed {
		stepRow, stepTap = 1, lda
	}
	f.offsets, f.taps = multiples(f.offsets, 0, m, stepRow), multiples(f.taps, 0, k, stepTap)
	f.packed = grow(f.packed, count*f.size())
	for g := range count {
		for b := range depths(k) {
			lo, hi := part(k, depths(k), b)
			for p := range f.panels {
				first, last := part(m, f.panels, p)
				t.pack(f.panel(g, p, lo, hi), t.left, a[g*m*lda:], f.taps[lo:hi], f.offsets[first:last])
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

// Product describes the matrices that filters A are multiplied by: entry (t, j)
// of B is X[Taps[t]+Columns[j]], neither of them negative, and entry (i, j) of C is
// Out[i*Stride+Places[j]]. That is a convolution when a tap is a place in the
// window and a column a place of the window.
type Product struct {
	X             []float32
	Taps, Columns []int
	Bias          []float32 // one for each row, nil for zeros
	Out           []float32
	Stride        int
	Places        []int
}

// Convolve computes C = A*B + bias for matrix A of the given number. It panics
// when a slice is too short. As with Gemm, an entry does not depend on the others
// that are computed with it: it is bias + sum over t, in order. It is safe for
// concurrent use.
func (f *Filters) Convolve(group int, p Product) {
	s := scratches.Get().(*gemmScratch)
	defer scratches.Put(s)
	bias := p.Bias
	n := len(p.Columns)
	if bias != nil {
		p.Bias = bias[:f.m]
	}
	columns, places := p.Columns, p.Places[:n]
	for first := 0; first < n; first += maxColumns {
		last := min(first+maxColumns, n)
		p.Columns, p.Places = columns[first:last], places[first:last]
		f.multiply(s, group, p, false)
	}
}

// The matrices are multiplied part by part: so many entries along k and so many
// columns of B, which stay in the second-level cache.
const (
	maxDepth   = 384
	maxColumns = 256
)

// depths returns the number of parts of k.
func depths(k int) int { return (k + maxDepth - 1) / maxDepth }

// part returns the bounds of part i of n things in a number of nearly equal
// parts.
func part(n, parts, i int) (lo, hi int) { return n * i / parts, n * (i + 1) / parts }

func grow(v []float32, n int) []float32 {
	if cap(v) < n {
		return aligned(n)
	}
	return v[:n]
}
