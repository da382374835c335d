package std

import (
	"math"
	"sync"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/portmath"
	"github.com/spike-by-spike/sbs/ops"
)

// listReduction reduces lists of float32 elements that are consecutive in memory: rows, whose elements
// become one result, or columns, of which a list holds one element each.
type listReduction interface {
	// row returns the result of the elements that each calls its function with, in parts, always the same
	// ones. Each can be called more than once.
	row(count int, each func(f func(part []float32)) error) (float32, error)

	// whole returns the result of a row that is one part.
	whole(part []float32) float32

	// The results of columns take some passes over their elements: start prepares n columns, add
	// processes one element of every column in a pass, and finish stores the results of count elements.
	passes() int
	start(s *columnState, n int)
	add(s *columnState, pass int, list []float32)
	finish(s *columnState, out []float32, count int)
}

// rowsReduction is a listReduction that processes several lists faster at once.
type rowsReduction interface {
	// addRows is add for each of some lists. x begins with the first one, and stride is the distance of
	// the next one.
	addRows(s *columnState, x []float32, rows, stride int)
}

// columnState holds results of columns so far.
type columnState struct {
	room        [columnBlock]float64
	singles     [3][columnBlock]float32
	totals      []float64 // of the columns
	tops        []float32
	sums, power []float32
	added       int
}

// columnStates keeps the memory for later runs.
var columnStates = sync.Pool{New: func() any { return new(columnState) }}

// reset prepares n columns.
func (s *columnState) reset(n int, total float64, top float32) {
	s.totals, s.tops, s.sums, s.power = s.room[:n], s.singles[0][:n], s.singles[1][:n], s.singles[2][:n]
	s.added = 0
	for i := range s.totals {
		s.totals[i], s.tops[i], s.sums[i] = total, top, 0
	}
}

// withLists makes a reduction compute float32 with lists, where the shape allows it.
func withLists(create func(ops.Node) (operation, error), lists listReduction) func(ops.Node) (operation, error) {
	return func(n ops.Node) (operation, error) {
		k, err := create(n)
		if err == nil {
			k.(*reduction).lists = lists
		}
		return k, err
	}
}

// shortList is the number of columns from which lists of them are faster.
const shortList = 8

// listsOf returns the loop body and the least number of results of a part, or nil if the elements to
// reduce are not in lists.
func (l *reduceLoop) listsOf(r listReduction) (compute func(l *reduceLoop, lo, hi int) error, least int) {
	switch {
	case l.reduced.total == 0:
	case l.reduced.inner()[0] == 1:
		return func(l *reduceLoop, lo, hi int) error { return l.rows(r, lo, hi) }, 1
	case l.kept.inner()[1] == 1 && l.kept.sizes[len(l.kept.sizes)-1] >= shortList:
		return func(l *reduceLoop, lo, hi int) error { return l.columns(r, lo, hi) }, columnBlock / 2
	}
	return nil, 0
}

func (l *reduceLoop) rows(r listReduction, lo, hi int) error {
	if len(l.reduced.sizes) == 1 && l.reduced.total <= stepsPerCheck {
		return l.wholeRows(r, lo, hi)
	}
	out, data := l.out.Float32s(), l.data.Float32s()
	watching := cancelCheck{ctx: l.ctx}
	next := l.kept.inner()[1]
	return l.kept.walk(lo, hi, func(to [maxOperands]int, count int) error {
		for i := range count {
			first := to[1] + i*next
			v, err := r.row(l.reduced.total, func(f func(part []float32)) error {
				return l.reduced.walk(0, l.reduced.total, func(at [maxOperands]int, count int) error {
					for at := first + at[0]; count > 0; {
						n := min(count, stepsPerCheck)
						f(data[at:][:n])
						if err := watching.after(n); err != nil {
							return err
						}
						at, count = at+n, count-n
					}
					return nil
				})
			})
			if err != nil {
				return err
			}
			out[to[0]+i] = v
		}
		return nil
	})
}

