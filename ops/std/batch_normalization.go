package std

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// newBatchNormalization returns BatchNormalization (opsets 1, 6, 7, 9, 14, 15): (X - mean) /
// sqrt(var + epsilon) * scale + B. The inputs scale, B, mean and var have one number per
// channel of X (N, C, ...). All types are float32 or float64. In training mode, mean and
// var are computed from X, and the second and third output are their running averages:
// input * momentum + current * (1 - momentum). Before opset 14, the fourth and fifth output
// are the current mean and var.
//
// Attributes: epsilon (default 1e-5), momentum (default 0.9), training_mode (default 0;
// since opset 14; in opsets 7 to 13, a node with more than one output is in training mode),
// is_test (default 0, which is the training mode; before opset 7), spatial (default 1; before
// opset 9; with 0 the inputs have one number per element of an image).
func newBatchNormalization(n ops.Node) (multiOperation, error) {
	known, most := []string{"epsilon", "momentum"}, 5
	if n.Opset < 7 {
		known = append(known, "is_test")
	}
	switch {
	case n.Opset >= 14:
		known, most = append(known, "training_mode"), 3
	case n.Opset < 9:
		known = append(known, "spatial")
	}
	if err := checkNumber("outputs", n.NumOutputs, 1, most); err != nil {
		return nil, err
	}
	if err := n.Attributes.Only(known...); err != nil {
		return nil, err
	}
	epsilon, err := ops.Attr(n.Attributes, "epsilon", float32(1e-5))
	if err != nil {
		return nil, err
	}
	momentum, err := ops.Attr(n.Attributes, "momentum", float32(0.9))
	if err != nil {
		return nil, err
	}
	training, err := flagAttr(n.Attributes, "training_mode")
	if err != nil {
		return nil, err
	}
	isTest, err := flagAttr(n.Attributes, "is_test")
	if err != nil {
		return nil, err
	}
	switch {
	case n.Opset < 7:
		training = !isTest
	case n.Opset < 14:
		training = n.NumOutputs > 1
	}
	spatial, err := ops.Attr(n.Attributes, "spatial", int64(1))
	if err != nil {
		return nil, err
	}
	if !training && n.NumOutputs > 1 {
		return nil, fmt.Errorf("%w: more than one output needs the training mode (training_mode 1, or is_test 0 before opset 7)", ops.ErrAttribute)
	}
	return &batchNormalization{float64(epsilon), float64(momentum), training, spatial == 0}, nil
}

type batchNormalization struct {
	epsilon, momentum float64
	training          bool
	perElement        bool // and not per channel
}

func (k *batchNormalization) inferAll(in []*ops.Input) ([]ops.Type, error) {
	names := []string{"scale", "B", "mean", "var"}
	types := []ops.Type{in[0].Type, in[3].Type, in[4].Type, in[3].Type, in[4].Type}
	if !k.perElement {
		return types, checkPerChannel(in, names...)
	}
	if err := checkPerChannel(in[:1]); err != nil {
		return nil, err
	}
	for i, name := range names {
		t := in[i+1].Type
		if err := t.CheckDType(name, floatTypes...); err != nil {
			return nil, err
		}
		if !mayBeEqual(t.Shape, in[0].Shape[1:]) {
			return nil, fmt.Errorf("%w: X is %v but %s is %v (spatial 0)", ops.ErrShape, in[0].Type, name, t)
		}
	}
	return types, nil
}

func (k *batchNormalization) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	x, y := in[0], out[0]
	if k.perElement {
		var err error
		flat := []int{x.Shape()[0], numElements(x.Shape()[1:])}
		if x, err = x.Reshaped(flat); err != nil {
			return err
		}
		if y, err = y.Reshaped(flat); err != nil {
			return err
		}
	}
	t := temporary{ctx: ctx}
	scale, bias := elementsOf[float64](&t, in[1]), elementsOf[float64](&t, in[2])
	mean, variance := elementsOf[float64](&t, in[3]), elementsOf[float64](&t, in[4])
	if t.err != nil {
		return t.err
	}
	if k.training {
		var err error
		if mean, variance, err = k.measure(ctx, x); err != nil {
			return err
		}
		for i, now := range [][]float64{mean, variance} {
			if i+1 >= len(out) {
				break
			}
			running := copyOf[float64](&t, in[i+3])
			if t.err != nil {
				return t.err
			}
			for c := range running {
				running[c] = float64(running[c]*k.momentum) + float64(now[c]*(1-k.momentum))
			}
			store(out[i+1], 0, 1, running)
			if i+3 < len(out) {
				store(out[i+3], 0, 1, now)
			}
		}
	}
	if x.DType() == ops.Float32 && x.Len() > 0 {
		return normalizeBatch(ctx, x, y, scale, bias, mean, variance, k.epsilon)
	}
	return forEachPlane(ctx, x, y, func(c int, plane []float64) error {
		factor := scale[c] / math.Sqrt(variance[c]+k.epsilon)
		return shiftAndScale(ctx, plane, mean[c], factor, bias[c])
	})
}

// normalizeBatch is runAll for float32, in one pass.
func normalizeBatch(ctx *ops.Context, x, out *ops.Tensor, scale, bias, mean, variance []float64, epsilon float64) error {
	shape := x.Shape()
	size, channels := numElements(shape[2:]), shape[1]
	from, to := x.Float32s(), out.Float32s()
	const piece = 1 << 11
	pieces := (size + piece - 1) / piece
	return ctx.For(shape[0]*channels*pieces, max(1, grain/min(size, piece)), func(lo, hi int) error {
		for ; lo < hi; lo++ {
			plane, first := lo/pieces, lo%pieces*piece
			last := min(first+piece, size)
			c := plane % channels
			part := to[plane*size:][first:last]
			copy(part, from[plane*size:][first:last])
			kernel.Standardize(part, mean[c], scale[c]/math.Sqrt(variance[c]+epsilon), bias[c])
		}
		return nil
	})
}

// measure returns the mean and variance of each channel of a batch.
func (k *batchNormalization) measure(ctx *ops.Context, x *ops.Tensor) (mean, variance []float64, err error) {
	shape := x.Shape()
	size, channels := numElements(shape[2:]), shape[1]
	t := temporary{ctx: ctx}
	mean, variance = bufferOf[float64](&t, channels), bufferOf[float64](&t, channels)
	all := bufferOf[float64](&t, shape[0]*size)
	if t.err != nil {
		return nil, nil, t.err
	}
	watching := cancelCheck{ctx: ctx}
	for c := range channels {
		for n := range shape[0] {
			if err := loadAll(ctx, all[n*size:][:size], x, (n*channels+c)*size, 1); err != nil {
				return nil, nil, err
			}
			if err := watching.after(1 + size); err != nil {
				return nil, nil, err
			}
		}
		if mean[c], variance[c], err = meanVariance(ctx, all); err != nil {
			return nil, nil, err
		}
	}
	return mean, variance, nil
}
