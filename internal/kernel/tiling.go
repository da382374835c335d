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
	// the bias of its row. a is (k, left), b is (k, columns of the largest tile).
	tile func(rows, columns, k int, a, b, c []float32, ldc int, bias []float32)

	// plan makes a packing of offsets, and pack writes x[taps[t]+offsets[j]] to
	// dst[t*stride+j-first] for j from first, a multiple of lanes, to last-1. It may
	// write anything up to the next multiple of lanes.
	plan func(p *packing, offsets []int)
	pack func(dst []float32, stride int, x []float32, taps []int, p *packing, first, last int)
}

var portableTiling = tiling{
	rows: 4, columns: 16, lanes: 2, left: 4, tile: tilePortable,
	plan: func(p *packing, offsets []int) { p.offsets = offsets },
	pack: packPortable,
}

func packPortable(dst []float32, stride int, x []float32, taps []int, p *packing, first, last int) {
	offsets := p.offsets[first:last]
	for t, tap := range taps {
		row := dst[t*stride:][:len(offsets)]
		for j, o := range offsets {
			row[j] = x[tap+o]
		}
	}
}

// tilePortable works on 4 rows and 2 columns at a time: as many sums as the
// compiler keeps in registers. What it computes for rows too many is not stored.
func tilePortable(rows, columns, k int, a, b, c []float32, ldc int, bias []float32) {
	a = a[:4*k]
	for j := 0; j < columns; j += 2 {
		var s [4][2]float32
		for i := range rows {
			if bias != nil {
				s[i] = [2]float32{bias[i], bias[i]}
			} else {
				s[i] = [2]float32(c[i*ldc+j:])
			}
		}
		s00, s01, s10, s11 := s[0][0], s[0][1], s[1][0], s[1][1]
		s20, s21, s30, s31 := s[2][0], s[2][1], s[3][0], s[3][1]
		at := j
		for t := 0; t+4 <= len(a); t += 4 {
			left, right := (*[4]float32)(a[t:]), (*[2]float32)(b[at:])
			b0, b1 := right[0], right[1]
			s00 += left[0] * b0
			s01 += left[0] * b1
			s10 += left[1] * b0
			s11 += left[1] * b1
			s20 += left[2] * b0
			s21 += left[2] * b1
			s30 += left[3] * b0
			s31 += left[3] * b1
			at += 16
		}
		s = [4][2]float32{{s00, s01}, {s10, s11}, {s20, s21}, {s30, s31}}
		for i := range rows {
			copy(c[i*ldc+j:][:2], s[i][:])
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
	s.tile, s.zeros = grow(s.tile, t.rows*t.columns), grow(s.zeros, t.rows)
	parts := max(1, depths(f.k))
	for from := 0; from < n; from += maxColumns {
		to := min(from+maxColumns, n)
		for d := range parts {
			lo, hi := part(f.k, parts, d)
			depth := hi - lo
			s.right = grow(s.right, roundUp(to-from, t.columns)*depth)
			for j := from; j < to; j += t.columns {
				t.pack(s.right[(j-from)*depth:], t.columns, x, c.taps[lo:hi], &c.packing, j, min(j+t.columns, to))
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
