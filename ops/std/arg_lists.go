package std

import (
	"math"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// lists computes ArgMax or ArgMin of float32 elements along an axis.
func (k *arg) lists(ctx *ops.Context, x, out *ops.Tensor, axis int) error {
	shape := x.Shape()
	l := argLists{ctx: ctx, k: k, x: x.Float32s(), out: out.Int64s(), size: shape[axis], step: numElements(shape[axis+1:])}
	if len(l.x) == 0 {
		return nil
	}
	if l.step == 1 {
		return ctx.For(len(l.out), max(1, grain/l.size), l.rows)
	}
	l.blocks = (l.step + columnBlock - 1) / columnBlock
	return ctx.For(numElements(shape[:axis])*l.blocks, max(1, grain/l.size/min(l.step, columnBlock)), l.columns)
}

// argLists is one run of ArgMax or ArgMin. Elements to compare are step apart.
type argLists struct {
	ctx        *ops.Context
	k          *arg
	x          []float32
	out        []int64
	size, step int
	blocks     int // of columns
}

func (l *argLists) rows(lo, hi int) error {
	for ; lo < hi; lo++ {
		row := l.x[lo*l.size:][:l.size]
		best := float32(math.Inf(-1))
		if !l.k.largest {
			best = -best
		}
		err := inPieces(l.ctx, l.size, func(lo, hi int) {
			if l.k.largest {
				best = kernel.Largest(row[lo:hi], best)
			} else {
				best = kernel.Smallest(row[lo:hi], best)
			}
		})
		if err != nil {
			return err
		}
		at := -1
		err = inPieces(l.ctx, l.size, func(lo, hi int) {
			switch {
			case at >= 0:
			case l.k.last:
				if i := lastIndex(row[l.size-hi:l.size-lo], best); i >= 0 {
					at = l.size - hi + i
				}
			default:
				if i := firstIndex(row[lo:hi], best); i >= 0 {
					at = lo + i
				}
			}
		})
		if err != nil {
			return err
		}
		l.out[lo] = int64(at)
	}
	return nil
}

// firstIndex returns the index of the first element that is v, which may be NaN, or -1.
func firstIndex(x []float32, v float32) int {
	for i, e := range x {
		if e == v || e != e && v != v {
			return i
		}
	}
	return -1
}

// lastIndex returns the index of the last element that is v, which may be NaN, or -1.
func lastIndex(x []float32, v float32) int {
	for i := len(x) - 1; i >= 0; i-- {
		if e := x[i]; e == v || e != e && v != v {
			return i
		}
	}
	return -1
}

func (l *argLists) columns(lo, hi int) error {
	watching := cancelCheck{ctx: l.ctx}
	var room [columnBlock]float32
	for ; lo < hi; lo++ {
		outer, column := lo/l.blocks, lo%l.blocks*columnBlock
		n := min(columnBlock, l.step-column)
		best, out := room[:n], l.out[outer*l.step+column:][:n]
		first := outer*l.size*l.step + column
		copy(best, l.x[first:])
		clear(out)
		for i := 1; i < l.size; i++ {
			l.compare(best, out, l.x[first+i*l.step:][:n], int64(i))
			if err := watching.after(n); err != nil {
				return err
			}
		}
	}
	return nil
}

// compare replaces the best elements of columns, and their indices, by the elements of a list that are
// better. NaN is better than every number.
func (l *argLists) compare(best []float32, at []int64, list []float32, i int64) {
	at, list = at[:len(best)], list[:len(best)]
	switch {
	case l.k.largest && l.k.last:
		for c, v := range list {
			if v >= best[c] || v != v {
				best[c], at[c] = v, i
			}
		}
	case l.k.largest:
		for c, v := range list {
			if b := best[c]; !(v <= b) && b == b {
				best[c], at[c] = v, i
			}
		}
	case l.k.last:
		for c, v := range list {
			if v <= best[c] || v != v {
				best[c], at[c] = v, i
			}
		}
	default:
		for c, v := range list {
			if b := best[c]; !(v >= b) && b == b {
				best[c], at[c] = v, i
			}
		}
	}
}
