package std

import (
	"context"
	"math"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/portmath"
	"github.com/spike-by-spike/sbs/ops"
)

// runLists computes Softmax or LogSoftmax of float32 elements. The order of the additions depends on
// the shape only.
func (k *softmax) runLists(ctx *ops.Context, l *softmaxLoop) error {
	s := softmaxLists{ctx: ctx, logarithm: k.logarithm, out: l.out.Float32s(), x: l.x.Float32s(), size: l.size, step: l.step}
	rows := len(s.out) / l.size
	switch {
	case l.step >= fewColumns:
		s.blocks = (l.step + columnBlock - 1) / columnBlock
		return ctx.For(rows/l.step*s.blocks, max(1, grain/4/l.size/min(l.step, columnBlock)), s.columns)
	case l.step > 1:
		return ctx.For(rows, max(1, grain/4/l.size), s.gathered)
	}
	return ctx.For(rows, max(1, grain/4/l.size), s.rows)
}

const (
	// fewColumns is the number of rows side by side from which they are computed together.
	fewColumns = 16

	// columnBlock is the number of rows side by side that are computed together.
	columnBlock = 512
)

// softmaxLists is one run of Softmax or LogSoftmax. A row has size elements, which are step apart.
type softmaxLists struct {
	ctx        *ops.Context
	logarithm  bool
	out, x     []float32
	size, step int
	blocks     int // of columns
}

// rows computes the rows lo to hi-1, whose elements are consecutive.
func (s *softmaxLists) rows(lo, hi int) error {
	return softmaxRows(s.ctx, s.out[lo*s.size:hi*s.size], s.x[lo*s.size:hi*s.size], s.size, s.logarithm)
}

func softmaxRows(ctx context.Context, out, x []float32, size int, logarithm bool) error {
	switch {
	case size > kernel.ShortRow:
		for ; len(x) > 0; x, out = x[size:], out[size:] {
			if err := softmaxLong(ctx, out[:size], x[:size], logarithm); err != nil {
				return err
			}
		}
	case logarithm:
		kernel.LogSoftmax(out, x, size)
	default:
		kernel.Softmax(out, x, size)
	}
	return nil
}

// softmaxLong computes a long row. The sum of each piece of it is float32, and the sum of these is
// float64.
func softmaxLong(ctx context.Context, out, x []float32, logarithm bool) error {
	top, total := float32(math.Inf(-1)), 0.0
	err := inPieces(ctx, len(x), func(lo, hi int) { top = max(top, kernel.Top(x[lo:hi])) })
	if err != nil {
		return err
	}
	err = inPieces(ctx, len(x), func(lo, hi int) {
		for ; lo < hi; lo += kernel.ShortRow {
			piece := x[lo:min(lo+kernel.ShortRow, hi)]
			if logarithm {
				total += float64(kernel.ExpTotal(piece, top))
			} else {
				total += float64(kernel.ExpSum(out[lo:][:len(piece)], piece, top))
			}
		}
	})
	if err != nil {
		return err
	}
	p, factor := []float32{top, float32(portmath.Log(total)), 1, float32(noBias)}, []float32{float32(1 / total)}
	return inPieces(ctx, len(x), func(lo, hi int) {
		if logarithm {
			kernel.Map(kernel.Normalize, out[lo:hi], x[lo:hi], p)
		} else {
			kernel.Combine(kernel.Mul, out[lo:hi], out[lo:hi], factor, 1, 0)
		}
	})
}

// gathered computes the rows lo to hi-1, whose elements are a short distance apart.
func (s *softmaxLists) gathered(lo, hi int) error {
	row, err := ops.Temporary[float32](s.ctx, s.size)
	if err != nil {
		return err
	}
	defer ops.Free(s.ctx, row)
	for ; lo < hi; lo++ {
		first := lo/s.step*s.step*s.size + lo%s.step
		err := inPieces(s.ctx, s.size, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				row[i] = s.x[first+i*s.step]
			}
		})
		if err != nil {
			return err
		}
		if err := softmaxRows(s.ctx, row, row, s.size, s.logarithm); err != nil {
			return err
		}
		err = inPieces(s.ctx, s.size, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				s.out[first+i*s.step] = row[i]
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// columns computes blocks of rows side by side. Sums of a number of elements are added to the totals, so
// that they are as precise as those of kernel.Softmax.
func (s *softmaxLists) columns(lo, hi int) error {
	const together = kernel.ShortRow / 16
	var tops, sums, totals [columnBlock]float32
	watching := cancelCheck{ctx: s.ctx}
	for ; lo < hi; lo++ {
		column := lo % s.blocks * columnBlock
		first, n := lo/s.blocks*s.size*s.step+column, min(columnBlock, s.step-column)
		top, sum, total := tops[:n], sums[:n], totals[:n]
		copy(top, s.x[first:])
		clear(total)
		for i := 1; i < s.size; i++ {
			row := s.x[first+i*s.step:][:n]
			kernel.Combine(kernel.Max, top, top, row, 1, 1)
			if err := watching.after(n); err != nil {
				return err
			}
		}
		for i := range s.size {
			if i%together == 0 {
				clear(sum)
			}
			at := first + i*s.step
			kernel.ExpColumns(s.out[at:][:n], s.x[at:][:n], top, sum)
			if i%together == together-1 || i == s.size-1 {
				kernel.Combine(kernel.Add, total, total, sum, 1, 1)
			}
			if err := watching.after(2 * n); err != nil {
				return err
			}
		}
		if s.logarithm {
			kernel.Map(kernel.Log, total, total, nil)
		} else {
			kernel.Map(kernel.Reciprocal, total, total, nil)
		}
		for i := range s.size {
			at := first + i*s.step
			y := s.out[at:][:n]
			if s.logarithm {
				kernel.Combine(kernel.Sub, y, s.x[at:][:n], top, 1, 1)
				kernel.Combine(kernel.Sub, y, y, total, 1, 1)
			} else {
				kernel.Combine(kernel.Mul, y, y, total, 1, 1)
			}
			if err := watching.after(2 * n); err != nil {
				return err
			}
		}
	}
	return nil
}
