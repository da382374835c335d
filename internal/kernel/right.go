package kernel

import (
	"context"
	"fmt"
)

// Right holds a matrix B in the memory layout of a tier, for products with many matrices A. It is
// safe for concurrent use except by Pack. The zero Right is for Pack.
type Right struct {
	t      *tiling
	k, n   int
	packed []float32
}

// PanelColumns divides the columns of a Right for Multiply: the columns of a part begin at a
// multiple of it.
const PanelColumns = 32

// NewRight returns a Right of a row-major matrix B (k, n), or (n, k) if transposed is set; Multiply
// multiplies by the transpose then. ldb is the distance between the first elements of adjacent rows.
// It uses the tier that is active at the time of the call. NewRight panics if b is too short. It
// returns the error of ctx soon after ctx is done.
func NewRight(ctx context.Context, transposed bool, k, n int, b []float32, ldb int) (*Right, error) {
	r := new(Right)
	if err := r.Pack(ctx, transposed, k, n, b, ldb); err != nil {
		return nil, err
	}
	return r, nil
}

// Pack makes r a Right of another matrix, as NewRight does. It uses the memory of the matrix before, if
// that is large enough. If Pack fails, r must be packed again before it is used.
func (r *Right) Pack(ctx context.Context, transposed bool, k, n int, b []float32, ldb int) error {
	rows, columns, stepTap, stepColumn := k, n, ldb, 1
	if transposed {
		rows, columns, stepTap, stepColumn = n, k, 1, ldb
	}
	checkMatrix("B", rows, columns, len(b), ldb)
	t := tilingOf(active())
	r.t, r.k, r.n, r.packed = t, k, n, withRoom(r.packed, roundUp(n, t.columns)*k)
	if k == 0 || n == 0 {
		return nil
	}
	s := columnPool.Get().(*Columns)
	defer s.Release()
	s.own.taps, s.own.offsets = multiples(s.own.taps, 0, k, stepTap), multiples(s.own.offsets, 0, n, stepColumn)
	s.packing.along = follow(s.own.taps)
	t.plan(&s.packing, s.own.offsets)
	for d := range depths(k) {
		lo, hi := part(k, depths(k), d)
		for j := 0; j < n; j += t.columns {
			if err := ctx.Err(); err != nil {
				return err
			}
			t.packColumns(r.panel(j, lo, hi), b, s.own.taps[lo:hi], &s.packing, j, min(j+t.columns, n))
		}
	}
	return nil
}

// RightBytes returns the memory of a Right of a matrix (k, n).
func RightBytes(k, n int) int64 {
	return 4 * int64(roundUp(n, tilingOf(active()).columns)) * int64(k)
}

// Rows returns k, the number of rows of B.
func (r *Right) Rows() int { return r.k }

// Columns returns n, the number of columns of B.
func (r *Right) Columns() int { return r.n }

// panel returns taps lo to hi-1, one of the parts of k, of the panel of columns that begins at j.
func (r *Right) panel(j, lo, hi int) []float32 {
	return r.packed[lo*roundUp(r.n, r.t.columns)+j*(hi-lo):][:r.t.columns*(hi-lo)]
}

// Multiply computes columns from to to-1 of C += A*B if accumulate is set, and otherwise of C = A*B.
// A is a row-major matrix (m, k), or (k, m) if transA is set, and C is (m, n). from is a multiple of
// PanelColumns. The entries of C are those of Gemm, bit for bit. Multiply panics if a slice is too short.
// Soon after ctx is done, it returns the error of ctx, and C is incomplete.
func (r *Right) Multiply(ctx context.Context, transA bool, m int, a []float32, lda, from, to int, c []float32, ldc int, accumulate bool) error {
	rows, columns := m, r.k
	if transA {
		rows, columns = r.k, m
	}
	checkMatrix("A", rows, columns, len(a), lda)
	checkMatrix("C", m, r.n, len(c), ldc)
	if from%PanelColumns != 0 || from < 0 || to > r.n {
		panic(fmt.Sprintf("kernel: columns %d to %d of a matrix with %d columns", from, to, r.n))
	}
	if m == 0 || from >= to {
		return nil
	}
	if !accumulate {
		for i := range m {
			clear(c[i*ldc+from : i*ldc+to])
		}
	}
	if r.k == 0 {
		return nil
	}
	if !transA && r.t.row != nil && m < fewRows {
		return r.multiplyRows(ctx, m, a, lda, from, to, c, ldc)
	}
	f, err := filters(ctx, 1, m, r.k, a, lda, transA)
	if err != nil {
		return err
	}
	defer f.Release()
	return r.multiplyTiles(ctx, f, from, to, c, ldc)
}

// fewRows is the number of rows from which tiles are faster than one row after the other, which reads
// B again for each row.
const fewRows = 3

// multiplyRows adds the products of rows of A to C.
func (r *Right) multiplyRows(ctx context.Context, m int, a []float32, lda, from, to int, c []float32, ldc int) error {
	width := r.t.columns
	whole := from + (to-from)/width*width
	var last [PanelColumns]float32 // the columns after the last whole panel
	for d := range depths(r.k) {
		lo, hi := part(r.k, depths(r.k), d)
		depth := hi - lo
		for first := from; first < to; first += maxColumns {
			if err := ctx.Err(); err != nil {
				return err
			}
			b := r.packed[lo*roundUp(r.n, width)+first*depth:]
			for i := range m {
				x := a[i*lda+lo:][:depth]
				row := c[i*ldc:]
				if end := min(first+maxColumns, whole); first < end {
					r.t.row(depth, x, b, width, width*depth, row[first:end])
				}
				if whole < to && whole < first+maxColumns {
					copy(last[:], row[whole:to])
					r.t.row(depth, x, r.panel(whole, lo, hi), width, width*depth, last[:width])
					copy(row[whole:to], last[:])
				}
			}
		}
	}
	return nil
}

// multiplyTiles adds the products of a matrix A to C.
func (r *Right) multiplyTiles(ctx context.Context, f *Filters, from, to int, c []float32, ldc int) error {
	t := r.t
	if f.t != t {
		panic("kernel: matrices that were made for different tiers")
	}
	s := scratches.Get().(*gemmScratch)
	defer scratches.Put(s)
	s.tile = withRoom(s.tile, t.rows*t.columns)
	var whole [1]run
	for first := from; first < to; first += maxColumns {
		last := min(first+maxColumns, to)
		for d := range depths(r.k) {
			lo, hi := part(r.k, depths(r.k), d)
			for i := range f.panels {
				if err := ctx.Err(); err != nil {
					return err
				}
				top, bottom := part(f.m, f.panels, i)
				a, rows := f.panel(0, i, lo, hi), c[top*ldc:]
				for j := first; j < last; j += t.columns {
					width := min(t.columns, last-j)
					whole[0] = run{0, j, width}
					s.entries(t, bottom-top, width, hi-lo, a, r.panel(j, lo, hi), rows, ldc, whole[:], nil)
				}
			}
		}
	}
	return nil
}
