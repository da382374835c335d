package std

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newNonZero returns NonZero (opsets 9, 13): the coordinates, int64, of the elements that
// are not zero, in row-major order. The output is (rank, number of elements). X has any
// type, and an empty string counts as zero; a scalar counts as a vector. There are no
// attributes.
func newNonZero(n ops.Node) (multiOperation, error) { return nonZero{}, n.Attributes.Only() }

type nonZero struct{}

// inferAll counts the elements if X is known and small. Counting many elements takes long,
// and only a run can be canceled.
func (nonZero) inferAll(in []*ops.Input) ([]ops.Type, error) {
	n := -1
	if x := in[0].Const; x != nil && x.Len() <= maxFolded {
		n = 0
		_ = eachNonZero(context.Background(), x, func(int) { n++ })
	}
	return []ops.Type{{DType: ops.Int64, Shape: ops.Dims(max(1, len(in[0].Shape)), n)}}, nil
}

func (nonZero) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	shape := in[0].Shape()
	if len(shape) == 0 {
		shape = []int{1}
	}
	if out[0] == nil {
		n := 0
		if err := eachNonZero(ctx, in[0], func(int) { n++ }); err != nil {
			return err
		}
		// The output may be many times as large as X.
		found, err := ops.Temporary[int64](ctx, len(shape)*n)
		if err != nil {
			return err
		}
		if out[0], err = ops.NewTensor([]int{len(shape), n}, found); err != nil {
			return err
		}
	}
	found, n, i := out[0].Int64s(), out[0].Shape()[1], 0
	return eachNonZero(ctx, in[0], func(place int) {
		for d := len(shape) - 1; d >= 0; d-- {
			found[d*n+i] = int64(place % shape[d])
			place /= shape[d]
		}
		i++
	})
}

// eachNonZero calls f with the places of the elements that are not zero.
func eachNonZero(ctx context.Context, x *ops.Tensor, f func(place int)) error {
	var v [chunk]float64 // no number but 0 becomes 0 when it is converted
	watching := cancelCheck{ctx: ctx}
	for i := 0; i < x.Len(); i += chunk {
		part := v[:min(chunk, x.Len()-i)]
		if texts, ok := ops.Data[string](x); ok {
			for j := range part {
				part[j] = float64(len(texts[i+j]))
			}
		} else {
			load(part, x, i, 1)
		}
		for j, e := range part {
			if e != 0 {
				f(i + j)
			}
		}
		if err := watching.after(chunk); err != nil {
			return err
		}
	}
	return nil
}

// newUnique returns Unique (opset 11): the different elements of X as a vector, or the
// different entries along an axis. The other outputs, int64 vectors, are the index in X of
// the first occurrence of each result, the index in the output of each element or entry of
// X, and the number of occurrences of each result. X has any type. NaN is not equal to
// anything.
//
// Attributes: axis (default: flatten X), sorted (default 1; 0 keeps the order of the first
// occurrences).
func newUnique(n ops.Node) (multiOperation, error) {
	_, along := n.Attributes["axis"]
	axis, err := axisAttr(n, 0, "sorted")
	if err != nil {
		return nil, err
	}
	sorted, err := ops.Attr(n.Attributes, "sorted", int64(1))
	return &unique{axis, along, sorted != 0}, err
}

type unique struct {
	axis          int64
	along, sorted bool
}

func (k *unique) inferAll(in []*ops.Input) ([]ops.Type, error) {
	x := in[0].Type
	shape, size := []ops.Dim{unknown}, dimProduct(x.Shape)
	if k.along {
		axis, err := axisOf(k.axis, len(x.Shape))
		if err != nil {
			return nil, fmt.Errorf("%w: X is %v", err, x)
		}
		shape, size = slices.Clone(x.Shape), x.Shape[axis]
		shape[axis] = unknown
	}
	vector := func(d ops.Dim) ops.Type { return ops.Type{DType: ops.Int64, Shape: []ops.Dim{d}} }
	return []ops.Type{{DType: x.DType, Shape: shape}, vector(unknown), vector(size), vector(unknown)}, nil
}

func (k *unique) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	x := in[0]
	shape, axis := []int{x.Len()}, 0
	if k.along {
		var err error
		shape = x.Shape()
		if axis, err = axisOf(k.axis, len(shape)); err != nil {
			return err
		}
	}
	g, err := groupsOf(ctx, x, shape, axis)
	if err != nil {
		return err
	}
	if !k.sorted {
		if err := g.inOrder(ctx); err != nil {
			return err
		}
	}
	result := slices.Clone(shape)
	result[axis] = len(g.first)
	if err := ctx.Reserve(int64(numElements(result)) * int64(x.DType().Size())); err != nil {
		return err // the runtime counts the output only afterward
	}
	if out[0], err = ops.Zeros(x.DType(), result); err != nil {
		return err
	}
	block := numElements(shape[axis+1:])
	err = take(ctx, out[0], x, nil, block, func(first int, from []int) error {
		for i := range from {
			outer, j := (first+i)/len(g.first), (first+i)%len(g.first)
			from[i] = (outer*shape[axis] + int(g.first[j])) * block
		}
		return nil
	})
	for i, list := range [][]int64{g.first, g.inverse, g.counts} {
		switch {
		case err != nil || i+1 >= len(out):
		case out[i+1] != nil: // of known size
			copy(out[i+1].Int64s(), list)
		default:
			out[i+1], err = ops.NewTensor([]int{len(list)}, list)
		}
	}
	return err
}

