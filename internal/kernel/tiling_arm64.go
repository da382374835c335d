//go:build !purego

package kernel

type tileFunc func(k int, a, b, c *float32, ldc int, bias *float32)

// gemmNEON holds the functions for tiles of 1 row, 2 and so on, and of 1 to 4 vectors of 4 columns.
var gemmNEON = [][4]tileFunc{
	{gemm1x4NEON, gemm1x8NEON, gemm1x12NEON, gemm1x16NEON},
	{gemm2x4NEON, gemm2x8NEON, gemm2x12NEON, gemm2x16NEON},
	{gemm3x4NEON, gemm3x8NEON, gemm3x12NEON, gemm3x16NEON},
	{gemm4x4NEON, gemm4x8NEON, gemm4x12NEON, gemm4x16NEON},
	{gemm5x4NEON, gemm5x8NEON, gemm5x12NEON, gemm5x16NEON},
	{gemm6x4NEON, gemm6x8NEON, gemm6x12NEON, gemm6x16NEON},
}

// The layout of panels in the assembly.
const (
	columnsNEON = 16
	leftNEON    = 8
	lanesNEON   = 4 // of a vector
)

var neonTiling = tiling{
	rows: len(gemmNEON), columns: columnsNEON, lanes: lanesNEON, left: leftNEON,
	tile: func(rows, width, k int, a, b, c []float32, ldc int, bias []float32) {
		_, _, _ = a[k*leftNEON-1], b[k*columnsNEON-1], c[(rows-1)*ldc+width-1]
		var first *float32
		if bias != nil {
			first = &bias[:rows][0]
		}
		gemmNEON[rows-1][width/lanesNEON-1](k, &a[0], &b[0], &c[0], ldc, first)
	},
	plan:        func(p *packing, offsets []int) { p.offsets = offsets },
	packRows:    packerNEON(leftNEON),
	packColumns: packerNEON(columnsNEON),
	row:         rowProductsNEON,
	direct:      &directNEON,
	rowSums:     addRowSums,
}

func tilingOf(t Tier) *tiling {
	if t == Portable {
		return &portableTiling
	}
	return &neonTiling
}

// rowProductsNEON is tiling.row.
func rowProductsNEON(k int, a, b []float32, step, panel int, c []float32) {
	functions := [...]func(k int, a, b *float32, step, panel int, c *float32){row1xNEON, row2xNEON, row3xNEON, row4xNEON}
	for len(c) > 0 && k > 0 {
		n := min(len(c)/columnsNEON, len(functions))
		_, _ = a[k-1], b[(k-1)*step+(n-1)*panel+columnsNEON-1]
		functions[n-1](k, &a[0], &b[0], step, panel, &c[:n*columnsNEON][0])
		c = c[n*columnsNEON:]
		if len(c) > 0 {
			b = b[n*panel:]
		}
	}
}

// packerNEON returns a packer with distance stride from tap to tap.
func packerNEON(stride int) packer {
	return func(dst, x []float32, taps []int, p *packing, first, last int) {
		if len(taps) == 0 {
			return
		}
		for j := first; j < last; {
			to, v := dst[j-first:], p.offsets[j:last]
			_ = to[(len(taps)-1)*stride+lanesNEON-1]
			switch {
			case len(v) >= columnsNEON && consecutive(v[:columnsNEON]):
				_ = to[(len(taps)-1)*stride+columnsNEON-1]
				pack16NEON(&to[0], stride, &x[v[0]:][0], &taps[0], len(taps))
				j += columnsNEON
				continue
			case len(v) >= lanesNEON && consecutive(v[:lanesNEON]):
				pack4NEON(&to[0], stride, &x[v[0]:][0], &taps[0], len(taps))
			default:
				packScatteredColumns(to, stride, x, taps, v[:min(len(v), lanesNEON)], p.along)
			}
			j += lanesNEON
		}
	}
}

// packScatteredColumns packs one vector. To fill it, the last column is repeated.
func packScatteredColumns(dst []float32, stride int, x []float32, taps, offsets []int, along bool) {
	var columns [lanesNEON]int
	for l := range columns {
		columns[l] = offsets[min(l, len(offsets)-1)]
	}
	if !along {
		packScatteredNEON(&dst[0], stride, &x[0], &taps[0], len(taps), &columns)
		return
	}
	n := len(taps) &^ 3
	x = x[taps[0]:]
	packAlongNEON(&dst[0], stride, &x[0], &columns, n)
	for t := n; t < len(taps); t++ {
		for l, o := range columns {
			dst[t*stride+l] = x[o+t]
		}
	}
}
