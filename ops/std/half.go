package std

import (
	"errors"
	"sync"

	"github.com/spike-by-spike/sbs/ops"
)

// An operator that does not take float16 or bfloat16 itself computes in float32: its inputs
// of these types are converted, and so are the outputs that have their type.

// halfOf returns the type among float16 and bfloat16 that some inputs have, and 0 if there is
// none, or both.
func halfOf(dtypes func(i int) ops.DType, inputs int) ops.DType {
	var half ops.DType
	for i := range inputs {
		switch d := dtypes(i); {
		case !isHalf(d) || d == half:
		case half != 0:
			return 0
		default:
			half = d
		}
	}
	return half
}

// inferHalf returns the types of the outputs for inputs of the type half that the operator
// refuses, and which of the outputs have this type.
func (o *op) inferHalf(in []*ops.Input, half ops.DType) (types []ops.Type, converted []bool, err error) {
	if types, err = o.inferTypes(widened(in, ops.Float32)); err != nil {
		return nil, nil, err
	}
	// An output that is float32 for inputs of float64, too, does not have the type of the
	// inputs.
	others, err := o.inferTypes(widened(in, ops.Float64))
	converted = make([]bool, len(types))
	for i, t := range types {
		if t.DType == ops.Float32 && (err != nil || others[i].DType != ops.Float32) {
			converted[i] = true
			types[i].DType = half
		}
	}
	return types, converted, nil
}

// widened returns the inputs with another type instead of float16 and bfloat16.
func widened(in []*ops.Input, to ops.DType) []*ops.Input {
	wide := make([]*ops.Input, len(in))
	for i, x := range in {
		if x == nil || !isHalf(x.DType) {
			wide[i] = x
			continue
		}
		wide[i] = &ops.Input{Type: ops.Type{DType: to, Shape: x.Shape}}
		if x.Const != nil && x.Const.Len() <= maxFolded {
			wide[i].Const, _ = ops.Zeros(to, x.Const.Shape())
			castElements[float64](0, x.Const.Len(), wide[i].Const, x.Const)
		}
	}
	return wide
}

// runHalf is Run for inputs of the type half that the operator refuses.
func (o *op) runHalf(ctx *ops.Context, in, out []*ops.Tensor, half ops.DType) error {
	_, converted, err := o.inferHalf(inputs(in), half)
	if err != nil {
		return err
	}
	singles := singleTensors{ctx: ctx}
	defer singles.release()
	wideIn := make([]*ops.Tensor, len(in))
	for i, x := range in {
		if wideIn[i] = x; x != nil && isHalf(x.DType()) {
			if ctx.Constant(i) {
				wideIn[i], err = o.wide.get(ctx, i, x)
			} else if wideIn[i], err = singles.take(x.Shape()); err == nil {
				err = convertElements(ctx, wideIn[i], x)
			}
			if err != nil {
				return err
			}
		}
	}
	wideOut := make([]*ops.Tensor, len(out))
	for i, x := range out {
		if wideOut[i] = x; x != nil && converted[i] {
			if wideOut[i], err = singles.take(x.Shape()); err != nil {
				return err
			}
		}
	}
	if err := o.runTypes(ctx, wideIn, wideOut); err != nil {
		return err
	}
	for i, x := range wideOut {
		switch {
		case !converted[i]:
			out[i] = x
		case out[i] != nil:
			err = convertElements(ctx, out[i], x)
		default:
			out[i], err = converting(ctx, x, half)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// singleTensors are float32 tensors in the buffers of the context.
type singleTensors struct {
	ctx   *ops.Context
	taken [][]float32
}

// take returns a tensor whose elements have no defined value.
func (s *singleTensors) take(shape []int) (*ops.Tensor, error) {
	n, err := ops.Len(shape)
	if err != nil {
		return nil, err
	}
	if err := s.ctx.Reserve(4 * int64(n)); err != nil {
		return nil, err
	}
	v := s.ctx.Buffers.Take(n)
	s.taken = append(s.taken, v)
	return ops.NewTensor(shape, v)
}

// release makes the memory available to other nodes.
func (s *singleTensors) release() {
	for _, v := range s.taken {
		s.ctx.Buffers.Give(v)
	}
}

// keptConstants holds constants of a node in float32, for all later runs. It is safe for concurrent
// use.
type keptConstants struct {
	mu     sync.Mutex
	inputs map[int]keptConstant
}

type keptConstant struct{ of, wide *ops.Tensor }

// get returns a constant, an input of the node, in float32.
func (k *keptConstants) get(ctx *ops.Context, input int, x *ops.Tensor) (*ops.Tensor, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c := k.inputs[input]; c.of == x {
		return c.wide, ctx.Reserve(int64(x.Len()) * int64(ops.Float32.Size()))
	}
	w, err := converting(ctx, x, ops.Float32)
	if err != nil {
		return nil, err
	}
	if k.inputs == nil {
		k.inputs = map[int]keptConstant{}
	}
	k.inputs[input] = keptConstant{x, w}
	return w, nil
}

// converting returns a tensor with the same elements in another type.
func converting(ctx *ops.Context, x *ops.Tensor, to ops.DType) (*ops.Tensor, error) {
	out, err := temporaryTensor(ctx, to, x.Shape())
	if err != nil {
		return nil, err
	}
	return out, convertElements(ctx, out, x)
}

func convertElements(ctx *ops.Context, out, x *ops.Tensor) error {
	compute := conversions[conversion{x.DType(), out.DType()}]
	if compute == nil {
		compute = castElements[float64]
	}
	return ctx.For(out.Len(), grain, func(lo, hi int) error {
		compute(lo, hi, out, x)
		return nil
	})
}

// temporaryTensor returns a tensor in temporary memory.
func temporaryTensor(ctx *ops.Context, d ops.DType, shape []int) (*ops.Tensor, error) {
	n, err := ops.Len(shape)
	if err != nil {
		return nil, err
	}
	if err := ctx.Reserve(int64(n) * int64(d.Size())); err != nil {
		return nil, err
	}
	return ops.Zeros(d, shape)
}

// refusesTypes reports whether an error is about element types.
func refusesTypes(err error) bool { return errors.Is(err, ops.ErrDType) }
