package kernel

import (
	"fmt"
	"sync"
)

// tiling is how a tier multiplies matrices: C goes in tiles that stay in
// registers, of rows of A and columns of B that have been packed into panels.
type tiling struct {
	rows, columns int // of the largest tile
	lanes         int // the columns of a tile are a multiple of it
	left          int // numbers from one t to the next in a panel of rows

	// tile adds k products to each entry of a tile of C or, unless bias is nil, to
	// the bias of its row. a and b are what packRows and packColumns made of k taps.
	tile func(rows, columns, k int, a, b, c []float32, ldc int, bias []float32)

	// plan makes a packing of offsets. packRows and packColumns write
	// x[taps[t]+offsets[j]] for j from first, a multiple of lanes, to last-1: the one
	// to dst[t*left+j-first], the other wherever tile looks for it. They may write
	// anything up to the next multiple of lanes.
	plan                  func(p *packing, offsets []int)
	packRows, packColumns packer
}

type packer func(dst, x []float32, taps []int, p *packing, first, last int)

var portableTiling = tiling{
	rows: 4, columns: 16, lanes: 1, left: 4, tile: tilePortable,
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

// packColumnsPortable leaves each column in one piece.
func packColumnsPortable(dst, x []float32, taps []int, p *packing, first, last int) {
	for j, o := range p.offsets[first:last] {
		column := dst[j*len(taps):][:len(taps)]
		for t, tap := range taps {
			column[t] = x[tap+o]
		}
	}
}

// tilePortable computes four sums at a time: more than the compiler keeps in
// registers, with all that they need, run at half the speed. What it computes for
// rows too many is not stored.
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
			s0 += row[0] * v
			s1 += row[1] * v
			s2 += row[2] * v
			s3 += row[3] * v
		}
		s = [4]float32{s0, s1, s2, s3}
		for i := range rows {
			c[i*ldc+j] = s[i]
		}
	}
}

// gemmScratch is the memory of one product at a time.
type gemmScratch struct {
	right []float32 // panels of columns
	tile  []float32
	zeros []float32
}

var scratches = sync.Pool{New: func() any { return new(gemmScratch) }}

// multiply computes C += A*B when accumulate, and C = A*B + bias otherwise.
func (f *Filters) multiply(group int, c *Columns, x, bias, out []float32, stride int, accumulate bool) {
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
}

// check panics unless all that the product touches is there. Assembly relies on
// it.
func (f *Filters) check(c *Columns, x, out []float32, stride int) {
	if len(c.taps) != f.k || c.t != f.t {
		panic(fmt.Sprintf("kernel: %d taps for %d, or columns for another tier", len(c.taps), f.k))
	}
	if len(c.packing.offsets) == 0 || f.m == 0 {
		return
	}
	if c.lastPlace+(f.m-1)*stride >= len(out) || stride < 0 {
		panic(fmt.Sprintf("kernel: places to %d and %d rows, %d apart, in an output of %d numbers", c.lastPlace, f.m, stride, len(out)))
	}
	if f.k > 0 && c.lastPixel >= len(x) {
		panic(fmt.Sprintf("kernel: columns and taps to %d of %d numbers", c.lastPixel, len(x)))
	}
}

// entries computes one tile: in place where C is in one piece and of whole
// vectors, and aside otherwise.
func (s *gemmScratch) entries(t *tiling, rows, columns, k int, a, b, c []float32, ldc int, runs []run, bias []float32) {
	width := roundUp(columns, t.lanes)
	if len(runs) == 1 && columns == width && k > 0 {
		t.tile(rows, width, k, a, b, c[runs[0].place:], ldc, bias)
		return
	}
	for i := range rows {
		row := s.tile[i*t.columns:][:columns]
		if bias != nil && k > 0 {
			break // the tile starts with it
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
