package std

import (
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newPad returns Pad (opsets 1, 2, 11, 13, 18, 19, 21, 23, 24, 25): the data, of any type,
// with entries added at the start and the end of each dimension, or removed where pads are
// negative. Since opset 11 pads is an input, an int64 vector: first the numbers of entries at
// the start of every dimension, then the numbers at the end. The optional third input is the
// value of new entries, a scalar of the data's type. Since opset 18 the optional fourth
// input, axes (int32 or int64), lists the dimensions that pads is about. Before opset 11 pads
// and the value are attributes.
//
// Attributes: mode (default constant; edge repeats the nearest element; reflect mirrors the
// data at its first and last elements, as often as needed; since opset 19 also wrap, which
// repeats the data); before opset 11 pads (required; in opset 1 named paddings) and value
// (default 0). Entries are removed before others are added.
func newPad(n ops.Node) (operation, error) {
	k := pad{input: n.Opset >= 11}
	known, name := []string{"mode"}, "pads"
	if !k.input {
		if n.Opset < 2 {
			name = "paddings"
		}
		known = append(known, name, "value")
		if n.NumInputs > 1 {
			return nil, fmt.Errorf("opset %d: %s must be an attribute, not an input", n.Opset, name)
		}
	}
	if n.NumInputs > 3 && n.Opset < 18 {
		return nil, fmt.Errorf("opset %d: Pad has at most 3 inputs; axes exists since opset 18", n.Opset)
	}
	if err := n.Attributes.Only(known...); err != nil {
		return nil, err
	}
	modes := []string{"constant", "edge", "reflect"}
	if n.Opset >= 19 {
		modes = append(modes, "wrap")
	}
	var err error
	if k.mode, err = choiceAttr(n.Attributes, "mode", modes...); err != nil {
		return nil, err
	}
	if k.input {
		if n.NumInputs < 2 {
			return nil, fmt.Errorf("%w: pads is missing", ops.ErrShape)
		}
		return &k, nil
	}
	if k.value, err = ops.Attr(n.Attributes, "value", float32(0)); err != nil {
		return nil, err
	}
	k.pads, err = ops.Attr(n.Attributes, name, []int64{})
	return &k, err
}

type pad struct {
	mode  string
	input bool    // pads and value are inputs
	pads  []int64 // from the attribute
	value float32 // from the attribute
}

// padding is what happens to one dimension: entries are removed at both ends, and others
// added.
type padding struct{ removedBefore, removedAfter, before, after int }

func (k *pad) infer(in []*ops.Input) (ops.Type, error) {
	data := in[0].Type
	if err := k.check(in); err != nil {
		return data, err
	}
	paddings, known, err := k.paddings(in)
	if err != nil {
		return data, err
	}
	shape := slices.Repeat([]ops.Dim{unknown}, len(data.Shape))
	if !known {
		return ops.Type{DType: data.DType, Shape: shape}, nil
	}
	for i, d := range data.Shape {
		var ok bool
		if shape[i], ok = k.padded(d, paddings[i]); !ok {
			return data, fmt.Errorf("%w: pads %v with mode %s do not fit dimension %d of %v", ops.ErrShape, paddings[i].list(), k.mode, i, data)
		}
	}
	return ops.Type{DType: data.DType, Shape: shape}, nil
}

// list returns the two pads of a dimension.
func (p padding) list() [2]int { return [2]int{p.before - p.removedBefore, p.after - p.removedAfter} }

// paddings returns the padding of every dimension of the data, and false if it is not known.
func (k *pad) paddings(in []*ops.Input) ([]padding, bool, error) {
	rank, pads := len(in[0].Shape), k.pads
	axes := make([]int, rank)
	for i := range axes {
		axes[i] = i
	}
	if len(in) > 3 && in[3] != nil {
		if in[3].Const == nil {
			return nil, false, nil
		}
		var err error
		if axes, err = axesOf(integers(in[3].Const), rank); err != nil {
			return nil, false, err
		}
	}
	if k.input {
		if in[1].Const == nil {
			return nil, false, nil
		}
		pads = in[1].Const.Int64s()
	}
	if len(pads) != 2*len(axes) {
		return nil, false, fmt.Errorf("%w: the number of pads is %d, want %d for %d dimensions (data is %v)", ops.ErrShape, len(pads), 2*len(axes), len(axes), in[0].Type)
	}
	all := make([]padding, rank)
	for i, axis := range axes {
		before, after := pads[i], pads[len(axes)+i]
		if max(before, after) > ops.MaxElements || min(before, after) < -ops.MaxElements {
			return nil, false, fmt.Errorf("%w: pads %v are out of range", ops.ErrShape, pads)
		}
		all[axis] = padding{
			removedBefore: int(max(0, -before)), removedAfter: int(max(0, -after)),
			before: int(max(0, before)), after: int(max(0, after)),
		}
	}
	return all, true, nil
}

// axesOf returns the indices of different axes, which count from the end if they are
// negative.
func axesOf(list []int64, rank int) ([]int, error) {
	axes := make([]int, 0, min(len(list), rank+1))
	for _, v := range list {
		axis, err := axisOf(v, rank)
		if err != nil {
			return nil, err
		}
		if slices.Contains(axes, axis) {
			return nil, fmt.Errorf("%w: axes %v name axis %d twice", ops.ErrValue, list, axis)
		}
		axes = append(axes, axis)
	}
	return axes, nil
}

// check checks the types of the inputs after the data.
func (k *pad) check(in []*ops.Input) error {
	if !k.input {
		return nil
	}
	if in[1] == nil {
		return fmt.Errorf("%w: pads is missing", ops.ErrShape)
	}
	data := in[0].Type
	length, err := checkVector("pads", in[1], ops.Int64)
	if err != nil {
		return err
	}
	dimensions := ops.Dim{Size: len(data.Shape)}
	if len(in) > 3 && in[3] != nil {
		if dimensions, err = checkVector("axes", in[3], indexTypes...); err != nil {
			return err
		}
	}
	if length.Known() && dimensions.Known() && length.Size != 2*dimensions.Size {
		return fmt.Errorf("%w: the number of pads is %d, want %d for %d dimensions (data is %v)", ops.ErrShape, length.Size, 2*dimensions.Size, dimensions.Size, data)
	}
	if len(in) > 2 && in[2] != nil {
		return checkScalar("constant_value", in[2].Type, data.DType)
	}
	return nil
}

// padded returns the size of a padded dimension. It returns false if more entries would be
// removed than there are, or if the mode has no element to copy. With constant entries, those
// that are added at one end can be removed at the other.
func (k *pad) padded(d ops.Dim, p padding) (ops.Dim, bool) {
	if p == (padding{}) {
		return d, true
	}
	if !d.Known() {
		return unknown, true
	}
	rest := d.Size - p.removedBefore - p.removedAfter
	size := rest + p.before + p.after
	if k.mode == "constant" {
		return ops.Dim{Size: size}, size >= 0
	}
	return ops.Dim{Size: size}, rest > 0 || rest == 0 && size == 0
}

func (k *pad) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if err := checkValues(k, in, out); err != nil {
		return err
	}
	data := in[0]
	paddings, known, err := k.paddings(inputs(in))
	if err != nil || !known {
		return err
	}
	fill, err := ops.Zeros(data.DType(), []int{1})
	if err != nil {
		return err
	}
	if value := optionalInput(in, 2); value != nil && k.input {
		fill = value
	}
	if !k.input {
		store(fill, 0, 1, []float64{float64(k.value)})
	}
	mover := movers[out.DType()]
	if mover == nil {
		return fmt.Errorf("%w: %v", ops.ErrDType, out.DType())
	}
	if out.Len() == 0 {
		return nil
	}
	l := padRows{out: out, data: data, fill: fill}
	t := temporary{ctx: ctx}
	strides := rowMajor(data.Shape())
	for d, size := range out.Shape() {
		places := bufferOf[int](&t, size)
		if t.err != nil {
			return t.err
		}
		err := inPieces(ctx, size, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				if places[i] = k.at(i, data.Shape()[d], paddings[d]); places[i] != nowhere {
					places[i] *= strides[d]
				}
			}
		})
		if err != nil {
			return err
		}
		l.places = append(l.places, places)
	}
	if err := l.findRuns(&t); err != nil {
		return err
	}
	return ctx.For(out.Len(), grain, func(lo, hi int) error { mover.pad(&l, lo, hi); return nil })
}

