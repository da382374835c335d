package kernel

import (
	"context"
	"fmt"
	"sync"

	"github.com/spike-by-spike/sbs/internal/portmath"
)

// tiling describes how a tier multiplies matrices. C is divided into tiles that fit
// into registers. The rows of A and the columns of B are copied into panels, in the
// order in which a tile reads them.
type tiling struct {
	rows, columns int // size of the largest tile
	lanes         int // the number of columns of a tile is a multiple of lanes
	left          int // distance from tap to tap in a panel of rows

	// tile sets each entry of a tile of C to the sum of k products and its old value
	// or, unless bias is nil, the bias of its row. a and b are panels that packRows
	// and packColumns have written for k taps.
	tile func(rows, columns, k int, a, b, c []float32, ldc int, bias []float32)

	// row adds k products to each entry of a row of C, which has a whole number of panels of columns.
	// The numbers of the row of A are adjacent. Entry (t, j) of panel i of B is b[i*panel+t*step+j]. It
	// is nil if the tier has no such function.
	row func(k int, a, b []float32, step, panel int, c []float32)

	// direct multiplies small matrices, and few rows of A, where they are. It is nil if the tier has no
	// such functions.
	direct *directTiling

	// rowSums adds k products to each entry of c: of the numbers of row i of w with those of x. Number t
	// of row i is w[i*stride+t], and that of x is x[t*step].
	rowSums func(k int, w []float32, stride int, x []float32, step int, c []float32)

	// plan prepares a packing of columns with the given offsets. packRows and
	// packColumns write x[taps[t]+offsets[j]] for first <= j < last, where first is a
	// multiple of lanes. packRows writes to dst[t*left+j-first]; packColumns writes in
	// the layout that the tile function reads. Entries up to the next multiple of lanes
	// have no defined value.
	plan                  func(p *packing, offsets []int)
	packRows, packColumns packer
}

type packer func(dst, x []float32, taps []int, p *packing, first, last int)

var portableTiling = tiling{
	rows: 4, columns: 16, lanes: 1, left: 4, tile: tilePortable, rowSums: rowSumsPortable,
	plan:     func(p *packing, offsets []int) { p.offsets = offsets },
	packRows: packRowsPortable, packColumns: packColumnsPortable,
}

func packRowsPortable(dst, x []float32, taps []int, p *packing, first, last int) {
	for j, o := range p.offsets[first:last] {
		for t, tap := range taps {
			dst[4*t+j] = x[tap+o]
		}
	}
}

// packColumnsPortable stores each column contiguously.
func packColumnsPortable(dst, x []float32, taps []int, p *packing, first, last int) {
	for j, o := range p.offsets[first:last] {
		column := dst[j*len(taps):][:len(taps)]
		for t, tap := range taps {
			column[t] = x[tap+o]
		}
	}
}

// tilePortable computes four sums at a time. With more sums the compiler does not
// keep all operands in registers, which halves the speed. Sums for rows that the
// tile does not have are not stored.
func tilePortable(rows, columns, k int, a, b, c []float32, ldc int, bias []float32) {
	a = a[:4*k]
	for j := range columns {
		var s [4]float32
		for i := range rows {
			if bias != nil {
				s[i] = bias[i]
			} else {
				s[i] = c[i*ldc+j]
			}
		}
		s0, s1, s2, s3 := s[0], s[1], s[2], s[3]
		for t, v := range b[j*k:][:k] {
			row := a[4*t : 4*t+4 : 4*t+4]
			s0 = portmath.FMA(row[0], v, s0)
			s1 = portmath.FMA(row[1], v, s1)
			s2 = portmath.FMA(row[2], v, s2)
			s3 = portmath.FMA(row[3], v, s3)
		}
		s = [4]float32{s0, s1, s2, s3}
		for i := range rows {
			c[i*ldc+j] = s[i]
		}
	}
}

