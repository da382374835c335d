//go:build !purego

package kernel

type tileFunc func(k int, a, b, c *float32, ldc int, bias *float32)

// tileTable holds the assembly for the tiles of a tier, by rows and vectors.
type tileTable struct {
	rows, lanes, vectors, left int
	run                        [][]tileFunc
}

var (
	avx2Tiling   = gemmAVX2.tiling(packVectorAVX2)
	avx512Tiling = gemmAVX512.tiling(packVectorAVX512)
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

func (t *tileTable) tiling(pack func(dst []float32, stride int, x []float32, taps, offsets []int)) tiling {
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
		pack: func(dst []float32, stride int, x []float32, taps, offsets []int) {
			if len(taps) == 0 {
				return
			}
			for j := 0; j < len(offsets); j += lanes {
				v := offsets[j:min(j+lanes, len(offsets))]
				to := dst[j:]
				_ = to[(len(taps)-1)*stride+lanes-1]
				// Columns that are far from each other and lie along the taps take
				// a load each otherwise.
				if v[len(v)-1]-v[0] > 4*lanes && len(taps) >= 8 && consecutive(taps) {
					transpose(to, stride, x[taps[0]:], v, len(taps))
				} else {
					pack(to, stride, x, taps, v)
				}
			}
		},
	}
}

func consecutive(taps []int) bool {
	for i, t := range taps {
		if t != taps[0]+i {
			return false
		}
	}
	return true
}

// transpose packs columns that lie along the taps. Those behind the last are the
// last.
func transpose(dst []float32, stride int, x []float32, offsets []int, n int) {
	for j := 0; j < len(offsets); j += 8 {
		v := offsets[j:min(j+8, len(offsets))]
		var columns [8]int
		for l := range columns {
			columns[l] = v[min(l, len(v)-1)]
		}
		transposeAVX2(&dst[j], stride, &x[0], &columns, n&^7)
		for t := n &^ 7; t < n; t++ {
			for l, o := range v {
				dst[t*stride+j+l] = x[o+t]
			}
		}
	}
}

// packVectorAVX512 packs one vector of columns: those that one load gets first,
// then those that another gets, and so on.
func packVectorAVX512(dst []float32, stride int, x []float32, taps, offsets []int) {
	for done := uint16(0); done != 1<<len(offsets)-1; {
		var index [16]uint32
		var load, lanes uint16
		base := 0
		for l, o := range offsets {
			if done>>l&1 != 0 {
				continue
			}
			if lanes == 0 {
				base = o
			}
			if d := uint(o - base); d < 16 {
				index[l] = uint32(d)
				lanes |= 1 << l
				load |= 1 << d
			}
		}
		done |= lanes
		packAVX512(&dst[0], stride, &x[base], &taps[0], len(taps), &index, load, lanes)
	}
}

// packVectorAVX2 does so with vectors of 8.
func packVectorAVX2(dst []float32, stride int, x []float32, taps, offsets []int) {
	for done := uint8(0); done != 1<<len(offsets)-1; {
		var index, load, lanes [8]uint32
		base, started := 0, false
		for l, o := range offsets {
			if done>>l&1 != 0 {
				continue
			}
			if !started {
				base, started = o, true
			}
			if d := uint(o - base); d < 8 {
				index[l] = uint32(d)
				lanes[l], load[d] = 1<<32-1, 1<<32-1
				done |= 1 << l
			}
		}
		packAVX2(&dst[0], stride, &x[base], &taps[0], len(taps), &index, &load, &lanes)
	}
}
