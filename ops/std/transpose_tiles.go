package std

import "github.com/spike-by-spike/sbs/internal/kernel"

// transposing is a parallel.Loop that transposes matrices of float32 elements, in tiles that stay in a
// cache.
type transposing struct {
	outer      nest // over the matrices
	rows, cols int  // of a matrix in dst
	dstStride  int  // between rows in dst; the elements of a row are consecutive
	srcStride  int  // between the elements of a row in src; those of a column are consecutive
	dst, src   []float32
}

// tileSize is the number of rows and of columns of a tile.
const tileSize = 64

// newTransposing returns the loop for a nest over dst and src, or nil if another loop is better.
func newTransposing(n *nest) *transposing {
	last := len(n.sizes) - 1
	for d := range last {
		if n.strides[d][1] != 1 || n.strides[last][0] != 1 || n.sizes[d] < 4 || n.sizes[last] < 4 {
			continue
		}
		t := &transposing{rows: n.sizes[d], cols: n.sizes[last], dstStride: n.strides[d][0], srcStride: n.strides[last][1]}
		t.outer = nest{total: n.total / (t.rows * t.cols), sizes: []int{1}, strides: make([][maxOperands]int, 1)}
		for i := range last {
			if i != d {
				t.outer.sizes = append(t.outer.sizes, n.sizes[i])
				t.outer.strides = append(t.outer.strides, n.strides[i])
			}
		}
		return t
	}
	return nil
}

func tilesOf(n int) int { return (n + tileSize - 1) / tileSize }

// perMatrix returns the number of tiles of a matrix.
func (t *transposing) perMatrix() int { return tilesOf(t.rows) * tilesOf(t.cols) }

// Part transposes the tiles lo to hi-1.
func (t *transposing) Part(lo, hi int) error {
	per, across := t.perMatrix(), tilesOf(t.cols)
	for lo < hi {
		matrix := lo / per
		end := min(hi, (matrix+1)*per)
		err := t.outer.walk(matrix, matrix+1, func(at [maxOperands]int, _ int) error {
			for ; lo < end; lo++ {
				row, col := lo%per/across*tileSize, lo%per%across*tileSize
				kernel.Transpose(t.dst[at[0]+row*t.dstStride+col:], t.dstStride, t.src[at[1]+col*t.srcStride+row:], t.srcStride,
					min(tileSize, t.cols-col), min(tileSize, t.rows-row))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
