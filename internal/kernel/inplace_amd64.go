//go:build !purego

package kernel

type (
	directFunc  func(k int, a *float32, row, tap int, b *float32, ldb int, c *float32, ldc int, last int, more bool)
	rowSumsFunc func(k int, w *float32, stride int, x *float32, step int, c *float32)
)

// directTable holds the assembly functions of a directTiling.
type directTable struct {
	rows, vectors, lanes int
	run                  [][]directFunc // by rows-1 and vectors-1
}

// tile is directTiling.tile.
func (t *directTable) tile(rows, columns, k int, a []float32, row, tap int, b []float32, ldb int, c []float32, ldc int, more bool) {
	_, _, _ = a[(rows-1)*row+(k-1)*tap], b[(k-1)*ldb+columns-1], c[(rows-1)*ldc+columns-1]
	before := (columns - 1) / t.lanes // whole vectors before the last one
	t.run[rows-1][before](k, &a[0], row, tap, &b[0], ldb, &c[0], ldc, columns-before*t.lanes, more)
}

// addRowSums is tiling.rowSums.
func addRowSums(k int, w []float32, stride int, x []float32, step int, c []float32) {
	if len(c) == 0 || k == 0 {
		return
	}
	_, _ = w[(len(c)-1)*stride+k-1], x[(k-1)*step]
	for len(c) >= 8 {
		groups := min(len(c)/8, maxRowGroups)
		rowSums[groups](k, &w[0], stride, &x[0], step, &c[0])
		if c = c[8*groups:]; len(c) == 0 {
			return
		}
		w = w[8*groups*stride:]
	}
	if len(c) == 0 {
		return
	}
	var starts [8]int
	var sums [8]float32
	for i := range starts {
		starts[i] = min(i, len(c)-1) * stride
	}
	copy(sums[:], c)
	rowSumsApartAVX2(k, &w[0], &starts, &x[0], step, &sums[0])
	copy(c, sums[:])
}
