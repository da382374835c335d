package kernel

import (
	"fmt"
	"slices"
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

	// pack writes x[taps[t]+offsets[j]] to dst[t*stride+j]. It may write anything
	// up to the next multiple of lanes.
	pack func(dst []float32, stride int, x []float32, taps, offsets []int)
}

var portableTiling = tiling{rows: 4, columns: 16, lanes: 2, left: 4, tile: tilePortable, pack: packPortable}

func packPortable(dst []float32, stride int, x []float32, taps, offsets []int) {
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

// run is consecutive columns of a panel whose entries of C are consecutive, too.
type run struct{ column, place, count int }

// gemmScratch is the memory of one product at a time.
type gemmScratch struct {
	taps, columns, places []int
	right                 []float32 // panels of columns
	runs                  []run
	starts                []int // of each panel in runs
	tile                  []float32
	zeros                 []float32
}

var scratches = sync.Pool{New: func() any { return new(gemmScratch) }}

// multiply computes the product for at most maxColumns columns.
func (f *Filters) multiply(s *gemmScratch, group int, p Product, accumulate bool) {
	t, n := f.t, len(p.Columns)
	f.check(p)
	s.split(p.Places, t.columns)
	s.tile, s.zeros = grow(s.tile, t.rows*t.columns), grow(s.zeros, t.rows)
	parts := max(1, depths(f.k))
	for d := range parts {
		lo, hi := part(f.k, parts, d)
		depth := hi - lo
		s.right = grow(s.right, roundUp(n, t.columns)*depth)
		for j := 0; j < n; j += t.columns {
			t.pack(s.right[j*depth:], t.columns, p.X, p.Taps[lo:hi], p.Columns[j:min(j+t.columns, n)])
		}
		for i := range f.panels {
			first, last := part(f.m, f.panels, i)
			rows := last - first
			bias := s.zeros
			switch {
			case d > 0 || accumulate:
				bias = nil
			case p.Bias != nil:
				bias = p.Bias[first:last]
			}
			a, out := f.panel(group, i, lo, hi), p.Out[first*p.Stride:]
			for j := 0; j < n; j += t.columns {
				panel := j / t.columns
				s.entries(t, rows, min(t.columns, n-j), depth, a, s.right[j*depth:], out, p.Stride, s.runs[s.starts[panel]:s.starts[panel+1]], bias)
			}
		}
	}
}

// check panics unless all that the product touches is there. Assembly relies on
// it.
func (f *Filters) check(p Product) {
	n := len(p.Columns)
	if len(p.Taps) != f.k || len(p.Places) != n {
		panic(fmt.Sprintf("kernel: %d taps for %d, %d places for %d columns", len(p.Taps), f.k, len(p.Places), n))
	}
	if n == 0 || f.m == 0 {
		return
	}
	if low := slices.Min(p.Places); low < 0 || slices.Max(p.Places)+(f.m-1)*p.Stride >= len(p.Out) {
		panic(fmt.Sprintf("kernel: places %d to %d and %d rows, %d apart, in an output of %d numbers", low, slices.Max(p.Places), f.m, p.Stride, len(p.Out)))
	}
	if f.k == 0 {
		return
	}
	if low, high := min(slices.Min(p.Taps), slices.Min(p.Columns)), slices.Max(p.Taps)+slices.Max(p.Columns); low < 0 || high >= len(p.X) {
		panic(fmt.Sprintf("kernel: columns or taps from %d, together to %d, of %d numbers", low, high, len(p.X)))
	}
}

// split finds the runs of each panel.
func (s *gemmScratch) split(places []int, width int) {
	s.runs, s.starts = s.runs[:0], s.starts[:0]
	for j, place := range places {
		if j%width == 0 {
			s.starts = append(s.starts, len(s.runs))
		} else if last := &s.runs[len(s.runs)-1]; place == last.place+last.count {
			last.count++
			continue
		}
		s.runs = append(s.runs, run{j % width, place, 1})
	}
	s.starts = append(s.starts, len(s.runs))
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