// groups describes groups of equal entries: the index of the first entry of each group, the
// group of each entry, and the number of entries of each group.
type groups struct{ first, inverse, counts []int64 }

// groupsOf groups the entries along an axis. The groups are sorted.
func groupsOf(ctx *ops.Context, x *ops.Tensor, shape []int, axis int) (*groups, error) {
	n, inner := shape[axis], numElements(shape[axis+1:])
	t := temporary{ctx: ctx}
	order := bufferOf[int32](&t, n)
	g := &groups{inverse: bufferOf[int64](&t, n), first: bufferOf[int64](&t, n), counts: bufferOf[int64](&t, n)}
	if t.err != nil {
		return nil, t.err
	}
	g.first, g.counts = g.first[:0], g.counts[:0] // there are at most n groups
	for i := range order {
		order[i] = int32(i)
	}
	var err error
	byEntry := entryComparer[int64](ctx, &err, x, shape, axis, inner)
	switch {
	case x.DType() == ops.String:
		byEntry = textComparer(ctx, &err, x, shape, axis, inner)
	case isFloat(x.DType()):
		byEntry = entryComparer[float64](ctx, &err, x, shape, axis, inner)
	case x.DType() == ops.Uint64:
		byEntry = entryComparer[uint64](ctx, &err, x, shape, axis, inner)
	}
	if err := sortBy(ctx, order, func(a, b int32) int { c, _ := byEntry(int(a), int(b)); return c }); err != nil {
		return nil, err
	}
	for i, entry := range order {
		same := i > 0
		if same {
			c, like := byEntry(int(order[i-1]), int(entry))
			same = c == 0 && like
		}
		if err != nil {
			return nil, err
		}
		if !same {
			g.first, g.counts = append(g.first, int64(entry)), append(g.counts, 0)
		}
		g.counts[len(g.counts)-1]++
		g.inverse[entry] = int64(len(g.first) - 1)
	}
	return g, err
}

// entryComparer returns a function that compares two entries along an axis and reports
// whether they are equal. Entries that contain NaN are never equal, but sort as if they
// were. The function sets stopped to the error of the context when that is done; its results
// mean nothing then.
func entryComparer[W wide](ctx context.Context, stopped *error, x *ops.Tensor, shape []int, axis, inner int) func(a, b int) (order int, alike bool) {
	outer := numElements(shape[:axis])
	watching := cancelCheck{ctx: ctx}
	return func(a, b int) (int, bool) {
		var v [2]W
		alike := true
		for o := range outer {
			for i := range inner {
				if *stopped == nil {
					*stopped = watching.after(8)
				}
				if *stopped != nil {
					return 0, false
				}
				load(v[:1], x, (o*shape[axis]+a)*inner+i, 1)
				load(v[1:], x, (o*shape[axis]+b)*inner+i, 1)
				if c := compare(v[0], v[1]); c != 0 {
					return c, false
				}
				alike = alike && v[0] == v[1]
			}
		}
		return 0, alike
	}
}

// textComparer is entryComparer for strings.
func textComparer(ctx context.Context, stopped *error, x *ops.Tensor, shape []int, axis, inner int) func(a, b int) (order int, alike bool) {
	texts, _ := ops.Data[string](x)
	outer := numElements(shape[:axis])
	watching := cancelCheck{ctx: ctx}
	return func(a, b int) (int, bool) {
		for o := range outer {
			for i := range inner {
				v, w := texts[(o*shape[axis]+a)*inner+i], texts[(o*shape[axis]+b)*inner+i]
				if *stopped == nil {
					*stopped = watching.after(8 + min(len(v), len(w)))
				}
				if *stopped != nil {
					return 0, false
				}
				if c := cmp.Compare(v, w); c != 0 {
					return c, false
				}
			}
		}
		return 0, true
	}
}

// inOrder sorts the groups by their first entries.
func (g *groups) inOrder(ctx *ops.Context) error {
	n, t := len(g.first), temporary{ctx: ctx}
	kinds := bufferOf[int32](&t, n)
	first, counts, renamed := bufferOf[int64](&t, n), bufferOf[int64](&t, n), bufferOf[int64](&t, n)
	if t.err != nil {
		return t.err
	}
	for i := range kinds {
		kinds[i] = int32(i)
	}
	if err := sortBy(ctx, kinds, func(a, b int32) int { return int(g.first[a] - g.first[b]) }); err != nil {
		return err
	}
	for i, kind := range kinds {
		first[i], counts[i], renamed[kind] = g.first[kind], g.counts[kind], int64(i)
	}
	for i, kind := range g.inverse {
		g.inverse[i] = renamed[kind]
	}
	g.first, g.counts = first, counts
	return nil
}