// padRows is one run of Pad.
type padRows struct {
	out, data, fill *ops.Tensor
	places          [][]int // where the entries of each dimension are in the data, or nowhere
	runs            []int   // the number of entries of the last dimension, from each on, that follow each other in the data
}

func (l *padRows) findRuns(t *temporary) error {
	if len(l.places) == 0 {
		return nil
	}
	places := l.places[len(l.places)-1]
	l.runs = bufferOf[int](t, len(places))
	if t.err != nil {
		return t.err
	}
	return inPieces(t.ctx, len(places), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			j := len(places) - 1 - i
			l.runs[j] = 1
			switch next := j + 1; {
			case next == len(places):
			case places[j] == nowhere && places[next] == nowhere, places[j] != nowhere && places[next] == places[j]+1:
				l.runs[j] += l.runs[next]
			}
		}
	})
}

// pad computes the elements lo to hi-1 of the output.
func (moverOf[T]) pad(l *padRows, lo, hi int) {
	o, _ := ops.Data[T](l.out)
	d, _ := ops.Data[T](l.data)
	f, _ := ops.Data[T](l.fill)
	rank := len(l.places)
	if rank == 0 {
		o[0] = d[0]
		return
	}
	places := l.places[rank-1]
	width := len(places)
	for lo < hi {
		first := lo % width
		n := min(width-first, hi-lo)
		from := 0
		for c, i := lo/width, rank-2; i >= 0 && from != nowhere; i-- {
			if at := l.places[i][c%len(l.places[i])]; at == nowhere {
				from = nowhere
			} else {
				from += at
			}
			c /= len(l.places[i])
		}
		to := o[lo:][:n]
		if from == nowhere {
			repeat(to, f[0])
		} else {
			padRow(to, d[from:], f[0], places[first:], l.runs[first:])
		}
		lo += n
	}
}

