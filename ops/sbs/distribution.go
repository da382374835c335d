package sbs

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

var (
	errOtherOperator = errors.New("sbs: the operator is neither the SbS nor the SbSFullLayer operator of this package")
	errNoContext     = errors.New("sbs: the Context is nil: see ops.NewContext")
)

// OpParams returns the attributes of an SbS or SbSFullLayer operator of this package, also of one
// that WithRule or Prefix has made. It returns false if op is another operator.
func OpParams(op ops.Op) (Params, bool) {
	l, ok := layerOf(op)
	if !ok {
		return Params{}, false
	}
	p := l.Params
	p.EpsilonT = slices.Clone(p.EpsilonT)
	return p, true
}

// Distribution returns the input distributions that the layer of an SbS or SbSFullLayer
// operator sees in an X of shape (B, C, H, W): the patches, each divided by its sum, as a
// tensor of shape (B, K, OH, OW). A patch that is all zero stays all zero. Distribution
// does not check the values of X. It returns an error if op is neither the SbS nor the
// SbSFullLayer operator of this package, or if X does not fit the layer.
func Distribution(ctx *ops.Context, op ops.Op, x *ops.Tensor) (*ops.Tensor, error) {
	l, ok := layerOf(op)
	if !ok {
		return nil, errOtherOperator
	}
	if ctx == nil {
		return nil, errNoContext
	}
	s := x.Shape()
	if x.DType() != ops.Float32 || len(s) != 4 {
		return nil, fmt.Errorf("%w: X is %v, want float32(batch, channels, height, width)", ops.ErrShape, ops.TypeOf(x))
	}
	oh, ow := l.window().outputSize(s[2], 0), l.window().outputSize(s[3], 1)
	if oh < 1 || ow < 1 {
		return nil, fmt.Errorf("%w: kernel_shape %v does not fit into X, which is %v", ops.ErrShape, l.Kernel, ops.TypeOf(x))
	}
	d := &gradient{layer: l, geometry: l.window().geometryOf(s, []int{s[0], 0, oh, ow}), x: x.Float32s()}
	out, err := ops.Zeros(ops.Float32, []int{d.batch, d.k, oh, ow})
	if err != nil {
		return nil, err
	}
	d.inverse = make([]float32, d.batch*d.positions)
	err = ctx.For(d.batch, 1, func(lo, hi int) error {
		for b := lo; b < hi; b++ {
			d.patchSums(b)
			d.distributionsOf(b, out.Float32s()[b*d.k*d.positions:][:d.k*d.positions])
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// distributionsOf sets out, (K, OH, OW), to the input distributions of image b, of whose
// patches the sums are known.
func (d *gradient) distributionsOf(b int, out []float32) {
	inverse := d.inverse[b*d.positions:][:d.positions]
	for k := range d.k {
		row := out[k*d.positions:][:d.positions]
		plane := k / d.places * d.height * d.width
		for y := range d.oh {
			d.gather(row[y*d.ow:][:d.ow], d.x, d.source(columnRun{image: b, y: y, count: d.ow}, k%d.places), plane)
		}
		for i, v := range inverse {
			row[i] *= v
		}
	}
}
