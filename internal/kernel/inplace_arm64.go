//go:build !purego

package kernel

type directFunc func(k int, a *float32, row, tap int, b *float32, ldb int, c *float32, ldc, columns int, more bool)

// directFuncs holds the functions for tiles of 1 row, 2 and so on, and of less than one vector of
// columns, 1 to 4 of them, 5 to 8 and so on.
var directFuncs = [][5]directFunc{
	{direct1NarrowNEON, direct1x4NEON, direct1x8NEON, direct1x12NEON, direct1x16NEON},
	{direct2NarrowNEON, direct2x4NEON, direct2x8NEON, direct2x12NEON, direct2x16NEON},
	{direct3NarrowNEON, direct3x4NEON, direct3x8NEON, direct3x12NEON, direct3x16NEON},
	{direct4NarrowNEON, direct4x4NEON, direct4x8NEON, direct4x12NEON, direct4x16NEON},
	{direct5NarrowNEON, direct5x4NEON, direct5x8NEON, direct5x12NEON, direct5x16NEON},
	{direct6NarrowNEON, direct6x4NEON, direct6x8NEON, direct6x12NEON, direct6x16NEON},
}

var directNEON = directTiling{
	rows: len(directFuncs), columns: columnsNEON,
	tile: func(rows, columns, k int, a []float32, row, tap int, b []float32, ldb int, c []float32, ldc int, more bool) {
		_, _, _ = a[(rows-1)*row+(k-1)*tap], b[(k-1)*ldb+columns-1], c[(rows-1)*ldc+columns-1]
		vectors := 0
		if columns >= lanesNEON {
			vectors = (columns + lanesNEON - 1) / lanesNEON
		}
		directFuncs[rows-1][vectors](k, &a[0], row, tap, &b[0], ldb, &c[0], ldc, columns, more)
	},
}

// The groups of rows of the assembly.
const (
	rowLanes     = 4 // rows of a group
	maxRowGroups = 4
)

// rowSums holds the functions for groups of rows, by the number of groups.
var rowSums = [maxRowGroups + 1]rowSumsFunc{nil, rowSums4NEON, rowSums8NEON, rowSums12NEON, rowSums16NEON}

// rowSumsApart adds k products to each sum. Row i of w begins at w[starts[i]].
func rowSumsApart(k int, w *float32, starts *[rowLanes]int, x *float32, step int, sums *[rowLanes]float32) {
	rowSumsApartNEON(k, w, starts, x, step, &sums[0])
}
