package std

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// line holds the elements of a tensor along one axis, in a wide type.
type line[W wide] struct {
	number      int // index of the line
	first, step int // places of the elements
	elements    []W // f may change them
}

// forEachLine calls f with every line of x along an axis, from several goroutines. A line can
// be long, so that f checks the context.
func forEachLine[W wide](ctx *ops.Context, x *ops.Tensor, axis int, f func(l *line[W]) error) error {
	shape := x.Shape()
	size, step := shape[axis], numElements(shape[axis+1:])
	return ctx.For(numElements(shape[:axis])*step, max(1, grain/max(1, size)), func(lo, hi int) error {
		elements, err := ops.Temporary[W](ctx, size)
		if err != nil {
			return err
		}
		defer ops.Free(ctx, elements)
		l := line[W]{step: step, elements: elements}
		for l.number = lo; l.number < hi; l.number++ {
			l.first = l.number/step*step*size + l.number%step
			if err := loadAll(ctx, elements, x, l.first, step); err != nil {
				return err
			}
			if err := f(&l); err != nil {
				return err
			}
		}
		return nil
	})
}

// newArgMax returns ArgMax (opsets 1, 11, 12, 13): the index, int64, of the first of the
// largest elements along an axis. NaN counts as larger than all numbers. The data has any
// type but bool.
//
// Attributes: axis (default 0), keepdims (default 1), select_last_index (default 0; since
// opset 12; 1 selects the last of the largest elements).
func newArgMax(n ops.Node) (operation, error) {
	return newArg(n, true, argMax[float64], argMax[int64], argMax[uint64])
}

// newArgMin returns ArgMin (opsets 1, 11, 12, 13): the index of the smallest element. NaN
// counts as smaller than all numbers. See newArgMax.
func newArgMin(n ops.Node) (operation, error) {
	return newArg(n, false, argMin[float64], argMin[int64], argMin[uint64])
}

// argMax and argMin report whether v replaces the best element so far.
func argMax[W wide](v, best W) bool { return v > best || v != v && best == best }
func argMin[W wide](v, best W) bool { return v < best || v != v && best == best }

func newArg(n ops.Node, largest bool, f func(v, best float64) bool, i func(v, best int64) bool, u func(v, best uint64) bool) (operation, error) {
	more := []string{"keepdims"}
	if n.Opset >= 12 {
		more = append(more, "select_last_index")
	}
	axis, err := axisAttr(n, 0, more...)
	if err != nil {
		return nil, err
	}
	keep, err := ops.Attr(n.Attributes, "keepdims", int64(1))
	if err != nil {
		return nil, err
	}
	last, err := ops.Attr(n.Attributes, "select_last_index", int64(0))
	return &arg{axis: axis, keep: keep != 0, last: last != 0, largest: largest, floating: f, signed: i, unsigned: u}, err
}

type arg struct {
	axis       int64
	keep, last bool
	largest    bool
	floating   func(v, best float64) bool
	signed     func(v, best int64) bool
	unsigned   func(v, best uint64) bool
}

func (k *arg) infer(in []*ops.Input) (ops.Type, error) {
	data := in[0].Type
	if err := data.CheckDType("data", numericTypes...); err != nil {
		return data, err
	}
	axis, err := axisOf(k.axis, len(data.Shape))
	if err != nil {
		return data, fmt.Errorf("%w: data is %v", err, data)
	}
	if data.Shape[axis].Size == 0 {
		return data, fmt.Errorf("%w: data is %v: axis %d has size 0", ops.ErrShape, data, axis)
	}
	shape := append([]ops.Dim{}, data.Shape[:axis]...)
	if k.keep {
		shape = append(shape, ops.Dim{Size: 1})
	}
	return ops.Type{DType: ops.Int64, Shape: append(shape, data.Shape[axis+1:]...)}, nil
}

func (k *arg) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	axis, err := axisOf(k.axis, len(in[0].Shape()))
	if err != nil {
		return err
	}
	switch d := in[0].DType(); {
	case d == ops.Float32:
		return k.lists(ctx, in[0], out, axis)
	case isFloat(d):
		return argOf(ctx, in[0], out, axis, k.last, k.floating)
	case d == ops.Uint64:
		return argOf(ctx, in[0], out, axis, k.last, k.unsigned)
	}
	return argOf(ctx, in[0], out, axis, k.last, k.signed)
}

func argOf[W wide](ctx *ops.Context, x, out *ops.Tensor, axis int, last bool, better func(v, best W) bool) error {
	return forEachLine(ctx, x, axis, func(l *line[W]) error {
		best := 0
		err := inPieces(ctx, len(l.elements), func(lo, hi int) {
			for i, v := range l.elements[lo:hi] {
				if better(v, l.elements[best]) || last && !better(l.elements[best], v) {
					best = lo + i
				}
			}
		})
		out.Int64s()[l.number] = int64(best)
		return err
	})
}

