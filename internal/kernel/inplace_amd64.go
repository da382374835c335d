//go:build !purego

package kernel

type directFunc func(k int, a *float32, row, tap int, b *float32, ldb int, c *float32, ldc int, last int, more bool)

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

// rowLanes is the number of rows of a group of rowSums.
const rowLanes = 8

// rowSumsApart adds k products to each sum. Row i of w begins at w[starts[i]].
func rowSumsApart(k int, w *float32, starts *[rowLanes]int, x *float32, step int, sums *[rowLanes]float32) {
	rowSumsApartAVX2(k, w, starts, x, step, &sums[0])
}
