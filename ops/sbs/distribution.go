package sbs

import (
	"errors"
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

var errOtherOperator = errors.New("not the SbS operator of this program")

// OpParams returns the attributes of an SbS operator; false when op is another
// operator.
func OpParams(op ops.Op) (Params, bool) {
	l, ok := op.(*layer)
	if !ok {
		return Params{}, false
	}
	return l.Params, true
}

// Distribution returns what the layer of an SbS operator sees of its input X
// (B, C, H, W): the patches, each divided by its sum, (B, K, OH, OW). A patch
// that is all zero stays so.
func Distribution(ctx *ops.Context, op ops.Op, x *ops.Tensor) (*ops.Tensor, error) {
	l, ok := op.(*layer)
	if !ok {
		return nil, errOtherOperator
	}
	s := x.Shape()
	if x.DType() != ops.Float32 || len(s) != 4 {
		return nil, fmt.Errorf("%w: X is %v, want float32(batch, channels, height, width)", ops.ErrShape, ops.TypeOf(x))
	}
	d := &gradient{
		layer: l, geometry: geometry{batch: s[0], channels: s[1], height: s[2], width: s[3]},
		places: l.Kernel[0] * l.Kernel[1], x: x.Float32s(),
	}
	d.oh, d.ow, d.k = l.positions(s[2], 0), l.positions(s[3], 1), s[1]*d.places
	if d.oh < 1 || d.ow < 1 {
		return nil, fmt.Errorf("%w: kernel_shape %v does not fit into X, which is %v", ops.ErrShape, l.Kernel, ops.TypeOf(x))
	}
	d.positions = d.oh * d.ow
	d.inverse = make([]float32, d.batch*d.positions)
	out, err := ops.Zeros(ops.Float32, []int{d.batch, d.k, d.oh, d.ow})
	if err != nil {
		return nil, err
	}
	return out, ctx.For(d.batch, 1, func(lo, hi int) error {
		for b := lo; b < hi; b++ {
			d.patchSums(b)
			inverse := d.inverse[b*d.positions:][:d.positions]
			for k := range d.k {
				patch := out.Float32s()[(b*d.k+k)*d.positions:][:d.positions]
				for y := range d.oh {
					d.gather(patch[y*d.ow:][:d.ow], d.source(gradRun{image: b, y: y, count: d.ow}, k))
				}
				for i, v := range inverse {
					patch[i] *= v
				}
			}
		}
		return nil
	})
}
