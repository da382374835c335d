package std

import (
	"fmt"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// newCausalConv returns CausalConvWithState (opset 27): the convolution of each channel of the
// input (batch, channels, length) with its own kernel, weight (channels, 1, k), over the
// current and the k-1 previous elements, plus the optional bias (channels). The optional
// fourth input past_state (batch, channels, k-1) holds the elements before the first one, by
// default 0. The second output is the past_state of the next call. All types are float32.
//
// Attributes: activation (default none; silu or swish: the output is x*sigmoid(x)).
func newCausalConv(n ops.Node) (multiOperation, error) {
	if err := n.Attributes.Only("activation"); err != nil {
		return nil, err
	}
	activation, err := choiceAttr(n.Attributes, "activation", "none", "silu", "swish")
	return causalConv{activation != "none"}, err
}

type causalConv struct{ swish bool }

func (causalConv) inferAll(in []*ops.Input) ([]ops.Type, error) {
	x, w := in[0].Type, in[1].Type
	names := []string{"input", "weight", "bias", "past_state"}
	for i, other := range in {
		if other != nil {
			if err := other.Type.CheckDType(names[i], ops.Float32); err != nil {
				return nil, err
			}
		}
	}
	if len(x.Shape) != 3 {
		return nil, fmt.Errorf("%w: input is %v, want (batch, channels, length)", ops.ErrShape, x)
	}
	batch, channels := x.Shape[0], x.Shape[1]
	if !fitsDims(w.Shape, []ops.Dim{channels, {Size: 1}, unknown}) || w.Shape[2].Size == 0 {
		return nil, fmt.Errorf("%w: input is %v but weight is %v, want (channels, 1, k) with k at least 1", ops.ErrShape, x, w)
	}
	state := unknown
	if k := w.Shape[2]; k.Known() {
		state = ops.Dim{Size: k.Size - 1}
	}
	shapes := [][]ops.Dim{{channels}, {batch, channels, state}}
	for i := 2; i < len(in); i++ {
		if in[i] != nil && !fitsDims(in[i].Shape, shapes[i-2]) {
			return nil, fmt.Errorf("%w: input is %v and weight is %v, but %s is %v", ops.ErrShape, x, w, names[i], in[i].Type)
		}
	}
	return []ops.Type{x, {DType: x.DType, Shape: shapes[1]}}, nil
}

func (k causalConv) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	x, weights := in[0].Float32s(), in[1].Float32s()
	shape, taps := in[0].Shape(), in[1].Shape()[2]
	channels, length := shape[1], shape[2]
	var bias, past, present []float32
	if len(in) > 2 && in[2] != nil {
		bias = in[2].Float32s()
	}
	if len(in) > 3 && in[3] != nil {
		past = in[3].Float32s()
	}
	if len(out) > 1 {
		present = out[1].Float32s()
	}
	y := out[0].Float32s()
	return ctx.For(shape[0]*channels, max(1, grain/max(1, length*taps)), func(lo, hi int) error {
		padded, err := ops.Temporary[float32](ctx, taps-1+length)
		if err != nil {
			return err
		}
		defer ops.Free(ctx, padded)
		watching := cancelCheck{ctx: ctx}
		for row := lo; row < hi; row++ {
			state := padded[:taps-1]
			clear(state)
			if past != nil {
				copy(state, past[row*(taps-1):])
			}
			copy(padded[taps-1:], x[row*length:][:length])
			if present != nil {
				copy(present[row*(taps-1):][:taps-1], padded[length:])
			}
			var b float32
			if bias != nil {
				b = bias[row%channels]
			}
			w, to := weights[row%channels*taps:][:taps], y[row*length:][:length]
			for first := 0; first < length; first += chunk {
				part := to[first:min(first+chunk, length)]
				for i := range part {
					part[i] = b
				}
				for t, v := range w {
					for i, e := range padded[first+t:][:len(part)] {
						part[i] += float32(v * e)
					}
					if err := watching.after(len(part)); err != nil {
						return err
					}
				}
				if k.swish {
					kernel.Map(kernel.Swish, part, part, unitScale)
				}
			}
		}
		return nil
	})
}

// unitScale is the parameter of kernel.Swish for x*sigmoid(x).
var unitScale = []float32{1}
