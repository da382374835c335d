package std

import (
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

// newTensorScatter returns TensorScatter (opset 24): a cache, of any type, in which some
// entries along an axis are replaced by the update, of the same type. The third input, an
// optional int64 vector, holds the index of the first entry that is replaced for each entry
// of the batch, the first dimension; the default is 0.
//
// Attributes: axis (default -2), which must not be the batch; mode (default linear, which
// requires that the update ends within the cache; circular continues at the start).
func newTensorScatter(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("axis", "mode"); err != nil {
		return nil, err
	}
	axis, err := ops.Attr(n.Attributes, "axis", int64(-2))
	if err != nil {
		return nil, err
	}
	mode, err := choiceAttr(n.Attributes, "mode", "linear", "circular")
	return tensorScatter{axis, mode == "circular"}, err
}

type tensorScatter struct {
	axis     int64
	circular bool
}

func (k tensorScatter) infer(in []*ops.Input) (ops.Type, error) {
	cache, update := in[0].Type, in[1].Type
	if cache.DType != update.DType {
		return cache, fmt.Errorf("%w: past_cache is %v but update is %v", ops.ErrDType, cache, update)
	}
	axis, err := axisOf(k.axis, len(cache.Shape))
	if err == nil && axis == 0 {
		err = fmt.Errorf("%w: axis %d is the batch", ops.ErrShape, k.axis)
	}
	if err != nil {
		return cache, fmt.Errorf("%w: past_cache is %v", err, cache)
	}
	t := ops.Type{DType: cache.DType, Shape: make([]ops.Dim, len(cache.Shape))}
	ok := len(cache.Shape) == len(update.Shape)
	for i := 0; ok && i < len(cache.Shape); i++ {
		c, u := cache.Shape[i], update.Shape[i]
		if t.Shape[i] = c; i == axis {
			ok = !c.Known() || !u.Known() || u.Size <= c.Size
		} else {
			t.Shape[i], ok = mergeDims(c, u)
		}
	}
	if !ok {
		return cache, fmt.Errorf("%w: past_cache is %v but update is %v (axis %d)", ops.ErrShape, cache, update, axis)
	}
	if len(in) > 2 && in[2] != nil {
		length, err := checkVector("write_indices", in[2], ops.Int64)
		if err != nil {
			return cache, err
		}
		if _, ok := mergeDims(length, cache.Shape[0]); !ok {
			return cache, fmt.Errorf("%w: past_cache is %v but write_indices is %v", ops.ErrShape, cache, in[2].Type)
		}
	}
	return t, nil
}

func (k tensorScatter) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if err := checkValues(k, in, out); err != nil {
		return err
	}
	shape := out.Shape()
	axis, err := axisOf(k.axis, len(shape))
	if err != nil {
		return err
	}
	if err := copyAll(ctx, out, in[0]); err != nil || in[1].Len() == 0 {
		return err
	}
	size, steps, block := shape[axis], in[1].Shape()[axis], numElements(shape[axis+1:])
	rows := numElements(shape[1:axis]) // of each entry of the batch
	for b := range shape[0] {
		first := 0
		if indices := optionalInput(in, 2); indices != nil {
			if first, err = k.first(indices.Int64s()[b], size, steps); err != nil {
				return err
			}
		}
		// The update has one part up to the end of the cache, and another one from its start.
		split := min(steps, size-first)
		for _, part := range []struct{ to, from, count int }{{first, 0, split}, {0, split, steps - split}} {
			if part.count == 0 {
				continue
			}
			sizes := []int{rows, part.count * block}
			c := copying{
				nest: newNest(sizes, []int{size * block, 1}, []int{steps * block, 1}),
				to:   (b*rows*size + part.to) * block, from: (b*rows*steps + part.from) * block,
			}
			if err := c.run(ctx, out, in[1]); err != nil {
				return err
			}
		}
	}
	return nil
}

// first returns the place of the first entry of an update of the given number of steps.
func (k tensorScatter) first(index int64, size, steps int) (int, error) {
	if k.circular {
		at := int(index % int64(size))
		if at < 0 {
			at += size
		}
		return at, nil
	}
	if index < 0 || index > int64(size-steps) {
		return 0, fmt.Errorf("%w: write index %d: an update of size %d does not fit a cache of size %d", ops.ErrValue, index, steps, size)
	}
	return int(index), nil
}