// padRow sets the elements of a row to those of src at some places, which follow each other in runs.
func padRow[T any](dst, src []T, fill T, places, runs []int) {
	for i := 0; i < len(dst); {
		at, n := places[i], min(runs[i], len(dst)-i)
		part := dst[i : i+n]
		switch {
		case at == nowhere:
			for j := range part {
				part[j] = fill
			}
		case n > shortRow:
			copy(part, src[at:])
		default:
			copyFew(part, src[at:])
		}
		i += n
	}
}

// copyFew is copy for few elements.
func copyFew[T any](dst, src []T) {
	for i, v := range src[:len(dst)] {
		dst[i] = v
	}
}

// at returns the index of the element of the data, of the given size, that is copied to index
// i of the output.
func (k *pad) at(i, size int, p padding) int {
	i -= p.before
	if k.mode == "constant" {
		if i += p.removedBefore; i < 0 || i >= size {
			return nowhere
		}
		return i
	}
	size -= p.removedBefore + p.removedAfter
	switch {
	case i >= 0 && i < size:
	case k.mode == "edge":
		i = min(max(i, 0), size-1)
	case k.mode == "wrap":
		i = (i%size + size) % size
	case size == 1: // there is nothing between the mirrors
		i = 0
	default:
		period := 2 * (size - 1)
		i = (i%period + period) % period
		i = min(i, period-i)
	}
	return i + p.removedBefore
}
