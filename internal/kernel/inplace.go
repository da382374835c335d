package kernel

import (
	"context"

	"github.com/spike-by-spike/sbs/internal/portmath"
)

// directTiling describes how a tier multiplies matrices that are not copied into panels.
type directTiling struct {
	rows, columns int // size of the largest tile

	// tile sets each entry of a tile of C to the sum of k > 0 products and, if more is set, its old
	// value. Entry (i, t) of A is a[i*row+t*tap].
	tile func(rows, columns, k int, a []float32, row, tap int, b []float32, ldb int, c []float32, ldc int, more bool)
}

const (
	directTiles   = 2       // the number of tiles of rows of A up to which panels of B are not worth while
	directSize    = 1 << 15 // the number of entries of B up to which they never are
	sumRows       = 3       // the number of rows of A up to which panels of a transposed B are not
	transposeSize = 1 << 12 // the number of entries of a transposed B up to which they never are
)

// inPlace computes a product with k > 0 as Gemm does, but reads A and B where they are. It returns
// false if panels are likely to be faster.
func (t *tiling) inPlace(ctx context.Context, transA, transB bool, m, n, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, accumulate bool) (bool, error) {
	if n == 1 && ldc == 1 { // C is also a row: the transpose of B times the transpose of A
		a, lda, transA, b, ldb, transB = b, ldb, !transB, a, lda, !transA
		m, n, ldc = 1, m, m
	}
	row, tap := lda, 1
	if transA {
		row, tap = 1, lda
	}
	switch {
	case transB && m <= sumRows:
		return true, t.sumRows(ctx, m, n, k, a, row, tap, b, ldb, c, ldc, accumulate)
	case transB && t.direct != nil && n <= transposeSize/k:
		return true, t.multiplyTransposed(ctx, m, n, k, a, row, tap, b, ldb, c, ldc, accumulate)
	case !transB && t.direct != nil && (m <= directTiles*t.direct.rows || n <= directSize/k):
		return true, t.multiplyDirect(ctx, m, n, k, a, row, tap, b, ldb, c, ldc, accumulate)
	}
	return false, nil
}

// sumRows multiplies the rows of A by those of B. Entry (i, t) of A is a[i*row+t*tap].
func (t *tiling) sumRows(ctx context.Context, m, n, k int, a []float32, row, tap int, b []float32, ldb int, c []float32, ldc int, accumulate bool) error {
	const (
		block = 32      // rows of B, which stay in a cache for all rows of A
		depth = 1 << 14 // numbers of a row, which take less than a millisecond in portable code
	)
	for first := 0; first < n; first += block {
		last := min(first+block, n)
		for i := range m {
			to := c[i*ldc:][first:last]
			if !accumulate {
				clear(to)
			}
			for lo := 0; lo < k; lo += depth {
				if err := ctx.Err(); err != nil {
					return err
				}
				t.rowSums(min(depth, k-lo), b[first*ldb+lo:], ldb, a[i*row+lo*tap:], tap, to)
			}
		}
	}
	return nil
}

// multiplyTransposed multiplies a matrix A by the transpose of a small matrix B.
func (t *tiling) multiplyTransposed(ctx context.Context, m, n, k int, a []float32, row, tap int, b []float32, ldb int, c []float32, ldc int, accumulate bool) error {
	s := scratches.Get().(*gemmScratch)
	defer scratches.Put(s)
	s.right = withRoom(s.right, k*n)
	Transpose(s.right, n, b, ldb, n, k)
	return t.multiplyDirect(ctx, m, n, k, a, row, tap, s.right, n, c, ldc, accumulate)
}

// multiplyDirect multiplies a matrix A, whose entry (i, t) is a[i*row+t*tap], by a matrix B.
func (t *tiling) multiplyDirect(ctx context.Context, m, n, k int, a []float32, row, tap int, b []float32, ldb int, c []float32, ldc int, accumulate bool) error {
	d := t.direct
	tiles := (m + d.rows - 1) / d.rows
	for p := range depths(k) {
		lo, hi := part(k, depths(k), p)
		more := accumulate || p > 0
		for j := 0; j < n; {
			to := b[lo*ldb+j:]
			if t.row != nil && m == 1 && tap == 1 && n-j >= t.columns { // the sums of more vectors than of a tile
				if err := ctx.Err(); err != nil {
					return err
				}
				whole := min((n-j)/t.columns*t.columns, maxColumns)
				if !more {
					clear(c[j : j+whole])
				}
				t.row(hi-lo, a[lo:], to, ldb, t.columns, c[j:j+whole])
				j += whole
				continue
			}
			width := min(d.columns, n-j)
			for i := range tiles {
				if i%64 == 0 && ctx.Err() != nil {
					return ctx.Err()
				}
				top, bottom := part(m, tiles, i)
				d.tile(bottom-top, width, hi-lo, a[top*row+lo*tap:], row, tap, to, ldb, c[top*ldc+j:], ldc, more)
			}
			j += width
		}
	}
	return nil
}

// rowSumsPortable computes four sums at a time, which do not wait for each other.
func rowSumsPortable(k int, w []float32, stride int, x []float32, step int, c []float32) {
	for ; len(c) >= 4; c = c[4:] {
		w0, w1, w2, w3 := w[:k], w[stride:][:k], w[2*stride:][:k], w[3*stride:][:k]
		s0, s1, s2, s3 := c[0], c[1], c[2], c[3]
		at := 0
		for t, v := range w0 {
			f := x[at]
			at += step
			s0 = portmath.FMA(v, f, s0)
			s1 = portmath.FMA(w1[t], f, s1)
			s2 = portmath.FMA(w2[t], f, s2)
			s3 = portmath.FMA(w3[t], f, s3)
		}
		c[0], c[1], c[2], c[3] = s0, s1, s2, s3
		if len(c) > 4 {
			w = w[4*stride:]
		}
	}
	for i := range c {
		s, at := c[i], 0
		for _, v := range w[i*stride:][:k] {
			s = portmath.FMA(v, x[at], s)
			at += step
		}
		c[i] = s
	}
}