// newCumSum returns CumSum (opsets 11, 14): the cumulative sums of the elements along an
// axis, which is the second input, an int32 or int64 scalar. x has any type but bool;
// float32 is summed in float64.
//
// Attributes: exclusive (default 0; 1 excludes the element itself), reverse (default 0; 1
// sums from the end).
func newCumSum(n ops.Node) (operation, error) {
	return newCumulation(n, 0, func(a, b float64) float64 { return a + b }, func(a, b int64) int64 { return a + b })
}

// newCumProd returns CumProd (opset 26): the cumulative products of the elements. See
// newCumSum.
func newCumProd(n ops.Node) (operation, error) {
	return newCumulation(n, 1, times[float64], times[int64])
}

// newCumulation returns a cumulation that starts from a number.
func newCumulation(n ops.Node, start int64, floating func(a, b float64) float64, integer func(a, b int64) int64) (operation, error) {
	if err := n.Attributes.Only("exclusive", "reverse"); err != nil {
		return nil, err
	}
	exclusive, err := ops.Attr(n.Attributes, "exclusive", int64(0))
	if err != nil {
		return nil, err
	}
	reverse, err := ops.Attr(n.Attributes, "reverse", int64(0))
	return cumulation{exclusive != 0, reverse != 0, start, floating, integer}, err
}

type cumulation struct {
	exclusive, reverse bool
	start              int64
	floating           func(a, b float64) float64
	integer            func(a, b int64) int64
}

func (k cumulation) infer(in []*ops.Input) (ops.Type, error) {
	x := in[0].Type
	if err := x.CheckDType("x", numericTypes...); err != nil {
		return x, err
	}
	if err := checkScalar("axis", in[1].Type, indexTypes...); err != nil {
		return x, err
	}
	if in[1].Const != nil {
		if _, err := axisOf(firstElement[int64](in[1].Const), len(x.Shape)); err != nil {
			return x, fmt.Errorf("%w: x is %v", err, x)
		}
	}
	return x, nil
}

func (k cumulation) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	axis, err := axisOf(firstElement[int64](in[1]), len(out.Shape()))
	if err != nil {
		return err
	}
	if isFloat(out.DType()) {
		return cumulate(ctx, k, in[0], out, axis, k.floating)
	}
	return cumulate(ctx, k, in[0], out, axis, k.integer)
}

func cumulate[W wide](ctx *ops.Context, k cumulation, x, out *ops.Tensor, axis int, step func(a, b W) W) error {
	return forEachLine(ctx, x, axis, func(l *line[W]) error {
		total := W(k.start)
		n := len(l.elements)
		err := inPieces(ctx, n, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				at := i
				if k.reverse {
					at = n - 1 - i
				}
				v := l.elements[at]
				l.elements[at] = total
				total = step(total, v)
				if !k.exclusive {
					l.elements[at] = total
				}
			}
		})
		if err != nil {
			return err
		}
		return storeAll(ctx, out, l.first, l.step, l.elements)
	})
}

// newLpNormalization returns LpNormalization (opset 1): x divided by its norm along an
// axis. x is float32 or float64. Where the norm is 0, x is 0 and stays 0.
//
// Attributes: axis (default -1), p (default 2; or 1).
func newLpNormalization(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("axis", "p"); err != nil {
		return nil, err
	}
	axis, err := ops.Attr(n.Attributes, "axis", int64(-1))
	if err != nil {
		return nil, err
	}
	p, err := ops.Attr(n.Attributes, "p", int64(2))
	if err == nil && p != 1 && p != 2 {
		err = fmt.Errorf("%w: p %d, want 1 or 2", ops.ErrAttribute, p)
	}
	return lpNormalization{axis, p}, err
}

type lpNormalization struct{ axis, p int64 }

func (k lpNormalization) infer(in []*ops.Input) (ops.Type, error) {
	x := in[0].Type
	if err := x.CheckDType("input", floatTypes...); err != nil {
		return x, err
	}
	if _, err := axisOf(k.axis, len(x.Shape)); err != nil {
		return x, fmt.Errorf("%w: input is %v", err, x)
	}
	return x, nil
}

func (k lpNormalization) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	axis, err := axisOf(k.axis, len(out.Shape()))
	if err != nil {
		return err
	}
	if x, y := in[0].Float32s(), out.Float32s(); x != nil {
		of := kernel.Squares
		if k.p == 1 {
			of = kernel.Magnitudes
		}
		size, step := out.Shape()[axis], numElements(out.Shape()[axis+1:])
		if step == 1 {
			return normSingles(ctx, y, x, size, of)
		}
		return normColumns(ctx, y, x, size, step, of)
	}
	return forEachLine(ctx, in[0], axis, func(l *line[float64]) error {
		norm := 0.0
		err := inPieces(ctx, len(l.elements), func(lo, hi int) {
			for _, v := range l.elements[lo:hi] {
				if k.p == 1 {
					norm += math.Abs(v)
				} else {
					norm += float64(v * v)
				}
			}
		})
		if err != nil {
			return err
		}
		if k.p == 2 {
			norm = math.Sqrt(norm)
		}
		return inPieces(ctx, len(l.elements), func(lo, hi int) {
			for i := lo; i < hi && norm != 0; i++ {
				l.elements[i] /= norm
			}
			store(out, l.first+lo*l.step, l.step, l.elements[lo:hi])
		})
	})
}
