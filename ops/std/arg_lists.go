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
	if l.step > 1 && l.size > 1<<24 { // float32 does not hold all places
		return argOf(ctx, x, out, axis, k.last, k.floating)
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

// columns finds the best elements of columns, and then their places: a later look at a place that is
// equal replaces an earlier one. float32 holds all places of an axis that is not too long.
func (l *argLists) columns(lo, hi int) error {
	watching := cancelCheck{ctx: l.ctx}
	op, beyond := kernel.Min, float32(math.Inf(1))
	if l.k.largest {
		op, beyond = kernel.Max, -beyond
	}
	var bestRoom, placeRoom [columnBlock]float32
	var equalRoom [columnBlock]bool
	for ; lo < hi; lo++ {
		outer, column := lo/l.blocks, lo%l.blocks*columnBlock
		n := min(columnBlock, l.step-column)
		best, places, equal := bestRoom[:n], placeRoom[:n], equalRoom[:n]
		out := l.out[outer*l.step+column:][:n]
		first := outer*l.size*l.step + column
		for i := range best {
			best[i] = beyond
		}
		for i := range l.size {
			kernel.Combine(op, best, best, l.x[first+i*l.step:][:n], 1, 1)
			if err := watching.after(n); err != nil {
				return err
			}
		}
		for i := range l.size {
			place := [1]float32{float32(i)}
			if !l.k.last {
				place[0] = float32(l.size - 1 - i)
			}
			kernel.Compare(kernel.Equal, equal, l.x[first+int(place[0])*l.step:][:n], best, 1, 1)
			kernel.Select(places, equal, place[:], places, 0, 1)
			if err := watching.after(2 * n); err != nil {
				return err
			}
		}
		for i, v := range best {
			out[i] = int64(places[i])
			if v != v {
				at, err := l.firstOrLastNaN(first + i)
				if err != nil {
					return err
				}
				out[i] = int64(at)
			}
		}
	}
	return nil
}

// firstOrLastNaN returns the place of the first or last NaN of a column.
func (l *argLists) firstOrLastNaN(first int) (int, error) {
	at := -1
	err := inPieces(l.ctx, l.size, func(lo, hi int) {
		for i := lo; i < hi && (l.k.last || at < 0); i++ {
			if v := l.x[first+i*l.step]; v != v {
				at = i
			}
		}
	})
	return at, err
}
