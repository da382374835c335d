//go:build !purego

package kernel

type tileFunc func(k int, a, b, c *float32, ldc int, bias *float32)

type rowFunc func(k int, a, b *float32, step, panel int, c *float32)

// tileTable holds the assembly functions for the tiles of a tier.
type tileTable struct {
	rows, lanes, vectors, left int
	run                        [][]tileFunc            // by rows and vectors
	pack                       [maxGroups + 1]packFunc // by the number of first groups; 0: one more group
	row                        [maxPanels + 1]rowFunc  // by the number of panels
}

var (
	avx2Tiling   = gemmAVX2.tiling()
	avx512Tiling = gemmAVX512.tiling()
)

func tilingOf(t Tier) *tiling {
	switch t {
	case AVX512:
		return &avx512Tiling
	case AVX2:
		return &avx2Tiling
	}
	return &portableTiling
}

func (t *tileTable) tiling() tiling {
	lanes, columns := t.lanes, t.lanes*t.vectors
	return tiling{
		rows: t.rows, columns: columns, lanes: lanes, left: t.left,
		tile: func(rows, width, k int, a, b, c []float32, ldc int, bias []float32) {
			_, _, _ = a[k*t.left-1], b[k*columns-1], c[(rows-1)*ldc+width-1]
			var first *float32
			if bias != nil {
				first = &bias[:rows][0]
			}
			t.run[rows][width/lanes](k, &a[0], &b[0], &c[0], ldc, first)
		},
		plan:        func(p *packing, offsets []int) { p.plan(lanes, offsets) },
		packRows:    t.packer(t.left),
		packColumns: t.packer(columns),
		row:         t.rowOf,
	}
}

// rowOf is tiling.row.
func (t *tileTable) rowOf(k int, a, b []float32, step, panel int, c []float32) {
	columns := t.lanes * t.vectors
	for len(c) > 0 && k > 0 {
		n := min(len(c)/columns, maxPanels)
		_, _ = a[k-1], b[(k-1)*step+(n-1)*panel+columns-1]
		t.row[n](k, &a[0], &b[0], step, panel, &c[:n*columns][0])
		c = c[n*columns:]
		if len(c) > 0 {
			b = b[n*panel:]
		}
	}
}

// packer returns a packer with distance stride from tap to tap.
func (t *tileTable) packer(stride int) packer {
	lanes := t.lanes
	return func(dst, x []float32, taps []int, p *packing, first, last int) {
		if len(taps) == 0 {
			return
		}
		for j := first; j < last; j += lanes {
			v := p.offsets[j:min(j+lanes, last)]
			to := dst[j-first:]
			_ = to[(len(taps)-1)*stride+lanes-1]
			// With packVector, columns that are far from each other would take one
			// load per column and tap.
			if v[len(v)-1]-v[0] > 4*lanes && len(taps) >= 8 && consecutive(taps) {
				packAlong(to, stride, x[taps[0]:], v, len(taps))
			} else {
				t.packVector(to, stride, x, taps, p, p.starts[j/lanes], p.starts[j/lanes+1])
			}
		}
	}
}

// packAlong packs columns for n consecutive taps: each column is contiguous in x. To
// fill a vector, the last column is repeated.
func packAlong(dst []float32, stride int, x []float32, offsets []int, n int) {
	for j := 0; j < len(offsets); j += 8 {
		v := offsets[j:min(j+8, len(offsets))]
		var columns [8]int
		for l := range columns {
			columns[l] = v[min(l, len(v)-1)]
		}
		packAlongAVX2(&dst[j], stride, &x[0], &columns, n&^7)
		for t := n &^ 7; t < n; t++ {
			for l, o := range v {
				dst[t*stride+j+l] = x[o+t]
			}
		}
	}
}

type packFunc func(dst *float32, stride int, x *float32, taps *int, n int, groups *uint32, bases *int)

// packVector packs the groups first to last-1, which make up one vector.
func (t *tileTable) packVector(dst []float32, stride int, x []float32, taps []int, p *packing, first, last int) {
	n := min(last-first, maxGroups)
	for f := t.pack[n]; first < last; f = t.pack[0] {
		f(&dst[0], stride, &x[0], &taps[0], len(taps), &p.groups[first].index[0], &p.bases[first])
		first += n
		n = 1
	}
}