// wholeRows is rows for rows that are one part. It does not allocate.
func (l *reduceLoop) wholeRows(r listReduction, lo, hi int) error {
	out, data := l.out.Float32s(), l.data.Float32s()
	watching := cancelCheck{ctx: l.ctx}
	next := l.kept.inner()[1]
	return l.kept.walk(lo, hi, func(to [maxOperands]int, count int) error {
		for i := range count {
			out[to[0]+i] = r.whole(data[to[1]+i*next:][:l.reduced.total])
			if err := watching.after(l.reduced.total); err != nil {
				return err
			}
		}
		return nil
	})
}

func (l *reduceLoop) columns(r listReduction, lo, hi int) error {
	out, data := l.out.Float32s(), l.data.Float32s()
	watching := cancelCheck{ctx: l.ctx}
	step := l.reduced.inner()[0]
	together, several := r.(rowsReduction)
	s := columnStates.Get().(*columnState)
	defer columnStates.Put(s)
	return l.kept.walk(lo, hi, func(to [maxOperands]int, columns int) error {
		for i := 0; i < columns; i += columnBlock {
			n := min(columnBlock, columns-i)
			first := to[1] + i
			r.start(s, n)
			for pass := range r.passes() {
				err := l.reduced.walk(0, l.reduced.total, func(at [maxOperands]int, count int) error {
					if several {
						return l.addRows(together, s, data[first+at[0]:], count, n, &watching)
					}
					for j := range count {
						r.add(s, pass, data[first+at[0]+j*step:][:n])
						if err := watching.after(n); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					return err
				}
			}
			r.finish(s, out[to[0]+i:][:n], l.reduced.total)
		}
		return nil
	})
}

// addRows adds count lists of n elements.
func (l *reduceLoop) addRows(r rowsReduction, s *columnState, x []float32, count, n int, watching *cancelCheck) error {
	const most = 8 // lists that are added at once
	step := l.reduced.inner()[0]
	for j := 0; j < count; j += most {
		part := min(most, count-j)
		r.addRows(s, x[j*step:], part, step)
		if err := watching.after(part * n); err != nil {
			return err
		}
	}
	return nil
}

// listSum is the reduction to a sum in float64. last, if it is not nil, computes the result from the
// sum and the number of elements.
type listSum struct {
	of   kernel.Summand
	last func(sum float64, count int) float64
}

func (s listSum) result(sum float64, count int) float32 {
	if s.last != nil {
		sum = s.last(sum, count)
	}
	return float32(sum)
}

func (s listSum) row(count int, each func(f func(part []float32)) error) (float32, error) {
	var sum float64
	err := each(func(part []float32) { sum += kernel.Total(s.of, part, 0) })
	return s.result(sum, count), err
}

func (s listSum) whole(part []float32) float32 {
	return s.result(kernel.Total(s.of, part, 0), len(part))
}

func (listSum) passes() int                                 { return 1 }
func (listSum) start(c *columnState, n int)                 { c.reset(n, 0, 0) }
func (s listSum) add(c *columnState, _ int, list []float32) { kernel.Accumulate(s.of, c.totals, list) }

func (s listSum) addRows(c *columnState, x []float32, rows, stride int) {
	kernel.AccumulateRows(s.of, c.totals, x, rows, stride)
}

func (s listSum) finish(c *columnState, out []float32, count int) {
	for i, sum := range c.totals {
		out[i] = s.result(sum, count)
	}
}

// listProduct is the reduction to a product in float64.
type listProduct struct{}

func (listProduct) row(_ int, each func(f func(part []float32)) error) (float32, error) {
	product := 1.0
	err := each(func(part []float32) { product *= kernel.Product(part) })
	return float32(product), err
}

func (listProduct) whole(part []float32) float32 { return float32(kernel.Product(part)) }

// wholeRow is whole for reductions that need more time for a row than for a call.
func wholeRow(r listReduction, part []float32) float32 {
	v, _ := r.row(len(part), func(f func(part []float32)) error { f(part); return nil })
	return v
}

func (listProduct) passes() int                 { return 1 }
func (listProduct) start(c *columnState, n int) { c.reset(n, 1, 0) }

func (listProduct) add(c *columnState, _ int, list []float32) {
	list = list[:len(c.totals)]
	for i, v := range list {
		c.totals[i] *= float64(v)
	}
}

func (listProduct) finish(c *columnState, out []float32, _ int) {
	for i, p := range c.totals {
		out[i] = float32(p)
	}
}

// listExtreme is the reduction to the largest or the smallest element, or to NaN if one is NaN.
type listExtreme struct{ largest bool }

func (e listExtreme) row(_ int, each func(f func(part []float32)) error) (float32, error) {
	if e.largest {
		best := float32(math.Inf(-1))
		err := each(func(part []float32) { best = kernel.Largest(part, best) })
		return best, err
	}
	best := float32(math.Inf(1))
	err := each(func(part []float32) { best = kernel.Smallest(part, best) })
	return best, err
}

func (e listExtreme) whole(part []float32) float32 {
	if e.largest {
		return kernel.Largest(part, float32(math.Inf(-1)))
	}
	return kernel.Smallest(part, float32(math.Inf(1)))
}

func (listExtreme) passes() int { return 1 }

func (e listExtreme) start(c *columnState, n int) {
	top := float32(math.Inf(1))
	if e.largest {
		top = -top
	}
	c.reset(n, 0, top)
}

func (e listExtreme) add(c *columnState, _ int, list []float32) {
	op := kernel.Min
	if e.largest {
		op = kernel.Max
	}
	kernel.Combine(op, c.tops, c.tops, list, 1, 1)
}

func (listExtreme) finish(c *columnState, out []float32, _ int) { copy(out, c.tops) }

// listLogSumExp is the reduction to log(sum(exp(x))). Exponents are relative to the largest one, so
// that nothing overflows.
type listLogSumExp struct{}

func (listLogSumExp) row(_ int, each func(f func(part []float32)) error) (float32, error) {
	top, err := listExtreme{largest: true}.row(0, each)
	if err != nil || !(math.Abs(float64(top)) <= math.MaxFloat32) {
		return top, err // the difference of two infinities is not a number
	}
	var sum float64
	err = each(func(part []float32) {
		for ; len(part) > kernel.ShortRow; part = part[kernel.ShortRow:] {
			sum += float64(kernel.ExpTotal(part[:kernel.ShortRow], top))
		}
		sum += float64(kernel.ExpTotal(part, top))
	})
	return float32(float64(top) + portmath.Log(sum)), err
}

func (r listLogSumExp) whole(part []float32) float32 { return wholeRow(r, part) }

func (listLogSumExp) passes() int                 { return 2 }
func (listLogSumExp) start(c *columnState, n int) { listExtreme{largest: true}.start(c, n) }

func (listLogSumExp) add(c *columnState, pass int, list []float32) {
	if pass == 0 {
		listExtreme{largest: true}.add(c, 0, list)
		return
	}
	// A sum of float32 has few elements, so that it is precise.
	const together = kernel.ShortRow / 16
	kernel.ExpColumns(c.power, list, c.tops, c.sums)
	if c.added++; c.added%together == 0 {
		kernel.Accumulate(kernel.Numbers, c.totals, c.sums)
		clear(c.sums)
	}
}

func (listLogSumExp) finish(c *columnState, out []float32, _ int) {
	kernel.Accumulate(kernel.Numbers, c.totals, c.sums)
	for i, top := range c.tops {
		out[i] = top
		if math.Abs(float64(top)) <= math.MaxFloat32 {
			out[i] = float32(float64(top) + portmath.Log(c.totals[i]))
		}
	}
}