// gemmScratch is temporary memory for one product at a time.
type gemmScratch struct {
	right []float32 // panels of columns of B
	tile  []float32
	zeros []float32
}

var scratches = sync.Pool{New: func() any { return new(gemmScratch) }}

// multiply computes C += A*B if accumulate is set, otherwise C = A*B + bias.
func (f *Filters) multiply(ctx context.Context, group int, c *Columns, x, bias, out []float32, stride int, accumulate bool) error {
	f.check(c, x, out, stride)
	t, n := f.t, len(c.packing.offsets)
	s := scratches.Get().(*gemmScratch)
	defer scratches.Put(s)
	s.tile, s.zeros = withRoom(s.tile, t.rows*t.columns), withRoom(s.zeros, t.rows)
	parts := max(1, depths(f.k))
	for from := 0; from < n; from += maxColumns {
		to := min(from+maxColumns, n)
		for d := range parts {
			lo, hi := part(f.k, parts, d)
			depth := hi - lo
			s.right = withRoom(s.right, roundUp(to-from, t.columns)*depth)
			for j := from; j < to; j += t.columns {
				t.packColumns(s.right[(j-from)*depth:], x, c.taps[lo:hi], &c.packing, j, min(j+t.columns, to))
			}
			for i := range f.panels {
				if err := ctx.Err(); err != nil {
					return err
				}
				first, last := part(f.m, f.panels, i)
				start := s.zeros
				switch {
				case d > 0 || accumulate:
					start = nil
				case bias != nil:
					start = bias[first:last]
				}
				a, rows := f.panel(group, i, lo, hi), out[first*stride:]
				for j := from; j < to; j += t.columns {
					runs := c.runs[c.starts[j/t.columns]:c.starts[j/t.columns+1]]
					s.entries(t, last-first, min(t.columns, to-j), depth, a, s.right[(j-from)*depth:], rows, stride, runs, start)
				}
			}
		}
	}
	return nil
}

// check panics if the product would access memory outside of x and out. The
// assembly does not check bounds.
func (f *Filters) check(c *Columns, x, out []float32, stride int) {
	if len(c.taps) != f.k || c.t != f.t {
		panic(fmt.Sprintf("kernel: columns of %d taps, filters of %d, or made for different tiers", len(c.taps), f.k))
	}
	if len(c.packing.offsets) == 0 || f.m == 0 {
		return
	}
	if c.lastPlace+(f.m-1)*stride >= len(out) || stride < 0 {
		panic(fmt.Sprintf("kernel: place %d of %d rows with stride %d is outside of an output of %d numbers", c.lastPlace, f.m, stride, len(out)))
	}
	if f.k > 0 && c.lastPixel >= len(x) {
		panic(fmt.Sprintf("kernel: tap and offset %d is outside of an input of %d numbers", c.lastPixel, len(x)))
	}
}

// entries computes one tile: directly in C if its columns are consecutive whole
// vectors, otherwise in temporary memory.
func (s *gemmScratch) entries(t *tiling, rows, columns, k int, a, b, c []float32, ldc int, runs []run, bias []float32) {
	width := roundUp(columns, t.lanes)
	if len(runs) == 1 && columns == width && k > 0 {
		t.tile(rows, width, k, a, b, c[runs[0].place:], ldc, bias)
		return
	}
	for i := range rows {
		row := s.tile[i*t.columns:][:columns]
		if bias != nil && k > 0 {
			break // t.tile adds the bias
		}
		for _, r := range runs {
			if bias == nil {
				copy(row[r.column:][:r.count], c[i*ldc+r.place:])
				continue
			}
			for j := range row[r.column:][:r.count] {
				row[r.column+j] = bias[i]
			}
		}
	}
	if k > 0 {
		t.tile(rows, width, k, a, b, s.tile, t.columns, bias)
	}
	for i := range rows {
		row := s.tile[i*t.columns:][:columns]
		for _, r := range runs {
			copy(c[i*ldc+r.place:][:r.count], row[r.column:])
		}
	}
}
